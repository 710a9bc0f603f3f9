//! One function a command: the order of the queries.

mod account;
mod allot;
mod build;
mod sql;
mod stages;

pub use build::{Permissions, Progress, build};
pub use sql::{SqlTables, in_words, open, run};
