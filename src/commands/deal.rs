//! A stream that does not fit in memory is written part by part. Its texts are dealt to the parts first, in one pass: each
//! part then reads its own texts and not all of them.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{Int64Type, SchemaRef, UInt64Type};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, SpillFile, TaskContext};
use datafusion::physical_plan::EmptyRecordBatchStream;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
use datafusion::physical_plan::spill::SpillManager;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::SessionContext;
use futures::{StreamExt, stream};
use rayon::prelude::*;

/// Parts at the most: a row knows the parts it is in by the bits of a [`Parts`].
const PARTS_MAX: u64 = Parts::BITS as u64;

/// Memory for each row of a part, so that its texts are sorted without the disk, also while another part is written. Chosen by
/// what texts need, not tuned.
pub(super) const BYTES_PER_ROW: u64 = 2_000;

/// From so many parts on it is worth the pass; unmeasured.
const PARTS_MIN: u64 = 4;

/// The share of the memory in which rows wait to be dealt …
const WAITING_SHARE: usize = 8;
/// … and of that in which it is noted in which parts each row is.
const PLACES_SHARE: usize = 4;

/// Places of a source are made ready so many at a time.
const ROWS_AT_ONCE: usize = 1 << 10;

/// The parts a row is in, a bit for each.
type Parts = u32;

/// Some positions of the stream, and where their texts are.
pub(super) struct Part {
    /// Its positions.
    pub(super) positions: Range<u64>,
    texts: Texts,
}

enum Texts {
    /// Still among all the others.
    All,
    /// In a file of their own.
    Dealt(Arc<DealtTexts>),
}

/// Deals the texts of these positions: to several parts where that is worth it.
///
/// # Errors
/// When the texts or their places cannot be read, or the parts not be written.
pub(super) async fn deal(
    session: &SessionContext,
    memory_bytes: usize,
    positions: Range<u64>,
) -> Result<Vec<Part>> {
    let n_rows = positions.end - positions.start;
    let rows_per_part = (memory_bytes as u64 / BYTES_PER_ROW).max(n_rows.div_ceil(PARTS_MAX));
    if n_rows <= rows_per_part.saturating_mul(PARTS_MIN) {
        return Ok(vec![whole(positions)]);
    }
    let ranges: Vec<_> = positions
        .clone()
        .step_by(rows_per_part as usize)
        .map(|first| first..positions.end.min(first + rows_per_part))
        .collect();
    let places = Places::read(
        session,
        positions.start,
        rows_per_part,
        memory_bytes / PLACES_SHARE,
    )
    .await?;
    let Some(places) = places else {
        return Ok(vec![whole(positions)]);
    };
    let rows = session.table("all_texts").await?;
    let rows = rows.select_columns(&[
        "source_idx",
        "text_row",
        "source_row",
        "sample_id",
        "direction",
        "instruction",
        "input",
        "output",
    ])?;
    let schema = Arc::clone(rows.schema().inner());
    let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
    let manager = SpillManager::new(session.runtime_env(), metrics, Arc::clone(&schema));
    let mut files = ranges
        .iter()
        .map(|_| manager.create_in_progress_file("the texts of a part of the stream"))
        .collect::<Result<Vec<_>>>()?;
    let batch_rows = session.copied_config().batch_size();
    let mut deal = |batches: &mut Vec<RecordBatch>| -> Result<()> {
        let mut hands = vec![Vec::new(); ranges.len()];
        for (nth, batch) in batches.iter().enumerate() {
            places.each(batch, |row, part| hands[part].push((nth, row)));
        }
        let waiting: Vec<_> = batches.iter().collect();
        let dealt = files
            .par_iter_mut()
            .zip(hands)
            .try_for_each(|(file, hand)| {
                for rows in hand.chunks(batch_rows) {
                    file.append_batch(&interleave_record_batch(&waiting, rows)?)?;
                }
                Ok(())
            });
        batches.clear();
        dealt
    };
    let mut rows = rows.execute_stream().await?;
    let (mut waiting, mut n_bytes) = (Vec::new(), 0);
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        n_bytes += batch.get_array_memory_size();
        waiting.push(batch);
        if n_bytes >= memory_bytes / WAITING_SHARE {
            deal(&mut waiting)?;
            n_bytes = 0;
        }
    }
    deal(&mut waiting)?;
    (ranges.into_iter().zip(files))
        .map(|(positions, mut file)| {
            let (file, manager) = (file.finish()?, manager.clone());
            let texts = Texts::Dealt(Arc::new(DealtTexts { file, manager }));
            Ok(Part { positions, texts })
        })
        .collect()
}

