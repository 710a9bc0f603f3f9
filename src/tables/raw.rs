//! A source as a table that can be read once, while it is being read.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::{SessionContext, col};

use crate::error::Error;
use crate::sources::{Source, raw_schema};

/// Batches read ahead of the query.
const BATCHES_AHEAD: usize = 4;

/// The table `raw`: the records of one source, in their order.
pub struct RawTable {
    failure: Failure,
}

/// Why the source could not be read on. The engine hands an error to every thread that waits for rows, so what comes out of
/// a query is a copy of a copy; the original waits here.
type Failure = Arc<Mutex<Option<Error>>>;

impl RawTable {
    /// Registers `source` as the table `raw`, in place of the source before.
    ///
    /// # Errors
    /// When the session refuses the table.
    pub fn register(session: &SessionContext, source: Source) -> Result<RawTable> {
        let failure = Failure::default();
        let stream = Arc::new(Raw {
            source,
            schema: raw_schema(),
            failure: Arc::clone(&failure),
        });
        // The engine is told the order, so that ordering by it costs nothing.
        let in_order = vec![col("source_row").sort(true, false)];
        let table = StreamingTable::try_new(raw_schema(), vec![stream])?.with_sort_order(in_order);
        session.deregister_table("raw")?;
        session.register_table("raw", Arc::new(table))?;
        Ok(RawTable { failure })
    }

    /// The source's own error, if a query over it failed because of it.
    pub fn failure(&self) -> Option<Error> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

#[derive(Debug)]
struct Raw {
    source: Source,
    schema: SchemaRef,
    failure: Failure,
}

impl PartitionStream for Raw {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStreamBuilder::new(raw_schema(), BATCHES_AHEAD);
        let (batches, source, failure) =
            (stream.tx(), self.source.clone(), Arc::clone(&self.failure));
        stream.spawn_blocking(move || {
            let read = source.read(&mut |batch| batches.blocking_send(Ok(batch)).is_ok());
            read.map_err(|error| {
                let message = error.to_string();
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                DataFusionError::Execution(message)
            })
        });
        stream.build()
    }
}
