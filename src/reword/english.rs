//! What has to be known of English to say something in another way: sentences, and which of them are requests.

use std::collections::HashSet;
use std::sync::LazyLock;

type Words = LazyLock<HashSet<&'static str>>;

/// Verbs in which a request is put, base form.
pub(crate) static REQUESTS: Words = LazyLock::new(|| {
    include_str!("../../data/lexicon/requests.txt")
        .lines()
        .collect()
});

/// Articles, pronouns, prepositions, conjunctions, auxiliaries.
pub(crate) static FUNCTION_WORDS: Words = LazyLock::new(|| {
    include_str!("../../data/lexicon/function_words.txt")
        .lines()
        .collect()
});

/// Words before a stop that does not end a sentence.
const ABBREVIATIONS: [&str; 11] = [
    "e.g", "i.e", "etc", "vs", "cf", "dr", "mr", "mrs", "ms", "approx", "fig",
];

/// Behind these a word that could be a verb is a noun: "name of", "answer is".
const AFTER_NOUNS: [&str; 8] = ["of", "is", "are", "was", "were", "has", "will", "and"];

/// One word in so many is a function word, at the least, where a text is English.
const WORDS_PER_FUNCTION_WORD: usize = 5;

/// A sentence of an instruction, with the white space behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sentence<'a> {
    /// Without white space around it.
    pub(super) text: &'a str,
    /// The white space before the next.
    pub(super) gap: &'a str,
}

impl<'a> Sentence<'a> {
    /// The verb that it opens with, where it is a request.
    pub(super) fn verb(&self) -> Option<&'a str> {
        let n_letters = self
            .text
            .bytes()
            .take_while(u8::is_ascii_alphabetic)
            .count();
        let (word, rest) = self.text.split_at(n_letters);
        let next = rest.strip_prefix(' ')?;
        let next = next.split(' ').next().unwrap_or_default();
        let is_verb = word.starts_with(|c: char| c.is_ascii_uppercase())
            && !next.is_empty()
            && !AFTER_NOUNS.contains(&next)
            && REQUESTS.contains(word.to_ascii_lowercase().as_str());
        is_verb.then_some(word)
    }

    /// What it ends with.
    pub(super) fn end(&self) -> Option<char> {
        self.text.chars().next_back()
    }
}

/// The sentences of a text that has no white space around it. Together with their gaps they are the text.
pub(super) fn sentences(text: &str) -> Vec<Sentence<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let n_bytes = end_of_sentence(rest);
        let (sentence, behind) = rest.split_at(n_bytes);
        let next = behind.trim_start();
        found.push(Sentence {
            text: sentence,
            gap: &behind[..behind.len() - next.len()],
        });
        rest = next;
    }
    found
}

/// The bytes up to the white space behind the first sentence.
fn end_of_sentence(text: &str) -> usize {
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let after = &text[at + c.len_utf8()..];
        if c == '\n' {
            return text[..at].trim_end().len().max(1);
        }
        let is_end = ['.', '?', '!'].contains(&c)
            || (['"', '”', ')'].contains(&c) && ['.', '?', '!'].contains(&before));
        let begins = |rest: &str| {
            let next = rest.trim_start();
            next.len() < rest.len() && !next.starts_with(|c: char| c.is_lowercase())
        };
        if is_end && begins(after) && !is_abbreviation(&text[..at]) {
            return at + c.len_utf8();
        }
        before = c;
    }
    text.len()
}

fn is_abbreviation(before: &str) -> bool {
    let word = before.rsplit([' ', '(', '\n']).next().unwrap_or_default();
    let is_initial = word.len() == 1 && word.starts_with(|c: char| c.is_ascii_uppercase());
    is_initial
        || ABBREVIATIONS
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known))
}

/// Whether the text is likely to be English: it opens with a request, or has function words.
pub(super) fn is_english(sentences: &[Sentence<'_>]) -> bool {
    if sentences
        .first()
        .is_some_and(|first| first.verb().is_some())
    {
        return true;
    }
    let words = || {
        let texts = sentences.iter().map(|sentence| sentence.text);
        texts.flat_map(|text| text.split(|c: char| !c.is_alphanumeric() && c != '\''))
    };
    let n_words = words().filter(|word| !word.is_empty()).count();
    let is_function_word =
        |word: &&str| FUNCTION_WORDS.contains(word.to_ascii_lowercase().as_str());
    let n_function_words = words().filter(is_function_word).count();
    n_words > 0 && n_function_words * WORDS_PER_FUNCTION_WORD >= n_words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        sentences(text)
            .iter()
            .map(|sentence| sentence.text)
            .collect()
    }

    #[test]
    fn a_text_is_its_sentences() {
        assert_eq!(
            texts("Judge it. Say why!  Then stop"),
            ["Judge it.", "Say why!", "Then stop"]
        );
        assert_eq!(
            texts("Give units, e.g. metres. Ask Dr. Who about J. Smith."),
            ["Give units, e.g. metres.", "Ask Dr. Who about J. Smith."]
        );
        assert_eq!(
            texts("Translate:\n\nOne. Two"),
            ["Translate:", "One.", "Two"]
        );
        assert_eq!(
            texts("Pi is 3.14 and not 3.2."),
            ["Pi is 3.14 and not 3.2."]
        );
        assert_eq!(
            texts("Say \"Stop.\" Then go."),
            ["Say \"Stop.\"", "Then go."]
        );
        for text in ["a. B\n\n\nc! d", "Wait... What?", "ä。ö\nß", "\u{2028}x"] {
            let whole: String = sentences(text)
                .iter()
                .map(|sentence| [sentence.text, sentence.gap].concat())
                .collect();
            assert_eq!(whole, text);
        }
    }

    #[test]
    fn a_request_opens_with_its_verb() {
        let verb = |text| sentences(text)[0].verb();
        assert_eq!(verb("Judge whether it is so."), Some("Judge"));
        assert_eq!(verb("Name of the person:"), None);
        assert_eq!(verb("Answer: yes"), None);
        assert_eq!(verb("What is it?"), None);
        assert_eq!(verb("judge it"), None);
        assert_eq!(verb("Translate"), None);
    }

    #[test]
    fn english_is_told_by_its_small_words() {
        let is = |text| is_english(&sentences(text));
        assert!(is("Judge whether it is so.") && is("What is the capital of Iceland?"));
        assert!(!is("Übersetze den folgenden Satz ins Polnische."));
        assert!(!is("Þýddu þennan texta á ensku.") && !is("把下面的句子翻译成英文。") && !is(""));
    }
}
