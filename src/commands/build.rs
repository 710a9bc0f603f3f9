//! `delia-build`: sources → normalize → dedupe → diversify → interleave → shards.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};

use datafusion::functions_aggregate::expr_fn::count;
use datafusion::prelude::{Expr, col, lit};

use crate::config::BuildConfig;
use crate::error::{Error, Result};
use crate::queries::{self, Bound};
use crate::report::{BuildReport, Outcome};
use crate::sample::{Kind, shard_schema};
use crate::shards::{
    FileEntry, Manifest, OutFolder, PLAN, Plan, RECIPE, RatioRows, ShardWriter, State, Versions,
    shard_name,
};
use crate::sources::{self, Access, Download, Source};
use crate::tables::{Engine, RawTable, lift, session};

use super::account;
use super::allot::allot;
use super::near;
use super::rejects;
use super::stages::{Stage, Stages, each_batch, register_columns};

/// Rows the procedural sampler generates for each one the ratio asks for: a choice, and room for what cleaning drops.
const ROWS_PER_DRAW: u64 = 2;

/// Rows of the pool for each one set aside, at the least: a small pool is not spent on measuring.
const MIN_POOL_PER_HELD_OUT: u64 = 10;

/// What a build is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A source elsewhere is on its way.
    Fetching(Download),
    /// Reading this source.
    Reading(String),
    /// Running this query.
    Query(&'static str),
    /// This many of so many rows are in shards.
    Writing {
        /// Rows written.
        done: u64,
        /// Rows in all.
        total: u64,
    },
}

/// How to treat what is there already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Permissions {
    /// Replace the build in the output folder.
    pub force: bool,
    /// Build although a source differs from the recipe's hash.
    pub accept_changed: bool,
}

/// Builds the shards that `config` describes into `out`.
///
/// The bytes written depend on `config`, the sources and this crate's version alone.
///
/// # Errors
/// Any [`Error`]; whatever it is, nothing of the user's is lost, and repeating the call goes on where it stopped.
pub async fn build(
    config: &BuildConfig,
    out: &Path,
    permissions: Permissions,
    engine: Engine,
    access: &Access,
    progress: &dyn Fn(Progress),
) -> Result<BuildReport> {
    let started = Instant::now();
    let fetching = |download| progress(Progress::Fetching(download));
    let sources = sources::resolve(config, permissions.accept_changed, access, &fetching).await?;
    let folder = OutFolder::lock(out)?;
    let recipe = config.freeze(sources::freeze(&sources, out)).to_toml();
    let report = |outcome, manifest| BuildReport {
        out: out.to_owned(),
        outcome,
        elapsed: started.elapsed(),
        manifest,
    };
    // What is to be replaced stays until the draw has succeeded.
    let replaces = permissions.force && folder.holds_a_build()?;
    if replaces {
        folder.make_stages()?;
    } else if let State::Complete(manifest) = folder.state(&recipe)? {
        return Ok(report(Outcome::UpToDate, *manifest));
    } else {
        folder.begin(&recipe)?;
    }
    let session = session(engine, &folder.stages())?;
    let mut line = Line {
        config,
        out,
        stages: Stages {
            session: &session,
            folder: folder.stages(),
        },
        sources,
        normalized: Vec::new(),
        progress,
    };
    let drawn = line.draw().await?;
    if replaces {
        folder.clear()?;
    }
    let recipe = folder.begin(&recipe)?;
    let plan = Plan::new(
        drawn.n_tasks,
        drawn.n_diverse(),
        config.rows_per_shard,
        &config.special_tokens,
    );
    let mut files = BTreeMap::from([
        (RECIPE.to_owned(), recipe),
        (PLAN.to_owned(), folder.write_plan(&plan)?),
    ]);
    files.extend(line.write_shards(&folder, &plan).await?);
    files.extend(account::write_files(&session, &folder, progress).await?);
    let manifest = line.manifest(&folder, &drawn, plan, files).await?;
    folder.finish(&manifest)?;
    Ok(report(Outcome::Built, manifest))
}

