//! What a wording must keep and must not add: only what is asked for may be learned from it, never the response.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::Original;

/// Placeholders and tags: `{name}`, `<tag>`, `[NAME]`, `${x}`, `%s`.
static PLACEHOLDERS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"\{+[^{}\n]*\}+|<[^<>\s][^<>\n]*>|\[[A-Z][A-Z0-9_ ]*\]|\$\{?\w+\}?|%\(\w+\)[sdf]|%[sdf]\b",
    )
    .expect("it is tested")
});

/// What is meant literally: quoted, code, an address.
static LITERALS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#""[^"\n]+"|“[^”\n]+”|`[^`\n]+`|\B'[^'\n]+'\B|https?://\S+"#).expect("it is tested")
});

/// A wording has between half and three times the characters of the instruction; so many more or …
const SPARE_CHARS: usize = 160;
/// … so many less.
const MISSING_CHARS: usize = 40;

/// An instruction of so many words has one in common with each of its wordings.
const WORDS_TO_SHARE: usize = 6;
/// Shorter words say nothing.
const SHARED_WORD_CHARS: usize = 4;

/// Beginnings of what a language model says instead of a wording, or before it, in lower case.
const NO_WORDINGS: [&str; 10] = [
    "sure,",
    "sure!",
    "here is the",
    "here's the",
    "certainly",
    "of course",
    "i'm sorry",
    "i cannot",
    "i can't",
    "as an ai",
];

/// What is counted in an instruction and its wordings.
#[derive(Debug)]
pub(super) struct Check<'a> {
    text: &'a str,
    n_chars: usize,
    special_tokens: Vec<(String, usize)>,
    placeholders: Vec<&'a str>,
    literals: Vec<&'a str>,
    numbers: Vec<&'a str>,
    /// In lower case, with how often the instruction names them.
    keys: Vec<(String, usize)>,
    /// Where nothing is changed.
    protected: Vec<Range<usize>>,
}

impl<'a> Check<'a> {
    pub(super) fn new(original: &'a Original, special_tokens: &[String]) -> Check<'a> {
        let text = original.text.as_str();
        let lower = match original.keys.is_empty() {
            true => String::new(),
            false => text.to_lowercase(),
        };
        let keys = original.keys.iter().map(|key| key.to_lowercase());
        let mut protected: Vec<Range<usize>> = Vec::new();
        for token in special_tokens {
            protected.extend(
                text.match_indices(token.as_str())
                    .map(|(at, token)| at..at + token.len()),
            );
        }
        if has_marks(text) {
            for pattern in [&PLACEHOLDERS, &LITERALS] {
                protected.extend(pattern.find_iter(text).map(|found| found.range()));
            }
        }
        let counted = |token: &String| (token.clone(), text.matches(token.as_str()).count());
        Check {
            text,
            n_chars: text.chars().count(),
            special_tokens: special_tokens.iter().map(counted).collect(),
            placeholders: sorted(&PLACEHOLDERS, text),
            literals: sorted(&LITERALS, text),
            numbers: numbers(text),
            keys: keys
                .map(|key| {
                    let n = times(&lower, &key);
                    (key, n)
                })
                .collect(),
            protected,
        }
    }

    /// # Errors
    /// Why a text is no wording.
    pub(super) fn check(&self, wording: &str) -> Result<(), &'static str> {
        let braces = |text: &str| [text.matches('{').count(), text.matches('}').count()];
        let n_chars = wording.chars().count();
        let broken = |is_broken: bool, why| if is_broken { Err(why) } else { Ok(()) };
        broken(wording.trim().is_empty(), "empty")?;
        let n_lines = |text: &str| text.matches('\n').count();
        let is_same = n_lines(wording) <= n_lines(self.text)
            && wording.split_whitespace().eq(self.text.split_whitespace());
        broken(is_same, "the same words")?;
        let (least, most) = (self.n_chars / 2, 3 * self.n_chars + SPARE_CHARS);
        broken(
            n_chars + MISSING_CHARS < least || n_chars > most,
            "too long or too short",
        )?;
        let keeps = |(token, n): &(String, usize)| wording.matches(token.as_str()).count() == *n;
        broken(
            !self.special_tokens.iter().all(keeps),
            "a special token lost or added",
        )?;
        broken(
            braces(wording) != braces(self.text),
            "a brace lost or added",
        )?;
        broken(
            sorted(&PLACEHOLDERS, wording) != self.placeholders,
            "a placeholder lost or added",
        )?;
        broken(
            !holds(&sorted(&LITERALS, wording), &self.literals),
            "something quoted lost",
        )?;
        broken(!holds(&numbers(wording), &self.numbers), "a number lost")?;
        if !self.keys.is_empty() {
            let lower = wording.to_lowercase();
            let adds = self.keys.iter().any(|(key, n)| times(&lower, key) > *n);
            broken(adds, "a key of the response added")?;
        }
        Ok(())
    }

