//! What a person asks a command for: typed, checked once, frozen, saved.
//!
//! A [`Recipe`] is what was typed, on the command line and in a recipe file; every part of it may be missing. A
//! [`BuildConfig`] is what is meant: complete, checked, and the only thing the rooms below ever see. The defaults of
//! a build stand on this page, those of a fit in `preset` and `fit`.

mod export;
mod fit;
mod fit_table;
mod fit_values;
mod hub;
mod keeping;
mod llm;
mod mix;
mod near;
mod overlap;
mod preset;
mod ratio;
mod reading;
mod recipe;
mod rewording;
mod schedule;
mod shards_at;
mod share;
mod spec;
mod template;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub use export::{Export, ShardSize};
pub use fit::FitConfig;
pub use fit_table::{FitTable, OF_ADAPTER};
pub use fit_values::{
    BatchSize, DeviceChoice, Init, LossNorm, LossOn, QuantizeBase, Recompute, Targets, TooLong,
};
pub use hub::HubDataset;
pub use keeping::{EvalEvery, Keep};
pub use llm::{Caps, DEFAULT_ANSWER_TOKENS, DEFAULT_TEMPERATURE, LlmConfig, Prices};
pub use mix::{Mix, MixFlags, Weight};
pub use near::{DedupeOn, Near, NearConfig, NearMethod, Shingle};
pub use overlap::Overlap;
pub use preset::Preset;
pub use ratio::{MAX_ROWS, Ratio, RatioError, largest_remainder, largest_remainder_within};
pub use reading::{MaxRejects, Reading, Turns};
pub use recipe::{BuildTable, Recipe};
pub use rewording::{Reword, RewordConfig, SplitPrompt};
pub use schedule::{Decay, Warmup};
pub use shards_at::{ShardsAt, shown};
pub use share::Share;
pub use spec::{ColumnMap, Role, SourceEntry, SourceSpec};
pub use template::TemplateChoice;

/// The task set of a build that names none.
pub const DEFAULT_TASK: &str = "bundled:formatted_text";
/// The held-out rows that belong to [`DEFAULT_TASK`].
pub const DEFAULT_TASK_HELD_OUT: &str = "bundled:formatted_text_held_out";
/// The token that stands for the format in [`DEFAULT_TASK`].
pub const DEFAULT_TASK_SPECIAL_TOKEN: &str = "<sep>";
/// The diverse source of a build that names none.
pub const DEFAULT_DIVERSE: &str = "procedural";
/// How often the draw after each task sample is repeated; the paper lists it and does not use it.
pub const DEFAULT_ITERATIONS: u32 = 1;
/// Differently drawn passes over the task samples.
pub const DEFAULT_PASSES: u32 = 1;
/// The most there may be: more than any training reads.
pub const MAX_PASSES: u32 = 10_000;
/// Rows in a shard: small enough to look at, large enough that 10 million rows are 611 files.
pub const DEFAULT_ROWS_PER_SHARD: u64 = 16_384;
/// Diverse rows set aside to measure on; never more than a tenth of the pool.
pub const DEFAULT_HELD_OUT_DIVERSE: u64 = 500;

/// Everything that decides the bytes of a build, and whether there is one.
#[derive(Clone, Debug)]
pub struct BuildConfig {
    /// Where task samples come from, in the order in which the first of equal samples wins.
    pub task: Vec<SourceEntry>,
    /// The language model to ask, if one is named.
    pub llm: Option<LlmConfig>,
    /// How the instructions of task samples are reworded.
    pub rewording: RewordConfig,
    /// Whether the task samples are left out of the stream whose draws they decide.
    pub leave_out_task: bool,
    /// Where diverse samples come from; task samples win over them.
    pub diverse: Vec<SourceEntry>,
    /// Task samples kept away from training.
    pub held_out: Vec<SourceEntry>,
    /// Samples of benchmarks, whose prompts are kept out of the shards.
    pub eval: Vec<SourceEntry>,
    /// From how many shared words in a row on a diverse row overlaps with a held-out one.
    pub overlap: Overlap,
    /// Diverse rows set aside to measure on; a pool gives at most a tenth.
    pub held_out_diverse: u64,
    /// Diverse samples per task sample and iteration, or tokens of them per token.
    pub ratio: Ratio,
    /// What the ratio counts.
    pub ratio_unit: Unit,
    /// Where the tokenizer is that counts tokens, and its BLAKE3 when the recipe was frozen.
    pub tokenizer: Option<PathBuf>,
    /// BLAKE3 of the tokenizer when the recipe was frozen.
    pub tokenizer_blake3: Option<String>,
    /// How often the draw after each task sample is repeated.
    pub iterations: u32,
    /// How often the whole stream is drawn anew.
    pub passes: u32,
    /// Which diverse rows are drawn first.
    pub select: Select,
    /// The order of the stream.
    pub order: Order,
    /// In a staged order: the task rows that the diverse stage holds again.
    pub stage_share: Share,
    /// In a stratified order: rows that hold the mix.
    pub batch_size: BatchSize,
    /// Seed of every random choice.
    pub seed: u64,
    /// What counts as a near-duplicate.
    pub near: NearConfig,
    /// Rows in every shard but the last.
    pub rows_per_shard: u64,
    /// What happens when the ratio asks for more diverse samples than there are.
    pub on_exhausted: Exhausted,
    /// Tokens the fit adds to the vocabulary.
    pub special_tokens: Vec<String>,
    /// Columns to read where their names are not recognised.
    pub map: Vec<ColumnMap>,
    /// How records are read.
    pub reading: Reading,
    /// How many records may be unusable.
    pub max_rejects: MaxRejects,
    /// Tables of the recipe that belong to other commands; they travel with the frozen recipe.
    pub others: OtherTables,
}

