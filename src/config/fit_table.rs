//! What a person may say about a fit, in a recipe or by flags: every part of it may be missing.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::export::{Export, ShardSize};
use super::fit_values::{
    BatchSize, Init, LossNorm, LossOn, QuantizeBase, Recompute, Targets, TooLong,
};
use super::keeping::{EvalEvery, Keep};
use super::preset::Preset;
use super::schedule::Decay;
use super::template::TemplateChoice;

/// The model of a fit that names none.
pub(super) const DEFAULT_MODEL: &str = "bundled:tiny";

/// The settings that an adapter to start from brings itself.
pub const OF_ADAPTER: [&str; 5] = ["rank", "alpha", "targets", "rslora", "dora"];

/// The `[fit]` table, and the flags of `delia-fit` of the same names.
#[derive(Clone, Debug, Default, Deserialize, Serialize, clap::Args)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct FitTable {
    /// The base model: a Hugging Face folder, or `bundled:tiny` [default: bundled:tiny]
    #[arg(long, help_heading = "Model and adapter", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<PathBuf>,

    /// The set of defaults; every other flag wins over it, and it wins over a recipe [default: paper]
    #[arg(
        long,
        help_heading = "Model and adapter",
        value_enum,
        value_name = "NAME"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,

    /// Inner size of the adapters [default: 16]
    #[arg(long, help_heading = "Model and adapter", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<usize>,

    /// The adapters' outputs are scaled by alpha / rank [default: 32]
    #[arg(long, help_heading = "Model and adapter", value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,

    /// Dropout before the adapters [default: 0.05]
    #[arg(long, help_heading = "Model and adapter", value_name = "P")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropout: Option<f64>,

    /// Which projections get an adapter: `all`, names such as `q_proj,v_proj`, or `re:REGEX` of whole module names [default: all]
    #[arg(long, help_heading = "Model and adapter", value_name = "TARGETS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub targets: Option<Targets>,

    /// Scale by alpha / sqrt(rank) instead (rsLoRA)
    #[arg(long, help_heading = "Model and adapter", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rslora: Option<bool>,

    /// Train the length of every row of a matrix apart from its direction (DoRA)
    #[arg(long, help_heading = "Model and adapter", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dora: Option<bool>,

    /// How much faster the second matrix of an adapter learns than the first (LoRA+) [default: 1]
    #[arg(long, help_heading = "Model and adapter", value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora_plus_ratio: Option<f64>,

    /// Noise on the embeddings of every sample (NEFTune); 5 to 15 is usual [default: 0]
    #[arg(long, help_heading = "Model and adapter", value_name = "ALPHA")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neftune: Option<f64>,

    /// Start from this adapter, Delia's or PEFT's, with its rank, alpha and targets
    #[arg(long, help_heading = "Model and adapter", value_name = "DIR", conflicts_with_all = ["rank", "alpha", "targets", "rslora", "dora", "full"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<PathBuf>,

    /// The highest learning rate [default: 2e-4]
    #[arg(long, help_heading = "Optimiser", value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,

    /// How the learning rate falls behind the warm-up [default: cosine]
    #[arg(long, help_heading = "Optimiser", value_enum, value_name = "DECAY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Decay>,

    /// The share of the steps over which the learning rate rises from 0, from 0 to 1 [default: 0.05]
    #[arg(long, help_heading = "Optimiser", value_name = "SHARE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup: Option<f64>,

    /// The steps over which the learning rate rises from 0, instead of a share
    #[arg(
        long,
        help_heading = "Optimiser",
        value_name = "STEPS",
        conflicts_with = "warmup"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmup_steps: Option<u64>,

    /// AdamW's weight decay [default: 0.01]
    #[arg(long, help_heading = "Optimiser", value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,

    /// The largest norm of a step's gradient [default: 1]
    #[arg(long, help_heading = "Optimiser", value_name = "X")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,

    /// Passes over the shards [default: 1]
    #[arg(long, help_heading = "Steps and loss", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u32>,

    /// Samples in a step; `auto` is 64, and 16 for less than 256 rows [default: auto]
    #[arg(long, help_heading = "Steps and loss", value_name = "N|auto")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<BatchSize>,

    /// Stop after so many steps; the schedule of the learning rate ends there
    #[arg(long, help_heading = "Steps and loss", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u64>,

    /// Tokens in a sample [default: the model's positions, at most 2048]
    #[arg(long, help_heading = "Samples", value_name = "TOKENS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,

    /// What becomes of a sample with more tokens [default: drop]
    #[arg(long, help_heading = "Samples", value_enum, value_name = "FATE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub too_long: Option<TooLong>,

    /// How prompt and response become one text: `chat`, the model's own chat template; `alpaca`; `raw`, nothing around them; or
    /// a Jinja file [default: chat, and alpaca for a model without one]
    #[arg(long, help_heading = "Samples", value_name = "LAYOUT|FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateChoice>,

    /// A system message before every prompt; with `alpaca` in the place of the opening words, with `raw` a line
    #[arg(long, help_heading = "Samples", value_name = "TEXT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,

    /// Which tokens the loss counts [default: response]
    #[arg(
        long,
        help_heading = "Steps and loss",
        value_enum,
        value_name = "TOKENS"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_on: Option<LossOn>,

    /// What the loss of a step is a mean of [default: token]
    #[arg(long, help_heading = "Steps and loss", value_enum, value_name = "WHAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_norm: Option<LossNorm>,

    /// Tokens computed at a time: less takes less memory [default: 1024 on the CPU, 8192 on a GPU]
    #[arg(long, help_heading = "Memory", value_name = "TOKENS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micro_tokens: Option<usize>,

    /// What is computed a second time in the backward pass instead of being kept in memory [default: none]
    #[arg(long, help_heading = "Memory", value_enum, value_name = "WHAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recompute: Option<Recompute>,

    /// Hold the frozen projections in 8 or 4 bits (QLoRA); on the CPU both take 8 [default: not quantised]
    #[arg(
        long,
        help_heading = "Memory",
        value_enum,
        value_name = "BITS",
        conflicts_with = "full"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantize_base: Option<QuantizeBase>,

    /// A token to add to the vocabulary; may be given several times, without a value for none [default: those the build names]
    #[arg(long, help_heading = "Model and adapter", value_name = "TOKEN", num_args = 0..=1)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub special_token: Option<Vec<String>>,

    /// Where the rows of new tokens start: `random`, `zeros`, `mean-cov` (drawn like the model's own rows), `mean:TEXT` or
    /// `copy:TOKEN` [default: random]
    #[arg(long, help_heading = "Model and adapter", value_name = "INIT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<Init>,

    /// Train every weight instead of adapters, and write a whole model
    #[arg(long, help_heading = "Model and adapter", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true, conflicts_with_all = ["rank", "alpha", "dropout"])]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full: Option<bool>,

    /// Start from fresh weights in the shape of this `config.json`, to train with `--full` or to measure; the tokenizer stays
    /// the model's
    #[arg(long, help_heading = "Model and adapter", value_name = "CONFIG")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_model: Option<PathBuf>,

    /// Seed of every random choice [default: 0]
    #[arg(long, help_heading = "Steps and loss", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,

    /// Steps between two checkpoints [default: 50]
    #[arg(long, help_heading = "On the way", value_name = "STEPS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub save_every: Option<u64>,

    /// Steps between two measurements of the held-out loss, or `off`; `auto` measures 4 times, or only after the last step where
    /// that would be more than a tenth of the samples trained on [default: auto]
    #[arg(long, help_heading = "On the way", value_name = "STEPS|auto|off")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval_every: Option<EvalEvery>,

    /// Rows the held-out loss is measured on, of the task's and of the others: the first of each [default: 200]
    #[arg(long, help_heading = "On the way", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eval_rows: Option<u64>,

    /// Checkpoints to keep until the fit is complete; `best` ends with the step of the lowest held-out task loss instead of the
    /// last [default: 1]
    #[arg(long, help_heading = "On the way", value_name = "N|best")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<Keep>,

    /// What to leave besides the adapter; may be given several times, and to a fit that is finished
    #[arg(
        long,
        help_heading = "What it leaves",
        value_enum,
        value_delimiter = ',',
        value_name = "WHAT",
        conflicts_with = "full"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export: Option<Vec<Export>>,

    /// Bytes in a file of a merged model [default: 5GB]
    #[arg(long, help_heading = "What it leaves", value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export_shard_size: Option<ShardSize>,
}

