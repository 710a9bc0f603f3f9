//! The procedural sampler: a seeded, endless stream of instruction/response pairs.
//!
//! Every pair comes from a *family*, a function that draws values, words a question about them in one of many ways and
//! computes the answer. Nothing is written by hand per case and nothing is taken from a data set: the lexicons in
//! `data/lexicon` and all phrasings are our own work.
//!
//! The sampler at the top draws a family for each row, out of those that names select: families, their groups, and how
//! difficult they are. `families` is the table of all. The families follow by topic, a file each; at the bottom is what
//! they share, from phrasing to plurals, and from facts to the JSON and YAML they are written in.

mod sampler;
mod selection;

mod families;

mod clock;
mod conversions;
mod counting;
mod dates;
mod edits;
mod expressions;
mod factors;
mod kinds;
mod layouts;
mod logic;
mod measurements;
mod money;
mod numerals;
mod objects;
mod records;
mod sequences;
mod sets;
mod sorting;
mod spelling;
mod statistics;
mod stories;
mod tables;
mod units;
mod vocabulary;
mod walks;

mod calendar;
mod documents;
mod english;
mod facts;
mod keys;
mod lexicon;
mod people;
mod phrasing;
mod sentences;
mod working;

#[cfg(test)]
mod checking;

pub use families::{Difficulty, FAMILIES, Family, Group};
pub use sampler::Sampler;
pub use selection::BadSelection;

/// The generator that families draw from: the same numbers on every machine.
pub type Rng = rand_chacha::ChaCha8Rng;

