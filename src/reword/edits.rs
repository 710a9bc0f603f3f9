//! Changes inside an instruction: other words, a list, capitals, a slip of the pen.

use std::ops::Range;

use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use super::check::Check;
use super::directions::{verbs, words};
use super::english::{FUNCTION_WORDS, NUMERALS, REQUESTS, Sentence};

/// Of the places where other words fit, so many in ten are changed.
const CHANGED_IN_TEN: u32 = 7;

/// Behind these a verb is part of an expression: "find out", "answer in".
const PARTICLES: [&str; 26] = [
    "about", "along", "as", "at", "away", "back", "between", "by", "down", "for", "from", "in",
    "into", "off", "on", "only", "out", "over", "sure", "that", "through", "to", "up", "whether",
    "with", "yourself",
];

/// Before these a verb of several words is torn apart: "sum it up".
const PRONOUNS: [&str; 11] = [
    "it", "them", "this", "that", "these", "those", "me", "us", "him", "her", "you",
];

/// Behind these an auxiliary has changed places with its subject: "why don't they".
const INVERTS: [&str; 7] = ["why", "how", "what", "where", "when", "who", "which"];

/// A word with fewer letters is not misspelt.
const MISSPELT_LETTERS: usize = 5;

/// The edits that are made here; the others are tables of words.
const OWN: [&str; 7] = [
    "numbered",
    "bullets",
    "lines",
    "capitals",
    "exclamation",
    "typing-errors",
    "careless",
];

/// Whether there is an edit of this name.
#[cfg(test)]
pub(super) fn is_known(edit: &str) -> bool {
    OWN.contains(&edit) || words(edit).is_some()
}

