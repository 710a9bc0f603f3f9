//! Finished queries of an interrupted build are used again: each result is a file named after everything that decides it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::datasource::file_format::options::ReadOptions;
use datafusion::datasource::listing::{ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::prelude::{DataFrame, ParquetReadOptions, SessionContext};
use futures::StreamExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use url::Url;

use crate::error::{Error, Result};
use crate::queries::Bound;
use crate::shards::{FileEntry, FileWriter, Use};
use crate::tables::{join_by_sorting, lift};

/// The stage files of one build.
pub(super) struct Stages<'a> {
    pub(super) session: &'a SessionContext,
    pub(super) folder: PathBuf,
}

/// The result of a query, on disk.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    path: PathBuf,
    /// BLAKE3 over the query, its parameters and what it read, in hex.
    pub(super) key: String,
}

impl Stages<'_> {
    /// Runs a query, unless a file already holds its result for just these `inputs`: the keys of what it reads.
    ///
    /// # Errors
    /// When the query fails or its result cannot be written.
    pub(super) async fn run(&self, bound: &Bound, inputs: &[&str]) -> Result<Stage> {
        let stage = self.place(bound, inputs);
        if !stage.path.exists() {
            write(self.session, bound, &stage.path, Use::Stage).await?;
        }
        Ok(stage)
    }

    /// Whether a file already holds the query's result for just these inputs.
    pub(super) fn is_finished(&self, bound: &Bound, inputs: &[&str]) -> bool {
        self.place(bound, inputs).path.exists()
    }

    /// Where the query's result for these inputs belongs.
    fn place(&self, bound: &Bound, inputs: &[&str]) -> Stage {
        let fingerprint = bound.fingerprint();
        let decides = [&[fingerprint.as_str()], inputs].concat();
        self.stage(bound.query.file().trim_end_matches(".sql"), &decides)
    }

    /// Fills a file with rows, unless it is already there for just these `inputs`: everything that decides them.
    ///
    /// # Errors
    /// Those of `fill`, or when the file cannot be written.
    pub(super) async fn make(
        &self,
        name: &str,
        inputs: &[&str],
        schema: &SchemaRef,
        fill: impl AsyncFnOnce(&mut FileWriter) -> Result<()>,
    ) -> Result<Stage> {
        let stage = self.stage(name, inputs);
        if !stage.path.exists() {
            let mut file = FileWriter::create(&stage.path, schema, Use::Stage)?;
            fill(&mut file).await?;
            file.finish()?;
        }
        Ok(stage)
    }

    fn stage(&self, name: &str, inputs: &[&str]) -> Stage {
        let mut hasher = blake3::Hasher::new();
        for part in [&[env!("CARGO_PKG_VERSION")], inputs].concat() {
            hasher
                .update(&(part.len() as u64).to_le_bytes())
                .update(part.as_bytes());
        }
        let key = hasher.finalize().to_hex().to_string();
        let path = self.folder.join(format!("{name}-{}.parquet", &key[..16]));
        Stage { path, key }
    }

    /// Makes a query a table that is computed where it is read.
    ///
    /// # Errors
    /// When it cannot be planned.
    pub(super) async fn view(&self, table: &'static str, bound: &Bound) -> Result<()> {
        let plan = bound.plan(self.session).await?;
        let registered = self
            .session
            .deregister_table(table)
            .and_then(|_| self.session.register_table(table, plan.into_view()));
        registered.map(drop).map_err(lift(table))
    }

    /// The rows of a stage, in its order.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub(super) fn read(
        &self,
        stage: &Stage,
    ) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<>> {
        let path = stage.path.clone();
        let batches = stage.open()?.build().map_err(broken(&path))?;
        Ok(batches.map(move |batch| batch.map_err(|error| broken(&path)(error.into()))))
    }

    /// How many rows a stage has.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub(super) fn n_rows(&self, stage: &Stage) -> Result<u64> {
        let n_rows = stage.open()?.metadata().file_metadata().num_rows();
        Ok(u64::try_from(n_rows).unwrap_or(0))
    }

    /// Makes the rows of these stages a table.
    ///
    /// # Errors
    /// When a stage file cannot be opened.
    pub(super) async fn register(&self, table: &'static str, stages: &[Stage]) -> Result<()> {
        let paths: Vec<_> = stages.iter().map(|stage| stage.path.clone()).collect();
        register(self.session, table, &paths).await
    }
}

