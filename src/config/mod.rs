//! What a person asks a command for: typed, checked once, frozen, saved.
//!
//! A [`Recipe`] is what was typed, on the command line and in a recipe file; every part of it may be missing. A
//! [`BuildConfig`] is what is meant: complete, checked, and the only thing the rooms below ever see. All defaults stand on
//! this page.

mod fit;
mod fit_values;
mod hub;
mod near;
mod ratio;
mod reading;
mod recipe;
mod spec;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub use fit::{FitConfig, FitTable};
pub use fit_values::{BatchSize, DeviceChoice, Init, LossOn, TooLong};
pub use hub::HubDataset;
pub use near::{DedupeOn, Near, NearConfig, NearMethod, Shingle};
pub use ratio::{MAX_ROWS, Ratio, RatioError, largest_remainder};
pub use reading::{MaxRejects, Reading, Turns};
pub use recipe::{BuildTable, Recipe};
pub use spec::{ColumnMap, Role, SourceEntry, SourceSpec};

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
/// Rows in a shard: small enough to look at, large enough that 10 million rows are 611 files.
pub const DEFAULT_ROWS_PER_SHARD: u64 = 16_384;
/// Diverse rows set aside to measure on; never more than a tenth of the pool.
pub const DEFAULT_HELD_OUT_DIVERSE: u64 = 500;

/// Everything that decides the bytes of a build, and nothing that does not.
#[derive(Clone, Debug)]
pub struct BuildConfig {
    /// Where task samples come from, in the order in which the first of equal samples wins.
    pub task: Vec<SourceEntry>,
    /// Where diverse samples come from; task samples win over them.
    pub diverse: Vec<SourceEntry>,
    /// Task samples kept away from training.
    pub held_out: Vec<SourceEntry>,
    /// Diverse rows set aside to measure on; a pool gives at most a tenth.
    pub held_out_diverse: u64,
    /// Diverse samples per task sample and iteration.
    pub ratio: Ratio,
    /// How often the draw after each task sample is repeated.
    pub iterations: u32,
    /// The order of the stream.
    pub order: Order,
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
}

impl Order {
    /// The name in recipes and SQL parameters.
    pub fn name(self) -> &'static str {
        match self {
            Order::Shuffled => "shuffled",
            Order::Strict => "strict",
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
        let own_task = build.task.iter().any(|entry| entry.path != DEFAULT_TASK);
        let default_to = |entries: Vec<SourceEntry>, default: Option<&str>| match default {
            Some(default) if entries.is_empty() => vec![SourceEntry::from_spec(default)],
            _ => entries,
        };
        let config = BuildConfig {
            task: default_to(build.task, Some(DEFAULT_TASK)),
            diverse: default_to(build.diverse, Some(DEFAULT_DIVERSE)),
            held_out: default_to(build.held_out, (!own_task).then_some(DEFAULT_TASK_HELD_OUT)),
            held_out_diverse: build.held_out_diverse.unwrap_or(DEFAULT_HELD_OUT_DIVERSE),
            ratio: build.ratio.unwrap_or(Ratio::PAPER),
            iterations: build.iterations.unwrap_or(DEFAULT_ITERATIONS),
            order: build.order.unwrap_or_default(),
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

    /// Diverse rows due for `n_tasks` task rows: `round(r·k·n_tasks)`, half up.
    pub fn draws(&self, n_tasks: u64) -> Result<u64> {
        self.draws_per_task()?
            .draws(n_tasks)
            .ok_or_else(|| Error::Setting {
                key: "ratio",
                problem: format!(
                    "{} × {} diverse rows for {n_tasks} task rows are more than 10^12",
                    self.ratio, self.iterations
                ),
                hint: "a build has at most 10^12 rows".to_owned(),
            })
    }

    /// The frozen recipe: every default written out, sources as resolved.
    pub fn freeze(&self, resolved: ResolvedEntries) -> Recipe {
        Recipe {
            delia: Some(env!("CARGO_PKG_VERSION").to_owned()),
            build: Some(BuildTable {
                ratio: Some(self.ratio),
                iterations: Some(self.iterations),
                order: Some(self.order),
                seed: Some(self.seed),
                near: Some(self.near.near()),
                near_method: Some(self.near.method),
                near_permutations: Some(self.near.permutations),
                shingle: Some(self.near.shingle),
                dedupe_on: Some(self.near.on),
                on_exhausted: Some(self.on_exhausted),
                rows_per_shard: Some(self.rows_per_shard),
                special_token: Some(self.special_tokens.clone()),
                held_out_diverse: Some(self.held_out_diverse),
                turns: Some(self.reading.turns),
                repair_encoding: Some(self.reading.repair_encoding),
                repair_mojibake: Some(self.reading.repair_mojibake),
                max_rejects: Some(self.max_rejects),
                map: self.map.clone(),
                task: resolved.task,
                diverse: resolved.diverse,
                held_out: resolved.held_out,
            }),
            fit: self.others.fit.clone(),
            eval: self.others.eval.clone(),
        }
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
}

/// Names and texts of the recipes that come with the crate.
pub const BUNDLED_RECIPES: &[(&str, &str)] =
    &[("delia", include_str!("../../data/recipes/delia.toml"))];
