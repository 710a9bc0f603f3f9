//! The stream read back, from any position on.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::UInt64Type;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use crate::error::{Error, Result};
use crate::sample::{Kind, Prompt};

use super::manifest::Plan;
use super::supply::Supply;

/// Columns a fit needs.
const COLUMNS: [&str; 5] = ["position", "kind", "instruction", "input", "output"];

/// Rows decoded at a time; unmeasured.
const ROWS_PER_READ: usize = 512;

/// A sample of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSample {
    /// Its place in the stream.
    pub position: u64,
    /// Whether it teaches the task.
    pub kind: Kind,
    /// What is asked for.
    pub instruction: String,
    /// What it is asked about, or empty.
    pub input: String,
    /// The response.
    pub output: String,
}

impl StreamSample {
    /// Its prompt.
    pub fn prompt(&self) -> Prompt<'_> {
        Prompt {
            instruction: &self.instruction,
            input: &self.input,
        }
    }
}

/// Samples in order; holds a few rows at a time, however long the stream is.
#[derive(Debug)]
pub struct StreamReader {
    supply: Arc<dyn Supply>,
    rows_per_shard: u64,
    next: u64,
    end: u64,
    shard: Option<(PathBuf, ParquetRecordBatchReader)>,
    /// The first position expected of the open shard.
    opened_at: u64,
    ready: VecDeque<StreamSample>,
}

impl StreamReader {
    /// Reads the positions `range` of a build; what lies before is skipped by whole shards and row groups.
    pub fn new(supply: Arc<dyn Supply>, plan: &Plan, range: Range<u64>) -> StreamReader {
        StreamReader {
            supply,
            rows_per_shard: plan.rows_per_shard,
            next: range.start,
            end: range.end.min(plan.rows),
            shard: None,
            opened_at: range.start,
            ready: VecDeque::new(),
        }
    }

    fn fill(&mut self) -> Result<()> {
        while self.ready.is_empty() {
            let (path, mut reader) = match self.shard.take() {
                Some(open) => open,
                None => {
                    self.opened_at = self.next;
                    self.open_shard()?
                }
            };
            let Some(batch) = reader.next() else {
                // The next shard begins where this one ended; if it does not, rows are missing.
                if !self.next.is_multiple_of(self.rows_per_shard) || self.next == self.opened_at {
                    return Err(damaged(
                        &path,
                        format!("it ends before position {}", self.next),
                    ));
                }
                continue;
            };
            let batch = batch.map_err(|source| parquet(&path, source))?;
            self.take_rows(&path, &batch)?;
            self.shard = Some((path, reader));
        }
        Ok(())
    }

    fn open_shard(&self) -> Result<(PathBuf, ParquetRecordBatchReader)> {
        let shard = self.supply.open(self.next / self.rows_per_shard)?;
        let path = shard.path;
        let builder = ParquetRecordBatchReaderBuilder::try_new(shard.file)
            .map_err(|source| parquet(&path, source))?;
        let mut to_skip = self.next % self.rows_per_shard;
        let mut first_group = 0;
        for group in builder.metadata().row_groups() {
            let n_rows = group.num_rows() as u64;
            if n_rows > to_skip {
                break;
            }
            to_skip -= n_rows;
            first_group += 1;
        }
        let groups = first_group..builder.metadata().num_row_groups();
        let columns = ProjectionMask::columns(builder.parquet_schema(), COLUMNS);
        let reader = builder
            .with_row_groups(groups.collect())
            .with_projection(columns)
            .with_batch_size(ROWS_PER_READ)
            .build()
            .map_err(|source| parquet(&path, source))?;
        Ok((path, reader))
    }

    fn take_rows(&mut self, path: &Path, batch: &RecordBatch) -> Result<()> {
        let column = |name: &'static str| {
            batch
                .column_by_name(name)
                .ok_or_else(|| damaged(path, format!("it has no column `{name}`")))
        };
        let text = |name| {
            column(name)?
                .as_string_opt::<i32>()
                .ok_or_else(|| damaged(path, format!("column `{name}` is not text")))
        };
        let positions = column("position")?
            .as_primitive_opt::<UInt64Type>()
            .ok_or_else(|| damaged(path, "column `position` holds no numbers".to_owned()))?;
        let (kinds, instructions) = (text("kind")?, text("instruction")?);
        let (inputs, outputs) = (text("input")?, text("output")?);
        for row in 0..batch.num_rows() {
            let position = positions.value(row);
            if position < self.next {
                continue;
            }
            if position >= self.end {
                break;
            }
            if position > self.next {
                return Err(damaged(path, format!("position {} is missing", self.next)));
            }
            self.next += 1;
            self.ready.push_back(StreamSample {
                position,
                kind: if kinds.value(row) == Kind::Task.name() {
                    Kind::Task
                } else {
                    Kind::Diverse
                },
                instruction: instructions.value(row).to_owned(),
                input: inputs.value(row).to_owned(),
                output: outputs.value(row).to_owned(),
            });
        }
        Ok(())
    }
}

impl Iterator for StreamReader {
    type Item = Result<StreamSample>;

    fn next(&mut self) -> Option<Result<StreamSample>> {
        if self.ready.is_empty() {
            if self.next >= self.end {
                return None;
            }
            if let Err(error) = self.fill() {
                // Nothing follows an error.
                self.end = self.next;
                return Some(Err(error));
            }
        }
        self.ready.pop_front().map(Ok)
    }
}

fn damaged(path: &Path, problem: String) -> Error {
    Error::Damaged {
        path: path.to_owned(),
        problem,
    }
}

fn parquet(path: &Path, source: impl Into<crate::error::Cause>) -> Error {
    Error::Parquet {
        path: path.to_owned(),
        source: source.into(),
    }
}
