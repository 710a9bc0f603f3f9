//! How the records of a source are read, and how many may be unusable.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How the records of a source are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// What becomes of a conversation.
    pub turns: Turns,
    /// Whether bytes that are not UTF-8 are read as Windows-1252.
    pub repair_encoding: bool,
    /// Whether UTF-8 that was misread as Windows-1252 is put right.
    pub repair_mojibake: bool,
}

/// What becomes of a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Turns {
    /// One sample: its first question and the answer to it
    #[default]
    Single,
    /// A sample for every answer, with the turns before it in its input
    All,
}

impl Turns {
    /// The name in recipes.
    pub fn name(self) -> &'static str {
        match self {
            Turns::Single => "single",
            Turns::All => "all",
        }
    }
}

/// How many records may be unusable before a build ends without shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RejectsText", into = "RejectsText")]
pub enum MaxRejects {
    /// Any number.
    #[default]
    Off,
    /// So many over all sources.
    Rows(u64),
    /// So many in a hundred of each source's records.
    Percent(f64),
}

impl MaxRejects {
    /// Whether these are too many: `rejected` of `records` for every source.
    pub fn is_exceeded(self, sources: impl IntoIterator<Item = (u64, u64)>) -> bool {
        let mut sources = sources.into_iter();
        match self {
            MaxRejects::Off => false,
            MaxRejects::Rows(most) => sources.map(|(rejected, _)| rejected).sum::<u64>() > most,
            MaxRejects::Percent(most) => {
                sources.any(|(rejected, records)| rejected as f64 * 100.0 > most * records as f64)
            }
        }
    }
}

impl FromStr for MaxRejects {
    type Err = String;

    fn from_str(text: &str) -> Result<MaxRejects, String> {
        let refused = || {
            format!(
                "`{text}` is neither a number of records, a share of each source such as `1%`, nor `off`"
            )
        };
        if text == "off" {
            return Ok(MaxRejects::Off);
        }
        match text.strip_suffix('%') {
            Some(percent) => percent
                .trim()
                .parse()
                .ok()
                .filter(|percent| (0.0..=100.0).contains(percent))
                .map(MaxRejects::Percent),
            None => text.replace('_', "").parse().ok().map(MaxRejects::Rows),
        }
        .ok_or_else(refused)
    }
}

impl fmt::Display for MaxRejects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MaxRejects::Off => f.write_str("off"),
            MaxRejects::Rows(rows) => write!(f, "{rows}"),
            MaxRejects::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// In a recipe a number of records may stand without quotes.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum RejectsText {
    Rows(u64),
    Text(String),
}

impl TryFrom<RejectsText> for MaxRejects {
    type Error = String;

    fn try_from(written: RejectsText) -> Result<MaxRejects, String> {
        match written {
            RejectsText::Rows(rows) => Ok(MaxRejects::Rows(rows)),
            RejectsText::Text(text) => text.parse(),
        }
    }
}

impl From<MaxRejects> for RejectsText {
    fn from(most: MaxRejects) -> RejectsText {
        match most {
            MaxRejects::Rows(rows) => RejectsText::Rows(rows),
            other => RejectsText::Text(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_counts_over_all_sources_and_a_share_holds_for_each() {
        let sources = [(1, 100), (0, 1_000_000), (4, 10)];
        let exceeds = |text: &str| {
            text.parse::<MaxRejects>()
                .expect("a limit")
                .is_exceeded(sources)
        };
        for (limit, expected) in [
            ("off", false),
            ("5", false),
            ("4", true),
            ("0", true),
            ("40%", false),
            ("39.9%", true),
            ("100%", false),
        ] {
            assert_eq!(exceeds(limit), expected, "{limit}");
        }
        assert!(!MaxRejects::Percent(0.0).is_exceeded([(0, 0), (0, 5)]));
    }

    #[test]
    fn a_limit_reads_back_as_it_was_written() {
        for text in ["off", "0", "12", "0.5%", "100%"] {
            assert_eq!(
                text.parse::<MaxRejects>().expect("a limit").to_string(),
                text
            );
        }
        for text in ["", "-1", "many", "101%", "NaN%", "1.5"] {
            assert!(
                text.parse::<MaxRejects>()
                    .unwrap_err()
                    .contains("neither a number"),
                "{text}"
            );
        }
    }
}
