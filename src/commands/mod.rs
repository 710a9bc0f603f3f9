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
#[cfg(feature = "fit")]
pub mod fit;
#[cfg(feature = "build")]
pub mod inspect;
#[cfg(feature = "build")]
mod near;
#[cfg(feature = "build")]
pub mod page;
#[cfg(feature = "build")]
pub mod prompt;
#[cfg(feature = "build")]
pub mod sql;
#[cfg(feature = "build")]
mod stages;
