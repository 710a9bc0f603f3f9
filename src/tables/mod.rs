//! The query engine's session, the SQL functions of our own, and sources as tables.
//!
//! What chooses, groups or orders rows is SQL; what touches characters or hashes is a function here, one a file, each a plain
//! kernel with a thin wrapper.

mod count_words;
mod distinct_ngrams;
mod draws_until;
mod entropy;
mod histogram;
mod ignored;
mod is_blank;
mod is_placeholder;
mod jaccard;
mod lead_pair;
mod may_repeat;
mod may_share;
mod memory;
mod minhash;
mod named_table;
mod near_index;
mod ngrams;
mod opening;
mod postings;
mod prompt_parts;
mod random_rows;
mod rare_prefix;
mod raw;
mod repair_mojibake;
mod response_keys;
mod rouge_l;
mod rouge_words;
mod sample_id;
mod seeded_hash;
mod shared_ends;
mod shingles;
mod shuffle_key;
mod spread;
mod summarize;
mod task_of_draw;
mod token_count;
mod word_cluster;
mod word_hashes;
mod words;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::error::DataFusionError;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::error::{Error, Result};

use memory::Memory;

pub use ignored::refuse_ignored;

pub(crate) use is_blank::is_blank;
pub use may_repeat::{Repeats, register_may_repeat};
pub use may_share::{MeasuredOn, register_may_share};
pub use minhash::Bands;
pub use near_index::{FirstCome, Keys, Similar};
pub use rare_prefix::RarePrefix;
pub use raw::RawTable;
pub use rouge_l::{Lcs, f_measure};
pub(crate) use rouge_words::rouge_words;
pub use shingles::members;
pub(crate) use shingles::shingles;
pub use token_count::register_token_count;

/// Bytes a sort keeps back for the merge of what it spilled, at the most.
const MERGE_BYTES_MAX: usize = 10 << 20;

/// Spilled runs merged at a time; without a limit a merge of many runs needs more memory than the pool has.
const MERGE_FAN_IN: RangeInclusive<usize> = 8..=64;

/// Memory for each run of a merge.
const BYTES_PER_RUN: usize = 32 << 20;

/// How much of the machine a session uses. None of it changes what a query returns.
#[derive(Clone, Debug)]
pub struct Engine {
    /// Threads.
    pub threads: usize,
    /// Rows in a batch: small enough that a sort can spill in many steps.
    pub batch_rows: usize,
    /// Bytes of rows that sorts and joins may hold before they spill to disk.
    pub memory_bytes: usize,
    /// Where they spill to; `None` for a place of the command's own.
    pub temp_dir: Option<PathBuf>,
}

impl Engine {
    /// The least memory that a build of a few rows runs in.
    pub const MIN_MEMORY_BYTES: usize = 32 << 20;
}

/// A session with our functions. What does not fit in memory goes to `scratch`.
///
/// # Errors
/// When `scratch` cannot be used.
pub fn session(engine: &Engine, scratch: &Path) -> Result<SessionContext> {
    let scratch = engine.temp_dir.as_deref().unwrap_or(scratch);
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
    // The right side of a join streams past the left one as it is divided already.
    options.optimizer.repartition_joins = false;
    // Every sort keeps this back for the merge of what it spilled; under a small limit that must not be all there is.
    options.execution.sort_spill_reservation_bytes =
        (engine.memory_bytes / 64).min(MERGE_BYTES_MAX);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(Memory::new(engine.memory_bytes)))
        .with_temp_file_path(scratch)
        .with_max_temp_directory_size(u64::MAX)
        .with_max_spill_merge_fan_in(
            (engine.memory_bytes / BYTES_PER_RUN).clamp(*MERGE_FAN_IN.start(), *MERGE_FAN_IN.end()),
        )
        .build_arc()
        .map_err(lift("the session"))?;
    let context = SessionContext::new_with_config_rt(config, runtime);
    for function in functions() {
        context.register_udf(function);
    }
    for function in aggregates() {
        context.register_udaf(function);
    }
    context.register_udtf("random_rows", Arc::new(random_rows::RandomRows));
    context.register_udtf("summarize", Arc::new(summarize::Summarize));
    Ok(context)
}

/// From now on the session joins by sorting both sides, which can go to disk, instead of holding one of them in memory.
pub fn join_by_sorting(session: &SessionContext) {
    let state = session.state_ref();
    let mut state = state.write();
    let options = state.config_mut().options_mut();
    options.optimizer.repartition_joins = true;
    // The engine has no such join for a single partition.
    options.execution.target_partitions = options.execution.target_partitions.max(2);
    options.optimizer.prefer_hash_join = false;
}

/// The SQL functions of our own.
pub fn functions() -> Vec<ScalarUDF> {
    vec![
        count_words::function(),
        draws_until::function(),
        is_blank::function(),
        is_placeholder::function(),
        jaccard::function(),
        lead_pair::function(),
        ngrams::function(),
        opening::function(),
        prompt_parts::function(),
        repair_mojibake::function(),
        rouge_l::function(),
        rouge_words::function(),
        sample_id::function(),
        seeded_hash::function(),
        may_repeat::function(Repeats::default()),
        may_share::function(MeasuredOn::default()),
        shingles::function(),
        shuffle_key::function(),
        spread::function(),
        task_of_draw::function(),
        word_cluster::function(),
        word_hashes::function(),
        words::function(),
    ]
}

/// The aggregates of our own.
pub fn aggregates() -> Vec<AggregateUDF> {
    vec![
        distinct_ngrams::function(),
        entropy::function(),
        histogram::function(),
        response_keys::function(),
        shared_ends::function(),
    ]
}

/// Turns an engine error into ours.
pub fn lift(query: &'static str) -> impl FnOnce(DataFusionError) -> Error {
    move |error| match error.find_root() {
        DataFusionError::ResourcesExhausted(problem) => Error::MemoryLimit {
            query,
            problem: problem.clone(),
        },
        _ => Error::Query {
            query,
            source: error.into(),
        },
    }
}
