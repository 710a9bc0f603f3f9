//! The production line of a build: sources → normalize → dedupe → reword → decontaminate → draw → order.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::prelude::{SessionContext, col, lit};
use futures::StreamExt;

use crate::config::{BuildConfig, Unit};
use crate::error::{Error, Result};
use crate::queries::{self, Bound};
use crate::sample::Kind;
use crate::shards::{FileEntry, Manifest, OutFolder, Plan, Versions};
use crate::sources::Source;
use crate::tables::{
    Engine, MeasuredOn, RawTable, Repeats, lift, register_may_repeat, register_may_share,
};

use super::account;
use super::allot::Supply;
use super::build::Progress;
use super::contract::{self, TokenSums};
use super::decontaminate::Decontamination;
use super::draw::{Draw, Drawn, Pool};
use super::model::Model;
use super::near;
use super::order::{self, Ordered};
use super::rejects;
use super::rewording::{self, Reworded};
use super::source_table::register_sources;
use super::stages::{Stage, Stages};
use super::tokens::{self, Tokens};

/// Rows the procedural sampler generates for each one the ratio asks for: a choice, and room for what cleaning drops.
const ROWS_PER_DRAW: u64 = 2;

/// Rows of the pool for each one set aside, at the least: a small pool is not spent on measuring.
const MIN_POOL_PER_HELD_OUT: u64 = 10;

/// The share of the memory in which it is noted which rows may be equal, and that for what rows measured on are recognised by.
const NOTES_SHARE: usize = 8;

/// The production line: the session with the tables made so far.
pub(super) struct Line<'a> {
    config: &'a BuildConfig,
    engine: &'a Engine,
    out: &'a Path,
    pub(super) stages: Stages<'a>,
    /// In the order task, diverse, held out, eval; a source's place is its `source_idx`.
    sources: Vec<Source>,
    /// The normalized rows of the sources read so far.
    normalized: Vec<(usize, Stage)>,
    /// Where a tokenizer is given.
    tokens: Option<Tokens>,
    /// Where there is anything to ask it.
    model: Option<&'a Model<'a>>,
    progress: &'a dyn Fn(Progress),
}

/// What is in the stream.
pub(super) struct Stream {
    /// Task rows that the ratio counts, in one pass.
    n_tasks: u64,
    drawn: Drawn,
    order: Ordered,
    reworded: Reworded,
    tokens: Option<TokenSums>,
}

impl Stream {
    /// What is to be said of the task rows, a sentence each.
    pub(super) fn notes(&self) -> &[String] {
        &self.reworded.notes
    }

    /// What decides the order.
    pub(super) fn order(&self) -> &str {
        &self.order.key
    }

    /// What will be written.
    pub(super) fn plan(&self, config: &BuildConfig) -> Plan {
        // Those that a staged order writes again included.
        let task_rows = match config.leave_out_task {
            true => 0,
            false => (self.n_tasks + self.order.n_again) * u64::from(config.passes),
        };
        let plan = Plan::new(
            task_rows,
            self.drawn.n_diverse(),
            config.rows_per_shard,
            &config.special_tokens,
        );
        plan.with_stages(self.order.stages.clone())
    }
}

impl<'a> Line<'a> {
    #[expect(
        clippy::too_many_arguments,
        reason = "a constructor of what the whole build shares, called twice"
    )]
    pub(super) fn new(
        config: &'a BuildConfig,
        engine: &'a Engine,
        out: &'a Path,
        session: &'a SessionContext,
        folder: &OutFolder,
        sources: Vec<Source>,
        tokens: Option<Tokens>,
        model: Option<&'a Model<'a>>,
        progress: &'a dyn Fn(Progress),
    ) -> Line<'a> {
        Line {
            config,
            engine,
            out,
            stages: Stages {
                session,
                folder: folder.stages(),
            },
            sources,
            normalized: Vec::new(),
            tokens,
            model,
            progress,
        }
    }
}

