//! Parquet shards and what stands beside them: in a folder, in one that is still being written, or behind an address. No
//! SQL, no tensors.
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
mod follow;
mod held_out;
mod ledger;
mod manifest;
mod reader;
#[cfg(feature = "fit")]
pub mod remote;
mod supply;
mod writer;

pub use file::{FileEntry, FileWriter, Use, replace, replace_with};
pub use folder::{OutFolder, State, is_held, lock_folder};
pub use follow::{Followed, Found, find};
pub use held_out::held_out;
pub use ledger::Ledger;
pub use manifest::{
    MANIFEST, Manifest, MixRows, PLAN, Plan, RECIPE, RatioRows, RatioTokens, Rewording, SourceRows,
    Spread, StageEntry, Versions, build_id, shard_name,
};
pub use reader::{StreamReader, StreamSample};
pub use supply::{OpenShard, ShardFolder, Supply};
pub use writer::ShardWriter;
