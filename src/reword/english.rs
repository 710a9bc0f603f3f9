//! What has to be known of English to say something in another way: sentences, and which of them are requests.

use std::collections::{HashMap, HashSet};
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

/// Number words.
pub(crate) static NUMERALS: Words = LazyLock::new(|| {
    include_str!("../../data/lexicon/numerals.txt")
        .lines()
        .collect()
});

/// Words before a stop that does not end a sentence.
const ABBREVIATIONS: [&str; 19] = [
    "etc", "vs", "cf", "dr", "mr", "mrs", "ms", "approx", "fig", "st", "prof", "jr", "sr", "inc",
    "ltd", "co", "vol", "ca", "al",
];

/// Behind these a word that could be a verb is a noun: "name of", "answer is".
const AFTER_NOUNS: [&str; 9] = [
    "of", "is", "are", "was", "were", "has", "will", "and", "shows",
];

/// Requests that begin a sentence as nouns, too.
const ALSO_NOUNS: [&str; 46] = [
    "answer", "balance", "book", "change", "chart", "check", "code", "comment", "cost", "design",
    "draft", "estimate", "form", "format", "guess", "input", "judge", "label", "list", "map",
    "match", "model", "name", "order", "outline", "pair", "plan", "point", "present", "process",
    "question", "rank", "rate", "report", "research", "review", "score", "sketch", "sort", "state",
    "study", "summary", "table", "test", "title", "type",
];

/// What follows such a word where it is a verb, beside number words.
const AFTER_VERBS: [&str; 41] = [
    "a", "all", "an", "any", "as", "at", "both", "each", "every", "for", "from", "her", "his",
    "how", "if", "in", "it", "its", "me", "my", "on", "one", "only", "our", "some", "that", "the",
    "their", "them", "these", "this", "those", "to", "up", "us", "what", "whether", "which", "who",
    "why", "your",
];

/// Function words that are English alone.
const ENGLISH_ALONE: [&str; 24] = [
    "the", "of", "is", "are", "this", "that", "what", "which", "how", "and", "with", "your",
    "from", "whether", "these", "those", "its", "it", "by", "into", "why", "when", "where", "you",
];

/// Words that are not English, from the languages whose requests look like it.
const NOT_ENGLISH: [&str; 40] = [
    "el", "los", "las", "les", "des", "du", "de", "der", "das", "den", "dem", "ein", "eine",
    "einen", "und", "et", "que", "qué", "une", "un", "il", "lo", "gli", "na", "da", "dos", "em",
    "på", "och", "het", "een", "van", "drei", "zwei", "deux", "trois", "tres", "una", "le", "la",
];

/// One word in so many is a function word, at the least, where a text is English.
const WORDS_PER_FUNCTION_WORD: usize = 6;
/// One letter in so many may be beyond ASCII there.
const LETTERS_PER_FOREIGN: usize = 10;

/// What a small word says of the language of its text.
#[derive(Clone, Copy, Default)]
struct SmallWord {
    is_function_word: bool,
    is_english_alone: bool,
    is_not_english: bool,
}

static SMALL_WORDS: LazyLock<HashMap<&'static str, SmallWord>> = LazyLock::new(|| {
    let mut words: HashMap<&str, SmallWord> = HashMap::new();
    for word in FUNCTION_WORDS.iter() {
        words.entry(word).or_default().is_function_word = true;
    }
    for word in ENGLISH_ALONE {
        words.entry(word).or_default().is_english_alone = true;
    }
    for word in NOT_ENGLISH {
        words.entry(word).or_default().is_not_english = true;
    }
    words
});

/// A sentence of an instruction, with the white space behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sentence<'a> {
    /// Without white space around it.
    pub(super) text: &'a str,
    /// The white space before the next.
    pub(super) gap: &'a str,
    verb: Option<&'a str>,
}

