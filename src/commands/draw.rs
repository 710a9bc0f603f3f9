//! Which diverse samples are used: how many of each source in each pass, and which.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::Int64Type;

use crate::config::{BuildConfig, Select, Unit};
use crate::error::Result;
use crate::queries;

use super::allot::{Parts, Supply, allot};
use super::build::Progress;
use super::nearest::Nearest;
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

/// The queries of the draw, over the tables `pool` and `normalized`.
pub(super) struct Draw<'a> {
    pub(super) stages: &'a Stages<'a>,
    pub(super) config: &'a BuildConfig,
    pub(super) pool: &'a Stage,
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
            Unit::Rows => {
                let draws = by_source(&parts);
                let totals = draws.iter().map(|draws| draws.iter().sum()).collect();
                self.rank(&places, totals).await?;
                draws
            }
            Unit::Tokens => {
                // As many whole rounds as hold what is due, and one more for the row that comes nearest.
                let rounds = |(nth, &(_, n_rows)): (usize, &(usize, u64))| {
                    let due: u64 = parts.passes.iter().map(|pass| pass[nth]).sum();
                    due.checked_div(supplies[nth].pool)
                        .map_or(0, |full| (full + 1) * n_rows)
                };
                let totals = places.iter().enumerate().map(rounds).collect();
                self.rank(&places, totals).await?;
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
        register_spans(self.stages, &spans)?;
        let query = queries::draws();
        (self.progress)(Progress::Query(query.query.file()));
        let ranking = queries::diversify(config.select, config.seed).fingerprint();
        let inputs = [&self.pool.key, &clusters, &ranking, &format!("{spans:?}")];
        let stage = self.stages.run(&query, &inputs.map(String::as_str)).await?;
        self.stages
            .register("drawn", std::slice::from_ref(&stage))
            .await?;
        Ok(Drawn { sources, stage })
    }

    /// Leaves the table `clusters`, empty where none are asked for, and says what decides it.
    async fn cluster(&self) -> Result<String> {
        if self.config.select == Select::Random {
            let none = || Arc::new(Int64Array::from_iter_values([]));
            let rows = Arc::new(arrow::array::UInt64Array::from_iter_values([]));
            let columns: [(&str, ArrayRef); 4] = [
                ("source_idx", none()),
                ("source_row", Arc::clone(&rows) as _),
                ("cluster", Arc::clone(&rows) as _),
                ("opening", rows),
            ];
            register_columns(self.stages.session, "clusters", columns)?;
            return Ok("none".to_owned());
        }
        let query = queries::clusters(self.config.seed);
        (self.progress)(Progress::Query(query.query.file()));
        let stage = self.stages.run(&query, &[&self.pool.key]).await?;
        self.stages
            .register("clusters", std::slice::from_ref(&stage))
            .await?;
        Ok(stage.key)
    }

    /// Makes `50_diversify.sql` the view `ranked`, so far as each source is to be ranked.
    async fn rank(&self, places: &[(usize, u64)], n_draws: Vec<u64>) -> Result<()> {
        let column = |numbers: Vec<u64>| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(
                numbers.into_iter().map(|n| n as i64),
            ))
        };
        let columns = [
            (
                "source_idx",
                column(places.iter().map(|place| place.0 as u64).collect()),
            ),
            (
                "n_pool",
                column(places.iter().map(|place| place.1).collect()),
            ),
            ("n_draws", column(n_draws)),
        ];
        register_columns(self.stages.session, "supply", columns)?;
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

/// The draws of a source and a pass, as far as they are in one round through the source's pool.
#[derive(Debug, PartialEq, Eq)]
struct Span {
    source_idx: usize,
    round: u64,
    pass: usize,
    /// The first draw of the pass, in this round or an earlier one.
    first_nth: u64,
    n_draws: u64,
    /// Draws of all sources in earlier passes.
    n_before: u64,
}

fn spans(sources: &[SourceDraws]) -> Vec<Span> {
    let mut spans = Vec::new();
    for source in sources {
        let mut first_nth = 0;
        for (pass, &n_draws) in source.draws.iter().enumerate() {
            let earlier = |other: &SourceDraws| other.draws[..pass].iter().sum::<u64>();
            let n_before = sources.iter().map(earlier).sum();
            if n_draws > 0 {
                let rounds = first_nth / source.n_pool..=(first_nth + n_draws - 1) / source.n_pool;
                spans.extend(rounds.map(|round| Span {
                    source_idx: source.source_idx,
                    round,
                    pass,
                    first_nth,
                    n_draws,
                    n_before,
                }));
            }
            first_nth += n_draws;
        }
    }
    spans
}

fn register_spans(stages: &Stages<'_>, spans: &[Span]) -> Result<()> {
    let column = |value: fn(&Span) -> u64| -> ArrayRef {
        let values = spans.iter().map(|span| value(span) as i64);
        Arc::new(Int64Array::from_iter_values(values))
    };
    let columns = [
        ("source_idx", column(|span| span.source_idx as u64)),
        ("round", column(|span| span.round)),
        ("pass", column(|span| span.pass as u64)),
        ("first_nth", column(|span| span.first_nth)),
        ("n_draws", column(|span| span.n_draws)),
        ("n_before", column(|span| span.n_before)),
    ];
    register_columns(stages.session, "allotment", columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_reaches_into_every_round_it_draws_from() {
        let source = |source_idx, n_pool, draws: &[u64]| SourceDraws {
            source_idx,
            n_pool,
            requested: 0,
            draws: draws.to_vec(),
        };
        let spans = spans(&[source(3, 5, &[4, 4, 0]), source(4, 100, &[1, 2, 3])]);
        let found: Vec<_> = spans
            .iter()
            .map(|span| {
                (
                    span.source_idx,
                    span.round,
                    span.pass,
                    span.first_nth,
                    span.n_before,
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                (3, 0, 0, 0, 0),
                (3, 0, 1, 4, 5),
                (3, 1, 1, 4, 5),
                (4, 0, 0, 0, 0),
                (4, 0, 1, 1, 5),
                (4, 0, 2, 3, 11)
            ]
        );
    }
}