/// One part that reads all the texts.
pub(super) fn whole(positions: Range<u64>) -> Part {
    Part {
        positions,
        texts: Texts::All,
    }
}

impl Part {
    /// Makes its texts the table `texts`, in place of those of the part before.
    ///
    /// # Errors
    /// When the session refuses the table.
    pub(super) async fn register(&self, session: &SessionContext) -> Result<()> {
        let table = match &self.texts {
            Texts::All => session.table("all_texts").await?.into_view(),
            Texts::Dealt(texts) => {
                let rows: Arc<dyn PartitionStream> = Arc::clone(texts) as _;
                Arc::new(StreamingTable::try_new(
                    Arc::clone(rows.schema()),
                    vec![rows],
                )?)
            }
        };
        session.deregister_table("texts")?;
        session.register_table("texts", table).map(drop)
    }
}

/// The parts of every row: by its source and its place there.
struct Places {
    parts: Vec<Vec<Parts>>,
}

impl Places {
    /// Reads from the table `ordered` who is in which part, beginning at a position; `None` if that needs more memory.
    async fn read(
        session: &SessionContext,
        first_position: u64,
        rows_per_part: u64,
        bytes_max: usize,
    ) -> Result<Option<Places>> {
        let ordered = session.table("ordered").await?;
        let ordered = ordered.select_columns(&["position", "source_idx", "text_row"])?;
        let mut rows = ordered.execute_stream().await?;
        let mut parts: Vec<Vec<Parts>> = Vec::new();
        // A vector that grows holds up to twice what is in it.
        let mut n_rows_left = bytes_max / (2 * size_of::<Parts>());
        while let Some(batch) = rows.next().await {
            let batch = batch?;
            let positions = batch["position"].as_primitive::<Int64Type>().values();
            for (&position, (source, row)) in positions.iter().zip(keys(&batch)) {
                let Some(place) = (position as u64).checked_sub(first_position) else {
                    continue;
                };
                if source >= parts.len() {
                    parts.resize(source + 1, Vec::new());
                }
                let of_source = &mut parts[source];
                if row >= of_source.len() {
                    let n_rows = (row + 1).next_multiple_of(ROWS_AT_ONCE);
                    n_rows_left = match n_rows_left.checked_sub(n_rows - of_source.len()) {
                        Some(left) => left,
                        None => return Ok(None),
                    };
                    of_source.resize(n_rows, 0);
                }
                of_source[row] |= 1 << (place / rows_per_part);
            }
        }
        Ok(Some(Places { parts }))
    }

    /// Every row of a batch with each of its parts.
    fn each(&self, batch: &RecordBatch, mut receive: impl FnMut(usize, usize)) {
        for (nth, (source, row)) in keys(batch).enumerate() {
            let of_source = self.parts.get(source);
            let mut parts = of_source
                .and_then(|rows| rows.get(row))
                .copied()
                .unwrap_or(0);
            while parts != 0 {
                receive(nth, parts.trailing_zeros() as usize);
                parts &= parts - 1;
            }
        }
    }
}

/// The `source_idx` and `text_row` of every row.
fn keys(batch: &RecordBatch) -> impl Iterator<Item = (usize, usize)> {
    let sources = batch["source_idx"].as_primitive::<Int64Type>().values();
    let rows = batch["text_row"].as_primitive::<UInt64Type>().values();
    (sources.iter().zip(rows)).map(|(&source, &row)| (source as usize, row as usize))
}

/// The texts of a part, in a file that goes with this value.
struct DealtTexts {
    /// `None` where there are no rows.
    file: Option<Arc<dyn SpillFile>>,
    manager: SpillManager,
}

impl PartitionStream for DealtTexts {
    fn schema(&self) -> &SchemaRef {
        self.manager.schema()
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let schema = || Arc::clone(self.schema());
        let read = match &self.file {
            Some(file) => self.manager.read_spill_as_stream(Arc::clone(file), None),
            None => Ok(Box::pin(EmptyRecordBatchStream::new(schema())) as _),
        };
        read.unwrap_or_else(|error| {
            let failed = stream::once(async { Err(error) });
            Box::pin(RecordBatchStreamAdapter::new(schema(), failed))
        })
    }
}

