//! `delia-sql`: the tables of a finished build, read-only.

use std::path::Path;

use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SQLOptions;
use datafusion::prelude::{DataFrame, SessionContext, col, concat, lit, lpad};
use datafusion::sql::parser::DFParser;
use datafusion::sql::sqlparser::parser::ParserError;

use crate::error::{Error, Result};
use crate::shards::{Manifest, shard_name};
use crate::tables::{Engine, lift, session};

use super::stages::register;

/// What the engine puts before its messages.
const PREFIXES: [&str; 5] = [
    "External error: ",
    "SQL error: ",
    "Schema error: ",
    "Error during planning: ",
    "Execution error: ",
];

/// A finished build as tables: `shards`, `dropped`, `sources`, `held_out`.
pub struct SqlTables {
    session: SessionContext,
}

/// Opens the build in `folder`, comparing every file's size with the manifest.
///
/// # Errors
/// [`Error::NoManifest`] for an unfinished build, [`Error::Damaged`] for a torn or missing file.
pub async fn open(folder: &Path, engine: Engine) -> Result<SqlTables> {
    let manifest = Manifest::open(folder)?;
    let session = session(engine, &std::env::temp_dir())?;
    let paths = |belongs: &dyn Fn(&str) -> bool| -> Vec<String> {
        let names = manifest
            .files
            .keys()
            .filter(|name| name.ends_with(".parquet") && belongs(name));
        names
            .map(|name| folder.join(name).to_string_lossy().into_owned())
            .collect()
    };
    register(
        &session,
        "dropped",
        paths(&|name| name.starts_with("dropped/")),
    )
    .await?;
    register(
        &session,
        "held_out",
        paths(&|name| name.starts_with("held_out/")),
    )
    .await?;
    register(
        &session,
        "sources",
        paths(&|name| name == "sources.parquet"),
    )
    .await?;
    let shards: Vec<_> = (0..manifest.plan.shards)
        .map(|idx| folder.join(shard_name(idx)).to_string_lossy().into_owned())
        .collect();
    register(&session, "shards", shards).await?;
    name_shards(&session, manifest.plan.rows_per_shard)
        .await
        .map_err(lift("the table `shards`"))?;
    Ok(SqlTables { session })
}

impl SqlTables {
    /// Plans every statement of `sql`, in order.
    ///
    /// # Errors
    /// [`Error::Sql`] in the engine's words, for anything that cannot be planned or would write.
    pub async fn plan(&self, sql: &str) -> Result<Vec<DataFrame>> {
        let statements = DFParser::parse_sql(sql).map_err(in_words)?;
        let read_only = SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false);
        let mut plans = Vec::new();
        for statement in statements {
            let plan = self
                .session
                .state()
                .statement_to_plan(statement)
                .await
                .map_err(in_words)?;
            read_only.verify_plan(&plan).map_err(in_words)?;
            plans.push(
                self.session
                    .execute_logical_plan(plan)
                    .await
                    .map_err(in_words)?,
            );
        }
        Ok(plans)
    }
}

/// Runs a planned statement.
///
/// # Errors
/// [`Error::Sql`] in the engine's words.
pub async fn run(plan: DataFrame) -> Result<SendableRecordBatchStream> {
    plan.execute_stream().await.map_err(in_words)
}

/// What the engine said, without its own prefixes.
pub fn in_words(error: DataFusionError) -> Error {
    let message = match error {
        DataFusionError::SQL(error, _) => match *error {
            ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
            ParserError::RecursionLimitExceeded => "the statement is nested too deeply".to_owned(),
        },
        error => {
            let message = error.strip_backtrace();
            let bare = PREFIXES.iter().fold(message.as_str(), |message, prefix| {
                message.strip_prefix(prefix).unwrap_or(message)
            });
            bare.replace("datafusion.public.", "")
        }
    };
    Error::Sql { message }
}

/// Adds the column `shard`, the name of the file a row stands in: positions are dense, so the position says it.
async fn name_shards(
    session: &SessionContext,
    rows_per_shard: u64,
) -> datafusion::error::Result<()> {
    let shards = session.table("shards").await?;
    let number = datafusion::prelude::cast(
        col("position") / lit(rows_per_shard),
        arrow::datatypes::DataType::Utf8,
    );
    let name = concat(vec![lpad(vec![number, lit(5), lit("0")]), lit(".parquet")]);
    let named = shards.with_column("shard", name)?;
    session.deregister_table("shards")?;
    session.register_table("shards", named.into_view())?;
    Ok(())
}
