//! What `delia-fit` is meant to do: complete and checked.

use std::path::PathBuf;

use serde::Serialize;

use crate::error::{Error, Result};

use super::export::{Export, ShardSize};
use super::fit_table::{DEFAULT_MODEL, FitTable};
use super::fit_values::{
    BatchSize, Init, LossNorm, LossOn, QuantizeBase, Recompute, Targets, TooLong,
};
use super::keeping::{EvalEvery, Keep};
use super::schedule::{Decay, Warmup};
use super::template::TemplateChoice;

/// The most passes there may be: more than any training takes.
const MAX_EPOCHS: u32 = 10_000;
/// Tokens in a sample, where the model allows as many.
const DEFAULT_MAX_LENGTH: usize = 2_048;
/// Steps between two checkpoints.
const DEFAULT_SAVE_EVERY: u64 = 50;
/// Rows of each kind that the held-out loss is measured on; unmeasured how far it then is from that of all.
const DEFAULT_EVAL_ROWS: u64 = 200;

/// Everything that decides the result of a fit on given shards and a given device, and nothing that does not.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FitConfig {
    /// The base model.
    pub model: PathBuf,
    /// Inner size of the adapters.
    pub rank: usize,
    /// The adapters' outputs are scaled by alpha / rank.
    pub alpha: f64,
    /// Dropout before the adapters.
    pub dropout: f64,
    /// Which projections get one.
    pub targets: Targets,
    /// Whether outputs are scaled by alpha / sqrt(rank) instead.
    pub rslora: bool,
    /// Whether lengths of rows are trained apart.
    pub dora: bool,
    /// How much faster an adapter's second matrix learns.
    pub lora_plus_ratio: f64,
    /// Noise on embeddings.
    pub neftune: f64,
    /// The adapter to start from, which says rank, alpha and targets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<PathBuf>,
    /// The highest learning rate.
    pub lr: f64,
    /// How it falls.
    pub schedule: Decay,
    /// How long it rises.
    #[serde(flatten)]
    pub warmup: Warmup,
    /// AdamW's weight decay.
    pub weight_decay: f64,
    /// The largest norm of a step's gradient.
    pub clip: f64,
    /// Passes over the shards.
    pub epochs: u32,
    /// Samples in a step.
    pub batch_size: BatchSize,
    /// Where to stop early.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u64>,
    /// Tokens in a sample; `None` for what the model allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// What becomes of a sample with more tokens.
    pub too_long: TooLong,
    /// How prompt and response become one text; `None` for the model's own layout, and Alpaca's where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateChoice>,
    /// A system message before every prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Which tokens the loss counts.
    pub loss_on: LossOn,
    /// What the loss of a step is a mean of.
    pub loss_norm: LossNorm,
    /// Tokens computed at a time; `None` for what suits the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micro_tokens: Option<usize>,
    /// What is computed again instead of kept.
    pub recompute: Recompute,
    /// How the frozen projections are held; `None` for as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantize_base: Option<QuantizeBase>,
    /// Tokens to add to the vocabulary; `None` for those the build names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub special_token: Option<Vec<String>>,
    /// Where the rows of new tokens start.
    pub init: Init,
    /// Whether every weight is trained.
    pub full: bool,
    /// The shape of a model trained from fresh weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_model: Option<PathBuf>,
    /// Seed of every random choice.
    pub seed: u64,
    /// Steps between two checkpoints; it changes no result.
    #[serde(skip)]
    pub save_every: u64,
    /// Steps between two measurements of the held-out loss.
    pub eval_every: EvalEvery,
    /// Held-out rows of each kind that are measured on.
    pub eval_rows: u64,
    /// Which checkpoints stay, and which of them the fit ends with; only the latter changes a result.
    #[serde(skip_serializing_if = "Keep::is_last")]
    pub keep: Keep,
    /// What is left besides the adapter; it changes no result either.
    #[serde(skip)]
    pub export: Vec<Export>,
    /// Bytes in a file of a merged model.
    #[serde(skip)]
    pub export_shard_size: ShardSize,
}