/// The production line: the session with the tables made so far.
struct Line<'a> {
    config: &'a BuildConfig,
    out: &'a Path,
    stages: Stages<'a>,
    /// In the order task, diverse, held out; a source's place is its `source_idx`.
    sources: Vec<Source>,
    /// The normalized rows of the sources read so far.
    normalized: Vec<(usize, Stage)>,
    progress: &'a dyn Fn(Progress),
}

/// How many rows of what are in the stream.
struct Drawn {
    n_tasks: u64,
    /// For every diverse source its `source_idx`, the rows in its pool, and the rows drawn.
    allotment: Vec<(usize, u64, u64)>,
}

impl Drawn {
    fn n_diverse(&self) -> u64 {
        self.allotment.iter().map(|(_, _, n_draws)| n_draws).sum()
    }
}

impl Line<'_> {
    /// Everything before the first shard: reads, cleans, draws and orders. Leaves the tables `normalized`, `deduped`, `pool`,
    /// `ordered` and `sources`.
    async fn draw(&mut self) -> Result<Drawn> {
        self.register_sources(&BTreeMap::new())?;
        // The task rows first: how many are left decides how many diverse rows are due.
        self.normalize(Kind::Task).await?;
        self.dedupe().await?;
        let n_tasks = self.count_first(Kind::Task).await?.values().sum();
        if n_tasks == 0 {
            rejects::check(self.stages.session, self.config.max_rejects).await?;
            return Err(Error::NoTasks {
                n_read: self.count("normalized", lit(true)).await?.values().sum(),
            });
        }
        let wanted = self.config.draws(n_tasks)?;
        let default_rows = wanted.saturating_mul(ROWS_PER_DRAW);
        self.sources = self
            .sources
            .drain(..)
            .map(|source| source.with_default_rows(default_rows))
            .collect();
        self.normalize(Kind::Diverse).await?;
        self.normalize(Kind::HeldOut).await?;
        rejects::check(self.stages.session, self.config.max_rejects).await?;
        let deduped = self.dedupe().await?;
        let near = self.dedupe_near(&deduped).await?;
        let pool = self.hold_out(&deduped, near.as_ref()).await?;
        let pools = self
            .count("pool", Expr::Not(Box::new(col("held_out"))))
            .await?;
        let diverse = self.places(Kind::Diverse);
        let sizes: Vec<u64> = diverse
            .iter()
            .map(|idx| pools.get(idx).copied().unwrap_or(0))
            .collect();
        let draws = allot(wanted, &sizes, self.config.on_exhausted)?;
        let drawn = Drawn {
            n_tasks,
            allotment: diverse
                .into_iter()
                .zip(sizes)
                .zip(draws)
                .map(|((a, b), c)| (a, b, c))
                .collect(),
        };
        self.interleave(&drawn, &deduped, &pool).await?;
        Ok(drawn)
    }

    async fn normalize(&mut self, kind: Kind) -> Result<()> {
        for source_idx in self.places(kind) {
            let source = &self.sources[source_idx];
            (self.progress)(Progress::Reading(source.name.clone()));
            let repair_mojibake = self.config.reading.repair_mojibake;
            let query = queries::normalize(source_idx, kind, repair_mojibake);
            let raw = RawTable::register(self.stages.session, source.clone());
            let raw = raw.map_err(lift(query.query.file()))?;
            let stage = self.stages.run(&query, &[&source.fingerprint()]).await;
            let stage = stage.map_err(|error| raw.failure().unwrap_or(error))?;
            self.normalized.push((source_idx, stage));
        }
        let stages: Vec<_> = self
            .normalized
            .iter()
            .map(|(_, stage)| stage.clone())
            .collect();
        self.stages.register("normalized", &stages).await
    }

    async fn dedupe(&self) -> Result<Stage> {
        let keys: Vec<_> = self
            .normalized
            .iter()
            .map(|(_, stage)| stage.key.as_str())
            .collect();
        self.run("deduped", &queries::dedupe_exact(), &keys).await
    }

    /// The rows that go as near-duplicates, in the table `near`.
    async fn dedupe_near(&self, deduped: &Stage) -> Result<Option<Stage>> {
        let near = &self.config.near;
        let Some(threshold) = near.threshold else {
            near::none(&self.stages)?;
            return Ok(None);
        };
        let seed = self.config.seed;
        near::find(&self.stages, near, threshold, seed, deduped, self.progress)
            .await
            .map(Some)
    }

    async fn hold_out(&self, deduped: &Stage, near: Option<&Stage>) -> Result<Stage> {
        let n_first: u64 = self.count_first(Kind::Diverse).await?.values().sum();
        let n_near: u64 = self.count("near", lit(true)).await?.values().sum();
        let n_kept = n_first - n_near;
        let n_rows = self
            .config
            .held_out_diverse
            .min(n_kept / MIN_POOL_PER_HELD_OUT);
        let near = near.map_or("none", |stage| stage.key.as_str());
        self.run("pool", &queries::hold_out(n_rows), &[&deduped.key, near])
            .await
    }

    async fn interleave(&self, drawn: &Drawn, deduped: &Stage, pool: &Stage) -> Result<()> {
        let config = self.config;
        self.register_allotment(drawn)?;
        let allotment = format!("{:?}", drawn.allotment);
        let draws = self
            .run(
                "drawn",
                &queries::diversify(config.seed),
                &[&pool.key, &allotment],
            )
            .await?;
        let ratio = config.draws_per_task()?.to_string();
        let query = queries::interleave(config.order, &ratio, config.seed);
        self.run("ordered", &query, &[&deduped.key, &draws.key])
            .await?;
        self.register_sources(&weights(drawn))
    }

    /// Runs a query as a stage and makes its rows a table.
    async fn run(&self, table: &'static str, query: &Bound, inputs: &[&str]) -> Result<Stage> {
        (self.progress)(Progress::Query(query.query.file()));
        let stage = self.stages.run(query, inputs).await?;
        self.stages
            .register(table, std::slice::from_ref(&stage))
            .await?;
        Ok(stage)
    }

    async fn write_shards(
        &self,
        folder: &OutFolder,
        plan: &Plan,
    ) -> Result<BTreeMap<String, FileEntry>> {
        let mut writer =
            ShardWriter::resume(folder.path(), &folder.stages().join("shards.jsonl"), plan)?;
        let query = queries::shards(writer.next_position());
        let rows = query.plan(self.stages.session).await?;
        each_batch(rows, &query, |batch| {
            let checked = RecordBatch::try_new(shard_schema(), batch.columns().to_vec());
            writer.push(&checked.map_err(|error| lift(query.query.file())(error.into()))?)?;
            (self.progress)(Progress::Writing {
                done: writer.next_position(),
                total: plan.rows,
            });
            Ok(())
        })
        .await?;
        let shards = writer.finish()?;
        let n_rows: u64 = shards.iter().filter_map(|shard| shard.rows).sum();
        assert_eq!(n_rows, plan.rows, "the stream holds every planned row once");
        Ok((0..).map(shard_name).zip(shards).collect())
    }

    async fn manifest(
        &self,
        folder: &OutFolder,
        drawn: &Drawn,
        plan: Plan,
        files: BTreeMap<String, FileEntry>,
    ) -> Result<Manifest> {
        let config = self.config;
        Ok(Manifest {
            format: Manifest::format(),
            versions: Versions {
                delia: env!("CARGO_PKG_VERSION").to_owned(),
                datafusion: datafusion::DATAFUSION_VERSION.to_owned(),
                arrow: arrow::ARROW_VERSION.to_owned(),
            },
            seed: config.seed,
            ratio: RatioRows {
                requested: config.ratio,
                iterations: config.iterations,
                requested_rows: config.draws(drawn.n_tasks)?,
                achieved_rows: drawn.n_diverse(),
                task_rows: drawn.n_tasks,
                achieved: drawn.n_diverse() as f64
                    / drawn.n_tasks as f64
                    / f64::from(config.iterations),
            },
            plan,
            sources: account::source_rows(self.stages.session, folder.path(), &self.sources)
                .await?,
            files,
        })
    }

    fn places(&self, kind: Kind) -> Vec<usize> {
        (0..self.sources.len())
            .filter(|&idx| self.sources[idx].kind == kind)
            .collect()
    }

    /// Rows by `source_idx` that are the first of their equals, for one kind of source.
    async fn count_first(&self, kind: Kind) -> Result<BTreeMap<usize, u64>> {
        let is_first = col("first_source_idx")
            .eq(col("source_idx"))
            .and(col("first_source_row").eq(col("source_row")));
        let mut counts = self.count("deduped", is_first).await?;
        counts.retain(|&idx, _| self.sources[idx].kind == kind);
        Ok(counts)
    }

    /// Rows of a table that meet a condition, by `source_idx`.
    async fn count(&self, table: &str, condition: Expr) -> Result<BTreeMap<usize, u64>> {
        let counted = async {
            let rows = self.stages.session.table(table).await?.filter(condition)?;
            rows.aggregate(vec![col("source_idx")], vec![count(lit(1)).alias("n")])?
                .collect()
                .await
        };
        let mut counts = BTreeMap::new();
        for batch in counted.await.map_err(lift("a count"))? {
            let places = batch["source_idx"].as_primitive::<arrow::datatypes::Int64Type>();
            let numbers = batch["n"].as_primitive::<arrow::datatypes::Int64Type>();
            counts.extend(
                places
                    .values()
                    .iter()
                    .zip(numbers.values())
                    .map(|(&idx, &n)| (idx as usize, n as u64)),
            );
        }
        Ok(counts)
    }

    fn register_sources(&self, weights: &BTreeMap<usize, f64>) -> Result<()> {
        let texts = |text: &dyn Fn(&Source) -> Option<String>| -> ArrayRef {
            Arc::new(self.sources.iter().map(text).collect::<StringArray>())
        };
        let columns: [(&str, ArrayRef); 7] = [
            (
                "source_idx",
                Arc::new(Int64Array::from_iter_values(0..self.sources.len() as i64)),
            ),
            ("name", texts(&|source| Some(source.name.clone()))),
            ("path", texts(&|source| Some(source.path_from(self.out)))),
            ("kind", texts(&|source| Some(source.kind.name().to_owned()))),
            ("blake3", texts(&|source| source.blake3.clone())),
            ("licence", texts(&|source| source.licence.clone())),
            (
                "weight",
                Arc::new(
                    (0..self.sources.len())
                        .map(|idx| weights.get(&idx).copied())
                        .collect::<Float64Array>(),
                ),
            ),
        ];
        register_columns(self.stages.session, "sources", columns)
    }

    fn register_allotment(&self, drawn: &Drawn) -> Result<()> {
        let column = |value: fn(&(usize, u64, u64)) -> i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(
                drawn.allotment.iter().map(value),
            ))
        };
        let columns: [(&str, ArrayRef); 3] = [
            (
                "source_idx",
                column(|(source_idx, _, _)| *source_idx as i64),
            ),
            ("n_pool", column(|(_, n_pool, _)| *n_pool as i64)),
            ("n_draws", column(|(_, _, n_draws)| *n_draws as i64)),
        ];
        register_columns(self.stages.session, "allotment", columns)
    }
}

/// The share of the diverse rows that each diverse source gives.
fn weights(drawn: &Drawn) -> BTreeMap<usize, f64> {
    let total = drawn.n_diverse();
    let share = |n_draws: u64| {
        if total == 0 {
            0.0
        } else {
            n_draws as f64 / total as f64
        }
    };
    drawn
        .allotment
        .iter()
        .map(|&(source_idx, _, n_draws)| (source_idx, share(n_draws)))
        .collect()
}
