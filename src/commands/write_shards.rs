//! The stream with its texts becomes shards.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use datafusion::prelude::SessionContext;

use crate::error::Result;
use crate::queries;
use crate::sample::shard_schema;
use crate::shards::{FileEntry, OutFolder, Plan, ShardWriter, shard_name};
use crate::tables::lift;

use super::build::Progress;
use super::stages::each_batch;

/// Memory for each row of the stretches in which the stream is written: its place while its text is looked up, and its text
/// while it is sorted. Longer texts go to disk.
const BYTES_PER_ROW: u64 = 400;

/// Writes the shards that are missing: the stream in stretches that fit in memory.
///
/// # Errors
/// When the query fails, or a shard cannot be written.
pub(super) async fn write_shards(
    session: &SessionContext,
    memory_bytes: usize,
    folder: &OutFolder,
    plan: &Plan,
    progress: &dyn Fn(Progress),
) -> Result<BTreeMap<String, FileEntry>> {
    let mut writer =
        ShardWriter::resume(folder.path(), &folder.stages().join("shards.jsonl"), plan)?;
    let rows_at_once = (memory_bytes as u64 / BYTES_PER_ROW).max(1);
    while writer.next_position() < plan.rows {
        let first = writer.next_position();
        let query = queries::shards(first..plan.rows.min(first + rows_at_once));
        let rows = query.plan(session).await?;
        each_batch(session, rows, &query, |batch| {
            let checked = RecordBatch::try_new(shard_schema(), batch.columns().to_vec());
            writer.push(&checked.map_err(|error| lift(query.query.file())(error.into()))?)?;
            progress(Progress::Writing {
                done: writer.next_position(),
                total: plan.rows,
            });
            Ok(())
        })
        .await?;
        assert!(
            writer.next_position() > first,
            "the stream has a row for every position"
        );
    }
    let shards = writer.finish()?;
    let n_rows: u64 = shards.iter().filter_map(|shard| shard.rows).sum();
    assert_eq!(n_rows, plan.rows, "the stream holds every planned row once");
    Ok((0..).map(shard_name).zip(shards).collect())
}
