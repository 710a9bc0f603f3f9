//! Finished queries of an interrupted build are used again: each result is a file named after everything that decides it.

use std::path::{Path, PathBuf};

use arrow::array::{ArrayRef, RecordBatch};
use datafusion::prelude::{DataFrame, ParquetReadOptions, SessionContext};
use futures::StreamExt;

use crate::error::Result;
use crate::queries::Bound;
use crate::shards::{FileEntry, FileWriter, Use};
use crate::tables::lift;

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
        let mut hasher = blake3::Hasher::new();
        for part in [env!("CARGO_PKG_VERSION"), &bound.fingerprint()]
            .iter()
            .chain(inputs)
        {
            hasher
                .update(&(part.len() as u64).to_le_bytes())
                .update(part.as_bytes());
        }
        let key = hasher.finalize().to_hex().to_string();
        let path = self.folder.join(format!(
            "{}-{}.parquet",
            bound.query.file().trim_end_matches(".sql"),
            &key[..16]
        ));
        if !path.exists() {
            write(self.session, bound, &path, Use::Stage).await?;
        }
        Ok(Stage { path, key })
    }

    /// Makes the rows of these stages a table.
    ///
    /// # Errors
    /// When a stage file cannot be opened.
    pub(super) async fn register(&self, table: &str, stages: &[Stage]) -> Result<()> {
        let paths: Vec<_> = stages
            .iter()
            .map(|stage| stage.path.to_string_lossy().into_owned())
            .collect();
        register(self.session, table, paths).await
    }
}

/// Makes the rows of Parquet files a table, in place of one of the same name.
///
/// # Errors
/// When a file cannot be opened.
pub(super) async fn register(
    session: &SessionContext,
    table: &str,
    paths: Vec<String>,
) -> Result<()> {
    let rows = session
        .read_parquet(paths, ParquetReadOptions::default())
        .await
        .map_err(lift("its stage files"))?;
    session
        .deregister_table(table)
        .map_err(lift("its stage files"))?;
    session
        .register_table(table, rows.into_view())
        .map_err(lift("its stage files"))?;
    Ok(())
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
    let schema = std::sync::Arc::clone(plan.schema().inner());
    let mut file = FileWriter::create(path, &schema, used_as)?;
    each_batch(plan, bound, |batch| file.push(batch)).await?;
    file.finish()
}

/// Streams the rows of a planned query, in order.
///
/// # Errors
/// When the query fails, or the receiver.
pub(super) async fn each_batch(
    plan: DataFrame,
    bound: &Bound,
    mut receive: impl FnMut(RecordBatch) -> Result<()>,
) -> Result<()> {
    let query = bound.query.file();
    let mut batches = plan.execute_stream().await.map_err(lift(query))?;
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
