//! The settings of a fit that are more than a number: how each is written, and what it means.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Samples in a step, as in the paper.
const DEFAULT_BATCH_SIZE: u64 = 64;
/// Samples in a step of a stream below [`SMALL_STREAM`] rows.
const SMALL_BATCH_SIZE: u64 = 16;
/// Rows below which the paper takes smaller batches.
const SMALL_STREAM: u64 = 256;

/// Samples in a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "NumberOrWord", into = "NumberOrWord")]
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

/// A number or a word, as TOML has them.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum NumberOrWord {
    Number(u64),
    Word(String),
}

impl fmt::Display for NumberOrWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NumberOrWord::Number(n) => write!(f, "{n}"),
            NumberOrWord::Word(word) => f.write_str(word),
        }
    }
}

impl TryFrom<NumberOrWord> for BatchSize {
    type Error = String;

    fn try_from(text: NumberOrWord) -> Result<BatchSize, String> {
        text.to_string().parse()
    }
}

impl From<BatchSize> for NumberOrWord {
    fn from(size: BatchSize) -> NumberOrWord {
        match size {
            BatchSize::Auto => NumberOrWord::Word("auto".to_owned()),
            BatchSize::Of(n) => NumberOrWord::Number(n),
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

/// What the loss of a step is a mean of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LossNorm {
    /// All tokens of the step that the loss counts
    #[default]
    Token,
    /// The means of its micro-batches, as Hugging Face trainers had it until late 2024
    Microbatch,
}

/// What is computed a second time in the backward pass instead of being kept (Chen et al. 2016). Scores of the attention
/// are never kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Recompute {
    /// Nothing
    #[default]
    None,
    /// The attention of every block, with its projections
    Attention,
    /// Every block: only what passes between blocks is kept
    Block,
}

/// How the frozen weights of the projections are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum QuantizeBase {
    /// 8 bits, and a scale for every 32 numbers
    Q8,
    /// 4 bits, and a scale for every 32 numbers
    Q4,
}

/// The projections that get an adapter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "TargetsText", into = "TargetsText")]
pub enum Targets {
    /// All of them.
    #[default]
    All,
    /// Those whose module's name is one of these, or ends with a dot and one of these.
    Names(Vec<String>),
    /// Those whose module's whole name it finds.
    Pattern(String),
}

/// What a pattern begins with on the command line.
const PATTERN: &str = "re:";

impl Targets {
    /// Whether a module is meant, such as `model.layers.0.self_attn.q_proj`.
    pub fn hold(&self, module: &str) -> bool {
        match self {
            Targets::All => true,
            Targets::Names(names) => names.iter().any(|name| is_named(module, name)),
            Targets::Pattern(pattern) => {
                whole(pattern).is_ok_and(|pattern| pattern.is_match(module))
            }
        }
    }

    /// The first name that none of the modules has, or the pattern where it finds none.
    pub fn unmet(&self, modules: &[String]) -> Option<&str> {
        match self {
            Targets::All => None,
            Targets::Names(names) => names
                .iter()
                .find(|name| !modules.iter().any(|module| is_named(module, name)))
                .map(String::as_str),
            Targets::Pattern(pattern) => {
                let finds_one = modules.iter().any(|module| self.hold(module));
                (!finds_one).then_some(pattern)
            }
        }
    }
}

fn is_named(module: &str, name: &str) -> bool {
    let rest = module.strip_suffix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn whole(pattern: &str) -> Result<regex::Regex, regex::Error> {
    regex::Regex::new(&format!("^(?:{pattern})$"))
}

impl FromStr for Targets {
    type Err = String;

    fn from_str(text: &str) -> Result<Targets, String> {
        if text == "all" {
            return Ok(Targets::All);
        }
        if let Some(pattern) = text.strip_prefix(PATTERN) {
            return whole(pattern)
                .map(|_| Targets::Pattern(pattern.to_owned()))
                .map_err(|error| format!("`{pattern}` is no regular expression: {error}"));
        }
        let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        match names.iter().any(String::is_empty) {
            true => Err(format!(
                "`{text}` is none of `all`, names such as `q_proj,v_proj`, and `{PATTERN}REGEX`"
            )),
            false => Ok(Targets::Names(names)),
        }
    }
}

/// A text as on the command line, or a list of names.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum TargetsText {
    Text(String),
    Names(Vec<String>),
}

impl TryFrom<TargetsText> for Targets {
    type Error = String;

    fn try_from(text: TargetsText) -> Result<Targets, String> {
        match text {
            TargetsText::Text(text) => text.parse(),
            TargetsText::Names(names) => names.join(",").parse(),
        }
    }
}

impl From<Targets> for TargetsText {
    fn from(targets: Targets) -> TargetsText {
        match targets {
            Targets::All => TargetsText::Text("all".to_owned()),
            Targets::Names(names) => TargetsText::Names(names),
            Targets::Pattern(pattern) => TargetsText::Text(format!("{PATTERN}{pattern}")),
        }
    }
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
    /// Normal with the mean and the covariance of the table's rows.
    MeanCov,
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
            None if text == "mean-cov" => Ok(Init::MeanCov),
            Some(("mean", words)) if !words.is_empty() => Ok(Init::Mean(words.to_owned())),
            Some(("copy", token)) if !token.is_empty() => Ok(Init::Copy(token.to_owned())),
            _ => Err(format!(
                "`{text}` is none of `random`, `zeros`, `mean-cov`, `mean:TEXT` and `copy:TOKEN`"
            )),
        }
    }
}

impl fmt::Display for Init {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Init::Random => f.write_str("random"),
            Init::Zeros => f.write_str("zeros"),
            Init::MeanCov => f.write_str("mean-cov"),
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
