//! What counts as a near-duplicate, and how they are found.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Usual among those who clean instruction sets.
const DEFAULT_THRESHOLD: f64 = 0.8;
/// Places of a MinHash signature.
const DEFAULT_PERMUTATIONS: u32 = 128;
/// The most there may be; more cost time and find nothing more.
const MAX_PERMUTATIONS: u32 = 4_096;
/// The probability with which a pair just at the threshold becomes a candidate, at the least.
const MIN_CANDIDATE_PROBABILITY: f64 = 0.99;

/// What counts as a near-duplicate, and how they are found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NearConfig {
    /// The Jaccard similarity from which on a later row is dropped; `None` drops none.
    pub threshold: Option<f64>,
    /// How candidates are found; each is verified.
    pub method: NearMethod,
    /// Places of a MinHash signature.
    pub permutations: u32,
    /// What texts are cut into.
    pub shingle: Shingle,
    /// Which texts are compared.
    pub on: DedupeOn,
}

impl NearConfig {
    /// Fills in the defaults and checks what was asked for.
    ///
    /// # Errors
    /// [`Error::Setting`] for a number out of range, and for permutations too few for the threshold.
    pub fn new(
        near: Option<Near>,
        method: Option<NearMethod>,
        permutations: Option<u32>,
        shingle: Option<Shingle>,
        on: Option<DedupeOn>,
    ) -> Result<NearConfig> {
        let config = NearConfig {
            threshold: match near.unwrap_or_default() {
                Near::Off => None,
                Near::From(threshold) => Some(threshold),
            },
            method: method.unwrap_or_default(),
            permutations: permutations.unwrap_or(DEFAULT_PERMUTATIONS),
            shingle: shingle.unwrap_or_default(),
            on: on.unwrap_or_default(),
        };
        if !(1..=MAX_PERMUTATIONS).contains(&config.permutations) {
            return Err(Error::Setting {
                key: "near-permutations",
                problem: format!(
                    "between 1 and {MAX_PERMUTATIONS}, got {}",
                    config.permutations
                ),
                hint: format!("the default is {DEFAULT_PERMUTATIONS}"),
            });
        }
        if let (Some(threshold), NearMethod::Minhash) = (config.threshold, config.method)
            && config.rows_per_band(threshold).is_none()
        {
            return Err(Error::Setting {
                key: "near-permutations",
                problem: format!(
                    "{} are too few to find pairs of similarity {threshold}",
                    config.permutations
                ),
                hint: "more of them, or `--near-method exact`, which needs none".to_owned(),
            });
        }
        Ok(config)
    }

    /// What was asked for, as in a recipe.
    pub fn near(&self) -> Near {
        self.threshold.map_or(Near::Off, Near::From)
    }

    /// Places of a band: as many as leave a pair just at the threshold a candidate with a probability of 0.99. A band of r
    /// places is equal with probability tʳ, and one of b is enough: 1 − (1 − tʳ)ᵇ.
    pub fn rows_per_band(&self, threshold: f64) -> Option<u32> {
        (1..=self.permutations).rev().find(|&rows| {
            let bands = self.permutations / rows;
            let missed = (1.0 - threshold.powi(rows as i32)).powi(bands as i32);
            1.0 - missed >= MIN_CANDIDATE_PROBABILITY
        })
    }
}

/// The similarity from which on rows are near-duplicates, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "NearText", into = "NearText")]
pub enum Near {
    /// None are.
    Off,
    /// From this Jaccard similarity on.
    From(f64),
}

impl Default for Near {
    fn default() -> Near {
        Near::From(DEFAULT_THRESHOLD)
    }
}

impl FromStr for Near {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Near, String> {
        match (text, text.parse::<f64>()) {
            ("off", _) => Ok(Near::Off),
            (_, Ok(threshold)) if threshold > 0.0 && threshold <= 1.0 => Ok(Near::From(threshold)),
            _ => Err(format!(
                "`{text}` is neither `off` nor a similarity above 0 and at most 1"
            )),
        }
    }
}

