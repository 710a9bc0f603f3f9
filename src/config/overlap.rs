//! How many words in a row a row may not share with what is measured on.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Words in a row: short enough to find a sentence that was taken over, long enough that everyday phrases do not count.
const DEFAULT_WORDS: u8 = 8;

/// From how many shared words in a row on a row overlaps with a held-out one, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "OverlapText", into = "OverlapText")]
pub enum Overlap {
    /// Whatever is shared, only equal prompts count.
    Off,
    /// This many words, one after the other.
    Words(u8),
}

impl Default for Overlap {
    fn default() -> Overlap {
        Overlap::Words(DEFAULT_WORDS)
    }
}

impl Overlap {
    /// Words of an n-gram; none are looked for where it is `off`.
    pub fn words(self) -> Option<u8> {
        match self {
            Overlap::Off => None,
            Overlap::Words(words) => Some(words),
        }
    }
}

impl FromStr for Overlap {
    type Err = String;

    fn from_str(text: &str) -> Result<Overlap, String> {
        match (text, text.parse()) {
            ("off", _) => Ok(Overlap::Off),
            (_, Ok(words)) if words > 0 => Ok(Overlap::Words(words)),
            _ => Err(format!(
                "`{text}` is neither `off` nor a number of words from 1 to 255"
            )),
        }
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Overlap::Off => f.write_str("off"),
            Overlap::Words(words) => write!(f, "{words}"),
        }
    }
}

/// A number or `off`, as TOML has them.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum OverlapText {
    Number(i64),
    Word(String),
}

impl TryFrom<OverlapText> for Overlap {
    type Error = String;

    fn try_from(text: OverlapText) -> Result<Overlap, String> {
        match text {
            OverlapText::Number(number) => number.to_string().parse(),
            OverlapText::Word(word) => word.parse(),
        }
    }
}

impl From<Overlap> for OverlapText {
    fn from(overlap: Overlap) -> OverlapText {
        match overlap {
            Overlap::Off => OverlapText::Word("off".to_owned()),
            Overlap::Words(words) => OverlapText::Number(words.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_number_of_words_or_off() {
        assert_eq!("off".parse(), Ok(Overlap::Off));
        assert_eq!("13".parse(), Ok(Overlap::Words(13)));
        assert_eq!(Overlap::default().words(), Some(8));
        for text in ["0", "256", "-1", "8.0", "on", ""] {
            assert!(text.parse::<Overlap>().is_err(), "{text}");
        }
        for overlap in [Overlap::Off, Overlap::Words(5)] {
            assert_eq!(overlap.to_string().parse(), Ok(overlap));
        }
    }
}
