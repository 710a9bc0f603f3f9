//! What a build says about itself: the plan before the first shard, the manifest after the last.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::{Ratio, Reword, Unit, Weight};
use crate::error::{Error, Result};
use crate::sample::Kind;

use super::file::FileEntry;

/// The frozen recipe, written first.
pub const RECIPE: &str = "recipe.toml";
/// The plan, written when the draw is fixed.
pub const PLAN: &str = "plan.json";
/// The manifest, written last.
pub const MANIFEST: &str = "manifest.json";

/// Counted up when a reader of older files would misread newer ones.
const FORMAT: u32 = 1;

/// The file name of a shard.
pub fn shard_name(shard_idx: u64) -> String {
    format!("{shard_idx:05}.parquet")
}

/// What will be written, known before the first shard is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of this file's layout.
    pub format: u32,
    /// Rows over all shards.
    pub rows: u64,
    /// Task rows among them.
    pub task_rows: u64,
    /// Diverse rows among them.
    pub diverse_rows: u64,
    /// Shards.
    pub shards: u64,
    /// Rows in every shard but the last.
    pub rows_per_shard: u64,
    /// Tokens the fit adds to the vocabulary.
    pub special_tokens: Vec<String>,
    /// Stretches of the stream that are trained one after the other, each with its first position.
    pub stages: Vec<StageEntry>,
}

/// A stretch of the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageEntry {
    /// What it is called.
    pub name: String,
    /// Its first row.
    pub first_position: u64,
}

impl StageEntry {
    /// Whether optimiser and schedule begin anew with it (DMT, Dong et al. 2023): what is only another pass goes on as an epoch does.
    pub fn begins_anew(&self) -> bool {
        !self.name.starts_with("pass ") || self.name.contains('/')
    }
}

impl Plan {
    /// The same stream with other stages.
    #[must_use]
    pub fn with_stages(self, stages: Vec<StageEntry>) -> Plan {
        Plan { stages, ..self }
    }

    /// The plan of a stream of one stage.
    pub fn new(
        task_rows: u64,
        diverse_rows: u64,
        rows_per_shard: u64,
        special_tokens: &[String],
    ) -> Plan {
        let rows = task_rows + diverse_rows;
        Plan {
            format: FORMAT,
            rows,
            task_rows,
            diverse_rows,
            shards: rows.div_ceil(rows_per_shard),
            rows_per_shard,
            special_tokens: special_tokens.to_vec(),
            stages: vec![StageEntry {
                name: "all".to_owned(),
                first_position: 0,
            }],
        }
    }

    /// The plan of an unfinished build, where it got that far.
    pub(super) fn read(folder: &Path) -> Result<Option<Plan>> {
        read_json(&folder.join(PLAN))
    }

    /// The plan in the text of `path`.
    ///
    /// # Errors
    /// [`Error::Manifest`] where it cannot be parsed, [`Error::Damaged`] where it contradicts itself.
    pub(super) fn parse(path: &Path, text: &[u8]) -> Result<Plan> {
        let plan: Plan = parse(path, text)?;
        plan.check(path)?;
        Ok(plan)
    }

    fn has_stages_in_order(&self) -> bool {
        let firsts: Vec<u64> = self
            .stages
            .iter()
            .map(|stage| stage.first_position)
            .collect();
        firsts.first() == Some(&0)
            && firsts.is_sorted()
            && firsts.last().is_some_and(|last| last <= &self.rows)
    }

    /// Nothing is divided by 0, and no shard is looked for that nobody wrote.
    fn check(&self, path: &Path) -> Result<()> {
        let problem = if self.format != FORMAT {
            format!("its layout is {}, this version reads {FORMAT}", self.format)
        } else if self.rows_per_shard == 0
            || self.shards != self.rows.div_ceil(self.rows_per_shard)
            || self.task_rows > self.rows
        {
            "the numbers of its plan contradict each other".to_owned()
        } else if self.rows == 0 {
            "its stream has no row".to_owned()
        } else if !self.has_stages_in_order() {
            "the stages of its plan do not follow each other from the first row on".to_owned()
        } else {
            return Ok(());
        };
        Err(Error::Damaged {
            path: path.to_owned(),
            problem,
        })
    }
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this file's layout.
    pub format: u32,
    /// What wrote it.
    pub versions: Versions,
    /// Seed of every random choice.
    pub seed: u64,
    /// The ratio, requested and achieved.
    pub ratio: RatioRows,
    /// How the task rows are worded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewording: Option<Rewording>,
    /// The plan, as in `plan.json`.
    pub plan: Plan,
    /// Rows in, kept, dropped, used, for every source.
    pub sources: Vec<SourceRows>,
    /// Every file of the build by its path in the folder, shards included.
    pub files: BTreeMap<String, FileEntry>,
}

