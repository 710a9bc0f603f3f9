//! `delia-sql`: the tables of a finished build, read-only.

use std::path::Path;

use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SQLOptions;
use datafusion::prelude::{DataFrame, SessionContext};
use datafusion::sql::parser::DFParser;
use datafusion::sql::sqlparser::parser::ParserError;

use crate::error::{Error, Result};
use crate::queries;
use crate::shards::{Manifest, shard_name};
use crate::tables::{Engine, lift, session};

use super::measure::DIVERSITY;
use super::stages::register;

/// What the engine puts before its messages.
const PREFIXES: [&str; 5] = [
    "External error: ",
    "SQL error: ",
    "Schema error: ",
    "Error during planning: ",
    "Execution error: ",
];

/// A finished build as tables: `shards`, `dropped`, `sources`, `held_out`, and `diversity` where it was measured.
pub struct SqlTables {
    session: SessionContext,
}

/// Opens the build in `folder`, comparing every file's size with the manifest. What does not fit in memory goes to `scratch`.
///
/// # Errors
/// [`Error::NoManifest`] for an unfinished build, [`Error::Damaged`] for a torn or missing file.
pub async fn open(folder: &Path, engine: &Engine, scratch: &Path) -> Result<SqlTables> {
    let manifest = Manifest::open(folder)?;
    let session = session(engine, scratch)?;
    let below = |prefix: &str| -> Vec<_> {
        let names = manifest
            .files
            .keys()
            .filter(|name| name.starts_with(prefix));
        names.map(|name| folder.join(name)).collect()
    };
    register(&session, "dropped", &below("dropped/")).await?;
    register(&session, "held_out", &below("held_out/")).await?;
    register(&session, "sources", &below("sources.parquet")).await?;
    // Only where the selection was `diverse`.
    let diversity = below(DIVERSITY);
    if !diversity.is_empty() {
        register(&session, "diversity", &diversity).await?;
    }
    let shards: Vec<_> = (0..manifest.plan.shards)
        .map(|shard_idx| folder.join(shard_name(shard_idx)))
        .collect();
    register(&session, "stream", &shards).await?;
    let named = queries::named_shards(manifest.plan.rows_per_shard)
        .plan(&session)
        .await?;
    let renamed = session
        .register_table("shards", named.into_view())
        .and_then(|_| session.deregister_table("stream"));
    renamed.map_err(lift("shards"))?;
    Ok(SqlTables { session })
}

impl SqlTables {
    /// Plans every statement of `sql`, in order.
    ///
    /// # Errors
    /// [`Error::Sql`] in the engine's words, for anything that cannot be planned or would write.
    pub async fn plan(&self, sql: &str) -> Result<Vec<DataFrame>> {
        let statements = DFParser::parse_sql(sql).map_err(|error| in_words(&error))?;
        if statements.is_empty() {
            return Err(Error::Sql {
                message: "there is no statement to run".to_owned(),
            });
        }
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
                .map_err(|error| in_words(&error))?;
            read_only
                .verify_plan(&plan)
                .map_err(|error| in_words(&error))?;
            plans.push(
                self.session
                    .execute_logical_plan(plan)
                    .await
                    .map_err(|error| in_words(&error))?,
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
    plan.execute_stream()
        .await
        .map_err(|error| in_words(&error))
}

/// What the engine said, without its own prefixes.
pub fn in_words(error: &DataFusionError) -> Error {
    let message = match error.find_root() {
        DataFusionError::SQL(error, _) => match error.as_ref() {
            ParserError::TokenizerError(message) | ParserError::ParserError(message) => {
                message.clone()
            }
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
