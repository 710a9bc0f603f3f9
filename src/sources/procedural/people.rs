//! The people who appear in stories, tables and puzzles.

use super::{
    Rng,
    lexicon::{self, NAMES},
};

/// One given name.
pub(super) fn person(rng: &mut Rng) -> &'static str {
    lexicon::any(rng, &NAMES)
}

/// Several people, no two of the same name.
pub(super) fn people(rng: &mut Rng, count: usize) -> Vec<&'static str> {
    lexicon::several(rng, &NAMES, count)
}

/// Two different people.
pub(super) fn two_people(rng: &mut Rng) -> [&'static str; 2] {
    let first = person(rng);
    loop {
        let second = person(rng);
        if second != first {
            return [first, second];
        }
    }
}
