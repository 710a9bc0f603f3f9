//! One module a command: the order of the queries, the one visible training loop.

#[cfg(feature = "build")]
mod account;
#[cfg(feature = "build")]
mod allot;
#[cfg(feature = "build")]
pub mod build;
#[cfg(feature = "build")]
mod catalog;
#[cfg(feature = "build")]
mod charts;
#[cfg(feature = "build")]
mod contract;
#[cfg(feature = "build")]
mod deal;
#[cfg(feature = "build")]
mod decontaminate;
#[cfg(feature = "build")]
mod draw;
#[cfg(feature = "build")]
pub mod explain;
#[cfg(feature = "fit")]
pub mod fit;
#[cfg(feature = "build")]
pub mod inspect;
#[cfg(feature = "build")]
mod line;
#[cfg(feature = "build")]
mod measure;
#[cfg(feature = "build")]
mod model;
#[cfg(feature = "build")]
mod near;
#[cfg(feature = "build")]
mod nearest;
#[cfg(feature = "build")]
mod order;
#[cfg(feature = "build")]
pub mod page;
#[cfg(feature = "build")]
mod pools;
#[cfg(feature = "build")]
pub mod prompt;
#[cfg(feature = "build")]
mod rejects;
#[cfg(feature = "build")]
mod rewording;
#[cfg(feature = "build")]
mod rouge_l;
#[cfg(feature = "build")]
mod rounds;
#[cfg(feature = "build")]
mod sampling;
#[cfg(feature = "build")]
mod source_table;
#[cfg(feature = "build")]
pub mod sql;
#[cfg(feature = "build")]
mod stages;
#[cfg(feature = "build")]
mod tokens;
#[cfg(feature = "build")]
mod write_shards;
