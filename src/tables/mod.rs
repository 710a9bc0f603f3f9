//! The query engine's session, the SQL functions of our own, and sources as tables.
//!
//! What chooses, groups or orders rows is SQL; what touches characters or hashes is a function here, one a file, each a plain
//! kernel with a thin wrapper.

mod draws_until;
mod is_blank;
mod is_placeholder;
mod jaccard;
mod minhash;
mod rare_prefix;
mod raw;
mod repair_mojibake;
mod sample_id;
mod seeded_hash;
mod set_id;
mod shingles;
mod task_of_draw;

use std::path::Path;
use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::error::{Error, Result};

pub use raw::RawTable;

/// Bytes of rows that sorts and joins may hold before they spill to disk. Measured on 2 cores: 330 MB of rows sort within
/// 256 MB at 1,024 rows a batch, so this serves tens of gigabytes.
const MEMORY_BYTES: usize = 4 << 30;

/// Spilled runs merged at a time; without a limit a merge of many runs needs more memory than the pool has.
const MERGE_FAN_IN: usize = 8;

/// How much of the machine a session uses. None of it changes what a query returns.
#[derive(Clone, Copy, Debug)]
pub struct Engine {
    /// Threads.
    pub threads: usize,
    /// Rows in a batch.
    pub batch_rows: usize,
}

impl Engine {
    /// All cores; batches small enough that a sort can spill in many steps.
    pub fn of_machine() -> Engine {
        Engine {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            batch_rows: 2_048,
        }
    }
}

/// A session with our functions. What does not fit in memory goes to `scratch`.
///
/// # Errors
/// When `scratch` cannot be used.
pub fn session(engine: Engine, scratch: &Path) -> Result<SessionContext> {
    let mut config = SessionConfig::new()
        .with_target_partitions(engine.threads)
        .with_batch_size(engine.batch_rows)
        .with_information_schema(true);
    let options = config.options_mut();
    // Our functions and the shards speak Utf8; views would be converted back and forth at every one of them.
    options.execution.parquet.schema_force_view_types = false;
    // Statistics tell the planner that a column is constant, as `source_idx` is where there is one source; in 55.2 it then
    // drops the column from a sort that is pushed below a join, and its own check refuses the plan.
    options.execution.collect_statistics = false;
    options.sql_parser.map_string_types_to_utf8view = false;
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(MEMORY_BYTES)))
        .with_temp_file_path(scratch)
        .with_max_spill_merge_fan_in(MERGE_FAN_IN)
        .build_arc()
        .map_err(lift("the session"))?;
    let context = SessionContext::new_with_config_rt(config, runtime);
    for function in functions() {
        context.register_udf(function);
    }
    Ok(context)
}

/// The SQL functions of our own.
pub fn functions() -> Vec<ScalarUDF> {
    vec![
        draws_until::function(),
        is_blank::function(),
        is_placeholder::function(),
        jaccard::function(),
        minhash::function(),
        rare_prefix::function(),
        repair_mojibake::function(),
        sample_id::function(),
        seeded_hash::function(),
        set_id::function(),
        shingles::function(),
        task_of_draw::function(),
    ]
}

/// Turns an engine error into ours.
pub fn lift(query: &'static str) -> impl FnOnce(DataFusionError) -> Error {
    move |error| Error::Query {
        query,
        source: error.into(),
    }
}