impl FitTable {
    /// This table with everything that `flags` says put over it.
    #[must_use]
    pub fn overridden_by(self, flags: FitTable) -> FitTable {
        let mut below = match flags.preset {
            Some(preset) => self.without_what_is_set_by(preset),
            None => self,
        };
        // The same thing said in two ways: the flag's way counts.
        if flags.warmup.is_some() || flags.warmup_steps.is_some() {
            (below.warmup, below.warmup_steps) = (None, None);
        }
        if flags.adapter.is_some() {
            below = below.without_those_of_an_adapter();
        }
        below.filled_from(flags)
    }

    /// The first of [`OF_ADAPTER`] that this table says.
    pub(super) fn says_of_adapter(&self) -> Option<&'static str> {
        let said = [
            self.rank.is_some(),
            self.alpha.is_some(),
            self.targets.is_some(),
            self.rslora.is_some(),
            self.dora.is_some(),
        ];
        let mut said = OF_ADAPTER.into_iter().zip(said);
        said.find(|(_, is_said)| *is_said).map(|(key, _)| key)
    }

    fn without_those_of_an_adapter(self) -> FitTable {
        FitTable {
            rank: None,
            alpha: None,
            targets: None,
            rslora: None,
            dora: None,
            ..self
        }
    }

    /// This table without what a preset sets.
    fn without_what_is_set_by(self, preset: Preset) -> FitTable {
        let micro_tokens = match preset.defaults().micro_tokens {
            None => self.micro_tokens,
            Some(_) => None,
        };
        FitTable {
            rank: None,
            alpha: None,
            dropout: None,
            targets: None,
            lr: None,
            schedule: None,
            warmup: None,
            warmup_steps: None,
            weight_decay: None,
            clip: None,
            epochs: None,
            batch_size: None,
            loss_norm: None,
            micro_tokens,
            ..self
        }
    }

    fn filled_from(self, flags: FitTable) -> FitTable {
        FitTable {
            model: flags.model.or(self.model),
            preset: flags.preset.or(self.preset),
            rank: flags.rank.or(self.rank),
            alpha: flags.alpha.or(self.alpha),
            dropout: flags.dropout.or(self.dropout),
            targets: flags.targets.or(self.targets),
            rslora: flags.rslora.or(self.rslora),
            dora: flags.dora.or(self.dora),
            lora_plus_ratio: flags.lora_plus_ratio.or(self.lora_plus_ratio),
            neftune: flags.neftune.or(self.neftune),
            adapter: flags.adapter.or(self.adapter),
            lr: flags.lr.or(self.lr),
            schedule: flags.schedule.or(self.schedule),
            warmup: flags.warmup.or(self.warmup),
            warmup_steps: flags.warmup_steps.or(self.warmup_steps),
            weight_decay: flags.weight_decay.or(self.weight_decay),
            clip: flags.clip.or(self.clip),
            epochs: flags.epochs.or(self.epochs),
            batch_size: flags.batch_size.or(self.batch_size),
            max_steps: flags.max_steps.or(self.max_steps),
            max_length: flags.max_length.or(self.max_length),
            too_long: flags.too_long.or(self.too_long),
            template: flags.template.or(self.template),
            system: flags.system.or(self.system),
            loss_on: flags.loss_on.or(self.loss_on),
            loss_norm: flags.loss_norm.or(self.loss_norm),
            micro_tokens: flags.micro_tokens.or(self.micro_tokens),
            recompute: flags.recompute.or(self.recompute),
            quantize_base: flags.quantize_base.or(self.quantize_base),
            special_token: flags.special_token.or(self.special_token),
            init: flags.init.or(self.init),
            full: flags.full.or(self.full),
            init_model: flags.init_model.or(self.init_model),
            seed: flags.seed.or(self.seed),
            save_every: flags.save_every.or(self.save_every),
            eval_every: flags.eval_every.or(self.eval_every),
            eval_rows: flags.eval_rows.or(self.eval_rows),
            keep: flags.keep.or(self.keep),
            export: flags.export.or(self.export),
            export_shard_size: flags.export_shard_size.or(self.export_shard_size),
        }
    }

    /// Makes relative paths start from `folder`.
    pub(super) fn rebase(&mut self, folder: &Path) {
        let template = match &mut self.template {
            Some(TemplateChoice::File(path)) => Some(path),
            _ => None,
        };
        let models = [&mut self.model, &mut self.init_model, &mut self.adapter];
        for path in models
            .into_iter()
            .filter_map(Option::as_mut)
            .chain(template)
        {
            if !path.starts_with(DEFAULT_MODEL) {
                *path = folder.join(&*path);
            }
        }
    }
}
