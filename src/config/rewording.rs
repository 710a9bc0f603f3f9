//! Whether and how the instructions of task samples are reworded.

use std::fmt;
use std::str::FromStr;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

use super::BuildTable;

/// Wordings of each task sample: one, as in the paper.
const DEFAULT_VARIANTS: u32 = 1;
/// The most there may be: more than any instruction has.
const MAX_VARIANTS: u32 = 10_000;

/// What makes new wordings of the instructions of task samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Reword {
    /// Rules of our own, in the directions of `data/directions.toml`; meaning, special tokens and placeholders stay
    #[default]
    Rules,
    /// A language model in the same directions, see --endpoint; where its wording breaks a rule, the rules make one
    Llm,
    /// A language model that betters instruction and response by criteria (reflection-tuning)
    Reflect,
    /// Nothing: the original wording alone
    Off,
}

impl Reword {
    /// The name in recipes and reports.
    pub fn name(self) -> &'static str {
        match self {
            Reword::Rules => "rules",
            Reword::Llm => "llm",
            Reword::Reflect => "reflect",
            Reword::Off => "off",
        }
    }

    /// Whether a language model is asked.
    pub fn asks(self) -> bool {
        matches!(self, Reword::Llm | Reword::Reflect)
    }
}

/// What in a prompt without an input is the instruction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SplitPrompt {
    /// What all prompts of the source begin and end with, in whole lines.
    #[default]
    Auto,
    /// All of it.
    None,
    /// All but what this regular expression finds, or its first group.
    Pattern(String),
}

impl FromStr for SplitPrompt {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<SplitPrompt, String> {
        match text {
            "auto" => Ok(SplitPrompt::Auto),
            "none" => Ok(SplitPrompt::None),
            "" => Err("neither `auto`, `none` nor a regular expression".to_owned()),
            pattern => match Regex::new(pattern) {
                Ok(_) => Ok(SplitPrompt::Pattern(pattern.to_owned())),
                Err(problem) => Err(format!("`{pattern}` is no regular expression: {problem}")),
            },
        }
    }
}

impl fmt::Display for SplitPrompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SplitPrompt::Auto => "auto",
            SplitPrompt::None => "none",
            SplitPrompt::Pattern(pattern) => pattern,
        })
    }
}

impl TryFrom<String> for SplitPrompt {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<SplitPrompt, String> {
        text.parse()
    }
}

impl From<SplitPrompt> for String {
    fn from(split: SplitPrompt) -> String {
        split.to_string()
    }
}

/// What becomes of task samples before they are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RewordConfig {
    /// What makes new wordings.
    pub method: Reword,
    /// New wordings of each task sample; 0 where there are to be none.
    pub variants: u32,
    /// Whether the original wording stands beside them.
    pub keep_original: bool,
    /// What of a prompt without an input is reworded.
    pub split_prompt: SplitPrompt,
    /// Text that every task instruction ends with, on a line of its own.
    pub anchor: Option<String>,
}

impl RewordConfig {
    pub(super) fn new(table: &BuildTable) -> Result<RewordConfig> {
        let refuse = |key, problem: String, hint: &str| {
            Err(Error::Setting {
                key,
                problem,
                hint: hint.to_owned(),
            })
        };
        let method = table.reword.unwrap_or_default();
        let variants = table.variants.unwrap_or(DEFAULT_VARIANTS);
        if variants == 0 || variants > MAX_VARIANTS {
            return refuse(
                "variants",
                format!("between 1 and {MAX_VARIANTS}, got {variants}"),
                "`--reword off` leaves the original wording alone",
            );
        }
        if method == Reword::Off && variants > 1 {
            return refuse(
                "variants",
                format!("{variants} wordings are asked for, and `--reword off` makes none"),
                "take `--reword rules` or `--reword llm`",
            );
        }
        if method == Reword::Reflect && variants > 1 {
            return refuse(
                "variants",
                format!(
                    "{variants} wordings are asked for, and `--reword reflect` betters each sample once"
                ),
                "take `--reword rules` or `--reword llm`",
            );
        }
        if table
            .anchor
            .as_deref()
            .is_some_and(|anchor| anchor.trim().is_empty())
        {
            return refuse(
                "anchor",
                "a text that can be seen, got nothing".to_owned(),
                "leave the setting out for none",
            );
        }
        Ok(RewordConfig {
            method,
            variants: match method {
                Reword::Off => 0,
                _ => variants,
            },
            keep_original: table.keep_original.unwrap_or(false),
            split_prompt: table.split_prompt.clone().unwrap_or_default(),
            anchor: table.anchor.clone(),
        })
    }

    /// Writes the settings into the frozen recipe.
    pub(super) fn freeze(&self, table: &mut BuildTable) {
        table.reword = Some(self.method);
        table.variants = Some(self.variants.max(DEFAULT_VARIANTS));
        table.keep_original = Some(self.keep_original);
        table.split_prompt = Some(self.split_prompt.clone());
        table.anchor = self.anchor.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_be_meant_are_refused() {
        let with = |reword, variants, anchor: Option<&str>| {
            RewordConfig::new(&BuildTable {
                reword,
                variants,
                anchor: anchor.map(str::to_owned),
                ..BuildTable::default()
            })
        };
        let usual = with(None, None, None).expect("fits");
        assert_eq!((usual.method, usual.variants), (Reword::Rules, 1));
        assert_eq!(
            with(Some(Reword::Off), None, None).expect("fits").variants,
            0
        );
        for (refused, problem) in [
            (with(None, Some(0), None), "between 1"),
            (with(None, Some(10_001), None), "between 1"),
            (with(Some(Reword::Off), Some(2), None), "makes none"),
            (with(Some(Reword::Reflect), Some(2), None), "once"),
            (with(None, None, Some(" ")), "can be seen"),
        ] {
            let refused = refused.expect_err("cannot be meant").to_string();
            assert!(refused.contains(problem), "{refused}");
        }
    }

    #[test]
    fn what_is_frozen_is_the_same_again() {
        for method in [Reword::Rules, Reword::Llm, Reword::Reflect, Reword::Off] {
            let given = BuildTable {
                reword: Some(method),
                keep_original: Some(true),
                split_prompt: Some("a+".parse().expect("a pattern")),
                anchor: Some("Think of <sep>.".to_owned()),
                ..BuildTable::default()
            };
            let config = RewordConfig::new(&given).expect("fits");
            let mut frozen = BuildTable::default();
            config.freeze(&mut frozen);
            assert_eq!(RewordConfig::new(&frozen).expect("fits"), config);
        }
    }

    #[test]
    fn a_split_reads_back_as_it_was_written() {
        for text in ["auto", "none", "(?s)Q: .*"] {
            assert_eq!(
                text.parse::<SplitPrompt>().expect("a split").to_string(),
                text
            );
        }
        for (wrong, problem) in [("", "neither"), ("(", "no regular expression")] {
            assert!(wrong.parse::<SplitPrompt>().unwrap_err().contains(problem));
        }
    }
}