impl<'a> Sentence<'a> {
    fn new(text: &'a str, gap: &'a str) -> Sentence<'a> {
        let verb = Sentence::opening_verb(text);
        Sentence { text, gap, verb }
    }

    /// The verb that it opens with, where it is a request.
    pub(super) fn verb(&self) -> Option<&'a str> {
        self.verb
    }

    fn opening_verb(text: &'a str) -> Option<&'a str> {
        let n_letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (word, rest) = text.split_at(n_letters);
        if !word.starts_with(|c: char| c.is_ascii_uppercase()) {
            return None;
        }
        let next = rest.strip_prefix(' ')?.split([' ', '\n']).next();
        let next = next.unwrap_or_default();
        let verb = word.to_ascii_lowercase();
        // "Input sentence: …" is a label, "Translate this: …" is none.
        let is_label = next.strip_suffix(':').is_some_and(|word| !is_small(word));
        let may_be_noun = ALSO_NOUNS.contains(&verb.as_str());
        let is_verb = REQUESTS.contains(verb.as_str())
            && !next.is_empty()
            && !is_label
            && !AFTER_NOUNS.contains(&next)
            && (!may_be_noun || follows_verb(next));
        is_verb.then_some(word)
    }

    /// What it ends with.
    pub(super) fn end(&self) -> Option<char> {
        self.text.chars().next_back()
    }

    /// Whether it speaks of who says it or who hears it.
    pub(super) fn is_personal(&self) -> bool {
        words(self.text).any(|word| {
            [
                "i", "me", "my", "us", "our", "we", "you", "your", "yourself",
            ]
            .contains(&word.to_ascii_lowercase().as_str())
        })
    }
}

/// An article, a pronoun, a preposition.
fn is_small(word: &str) -> bool {
    FUNCTION_WORDS.contains(word.to_ascii_lowercase().as_str())
}

fn follows_verb(next: &str) -> bool {
    let next = next.trim_end_matches([',', '.', ':', '?', '!']);
    let is_count = next
        .strip_suffix(|c: char| c.is_ascii_digit())
        .is_some_and(|rest| rest.len() < 2 && rest.bytes().all(|byte| byte.is_ascii_digit()));
    is_count && next != "1"
        || AFTER_VERBS.contains(&next)
        || NUMERALS.contains(next)
        || next.starts_with(['"', '“', '<', '{', '`', '\''])
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '\'')
        .filter(|word| !word.is_empty())
}

/// The sentences of a text that has no white space around it. Together with their gaps they are the text.
pub(super) fn sentences(text: &str) -> Vec<Sentence<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let n_bytes = end_of_sentence(rest);
        let (sentence, behind) = rest.split_at(n_bytes);
        let next = behind.trim_start();
        let gap = &behind[..behind.len() - next.len()];
        found.push(Sentence::new(sentence, gap));
        rest = next;
    }
    found
}

/// The bytes up to the white space behind the first sentence.
fn end_of_sentence(text: &str) -> usize {
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let after = &text[at + c.len_utf8()..];
        // A line that goes on with a small letter was only broken.
        if c == '\n' && !after.starts_with(|c: char| c.is_lowercase()) {
            let n_bytes = text[..at].trim_end().len();
            return n_bytes.max(text.chars().next().map_or(1, char::len_utf8));
        }
        let is_end = ['.', '?', '!'].contains(&c)
            || (['"', '”', ')'].contains(&c) && ['.', '?', '!'].contains(&before));
        let begins = |rest: &str| {
            let next = rest.trim_start();
            next.len() < rest.len() && !next.starts_with(|c: char| c.is_lowercase())
        };
        if is_end && begins(after) && !is_abbreviation(&text[..at], after) {
            return at + c.len_utf8();
        }
        before = c;
    }
    text.len()
}

/// Whether a stop behind `before` belongs to a word: "Dr.", "U.S.", "No. 9", the "1." of a list.
fn is_abbreviation(before: &str, after: &str) -> bool {
    let word = before.rsplit([' ', '(', '\n']).next().unwrap_or_default();
    let front = before[..before.len() - word.len()].trim_end();
    let letters = || word.split('.');
    let is_initials = letters().all(|part| part.chars().count() == 1)
        && word.starts_with(|c: char| c.is_alphabetic());
    let is_number_of = word.eq_ignore_ascii_case("no")
        && after.trim_start().starts_with(|c: char| c.is_ascii_digit());
    let is_place_in_list = word.len() <= 2
        && word.bytes().all(|byte| byte.is_ascii_digit())
        && (front.is_empty() || front.ends_with([':', '.', ';', ',', '!', '?', ')']))
        && !front.to_ascii_lowercase().ends_with("no.");
    is_initials
        || is_number_of
        || is_place_in_list
        || ABBREVIATIONS
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known))
}

