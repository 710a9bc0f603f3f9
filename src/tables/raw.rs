//! A source as a table that can be read once, while it is being read.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::col;

use crate::sources::{Source, raw_schema};

/// Batches read ahead of the query.
const BATCHES_AHEAD: usize = 4;

/// The records of `source`, in their order.
///
/// # Errors
/// Never in practice: the schema is the source's own.
pub fn raw_table(source: Source) -> Result<StreamingTable> {
    let stream = Arc::new(Raw {
        source,
        schema: raw_schema(),
    });
    // The engine is told the order, so that ordering by it costs nothing.
    let in_order = vec![col("source_row").sort(true, false)];
    Ok(StreamingTable::try_new(raw_schema(), vec![stream])?.with_sort_order(in_order))
}

#[derive(Debug)]
struct Raw {
    source: Source,
    schema: SchemaRef,
}

impl PartitionStream for Raw {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStreamBuilder::new(raw_schema(), BATCHES_AHEAD);
        let (batches, source) = (stream.tx(), self.source.clone());
        stream.spawn_blocking(move || {
            source
                .read(&mut |batch| batches.blocking_send(Ok(batch)).is_ok())
                .map_err(|error| DataFusionError::External(Box::new(error)))
        });
        stream.build()
    }
}
