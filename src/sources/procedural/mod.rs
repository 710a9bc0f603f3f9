//! The procedural sampler: a seeded, endless stream of instruction/response pairs.
//!
//! Every pair comes from a *family*, a function that draws values, words a question about them in one of many ways and
//! computes the answer. Nothing is written by hand per case and nothing is taken from a data set: the lexicons in
//! `data/lexicon` and all phrasings are our own work.
//!
//! The sampler at the top draws a family for each row; the families are grouped by topic, a file each; at the bottom
//! is what they share, from phrasing to plurals.

mod sampler;

mod clock;
mod counting;
mod dates;
mod edits;
mod expressions;
mod factors;
mod kinds;
mod logic;
mod money;
mod numerals;
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
mod english;
mod lexicon;
mod people;
mod phrasing;
mod sentences;
mod working;

#[cfg(test)]
mod checking;

pub use sampler::{Sampler, UnknownFamily};

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

/// A kind of question that can be drawn without end.
#[derive(Debug)]
pub struct Family {
    /// The name a recipe selects it by.
    pub name: &'static str,
    /// What its pairs ask for, in a phrase.
    pub about: &'static str,
    /// Draws a pair.
    pub sample: fn(&mut Rng) -> Pair,
}

/// Every family. The order is part of the stream: a new family changes which one each row draws.
pub const FAMILIES: &[Family] = &[
    family(
        "arithmetic_expression",
        "the value of an expression of two to four numbers",
        expressions::expression,
    ),
    family(
        "division_with_remainder",
        "quotient and remainder",
        expressions::division,
    ),
    family(
        "fractions",
        "sums, differences and products of two fractions, reduced",
        expressions::fractions,
    ),
    family(
        "story_one_step",
        "word problems with one operation",
        stories::one_step,
    ),
    family(
        "story_two_steps",
        "word problems with two operations",
        stories::two_steps,
    ),
    family("percentage", "a percentage of a number", money::percentage),
    family(
        "price_change",
        "a price that rises or falls by a percentage",
        money::price_change,
    ),
    family(
        "shopping_bill",
        "the total of a purchase, or the change",
        money::bill,
    ),
    family(
        "unit_conversion",
        "lengths, weights, volumes, durations and sizes in other units",
        units::conversion,
    ),
    family(
        "temperature",
        "Celsius in Fahrenheit and back",
        units::temperature,
    ),
    family(
        "number_base",
        "binary, octal and hexadecimal from and to decimal",
        numerals::base,
    ),
    family(
        "roman_numeral",
        "Roman numerals from and to numbers",
        numerals::roman,
    ),
    family(
        "number_words",
        "numbers in words and in digits",
        numerals::words,
    ),
    family(
        "prime",
        "whether a number is prime, and why",
        factors::prime,
    ),
    family(
        "prime_factors",
        "the prime factorisation of a number",
        factors::factorisation,
    ),
    family(
        "common_divisor_multiple",
        "the greatest common divisor or least common multiple",
        factors::common,
    ),
    family("divisors", "all divisors of a number", factors::divisors),
    family(
        "summary_statistic",
        "largest, smallest, median, mean, range or sum of a list",
        statistics::summary,
    ),
    family(
        "number_comparison",
        "the larger or smaller of two numbers that look alike",
        statistics::comparison,
    ),
    family(
        "number_sequence",
        "the next number of a sequence",
        sequences::numbers,
    ),
    family(
        "letter_sequence",
        "the next entry of an alphabet sequence",
        sequences::letters,
    ),
    family(
        "sort_numbers",
        "numbers in ascending or descending order",
        sorting::numbers,
    ),
    family(
        "sort_words",
        "words by the alphabet or by length",
        sorting::words,
    ),
    family(
        "count_letters",
        "how often a letter occurs in a sentence",
        counting::letters,
    ),
    family(
        "count_words",
        "the number of words of a text",
        counting::words,
    ),
    family(
        "count_matching",
        "how many numbers of a list have a property",
        counting::matching,
    ),
    family(
        "letter_edit",
        "a phrase edited letter by letter",
        edits::letters,
    ),
    family("word_edit", "a sentence edited word by word", edits::words),
    family(
        "anagram",
        "whether two strings have the same letters",
        spelling::anagram,
    ),
    family(
        "spell_out",
        "a word taken apart into letters",
        spelling::spell_out,
    ),
    family(
        "letter_at",
        "the letter at a place in a word",
        spelling::letter_at,
    ),
    family(
        "days_between",
        "the number of days between two dates",
        dates::days_between,
    ),
    family("weekday", "the day of the week of a date", dates::weekday),
    family(
        "add_days",
        "the date some days before or after another",
        dates::add_days,
    ),
    family(
        "leap_year",
        "whether a year is a leap year, and by which rule",
        dates::leap_year,
    ),
    family(
        "date_format",
        "a date rewritten after a model",
        dates::reformat,
    ),
    family("clock_add", "a time of day after a duration", clock::add),
    family(
        "clock_elapsed",
        "the time between two times of day",
        clock::elapsed,
    ),
    family(
        "clock_notation",
        "12-hour times in 24-hour notation and back",
        clock::notation,
    ),
    family("duration_total", "the sum of three durations", clock::total),
    family("table_lookup", "one cell of a table", tables::look_up),
    family(
        "table_extreme",
        "the row with the highest or lowest number",
        tables::extreme,
    ),
    family(
        "table_filter",
        "the rows whose number is above or below a limit",
        tables::filter,
    ),
    family("table_column", "all cells of a column", tables::column),
    family("table_total", "the sum of a column", tables::total),
    family(
        "record_field",
        "one field of a key-value record",
        records::read,
    ),
    family(
        "record_format",
        "a record written in a shape that is described",
        records::format,
    ),
    family(
        "record_profile",
        "a record turned into a few sentences",
        records::profile,
    ),
    family(
        "classify_word",
        "the kind of thing that a word names",
        kinds::classify,
    ),
    family(
        "odd_one_out",
        "the word of another kind than the rest",
        kinds::odd_one_out,
    ),
    family("group_words", "mixed words sorted by kind", kinds::group),
    family(
        "pick_out_words",
        "the words of one kind among others",
        kinds::pick_out,
    ),
    family("define_word", "what a word means", vocabulary::define),
    family(
        "find_word",
        "the word that fits a definition",
        vocabulary::name_it,
    ),
    family(
        "opposites",
        "opposites of a few words",
        vocabulary::opposites,
    ),
    family(
        "verb_forms",
        "past tenses and participles",
        vocabulary::verb_forms,
    ),
    family(
        "ordering_puzzle",
        "who is first or last, from clues about pairs",
        logic::ordering,
    ),
    family(
        "syllogism",
        "whether a conclusion follows from two premises",
        logic::syllogism,
    ),
    family(
        "statement_truth",
        "whether a statement made of two claims is true",
        logic::truth,
    ),
    family(
        "set_operation",
        "union, intersection or difference of two lists",
        sets::operation,
    ),
    family("grid_walk", "where a walk on a grid ends", walks::position),
    family(
        "compass_turns",
        "which way somebody faces after a few turns",
        walks::heading,
    ),
];

const fn family(name: &'static str, about: &'static str, sample: fn(&mut Rng) -> Pair) -> Family {
    Family {
        name,
        about,
        sample,
    }
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

    #[test]
    fn an_unknown_family_suggests_the_nearest_if_one_is_near() {
        let unknown = |name: &str| Sampler::new(0, &[name.to_owned()]).err().unwrap();
        assert_eq!(unknown("sort_number").nearest, Some("sort_numbers"));
        assert_eq!(unknown("roman_numerals").nearest, Some("roman_numeral"));
        assert_eq!(unknown("xyzzy").nearest, None);
        assert_eq!(unknown("wekday").name, "wekday");
    }

    #[test]
    fn family_names_are_distinct_and_in_snake_case() {
        let names: HashSet<&str> = FAMILIES.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), FAMILIES.len());
        assert!(
            names
                .iter()
                .all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        );
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
                assert!(
                    parts
                        .iter()
                        .all(|text| !text.contains(['{', '}', '<', '>'])),
                    "{pair:?}"
                );
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
            "5631e388c55eb04fd2800fcba32f162e878eb2343c56f6fca4a5abe5421c653d"
        );
    }
}
