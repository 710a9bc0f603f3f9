//! The pipeline: one variant for each `queries/*.sql`, in the order in which they run, with its parameters.

use std::sync::Arc;

use arrow::array::ListArray;
use arrow::datatypes::UInt64Type;
use datafusion::prelude::{DataFrame, SessionContext};
use datafusion::scalar::ScalarValue;

use crate::config::{DedupeOn, NearConfig, Order, Shingle};
use crate::error::Result;
use crate::sample::Kind;
use crate::tables::lift;

/// Declares the queries: the variant, its file, and the text compiled in.
macro_rules! queries {
    ($($(#[$doc:meta])* $name:ident = $file:literal,)+) => {
        /// A query of the pipeline.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Query {
            $($(#[$doc])* $name,)+
        }

        impl Query {
            /// All queries, in the order of their files.
            pub const ALL: &[Query] = &[$(Query::$name,)+];

            /// The file below `queries/`.
            pub fn file(self) -> &'static str {
                match self {
                    $(Query::$name => $file,)+
                }
            }

            /// Its text.
            pub fn sql(self) -> &'static str {
                match self {
                    $(Query::$name => include_str!(concat!("../queries/", $file)),)+
                }
            }
        }
    };
}

queries! {
    /// One row shape from any source.
    Normalize = "10_normalize.sql",
    /// How many records are unusable.
    Rejects = "15_rejects.sql",
    /// The first of equal samples stays.
    DedupeExact = "20_dedupe_exact.sql",
    /// The rows that are compared, as sets of pieces.
    Shingles = "25_shingles.sql",
    /// The pieces that many rows have.
    FrequentShingles = "26_frequent_shingles.sql",
    /// Keys by which near-duplicates find each other.
    NearKeys = "28_near_keys.sql",
    /// The pairs that are near-duplicates.
    DedupeNear = "30_dedupe_near.sql",
    /// The rows that go as near-duplicates.
    NearDuplicates = "35_near_duplicates.sql",
    /// The pool, and what is set aside to measure on.
    HoldOut = "45_hold_out.sql",
    /// The diverse samples to use.
    Diversify = "50_diversify.sql",
    /// The order of the stream.
    Interleave = "70_interleave.sql",
    /// The stream with its texts.
    Shards = "75_shards.sql",
    /// What was dropped, and why.
    Dropped = "80_dropped.sql",
    /// What is measured on.
    HeldOut = "85_held_out.sql",
    /// What became of every source's rows.
    Sources = "90_sources.sql",
    /// What is counted of every source's rows.
    Marks = "92_marks.sql",
    /// How many rows each source lost to which reason.
    DroppedByReason = "inspect/dropped_by_reason.sql",
    /// The stream with the names of its files.
    NamedShards = "inspect/shards.sql",
}

/// A query with values for its parameters.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The query.
    pub query: Query,
    /// Its parameters, by name.
    pub parameters: Vec<(&'static str, ScalarValue)>,
}

impl Bound {
    /// Plans the query over the tables registered in `session`.
    ///
    /// # Errors
    /// When it cannot be planned.
    pub async fn plan(&self, session: &SessionContext) -> Result<DataFrame> {
        let planned = session.sql(self.query.sql()).await;
        let bound = planned.and_then(|plan| match self.parameters.as_slice() {
            [] => Ok(plan),
            parameters => plan.with_param_values(parameters.to_vec()),
        });
        bound.map_err(lift(self.query.file()))
    }

    /// What decides the query's result, besides its input tables.
    pub fn fingerprint(&self) -> String {
        format!("{}\n{:?}", self.query.sql(), self.parameters)
    }
}

fn bound(query: Query, parameters: Vec<(&'static str, ScalarValue)>) -> Bound {
    Bound { query, parameters }
}

fn count(n: u64) -> ScalarValue {
    ScalarValue::from(i64::try_from(n).expect("row counts are at most 10^12"))
}

/// `10_normalize.sql` for one source.
pub fn normalize(source_idx: usize, kind: Kind, repair_mojibake: bool) -> Bound {
    let parameters = vec![
        ("source_idx", count(source_idx as u64)),
        ("kind", ScalarValue::from(kind.name())),
        ("repair_mojibake", ScalarValue::from(repair_mojibake)),
    ];
    bound(Query::Normalize, parameters)
}

/// `15_rejects.sql`
pub fn rejects() -> Bound {
    bound(Query::Rejects, vec![])
}

/// `20_dedupe_exact.sql`
pub fn dedupe_exact() -> Bound {
    bound(Query::DedupeExact, vec![])
}

/// `25_shingles.sql`
pub fn shingles(on: DedupeOn, shingle: Shingle) -> Bound {
    let parameters = vec![
        ("on", ScalarValue::from(on.name())),
        ("shingle", ScalarValue::from(shingle.to_string())),
    ];
    bound(Query::Shingles, parameters)
}

/// `26_frequent_shingles.sql`
pub fn frequent_shingles(n_sampled: u64, rows_above: u64, most: u64) -> Bound {
    let parameters = vec![
        ("n_sampled", count(n_sampled)),
        ("rows_above", count(rows_above)),
        ("most", count(most)),
    ];
    bound(Query::FrequentShingles, parameters)
}

/// `28_near_keys.sql`; `frequent` is what [`frequent_shingles`] found.
pub fn near_keys(near: &NearConfig, threshold: f64, frequent: Vec<u64>, seed: u64) -> Bound {
    let frequent = [Some(frequent.into_iter().map(Some))];
    let frequent = ListArray::from_iter_primitive::<UInt64Type, _, _>(frequent);
    let parameters = vec![
        ("method", ScalarValue::from(near.method.name())),
        ("threshold", ScalarValue::from(threshold)),
        ("frequent", ScalarValue::List(Arc::new(frequent))),
        ("permutations", count(near.permutations.into())),
        (
            "rows",
            count(near.rows_per_band(threshold).unwrap_or(1).into()),
        ),
        ("seed", ScalarValue::from(seed)),
    ];
    bound(Query::NearKeys, parameters)
}

/// `30_dedupe_near.sql`
pub fn dedupe_near(threshold: f64) -> Bound {
    bound(
        Query::DedupeNear,
        vec![("threshold", ScalarValue::from(threshold))],
    )
}

/// `35_near_duplicates.sql`
pub fn near_duplicates() -> Bound {
    bound(Query::NearDuplicates, vec![])
}

/// `45_hold_out.sql`, setting `n_rows` aside.
pub fn hold_out(n_rows: u64) -> Bound {
    bound(Query::HoldOut, vec![("n_rows", count(n_rows))])
}

/// `50_diversify.sql`
pub fn diversify(seed: u64) -> Bound {
    bound(Query::Diversify, vec![("seed", ScalarValue::from(seed))])
}

/// `70_interleave.sql`; `ratio` is r·k as a decimal number.
pub fn interleave(order: Order, ratio: &str, seed: u64) -> Bound {
    let parameters = vec![
        ("order", ScalarValue::from(order.name())),
        ("ratio", ScalarValue::from(ratio)),
        ("seed", ScalarValue::from(seed)),
    ];
    bound(Query::Interleave, parameters)
}

/// `75_shards.sql`, from `first_position` on.
pub fn shards(first_position: u64) -> Bound {
    bound(
        Query::Shards,
        vec![("first_position", count(first_position))],
    )
}

/// `80_dropped.sql`
pub fn dropped() -> Bound {
    bound(Query::Dropped, vec![])
}

/// `85_held_out.sql` for one kind of rows.
pub fn held_out(kind: Kind) -> Bound {
    bound(
        Query::HeldOut,
        vec![("kind", ScalarValue::from(kind.name()))],
    )
}

/// `90_sources.sql`
pub fn sources() -> Bound {
    bound(Query::Sources, vec![])
}

/// `92_marks.sql`
pub fn marks() -> Bound {
    bound(Query::Marks, vec![])
}

/// `inspect/dropped_by_reason.sql`
pub fn dropped_by_reason() -> Bound {
    bound(Query::DroppedByReason, vec![])
}

/// `inspect/shards.sql`
pub fn named_shards(rows_per_shard: u64) -> Bound {
    bound(
        Query::NamedShards,
        vec![("rows_per_shard", ScalarValue::from(rows_per_shard))],
    )
}
