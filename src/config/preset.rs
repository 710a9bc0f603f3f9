//! Named sets of defaults, each with its source. Whatever is said besides wins over them.

use serde::{Deserialize, Serialize};

use super::fit_values::{BatchSize, LossNorm, Targets};
use super::schedule::Decay;

/// A set of defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum Preset {
    /// The paper's rank, learning rate and batches; what it does not say is Delia's choice
    #[default]
    #[serde(rename = "paper")]
    Paper,
    /// ms-swift as it was in July 2024, which the paper trained with
    #[value(name = "swift-2024-07")]
    #[serde(rename = "swift-2024-07")]
    Swift202407,
    /// What PEFT and transformers do when they are told nothing
    #[serde(rename = "peft")]
    Peft,
}

/// The defaults of a preset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Defaults {
    /// Inner size of the adapters.
    pub(super) rank: usize,
    /// The adapters' outputs are scaled by alpha / rank.
    pub(super) alpha: f64,
    /// Dropout before the adapters.
    pub(super) dropout: f64,
    /// Names of the projections that get one; none for all.
    pub(super) targets: &'static [&'static str],
    /// The highest learning rate.
    pub(super) lr: f64,
    /// How it falls.
    pub(super) schedule: Decay,
    /// The share of the steps over which it rises.
    pub(super) warmup: f64,
    /// AdamW's decay of weights towards 0.
    pub(super) weight_decay: f64,
    /// The largest norm of a step's gradient.
    pub(super) clip: f64,
    /// What a step's loss is a mean of.
    pub(super) loss_norm: LossNorm,
    /// Tokens computed at a time; none for what suits the device.
    pub(super) micro_tokens: Option<usize>,
    /// Samples in a step.
    pub(super) batch_size: BatchSize,
    /// Passes over the shards.
    pub(super) epochs: u32,
}

/// Zeng et al. 2024 (arXiv 2408.10841, §4.1): rank 16, learning rate 2e-4, one epoch, batches of 64, and of 16 below 256 rows.
/// Alpha, dropout, warm-up and decay are ms-swift's of that time, the clip is the usual 1.
const PAPER: Defaults = Defaults {
    rank: 16,
    alpha: 32.0,
    dropout: 0.05,
    targets: &[],
    lr: 2e-4,
    schedule: Decay::Cosine,
    warmup: 0.05,
    weight_decay: 0.01,
    clip: 1.0,
    loss_norm: LossNorm::Token,
    micro_tokens: None,
    batch_size: BatchSize::Auto,
    epochs: 1,
};

/// ms-swift at commit bbf6425e9 of 2024-07-15 (`docs/source_en/LLM/Command-line-parameters.md`): one sample at a time, summed over
/// 16, adapters beside queries, keys and values. Its loss is the mean over the means of samples: where no token more than one is to
/// be computed at a time, every sample is alone. Samples above 2,048 tokens are dropped, which is the default here too.
const SWIFT_2024_07: Defaults = Defaults {
    rank: 8,
    alpha: 32.0,
    dropout: 0.05,
    targets: &["q_proj", "k_proj", "v_proj"],
    lr: 1e-4,
    schedule: Decay::Cosine,
    warmup: 0.05,
    weight_decay: 0.01,
    clip: 0.5,
    loss_norm: LossNorm::Microbatch,
    micro_tokens: Some(1),
    batch_size: BatchSize::Of(16),
    epochs: 1,
};

/// `LoraConfig` of PEFT 0.21, which adapts queries and values in all families that Delia knows, and `TrainingArguments` of
/// transformers 5.24.
const PEFT: Defaults = Defaults {
    rank: 8,
    alpha: 8.0,
    dropout: 0.0,
    targets: &["q_proj", "v_proj"],
    lr: 5e-5,
    schedule: Decay::Linear,
    warmup: 0.0,
    weight_decay: 0.0,
    clip: 1.0,
    loss_norm: LossNorm::Token,
    micro_tokens: None,
    batch_size: BatchSize::Of(8),
    epochs: 3,
};

impl Defaults {
    /// The projections that get an adapter.
    pub(super) fn targets(&self) -> Targets {
        match self.targets {
            [] => Targets::All,
            names => Targets::Names(names.iter().map(|&name| name.to_owned()).collect()),
        }
    }
}

impl Preset {
    /// Its defaults.
    pub(super) fn defaults(self) -> &'static Defaults {
        match self {
            Preset::Paper => &PAPER,
            Preset::Swift202407 => &SWIFT_2024_07,
            Preset::Peft => &PEFT,
        }
    }
}
