//! The directions of `data/directions.toml`, and the words that go with them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// A direction in which an instruction is reworded.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Direction {
    /// The name in the column `direction`.
    pub name: String,
    /// What it changes: tone, register, length, …
    pub kind: String,
    /// How often it is taken, beside the others.
    pub weight: f64,
    /// What it is, as a language model is told.
    pub ask: String,
    /// Whether it is for instructions whose data stand elsewhere alone.
    #[serde(default)]
    pub(super) needs_input: bool,
    /// Whether it is for instructions in any language.
    #[serde(default)]
    pub(super) any_language: bool,
    /// Of each of these one is taken.
    #[serde(default)]
    pub(super) edits: Vec<String>,
    pub(super) forms: Vec<String>,
    #[serde(default)]
    pub(super) before: Vec<String>,
    #[serde(default)]
    pub(super) after: Vec<String>,
}

/// Words with those that can stand in their place.
pub(super) type OtherWords = Vec<(String, Vec<String>)>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    direction: Vec<Direction>,
    verbs: BTreeMap<String, Vec<String>>,
    words: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

struct Tables {
    directions: Vec<Direction>,
    verbs: BTreeMap<String, Vec<String>>,
    words: BTreeMap<String, OtherWords>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let file: File = toml::from_str(include_str!("../../data/directions.toml"))
        .expect("the file is part of the program, and a test reads it");
    let longest_first = |words: BTreeMap<String, Vec<String>>| {
        let mut words: OtherWords = words.into_iter().collect();
        words.sort_by_key(|(words, _)| std::cmp::Reverse(words.len()));
        words
    };
    let words = file.words.into_iter();
    Tables {
        directions: file.direction,
        verbs: file.verbs,
        words: words
            .map(|(name, words)| (name, longest_first(words)))
            .collect(),
    }
});

/// Every direction, in the order of the file.
pub(super) fn all() -> &'static [Direction] {
    &TABLES.directions
}

/// Other words for a verb that a sentence opens with.
pub(super) fn verbs(verb: &str) -> &'static [String] {
    TABLES.verbs.get(verb).map_or(&[], Vec::as_slice)
}

/// A table of other words, the longest first.
pub(super) fn words(table: &str) -> Option<&'static OtherWords> {
    TABLES.words.get(table)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::forms::SLOTS;
    use super::super::{REQUESTS, edits};
    use super::*;

    #[test]
    fn the_directions_are_of_different_kinds_and_unequally_strong() {
        let of = |value: fn(&Direction) -> &str| all().iter().map(value).collect::<HashSet<_>>();
        assert_eq!(of(|direction| &direction.name).len(), all().len());
        assert!(of(|direction| &direction.kind).len() >= 10);
        let weights: HashSet<u64> = all()
            .iter()
            .map(|direction| direction.weight.to_bits())
            .collect();
        assert!(weights.len() >= 5);
        assert!(
            all()
                .iter()
                .all(|direction| direction.weight > 0.0 && !direction.forms.is_empty())
        );
    }

    #[test]
    fn every_name_in_a_direction_is_known() {
        for direction in all() {
            for edit in direction.edits.iter().filter(|edit| !edit.is_empty()) {
                assert!(edits::is_known(edit), "{}: {edit}", direction.name);
            }
            for form in &direction.forms {
                let slots = SLOTS.iter().filter(|slot| form.contains(**slot));
                assert_eq!(slots.count(), 1, "{form}");
                let has_rest = form.contains("{command}") || form.contains("{deed}");
                assert_eq!(has_rest, form.contains("{rest}"), "{form}");
                assert!(!form.starts_with("{command}") && !form.starts_with("{deed}"));
            }
        }
    }

    #[test]
    fn the_verbs_are_such_as_requests_open_with() {
        for (verb, others) in &TABLES.verbs {
            assert!(REQUESTS.contains(verb.as_str()), "{verb}");
            assert!(!others.contains(verb), "{verb}");
        }
    }
}
