//! Parquet shards on disk and what stands beside them. No SQL, no tensors.
//!
//! ```text
//! shards/
//!   recipe.toml      written first: what was asked for
//!   plan.json        written when the draw is fixed
//!   00000.parquet …  each written beside its place, synced, renamed
//!   dropped/ held_out/ sources.parquet
//!   manifest.json    written last: it exists only when the build is complete
//! ```

mod file;
mod folder;
mod held_out;
mod manifest;
mod reader;
mod writer;

pub use file::{FileEntry, FileWriter, Use, replace};
pub use folder::{OutFolder, State, lock_folder};
pub use held_out::held_out;
pub use manifest::{
    MANIFEST, Manifest, MixRows, PLAN, Plan, RECIPE, RatioRows, RatioTokens, Rewording, SourceRows,
    Spread, StageEntry, Versions, shard_name,
};
pub use reader::{StreamReader, StreamSample};
pub use writer::ShardWriter;