/// How the instructions of the task rows are worded. Rows are those of one pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rewording {
    /// What made new wordings.
    pub method: Reword,
    /// New wordings of each sample that were asked for.
    pub variants: u32,
    /// Whether the original wording was to stand beside them.
    pub keep_original: bool,
    /// Rows in the original wording.
    pub original_rows: u64,
    /// New wordings that were asked for and could not be made, or stood there already.
    #[serde(default)]
    pub missing: u64,
    /// Rows by the direction they are reworded in.
    pub directions: BTreeMap<String, u64>,
    /// Wordings of a language model that broke a rule and were replaced, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub replaced: BTreeMap<String, u64>,
    /// How far the instructions lie apart as they were …
    pub original: Option<Spread>,
    /// … and as they stand in the stream.
    pub stream: Option<Spread>,
}

/// How far instructions lie apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Task rows.
    pub rows: u64,
    /// Different instructions among them.
    pub instructions: u64,
    /// Different words for each word there is (distinct-1, Li et al. 2016).
    pub distinct_1: Option<f64>,
    /// The same of two words in a row.
    pub distinct_2: Option<f64>,
    /// Mean of 1 − Jaccard similarity of the words of two instructions.
    pub mean_distance: Option<f64>,
    /// Pairs that were compared.
    pub pairs: u64,
}

/// Versions whose change may change bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// This crate.
    pub delia: String,
    /// The query engine.
    pub datafusion: String,
    /// The columnar format and its Parquet writer.
    pub arrow: String,
}

/// The ratio as a contract: what was asked for and what the shards hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RatioRows {
    /// Diverse samples per task sample, or tokens per token, as asked for.
    pub requested: Ratio,
    /// What was asked for.
    #[serde(default)]
    pub unit: Unit,
    /// How often the draw is repeated.
    pub iterations: u32,
    /// Differently drawn passes; all numbers below are over all of them.
    #[serde(default = "one")]
    pub passes: u32,
    /// Diverse rows asked for: `round(requested · iterations · task rows of a pass) · passes`; none where tokens were.
    pub requested_rows: Option<u64>,
    /// Diverse rows written.
    pub achieved_rows: u64,
    /// Task rows that the ratio counts.
    pub task_rows: u64,
    /// Task rows that a staged order wrote again, beside them.
    #[serde(default)]
    pub again_rows: u64,
    /// Diverse rows written for each task row and iteration.
    pub achieved: f64,
    /// The same in tokens, where a tokenizer was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<RatioTokens>,
}

/// The ratio in tokens of instruction, input and output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RatioTokens {
    /// `round(requested · iterations · task tokens of a pass) · passes`: what was asked for, where the ratio counts tokens.
    pub requested_tokens: u64,
    /// Tokens of the diverse rows written.
    pub achieved_tokens: u64,
    /// Tokens of the task rows that the ratio counts.
    pub task_tokens: u64,
    /// Diverse tokens for each task token and iteration; none where the task has no token.
    pub achieved: Option<f64>,
}

/// What was asked of a diverse source, over all passes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MixRows {
    /// Its weight, as asked for; without weights every sample is equally likely.
    pub weight: Option<Weight>,
    /// The most it was to give to a pass, in the unit of the ratio.
    pub cap: Option<u64>,
    /// Sources of one group share one weight and one cap.
    pub group: Option<u32>,
    /// Rows its weight asks for, were there neither caps nor ends of pools.
    pub requested_rows: Option<u64>,
    /// The same in tokens, where the ratio counts them.
    pub requested_tokens: Option<u64>,
    /// Rows it gave.
    pub achieved_rows: u64,
    /// Rows it gave to each pass.
    pub achieved_by_pass: Vec<u64>,
}

fn one() -> u32 {
    1
}