/// A number or `off`, as TOML has them.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum NearText {
    Number(f64),
    Word(String),
}

impl TryFrom<NearText> for Near {
    type Error = String;

    fn try_from(text: NearText) -> std::result::Result<Near, String> {
        match text {
            NearText::Number(number) => number.to_string().parse(),
            NearText::Word(word) => word.parse(),
        }
    }
}

impl From<Near> for NearText {
    fn from(near: Near) -> NearText {
        match near {
            Near::Off => NearText::Word("off".to_owned()),
            Near::From(threshold) => NearText::Number(threshold),
        }
    }
}

/// How candidates for near-duplicates are found. Every one is verified, so none is dropped wrongly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum NearMethod {
    /// All pairs that share one of their rarest pieces: misses none
    #[default]
    Exact,
    /// Pairs with an equal band of their MinHash signatures: misses a few
    Minhash,
    /// As Self-Instruct and Alpaca filtered: by ROUGE-L instead of Jaccard, with no pair missed
    RougeL,
}

impl NearMethod {
    /// The name in SQL parameters.
    pub fn name(self) -> &'static str {
        match self {
            NearMethod::Exact => "exact",
            NearMethod::Minhash => "minhash",
            NearMethod::RougeL => "rouge-l",
        }
    }
}

/// Which texts are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum DedupeOn {
    /// Instruction and input
    #[default]
    Prompt,
    /// Instruction, input and output
    Sample,
}

impl DedupeOn {
    /// The name in SQL parameters.
    pub fn name(self) -> &'static str {
        match self {
            DedupeOn::Prompt => "prompt",
            DedupeOn::Sample => "sample",
        }
    }
}

/// The overlapping pieces a text is cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Shingle {
    /// So many words in a row.
    Words(u8),
    /// So many characters in a row.
    Characters(u8),
}

impl Default for Shingle {
    fn default() -> Shingle {
        Shingle::Words(3)
    }
}

impl FromStr for Shingle {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Shingle, String> {
        let wrong = || format!("`{text}` is none of `word:N` and `char:N` with N from 1 to 255");
        let (unit, size) = text.split_once(':').ok_or_else(wrong)?;
        let size = size.parse().ok().filter(|&size: &u8| size > 0);
        match (unit, size.ok_or_else(wrong)?) {
            ("word", size) => Ok(Shingle::Words(size)),
            ("char", size) => Ok(Shingle::Characters(size)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Shingle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shingle::Words(size) => write!(f, "word:{size}"),
            Shingle::Characters(size) => write!(f, "char:{size}"),
        }
    }
}

impl TryFrom<String> for Shingle {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Shingle, String> {
        text.parse()
    }
}

impl From<Shingle> for String {
    fn from(shingle: Shingle) -> String {
        shingle.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_have_as_many_places_as_the_threshold_allows() {
        let of = |permutations, threshold| {
            let minhash = Some(NearMethod::Minhash);
            let config = NearConfig::new(None, minhash, Some(permutations), None, None);
            config.expect("settings").rows_per_band(threshold)
        };
        assert_eq!(of(128, 0.8), Some(6));
        assert_eq!(of(128, 1.0), Some(128));
        assert_eq!(of(128, 0.3), Some(2));
        assert_eq!(of(16, 0.1), None);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let near = Some(Near::From(0.8));
        let few = NearConfig::new(near, Some(NearMethod::Minhash), Some(2), None, None);
        assert!(few.is_err(), "too few to find anything");
        assert!(NearConfig::new(None, None, Some(0), None, None).is_err());
        for text in ["0", "1.1", "-1", "nan", "on", ""] {
            assert!(text.parse::<Near>().is_err(), "{text}");
        }
        for text in ["word", "word:0", "line:3", "char:256"] {
            assert!(text.parse::<Shingle>().is_err(), "{text}");
        }
        assert_eq!("char:5".parse(), Ok(Shingle::Characters(5)));
    }
}