    /// Whether a text of a language model is about the same thing, as far as can be told.
    ///
    /// # Errors
    /// Why it is not.
    pub(super) fn is_about_it(&self, wording: &str) -> Result<(), &'static str> {
        let lower = wording.to_lowercase();
        let own = self.text.to_lowercase();
        let is_talk = |beginning: &str| lower.starts_with(beginning) && !own.starts_with(beginning);
        if NO_WORDINGS.into_iter().any(is_talk) {
            return Err("words around the wording");
        }
        let long = |word: &&str| word.chars().count() >= SHARED_WORD_CHARS;
        let own: Vec<&str> = words(&own).filter(long).collect();
        let shares = words(&lower).any(|word| own.contains(&word));
        if own.len() >= WORDS_TO_SHARE && !shares {
            return Err("no word in common");
        }
        Ok(())
    }

    /// Where an instruction may not be changed.
    pub(super) fn is_protected(&self, place: &Range<usize>) -> bool {
        self.protected
            .iter()
            .any(|range| range.start < place.end && place.start < range.end)
    }

    /// Whether this is a key of the response.
    pub(super) fn is_key(&self, word: &str) -> bool {
        self.keys.iter().any(|(key, _)| key == word)
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
}

/// Whether there is anything in it to look for.
fn has_marks(text: &str) -> bool {
    text.contains(['{', '<', '[', '$', '%', '"', '“', '`', '\'', ':'])
}

fn sorted<'a>(pattern: &Regex, text: &'a str) -> Vec<&'a str> {
    if !has_marks(text) {
        return Vec::new();
    }
    let mut found: Vec<&str> = pattern
        .find_iter(text)
        .map(|found| found.as_str())
        .collect();
    found.sort_unstable();
    found
}

fn numbers(text: &str) -> Vec<&str> {
    let mut found: Vec<&str> = text
        .split(|c: char| !c.is_ascii_digit())
        .filter(|number| !number.is_empty())
        .collect();
    found.sort_unstable();
    found
}

/// Whether an ascending list has every entry of another, as often.
fn holds(all: &[&str], some: &[&str]) -> bool {
    let mut all = all.iter();
    some.iter().all(|wanted| all.any(|entry| entry == wanted))
}

/// How often a word stands in a text, not as a part of another.
fn times(text: &str, word: &str) -> usize {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric());
    let stands = |(at, found): &(usize, &str)| {
        !is_part(text[..*at].chars().next_back())
            && !is_part(text[at + found.len()..].chars().next())
    };
    match word.is_empty() {
        true => 0,
        false => text.match_indices(word).filter(stands).count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_stays_as_often_as_it_was() {
        let original = Original {
            text: "Fill {name} into <sep> and \"a b\" 3 times, then go to https://x.org/a."
                .to_owned(),
            has_input: true,
            keys: vec!["thought".to_owned(), "go".to_owned()],
        };
        let lines = Original {
            text: "Do it.\nNow.".to_owned(),
            ..Original::default()
        };
        let tokens = ["<sep>".to_owned()];
        let check = Check::new(&original, &tokens);
        let found = |text: &str| check.check(text);
        let good = "Please fill {name} into <sep> and \"a b\" 3 times, then go to https://x.org/a.";
        assert_eq!(found(good), Ok(()));
        for (lost, why) in [
            ("{name}", "a brace lost or added"),
            ("<sep>", "a special token lost or added"),
            ("\"a b\"", "something quoted lost"),
            ("3", "a number lost"),
            ("https://x.org/a", "something quoted lost"),
        ] {
            assert_eq!(found(&good.replace(lost, "")), Err(why));
        }
        for (added, why) in [
            ("<sep>", "a special token lost or added"),
            ("{x}", "a brace lost or added"),
            ("<b>", "a placeholder lost or added"),
            ("Give each thought", "a key of the response added"),
            ("and go", "a key of the response added"),
        ] {
            assert_eq!(found(&format!("{good} {added}")), Err(why));
        }
        assert_eq!(found(&format!("{good} So be thoughtful.")), Ok(()));
        assert_eq!(found(&original.text), Err("the same words"));
        assert_eq!(
            Check::new(&lines, &[]).check(&lines.text),
            Err("the same words")
        );
        assert_eq!(found(""), Err("empty"));
        assert_eq!(found(&good.repeat(9)), Err("too long or too short"));
    }

    #[test]
    fn answers_and_talk_are_no_wordings() {
        let original = Original {
            text: "Judge whether the answer contains a claim that nothing supports".to_owned(),
            ..Original::default()
        };
        let check = Check::new(&original, &[]);
        assert_eq!(check.is_about_it("Please judge the answer."), Ok(()));
        assert_eq!(
            check.is_about_it("Sure, here it is: judge it"),
            Err("words around the wording")
        );
        assert_eq!(check.is_about_it("yes"), Err("no word in common"));
    }
}