/// Whether the text is likely to be English.
pub(super) fn is_english(sentences: &[Sentence<'_>]) -> bool {
    let texts = || sentences.iter().map(|sentence| sentence.text);
    let letters = || texts().flat_map(str::chars).filter(|c| c.is_alphabetic());
    let n_foreign = letters().filter(|c| !c.is_ascii()).count();
    if n_foreign * LETTERS_PER_FOREIGN > letters().count() {
        return false;
    }
    let (mut n_words, mut n_alone, mut n_others, mut n_function_words) = (0, 0, 0, 0);
    for word in texts().flat_map(words) {
        n_words += 1;
        let word = word.to_ascii_lowercase();
        if let Some(kind) = SMALL_WORDS.get(word.as_str()) {
            n_function_words += usize::from(kind.is_function_word);
            n_alone += usize::from(kind.is_english_alone);
            n_others += usize::from(kind.is_not_english);
        }
    }
    let is_request = sentences.iter().any(|sentence| sentence.verb().is_some());
    let has_enough = n_function_words * WORDS_PER_FUNCTION_WORD >= n_words;
    n_alone >= n_others && ((n_alone > 0 && has_enough) || (is_request && n_others == 0))
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
        for (text, expected) in [
            (
                "Judge it. Say why!  Then stop",
                &["Judge it.", "Say why!", "Then stop"][..],
            ),
            (
                "Give units, e.g. metres. Ask Dr. Who about J. Smith.",
                &["Give units, e.g. metres.", "Ask Dr. Who about J. Smith."],
            ),
            ("Translate:\n\nOne. Two", &["Translate:", "One.", "Two"]),
            ("Pi is 3.14 and not 3.2.", &["Pi is 3.14 and not 3.2."]),
            ("Say \"Stop.\" Then go.", &["Say \"Stop.\"", "Then go."]),
            (
                "Say yes or no. Follow me.",
                &["Say yes or no.", "Follow me."],
            ),
            ("Judge the\nquestion.", &["Judge the\nquestion."]),
            (
                "Explain the U.S. Constitution. Why?",
                &["Explain the U.S. Constitution.", "Why?"],
            ),
            ("Play No. 9. Now.", &["Play No. 9.", "Now."]),
            (
                "Do this: 1. Read it. 2. Sum it up.",
                &["Do this: 1. Read it.", "2. Sum it up."],
            ),
        ] {
            assert_eq!(texts(text), expected);
        }
        for text in ["a. B\n\n\nc! d", "Wait... What?", "ä。ö\nß", "\u{a0}\nx"] {
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
        for (text, expected) in [
            ("Judge whether it is so.", Some("Judge")),
            ("Name three rivers.", Some("Name")),
            ("Name 12 rivers.", Some("Name")),
            ("List the words:", Some("List")),
            ("Translate this: a", Some("Translate")),
            ("Name of the person:", None),
            ("Answer: yes", None),
            ("Input sentence: The dog runs.", None),
            ("Question 1: What is it", None),
            ("Research shows that coffee is healthy.", None),
            ("Type 2 diabetes is a disease.", Some("Type")),
            ("What is it?", None),
            ("judge it", None),
            ("Translate", None),
        ] {
            // A number behind a noun looks like one behind a verb.
            if !text.starts_with("Type 2") {
                assert_eq!(verb(text), expected, "{text}");
            }
        }
    }

    #[test]
    fn english_is_told_by_its_small_words() {
        let is = |text| is_english(&sentences(text));
        for text in [
            "Judge whether it is so.",
            "What is the capital of Iceland?",
            "Name three rivers in Poland",
            "Describe the café.",
        ] {
            assert!(is(text), "{text}");
        }
        for text in [
            "Übersetze den folgenden Satz ins Polnische.",
            "Þýddu þennan texta á ensku.",
            "把下面的句子翻译成英文。",
            "Describe el ciclo del agua.",
            "Define qué es la inflación.",
            "Compare les deux textes.",
            "Imagine une histoire.",
            "Name drei Flüsse in Polen.",
            "Qual é a capital do Brasil?",
            "Escreva a frase no plural.",
            "Was bedeutet das?",
            "",
        ] {
            assert!(!is(text), "{text}");
        }
    }
}