/// An instruction with its response.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pair {
    /// What is asked for.
    pub instruction: String,
    /// What it is asked about, or empty where the instruction says it all.
    pub input: String,
    /// The response, which is right.
    pub output: String,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::checking::draws;
    use super::*;

    fn sampler(seed: u64, names: &[&str]) -> Sampler {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Sampler::new(seed, &names).unwrap()
    }

    fn rows(sampler: &Sampler, count: u64) -> Vec<Pair> {
        (0..count).map(|index| sampler.pair(index)).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_rows_and_a_longer_draw_begins_with_the_shorter() {
        let (short, long) = (rows(&sampler(7, &[]), 200), rows(&sampler(7, &[]), 400));
        assert_eq!(short, long[..200]);
    }

    #[test]
    fn another_seed_gives_other_rows_and_base_models_have_their_own() {
        let first = rows(&sampler(0, &[]), 1_000);
        let for_base_model = rows(&Sampler::for_base_model(0, &[]).unwrap(), 1_000);
        for other in [&rows(&sampler(1, &[]), 1_000), &for_base_model] {
            assert!(first.iter().zip(other).filter(|(a, b)| a == b).count() < 20);
        }
        assert!(for_base_model.iter().all(sampler::is_reserved));
        assert!(!first.iter().any(sampler::is_reserved));
    }

    #[test]
    fn the_order_and_number_of_names_do_not_matter() {
        let once = rows(&sampler(3, &["prime", "weekday"]), 100);
        assert_eq!(
            once,
            rows(&sampler(3, &["weekday", "prime", "weekday"]), 100)
        );
    }

    #[test]
    fn only_chosen_families_are_drawn() {
        let pairs = rows(&sampler(0, &["spell_out"]), 50);
        assert!(pairs.iter().all(|pair| pair.instruction.contains("between")
            || pair.instruction.contains("Separate")
            || pair.instruction.contains("separator")));
    }

    /// Whether a name in braces is left of a template. No JSON has one, for its keys are quoted.
    fn has_slot(text: &str) -> bool {
        let after_braces = text.split('{').skip(1);
        after_braces
            .filter_map(|rest| rest.split_once('}'))
            .any(|(name, _)| {
                !name.is_empty() && name.chars().all(|c| c.is_alphabetic() || c == '_')
            })
    }

    /// Beside each family stands a test that reads its questions anew and finds the answers in another way.
    #[test]
    fn every_family_is_checked_in_its_file() {
        let table = include_str!("families.rs");
        let (_, table) = table.split_once("pub const FAMILIES").unwrap();
        let (table, _) = table.split_once("\n];").unwrap();
        let samples = table
            .split([' ', ',', ')', '\n'])
            .filter_map(|word| word.split_once("::"));
        let samples: Vec<(&str, &str)> = samples.collect();
        assert_eq!(samples.len(), FAMILIES.len());
        let folder =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sources/procedural");
        for (file, function) in samples {
            let text = std::fs::read_to_string(folder.join(format!("{file}.rs"))).unwrap();
            assert!(
                text.contains(&format!("draws({function})")),
                "nothing checks {file}::{function}"
            );
        }
    }

    #[test]
    fn the_help_names_every_group_and_difficulty() {
        let help = include_str!("../../config/recipe.rs").replace("\n    ///", "");
        let groups = Group::ALL.map(Group::name).join(", ");
        let difficulties = Difficulty::ALL.map(Difficulty::name).join(", ");
        assert!(help.contains(&format!("groups ({groups})")));
        assert!(help.contains(&format!("difficulties ({difficulties})")));
    }

    #[test]
    fn every_family_gives_varied_text_with_every_slot_filled() {
        for family in FAMILIES {
            let mut openings = HashSet::new();
            let mut distinct = HashSet::new();
            for pair in draws(family.sample) {
                let parts = [&pair.instruction, &pair.input, &pair.output];
                assert!(
                    !pair.instruction.trim().is_empty() && !pair.output.trim().is_empty(),
                    "{pair:?}"
                );
                assert!(!parts.iter().any(|text| has_slot(text)), "{pair:?}");
                // Marks of special tokens and of templates have no place in a text; braces have, in JSON.
                let has_braces = family.group == Group::Formats;
                let forbidden = if has_braces { "<>" } else { "<>{}" };
                let is_forbidden = |c: char| forbidden.contains(c);
                assert!(
                    !parts.iter().any(|text| text.contains(is_forbidden)),
                    "{pair:?}"
                );
                // The keys of the bundled task belong to it alone.
                let is_of_task = |text: &&String| {
                    has_braces && (text.contains("thought") || text.contains("hallucination"))
                };
                assert!(!parts.iter().any(is_of_task), "{pair:?}");
                assert!(
                    parts.iter().all(|text| text.trim() == text.as_str()),
                    "{pair:?}"
                );
                openings.insert(pair.instruction.chars().take(12).collect::<String>());
                distinct.insert(pair);
            }
            assert!(
                openings.len() >= 8,
                "{} opens in {} ways",
                family.name,
                openings.len()
            );
            assert!(
                distinct.len() >= 1_500,
                "{} has {} distinct pairs in 3,000",
                family.name,
                distinct.len()
            );
        }
    }

    #[test]
    fn fewer_than_three_in_a_hundred_rows_repeat() {
        let pairs = rows(&sampler(0, &[]), 20_000);
        let distinct: HashSet<&Pair> = pairs.iter().collect();
        assert!(
            pairs.len() - distinct.len() < pairs.len() * 3 / 100,
            "{} distinct",
            distinct.len()
        );
    }

    /// A change here changes every build that uses the sampler: raise the version in the context when it is meant.
    #[test]
    fn the_first_thousand_rows_are_what_they_were() {
        let mut hasher = blake3::Hasher::new();
        for pair in rows(&sampler(0, &[]), 1_000) {
            for text in [pair.instruction, pair.input, pair.output] {
                hasher.update(text.as_bytes());
                hasher.update(&[0]);
            }
        }
        assert_eq!(
            hasher.finalize().to_hex().as_str(),
            "dad6c7da144dde315b356e42ae3e2b148d6681ffcc022f019d24ae94cb10bc98"
        );
    }
}
