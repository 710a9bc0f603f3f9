//! Finished queries of an interrupted build are used again: each result is a file named after everything that decides it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use datafusion::datasource::file_format::options::ReadOptions;
use datafusion::datasource::listing::{ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::error::DataFusionError;
use datafusion::prelude::{DataFrame, ParquetReadOptions, SessionContext, col};
use futures::StreamExt;
use url::Url;

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

    /// The rows of a table, ordered by these columns.
    ///
    /// # Errors
    /// When there is no such table or column.
    pub(super) async fn rows(&self, table: &'static str, order: &[&str]) -> Result<DataFrame> {
        let by = order.iter().map(|column| col(*column)).collect();
        let rows = self.session.table(table).await;
        rows.and_then(|rows| rows.sort_by(by)).map_err(lift(table))
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
