//! One module a command: the order of the queries, the one visible training loop.

#[cfg(feature = "build")]
mod account;
#[cfg(feature = "build")]
mod allot;
#[cfg(feature = "build")]
pub mod build;
#[cfg(feature = "fit")]
pub mod fit;
#[cfg(feature = "build")]
mod near;
#[cfg(feature = "build")]
mod rejects;
#[cfg(feature = "build")]
pub mod sql;
#[cfg(feature = "build")]
mod stages;