impl FitConfig {
    /// Fills in the defaults and checks what was asked for.
    ///
    /// # Errors
    /// [`Error::Setting`] for a value that cannot be meant, named by its key.
    pub fn from_table(table: FitTable) -> Result<FitConfig> {
        if let (Some(key), Some(_)) = (table.says_of_adapter(), &table.adapter) {
            return Err(Error::Setting {
                key,
                problem: "`adapter` names an adapter to start from, which says it".to_owned(),
                hint: "leave one of them out".to_owned(),
            });
        }
        let full = table.full.unwrap_or(false);
        let preset = table.preset.unwrap_or_default().defaults();
        let config = FitConfig {
            model: table.model.unwrap_or_else(|| DEFAULT_MODEL.into()),
            rank: table.rank.unwrap_or(preset.rank),
            alpha: table.alpha.unwrap_or(preset.alpha),
            dropout: table
                .dropout
                .unwrap_or(if full { 0.0 } else { preset.dropout }),
            targets: table.targets.unwrap_or_else(|| match full {
                true => Targets::All,
                false => preset.targets(),
            }),
            rslora: table.rslora.unwrap_or(false),
            dora: table.dora.unwrap_or(false),
            lora_plus_ratio: table.lora_plus_ratio.unwrap_or(1.0),
            neftune: table.neftune.unwrap_or(0.0),
            adapter: table.adapter,
            lr: table.lr.unwrap_or(preset.lr),
            schedule: table.schedule.unwrap_or(preset.schedule),
            warmup: match (table.warmup, table.warmup_steps) {
                (_, None) => Warmup::Share(table.warmup.unwrap_or(preset.warmup)),
                (None, Some(steps)) => Warmup::Steps(steps),
                (Some(_), Some(_)) => return Err(two_warmups()),
            },
            weight_decay: table.weight_decay.unwrap_or(preset.weight_decay),
            clip: table.clip.unwrap_or(preset.clip),
            epochs: table.epochs.unwrap_or(preset.epochs),
            batch_size: table.batch_size.unwrap_or(preset.batch_size),
            max_steps: table.max_steps,
            max_length: table.max_length,
            too_long: table.too_long.unwrap_or_default(),
            template: table.template,
            system: table.system,
            loss_on: table.loss_on.unwrap_or_default(),
            loss_norm: table.loss_norm.unwrap_or(preset.loss_norm),
            micro_tokens: table.micro_tokens.or(preset.micro_tokens),
            recompute: table.recompute.unwrap_or_default(),
            quantize_base: table.quantize_base,
            special_token: table.special_token,
            init: table.init.unwrap_or_default(),
            full,
            init_model: table.init_model,
            seed: table.seed.unwrap_or(0),
            save_every: table.save_every.unwrap_or(DEFAULT_SAVE_EVERY),
            eval_every: table.eval_every.unwrap_or_default(),
            eval_rows: table.eval_rows.unwrap_or(DEFAULT_EVAL_ROWS),
            keep: table.keep.unwrap_or_default(),
            export: table.export.unwrap_or_default(),
            export_shard_size: table.export_shard_size.unwrap_or_default(),
        };
        config.check()?;
        Ok(config)
    }

    /// Tokens a sample of a model with so many positions may have.
    ///
    /// # Errors
    /// [`Error::Setting`] where more were asked for than the model has.
    pub fn max_length_of(&self, positions: usize) -> Result<usize> {
        match self.max_length {
            None => Ok(positions.min(DEFAULT_MAX_LENGTH)),
            Some(given) if given <= positions => Ok(given),
            Some(given) => Err(Error::Setting {
                key: "max-length",
                problem: format!("{given} tokens are more than the model's {positions} positions"),
                hint: "leave it out for what the model allows".to_owned(),
            }),
        }
    }

