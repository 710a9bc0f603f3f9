//! The order of the stream: what each order needs to know besides the draws, and the stages it makes.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};

use crate::config::{BuildConfig, Order};
use crate::error::Result;
use crate::queries;
use crate::shards::StageEntry;

use super::build::Progress;
use super::draw::Drawn;
use super::stages::{Stage, Stages, register_columns};

/// What the order added to the draws.
pub(super) struct Ordered {
    /// The key of the stage that holds the order.
    pub(super) key: String,
    /// Task rows that the second stage of each pass holds again.
    pub(super) n_again: u64,
    /// Stretches of the stream, with their first positions.
    pub(super) stages: Vec<StageEntry>,
}

/// Orders the stream; leaves the tables `ordered` and `repeats`. `tasks` counts the task rows of each source that stand in it.
///
/// # Errors
/// When the query fails.
pub(super) async fn interleave(
    stages: &Stages<'_>,
    config: &BuildConfig,
    tasks: &BTreeMap<usize, u64>,
    drawn: &Drawn,
    task_rows: &Stage,
    progress: &dyn Fn(Progress),
) -> Result<Ordered> {
    let n_tasks: u64 = tasks.values().sum();
    let n_again = match config.order {
        Order::Staged if drawn.n_diverse() > 0 => config.stage_share.of(n_tasks),
        _ => 0,
    };
    let strata = match config.order {
        Order::Stratified => strata(config, tasks, drawn),
        _ => Vec::new(),
    };
    register_strata(stages, &strata)?;
    let ratio = config.draws_per_task()?.to_string();
    let query = queries::interleave(config, &ratio, n_again);
    progress(Progress::Query(query.query.file()));
    let inputs = [&task_rows.key, &drawn.stage.key, &format!("{strata:?}")];
    let stage = stages.run(&query, &inputs.map(String::as_str)).await?;
    stages
        .register("ordered", std::slice::from_ref(&stage))
        .await?;
    let query = queries::repeats();
    progress(Progress::Query(query.query.file()));
    let repeats = stages.run(&query, &[&stage.key]).await?;
    stages.register("repeats", &[repeats]).await?;
    let sizes = (0..config.passes as usize).map(|pass| drawn.n_of_pass(pass));
    Ok(Ordered {
        key: stage.key,
        n_again,
        stages: stage_entries(n_tasks, n_again, sizes.collect()),
    })
}

/// The stages of the stream: passes, and in each the stages of its order.
fn stage_entries(n_tasks: u64, n_again: u64, diverse: Vec<u64>) -> Vec<StageEntry> {
    let is_one_pass = diverse.len() == 1;
    let mut entries = Vec::new();
    let mut first_position = 0;
    for (pass, n_diverse) in (1..).zip(diverse) {
        let parts = match n_again {
            0 => vec![("", n_tasks + n_diverse)],
            _ => vec![("task", n_tasks), ("diverse", n_diverse + n_again)],
        };
        for (part, n_rows) in parts {
            let name = match (is_one_pass, part) {
                (true, "") => "all".to_owned(),
                (true, part) => part.to_owned(),
                (false, "") => format!("pass {pass}"),
                (false, part) => format!("pass {pass}/{part}"),
            };
            entries.push(StageEntry {
                name,
                first_position,
            });
            first_position += n_rows;
        }
    }
    entries
}

/// How a source's rows of one pass are dealt to the batches.
#[derive(Debug, PartialEq, Eq)]
struct Stratum {
    pass: usize,
    source_idx: usize,
    /// Rows in the last, shorter batch.
    n_last: u64,
    /// Rows dealt before: those of the strata before this one.
    first_dealt: u64,
    /// Full batches.
    n_batches: u64,
}

fn strata(config: &BuildConfig, tasks: &BTreeMap<usize, u64>, drawn: &Drawn) -> Vec<Stratum> {
    let n_tasks: u64 = tasks.values().sum();
    let n_rows = n_tasks * u64::from(config.passes) + drawn.n_diverse();
    let batch_size = config.batch_size.resolve(n_rows);
    let mut strata = Vec::new();
    for pass in 0..config.passes as usize {
        let diverse = drawn
            .sources
            .iter()
            .map(|source| (source.source_idx, source.draws[pass]));
        let (places, sizes): (Vec<usize>, Vec<u64>) = tasks
            .iter()
            .map(|(&idx, &n)| (idx, n))
            .chain(diverse)
            .unzip();
        // Where there is no full batch nothing is dealt.
        let n_batches = (sizes.iter().sum::<u64>() / batch_size).max(1);
        let mut first_dealt = 0;
        let last = last_batch(&sizes, batch_size);
        for ((source_idx, size), n_last) in places.into_iter().zip(sizes).zip(last) {
            strata.push(Stratum {
                pass,
                source_idx,
                n_last,
                first_dealt,
                n_batches,
            });
            first_dealt += size - n_last;
        }
    }
    strata
}

