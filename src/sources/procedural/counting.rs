//! Counting letters, words, and numbers that meet a condition.

use std::fmt;

use rand::Rng as _;

use super::{
    Pair, Rng,
    english::{is_or_are, joined, listed},
    phrasing::{Form, Prompt, pick},
    sentences::{paragraph, sentence},
    working::worked,
};

const LETTERS: &[&str] = &[
    "How many times does the letter \"{letter}\" occur in \"{data}\"?",
    "Count the letter \"{letter}\" in this sentence: \"{data}\"",
    "In \"{data}\", how often do you see the letter \"{letter}\"?",
    "Tell me how many \"{letter}\"s there are in \"{data}\", capitals included.",
    "Take the sentence \"{data}\" and count each \"{letter}\", whether upper or lower case.",
    "Count every \"{letter}\" in the text, ignoring case.",
    "How often does the letter \"{letter}\" appear in the input?",
    "Report the number of times \"{letter}\" is used in the sentence below.",
    "Go through the sentence and count the letter \"{letter}\".",
];

const WORDS: &[&str] = &[
    "How many words are in \"{data}\"?",
    "Count the words of this text: \"{data}\"",
    "What is the word count of \"{data}\"?",
    "How long, in words, is the text \"{data}\"?",
    "Count the words in the text.",
    "Give the word count of the passage.",
    "How many words does the following text have?",
    "State the number of words in the input.",
    "An editor needs the number of words in this passage. Count them.",
];

const MATCHING: &[&str] = &[
    "How many of the numbers {data} are {what}?",
    "Count the numbers that are {what}: {data}",
    "In the list {data}, how many numbers are {what}?",
    "Look at {data}. How many of these are {what}?",
    "Of the numbers {data}, how many are {what}?",
    "Count how many numbers in the list are {what}.",
    "How many entries of the list are {what}?",
    "State how many of the given numbers are {what}.",
    "Go through the list and count the numbers that are {what}.",
];

/// A property that some numbers have.
#[derive(Clone, Copy)]
enum Property {
    Even,
    Odd,
    Above(i64),
    Below(i64),
    MultipleOf(i64),
    Negative,
}

/// How often one letter occurs in a sentence.
pub(super) fn letters(rng: &mut Rng) -> Pair {
    let text = sentence(rng);
    // Mostly a letter that is there; now and then any letter, so that none is an answer, too.
    let letters: Vec<char> = text.chars().filter(char::is_ascii_alphabetic).collect();
    let letter = if rng.random_ratio(1, 8) {
        char::from(rng.random_range(b'a'..=b'z'))
    } else {
        pick(rng, &letters)
    };
    let letter = letter.to_ascii_lowercase();
    let form = Form::any(rng);
    let prompt = Prompt::new(rng, LETTERS, &text, &[("letter", &letter)]).in_form(form, rng);
    let has_letter = |word: &&str| word.chars().any(|c| c.eq_ignore_ascii_case(&letter));
    let count = text
        .chars()
        .filter(|c| c.eq_ignore_ascii_case(&letter))
        .count();
    let times = times(count);
    prompt.answered(match form {
        Form::Bare => count.to_string(),
        Form::Sentence => format!("The letter \"{letter}\" occurs {times}."),
        Form::Steps => {
            let words: Vec<&str> = text.split([' ', ',', '.']).filter(has_letter).collect();
            let found = match words.len() {
                0 => format!("no word of the sentence contains \"{letter}\""),
                1 => format!("only the word {} contains \"{letter}\"", words[0]),
                _ => format!("the words with \"{letter}\" are {}", listed(&words)),
            };
            worked(
                rng,
                &[found],
                &format!("The letter \"{letter}\" occurs {times}."),
            )
        }
    })
}

/// The number of words in a sentence or a paragraph.
pub(super) fn words(rng: &mut Rng) -> Pair {
    let text = if rng.random_bool(0.5) {
        sentence(rng)
    } else {
        paragraph(rng)
    };
    let form = Form::any(rng);
    let prompt = Prompt::new(rng, WORDS, &text, &[]).in_form(form, rng);
    let count = text.split_ascii_whitespace().count();
    let conclusion = format!("The text has {count} words.");
    prompt.answered(match form {
        Form::Bare => count.to_string(),
        Form::Sentence => conclusion,
        Form::Steps => {
            let steps = word_count_steps(&text);
            worked(rng, &steps, &conclusion)
        }
    })
}

/// How many numbers of a list have a property.
pub(super) fn matching(rng: &mut Rng) -> Pair {
    let n_numbers = rng.random_range(5..=11);
    let property = Property::draw(rng);
    let lowest = if matches!(property, Property::Negative) {
        -60
    } else {
        1
    };
    let numbers: Vec<i64> = (0..n_numbers)
        .map(|_| rng.random_range(lowest..=99))
        .collect();
    let form = Form::any(rng);
    let prompt = Prompt::new(
        rng,
        MATCHING,
        &joined(&numbers, ", "),
        &[("what", &property)],
    )
    .in_form(form, rng);
    let found: Vec<i64> = numbers
        .iter()
        .copied()
        .filter(|n| property.holds(*n))
        .collect();
    let count = found.len() as i64;
    let conclusion = format!(
        "In all, {count} of the numbers {} {property}.",
        is_or_are(count)
    );
    prompt.answered(match form {
        Form::Bare => count.to_string(),
        Form::Sentence => conclusion,
        Form::Steps => {
            let step = match &found[..] {
                [] => format!("none of the numbers is {property}"),
                [only] => format!("only {only} is {property}"),
                _ => format!("the numbers that are {property} are {}", listed(&found)),
            };
            worked(rng, &[step], &conclusion)
        }
    })
}

