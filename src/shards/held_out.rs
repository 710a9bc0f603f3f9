//! The rows of a build that are measured on, read back.

use arrow::array::AsArray;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::error::{Cause, Error, Result};
use crate::sample::Kind;

use super::reader::StreamSample;
use super::supply::OpenShard;

/// Columns a measurement needs.
const COLUMNS: [&str; 3] = ["instruction", "input", "output"];

/// The first `n_rows` rows of a file of held-out rows, each with its number in it as position, and how many there are in all.
///
/// # Errors
/// [`Error::Damaged`] where a column is missing, [`Error::Parquet`] where it cannot be read.
pub fn held_out(
    OpenShard { path, file }: OpenShard,
    kind: Kind,
    n_rows: u64,
) -> Result<(Vec<StreamSample>, u64)> {
    let parquet = |source: Cause| Error::Parquet {
        path: path.clone(),
        source,
    };
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| parquet(error.into()))?;
    let n_in_file = builder.metadata().file_metadata().num_rows().unsigned_abs();
    let columns = ProjectionMask::columns(builder.parquet_schema(), COLUMNS);
    let reader = builder
        .with_projection(columns)
        .with_limit(n_rows.min(n_in_file) as usize)
        .build()
        .map_err(|error| parquet(error.into()))?;
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|error| parquet(error.into()))?;
        let texts = COLUMNS.map(|name| {
            let column = batch.column_by_name(name)?;
            column.as_string_opt::<i32>()
        });
        let [Some(instructions), Some(inputs), Some(outputs)] = texts else {
            return Err(Error::Damaged {
                path,
                problem: "a column of text is missing".to_owned(),
            });
        };
        for row in 0..batch.num_rows() {
            rows.push(StreamSample {
                position: rows.len() as u64,
                kind,
                instruction: instructions.value(row).to_owned(),
                input: inputs.value(row).to_owned(),
                output: outputs.value(row).to_owned(),
            });
        }
    }
    Ok((rows, n_in_file))
}