/// Recipe tables this command carries along unread.
#[derive(Clone, Debug, Default)]
pub struct OtherTables {
    /// `[fit]`
    pub fit: Option<FitTable>,
    /// `[eval]`
    pub eval: Option<toml::Table>,
}

/// The order in which the stream holds its samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// A seeded uniform shuffle of all samples, as in the paper's experiments
    #[default]
    Shuffled,
    /// Algorithm 1 to the letter: every task sample, followed by its own draws
    Strict,
    /// First all task samples, then the diverse ones with a share of the task samples again (DMT), each stage shuffled
    Staged,
    /// Shuffled, but every batch holds every source in its share, to the row
    Stratified,
}

impl Order {
    /// The name in recipes and SQL parameters.
    pub fn name(self) -> &'static str {
        match self {
            Order::Shuffled => "shuffled",
            Order::Strict => "strict",
            Order::Staged => "staged",
            Order::Stratified => "stratified",
        }
    }
}

/// Which diverse samples are drawn first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Select {
    /// Every sample is equally likely, as in the paper
    #[default]
    Random,
    /// The clusters of a source take turns, so that rare kinds of prompts come early
    Diverse,
}

impl Select {
    /// The name in recipes and SQL parameters.
    pub fn name(self) -> &'static str {
        match self {
            Select::Random => "random",
            Select::Diverse => "diverse",
        }
    }
}

/// What a ratio counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Samples.
    #[default]
    Rows,
    /// Tokens of instruction, input and output.
    Tokens,
}

impl Unit {
    /// The name in messages and in the manifest.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Rows => "rows",
            Unit::Tokens => "tokens",
        }
    }
}

/// What happens when the ratio asks for more diverse samples than there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Exhausted {
    /// Use the whole pool once per pass, and in the last pass the first rows of its own seeded order
    #[default]
    Repeat,
    /// Stop with an error
    Error,
    /// Empty the sources one after the other, in the order given; stop with an error after the last
    TopUp,
}

impl BuildConfig {
    /// Fills in the defaults and checks what was asked for.
    ///
    /// # Errors
    /// [`Error::Setting`] for a value that cannot be meant, named by its key.
    pub fn from_recipe(recipe: Recipe) -> Result<BuildConfig> {
        let Recipe {
            build, fit, eval, ..
        } = recipe;
        let build = build.unwrap_or_default();
        if build.ratio.is_some() && build.ratio_tokens.is_some() {
            return Err(Error::Setting {
                key: "ratio-tokens",
                problem: "the ratio is given in rows and in tokens".to_owned(),
                hint: "take one of `--ratio` and `--ratio-tokens`".to_owned(),
            });
        }
        let llm = LlmConfig::new(&build)?;
        let rewording = RewordConfig::new(&build)?;
        let own_task = build.task.iter().any(|entry| entry.path != DEFAULT_TASK);
        let default_to = |entries: Vec<SourceEntry>, default: Option<&str>| match default {
            Some(default) if entries.is_empty() => vec![SourceEntry::from_spec(default)],
            _ => entries,
        };
        let config = BuildConfig {
            task: default_to(build.task, Some(DEFAULT_TASK)),
            llm,
            rewording,
            leave_out_task: build.leave_out_task.unwrap_or(false),
            diverse: default_to(build.diverse, Some(DEFAULT_DIVERSE)),
            held_out: default_to(build.held_out, (!own_task).then_some(DEFAULT_TASK_HELD_OUT)),
            eval: build.eval,
            overlap: build.overlap_ngram.unwrap_or_default(),
            held_out_diverse: build.held_out_diverse.unwrap_or(DEFAULT_HELD_OUT_DIVERSE),
            ratio: build.ratio.or(build.ratio_tokens).unwrap_or(Ratio::PAPER),
            ratio_unit: match build.ratio_tokens {
                Some(_) => Unit::Tokens,
                None => Unit::Rows,
            },
            tokenizer: build.tokenizer,
            tokenizer_blake3: build.tokenizer_blake3,
            iterations: build.iterations.unwrap_or(DEFAULT_ITERATIONS),
            passes: build.passes.unwrap_or(DEFAULT_PASSES),
            select: build.select.unwrap_or_default(),
            order: build.order.unwrap_or_default(),
            stage_share: build.stage_share.unwrap_or_default(),
            batch_size: build.batch_size.unwrap_or_default(),
            seed: build.seed.unwrap_or(0),
            near: NearConfig::new(
                build.near,
                build.near_method,
                build.near_permutations,
                build.shingle,
                build.dedupe_on,
            )?,
            rows_per_shard: build.rows_per_shard.unwrap_or(DEFAULT_ROWS_PER_SHARD),
            on_exhausted: build.on_exhausted.unwrap_or_default(),
            special_tokens: match build.special_token {
                Some(tokens) => tokens,
                None if own_task => Vec::new(),
                None => vec![DEFAULT_TASK_SPECIAL_TOKEN.to_owned()],
            },
            map: build.map,
            reading: Reading {
                turns: build.turns.unwrap_or_default(),
                repair_encoding: build.repair_encoding.unwrap_or(false),
                repair_mojibake: build.repair_mojibake.unwrap_or(false),
            },
            max_rejects: build.max_rejects.unwrap_or_default(),
            others: OtherTables { fit, eval },
        };
        config.check()?;
        Ok(config)
    }

