//! The stream with its texts becomes shards.

use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

use arrow::array::RecordBatch;
use datafusion::prelude::SessionContext;

use crate::error::Result;
use crate::queries::{self, Bound};
use crate::sample::shard_schema;
use crate::shards::{FileEntry, OutFolder, Plan, ShardWriter, shard_name};
use crate::tables::lift;

use super::build::Progress;
use super::deal::{self, Part, deal};
use super::stages::Running;

/// Memory for each row of the stretches in which the stream is written: its place while its text is looked up, and its text
/// while it is sorted. Longer texts go to disk.
const BYTES_PER_ROW: u64 = 400;

/// Writes the shards that are missing: the stream in stretches that fit in memory. `order` is the key of its order.
///
/// # Errors
/// When the query fails, or a shard cannot be written.
pub(super) async fn write_shards(
    session: &SessionContext,
    memory_bytes: usize,
    folder: &OutFolder,
    plan: &Plan,
    order: &str,
    progress: &dyn Fn(Progress),
) -> Result<BTreeMap<String, FileEntry>> {
    // What is finished of another order is of no use.
    let journal = folder
        .stages()
        .join(format!("shards-{}.jsonl", &order[..16]));
    let mut writer = ShardWriter::resume(folder.path(), &journal, plan)?;
    let missing = writer.next_position()..plan.rows;
    let parts = deal(session, memory_bytes, missing).await;
    let parts = parts.map_err(lift("the texts of the stream"))?;
    let mut stretches = stretches(parts, (memory_bytes as u64 / BYTES_PER_ROW).max(1));
    let mut next = stretches.next();
    let mut ahead = None;
    while let Some((part, positions)) = next {
        assert_eq!(
            writer.next_position(),
            positions.start,
            "the stream has a row for every position"
        );
        let (query, running) = match ahead.take() {
            Some(started) => started,
            None => start(session, &part, positions).await?,
        };
        next = stretches.next();
        // While a small one is written, the next is put in order.
        if let Some((part, positions)) = &next
            && (positions.end - positions.start) * deal::BYTES_PER_ROW <= memory_bytes as u64
        {
            ahead = Some(start(session, part, positions.clone()).await?);
        }
        let file = query.query.file();
        let written = running.each_batch(session, &query, |batch| {
            let checked = RecordBatch::try_new(shard_schema(), batch.columns().to_vec());
            writer.push(&checked.map_err(|error| lift(file)(error.into()))?)?;
            progress(Progress::Writing {
                done: writer.next_position(),
                total: plan.rows,
            });
            Ok(())
        });
        written.await?;
    }
    let shards = writer.finish()?;
    let n_rows: u64 = shards.iter().filter_map(|shard| shard.rows).sum();
    assert_eq!(n_rows, plan.rows, "the stream holds every planned row once");
    Ok((0..).map(shard_name).zip(shards).collect())
}

/// The stretches in which parts are read: so many rows as fit in memory.
fn stretches(parts: Vec<Part>, rows_at_once: u64) -> impl Iterator<Item = (Rc<Part>, Range<u64>)> {
    parts.into_iter().flat_map(move |part| {
        let Range { start, end } = part.positions;
        let part = Rc::new(part);
        (start..end)
            .step_by(usize::try_from(rows_at_once).unwrap_or(usize::MAX))
            .map(move |first| (Rc::clone(&part), first..end.min(first + rows_at_once)))
    })
}