/// The instruction after an edit; `None` where it changes nothing.
pub(super) fn edit(
    name: &str,
    sentences: &[Sentence<'_>],
    check: &Check<'_>,
    random: &mut ChaCha8Rng,
) -> Option<String> {
    debug_assert!(
        OWN.contains(&name) || words(name).is_some(),
        "a test knows every edit"
    );
    let text = Text::new(sentences);
    match name {
        // Only what is to be done is numbered.
        "numbered" if text.verbs.len() < sentences.len() => None,
        "numbered" => text.list(sentences, |nth| format!("{}. ", nth + 1)),
        "bullets" => text.list(sentences, |_| "- ".to_owned()),
        "lines" => text.list(sentences, |_| String::new()),
        "capitals" => text.capitals(check),
        "exclamation" if text.whole.ends_with("..") => None,
        "exclamation" => Some(format!("{}!", text.whole.strip_suffix('.')?)),
        "typing-errors" => text.typing_errors(check, random),
        "careless" => text.careless(check, random),
        table => text.other_words(table, check, random),
    }
}

/// An instruction and where its sentences begin.
struct Text {
    whole: String,
    /// The places of the verbs that sentences open with.
    verbs: Vec<Range<usize>>,
}

impl Text {
    fn new(sentences: &[Sentence<'_>]) -> Text {
        let mut whole = String::new();
        let mut verbs = Vec::new();
        for sentence in sentences {
            if let Some(verb) = sentence.verb() {
                verbs.push(whole.len()..whole.len() + verb.len());
            }
            whole.push_str(sentence.text);
            whole.push_str(sentence.gap);
        }
        Text { whole, verbs }
    }

    /// One sentence a line, with something before each.
    fn list(&self, sentences: &[Sentence<'_>], mark: impl Fn(usize) -> String) -> Option<String> {
        // A text that has lines has them for a reason.
        if sentences.len() < 2 || self.whole.contains('\n') || has_enumeration(&self.whole) {
            return None;
        }
        let lines = sentences.iter().enumerate();
        let lines: Vec<String> = lines
            .map(|(nth, sentence)| mark(nth) + sentence.text)
            .collect();
        Some(lines.join("\n"))
    }

    fn capitals(&self, check: &Check<'_>) -> Option<String> {
        let changes = self.verbs.iter().filter(|verb| !check.is_protected(verb));
        let changes = changes.map(|verb| (verb.clone(), self.whole[verb.clone()].to_uppercase()));
        self.changed(changes.collect())
    }

    fn other_words(
        &self,
        table: &str,
        check: &Check<'_>,
        random: &mut ChaCha8Rng,
    ) -> Option<String> {
        let is_choice = table == "synonyms";
        let is_taken =
            |random: &mut ChaCha8Rng| !is_choice || random.random_ratio(CHANGED_IN_TEN, 10);
        let mut changes: Vec<(Range<usize>, String)> = Vec::new();
        let lower = self.whole.to_ascii_lowercase();
        for (words, others) in words(table)? {
            for (at, found) in lower.match_indices(words.as_str()) {
                let place = at..at + found.len();
                if stands_alone(&lower, &place)
                    && fits(table, &lower, &place)
                    && !check.is_protected(&place)
                    && changes.iter().all(|(other, _)| are_apart(other, &place))
                    && is_taken(random)
                {
                    let other = others[random.random_range(0..others.len())].as_str();
                    changes.push(self.change(place, other));
                }
            }
        }
        if is_choice {
            for place in &self.verbs {
                let next = lower[place.end..]
                    .trim_start()
                    .split([' ', ',', '.', '?', ':'])
                    .next();
                let is_pronoun = next.is_some_and(|next| PRONOUNS.contains(&next));
                let others: Vec<&String> = verbs(&lower[place.clone()])
                    .iter()
                    .filter(|other| !(is_pronoun && other.contains(' ')))
                    .collect();
                let is_free = changes.iter().all(|(other, _)| are_apart(other, place));
                if !others.is_empty()
                    && is_free
                    && next.is_some_and(|next| !PARTICLES.contains(&next) || next == "whether")
                    && !check.is_protected(place)
                    && is_taken(random)
                {
                    let other = others[random.random_range(0..others.len())].as_str();
                    changes.push(self.change(place.clone(), other));
                }
            }
        }
        self.changed(changes)
    }

    /// Other words for those at this place, with a capital where these have one; for none of them the place is closed.
    fn change(&self, mut place: Range<usize>, other: &str) -> (Range<usize>, String) {
        let has_capital = self.whole[place.clone()].starts_with(|c: char| c.is_ascii_uppercase());
        let mut other = other.to_owned();
        if other.is_empty() {
            let behind = &self.whole[place.end..];
            let n_spaces = behind.len() - behind.trim_start_matches([' ', ',']).len();
            place.end += n_spaces;
            let next = self.whole[place.end..].chars().next();
            if let Some(next) = next.filter(|_| has_capital) {
                other = next.to_uppercase().to_string();
                place.end += next.len_utf8();
            }
        } else if has_capital {
            other[..1].make_ascii_uppercase();
        }
        (place, other)
    }

    /// One or two words with two letters swapped, one left out or one twice.
    fn typing_errors(&self, check: &Check<'_>, random: &mut ChaCha8Rng) -> Option<String> {
        let mut places = Vec::new();
        let mut at = 0;
        for word in self
            .whole
            .split_inclusive(|c: char| !c.is_ascii_alphabetic())
        {
            let letters = word.trim_end_matches(|c: char| !c.is_ascii_alphabetic());
            let place = at..at + letters.len();
            at += word.len();
            let is_small = letters
                .bytes()
                .skip(1)
                .all(|byte| byte.is_ascii_lowercase());
            if letters.len() >= MISSPELT_LETTERS
                && is_small
                && !NUMERALS.contains(letters)
                && !is_choice(&self.whole, &place)
                && stands_alone(&self.whole, &place)
                && !check.is_protected(&place)
                && !check.is_key(letters)
            {
                places.push(place);
            }
        }
        let mut changes: Vec<(Range<usize>, String)> = Vec::new();
        for _ in 0..random.random_range(1..=2) {
            if places.is_empty() {
                break;
            }
            let place = places.swap_remove(random.random_range(0..places.len()));
            let mut letters: Vec<u8> = self.whole[place.clone()].bytes().collect();
            // The first letter carries the word.
            let at = random.random_range(1..letters.len() - 1);
            match random.random_range(0..3) {
                0 => letters.swap(at, at + 1),
                1 => drop(letters.remove(at)),
                _ => letters.insert(at, letters[at]),
            }
            let word = String::from_utf8(letters).expect("letters");
            // Another word would be another meaning.
            if !REQUESTS.contains(word.as_str()) && !FUNCTION_WORDS.contains(word.as_str()) {
                changes.push((place, word));
            }
        }
        self.changed(changes)
    }

    /// Without capitals at the beginning of sentences, or without the last stop, or both.
    fn careless(&self, check: &Check<'_>, random: &mut ChaCha8Rng) -> Option<String> {
        let how = random.random_range(0..3);
        let mut changes = Vec::new();
        if how != 0 {
            for verb in self.verbs.iter().filter(|verb| !check.is_protected(verb)) {
                changes.push((verb.clone(), self.whole[verb.clone()].to_ascii_lowercase()));
            }
        }
        if how != 1 && self.whole.ends_with('.') {
            changes.push((self.whole.len() - 1..self.whole.len(), String::new()));
        }
        self.changed(changes)
    }

    /// The text with these changes, which do not overlap; `None` where there are none.
    fn changed(&self, mut changes: Vec<(Range<usize>, String)>) -> Option<String> {
        if changes.is_empty() {
            return None;
        }
        changes.sort_by_key(|(place, _)| place.start);
        let mut text = String::with_capacity(self.whole.len() + 32);
        let mut at = 0;
        for (place, other) in changes {
            // What was closed up may reach into the next.
            if place.start < at {
                continue;
            }
            text.push_str(&self.whole[at..place.start]);
            text.push_str(&other);
            at = place.end;
        }
        text.push_str(&self.whole[at..]);
        Some(text)
    }
}

fn are_apart(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.end <= b.start || b.end <= a.start
}

/// Whether other words of this table mean the same at this place, judged by the words beside it.
fn fits(table: &str, text: &str, place: &Range<usize>) -> bool {
    let before = text[..place.start].trim_end();
    let behind = &text[place.end..];
    let next = behind
        .trim_start_matches(' ')
        .split([' ', ',', '.', '?', '!', ':', ';', '\n'])
        .next()
        .unwrap_or_default();
    let is_last = next.is_empty();
    match table {
        // "What it is." has no short form, and a condition no end.
        "contractions" | "shorter" => {
            !is_last
                || !(text[place.clone()].ends_with(" is") || text[place.clone()].ends_with(" are"))
        }
        "expansions" => {
            let last = before.rsplit([' ', '"', '(']).next().unwrap_or_default();
            !INVERTS.contains(&last) && !before.is_empty() && !before.ends_with(['.', '?', '!'])
        }
        // "The following text message" is no text below.
        "synonyms" if text[place.clone()].starts_with("the ") => {
            is_last || !behind.starts_with(' ') || FUNCTION_WORDS.contains(next)
        }
        _ => true,
    }
}

/// Whether a word is beside an "or": it may be an answer.
fn is_choice(text: &str, place: &Range<usize>) -> bool {
    let before = text[..place.start].trim_end().rsplit(' ').next();
    let behind = text[place.end..].trim_start().split(' ').next();
    [before, behind].contains(&Some("or"))
}

/// Whether there are numbered points in it: "1. …", "2) …".
fn has_enumeration(text: &str) -> bool {
    text.split([' ', '\n']).any(|word| {
        let number = word.strip_suffix(['.', ')']);
        number.is_some_and(|number| {
            number.len() == 1 && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    })
}

/// Whether the words at this place are not parts of longer ones.
fn stands_alone(text: &str, place: &Range<usize>) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '\'' || c == '_');
    let first = text[place.clone()].chars().next();
    let opens = !first.is_some_and(char::is_alphanumeric)
        || !is_part(text[..place.start].chars().next_back());
    opens && !is_part(text[place.end..].chars().next())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng as _;

    use super::super::Original;
    use super::super::english::sentences;
    use super::*;

    /// What an edit may make of a text.
    fn all(name: &str, text: &str) -> HashSet<String> {
        let original = Original {
            text: text.to_owned(),
            has_input: true,
            keys: vec!["verdict".to_owned()],
        };
        let tokens = ["<sep>".to_owned()];
        let check = Check::new(&original, &tokens);
        let sentences = sentences(text);
        let edits = (0..200).filter_map(|seed| {
            edit(
                name,
                &sentences,
                &check,
                &mut ChaCha8Rng::seed_from_u64(seed),
            )
        });
        edits.collect()
    }

    fn only(name: &str, text: &str) -> String {
        let found = all(name, text);
        assert_eq!(found.len(), 1, "{found:?}");
        found.into_iter().next().expect("one")
    }

    #[test]
    fn sentences_become_a_list() {
        assert_eq!(
            only("numbered", "Judge it. Say why."),
            "1. Judge it.\n2. Say why."
        );
        assert_eq!(
            only("bullets", "Judge it. Say why."),
            "- Judge it.\n- Say why."
        );
        assert!(all("numbered", "Judge it.").is_empty() && all("bullets", "One.\nTwo.").is_empty());
    }

    #[test]
    fn other_words_stand_where_the_old_ones_did() {
        let found = all(
            "synonyms",
            "Judge whether it is so. Follow the <sep> format.",
        );
        assert!(
            found.contains("Assess whether it is so. Keep to the <sep> format."),
            "{found:?}"
        );
        assert!(found.iter().all(|text| text.contains("the <sep> format.")));
        assert!(all("synonyms", "Find out. Answer in one word.").is_empty());
        assert_eq!(
            only("contractions", "Do not say that it is so"),
            "Don't say that it's so"
        );
        assert_eq!(
            only("shorter", "Please judge it, and please do not stop."),
            "Judge it, and don't stop."
        );
        assert!(all("contractions", "Say \"do not\"").is_empty());
    }

    #[test]
    fn words_are_left_alone_where_others_would_mean_something_else() {
        for (table, text) in [
            ("contractions", "Explain what it is."),
            ("expansions", "Why don't plants move"),
            ("expansions", "Don't go"),
            ("synonyms", "Turn the following text message round"),
            ("synonyms", "Say it, and if it is so, then output 1"),
            ("synonyms", "Give me a recipe"),
            ("synonyms", "Evaluate the expression 2x"),
            ("numbered", "You are given a text. Judge it."),
            ("numbered", "Do this: 1. Read it. 2. Sum it."),
            ("exclamation", "Once upon a time..."),
        ] {
            assert!(
                all(table, text).is_empty(),
                "{text}: {:?}",
                all(table, text)
            );
        }
        assert!(!all("synonyms", "Summarize it now").contains("Sum up it now"));
        assert!(all("typing-errors", "Is it positive or negative").is_empty());
    }

    #[test]
    fn slips_of_the_pen_leave_alone_what_counts() {
        for text in all(
            "typing-errors",
            "Explain your verdict in <separate> words, \"letters\" and short terms",
        ) {
            for kept in ["verdict", "<separate>", "\"letters\"", "in", "and"] {
                assert!(text.contains(kept), "{text}");
            }
        }
        assert!(all("typing-errors", "Judge whether it is correct").len() > 10);
        let careless = all("careless", "Judge it. Say why.");
        assert_eq!(
            careless,
            [
                "judge it. say why.",
                "Judge it. Say why",
                "judge it. say why"
            ]
            .map(str::to_owned)
            .into()
        );
        assert_eq!(only("capitals", "Judge it. Say why."), "JUDGE it. SAY why.");
    }
}