    /// Diverse samples per task sample over all iterations: r·k.
    pub fn draws_per_task(&self) -> Result<Ratio> {
        self.ratio
            .times(self.iterations)
            .ok_or_else(|| Error::Setting {
                key: "iterations",
                problem: format!(
                    "{} iterations at ratio {} are more than 10^12 rows",
                    self.iterations, self.ratio
                ),
                hint: "a build has at most 10^12 rows".to_owned(),
            })
    }

    /// Diverse rows due for `n_tasks` task rows, or tokens for so many tokens: `round(r·k·n_tasks)`, half up.
    pub fn draws(&self, n_tasks: u64) -> Result<u64> {
        self.draws_per_task()?
            .draws(n_tasks)
            .ok_or_else(|| Error::Setting {
                key: "ratio",
                problem: format!(
                    "{} × {} diverse {unit} for {n_tasks} task {unit} are more than 10^12",
                    self.ratio,
                    self.iterations,
                    unit = self.ratio_unit.name()
                ),
                hint: "a build has at most 10^12 rows".to_owned(),
            })
    }

    /// The frozen recipe: every default written out, sources as resolved.
    pub fn freeze(&self, resolved: ResolvedEntries) -> Recipe {
        let mut recipe = Recipe {
            delia: Some(env!("CARGO_PKG_VERSION").to_owned()),
            build: Some(BuildTable {
                ratio: (self.ratio_unit == Unit::Rows).then_some(self.ratio),
                ratio_tokens: (self.ratio_unit == Unit::Tokens).then_some(self.ratio),
                tokenizer: self.tokenizer.clone(),
                tokenizer_blake3: self.tokenizer_blake3.clone(),
                iterations: Some(self.iterations),
                passes: Some(self.passes),
                select: Some(self.select),
                order: Some(self.order),
                stage_share: Some(self.stage_share),
                batch_size: Some(self.batch_size),
                seed: Some(self.seed),
                near: Some(self.near.near()),
                near_method: Some(self.near.method),
                near_permutations: Some(self.near.permutations),
                shingle: Some(self.near.shingle),
                dedupe_on: Some(self.near.on),
                on_exhausted: Some(self.on_exhausted),
                rows_per_shard: Some(self.rows_per_shard),
                special_token: Some(self.special_tokens.clone()),
                overlap_ngram: Some(self.overlap),
                held_out_diverse: Some(self.held_out_diverse),
                turns: Some(self.reading.turns),
                repair_encoding: Some(self.reading.repair_encoding),
                repair_mojibake: Some(self.reading.repair_mojibake),
                max_rejects: Some(self.max_rejects),
                leave_out_task: Some(self.leave_out_task),
                map: self.map.clone(),
                task: resolved.task,
                diverse: resolved.diverse,
                held_out: resolved.held_out,
                eval: resolved.eval,
                ..BuildTable::default()
            }),
            fit: self.others.fit.clone(),
            eval: self.others.eval.clone(),
        };
        if let Some(table) = &mut recipe.build {
            self.rewording.freeze(table);
            if let Some(llm) = &self.llm {
                llm.freeze(table);
            }
        }
        recipe
    }

