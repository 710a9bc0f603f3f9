//! The table `sources`: what the queries know of every source besides its rows.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray, UInt64Array};
use datafusion::prelude::SessionContext;

use crate::config::Unit;
use crate::error::Result;
use crate::sources::Source;

use super::draw::Drawn;
use super::stages::register_columns;

/// Makes the table `sources`, with what was drawn from each once that is known; paths are relative to the folder `out`.
///
/// # Errors
/// When the session refuses it.
pub(super) fn register_sources(
    session: &SessionContext,
    sources: &[Source],
    out: &Path,
    drawn: Option<(&Drawn, Unit)>,
) -> Result<()> {
    let (weights, requested) = match drawn {
        None => Default::default(),
        Some((drawn, unit)) => (weights(drawn), requested_rows(drawn, unit)),
    };
    let of_each = 0..sources.len();
    let texts = |text: &dyn Fn(&Source) -> Option<String>| -> ArrayRef {
        Arc::new(sources.iter().map(text).collect::<StringArray>())
    };
    let columns: [(&str, ArrayRef); 8] = [
        (
            "source_idx",
            Arc::new(Int64Array::from_iter_values(0..sources.len() as i64)),
        ),
        ("name", texts(&|source| Some(source.name.clone()))),
        ("path", texts(&|source| Some(source.path_from(out)))),
        ("kind", texts(&|source| Some(source.kind.name().to_owned()))),
        ("blake3", texts(&|source| source.blake3.clone())),
        ("licence", texts(&|source| source.licence.clone())),
        (
            "weight",
            Arc::new(
                of_each
                    .clone()
                    .map(|idx| weights.get(&idx).copied())
                    .collect::<Float64Array>(),
            ),
        ),
        (
            "requested_rows",
            Arc::new(
                of_each
                    .map(|idx| requested.get(&idx).copied())
                    .collect::<UInt64Array>(),
            ),
        ),
    ];
    register_columns(session, "sources", columns)
}

/// The rows that the weight of each diverse source asks of it, where the ratio is in rows.
fn requested_rows(drawn: &Drawn, unit: Unit) -> BTreeMap<usize, u64> {
    match unit {
        Unit::Rows => (drawn.sources.iter())
            .map(|source| (source.source_idx, source.requested))
            .collect(),
        Unit::Tokens => BTreeMap::new(),
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
        .sources
        .iter()
        .map(|source| (source.source_idx, share(source.n_draws())))
        .collect()
}
