//! What is found out about numbers or a sentence, delivered as a JSON object.

use rand::Rng as _;

use super::{
    Pair, Rng,
    documents::{JsonLayout, Value},
    english::joined,
    keys::{self, Called},
    lexicon,
    phrasing::Prompt,
    sentences::sentence,
};

const NUMBERS: &[&str] = &[
    "Look at the numbers {data} and answer with a JSON object. {keys}",
    "Here are some numbers: {data}. Describe them in JSON. {keys}",
    "Compute what is asked about {data} and return JSON. {keys}",
    "Work this out for the numbers given and reply in JSON. {keys}",
    "Analyse the list of numbers. The answer is a JSON object. {keys}",
    "For {data}, fill in a JSON object. {keys}",
    "A program sends the numbers below and reads JSON. {keys}",
    "Report on the numbers {data} as JSON. {keys}",
    "Take the given numbers and write one JSON object about them. {keys}",
    "What can be said about {data}? Answer in JSON. {keys}",
];

const SENTENCE: &[&str] = &[
    "Look at the sentence and answer with a JSON object. {keys}",
    "Here is a sentence: {data}\n\nDescribe it in JSON. {keys}",
    "Examine the text and return JSON. {keys}",
    "Work this out for the sentence given and reply in JSON. {keys}",
    "Analyse the sentence. The answer is a JSON object. {keys}",
    "For the following text, fill in a JSON object. {keys}\n\n{data}",
    "A program sends the sentence below and reads JSON. {keys}",
    "Report on this sentence as JSON. {keys}",
    "Take the sentence and write one JSON object about it. {keys}",
    "{data}\n\nWhat can be said about this sentence? Answer in JSON. {keys}",
];

/// Something to find out: its meaning, its names, and how it is found.
struct Measure<T: ?Sized> {
    meaning: &'static str,
    names: &'static [&'static str],
    of: fn(&T) -> Value,
}

const OF_NUMBERS: &[Measure<[i64]>] = &[
    Measure {
        meaning: "the sum",
        names: &["sum", "total", "added_up", "result"],
        of: |numbers| numbers.iter().sum::<i64>().into(),
    },
    Measure {
        meaning: "the largest number",
        names: &["largest", "max", "maximum", "highest"],
        of: |numbers| numbers.iter().fold(i64::MIN, |a, b| a.max(*b)).into(),
    },
    Measure {
        meaning: "the smallest number",
        names: &["smallest", "min", "minimum", "lowest"],
        of: |numbers| numbers.iter().fold(i64::MAX, |a, b| a.min(*b)).into(),
    },
    Measure {
        meaning: "how many numbers there are",
        names: &["count", "n", "how_many", "length"],
        of: |numbers| (numbers.len() as i64).into(),
    },
    Measure {
        meaning: "the numbers in ascending order",
        names: &["ascending", "sorted", "in_order", "ordered"],
        of: |numbers| {
            let mut sorted = numbers.to_vec();
            sorted.sort_unstable();
            Value::List(sorted.into_iter().map(Value::from).collect())
        },
    },
    Measure {
        meaning: "whether the sum is even",
        names: &["sum_is_even", "even", "is_even", "even_sum"],
        of: |numbers| Value::Flag(numbers.iter().sum::<i64>() % 2 == 0),
    },
    Measure {
        meaning: "the even numbers in the order given",
        names: &["even_numbers", "evens", "divisible_by_two", "even_ones"],
        of: |numbers| {
            let even = numbers.iter().copied().filter(|number| number % 2 == 0);
            Value::List(even.map(Value::from).collect())
        },
    },
];

const OF_SENTENCES: &[Measure<str>] = &[
    Measure {
        meaning: "the number of words",
        names: &["word_count", "words", "n_words", "length"],
        of: |text| (words(text).count() as i64).into(),
    },
    Measure {
        meaning: "the first word",
        names: &["first_word", "first", "begins_with", "start"],
        of: |text| words(text).next().unwrap_or_default().to_owned().into(),
    },
    Measure {
        meaning: "the last word without the full stop",
        names: &["last_word", "last", "ends_with", "end"],
        of: |text| words(text).last().unwrap_or_default().to_owned().into(),
    },
    Measure {
        meaning: "the first three words as an array",
        names: &["first_three_words", "opening", "head", "beginning"],
        of: |text| {
            Value::List(
                words(text)
                    .take(3)
                    .map(|word| word.to_owned().into())
                    .collect(),
            )
        },
    },
    Measure {
        meaning: "the whole sentence in capital letters",
        names: &["capital_letters", "upper", "shouted", "in_capitals"],
        of: |text| text.to_uppercase().into(),
    },
    Measure {
        meaning: "whether the sentence contains a comma",
        names: &["contains_comma", "comma", "has_comma", "with_comma"],
        of: |text| Value::Flag(text.contains(',')),
    },
    Measure {
        meaning: "the number of letters of the second word",
        names: &[
            "letters_of_second_word",
            "second_length",
            "second_word_letters",
            "size",
        ],
        of: |text| (words(text).nth(1).unwrap_or_default().len() as i64).into(),
    },
];