impl Line<'_> {
    /// Everything before the first shard: reads, cleans, rewords, draws and orders. Leaves the tables `normalized`, `firsts`,
    /// `tasks`, `pool`, `all_texts`, `ordered` and `sources`.
    pub(super) async fn draw(&mut self) -> Result<Stream> {
        register_sources(self.stages.session, &self.sources, self.out, None)?;
        // The task rows first: how many are left decides how many diverse rows are due.
        for kind in [Kind::Task, Kind::HeldOut, Kind::Eval] {
            self.normalize(kind).await?;
        }
        let mut decontamination = self.decontaminate_tasks().await?;
        let copies = self.dedupe(&decontamination).await?;
        if self.count("firsts").await?.is_empty() {
            rejects::check(self.stages.session, self.config.max_rejects).await?;
            let read = self.count("normalized").await?;
            let of_tasks = self.places(Kind::Task).into_iter();
            return Err(Error::NoTasks {
                n_read: of_tasks.filter_map(|idx| read.get(&idx)).sum(),
            });
        }
        let reworded = rewording::reword(
            &self.stages,
            self.config,
            &copies,
            self.model,
            self.progress,
        )
        .await?;
        let mut tasks = self.count("tasks").await?;
        let n_tasks = tasks.values().sum();
        let task_tokens = match &mut self.tokens {
            None => 0,
            Some(tokens) => {
                tokens.register(self.stages.session);
                tokens
                    .count(&self.stages, Kind::Task, &reworded.stage)
                    .await?;
                tokens.total(&self.stages)?
            }
        };
        let wanted = self.config.draws(match self.config.ratio_unit {
            Unit::Rows => n_tasks,
            Unit::Tokens => task_tokens,
        })?;
        self.default_rows(wanted)?;
        self.normalize(Kind::Diverse).await?;
        rejects::check(self.stages.session, self.config.max_rejects).await?;
        let copies = self.dedupe(&decontamination).await?;
        if let Some(tokens) = &mut self.tokens {
            tokens.count(&self.stages, Kind::Diverse, &copies).await?;
        }
        let near = self.dedupe_near(&copies).await?;
        self.decontaminate(&mut decontamination, &copies, &near)
            .await?;
        self.stages.view("kept", &queries::kept()).await?;
        let kept = self.count("kept").await?;
        let set_aside = self
            .hold_out(kept.values().sum(), &copies, &near, &decontamination)
            .await?;
        self.stages.view("pool", &queries::pool()).await?;
        let n_set_aside = self.count("set_aside").await?;
        let pools = self.places(Kind::Diverse).into_iter().map(|source_idx| {
            let of = |counts: &BTreeMap<_, _>| counts.get(&source_idx).copied().unwrap_or(0);
            let n_rows = of(&kept) - of(&n_set_aside);
            Pool {
                source_idx,
                n_rows,
                supply: Supply {
                    name: self.sources[source_idx].name.clone(),
                    pool: n_rows,
                    mix: self.sources[source_idx].mix,
                },
            }
        });
        let draw = Draw {
            stages: &self.stages,
            config: self.config,
            pool: &set_aside.key,
            progress: self.progress,
        };
        let drawn = draw.run(wanted, pools.collect()).await?;
        if self.config.leave_out_task {
            tasks.clear();
            if drawn.n_diverse() == 0 {
                return Err(Error::Setting {
                    key: "leave-out-task",
                    problem: "the task samples are left out, and the ratio is too small to draw anything for them".to_owned(),
                    hint: "give a larger `--ratio`".to_owned(),
                });
            }
        }
        let order = order::interleave(
            &self.stages,
            self.config,
            &tasks,
            &drawn,
            &reworded.stage,
            self.progress,
        )
        .await?;
        register_sources(
            self.stages.session,
            &self.sources,
            self.out,
            Some((&drawn, self.config.ratio_unit)),
        )?;
        let tokens = match &self.tokens {
            None => None,
            Some(_) => Some(TokenSums {
                task: task_tokens,
                by_source: tokens::by_source(&self.stages, &queries::used_tokens()).await?,
            }),
        };
        self.stages.view("all_texts", &queries::texts()).await?;
        Ok(Stream {
            n_tasks,
            drawn,
            order,
            reworded,
            tokens,
        })
    }

    /// Gives generators without a number of rows as many as the draws ask for.
    fn default_rows(&mut self, wanted: u64) -> Result<()> {
        let wanted = wanted.saturating_mul(self.config.passes.into());
        for source in &mut self.sources {
            let draws = match &self.tokens {
                Some(tokens)
                    if self.config.ratio_unit == Unit::Tokens && source.follows_ratio() =>
                {
                    tokens.rows_of(source, wanted)?
                }
                _ => wanted,
            };
            let n_rows = draws.saturating_mul(ROWS_PER_DRAW);
            *source = source.clone().with_default_rows(n_rows);
        }
        Ok(())
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

    /// The keys of the normalized rows, those of one kind alone where one is named.
    fn normalized_keys(&self, kind: Option<Kind>) -> Vec<&str> {
        let stages = self.normalized.iter();
        stages
            .filter(|(idx, _)| kind.is_none_or(|kind| self.sources[*idx].kind == kind))
            .map(|(_, stage)| stage.key.as_str())
            .collect()
    }

    /// What task rows are compared with before they are counted; those that go are in the table `contaminated`.
    async fn decontaminate_tasks(&self) -> Result<Decontamination> {
        let held_out: Vec<_> = self
            .normalized
            .iter()
            .filter(|(idx, _)| matches!(self.sources[*idx].kind, Kind::HeldOut | Kind::Eval))
            .map(|(_, stage)| stage)
            .collect();
        let overlap = self.config.overlap;
        let mut begun = Decontamination::begin(
            &self.stages,
            overlap,
            &held_out,
            self.engine.memory_bytes / NOTES_SHARE,
            self.progress,
        )
        .await?;
        let rows = self.normalized_keys(Some(Kind::Task));
        begun
            .compare(&self.stages, Kind::Task, &rows, self.progress)
            .await?;
        Ok(begun)
    }

    /// Adds the diverse rows that go to the table `contaminated`.
    async fn decontaminate(
        &self,
        begun: &mut Decontamination,
        copies: &Stage,
        near: &Stage,
    ) -> Result<()> {
        let rows = [copies.key.as_str(), near.key.as_str()];
        begun
            .compare(&self.stages, Kind::Diverse, &rows, self.progress)
            .await?;
        register_may_share(self.stages.session, MeasuredOn::default());
        Ok(())
    }

    /// Leaves the tables `copies`, the rows that are equal to an earlier one, and `firsts`, those that are not.
    async fn dedupe(&self, decontamination: &Decontamination) -> Result<Stage> {
        self.stages.view("usable", &queries::usable()).await?;
        // What is read through a view is decided by its text too.
        let views = [queries::usable(), queries::firsts()].map(|view| view.fingerprint());
        let mut keys = self.normalized_keys(None);
        keys.extend(decontamination.keys());
        keys.extend(views.iter().map(String::as_str));
        let query = queries::dedupe_exact();
        if !self.stages.is_finished(&query, &keys) {
            let repeats = self.repeats().await?;
            register_may_repeat(self.stages.session, repeats);
        }
        let copies = self.run("copies", &query, &keys).await?;
        register_may_repeat(self.stages.session, Repeats::default());
        self.stages.view("firsts", &queries::firsts()).await?;
        Ok(copies)
    }

    /// Which of the usable rows may be equal to another.
    async fn repeats(&self) -> Result<Repeats> {
        let mut n_rows = 0;
        for (_, stage) in &self.normalized {
            n_rows += self.stages.n_rows(stage)?;
        }
        let mut repeats = Repeats::for_rows(n_rows, self.engine.memory_bytes / NOTES_SHARE);
        let each = async |repeats: &mut Repeats| {
            let ids = self.stages.session.table("usable").await?;
            let mut batches = ids.select_columns(&["sample_id"])?.execute_stream().await?;
            while let Some(batch) = batches.next().await {
                let batch = batch?;
                let ids = batch["sample_id"].as_fixed_size_binary();
                ids.iter().flatten().for_each(|id| repeats.add(id));
            }
            Ok(())
        };
        each(&mut repeats).await.map_err(lift("usable"))?;
        Ok(repeats)
    }

    /// The rows that go as near-duplicates, in the table `near`.
    async fn dedupe_near(&self, copies: &Stage) -> Result<Stage> {
        let near = &self.config.near;
        let Some(threshold) = near.threshold else {
            return near::none(&self.stages).await;
        };
        let (seed, bytes_max) = (self.config.seed, self.engine.memory_bytes / 2);
        near::find(
            &self.stages,
            near,
            threshold,
            seed,
            bytes_max,
            copies,
            self.progress,
        )
        .await
    }

    /// Sets some of `n_kept` diverse rows aside, in the table `set_aside`.
    async fn hold_out(
        &self,
        n_kept: u64,
        copies: &Stage,
        near: &Stage,
        decontamination: &Decontamination,
    ) -> Result<Stage> {
        let n_rows = self
            .config
            .held_out_diverse
            .min(n_kept / MIN_POOL_PER_HELD_OUT);
        let views = [queries::kept(), queries::pool()].map(|view| view.fingerprint());
        let mut inputs = vec![copies.key.as_str(), near.key.as_str()];
        inputs.extend(decontamination.keys());
        inputs.extend(views.iter().map(String::as_str));
        self.run("set_aside", &queries::hold_out(n_rows), &inputs)
            .await
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

    pub(super) async fn manifest(
        &self,
        folder: &OutFolder,
        stream: &Stream,
        plan: Plan,
        files: BTreeMap<String, FileEntry>,
    ) -> Result<Manifest> {
        let config = self.config;
        let (drawn, tokens) = (&stream.drawn, stream.tokens.as_ref());
        let mut sources =
            account::source_rows(self.stages.session, folder.path(), &self.sources).await?;
        let mixes: Vec<_> = self.sources.iter().map(|source| source.mix).collect();
        contract::add_mix(&mut sources, &mixes, config, drawn, tokens);
        Ok(Manifest {
            format: Manifest::format(),
            versions: Versions {
                delia: env!("CARGO_PKG_VERSION").to_owned(),
                datafusion: datafusion::DATAFUSION_VERSION.to_owned(),
                arrow: arrow::ARROW_VERSION.to_owned(),
            },
            seed: config.seed,
            ratio: contract::ratio_rows(
                config,
                stream.n_tasks,
                stream.order.n_again,
                drawn,
                tokens,
            )?,
            rewording: Some(rewording::measured(&self.stages, config, &stream.reworded).await?),
            plan,
            sources,
            files,
        })
    }

    fn places(&self, kind: Kind) -> Vec<usize> {
        (0..self.sources.len())
            .filter(|&idx| self.sources[idx].kind == kind)
            .collect()
    }

    /// Rows of a table, by `source_idx`.
    async fn count(&self, table: &str) -> Result<BTreeMap<usize, u64>> {
        let counted = async {
            let rows = self.stages.session.table(table).await?;
            rows.aggregate(vec![col("source_idx")], vec![count(lit(1)).alias("n")])?
                .collect()
                .await
        };
        let mut counts = BTreeMap::new();
        for batch in counted.await.map_err(lift("a count"))? {
            let places = batch["source_idx"].as_primitive::<Int64Type>();
            let numbers = batch["n"].as_primitive::<Int64Type>();
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
}