    fn check(&self) -> Result<()> {
        let refuse = |key, problem: String, hint: &str| {
            Err(Error::Setting {
                key,
                problem,
                hint: hint.to_owned(),
            })
        };
        let whole = [
            ("rank", self.rank as u64, "the default is 16"),
            (
                "epochs",
                self.epochs.into(),
                "`--max-steps` stops within the first pass",
            ),
            (
                "max-steps",
                self.max_steps.unwrap_or(1),
                "leave it out for whole passes",
            ),
            ("save-every", self.save_every, "the default is 50"),
            (
                "micro-tokens",
                self.micro_tokens.unwrap_or(1) as u64,
                "leave it out for what suits the device",
            ),
            (
                "eval-rows",
                self.eval_rows,
                "`--eval-every off` measures nothing",
            ),
        ];
        for (key, value, hint) in whole {
            if value == 0 {
                return refuse(key, "at least 1, got 0".to_owned(), hint);
            }
        }
        for (key, value) in [
            ("seed", self.seed),
            ("max-steps", self.max_steps.unwrap_or(0)),
            ("save-every", self.save_every),
            ("eval-rows", self.eval_rows),
            ("rank", self.rank as u64),
            ("max-length", self.max_length.unwrap_or(0) as u64),
            ("micro-tokens", self.micro_tokens.unwrap_or(0) as u64),
            ("batch-size", self.batch_size.resolve(u64::MAX)),
            ("warmup-steps", self.warmup.steps(0)),
            (
                "eval-every",
                match self.eval_every {
                    EvalEvery::Steps(steps) => steps,
                    EvalEvery::Auto | EvalEvery::Off => 0,
                },
            ),
        ] {
            // What TOML can write.
            if value > i64::MAX as u64 {
                let problem = format!("at most {}, got {value}", i64::MAX);
                return refuse(key, problem, "no such number is needed");
            }
        }
        if self.epochs > MAX_EPOCHS {
            let got = self.epochs;
            return refuse(
                "epochs",
                format!("at most {MAX_EPOCHS}, got {got}"),
                "a hundredth of that is more than any training takes",
            );
        }
        if self.max_length.is_some_and(|length| length < 2) {
            let got = self.max_length.unwrap_or_default();
            return refuse(
                "max-length",
                format!("at least 2, got {got}"),
                "a prompt and a response need a token each",
            );
        }
        let warmup = match self.warmup {
            Warmup::Share(share) => share,
            Warmup::Steps(_) => 0.0,
        };
        if warmup > 1.0 {
            return refuse(
                "warmup",
                format!("a share of the steps from 0 to 1, got {warmup}"),
                "`--warmup-steps` takes a number of steps",
            );
        }
        let numbers = [
            ("dropout", self.dropout, 0.0..=0.999),
            ("lr", self.lr, 0.0..=f64::MAX),
            ("neftune", self.neftune, 0.0..=f64::MAX),
            ("warmup", warmup, 0.0..=1.0),
            ("weight-decay", self.weight_decay, 0.0..=f64::MAX),
        ];
        for (key, value, range) in numbers {
            if !range.contains(&value) {
                let problem = match *range.end() {
                    f64::MAX => format!("a number from {} on, got {value}", range.start()),
                    end => format!("a number from {} to {end}, got {value}", range.start()),
                };
                return refuse(key, problem, "leave it out for the default");
            }
        }
        for (key, value, hint) in [
            ("alpha", self.alpha, "the default is 32"),
            ("clip", self.clip, "a large one, such as 1e9, clips nothing"),
            (
                "lora-plus-ratio",
                self.lora_plus_ratio,
                "with 1 both matrices learn alike",
            ),
        ] {
            if !(value > 0.0 && value.is_finite()) {
                return refuse(key, format!("a number above 0, got {value}"), hint);
            }
        }
        if self.keep == Keep::Best && self.eval_every == EvalEvery::Off {
            return refuse(
                "keep",
                "`best` is told by the held-out loss, which is not measured".to_owned(),
                "leave out `--eval-every`",
            );
        }
        super::check_special_tokens(self.special_token.as_deref().unwrap_or_default())?;
        let has_adapter_settings =
            self.dora || self.rslora || self.targets != Targets::All || self.lora_plus_ratio != 1.0;
        if self.full && (has_adapter_settings || self.adapter.is_some()) {
            return refuse(
                "full",
                "with every weight trained there is no adapter to set or to start from".to_owned(),
                "leave one of them out",
            );
        }
        if self.full && self.quantize_base.is_some() {
            return refuse(
                "quantize-base",
                "weights that are trained need all their bits".to_owned(),
                "leave one of `--full` and `--quantize-base` out",
            );
        }
        if self.full && !self.export.is_empty() {
            return refuse(
                "export",
                "`--full` leaves a whole model already".to_owned(),
                "leave one of them out",
            );
        }
        let needs_base = self.export.iter().any(|export| export.folder().is_some());
        if self.init_model.is_some() && needs_base {
            return refuse(
                "export",
                "the base of `--init-model` is saved nowhere".to_owned(),
                "`--full` writes a model to start from",
            );
        }
        if self.full && self.dropout > 0.0 {
            return refuse(
                "dropout",
                "there are no adapters to drop from with `--full`".to_owned(),
                "leave one of them out",
            );
        }
        Ok(())
    }
}