    /// The language model to ask.
    ///
    /// # Errors
    /// Where none is named.
    pub fn llm(&self) -> Result<&LlmConfig> {
        self.llm.as_ref().ok_or_else(|| Error::Setting {
            key: "endpoint",
            problem: "a language model is to be asked, and no server is named".to_owned(),
            hint: "`--endpoint http://localhost:8000/v1 --llm-model NAME` names one that speaks OpenAI's protocol".to_owned(),
        })
    }

    fn check(&self) -> Result<()> {
        let setting = |key, problem: String, hint: &str| {
            Err(Error::Setting {
                key,
                problem,
                hint: hint.to_owned(),
            })
        };
        if self.iterations == 0 {
            return setting(
                "iterations",
                "at least 1, got 0".to_owned(),
                "`--ratio 0` leaves the diverse samples out",
            );
        }
        if self.rows_per_shard == 0 || self.rows_per_shard > MAX_ROWS {
            return setting(
                "rows-per-shard",
                format!("between 1 and 10^12, got {}", self.rows_per_shard),
                "the default is 16384",
            );
        }
        if self.passes == 0 || self.passes > MAX_PASSES {
            return setting(
                "passes",
                format!("between 1 and {MAX_PASSES}, got {}", self.passes),
                "the default is 1",
            );
        }
        if self.ratio_unit == Unit::Tokens && self.tokenizer.is_none() {
            return setting(
                "ratio-tokens",
                "no tokenizer is given to count tokens with".to_owned(),
                "`--tokenizer DIR` names the folder of a model, or its `tokenizer.json`",
            );
        }
        if self.ratio_unit == Unit::Tokens && self.order == Order::Strict {
            return setting(
                "order",
                "`strict` makes its draws by the row, `--ratio-tokens` counts tokens".to_owned(),
                "take `--ratio`, or another order",
            );
        }
        if self.leave_out_task && self.draws_per_task()?.scaled() == 0 {
            return setting(
                "leave-out-task",
                "the task samples are left out, and a ratio of 0 draws nothing".to_owned(),
                "give a `--ratio` above 0",
            );
        }
        if self.leave_out_task && self.order == Order::Staged {
            return setting(
                "order",
                "`staged` puts the task samples first, `--leave-out-task` leaves them out"
                    .to_owned(),
                "take another order",
            );
        }
        mix::check(&self.diverse)?;
        mix::check_undrawn(&self.task)?;
        mix::check_undrawn(&self.held_out)?;
        check_special_tokens(&self.special_tokens)?;
        self.draws_per_task()?;
        Ok(())
    }
}

/// Refuses tokens nobody could see, and the same token twice.
fn check_special_tokens(tokens: &[String]) -> Result<()> {
    let refuse = |problem: String, hint: &str| {
        Err(Error::Setting {
            key: "special-token",
            problem,
            hint: hint.to_owned(),
        })
    };
    for (nth, token) in tokens.iter().enumerate() {
        if token.trim().is_empty() {
            let problem = format!("a token has at least one visible character, got `{token}`");
            return refuse(problem, "such as `<sep>`");
        }
        if tokens[..nth].contains(token) {
            return refuse(format!("`{token}` is given twice"), "name every token once");
        }
    }
    Ok(())
}

/// The source entries of a frozen recipe.
#[derive(Clone, Debug, Default)]
pub struct ResolvedEntries {
    /// Task sources.
    pub task: Vec<SourceEntry>,
    /// Diverse sources.
    pub diverse: Vec<SourceEntry>,
    /// Held-out sources.
    pub held_out: Vec<SourceEntry>,
    /// Benchmarks.
    pub eval: Vec<SourceEntry>,
}

/// Names and texts of the recipes that come with the crate.
pub const BUNDLED_RECIPES: &[(&str, &str)] = &[
    ("delia", include_str!("../../data/recipes/delia.toml")),
    ("common", include_str!("../../data/recipes/common.toml")),
    (
        "without-diverse",
        include_str!("../../data/recipes/without-diverse.toml"),
    ),
    (
        "without-reword",
        include_str!("../../data/recipes/without-reword.toml"),
    ),
    (
        "without-both",
        include_str!("../../data/recipes/without-both.toml"),
    ),
    (
        "diverse-only",
        include_str!("../../data/recipes/diverse-only.toml"),
    ),
    (
        "fact-based",
        include_str!("../../data/recipes/fact-based.toml"),
    ),
    ("dmt", include_str!("../../data/recipes/dmt.toml")),
    ("tell", include_str!("../../data/recipes/tell.toml")),
    (
        "self-guide",
        include_str!("../../data/recipes/self-guide.toml"),
    ),
    (
        "reflection",
        include_str!("../../data/recipes/reflection.toml"),
    ),
];
