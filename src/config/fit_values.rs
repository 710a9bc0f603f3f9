//! The settings of a fit that are more than a number: how each is written, and what it means.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::fit::{DEFAULT_BATCH_SIZE, SMALL_BATCH_SIZE, SMALL_STREAM};

/// Samples in a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BatchSizeText", into = "BatchSizeText")]
pub enum BatchSize {
    /// As in the paper: 64, and 16 for less than 256 rows.
    #[default]
    Auto,
    /// So many.
    Of(u64),
}

impl BatchSize {
    /// Samples in a step of a stream of `n_rows` rows.
    pub fn resolve(self, n_rows: u64) -> u64 {
        match self {
            BatchSize::Of(n) => n,
            BatchSize::Auto if n_rows < SMALL_STREAM => SMALL_BATCH_SIZE,
            BatchSize::Auto => DEFAULT_BATCH_SIZE,
        }
    }
}

impl FromStr for BatchSize {
    type Err = String;

    fn from_str(text: &str) -> Result<BatchSize, String> {
        match (text, text.parse()) {
            ("auto", _) => Ok(BatchSize::Auto),
            (_, Ok(n)) if n > 0 => Ok(BatchSize::Of(n)),
            _ => Err(format!("`{text}` is neither `auto` nor a number above 0")),
        }
    }
}

/// `auto` or a number, as TOML has them.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum BatchSizeText {
    Number(u64),
    Word(String),
}

impl TryFrom<BatchSizeText> for BatchSize {
    type Error = String;

    fn try_from(text: BatchSizeText) -> Result<BatchSize, String> {
        match text {
            BatchSizeText::Number(n) => n.to_string().parse(),
            BatchSizeText::Word(word) => word.parse(),
        }
    }
}

impl From<BatchSize> for BatchSizeText {
    fn from(size: BatchSize) -> BatchSizeText {
        match size {
            BatchSize::Auto => BatchSizeText::Word("auto".to_owned()),
            BatchSize::Of(n) => BatchSizeText::Number(n),
        }
    }
}

/// What becomes of a sample with too many tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum TooLong {
    /// Leave it out, and count it; more than a tenth of the task rows is an error
    #[default]
    Drop,
    /// Keep its first tokens
    Truncate,
    /// Stop with an error
    Error,
}

/// Which tokens the loss counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LossOn {
    /// Those of the response
    #[default]
    Response,
    /// All but the first
    Sequence,
}

/// The value a new token's row starts from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Init {
    /// Normal with the model's `initializer_range`, as in the paper.
    #[default]
    Random,
    /// Zeros.
    Zeros,
    /// The mean of the rows of a text's tokens.
    Mean(String),
    /// The row of another token.
    Copy(String),
}

impl FromStr for Init {
    type Err = String;

    fn from_str(text: &str) -> Result<Init, String> {
        match text.split_once(':') {
            None if text == "random" => Ok(Init::Random),
            None if text == "zeros" => Ok(Init::Zeros),
            Some(("mean", words)) if !words.is_empty() => Ok(Init::Mean(words.to_owned())),
            Some(("copy", token)) if !token.is_empty() => Ok(Init::Copy(token.to_owned())),
            _ => Err(format!(
                "`{text}` is none of `random`, `zeros`, `mean:TEXT` and `copy:TOKEN`"
            )),
        }
    }
}

impl fmt::Display for Init {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Init::Random => f.write_str("random"),
            Init::Zeros => f.write_str("zeros"),
            Init::Mean(words) => write!(f, "mean:{words}"),
            Init::Copy(token) => write!(f, "copy:{token}"),
        }
    }
}

impl TryFrom<String> for Init {
    type Error = String;

    fn try_from(text: String) -> Result<Init, String> {
        text.parse()
    }
}

impl From<Init> for String {
    fn from(init: Init) -> String {
        init.to_string()
    }
}

/// Where to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU that can be used, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU of this index.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<DeviceChoice, String> {
        match text.split_once(':') {
            None if text == "auto" => Ok(DeviceChoice::Auto),
            None if text == "cpu" => Ok(DeviceChoice::Cpu),
            None if text == "cuda" => Ok(DeviceChoice::Cuda(0)),
            Some(("cuda", index)) => index
                .parse()
                .map(DeviceChoice::Cuda)
                .map_err(|_| format!("`{index}` in `{text}` is not the number of a GPU")),
            _ => Err(format!(
                "`{text}` is none of `auto`, `cpu`, `cuda` and `cuda:N`"
            )),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceChoice::Auto => f.write_str("auto"),
            DeviceChoice::Cpu => f.write_str("cpu"),
            DeviceChoice::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}
