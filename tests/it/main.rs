//! One binary for all tests from outside, so that the crate is linked once.

/// The real binaries, scratch folders, and shards read back.
mod delia;

/// Every error a user can provoke.
mod bad_input;
/// What `data/` promises.
mod bundled;
/// What a build contains: the ratio, the order, every row accounted for.
mod contract;
/// What happens when something is in the folder already.
mod folders;
/// Rooms import only from rooms above them.
mod layering;
/// `queries/*.sql` are those the code knows, with the parameters it binds.
mod queries;
/// The commands of the README.
mod readme;
/// Real datasets, where `DELIA_REAL_DATA` names their folder.
mod real_data;
/// The same recipe gives the same bytes, however it is run.
mod same_bytes;
/// Every format, compression and column name a source may have.
mod sources;
/// `delia-sql`.
mod sql;