impl Stage {
    fn open(&self) -> Result<ParquetRecordBatchReaderBuilder<File>> {
        let file = File::open(&self.path).map_err(Error::read(&self.path))?;
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(broken(&self.path))
    }
}

fn broken(path: &Path) -> impl FnOnce(ParquetError) -> Error {
    let path = path.to_owned();
    move |error| Error::Parquet {
        path,
        source: error.into(),
    }
}

/// Makes the rows of Parquet files a table, in place of one of the same name.
///
/// # Errors
/// When a file cannot be opened.
pub(super) async fn register(
    session: &SessionContext,
    table: &'static str,
    paths: &[PathBuf],
) -> Result<()> {
    let registered = async {
        // As URLs: the engine would take a `*` or `[` in a path for a pattern.
        let urls = paths
            .iter()
            .map(|path| file_url(path))
            .collect::<datafusion::error::Result<_>>()?;
        let options = ParquetReadOptions::default()
            .to_listing_options(&session.copied_config(), session.copied_table_options());
        let config = ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options);
        let rows = ListingTable::try_new(config.infer_schema(&session.state()).await?)?;
        session.deregister_table(table)?;
        session.register_table(table, Arc::new(rows))
    };
    registered.await.map(drop).map_err(lift(table))
}

fn file_url(path: &Path) -> datafusion::error::Result<ListingTableUrl> {
    let url = Url::from_file_path(std::path::absolute(path)?);
    let url =
        url.map_err(|()| DataFusionError::Plan(format!("`{}` is no path", path.display())))?;
    ListingTableUrl::try_new(url, None)
}

/// Runs a query and writes its rows to `path`.
///
/// # Errors
/// When the query fails or its rows cannot be written.
pub(super) async fn write(
    session: &SessionContext,
    bound: &Bound,
    path: &Path,
    used_as: Use,
) -> Result<FileEntry> {
    let plan = bound.plan(session).await?;
    let schema = Arc::clone(plan.schema().inner());
    let mut file = FileWriter::create(path, &schema, used_as)?;
    each_batch(session, plan, bound, |batch| file.push(batch)).await?;
    file.finish()
}

/// Streams the rows of a planned query, in order. A join that does not fit into memory is done again by sorting.
///
/// # Errors
/// When the query fails, or the receiver.
pub(super) async fn each_batch(
    session: &SessionContext,
    plan: DataFrame,
    bound: &Bound,
    receive: impl FnMut(RecordBatch) -> Result<()>,
) -> Result<()> {
    let logical = plan.logical_plan().clone();
    let batches = plan.execute_stream().await;
    let running = Running {
        logical,
        is_hashed: is_hashed(session),
        batches: batches.map_err(lift(bound.query.file()))?,
    };
    running.each_batch(session, bound, receive).await
}

/// A query that runs.
pub(super) struct Running {
    logical: LogicalPlan,
    /// Whether its joins hold one of their sides in memory.
    is_hashed: bool,
    batches: SendableRecordBatchStream,
}

/// Batches that wait for who reads a query that was started ahead.
const BATCHES_AHEAD: usize = 2;

