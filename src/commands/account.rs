//! What stands beside the shards: what was dropped and why, what is measured on, what became of every source.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, UInt64Type};
use datafusion::prelude::SessionContext;

use crate::error::Result;
use crate::queries;
use crate::sample::Kind;
use crate::shards::{FileEntry, OutFolder, SourceRows, Use};
use crate::sources::Source;

use super::build::Progress;
use super::stages::{each_batch, register, write};

/// The file of the table `dropped`.
const DROPPED: &str = "dropped/00000.parquet";

/// Writes the files beside the shards, from the tables a finished draw leaves in `session`.
///
/// # Errors
/// When a query fails or a file cannot be written.
pub(super) async fn write_files(
    session: &SessionContext,
    folder: &OutFolder,
    progress: &dyn Fn(Progress),
) -> Result<BTreeMap<String, FileEntry>> {
    let mut files = BTreeMap::new();
    for (name, query) in [
        (DROPPED, queries::dropped()),
        ("held_out/task.parquet", queries::held_out(Kind::Task)),
        ("held_out/diverse.parquet", queries::held_out(Kind::Diverse)),
        ("sources.parquet", queries::sources()),
    ] {
        progress(Progress::Query(query.query.file()));
        let entry = write(session, &query, &folder.path().join(name), Use::Artefact).await?;
        files.insert(name.to_owned(), entry);
    }
    Ok(files)
}

/// What became of every source's rows, for the manifest; reads the table `dropped` that [`write_files`] wrote.
///
/// # Errors
/// When a query fails.
pub(super) async fn source_rows(
    session: &SessionContext,
    folder: &Path,
    sources: &[Source],
) -> Result<Vec<SourceRows>> {
    register(session, "dropped", &[folder.join(DROPPED)]).await?;
    let mut by_reason: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    let query = queries::dropped_by_reason();
    each_batch(session, query.plan(session).await?, &query, |batch| {
        for row in 0..batch.num_rows() {
            let of_source = by_reason
                .entry(text(&batch, "source", row).unwrap_or_default())
                .or_default();
            let reason = text(&batch, "reason", row).unwrap_or_default();
            of_source.insert(reason, number(&batch, "rows", row));
        }
        Ok(())
    })
    .await?;
    let mut marks: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    let query = queries::marks();
    each_batch(session, query.plan(session).await?, &query, |batch| {
        for row in 0..batch.num_rows() {
            let of_source = marks
                .entry(text(&batch, "source", row).unwrap_or_default())
                .or_default();
            let mark = text(&batch, "mark", row).unwrap_or_default();
            of_source.insert(mark, number(&batch, "rows", row));
        }
        Ok(())
    })
    .await?;
    let mut rows = Vec::new();
    let query = queries::sources();
    each_batch(session, query.plan(session).await?, &query, |batch| {
        for row in 0..batch.num_rows() {
            let source = text(&batch, "source", row).unwrap_or_default();
            rows.push(SourceRows {
                // The query keeps the order of the sources.
                kind: sources[rows.len()].kind,
                path: text(&batch, "path", row).unwrap_or_default(),
                blake3: text(&batch, "blake3", row),
                licence: text(&batch, "licence", row),
                weight: batch["weight"]
                    .as_primitive::<Float64Type>()
                    .iter()
                    .nth(row)
                    .flatten(),
                rows_in: number(&batch, "rows_in", row),
                kept: number(&batch, "kept", row),
                dropped: number(&batch, "dropped", row),
                dropped_by_reason: by_reason.remove(&source).unwrap_or_default(),
                marks: marks.remove(&source).unwrap_or_default(),
                unused: number(&batch, "unused", row),
                used: number(&batch, "used", row),
                held_out: number(&batch, "held_out", row),
                repeats: number(&batch, "repeats", row),
                variants: number(&batch, "variants", row),
                mix: None,
                tokens: None,
                overlaps: number(&batch, "overlaps", row),
                source,
            });
        }
        Ok(())
    })
    .await?;
    Ok(rows)
}

fn text(batch: &RecordBatch, column: &str, row: usize) -> Option<String> {
    batch[column]
        .as_string::<i32>()
        .iter()
        .nth(row)
        .flatten()
        .map(str::to_owned)
}

fn number(batch: &RecordBatch, column: &str, row: usize) -> u64 {
    batch[column].as_primitive::<UInt64Type>().value(row)
}
