//! Anagrams, palindromes and spelling out.

use rand::Rng as _;

use super::{
    Pair, Rng,
    english::{joined, listed, ordinal},
    lexicon::{
        self, ANIMALS, BUILDINGS, CLOTHES, FOODS, INSTRUMENTS, NAMES, OCCUPATIONS, PLANTS, TOWNS,
    },
    phrasing::{Form, Prompt, fill, pick},
    working::worked,
};

const ANAGRAM: &[&str] = &[
    "Are \"{a}\" and \"{b}\" made of the same letters?",
    "Is \"{b}\" an anagram of \"{a}\"?",
    "Can you rearrange the letters of \"{a}\" to get \"{b}\"?",
    "Check whether \"{a}\" and \"{b}\" are anagrams of each other.",
    "Do the letters of \"{b}\", put in another order, spell \"{a}\"?",
    "Tell me if \"{b}\" uses exactly the letters of \"{a}\".",
    "A puzzle claims that \"{b}\" is \"{a}\" with its letters shuffled. Is that right?",
    "Compare the letters of \"{a}\" and \"{b}\". Are they the same, each as often?",
    "Would the tiles of the word \"{a}\" be enough, with none left over, to lay \"{b}\"?",
];

const SPELL: &[&str] = &[
    "Spell \"{data}\" with {between} between the letters.",
    "Write out the letters of \"{data}\", putting {between} between them.",
    "Separate the letters of \"{data}\" with {between}.",
    "Spell the word \"{data}\" letter by letter, using {between} as the separator.",
    "Put {between} between every two letters of \"{data}\".",
    "Spell out the input with {between} between the letters.",
    "Take the word apart: its letters, with {between} in between.",
    "Letter by letter, please, and {between} between each: \"{data}\"",
    "List the letters of \"{data}\" in order with {between} in between.",
];

const LETTER_AT: &[&str] = &[
    "What is the {nth} letter of \"{data}\"?",
    "Which letter stands at position {n} in \"{data}\"?",
    "Name the {nth} letter in the word \"{data}\".",
    "Look at \"{data}\". What is letter number {n}?",
    "Counting from the left, what is letter {n} of \"{data}\"?",
    "Give me the {nth} letter of the word \"{data}\".",
    "In the word \"{data}\", find the {nth} letter.",
    "Find the {nth} letter of the word.",
    "Which letter of the input comes {nth}?",
];

const SEPARATORS: &[(&str, &str)] = &[
    ("hyphens", "-"),
    ("spaces", " "),
    ("commas and spaces", ", "),
    ("full stops", "."),
    ("slashes", "/"),
    ("plus signs", "+"),
    ("underscores", "_"),
];

const YES: &[&str] = &[
    "Yes.",
    "Yes, they have exactly the same letters.",
    "Yes: sorted, both read {letters}.",
];
const NO: &[&str] = &[
    "No.",
    "No: the letter {letter} occurs {in_a} in \"{a}\" and {in_b} in \"{b}\".",
    "No, because of the letter {letter}, which stands {in_a} in the first and {in_b} in the second.",
];

/// Whether one string is a rearrangement of another.
pub(super) fn anagram(rng: &mut Rng) -> Pair {
    let a = word(rng).to_lowercase();
    let mut letters: Vec<char> = a.chars().collect();
    shuffle(rng, &mut letters);
    if rng.random_bool(0.5) {
        // One letter becomes another, so that the lengths give nothing away.
        let at = rng.random_range(0..letters.len());
        letters[at] = char::from(rng.random_range(b'a'..=b'z'));
    }
    let b: String = letters.iter().collect();
    let prompt = Prompt::new(rng, ANAGRAM, "", &[("a", &a), ("b", &b)]);
    let count = |word: &str, letter: char| word.chars().filter(|c| *c == letter).count();
    let differs = a
        .chars()
        .chain(b.chars())
        .find(|c| count(&a, *c) != count(&b, *c));
    let Some(letter) = differs else {
        return prompt.answered(fill(pick(rng, YES), &[("letters", &sorted_letters(&a))]));
    };
    let times = |word: &str| match count(word, letter) {
        0 => "not at all".to_owned(),
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    };
    let slots: &[(&str, &dyn std::fmt::Display)] = &[
        ("a", &a),
        ("b", &b),
        ("letter", &letter),
        ("in_a", &times(&a)),
        ("in_b", &times(&b)),
    ];
    prompt.answered(fill(pick(rng, NO), slots))
}

