//! Small edits of text: letters of a word, words of a sentence.

use rand::Rng as _;

use super::{
    Pair, Rng,
    english::capitalised,
    lexicon::{
        self, ADJECTIVES, ANIMALS, BUILDINGS, CLOTHES, FOODS, INSTRUMENTS, OCCUPATIONS, PLACES,
        PLANTS, TOOLS,
    },
    phrasing::{Form, Prompt, fill, pick},
    sentences::sentence,
};

/// How the edit is asked for, and by what words the edit speaks of the text.
const ASK: &[(&str, &str)] = &[
    ("{Edit}.", "\"{data}\""),
    ("{Edit}.", "the text \"{data}\""),
    ("Please {edit}.", "\"{data}\""),
    ("Take the text \"{data}\" and {edit}.", "it"),
    ("Here is a text: \"{data}\". {Edit}.", "it"),
    ("What do you get if you {edit}?", "\"{data}\""),
    ("Can you {edit}?", "\"{data}\""),
    ("{Edit}.", "the text"),
    ("{Edit}.", "the input"),
    ("Read the text below, {edit} and return the result.", "it"),
    ("Your task is to {edit}.", "the given text"),
    ("I would like you to {edit}.", "the following text"),
];

const ANSWER: &[&str] = &[
    "The result is \"{result}\".",
    "That gives \"{result}\".",
    "You get \"{result}\".",
];

const VOWELS: &[char] = &['a', 'e', 'i', 'o', 'u', 'A', 'E', 'I', 'O', 'U'];

/// One edit of a phrase of two to four words, letter by letter.
pub(super) fn letters(rng: &mut Rng) -> Pair {
    let text = phrase(rng);
    let first = pick(
        rng,
        &text
            .chars()
            .filter(char::is_ascii_alphabetic)
            .collect::<Vec<_>>(),
    );
    let new = pick(rng, &['x', 'o', 'z', 'k', '*', '-', '#', 'q']);
    let (edit, result) = match rng.random_range(0..8) {
        0 => (
            "reverse all the characters of {it}".to_owned(),
            text.chars().rev().collect(),
        ),
        1 => (
            "remove the vowels (a, e, i, o, u) from {it}".to_owned(),
            text.replace(VOWELS, ""),
        ),
        2 => (
            format!("replace every \"{first}\" with \"{new}\" in {{it}}"),
            text.replace(first, &new.to_string()),
        ),
        3 => ("change {it} to upper case".to_owned(), text.to_uppercase()),
        4 => ("double each letter of {it}".to_owned(), doubled(&text)),
        5 => (
            "swap upper and lower case in {it}".to_owned(),
            swapped_case(&capitalised_words(&text)),
        ),
        6 => (
            "delete the spaces from {it}".to_owned(),
            text.replace(' ', ""),
        ),
        _ => (
            format!("take out each \"{first}\" from {{it}}"),
            text.replace(first, ""),
        ),
    };
    let text = if edit.starts_with("swap") {
        capitalised_words(&text)
    } else {
        text
    };
    finish(rng, &edit, &text, &result)
}

/// One edit of a sentence, word by word.
pub(super) fn words(rng: &mut Rng) -> Pair {
    let whole = sentence(rng);
    let text = whole.trim_end_matches('.').replace(',', "");
    let words: Vec<&str> = text.split(' ').collect();
    let each = |change: fn(&str) -> String| {
        words
            .iter()
            .map(|word| change(word))
            .collect::<Vec<_>>()
            .join(" ")
    };
    // At least one word is as long as that, and "the" is shorter, so something goes and something stays.
    let longest = words.iter().map(|word| word.len()).max().unwrap_or(4);
    let long = rng.random_range(4..=longest.clamp(4, 6));
    let (edit, result) = match rng.random_range(0..9) {
        0 => (
            "reverse the order of the words in {it}".to_owned(),
            words.iter().rev().copied().collect::<Vec<_>>().join(" "),
        ),
        1 => (
            "write down the first letter of each word, separated by spaces, for {it}".to_owned(),
            each(|word| word[..1].to_owned()),
        ),
        2 => (
            "write down the last letter of each word, separated by spaces, for {it}".to_owned(),
            each(|word| word[word.len() - 1..].to_owned()),
        ),
        3 => (
            "capitalise each word of {it}".to_owned(),
            capitalised_words(&text),
        ),
        4 => (
            "replace the spaces with hyphens in {it}".to_owned(),
            words.join("-"),
        ),
        5 => (
            "convert {it} to snake case (lower case, joined by underscores)".to_owned(),
            words.join("_").to_lowercase(),
        ),
        6 => (
            "reverse each word but keep the word order in {it}".to_owned(),
            each(|word| word.chars().rev().collect()),
        ),
        7 => {
            let kept: Vec<&str> = words
                .iter()
                .copied()
                .filter(|word| word.len() < long)
                .collect();
            (
                format!("drop every word of {long} letters or more from {{it}}"),
                kept.join(" "),
            )
        }
        _ => (
            "replace each word by the number of its letters, separated by spaces, in {it}"
                .to_owned(),
            each(|word| word.len().to_string()),
        ),
    };
    finish(rng, &edit, &text, &result)
}

