//! Near-duplicates: which rows go, from the pairs that are similar.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{AsArray, Float64Array, Int64Array};
use arrow::datatypes::{Float64Type, Int64Type, UInt64Type};

use crate::config::{NearConfig, NearMethod};
use crate::error::Result;
use crate::queries::{self, Bound};

use super::build::Progress;
use super::rouge_l;
use super::stages::{Stage, Stages, each_batch, register_columns};

/// Rows in which pieces are counted, to see which are frequent.
const SAMPLED_ROWS: u64 = 16_384;
/// A piece in more of them than this is frequent: pairs are looked for by other pieces first.
const FREQUENT_ROWS: u64 = 2;
/// Frequent pieces told apart by how frequent they are; the rest counts as rare, which costs time and loses nothing.
const MOST_FREQUENT: u64 = 65_536;

/// Finds the rows that are near-duplicates of earlier ones, and leaves them as the table `near`.
///
/// # Errors
/// When a query fails.
pub(super) async fn find(
    stages: &Stages<'_>,
    config: &NearConfig,
    threshold: f64,
    seed: u64,
    deduped: &Stage,
    progress: &dyn Fn(Progress),
) -> Result<Stage> {
    if config.method == NearMethod::RougeL {
        return rouge_l::find(stages, config, threshold, deduped, progress).await;
    }
    let run = async |table, query: Bound, inputs: &[&str]| {
        progress(Progress::Query(query.query.file()));
        let stage = stages.run(&query, inputs).await?;
        stages.register(table, std::slice::from_ref(&stage)).await?;
        Ok::<Stage, crate::error::Error>(stage)
    };
    let query = queries::shingles(config.on, config.shingle);
    let shingled = run("shingled", query, &[&deduped.key]).await?;
    let frequent = match config.method {
        NearMethod::Exact => frequent(stages, progress).await?,
        NearMethod::Minhash | NearMethod::RougeL => Vec::new(),
    };
    let query = queries::near_keys(config, threshold, frequent, seed);
    let keys = run("near_keys", query, &[&shingled.key]).await?;
    let query = queries::dedupe_near(threshold);
    let pairs = run("pairs", query.clone(), &[&shingled.key, &keys.key]).await?;
    let mut gone = FirstCome::default();
    let rows = stages.rows("pairs", &["later", "earlier"]).await?;
    each_batch(rows, &query, |batch| {
        let number = |column: &str| batch[column].as_primitive::<Int64Type>();
        let (later, earlier) = (number("later"), number("earlier"));
        let similarity = batch["similarity"].as_primitive::<Float64Type>();
        for row in 0..batch.num_rows() {
            gone.pair(later.value(row), earlier.value(row), similarity.value(row));
        }
        Ok(())
    })
    .await?;
    let gone = gone.into_rows();
    let column = |of: fn(&Gone) -> i64| Arc::new(gone.iter().map(of).collect::<Int64Array>());
    let similarity: Float64Array = gone.iter().map(|gone| gone.similarity).collect();
    let columns = [
        ("nth", column(|gone| gone.nth) as _),
        ("kept", column(|gone| gone.kept) as _),
        ("similarity", Arc::new(similarity) as _),
    ];
    register_columns(stages.session, "gone", columns)?;
    run("near", queries::near_duplicates(), &[&pairs.key]).await
}

/// The frequent pieces, the most frequent last.
async fn frequent(stages: &Stages<'_>, progress: &dyn Fn(Progress)) -> Result<Vec<u64>> {
    let query = queries::frequent_shingles(SAMPLED_ROWS, FREQUENT_ROWS, MOST_FREQUENT);
    progress(Progress::Query(query.query.file()));
    let mut pieces = Vec::new();
    each_batch(query.plan(stages.session).await?, &query, |batch| {
        pieces.extend(batch["shingle"].as_primitive::<UInt64Type>().values());
        Ok(())
    })
    .await?;
    Ok(pieces)
}

/// A row that goes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Gone {
    nth: i64,
    /// The row that stays in its stead.
    kept: i64,
    similarity: f64,
}

/// First come, first kept: a row goes exactly when an earlier row that stays is as similar to it as the threshold.
#[derive(Default)]
struct FirstCome {
    gone: HashMap<i64, Gone>,
}

impl FirstCome {
    /// Takes a pair; those of a later row follow those of all rows before it.
    fn pair(&mut self, later: i64, earlier: i64, similarity: f64) {
        let (kept, similarity) = match self.gone.get(&earlier) {
            None => (earlier, similarity),
            // The same set: what made the first one go makes this one go.
            Some(same) if similarity == 1.0 => (same.kept, same.similarity),
            Some(_) => return,
        };
        let found = Gone {
            nth: later,
            kept,
            similarity,
        };
        let known = self.gone.entry(later).or_insert(found);
        // The most similar row that stays is the evidence, the first of equals.
        if similarity > known.similarity {
            *known = found;
        }
    }

    /// The rows that go, in order.
    fn into_rows(self) -> Vec<Gone> {
        let mut gone: Vec<Gone> = self.gone.into_values().collect();
        gone.sort_unstable_by_key(|gone| gone.nth);
        gone
    }
}

/// Makes `near` an empty table.
///
/// # Errors
/// When the session refuses it.
pub(super) fn none(stages: &Stages<'_>) -> Result<()> {
    let integers = || Arc::new(Int64Array::from(Vec::<i64>::new()));
    let rows = || Arc::new(arrow::array::UInt64Array::from(Vec::<u64>::new()));
    let columns = [
        ("source_idx", integers() as _),
        ("source_row", rows() as _),
        ("kept_source_idx", integers() as _),
        ("kept_row", rows() as _),
        (
            "similarity",
            Arc::new(Float64Array::from(Vec::<f64>::new())) as _,
        ),
    ];
    register_columns(stages.session, "near", columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(pairs: &[(i64, i64, f64)]) -> Vec<(i64, i64, f64)> {
        let mut first_come = FirstCome::default();
        for &(later, earlier, similarity) in pairs {
            first_come.pair(later, earlier, similarity);
        }
        let rows = first_come.into_rows().into_iter();
        rows.map(|gone| (gone.nth, gone.kept, gone.similarity))
            .collect()
    }

    #[test]
    fn only_a_row_that_stays_makes_another_go() {
        // A chain: the middle goes, so the end stays.
        assert_eq!(gone(&[(1, 0, 0.8), (2, 1, 0.9)]), [(1, 0, 0.8)]);
        assert_eq!(
            gone(&[(1, 0, 0.8), (2, 0, 0.8), (2, 1, 0.9)]),
            [(1, 0, 0.8), (2, 0, 0.8)]
        );
    }

    #[test]
    fn the_most_similar_row_that_stays_is_the_evidence() {
        assert_eq!(
            gone(&[(5, 1, 0.8), (5, 2, 0.9), (5, 3, 0.9)]),
            [(5, 2, 0.9)]
        );
    }

    #[test]
    fn a_row_goes_with_the_first_of_its_equals() {
        assert_eq!(
            gone(&[(1, 0, 0.85), (2, 1, 1.0), (4, 3, 1.0)]),
            [(1, 0, 0.85), (2, 0, 0.85), (4, 3, 1.0)]
        );
    }
}