/// Results of a few calculations with a list of numbers.
pub(super) fn numbers(rng: &mut Rng) -> Pair {
    let n_numbers = rng.random_range(3..=6);
    let numbers: Vec<i64> = (0..n_numbers).map(|_| rng.random_range(1..=99)).collect();
    report(
        rng,
        NUMBERS,
        &joined(&numbers, ", "),
        OF_NUMBERS,
        &numbers[..],
    )
}

/// What can be counted in and cut out of a sentence.
pub(super) fn text(rng: &mut Rng) -> Pair {
    let text = sentence(rng);
    report(rng, SENTENCE, &text, OF_SENTENCES, &*text)
}

/// A few of the measures, each under a key.
fn report<T: ?Sized>(
    rng: &mut Rng,
    phrasings: &[&str],
    data: &str,
    measures: &[Measure<T>],
    measured: &T,
) -> Pair {
    let n_measures = rng.random_range(2..=4);
    let places = lexicon::several(rng, &[0, 1, 2, 3, 4, 5, 6], n_measures);
    let chosen: Vec<&Measure<T>> = places
        .into_iter()
        .map(|place: usize| &measures[place])
        .collect();
    let choices: Vec<_> = chosen
        .iter()
        .map(|measure| (measure.meaning, measure.names))
        .collect();
    let keys = keys::named(rng, &choices);
    let about_keys = keys::explained(rng, Called::Keys, &keys);
    let values = chosen.iter().map(|measure| (measure.of)(measured));
    let object = Value::Object(keys.into_iter().map(|key| key.name).zip(values).collect());
    let layout = JsonLayout::any(rng);
    let request = layout.request(rng);
    Prompt::new(rng, phrasings, data, &[("keys", &about_keys)])
        .with_request(request)
        .answered(object.json(layout))
}

/// The words of a sentence without its marks.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_ascii_whitespace()
        .map(|word| word.trim_end_matches([',', '.']))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value as Json, json};

    use super::super::checking::{draws, integers, keys_in, keys_of, read_json, wording};
    use super::*;

    fn choices<T: ?Sized>(measures: &[Measure<T>]) -> Vec<(&'static str, &'static str)> {
        measures
            .iter()
            .map(|measure| (measure.names[0], measure.meaning))
            .collect()
    }

    #[test]
    fn results_are_those_of_the_numbers_in_the_question() {
        for pair in draws(numbers) {
            let text = wording(&pair);
            let numbers = integers(&text);
            let sorted = || {
                let distinct: BTreeSet<i64> = numbers.iter().copied().collect();
                let times = |n: &i64| numbers.iter().filter(|m| *m == n).count();
                distinct
                    .iter()
                    .flat_map(|n| vec![*n; times(n)])
                    .collect::<Vec<_>>()
            };
            let mut sum = 0;
            numbers.iter().for_each(|n| sum += n);
            let is_even = |n: &i64| n.to_string().ends_with(['0', '2', '4', '6', '8']);
            let even: Vec<&i64> = numbers.iter().filter(|n| is_even(n)).collect();
            let value = |name: &str| match name {
                "sum" => json!(sum),
                "largest" => json!(sorted().last()),
                "smallest" => json!(sorted()[0]),
                "count" => json!(numbers.len()),
                "ascending" => json!(sorted()),
                "sum_is_even" => json!(is_even(&sum)),
                _ => json!(even),
            };
            compare(&pair, &text, &choices(OF_NUMBERS), value);
        }
    }

    #[test]
    fn findings_are_those_of_the_sentence_in_the_question() {
        for pair in draws(text) {
            let text = wording(&pair);
            let is_sentence = |line: &&str| {
                let line = line.trim_start_matches("Here is a sentence: ");
                ["The ", "One ", "While ", "That "]
                    .iter()
                    .any(|start| line.starts_with(start))
                    && line.ends_with('.')
                    && !line.contains('"')
            };
            let sentence = match pair.input.is_empty() {
                true => text.lines().find(is_sentence).unwrap(),
                false => &pair.input,
            };
            let sentence = sentence.trim_start_matches("Here is a sentence: ");
            let letters = |word: &str| {
                word.chars()
                    .filter(char::is_ascii_alphabetic)
                    .collect::<String>()
            };
            let words: Vec<String> = sentence.split(' ').map(letters).collect();
            let capitals: String = sentence.chars().map(|c| c.to_ascii_uppercase()).collect();
            let value = |name: &str| match name {
                "word_count" => json!(sentence.matches(' ').count() + 1),
                "first_word" => json!(words[0]),
                "last_word" => json!(words[words.len() - 1]),
                "first_three_words" => json!(words[..3]),
                "capital_letters" => json!(capitals),
                "contains_comma" => json!(sentence.bytes().any(|byte| byte == b',')),
                _ => json!(words[1].chars().count()),
            };
            compare(&pair, &text, &choices(OF_SENTENCES), value);
        }
    }

    fn compare(pair: &Pair, text: &str, choices: &[(&str, &str)], value: impl Fn(&str) -> Json) {
        let keys = keys_in(text, choices);
        let expected = keys
            .iter()
            .map(|(key, place)| (key.clone(), value(choices[*place].0)));
        assert_eq!(
            read_json(&pair.output),
            Json::Object(expected.collect()),
            "{pair:?}"
        );
        assert!(
            keys_of(&pair.output)
                .iter()
                .eq(keys.iter().map(|(key, _)| key)),
            "{pair:?}"
        );
    }
}