impl Running {
    /// Starts a planned query before its rows are wanted.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) async fn ahead(
        session: &SessionContext,
        plan: DataFrame,
        bound: &Bound,
    ) -> Result<Running> {
        let logical = plan.logical_plan().clone();
        let batches = plan.execute_stream().await;
        let mut batches = batches.map_err(lift(bound.query.file()))?;
        let mut ahead = RecordBatchReceiverStreamBuilder::new(batches.schema(), BATCHES_AHEAD);
        let sender = ahead.tx();
        ahead.spawn(async move {
            while let Some(batch) = batches.next().await {
                // The reader may have had enough.
                if sender.send(batch).await.is_err() {
                    break;
                }
            }
            Ok(())
        });
        Ok(Running {
            logical,
            is_hashed: is_hashed(session),
            batches: ahead.build(),
        })
    }

    /// What [`each_batch`] does.
    ///
    /// # Errors
    /// When the query fails, or the receiver.
    pub(super) async fn each_batch(
        self,
        session: &SessionContext,
        bound: &Bound,
        mut receive: impl FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let query = bound.query.file();
        let mut n_received = 0;
        let mut count = |batch| {
            n_received += 1;
            receive(batch)
        };
        match receive_all(self.batches, query, &mut count).await {
            // It may be that another query has met the limit since this one was planned.
            Err(Error::MemoryLimit { .. }) if n_received == 0 && self.is_hashed => {
                join_by_sorting(session);
                let plan = DataFrame::new(session.state(), self.logical);
                let batches = plan.execute_stream().await.map_err(lift(query))?;
                receive_all(batches, query, &mut receive).await
            }
            outcome => outcome,
        }
    }
}

fn is_hashed(session: &SessionContext) -> bool {
    let state = session.state_ref();
    let state = state.read();
    state.config_options().optimizer.prefer_hash_join
}

async fn receive_all(
    mut batches: SendableRecordBatchStream,
    query: &'static str,
    receive: &mut impl FnMut(RecordBatch) -> Result<()>,
) -> Result<()> {
    while let Some(batch) = batches.next().await {
        receive(batch.map_err(lift(query))?)?;
    }
    Ok(())
}

/// Makes a few columns a table, in place of one of the same name.
///
/// # Errors
/// When the session refuses the table.
pub(super) fn register_columns<const N: usize>(
    session: &SessionContext,
    table: &'static str,
    columns: [(&str, ArrayRef); N],
) -> Result<()> {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.map(|(name, column)| (name, column, true)),
    );
    let registered = batch.map_err(Into::into).and_then(|batch| {
        session.deregister_table(table)?;
        session.register_batch(table, batch)
    });
    registered.map(drop).map_err(lift(table))
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::Int64Type;

    use super::*;
    use crate::queries;
    use crate::tables::{Engine, session};

    const N_ROWS: i64 = 1_000_000;
    const SQL: &str = "SELECT sum(one.n) AS total FROM one JOIN other ON other.n = one.n";

    /// A session in which one side of the join does not fit.
    fn small(scratch: &Path) -> SessionContext {
        let engine = Engine {
            threads: 1,
            batch_rows: 2_048,
            memory_bytes: 8 << 20,
            temp_dir: None,
        };
        let session = session(&engine, scratch).expect("a session");
        for table in ["one", "other"] {
            let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..N_ROWS));
            register_columns(&session, table, [("n", numbers)]).expect("a table");
        }
        session
    }

    #[tokio::test]
    async fn a_join_that_does_not_fit_into_memory_is_done_by_sorting() {
        let folder = tempfile::tempdir().expect("a folder");
        let session = small(folder.path());
        let query = queries::sources();
        for hashes in [true, false] {
            assert_eq!(is_hashed(&session), hashes);
            let mut totals = Vec::new();
            let plan = session.sql(SQL).await.expect("a plan");
            each_batch(&session, plan, &query, |batch| {
                totals.push(batch["total"].as_primitive::<Int64Type>().value(0));
                Ok(())
            })
            .await
            .expect("it fits when sorted");
            assert_eq!(totals, [N_ROWS * (N_ROWS - 1) / 2]);
        }
    }

    #[tokio::test]
    async fn so_is_one_that_was_started_before_another_did_not_fit() {
        let folder = tempfile::tempdir().expect("a folder");
        let session = small(folder.path());
        let query = queries::sources();
        let plan = session.sql(SQL).await.expect("a plan");
        let running = Running::ahead(&session, plan, &query)
            .await
            .expect("it starts");
        join_by_sorting(&session);
        let mut totals = Vec::new();
        running
            .each_batch(&session, &query, |batch| {
                totals.push(batch["total"].as_primitive::<Int64Type>().value(0));
                Ok(())
            })
            .await
            .expect("it fits when sorted");
        assert_eq!(totals, [N_ROWS * (N_ROWS - 1) / 2]);
    }
}
