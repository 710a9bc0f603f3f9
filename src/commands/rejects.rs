//! `--max-rejects`: a build over sources with too many unusable records ends before anything is drawn.

use arrow::array::AsArray;
use arrow::datatypes::UInt64Type;
use datafusion::prelude::SessionContext;

use crate::config::MaxRejects;
use crate::error::{Error, Result};
use crate::queries;

use super::stages::each_batch;

/// What is unusable of one source.
struct Rejects {
    source: String,
    n_records: u64,
    /// How many, by reason.
    reasons: Vec<(String, u64)>,
}

impl Rejects {
    fn n_rejected(&self) -> u64 {
        self.reasons.iter().map(|(_, n_rows)| n_rows).sum()
    }
}

/// Refuses sources of which more is unusable than `most`.
///
/// # Errors
/// [`Error::TooManyRejects`], with the counts of every source.
pub(super) async fn check(session: &SessionContext, most: MaxRejects) -> Result<()> {
    if most == MaxRejects::Off {
        return Ok(());
    }
    let sources = count(session).await?;
    let counts = |source: &Rejects| (source.n_rejected(), source.n_records);
    if !most.is_exceeded(sources.iter().map(counts)) {
        return Ok(());
    }
    let shown: Vec<_> = sources
        .iter()
        .filter(|source| source.n_rejected() > 0)
        .map(|source| {
            let reasons: Vec<_> = source
                .reasons
                .iter()
                .map(|(reason, n_rows)| format!("{reason} {n_rows}"))
                .collect();
            format!(
                "`{}` {} of {} ({})",
                source.source,
                source.n_rejected(),
                source.n_records,
                reasons.join(", ")
            )
        })
        .collect();
    Err(Error::TooManyRejects {
        limit: most.to_string(),
        n_rejected: sources.iter().map(Rejects::n_rejected).sum(),
        n_records: sources.iter().map(|source| source.n_records).sum(),
        counts: shown.join("; "),
    })
}

async fn count(session: &SessionContext) -> Result<Vec<Rejects>> {
    let mut sources: Vec<Rejects> = Vec::new();
    let query = queries::rejects();
    each_batch(session, query.plan(session).await?, &query, |batch| {
        let names = batch["source"].as_string::<i32>();
        let reasons = batch["reason"].as_string::<i32>();
        let rows_in = batch["rows_in"].as_primitive::<UInt64Type>();
        let rows = batch["rows"].as_primitive::<UInt64Type>();
        for row in 0..batch.num_rows() {
            let source = names.value(row);
            if sources.last().is_none_or(|last| last.source != source) {
                sources.push(Rejects {
                    source: source.to_owned(),
                    n_records: rows_in.value(row),
                    reasons: Vec::new(),
                });
            }
            let reason = reasons.iter().nth(row).flatten();
            if let (Some(reason), Some(last)) = (reason, sources.last_mut()) {
                last.reasons.push((reason.to_owned(), rows.value(row)));
            }
        }
        Ok(())
    })
    .await?;
    Ok(sources)
}
