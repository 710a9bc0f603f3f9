//! The words that pairs are made of, read once from the text files in `data/lexicon`.
//!
//! A lexicon has one entry a line, its columns separated by tabs. All of them are our own work.

use std::sync::LazyLock;

use super::{Rng, english::Noun, phrasing::pick};

/// A lexicon of single words.
pub(super) type Words = LazyLock<Vec<&'static str>>;

macro_rules! words {
    ($($name:ident $file:literal $about:literal;)*) => {
        $(
            #[doc = $about]
            pub(super) static $name: Words =
                LazyLock::new(|| include_str!(concat!("../../../data/lexicon/", $file)).lines().collect());
        )*
    };
}

words! {
    ACTIONS "actions.txt" "Past tenses of verbs that need no object.";
    ADJECTIVES "adjectives.txt" "Adjectives that go with an animal.";
    ADVERBS "adverbs.txt" "Adverbs that go with an action.";
    ANIMALS "animals.txt" "Animals, in the singular.";
    BODY_PARTS "body_parts.txt" "Parts of the body.";
    BUILDINGS "buildings.txt" "Kinds of building.";
    CLOTHES "clothes.txt" "Items of clothing.";
    COLOURS "colours.txt" "Colours.";
    FOODS "foods.txt" "Dishes and prepared foods.";
    FRUITS "fruits.txt" "Fruits, in the singular.";
    FURNITURE "furniture.txt" "Pieces of furniture.";
    INSTRUMENTS "instruments.txt" "Musical instruments.";
    METALS "metals.txt" "Metals and their alloys.";
    NAMES "names.txt" "Given names from many parts of the world.";
    OCCUPATIONS "occupations.txt" "Occupations.";
    PLACES "places.txt" "Places that something can be near to.";
    PLANTS "plants.txt" "Flowers, trees and other plants.";
    SPORTS "sports.txt" "Sports.";
    TOOLS "tools.txt" "Hand tools.";
    TOWNS "towns.txt" "Invented towns.";
    VEGETABLES "vegetables.txt" "Vegetables.";
    VEHICLES "vehicles.txt" "Vehicles on land, on water and in the air.";
}

/// Things that can be counted, owned and given away.
pub(super) static THINGS: LazyLock<Vec<Noun>> = LazyLock::new(|| {
    columns(include_str!("../../../data/lexicon/things.txt"))
        .map(|[singular, plural]| Noun { singular, plural })
        .collect()
});

/// Pairs of opposites.
pub(super) static OPPOSITES: LazyLock<Vec<[&'static str; 2]>> =
    LazyLock::new(|| columns(include_str!("../../../data/lexicon/opposites.txt")).collect());

/// Verbs as base form, past tense and past participle.
pub(super) static VERBS: LazyLock<Vec<[&'static str; 3]>> =
    LazyLock::new(|| columns(include_str!("../../../data/lexicon/verbs.txt")).collect());

/// Words with the kind of thing they name and what sets it apart: "atlas", "book", "of maps".
pub(super) static DEFINITIONS: LazyLock<Vec<[&'static str; 3]>> =
    LazyLock::new(|| columns(include_str!("../../../data/lexicon/definitions.txt")).collect());

/// A drawn entry.
pub(super) fn any<T: Copy>(rng: &mut Rng, lexicon: &[T]) -> T {
    pick(rng, lexicon)
}

/// Several different entries, in the order they were drawn.
pub(super) fn several<T: Copy + PartialEq>(rng: &mut Rng, lexicon: &[T], count: usize) -> Vec<T> {
    // Draws are few and lexicons long, so drawing again is quicker than shuffling.
    let mut drawn = Vec::with_capacity(count);
    while drawn.len() < count.min(lexicon.len()) {
        let entry = pick(rng, lexicon);
        if !drawn.contains(&entry) {
            drawn.push(entry);
        }
    }
    drawn
}

/// The lines of a lexicon, cut at tabs. The files are part of the program, so a wrong line is a bug that tests find.
fn columns<const N: usize>(text: &'static str) -> impl Iterator<Item = [&'static str; N]> {
    text.lines().map(|line| {
        let cells: Vec<&str> = line.split('\t').collect();
        <[&str; N]>::try_from(cells).expect("every line of a lexicon has the same columns")
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_lexicon_parses_and_repeats_no_entry() {
        let words = [
            &ACTIONS,
            &ADJECTIVES,
            &ADVERBS,
            &ANIMALS,
            &BODY_PARTS,
            &BUILDINGS,
            &CLOTHES,
            &COLOURS,
            &FOODS,
            &FRUITS,
            &FURNITURE,
            &INSTRUMENTS,
            &METALS,
            &NAMES,
            &OCCUPATIONS,
            &PLACES,
            &PLANTS,
            &SPORTS,
            &TOOLS,
            &TOWNS,
            &VEGETABLES,
            &VEHICLES,
        ];
        for lexicon in words {
            let distinct: HashSet<_> = lexicon.iter().collect();
            assert_eq!(distinct.len(), lexicon.len());
            assert!(
                lexicon
                    .iter()
                    .all(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphabetic()))
            );
        }
        let firsts = [
            THINGS.iter().map(|noun| noun.singular).collect::<Vec<_>>(),
            OPPOSITES.iter().map(|row| row[0]).collect(),
            VERBS.iter().map(|row| row[0]).collect(),
            DEFINITIONS.iter().map(|row| row[0]).collect(),
        ];
        for words in firsts {
            assert_eq!(words.iter().collect::<HashSet<_>>().len(), words.len());
        }
    }
}