/// Sentence by sentence, or word by word where there is only one sentence.
fn word_count_steps(text: &str) -> Vec<String> {
    let sentences: Vec<&str> = text.split_inclusive('.').collect();
    if let [only] = sentences[..] {
        let words: Vec<String> = only
            .trim_end_matches('.')
            .split_ascii_whitespace()
            .zip(1..)
            .map(|(word, n)| format!("{n} {}", word.trim_end_matches(',')))
            .collect();
        return vec![format!("counting word by word: {}", joined(&words, ", "))];
    }
    let mut total = 0;
    let mut steps = Vec::new();
    for (sentence, n) in sentences.iter().zip(1..) {
        let here = sentence.split_ascii_whitespace().count();
        total += here;
        steps.push(match n {
            1 => format!("sentence 1 has {here} words"),
            _ => format!("sentence {n} has {here} words, which makes {total} so far"),
        });
    }
    steps
}

fn times(count: usize) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        _ => format!("{count} times"),
    }
}

impl Property {
    fn draw(rng: &mut Rng) -> Property {
        match rng.random_range(0..7) {
            0 => Property::Even,
            1 => Property::Odd,
            2 => Property::Above(rng.random_range(20..=80)),
            3 => Property::Below(rng.random_range(20..=80)),
            4 | 5 => Property::MultipleOf(rng.random_range(3..=9)),
            _ => Property::Negative,
        }
    }

    fn holds(self, n: i64) -> bool {
        match self {
            Property::Even => n % 2 == 0,
            Property::Odd => n % 2 != 0,
            Property::Above(limit) => n > limit,
            Property::Below(limit) => n < limit,
            Property::MultipleOf(factor) => n % factor == 0,
            Property::Negative => n < 0,
        }
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Property::Even => f.write_str("even"),
            Property::Odd => f.write_str("odd"),
            Property::Above(limit) => write!(f, "greater than {limit}"),
            Property::Below(limit) => write!(f, "less than {limit}"),
            Property::MultipleOf(factor) => write!(f, "divisible by {factor}"),
            Property::Negative => f.write_str("below zero"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::checking::{draws, integers, last_integer, wording};
    use super::*;

    /// The sentences of a pair: what is quoted and ends in a full stop, or the input.
    fn text_of(pair: &Pair) -> String {
        if !pair.input.is_empty() {
            return pair.input.clone();
        }
        pair.instruction
            .split('"')
            .find(|part| part.ends_with('.') && part.contains(' '))
            .unwrap()
            .to_owned()
    }

    #[test]
    fn letter_counts_are_how_many_fewer_letters_are_left_without_it() {
        for pair in draws(letters) {
            let letter = pair
                .instruction
                .split('"')
                .find(|part| part.len() == 1)
                .unwrap()
                .to_owned();
            let text = text_of(&pair).to_lowercase();
            let expected = text.len() - text.replace(&letter, "").len();
            let said = pair.output.rsplit("occurs ").next().unwrap();
            let says = |n: &str| said.contains(n);
            let count = if says("once") {
                1
            } else if says("twice") {
                2
            } else {
                last_integer(said)
            };
            assert_eq!(count, expected as i64, "{pair:?}");
        }
    }

    #[test]
    fn word_counts_are_one_more_than_the_spaces() {
        for pair in draws(words) {
            let spaces = text_of(&pair).chars().filter(|c| *c == ' ').count();
            assert_eq!(last_integer(&pair.output), spaces as i64 + 1, "{pair:?}");
        }
    }

    #[test]
    fn matching_numbers_are_counted_by_what_the_question_says() {
        for pair in draws(matching) {
            let text = wording(&pair);
            let (mut numbers, mut limit) = (integers(&text), None);
            for words in ["greater than ", "less than ", "divisible by "] {
                if let Some(at) = text.find(words) {
                    let before = integers(&text[..at]).len();
                    limit = Some(numbers.remove(before));
                }
            }
            let limit = limit.unwrap_or_default();
            let fits = |n: &&i64| match () {
                () if text.contains("greater than") => (limit + 1..).contains(*n),
                () if text.contains("less than") => (..limit).contains(*n),
                () if text.contains("divisible") => n.rem_euclid(limit) == 0,
                () if text.contains("below zero") => n.is_negative(),
                () if text.contains("even") => n.to_string().ends_with(['0', '2', '4', '6', '8']),
                () => n.to_string().ends_with(['1', '3', '5', '7', '9']),
            };
            let last_line = pair.output.rsplit("In all, ").next().unwrap();
            assert_eq!(
                integers(last_line)[0],
                numbers.iter().filter(fits).count() as i64,
                "{pair:?}"
            );
        }
    }
}
