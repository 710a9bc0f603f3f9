//! Where a reader gets its shards from, each when its turn comes.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

use super::file::FileEntry;
use super::manifest::{Manifest, shard_name};

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

/// The shards in the folder of a finished build, each compared with the manifest when it is opened.
#[derive(Debug)]
pub struct ShardFolder {
    folder: PathBuf,
    files: BTreeMap<String, FileEntry>,
}

impl ShardFolder {
    /// The shards in `folder`, of which `manifest` is.
    pub fn new(folder: &Path, manifest: &Manifest) -> ShardFolder {
        ShardFolder {
            folder: folder.to_owned(),
            files: manifest.files.clone(),
        }
    }
}

impl Supply for ShardFolder {
    fn open(&self, shard_idx: u64) -> Result<OpenShard> {
        let name = shard_name(shard_idx);
        let path = self.folder.join(&name);
        let file = File::open(&path).map_err(Error::read(&path))?;
        // What is hashed is what will be read.
        let entry = FileEntry::of_file(&file).map_err(Error::read(&path))?;
        match self.files.get(&name) {
            Some(written) if written.is_same(&entry) => Ok(OpenShard { path, file }),
            _ => Err(Error::Damaged {
                path,
                problem: "its bytes are not those that were written".to_owned(),
            }),
        }
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