/// Starts the query for a stretch of this part.
async fn start(
    session: &SessionContext,
    part: &Part,
    positions: Range<u64>,
) -> Result<(Bound, Running)> {
    let query = queries::shards(positions);
    part.register(session)
        .await
        .map_err(lift(query.query.file()))?;
    let rows = query.plan(session).await?;
    let running = Running::ahead(session, rows, &query).await?;
    Ok((query, running))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, FixedSizeBinaryArray, Int64Array, StringArray, UInt64Array, new_null_array,
    };
    use arrow::datatypes::DataType;

    use super::*;
    use crate::commands::stages::register_columns;
    use crate::tables::{self, Engine};

    const N_ROWS: u64 = 2_000;
    const ORDER: &str = "0123456789abcdef";

    /// A stream of 1,900 samples of one source, a hundred of them twice.
    fn session(scratch: &Path) -> SessionContext {
        let engine = Engine {
            threads: 2,
            batch_rows: 100,
            memory_bytes: 32 << 20,
            temp_dir: None,
        };
        let session = tables::session(&engine, scratch).expect("a session");
        let n_samples = N_ROWS - 100;
        let numbers = |numbers: &mut dyn Iterator<Item = u64>| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(numbers.map(|n| n as i64)))
        };
        let nothing: ArrayRef = new_null_array(&DataType::Int64, N_ROWS as usize);
        let rows = UInt64Array::from_iter_values((0..N_ROWS).map(|place| place * 7 % n_samples));
        let ordered = [
            ("position", numbers(&mut (0..N_ROWS))),
            ("source_idx", numbers(&mut (0..N_ROWS).map(|_| 0))),
            ("text_row", Arc::new(rows) as ArrayRef),
            ("task_row", nothing),
        ];
        register_columns(&session, "ordered", ordered).expect("a table");
        let repeats = [
            ("position", numbers(&mut (n_samples..N_ROWS))),
            ("repeat", numbers(&mut (n_samples..N_ROWS).map(|_| 1))),
        ];
        register_columns(&session, "repeats", repeats).expect("a table");
        let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
        let sources = [
            ("source_idx", numbers(&mut (0..1))),
            ("kind", text("diverse")),
            ("name", text("a")),
        ];
        register_columns(&session, "sources", sources).expect("a table");
        let texts = |what: &str| -> ArrayRef {
            let texts = (0..n_samples).map(|row| format!("{what} {row}"));
            Arc::new(StringArray::from_iter_values(texts))
        };
        let ids = (0..n_samples).map(|row| u128::from(row).to_le_bytes());
        let ids = FixedSizeBinaryArray::try_from_iter(ids).expect("ids");
        let source_rows: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..n_samples));
        let all_texts = [
            ("source_idx", numbers(&mut (0..n_samples).map(|_| 0))),
            ("source_row", Arc::clone(&source_rows)),
            ("text_row", source_rows),
            ("sample_id", Arc::new(ids) as ArrayRef),
            (
                "direction",
                new_null_array(&DataType::Utf8, n_samples as usize),
            ),
            ("instruction", texts("instruction")),
            ("input", texts("input")),
            ("output", texts("output")),
        ];
        register_columns(&session, "all_texts", all_texts).expect("a table");
        session
    }

    async fn written(out: &Path, memory_bytes: usize) -> BTreeMap<String, FileEntry> {
        let folder = OutFolder::lock(out).expect("a folder");
        folder.make_stages().expect("stages");
        let session = session(&folder.stages());
        let plan = Plan::new(0, N_ROWS, 128, &[]);
        let shards = write_shards(&session, memory_bytes, &folder, &plan, ORDER, &|_| {});
        shards.await.expect("shards")
    }

    #[tokio::test]
    async fn the_shards_are_the_same_in_parts_and_after_an_interruption() {
        let scratch = tempfile::tempdir().expect("a folder");
        let folder = |name: &str| scratch.path().join(name);
        let whole = written(&folder("whole"), 32 << 20).await;
        assert_eq!(whole.len(), 16);
        // So many rows have a part each, and then several stretches.
        for (name, memory_bytes) in [("parts", 256 << 10), ("stretches", 16 << 10)] {
            assert_eq!(written(&folder(name), memory_bytes).await, whole, "{name}");
        }
        let journal = folder("parts")
            .join(".stages")
            .join("shards-0123456789abcdef.jsonl");
        let lines = fs::read_to_string(&journal).expect("a journal");
        let first: Vec<_> = lines.lines().take(3).collect();
        fs::write(&journal, first.join("\n") + "\n").expect("a shorter journal");
        fs::remove_file(folder("parts").join("00003.parquet")).expect("a shard less");
        assert_eq!(written(&folder("parts"), 200 << 10).await, whole);
    }
}