/// What became of a source's rows: `rows_in = kept + dropped`, `kept = used + unused + held_out`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceRows {
    /// The value of the `source` column.
    pub source: String,
    /// Path as in the recipe, or the generator.
    pub path: String,
    /// What its samples are for.
    pub kind: Kind,
    /// BLAKE3 of the file in hex; none for a generator.
    pub blake3: Option<String>,
    /// The licence its owner states.
    pub licence: Option<String>,
    /// Share of the diverse rows.
    pub weight: Option<f64>,
    /// Records read.
    pub rows_in: u64,
    /// Rows that survived cleaning.
    pub kept: u64,
    /// Rows that did not.
    pub dropped: u64,
    /// Dropped rows by reason.
    pub dropped_by_reason: BTreeMap<String, u64>,
    /// Rows read, dropped ones included, by what else is to be said of them: `system_message`, `multi_turn`,
    /// `turns_left_out`, `tool_message`, `repaired_encoding`, `repaired_mojibake`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub marks: BTreeMap<String, u64>,
    /// Kept rows that the draw did not need.
    pub unused: u64,
    /// Kept rows that stand in the shards, each counted once.
    pub used: u64,
    /// Kept rows set aside to measure on.
    pub held_out: u64,
    /// Further times that used rows stand in the shards.
    pub repeats: u64,
    /// Rows of the shards that are a further wording of a used row.
    #[serde(default)]
    pub variants: u64,
    /// What was asked of it, for a diverse source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mix: Option<MixRows>,
    /// Tokens of its rows in the shards, where a tokenizer was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Kept task rows that share words in a row with a held-out or eval row.
    #[serde(default)]
    pub overlaps: u64,
}

impl Manifest {
    /// Reads the manifest of a finished build.
    ///
    /// # Errors
    /// [`Error::NoManifest`] where there is none, [`Error::Manifest`] where it cannot be parsed.
    pub fn read(folder: &Path) -> Result<Manifest> {
        Manifest::read_if_complete(folder)?.ok_or_else(|| Error::NoManifest {
            path: folder.to_owned(),
        })
    }

    /// Reads the manifest, compares every file's size with it, and thus finds torn or missing shards.
    ///
    /// # Errors
    /// Those of [`Manifest::read`], and [`Error::Damaged`].
    pub fn open(folder: &Path) -> Result<Manifest> {
        if !folder.is_dir() {
            let source = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(Error::Read {
                path: folder.to_owned(),
                source,
            });
        }
        let manifest = Manifest::read(folder)?;
        manifest.plan.check(&folder.join(MANIFEST))?;
        for (name, entry) in &manifest.files {
            entry.verify_size(&folder.join(name))?;
        }
        Ok(manifest)
    }

    /// The manifest, or `None` for a build that is not complete.
    pub(super) fn read_if_complete(folder: &Path) -> Result<Option<Manifest>> {
        read_json(&folder.join(MANIFEST))
    }

    /// The manifest in the text of `path`.
    ///
    /// # Errors
    /// [`Error::Manifest`] where it cannot be parsed, [`Error::Damaged`] where it contradicts itself.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Manifest> {
        let manifest: Manifest = parse(path, text)?;
        manifest.plan.check(path)?;
        Ok(manifest)
    }

    /// What it says of a shard.
    pub fn shard(&self, shard_idx: u64) -> Option<&FileEntry> {
        self.files.get(&shard_name(shard_idx))
    }

    /// Which build it is; see [`build_id`].
    pub fn build_id(&self) -> Option<String> {
        let (recipe, plan) = (self.files.get(RECIPE)?, self.files.get(PLAN)?);
        Some(build_id(&recipe.blake3, &plan.blake3))
    }

    /// The layout version this crate writes.
    pub fn format() -> u32 {
        FORMAT
    }
}

/// Which build it is, known before its manifest is written: a hash over those of the recipe, which names seed and sources,
/// and of the plan. The same recipe gives the same shards.
pub fn build_id(recipe_blake3: &str, plan_blake3: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(recipe_blake3.as_bytes());
    hasher.update(plan_blake3.as_bytes());
    hasher.finalize().to_hex().to_string()
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(Error::read(path))?,
    };
    parse(path, &text).map(Some)
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, text: &[u8]) -> Result<T> {
    serde_json::from_slice(text).map_err(|source| Error::Manifest {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_cannot_be_is_refused() {
        let whole = Plan::new(10, 90, 16, &[]);
        let place = Path::new(PLAN);
        whole.check(place).expect("a plan of ours");
        let stages = |firsts: &[u64]| {
            let entries = firsts.iter().map(|&first_position| StageEntry {
                name: "a".to_owned(),
                first_position,
            });
            whole.clone().with_stages(entries.collect())
        };
        stages(&[0, 40, 100])
            .check(place)
            .expect("the last one is empty");
        for (plan, problem) in [
            (Plan::new(0, 0, 16, &[]), "no row"),
            (stages(&[]), "stages"),
            (stages(&[3, 40]), "stages"),
            (stages(&[0, 40, 39]), "stages"),
            (stages(&[0, 1 << 60]), "stages"),
        ] {
            match plan.check(place) {
                Err(Error::Damaged { problem: found, .. }) => {
                    assert!(found.contains(problem), "{found}");
                }
                other => panic!("{plan:?}: {other:?}"),
            }
        }
    }
}