fn two_warmups() -> Error {
    Error::Setting {
        key: "warmup-steps",
        problem: "`warmup` is given too".to_owned(),
        hint: "one is a share of the steps, the other a number of them: leave one out".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::DeviceChoice;
    use super::*;

    #[test]
    fn a_table_reads_back_as_it_was_written() {
        let text = "rank = 4\nbatch-size = \"auto\"\ninit = \"mean:JSON format\"\nspecial-token = []\ntemplate = \"a/b.jinja\"\nsystem = \"\"\neval-every = 9\nkeep = \"best\"\n";
        let table: FitTable = toml::from_str(text).expect("a table");
        let config = FitConfig::from_table(table).expect("a configuration");
        assert_eq!(config.init, Init::Mean("JSON format".to_owned()));
        let frozen = toml::to_string(&config).expect("TOML");
        let again: FitTable = toml::from_str(&frozen).expect("the frozen table is a table");
        let again = FitConfig::from_table(again).expect("a configuration");
        assert_eq!(toml::to_string(&again).expect("TOML"), frozen);
    }

    #[test]
    fn a_preset_gives_way_to_what_is_said_beside_it() {
        let table = |text: &str| toml::from_str::<FitTable>(text).expect("a table");
        let config = |recipe: &str, flags: &str| {
            FitConfig::from_table(table(recipe).overridden_by(table(flags))).expect("settings")
        };
        let peft = "preset = \"peft\"\n";
        let of_peft = config("", peft);
        assert_eq!((of_peft.rank, of_peft.lr, of_peft.epochs), (8, 5e-5, 3));
        assert_eq!(of_peft.batch_size, BatchSize::Of(8));
        assert_eq!(of_peft.schedule, Decay::Linear);
        assert_eq!(of_peft.warmup, Warmup::Share(0.0));
        // Beside other keys in the same place it only fills in.
        let beside = [
            config("", &format!("{peft}rank = 4")),
            config(&format!("{peft}rank = 4"), ""),
        ];
        for config in beside {
            assert_eq!((config.rank, config.lr), (4, 5e-5));
        }
        // As a flag it wins over a recipe, also over the preset there, but for what it does not set.
        let small = config("micro-tokens = 256", peft);
        assert_eq!(
            small.micro_tokens,
            Some(256),
            "memory is no smaller by a preset"
        );
        let recipe = "preset = \"swift-2024-07\"\nlr = 1.0\nwarmup-steps = 9\nseed = 5";
        let over = config(recipe, peft);
        assert_eq!(over.loss_norm, LossNorm::Token);
        assert!(over.targets.hold("v_proj") && !over.targets.hold("k_proj"));
        assert_eq!((over.lr, over.clip, over.seed), (5e-5, 1.0, 5));
        assert_eq!(over.warmup, Warmup::Share(0.0));
        let swift = config(recipe, "");
        assert_eq!((swift.clip, swift.loss_norm), (0.5, LossNorm::Microbatch));
        assert_eq!((swift.micro_tokens, over.micro_tokens), (Some(1), None));
        assert!(swift.targets.hold("k_proj") && !swift.targets.hold("o_proj"));
        // With every weight trained there is nothing to drop from.
        let full = config("", "preset = \"swift-2024-07\"\nfull = true");
        assert_eq!((full.dropout, full.lr), (0.0, 1e-4));
        // What is frozen is the values.
        let frozen = toml::to_string(&of_peft).expect("TOML");
        assert!(!frozen.contains("preset"), "{frozen}");
        assert_eq!(toml::to_string(&config(&frozen, "")).expect("TOML"), frozen);
    }

    #[test]
    fn an_adapter_to_start_from_says_what_it_is() {
        let table = |text: &str| toml::from_str::<FitTable>(text).expect("a table");
        let recipe = "rank = 8\nalpha = 8.0\nlr = 1.0";
        let beside = table(recipe).overridden_by(table("adapter = \"a\""));
        let config = FitConfig::from_table(beside).expect("settings");
        assert_eq!((config.rank, config.lr), (16, 1.0));
        let over = table("adapter = \"a\"").overridden_by(table("rank = 8"));
        let refused = FitConfig::from_table(over).expect_err("two ranks");
        assert!(matches!(refused, Error::Setting { key: "rank", .. }));
    }

    #[test]
    fn a_warm_up_is_a_share_or_steps_as_was_said_last() {
        let table = |text: &str| toml::from_str::<FitTable>(text).expect("a table");
        let of = |recipe: &str, flags: &str| {
            let table = table(recipe).overridden_by(table(flags));
            FitConfig::from_table(table).expect("settings").warmup
        };
        assert_eq!(of("", ""), Warmup::Share(0.05));
        assert_eq!(of("warmup = 0.1", "warmup-steps = 0"), Warmup::Steps(0));
        assert_eq!(of("warmup-steps = 7", "warmup = 1"), Warmup::Share(1.0));
        assert_eq!(of("warmup-steps = 7", ""), Warmup::Steps(7));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        for (text, named) in [
            ("rank = 0", "rank"),
            ("lr = -1.0", "lr"),
            ("lr = nan", "lr"),
            ("dropout = 1.0", "dropout"),
            ("clip = 0.0", "clip"),
            ("alpha = 0", "alpha"),
            ("micro-tokens = 0", "micro-tokens"),
            ("epochs = 4000000000", "epochs"),
            ("lora-plus-ratio = 0", "lora-plus-ratio"),
            ("adapter = \"a\"\ndora = true", "dora"),
            ("full = true\nlora-plus-ratio = 16", "full"),
            ("warmup = 10.0", "warmup"),
            ("warmup = -0.1", "warmup"),
            ("warmup = 0.1\nwarmup-steps = 3", "warmup-steps"),
            ("max-length = 1", "max-length"),
            ("full = true\ndropout = 0.1", "dropout"),
            ("save-every = 0", "save-every"),
            ("eval-rows = 0", "eval-rows"),
            ("keep = \"best\"\neval-every = 0", "keep"),
        ] {
            let table = toml::from_str(text).expect("a table");
            match FitConfig::from_table(table) {
                Err(Error::Setting { key, .. }) => assert_eq!(key, named, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        // A flag can say what TOML cannot.
        let table = FitTable {
            seed: Some(u64::MAX),
            ..FitTable::default()
        };
        let refused = FitConfig::from_table(table).expect_err("too large");
        assert!(matches!(refused, Error::Setting { key: "seed", .. }));
        assert!("0".parse::<BatchSize>().is_err());
        assert!("mean:".parse::<Init>().is_err());
        assert!("gpu".parse::<DeviceChoice>().is_err());
    }
}