impl fmt::Debug for DealtTexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DealtTexts").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use arrow::array::{ArrayRef, FixedSizeBinaryArray, Int64Array, StringArray, UInt64Array};
    use arrow::datatypes::DataType;

    use super::*;
    use crate::commands::stages::register_columns;
    use crate::tables::{Engine, session};

    const MEMORY: usize = 256 << 10;

    /// A stream over two sources of 700 and 400 rows in which some rows stand again, and its session.
    fn stream(scratch: &std::path::Path) -> (SessionContext, Vec<(i64, u64)>) {
        let engine = Engine {
            threads: 2,
            batch_rows: 100,
            memory_bytes: 32 << 20,
            temp_dir: None,
        };
        let session = session(&engine, scratch).expect("a session");
        let rows: Vec<_> = (0..700_u64)
            .map(|row| (0, row))
            .chain((0..400).map(|row| (3, row)))
            .collect();
        // 7 and 1,100 have no common divisor, so the first 1,100 positions hold every row once.
        let order: Vec<_> = (0..1_500)
            .map(|position| rows[position * 7 % 1_100])
            .collect();
        let numbers = |numbers: Vec<i64>| -> ArrayRef { Arc::new(Int64Array::from(numbers)) };
        let places = |rows: &[(i64, u64)]| -> [(&'static str, ArrayRef); 2] {
            let (sources, rows): (Vec<_>, Vec<_>) = rows.iter().copied().unzip();
            [
                ("source_idx", numbers(sources)),
                ("text_row", Arc::new(UInt64Array::from(rows))),
            ]
        };
        let [source, row] = places(&order);
        let position = numbers((0..1_500).collect());
        register_columns(&session, "ordered", [("position", position), source, row])
            .expect("a table");
        let [source, row] = places(&rows);
        let text = |what: &str| -> ArrayRef {
            let texts = rows.iter().map(|row| format!("{what} {row:?}"));
            Arc::new(StringArray::from_iter_values(texts))
        };
        let ids = FixedSizeBinaryArray::try_from_iter(
            rows.iter().map(|row| (row.1 as u128).to_le_bytes()),
        );
        let ids: ArrayRef = Arc::new(ids.expect("ids"));
        let original = arrow::array::new_null_array(&DataType::Utf8, rows.len());
        let columns = [
            source,
            ("source_row", Arc::clone(&row.1)),
            row,
            ("sample_id", ids),
            ("direction", original),
            ("instruction", text("instruction")),
            ("input", text("input")),
            ("output", text("output")),
        ];
        register_columns(&session, "all_texts", columns).expect("a table");
        (session, order)
    }

    /// The rows in the table `texts`, whose texts are right.
    async fn texts(session: &SessionContext) -> Vec<(i64, u64)> {
        let texts = session.table("texts").await.expect("a table");
        let mut found = Vec::new();
        for batch in texts.collect().await.expect("rows") {
            let outputs = batch["output"].as_string::<i32>();
            for ((source, row), output) in keys(&batch).zip(outputs) {
                let key = (source as i64, row as u64);
                assert_eq!(output, Some(format!("output {key:?}").as_str()));
                found.push(key);
            }
        }
        found
    }

    #[tokio::test]
    async fn every_part_has_its_texts_once_and_no_others() {
        let scratch = tempfile::tempdir().expect("a folder");
        let (session, order) = stream(scratch.path());
        for first in [0, 333] {
            let parts = deal(&session, MEMORY, first..1_500).await.expect("parts");
            assert!(parts.len() > 4, "{}", parts.len());
            let mut next = first;
            for part in parts {
                assert_eq!(part.positions.start, next);
                next = part.positions.end;
                part.register(&session).await.expect("a table");
                let found = texts(&session).await;
                let stretch = part.positions.start as usize..part.positions.end as usize;
                let expected: BTreeSet<_> = order[stretch].iter().copied().collect();
                assert_eq!(found.len(), expected.len());
                assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
            }
            assert_eq!(next, 1_500);
        }
    }

    #[tokio::test]
    async fn what_fits_or_cannot_be_noted_reads_all_texts() {
        let scratch = tempfile::tempdir().expect("a folder");
        let (session, _) = stream(scratch.path());
        for (memory, positions) in [(32 << 20, 0..1_500), (16 << 10, 0..1_500), (MEMORY, 7..7)] {
            let parts = deal(&session, memory, positions.clone())
                .await
                .expect("parts");
            let [part] = parts.as_slice() else {
                panic!("{} parts", parts.len());
            };
            assert_eq!(part.positions, positions);
            part.register(&session).await.expect("a table");
            assert_eq!(texts(&session).await.len(), 1_100);
        }
    }
}
