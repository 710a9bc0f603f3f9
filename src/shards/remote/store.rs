//! The shards in the cache folder: each named after its bytes, and no more of them than there may be.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{Error, Result};

use super::super::file::FileEntry;

/// The endings of a shard and of one on its way.
const WHOLE: &str = "parquet";
const PART: &str = "part";

/// The shards in the cache folder.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    max_bytes: u64,
}

impl Store {
    /// Opens the folder, and makes it where it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn open(folder: &Path, max_bytes: u64) -> Result<Store> {
        fs::create_dir_all(folder).map_err(Error::write(folder))?;
        Ok(Store {
            folder: folder.to_owned(),
            max_bytes,
        })
    }

    /// The shard, if it is here and whole; one that is damaged is removed.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn whole(&self, entry: &FileEntry) -> Result<Option<File>> {
        let path = self.place(entry);
        let file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(Error::read(&path))?,
        };
        let found = FileEntry::of_file(&file).map_err(Error::read(&path))?;
        if !found.is_same(entry) {
            fs::remove_file(&path).map_err(Error::write(&path))?;
            return Ok(None);
        }
        // The least recently used goes first; where that cannot be noted, the oldest.
        let _ = file.set_modified(SystemTime::now());
        Ok(Some(file))
    }

    /// The shard on its way, as far as it is here.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn part(&self, entry: &FileEntry) -> Result<(PathBuf, File)> {
        let path = self.place(entry).with_extension(PART);
        let mut options = OpenOptions::new();
        let file = options.create(true).read(true).append(true).open(&path);
        let file = file.map_err(Error::write(&path))?;
        Ok((path, file))
    }

    /// Gives a shard that is complete its place.
    ///
    /// # Errors
    /// When it cannot be synced or renamed.
    pub(super) fn adopt(&self, part: &Path, file: &File, entry: &FileEntry) -> Result<()> {
        let place = self.place(entry);
        let adopted = file.sync_all().and_then(|()| fs::rename(part, &place));
        adopted.map_err(Error::write(&place))
    }

    /// Removes the least recently used until there is room for `entry`, but none of `keep`.
    ///
    /// # Errors
    /// When the folder cannot be read, or a file not removed.
    pub(super) fn make_room(&self, entry: &FileEntry, keep: &[&FileEntry]) -> Result<()> {
        let keep: Vec<&str> = keep.iter().map(|entry| entry.blake3.as_str()).collect();
        let mut others = Vec::new();
        // What is here and stays, and the rest of what comes.
        let mut total = entry.bytes;
        for found in fs::read_dir(&self.folder).map_err(Error::read(&self.folder))? {
            let found = found.map_err(Error::read(&self.folder))?;
            let path = found.path();
            // Another process may have removed it.
            let Ok(metadata) = found.metadata() else {
                continue;
            };
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            if *name == *entry.blake3 {
                continue;
            }
            total += metadata.len();
            if !keep.contains(&&*name) {
                let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                others.push((used, metadata.len(), path));
            }
        }
        others.sort();
        for (_, n_bytes, path) in others {
            if total <= self.max_bytes {
                break;
            }
            // Whoever has it open goes on reading; whoever fetches it holds it.
            if File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != ErrorKind::NotFound => {
                        return Err(Error::write(&path)(error));
                    }
                    _ => total -= n_bytes,
                }
            }
        }
        Ok(())
    }

    fn place(&self, entry: &FileEntry) -> PathBuf {
        self.folder.join(&entry.blake3).with_extension(WHOLE)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use super::*;

    fn store(folder: &Path, max_bytes: u64) -> Store {
        Store::open(folder, max_bytes).expect("a store")
    }

    fn put(store: &Store, text: &str, seconds: u64) -> FileEntry {
        let entry = FileEntry::of_bytes(text.as_bytes());
        let (path, mut file) = store.part(&entry).expect("a part");
        file.write_all(text.as_bytes()).expect("written");
        store.adopt(&path, &file, &entry).expect("adopted");
        let used = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        file.set_modified(used).expect("a time");
        entry
    }

    #[test]
    fn the_least_recently_used_makes_room_and_what_is_at_hand_stays() {
        let scratch = tempfile::tempdir().expect("a folder");
        let store = store(scratch.path(), 11);
        let entries = [("aaaa", 3), ("bbbb", 1), ("cc", 2)];
        let [a, b, c] = entries.map(|(text, used)| put(&store, text, used));
        let new = FileEntry::of_bytes(b"ddd");
        store.make_room(&new, &[&b]).expect("room");
        let is_here = |entry| store.whole(entry).expect("readable").is_some();
        assert_eq!([&a, &b, &c].map(is_here), [true, true, false]);
        // Where all are at hand, all stay.
        let large = FileEntry::of_bytes(&[0; 100]);
        store.make_room(&large, &[&a, &b]).expect("no room");
        assert_eq!([&a, &b].map(is_here), [true, true]);
    }

    #[test]
    fn a_shard_that_was_damaged_here_is_not_used() {
        let scratch = tempfile::tempdir().expect("a folder");
        let store = store(scratch.path(), 10);
        let entry = put(&store, "aaaa", 1);
        fs::write(store.place(&entry), "aaab").expect("damaged");
        assert!(store.whole(&entry).expect("readable").is_none());
        assert!(!store.place(&entry).exists());
    }
}
