//! Which diverse samples are used: how many of each source in each pass, and which.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int64Type};

use crate::config::{BuildConfig, Order, Select, Unit};
use crate::error::Result;
use crate::queries;
use crate::sample::sample_id_type;

use super::allot::{Parts, Supply, allot};
use super::build::Progress;
use super::nearest::Nearest;
use super::rounds::{Round, leave_whole_unranked, register_rounds, register_spans, rounds, spans};
use super::stages::{Stage, Stages, each_batch, register_columns};
use super::tokens;

/// A diverse source with its pool.
pub(super) struct Pool {
    pub(super) source_idx: usize,
    /// Rows.
    pub(super) n_rows: u64,
    /// Its name, what was asked of it, and what its pool holds in the unit of the ratio.
    pub(super) supply: Supply,
}

/// What was drawn.
pub(super) struct Drawn {
    pub(super) sources: Vec<SourceDraws>,
    /// The table `drawn`.
    pub(super) stage: Stage,
}

/// What was drawn from one source.
pub(super) struct SourceDraws {
    pub(super) source_idx: usize,
    pub(super) n_pool: u64,
    /// What its weight asks of it over all passes, in the unit of the ratio.
    pub(super) requested: u64,
    /// Rows drawn, by pass.
    pub(super) draws: Vec<u64>,
}

impl SourceDraws {
    /// Rows drawn over all passes.
    pub(super) fn n_draws(&self) -> u64 {
        self.draws.iter().sum()
    }
}

impl Drawn {
    /// Rows drawn over all passes.
    pub(super) fn n_diverse(&self) -> u64 {
        self.sources.iter().map(SourceDraws::n_draws).sum()
    }

    /// Rows drawn in one pass.
    pub(super) fn n_of_pass(&self, pass: usize) -> u64 {
        self.sources.iter().map(|source| source.draws[pass]).sum()
    }
}

/// The queries of the draw, over the table `pool`.
pub(super) struct Draw<'a> {
    pub(super) stages: &'a Stages<'a>,
    pub(super) config: &'a BuildConfig,
    /// What decides the pool.
    pub(super) pool: &'a str,
    pub(super) progress: &'a dyn Fn(Progress),
}