/// A word taken apart into its letters.
pub(super) fn spell_out(rng: &mut Rng) -> Pair {
    let text = if rng.random_bool(0.5) {
        word(rng).to_owned()
    } else {
        word(rng).to_uppercase()
    };
    let (between, separator) = pick(rng, SEPARATORS);
    let prompt = Prompt::new(rng, SPELL, &text, &[("between", &between)]);
    let letters: Vec<char> = text.chars().collect();
    prompt.answered(joined(&letters, separator))
}

/// The letter at a place in a word.
pub(super) fn letter_at(rng: &mut Rng) -> Pair {
    let text = word(rng);
    let at = rng.random_range(0..text.len());
    let n = at as i64 + 1;
    let form = Form::any(rng);
    let prompt =
        Prompt::new(rng, LETTER_AT, text, &[("n", &n), ("nth", &ordinal(n))]).in_form(form, rng);
    let letter = &text[at..=at];
    let conclusion = format!("The {} letter of \"{text}\" is {letter}.", ordinal(n));
    prompt.answered(match form {
        Form::Bare => letter.to_owned(),
        Form::Sentence => conclusion,
        Form::Steps => {
            let counted: Vec<String> = text[..=at]
                .chars()
                .zip(1..)
                .map(|(c, n)| format!("{n} {c}"))
                .collect();
            worked(
                rng,
                &[format!("count from the left: {}", listed(&counted))],
                &conclusion,
            )
        }
    })
}

fn word(rng: &mut Rng) -> &'static str {
    let lexicons = [
        &ANIMALS,
        &BUILDINGS,
        &CLOTHES,
        &FOODS,
        &INSTRUMENTS,
        &NAMES,
        &OCCUPATIONS,
        &PLANTS,
        &TOWNS,
    ];
    let lexicon = pick(rng, &lexicons);
    loop {
        let word = lexicon::any(rng, lexicon);
        if word.len() > 3 {
            return word;
        }
    }
}

fn shuffle(rng: &mut Rng, letters: &mut [char]) {
    for last in (1..letters.len()).rev() {
        letters.swap(last, rng.random_range(0..=last));
    }
}

fn sorted_letters(word: &str) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    letters.sort_unstable();
    letters.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::super::checking::{draws, integers, wording};
    use super::*;

    #[test]
    fn anagrams_are_equal_once_sorted() {
        for pair in draws(anagram) {
            let words: Vec<&str> = pair.instruction.split('"').skip(1).step_by(2).collect();
            let same = sorted_letters(words[0]) == sorted_letters(words[1]);
            assert_eq!(pair.output.starts_with("Yes"), same, "{pair:?}");
        }
    }

    #[test]
    fn words_spelled_out_are_whole_again_without_the_separator() {
        for pair in draws(spell_out) {
            let word = if pair.input.is_empty() {
                pair.instruction.split('"').nth(1).unwrap()
            } else {
                &pair.input
            };
            let letters: String = pair.output.chars().filter(|c| c.is_alphabetic()).collect();
            assert_eq!(letters, word, "{pair:?}");
        }
    }

    #[test]
    fn letters_stand_where_the_answer_says() {
        for pair in draws(letter_at) {
            let word = if pair.input.is_empty() {
                pair.instruction.split('"').nth(1).unwrap()
            } else {
                &pair.input
            };
            let n = integers(&wording(&pair))[0] as usize;
            let letter = word.chars().nth(n - 1).unwrap();
            assert!(
                pair.output.trim_end_matches('.').ends_with(letter),
                "{pair:?}"
            );
        }
    }
}
