//! Where a reader gets its shards from, each when its turn comes.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

use super::manifest::shard_name;

/// Where a reader gets its shards from, each when its turn comes.
pub trait Supply: fmt::Debug + Send + Sync {
    /// Opens a shard; where it is still to come, waits for it.
    ///
    /// # Errors
    /// When it cannot be had, or is not what was written; [`Error::Interrupted`] after [`Supply::close`].
    fn open(&self, shard_idx: u64) -> Result<OpenShard>;

    /// Ends every wait, and has none begin.
    fn close(&self);
}

/// An open shard: what is read is what was looked at, whatever becomes of its name.
#[derive(Debug)]
pub struct OpenShard {
    /// What it is called in messages.
    pub path: PathBuf,
    /// At its first byte.
    pub file: File,
}

/// The shards in the folder of a finished build.
#[derive(Debug)]
pub struct ShardFolder(PathBuf);

impl ShardFolder {
    /// The shards in `folder`.
    pub fn new(folder: &Path) -> ShardFolder {
        ShardFolder(folder.to_owned())
    }
}

impl Supply for ShardFolder {
    fn open(&self, shard_idx: u64) -> Result<OpenShard> {
        let path = self.0.join(shard_name(shard_idx));
        let file = File::open(&path).map_err(Error::read(&path))?;
        Ok(OpenShard { path, file })
    }

    fn close(&self) {}
}

/// What a wait ends with that is no longer wanted.
pub(super) fn closed() -> Error {
    Error::Interrupted {
        n_done: 0,
        what: "steps",
    }
}
