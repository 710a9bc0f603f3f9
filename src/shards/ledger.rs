//! Which shards a fit has read before there was a manifest, and what their bytes were.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

use super::file::FileEntry;
use super::manifest::{Manifest, shard_name};

/// The shards a fit has read, in memory and, once it has a place, in a file: a fit that was killed still knows what it was
/// trained on.
#[derive(Debug, Default)]
pub struct Ledger {
    read: BTreeMap<u64, FileEntry>,
    file: Option<File>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    shard: u64,
    #[serde(flatten)]
    entry: FileEntry,
}

impl Ledger {
    /// What `path` lists, up to its first torn line; nothing where there is no such file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(path: &Path) -> Result<Ledger> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            text => text.map_err(Error::read(path))?,
        };
        let whole = text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'));
        let lines = whole.map_while(|line| serde_json::from_str(line).ok());
        let read = lines.map(|line: Line| (line.shard, line.entry)).collect();
        Ok(Ledger { read, file: None })
    }

    /// What `path` lists, and what is read from now on is added to it.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn keep(path: &Path) -> Result<Ledger> {
        let mut ledger = Ledger::read(path)?;
        let mut text = String::new();
        for (shard, entry) in &ledger.read {
            text += &line(*shard, entry);
        }
        // Without the torn line: what follows it would be lost.
        super::replace(path, text.as_bytes())?;
        let file = OpenOptions::new().append(true).open(path);
        ledger.file = Some(file.map_err(Error::write(path))?);
        Ok(ledger)
    }

    /// Notes that a shard is about to be read.
    ///
    /// # Errors
    /// [`Error::ShardReplaced`] where other bytes were read the last time; when it cannot be written.
    pub fn note(&mut self, folder: &Path, shard_idx: u64, entry: FileEntry) -> Result<()> {
        match self.read.get(&shard_idx) {
            Some(before) if before.is_same(&entry) => return Ok(()),
            Some(_) => return Err(replaced(folder, shard_idx)),
            None => {}
        }
        if let Some(file) = &mut self.file {
            let written = file.write_all(line(shard_idx, &entry).as_bytes());
            // Before a row of it is used.
            let written = written.and_then(|()| file.sync_data());
            written.map_err(Error::write(folder.join(shard_name(shard_idx))))?;
        }
        self.read.insert(shard_idx, entry);
        Ok(())
    }

    /// Compares all that was read with what a manifest says.
    ///
    /// # Errors
    /// [`Error::ShardReplaced`] for the first shard that differs.
    pub fn verify(&self, folder: &Path, manifest: &Manifest) -> Result<()> {
        let is_written = |(shard_idx, read): &(&u64, &FileEntry)| {
            let written = manifest.shard(**shard_idx);
            written.is_some_and(|written| written.is_same(read))
        };
        match self.read.iter().find(|read| !is_written(read)) {
            Some((shard_idx, _)) => Err(replaced(folder, *shard_idx)),
            None => Ok(()),
        }
    }
}

fn line(shard: u64, entry: &FileEntry) -> String {
    let line = Line {
        shard,
        entry: entry.clone(),
    };
    serde_json::to_string(&line).expect("numbers and text") + "\n"
}

fn replaced(folder: &Path, shard_idx: u64) -> Error {
    Error::ShardReplaced {
        path: folder.join(shard_name(shard_idx)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_remembers_across_a_torn_line_and_refuses_other_bytes() {
        let scratch = tempfile::tempdir().expect("a folder");
        let path = scratch.path().join("ledger");
        let folder = Path::new("shards");
        let entry = |text: &str| FileEntry::of_bytes(text.as_bytes());
        let mut ledger = Ledger::keep(&path).expect("a new one");
        ledger.note(folder, 0, entry("a")).expect("noted");
        ledger.note(folder, 1, entry("b")).expect("noted");
        ledger.note(folder, 0, entry("a")).expect("the same again");
        drop(ledger);
        let text = fs::read_to_string(&path).expect("a file");
        assert_eq!(text.lines().count(), 2);
        fs::write(&path, text.clone() + &text[..10]).expect("torn");
        let mut ledger = Ledger::keep(&path).expect("read back");
        ledger.note(folder, 2, entry("c")).expect("noted");
        let mut ledger = Ledger::read(&path).expect("read back");
        assert_eq!(ledger.read.len(), 3);
        let error = ledger.note(folder, 1, entry("x")).expect_err("refused");
        assert!(matches!(error, Error::ShardReplaced { path } if path.ends_with("00001.parquet")));
    }
}
