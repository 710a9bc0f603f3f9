//! The few rules of written English that answers need: plurals, articles, lists and numerals.

use std::fmt::{Display, Write as _};

/// A countable noun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Noun {
    pub(super) singular: &'static str,
    pub(super) plural: &'static str,
}

impl Noun {
    /// The form that goes with this count.
    pub(super) fn for_count(self, count: i64) -> &'static str {
        if count == 1 {
            self.singular
        } else {
            self.plural
        }
    }

    /// The count with its noun: "1 apple", "2 apples".
    pub(super) fn counted(self, count: i64) -> String {
        format!("{count} {}", self.for_count(count))
    }
}

/// The verb that goes with a count: "1 is", "2 are".
pub(super) fn is_or_are(count: i64) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

/// The word with its indefinite article, judged by its first letter but for the few words that sound otherwise.
pub(super) fn with_article(word: &str) -> String {
    // "unicycle" and "uniform" begin with the sound of "you", as does "ukulele".
    let sounds_like_you = ["uni", "use", "uk", "eu", "ura"]
        .iter()
        .any(|start| word.starts_with(start));
    let silent_h = ["hon", "hour"].iter().any(|start| word.starts_with(start)) && word != "honey";
    let vowel = word.starts_with(['a', 'e', 'i', 'o', 'u', 'A', 'E', 'I', 'O', 'U']);
    let article = if (vowel && !sounds_like_you) || silent_h {
        "an"
    } else {
        "a"
    };
    format!("{article} {word}")
}

/// The text with its first letter in upper case.
pub(super) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// "a", "a and b", "a, b and c".
pub(super) fn listed<T: Display>(items: &[T]) -> String {
    match items {
        [] => String::new(),
        [only] => only.to_string(),
        [firsts @ .., last] => format!("{} and {last}", joined(firsts, ", ")),
    }
}

/// The items with this between them.
pub(super) fn joined<T: Display>(items: &[T], separator: &str) -> String {
    let mut text = String::new();
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            text.push_str(separator);
        }
        write!(text, "{item}").expect("writing to a string cannot fail");
    }
    text
}

/// "1st", "2nd", "11th".
pub(super) fn ordinal(n: i64) -> String {
    let suffix = match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{n}{suffix}")
}

/// Digits in groups of three: "1,250,000".
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A decimal of `units` over ten to the `places`, without trailing zeros: 2500 in thousandths is "2.5".
pub(super) fn decimal(units: i64, places: u32) -> String {
    let scale = 10_u64.pow(places);
    let (whole, rest) = (units.unsigned_abs() / scale, units.unsigned_abs() % scale);
    let sign = if units < 0 { "-" } else { "" };
    if rest == 0 {
        return format!("{sign}{whole}");
    }
    let fraction = format!("{rest:0width$}", width = places as usize);
    format!("{sign}{whole}.{}", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular_and_everything_else_plural() {
        let apple = Noun {
            singular: "apple",
            plural: "apples",
        };
        assert_eq!(
            [0, 1, 2].map(|n| apple.counted(n)),
            ["0 apples", "1 apple", "2 apples"]
        );
    }

    #[test]
    fn articles_follow_the_sound() {
        let said = [
            "apple", "pear", "ukulele", "umbrella", "honest", "uranium", "house",
        ]
        .map(with_article);
        assert_eq!(
            said,
            [
                "an apple",
                "a pear",
                "a ukulele",
                "an umbrella",
                "an honest",
                "a uranium",
                "a house"
            ]
        );
    }

    #[test]
    fn lists_have_one_and() {
        assert_eq!(listed(&["a"]), "a");
        assert_eq!(listed(&["a", "b"]), "a and b");
        assert_eq!(listed(&[1, 2, 3]), "1, 2 and 3");
    }

    #[test]
    fn numerals_are_written_as_people_write_them() {
        assert_eq!(
            [1, 2, 3, 4, 11, 12, 13, 21, 112].map(ordinal).join(" "),
            "1st 2nd 3rd 4th 11th 12th 13th 21st 112th"
        );
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(grouped).join(" "),
            "0 999 1,000 1,234,567"
        );
        assert_eq!(decimal(2_500, 3), "2.5");
        assert_eq!(decimal(-5, 2), "-0.05");
        assert_eq!(decimal(300, 2), "3");
    }
}