/// The rows that each stratum gives to the last, shorter batch, so that it holds their shares rounded up or down, and so do
/// the full batches to which the rest is dealt.
///
/// A table of shares can always be rounded so that every entry is rounded up or down and whole sums stay (integral flows:
/// Ford and Fulkerson). Here all full batches are alike, so the last one decides: a stratum of n rows leaves between
/// M·⌊x⌋ and M·⌈x⌉ to the M others, x being its share of one.
fn last_batch(sizes: &[u64], batch_size: u64) -> Vec<u64> {
    let total: u64 = sizes.iter().sum();
    let (n_batches, n_last) = match total {
        0 => return vec![0; sizes.len()],
        _ => (i128::from(total / batch_size), total % batch_size),
    };
    let exact = |size: u64, n_rows: u64| u128::from(size) * u128::from(n_rows);
    let total = u128::from(total);
    let bounds = |size: u64| {
        let (in_full, in_last) = (exact(size, batch_size), exact(size, n_last));
        let rest = |share: u128| i128::from(size) - n_batches * share as i128;
        let low = rest(in_full.div_ceil(total)).max((in_last / total) as i128);
        let high = rest(in_full / total).min(in_last.div_ceil(total) as i128);
        (low as u64, high as u64)
    };
    let bounds: Vec<(u64, u64)> = sizes.iter().map(|&size| bounds(size)).collect();
    let mut last: Vec<u64> = bounds.iter().map(|(low, _)| *low).collect();
    let missing = n_last - last.iter().sum::<u64>();
    let mut open: Vec<usize> = (0..sizes.len())
        .filter(|&nth| bounds[nth].0 < bounds[nth].1)
        .collect();
    open.sort_by_key(|&nth| std::cmp::Reverse(exact(sizes[nth], n_last) % total));
    for &nth in open.iter().take(missing as usize) {
        last[nth] += 1;
    }
    assert_eq!(last.iter().sum::<u64>(), n_last, "shares can be rounded");
    last
}

fn register_strata(stages: &Stages<'_>, strata: &[Stratum]) -> Result<()> {
    let column = |value: fn(&Stratum) -> u64| -> ArrayRef {
        let values = strata.iter().map(|stratum| value(stratum) as i64);
        Arc::new(Int64Array::from_iter_values(values))
    };
    let columns = [
        ("pass", column(|stratum| stratum.pass as u64)),
        ("source_idx", column(|stratum| stratum.source_idx as u64)),
        ("n_last", column(|stratum| stratum.n_last)),
        ("first_dealt", column(|stratum| stratum.first_dealt)),
        ("n_batches", column(|stratum| stratum.n_batches)),
    ];
    register_columns(stages.session, "strata", columns)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stages_are_named_after_pass_and_order() {
        let named = |n_again, diverse: &[u64]| -> Vec<(String, u64)> {
            let entries = stage_entries(10, n_again, diverse.to_vec());
            entries
                .into_iter()
                .map(|entry| (entry.name, entry.first_position))
                .collect()
        };
        let expected = |names: &[(&str, u64)]| -> Vec<(String, u64)> {
            names
                .iter()
                .map(|(name, first)| ((*name).to_owned(), *first))
                .collect()
        };
        assert_eq!(named(0, &[30]), expected(&[("all", 0)]));
        assert_eq!(named(1, &[30]), expected(&[("task", 0), ("diverse", 10)]));
        assert_eq!(
            named(0, &[30, 31]),
            expected(&[("pass 1", 0), ("pass 2", 40)])
        );
        assert_eq!(
            named(2, &[30, 31]),
            expected(&[
                ("pass 1/task", 0),
                ("pass 1/diverse", 10),
                ("pass 2/task", 42),
                ("pass 2/diverse", 52)
            ])
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        /// What the query does with `n_last`, `first_dealt` and `n_batches`: every batch, the last too, holds of every stratum
        /// its share, rounded up or down.
        #[test]
        fn every_batch_holds_the_mix(
            sizes in prop::collection::vec(prop_oneof![0_u64..4, 0_u64..200], 1..7),
            batch_size in 1_u64..70,
        ) {
            let total: u64 = sizes.iter().sum();
            let n_batches = total / batch_size;
            let last = last_batch(&sizes, batch_size);
            let mut batches = vec![vec![0_u64; sizes.len()]; n_batches as usize];
            let mut dealt = 0;
            for (stratum, (size, n_last)) in sizes.iter().zip(&last).enumerate() {
                for nth in dealt..dealt + size - n_last {
                    batches[(nth % n_batches) as usize][stratum] += 1;
                }
                dealt += size - n_last;
            }
            batches.push(last);
            for batch in &batches {
                let n_rows: u64 = batch.iter().sum();
                for (part, size) in batch.iter().zip(&sizes) {
                    let exact = u128::from(n_rows) * u128::from(*size);
                    let (low, high) = (exact / u128::from(total.max(1)), exact.div_ceil(u128::from(total.max(1))));
                    prop_assert!((low..=high).contains(&u128::from(*part)), "{part} of {size}: {batches:?}");
                }
            }
            prop_assert!(batches[..batches.len() - 1].iter().all(|batch| batch.iter().sum::<u64>() == batch_size));
        }
    }
}