/// Asks for the edit and answers.
fn finish(rng: &mut Rng, edit: &str, text: &str, result: &str) -> Pair {
    let (wrapper, object) = pick(rng, ASK);
    // Plain replacement, not `fill`: the object brings the slot `{data}`, which the prompt has yet to see.
    let edit = edit.replace("{it}", object);
    let template = wrapper
        .replace("{Edit}", &capitalised(&edit))
        .replace("{edit}", &edit);
    let form = Form::brief(rng);
    let prompt = Prompt::new(rng, &[&template], text, &[]).in_form(form, rng);
    prompt.answered(match form {
        Form::Bare => result.to_owned(),
        _ => fill(pick(rng, ANSWER), &[("result", &result)]),
    })
}

/// Two to four words in lower case that might stand on a sign.
fn phrase(rng: &mut Rng) -> String {
    let lexicons = [
        &ANIMALS,
        &BUILDINGS,
        &CLOTHES,
        &FOODS,
        &INSTRUMENTS,
        &OCCUPATIONS,
        &PLACES,
        &PLANTS,
        &TOOLS,
    ];
    let noun = |rng: &mut Rng| {
        let lexicon = pick(rng, &lexicons);
        lexicon::any(rng, lexicon)
    };
    let adjective = lexicon::any(rng, &ADJECTIVES);
    let (first, second) = (noun(rng), noun(rng));
    match rng.random_range(0..4) {
        0 => format!("{adjective} {first}"),
        1 => format!("{first} and {second}"),
        2 => format!("{adjective} {first} or {second}"),
        _ => format!("the {adjective} {first}"),
    }
}

fn doubled(text: &str) -> String {
    text.chars()
        .flat_map(|c| std::iter::repeat_n(c, if c.is_alphabetic() { 2 } else { 1 }))
        .collect()
}

fn swapped_case(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_uppercase() {
                c.to_ascii_lowercase()
            } else {
                c.to_ascii_uppercase()
            }
        })
        .collect()
}

fn capitalised_words(text: &str) -> String {
    text.split(' ')
        .map(capitalised)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::checking::draws;
    use super::*;

    /// The text to edit and the edited text.
    fn before_and_after(pair: &Pair) -> (String, String) {
        let quotes: Vec<&str> = pair.instruction.split('"').skip(1).step_by(2).collect();
        let before = if pair.input.is_empty() {
            quotes.iter().max_by_key(|quote| quote.len()).unwrap()
        } else {
            pair.input.as_str()
        };
        let is_sentence = ANSWER
            .iter()
            .any(|a| pair.output.starts_with(a.split('"').next().unwrap()));
        let after = if is_sentence {
            pair.output.split('"').nth(1).unwrap()
        } else {
            &pair.output
        };
        (before.to_owned(), after.to_owned())
    }

    #[test]
    fn letter_edits_undo_or_keep_what_they_should() {
        for pair in draws(letters) {
            let (before, after) = before_and_after(&pair);
            let asked = pair.instruction.to_lowercase();
            let ok = match () {
                () if asked.contains("reverse all") => after.chars().rev().eq(before.chars()),
                () if asked.contains("vowels") => {
                    let mut rest = before.chars().filter(|c| !"aeiou".contains(*c));
                    after.chars().all(|c| rest.next() == Some(c)) && rest.next().is_none()
                }
                () if asked.contains("upper case") && !asked.contains("swap") => {
                    after.to_lowercase() == before && !after.contains(|c: char| c.is_lowercase())
                }
                () if asked.contains("double") => {
                    let letters = before.chars().filter(|c| *c != ' ').count();
                    after.len() == before.len() + letters
                }
                () if asked.contains("swap") => {
                    after.to_lowercase() == before.to_lowercase() && after != before
                }
                () if asked.contains("spaces") => {
                    !after.contains(' ') && after.len() < before.len()
                }
                () if asked.contains("replace") => after.chars().count() == before.chars().count(),
                () => after.len() < before.len(),
            };
            assert!(ok, "{pair:?}");
        }
    }

    #[test]
    fn word_edits_undo_or_keep_what_they_should() {
        for pair in draws(words) {
            let (before, after) = before_and_after(&pair);
            let asked = pair.instruction.to_lowercase();
            let (n_before, n_after) = (before.split(' ').count(), after.split(' ').count());
            let ok = match () {
                () if asked.contains("the order") => after.split(' ').rev().eq(before.split(' ')),
                () if asked.contains("first letter") => after
                    .split(' ')
                    .zip(before.split(' '))
                    .all(|(a, b)| b.starts_with(a)),
                () if asked.contains("last letter") => after
                    .split(' ')
                    .zip(before.split(' '))
                    .all(|(a, b)| b.ends_with(a)),
                () if asked.contains("capitalise") => after.to_lowercase() == before.to_lowercase(),
                () if asked.contains("hyphens") => after.replace('-', " ") == before,
                () if asked.contains("snake") => after.replace('_', " ") == before.to_lowercase(),
                () if asked.contains("reverse each") => {
                    n_before == n_after
                        && after
                            .chars()
                            .rev()
                            .collect::<String>()
                            .split(' ')
                            .rev()
                            .eq(before.split(' '))
                }
                () if asked.contains("drop every") => n_after < n_before,
                () => {
                    after
                        .split(' ')
                        .map(|n| n.parse::<usize>().unwrap())
                        .sum::<usize>()
                        + n_before
                        == before.len() + 1
                }
            };
            assert!(ok, "{pair:?}");
        }
    }

    #[test]
    fn phrases_are_never_edited_away() {
        assert!(
            draws(words)
                .chain(draws(letters))
                .all(|pair| !pair.output.trim().is_empty())
        );
    }
}