impl Draw<'_> {
    /// Draws `wanted` rows or tokens a pass; leaves the table `drawn`.
    ///
    /// # Errors
    /// Those of [`allot`], and when a query fails.
    pub(super) async fn run(&self, wanted: u64, mut pools: Vec<Pool>) -> Result<Drawn> {
        let config = self.config;
        if config.ratio_unit == Unit::Tokens {
            let sums = tokens::by_source(self.stages, &queries::pool_tokens()).await?;
            for pool in &mut pools {
                pool.supply.pool = sums.get(&pool.source_idx).copied().unwrap_or(0);
            }
        }
        let (places, supplies): (Vec<(usize, u64)>, Vec<Supply>) = pools
            .into_iter()
            .map(|pool| ((pool.source_idx, pool.n_rows), pool.supply))
            .unzip();
        let parts = allot(
            wanted,
            &supplies,
            config.on_exhausted,
            config.passes,
            config.ratio_unit,
        )?;
        let clusters = self.cluster().await?;
        let draws = match config.ratio_unit {
            Unit::Rows => by_source(&parts),
            Unit::Tokens => {
                // As many whole rounds as hold what is due, and one more for the row that comes nearest.
                let whole_rounds = |(nth, &(_, n_rows)): (usize, &(usize, u64))| {
                    let due: u64 = parts.passes.iter().map(|pass| pass[nth]).sum();
                    due.checked_div(supplies[nth].pool)
                        .map_or(0, |full| (full + 1) * n_rows)
                };
                let totals = places.iter().enumerate().map(whole_rounds).collect();
                self.rank(&rounds(&places, totals)).await?;
                self.nearest(&places, &parts).await?
            }
        };
        let sources: Vec<SourceDraws> = places
            .iter()
            .zip(&parts.requested)
            .zip(draws)
            .map(|((&(source_idx, n_pool), &requested), draws)| SourceDraws {
                source_idx,
                n_pool,
                requested,
                draws,
            })
            .collect();
        let spans = spans(&sources);
        register_spans(self.stages.session, &spans)?;
        if config.ratio_unit == Unit::Rows {
            let totals = sources.iter().map(SourceDraws::n_draws).collect();
            let mut rounds = rounds(&places, totals);
            // A strict order asks when in its round a sample is drawn.
            if config.order != Order::Strict {
                leave_whole_unranked(&mut rounds, &spans);
            }
            self.rank(&rounds).await?;
        }
        let query = queries::draws(config.order);
        (self.progress)(Progress::Query(query.query.file()));
        let ranking = queries::diversify(config.select, config.seed).fingerprint();
        let spans = format!("{spans:?}");
        let inputs = [self.pool, &clusters, &ranking, &spans];
        let stage = self.stages.run(&query, &inputs).await?;
        self.stages
            .register("drawn", std::slice::from_ref(&stage))
            .await?;
        Ok(Drawn { sources, stage })
    }

    /// Leaves the table `clusters`, empty where none are asked for, and says what decides it.
    async fn cluster(&self) -> Result<String> {
        if self.config.select == Select::Random {
            let none = |data_type| arrow::array::new_empty_array(&data_type);
            let rows = none(DataType::UInt64);
            let columns: [(&str, ArrayRef); 5] = [
                ("source_idx", none(DataType::Int64)),
                ("source_row", Arc::clone(&rows) as _),
                ("sample_id", none(sample_id_type())),
                ("cluster", Arc::clone(&rows) as _),
                ("opening", rows),
            ];
            register_columns(self.stages.session, "clusters", columns)?;
            return Ok("none".to_owned());
        }
        let query = queries::clusters(self.config.seed);
        (self.progress)(Progress::Query(query.query.file()));
        let stage = self.stages.run(&query, &[self.pool]).await?;
        self.stages
            .register("clusters", std::slice::from_ref(&stage))
            .await?;
        Ok(stage.key)
    }

    /// Makes `50_diversify.sql` the view `ranked`, so far as these rounds are to be ranked.
    async fn rank(&self, rounds: &[Round]) -> Result<()> {
        register_rounds(self.stages.session, rounds)?;
        let query = queries::diversify(self.config.select, self.config.seed);
        (self.progress)(Progress::Query(query.query.file()));
        self.stages.view("ranked", &query).await
    }

    /// The draws of each source and pass that come nearest to the tokens due.
    async fn nearest(&self, places: &[(usize, u64)], parts: &Parts) -> Result<Vec<Vec<u64>>> {
        let mut walks: Vec<Nearest> = (0..places.len())
            .map(|nth| Nearest::new(parts.passes.iter().map(|pass| pass[nth])))
            .collect();
        let query = queries::draw_tokens();
        (self.progress)(Progress::Query(query.query.file()));
        each_batch(
            self.stages.session,
            query.plan(self.stages.session).await?,
            &query,
            |batch| {
                let number = |column: &str| batch[column].as_primitive::<Int64Type>();
                for (&source_idx, &n_tokens) in number("source_idx")
                    .values()
                    .iter()
                    .zip(number("n_tokens").values())
                {
                    let nth = places
                        .iter()
                        .position(|place| place.0 == source_idx as usize);
                    walks[nth.expect("ranked sources are those of the pool")].draw(n_tokens as u64);
                }
                Ok(())
            },
        )
        .await?;
        Ok(walks.into_iter().map(Nearest::draws).collect())
    }
}

/// From a row a pass to a row a source.
fn by_source(parts: &Parts) -> Vec<Vec<u64>> {
    let n_sources = parts.requested.len();
    let of_source = |nth: usize| parts.passes.iter().map(|pass| pass[nth]).collect();
    (0..n_sources).map(of_source).collect()
}
