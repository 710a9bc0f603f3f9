//! `delia-sql`: the tables of a finished build, read-only.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StringArray, UInt64Array};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::context::SQLOptions;
use datafusion::prelude::{DataFrame, SessionContext};
use datafusion::sql::parser::DFParser;
use datafusion::sql::sqlparser::parser::ParserError;

use crate::error::{Error, Result};
use crate::queries;
use crate::shards::{Manifest, shard_name};
use crate::tables::{Engine, lift, refuse_ignored, session};

use super::measure::DIVERSITY;
use super::stages::{register, register_columns};

/// What the engine puts before its messages.
const PREFIXES: [&str; 5] = [
    "External error: ",
    "SQL error: ",
    "Schema error: ",
    "Error during planning: ",
    "Execution error: ",
];

/// A finished build as tables: `shards`, `dropped`, `sources`, `held_out`, from its manifest `build` and `stages`, and
/// `diversity` where it was measured.
pub struct SqlTables {
    pub(super) session: SessionContext,
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
    register_manifest(&session, &manifest)?;
    Ok(SqlTables { session })
}

/// What the manifest says, as tables: `build` with one row, `stages` with one for each stage.
fn register_manifest(session: &SessionContext, manifest: &Manifest) -> Result<()> {
    let (plan, ratio) = (&manifest.plan, &manifest.ratio);
    let number = |number: u64| -> ArrayRef { Arc::new(UInt64Array::from(vec![number])) };
    let text = |text: String| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
    let bytes = (0..plan.shards)
        .filter_map(|shard_idx| manifest.files.get(&shard_name(shard_idx)))
        .map(|shard| shard.bytes)
        .sum();
    let columns: [(&str, ArrayRef); 15] = [
        ("rows", number(plan.rows)),
        ("task_rows", number(plan.task_rows)),
        ("diverse_rows", number(plan.diverse_rows)),
        ("ratio_requested", text(ratio.requested.to_string())),
        (
            "ratio_achieved",
            Arc::new(Float64Array::from(vec![ratio.achieved])),
        ),
        ("iterations", number(ratio.iterations.into())),
        ("passes", number(ratio.passes.into())),
        (
            "requested_rows",
            Arc::new(UInt64Array::from(vec![ratio.requested_rows])),
        ),
        ("shards", number(plan.shards)),
        ("rows_per_shard", number(plan.rows_per_shard)),
        ("bytes", number(bytes)),
        ("seed", number(manifest.seed)),
        ("special_tokens", text(plan.special_tokens.join(" "))),
        ("delia_version", text(manifest.versions.delia.clone())),
        (
            "datafusion_version",
            text(manifest.versions.datafusion.clone()),
        ),
    ];
    register_columns(session, "build", columns)?;
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(
        plan.stages.iter().map(|stage| &stage.name),
    ));
    let positions: ArrayRef = Arc::new(UInt64Array::from_iter_values(
        plan.stages.iter().map(|stage| stage.first_position),
    ));
    let columns = [("name", names), ("first_position", positions)];
    register_columns(session, "stages", columns)
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
            let state = self.session.state();
            refuse_ignored(&statement, &state)?;
            let plan = state
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
