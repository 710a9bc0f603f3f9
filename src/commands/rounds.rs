//! Rounds through the pools: no sample is drawn twice before all of its source have been drawn once.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, UInt64Array};
use datafusion::prelude::SessionContext;

use crate::error::Result;

use super::draw::SourceDraws;
use super::stages::register_columns;

/// The draws of a source and a pass, as far as they are in one round through the source's pool.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Span {
    source_idx: usize,
    round: u64,
    pass: usize,
    /// The first draw of the pass, in this round or an earlier one.
    first_nth: u64,
    n_draws: u64,
    /// Draws of all sources in earlier passes.
    n_before: u64,
}

/// The spans of these draws.
pub(super) fn spans(sources: &[SourceDraws]) -> Vec<Span> {
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

/// Makes them the table `allotment`.
///
/// # Errors
/// When the session refuses it.
pub(super) fn register_spans(session: &SessionContext, spans: &[Span]) -> Result<()> {
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
    register_columns(session, "allotment", columns)
}

/// One time through the pool of a source.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Round {
    source_idx: usize,
    round: u64,
    n_pool: u64,
    /// Samples that are drawn in it.
    n_draws: u64,
    /// A random selection finds its draws among the samples with a hash up to this.
    most_hash: u64,
    /// All of it is drawn in one pass, and nobody asks in which order.
    is_whole: bool,
}

/// The rounds that so many draws of each place take. A place is a source and the rows of its pool.
pub(super) fn rounds(places: &[(usize, u64)], n_draws: Vec<u64>) -> Vec<Round> {
    let mut rounds = Vec::new();
    for (&(source_idx, n_pool), n_draws) in places.iter().zip(n_draws) {
        let mut n_before = 0;
        while n_before < n_draws {
            let n_drawn = n_pool.min(n_draws - n_before);
            rounds.push(Round {
                source_idx,
                round: n_before / n_pool,
                n_pool,
                n_draws: n_drawn,
                most_hash: most_hash(n_drawn, n_pool),
                is_whole: false,
            });
            n_before += n_drawn;
        }
    }
    rounds
}

/// The rounds that one pass draws from the first sample to the last need no ranks.
pub(super) fn leave_whole_unranked(rounds: &mut [Round], spans: &[Span]) {
    for round in rounds {
        let first_nth = round.round * round.n_pool;
        let covers = |span: &&Span| {
            span.first_nth <= first_nth && first_nth + round.n_pool <= span.first_nth + span.n_draws
        };
        let mut of_round = (spans.iter())
            .filter(|span| (span.source_idx, span.round) == (round.source_idx, round.round));
        round.is_whole = of_round.any(|span| covers(&span));
    }
}

/// A bound that at least `n_drawn` of `n_pool` random hashes do not exceed, but for a chance of less than 10⁻²⁰ (Chernoff:
/// that a sum with the mean μ falls to n has at most the probability exp(−(μ − n)² / 2μ)). Only those need be sorted.
fn most_hash(n_drawn: u64, n_pool: u64) -> u64 {
    let n = n_drawn as f64;
    let mean = n + 12.0 * n.sqrt() + 100.0;
    if mean >= n_pool as f64 {
        return u64::MAX;
    }
    (mean / n_pool as f64 * u64::MAX as f64) as u64
}

/// Makes them the table `rounds`.
///
/// # Errors
/// When the session refuses it.
pub(super) fn register_rounds(session: &SessionContext, rounds: &[Round]) -> Result<()> {
    let column = |value: fn(&Round) -> u64| -> ArrayRef {
        let values = rounds.iter().map(|round| value(round) as i64);
        Arc::new(Int64Array::from_iter_values(values))
    };
    let most_hash = rounds.iter().map(|round| round.most_hash);
    let is_whole: BooleanArray = rounds.iter().map(|round| Some(round.is_whole)).collect();
    let columns = [
        ("source_idx", column(|round| round.source_idx as u64)),
        ("round", column(|round| round.round)),
        ("n_pool", column(|round| round.n_pool)),
        ("n_draws", column(|round| round.n_draws)),
        (
            "most_hash",
            Arc::new(UInt64Array::from_iter_values(most_hash)) as _,
        ),
        ("is_whole", Arc::new(is_whole) as _),
    ];
    register_columns(session, "rounds", columns)
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

    #[test]
    fn a_round_goes_once_through_the_pool_and_whole_ones_need_no_ranks() {
        let shown = |rounds: &[Round]| -> Vec<(usize, u64, u64, bool)> {
            rounds
                .iter()
                .map(|round| (round.source_idx, round.round, round.n_draws, round.is_whole))
                .collect()
        };
        let mut rounds = rounds(&[(3, 5), (4, 0), (5, 100)], vec![12, 0, 7]);
        let expected = [
            (3, 0, 5, false),
            (3, 1, 5, false),
            (3, 2, 2, false),
            (5, 0, 7, false),
        ];
        assert_eq!(shown(&rounds), expected);
        let source = |source_idx, n_pool, draws: &[u64]| SourceDraws {
            source_idx,
            n_pool,
            requested: 0,
            draws: draws.to_vec(),
        };
        // The second round is divided among two passes.
        let spans = spans(&[source(3, 5, &[8, 4]), source(5, 100, &[7, 0])]);
        leave_whole_unranked(&mut rounds, &spans);
        let expected = [
            (3, 0, 5, true),
            (3, 1, 5, false),
            (3, 2, 2, false),
            (5, 0, 7, false),
        ];
        assert_eq!(shown(&rounds), expected);
    }

    #[test]
    fn enough_samples_have_a_hash_within_the_bound_and_not_many_more() {
        assert_eq!(most_hash(1_000, 1_000), u64::MAX);
        assert_eq!(most_hash(1, 50), u64::MAX);
        for (n_drawn, n_pool) in [
            (1, 10_000),
            (50, 10_000),
            (2_000, 10_000),
            (52_000, 1_000_000),
        ] {
            let bound = most_hash(n_drawn, n_pool);
            for seed in 0..5_u64 {
                let hash =
                    |row: &u64| xxhash_rust::xxh3::xxh3_64_with_seed(&row.to_le_bytes(), seed);
                let within = (0..n_pool).filter(|row| hash(row) <= bound).count() as f64;
                assert!(within >= n_drawn as f64, "{n_drawn} of {n_pool}");
                assert!(within <= n_drawn as f64 + 30.0 * (n_drawn as f64).sqrt() + 200.0);
            }
        }
    }
}
