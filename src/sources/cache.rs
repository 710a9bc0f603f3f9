//! The cache folder: every file it holds is named after its bytes, so that none can be taken for another.
//!
//! ```text
//!   files/BLAKE3           a file, complete
//!   addresses/KEY.json     which file an address led to, and how to ask whether it still does
//!   addresses/KEY.part     a file on its way, and beside it, in KEY.part.json, whose bytes these are
//!   addresses/KEY.lock     held by the process that fetches it
//!   splits/BLAKE3.json     the files that together are a source
//! ```

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::error::{Error, Result};

use super::hash;

/// Bytes of standard input held at a time.
const SPOOL_BYTES: usize = 1 << 16;

/// The cache folder.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    folder: PathBuf,
}

/// What an address led to.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Fetched {
    pub(super) url: String,
    pub(super) blake3: String,
    #[serde(flatten)]
    pub(super) version: Version,
}

/// How a server names one state of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Version {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) etag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_modified: Option<String>,
}

impl Cache {
    /// Opens the folder, and makes it where it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn open(folder: &Path) -> Result<Cache> {
        for inside in ["files", "addresses", "splits"] {
            let path = folder.join(inside);
            fs::create_dir_all(&path).map_err(Error::write(&path))?;
        }
        Ok(Cache {
            folder: folder.to_owned(),
        })
    }

    /// The file with these bytes, if it is here and whole.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn file(&self, blake3: &str) -> Result<Option<PathBuf>> {
        let path = self.path_of(blake3);
        if !is_hash(blake3) || !path.is_file() {
            return Ok(None);
        }
        Ok((hash(&path)? == blake3).then_some(path))
    }

    /// Gives a complete file its place. Returns that and the hash of its bytes.
    ///
    /// # Errors
    /// When it cannot be read, synced or renamed.
    pub(super) fn adopt(&self, file: &Path) -> Result<(PathBuf, String)> {
        let hash = hash(file)?;
        let place = self.path_of(&hash);
        let sync = || -> io::Result<()> {
            File::open(file)?.sync_all()?;
            fs::rename(file, &place)?;
            sync_folder_of(&place)
        };
        sync().map_err(Error::write(&place))?;
        Ok((place, hash))
    }

    /// Keeps what a reader yields.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub(super) fn spool(&self, mut reader: impl Read, name: &str) -> Result<(PathBuf, String)> {
        let folder = self.folder.join("files");
        let mut file = tempfile::NamedTempFile::new_in(&folder).map_err(Error::write(&folder))?;
        let mut buffer = vec![0; SPOOL_BYTES];
        loop {
            let n_read = match reader.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read.map_err(Error::read(name))?,
            };
            if n_read == 0 {
                break;
            }
            let written = file.write_all(&buffer[..n_read]);
            written.map_err(Error::write(file.path()))?;
        }
        self.adopt(file.path())
    }

    /// The place of an address.
    pub(super) fn address(&self, url: &Url) -> Address {
        let key = blake3::hash(url.as_str().as_bytes()).to_hex();
        Address {
            stem: self.folder.join("addresses").join(&key[..32]),
        }
    }

    /// The hashes of the files that together have this one.
    pub(super) fn split(&self, blake3: &str) -> Option<Vec<String>> {
        is_hash(blake3)
            .then(|| read_json(&self.split_path(blake3)))
            .flatten()
    }

    /// Notes which files together have this hash.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn note_split(&self, blake3: &str, files: &[String]) -> Result<()> {
        write_json(&self.split_path(blake3), &files)
    }

    fn path_of(&self, blake3: &str) -> PathBuf {
        self.folder.join("files").join(blake3)
    }

    fn split_path(&self, blake3: &str) -> PathBuf {
        self.folder.join("splits").join(format!("{blake3}.json"))
    }
}

/// The place of an address in the cache.
pub(super) struct Address {
    stem: PathBuf,
}

impl Address {
    /// Waits until no other process fetches this address, and keeps them waiting until the returned file is dropped.
    ///
    /// # Errors
    /// When the lock file cannot be opened.
    pub(super) async fn lock(&self) -> Result<File> {
        let path = self.stem.with_extension("lock");
        let lock = File::create(&path).map_err(Error::write(&path))?;
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(source)) => return Err(Error::write(path)(source)),
        }
        let wait = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await;
        wait.expect("waiting for a lock does not panic")
            .map_err(Error::write(path))
    }

    /// What it led to the last time.
    pub(super) fn fetched(&self) -> Option<Fetched> {
        read_json(&self.stem.with_extension("json"))
    }

    /// Notes what it led to.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn note(&self, fetched: &Fetched) -> Result<()> {
        write_json(&self.stem.with_extension("json"), fetched)
    }

    /// The file on its way.
    pub(super) fn part(&self) -> PathBuf {
        self.stem.with_extension("part")
    }

    /// Whose bytes are in [`Address::part`].
    pub(super) fn part_version(&self) -> Option<Version> {
        read_json(&self.stem.with_extension("part.json"))
    }

    /// Notes whose bytes will be in [`Address::part`].
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn note_part(&self, version: &Version) -> Result<()> {
        write_json(&self.stem.with_extension("part.json"), version)
    }

    /// Forgets what was on its way.
    pub(super) fn clear_part(&self) {
        for path in [self.part(), self.stem.with_extension("part.json")] {
            // What is left behind is only started over.
            let _ = fs::remove_file(path);
        }
    }
}

/// It becomes the name of a file.
fn is_hash(text: &str) -> bool {
    text.len() == blake3::OUT_LEN * 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A note that is missing or damaged says nothing; what it is about is fetched anew.
fn read_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let write = || -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&serde_json::to_vec_pretty(value)?)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        sync_folder_of(path)
    };
    write().map_err(Error::write(path))
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_by_its_bytes_unless_they_changed() {
        let scratch = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(scratch.path()).expect("a cache");
        let (path, hash) = cache.spool(&b"bytes"[..], "-").expect("kept");
        assert_eq!(hash, blake3::hash(b"bytes").to_hex().as_str());
        assert_eq!(cache.file(&hash).expect("readable"), Some(path.clone()));
        fs::write(&path, "other").expect("written");
        assert_eq!(cache.file(&hash).expect("readable"), None);
        // A recipe's hash is anybody's text.
        assert_eq!(cache.file("../addresses").expect("nothing"), None);
        assert_eq!(cache.split("../x"), None);
    }

    #[test]
    fn a_damaged_note_says_nothing() {
        let scratch = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(scratch.path()).expect("a cache");
        let address = cache.address(&Url::parse("http://localhost/a").expect("an address"));
        assert!(address.part_version().is_none());
        let version = Version {
            etag: Some("\"1\"".to_owned()),
            last_modified: None,
        };
        address.note_part(&version).expect("written");
        assert_eq!(address.part_version(), Some(version));
        fs::write(address.stem.with_extension("part.json"), "{").expect("written");
        assert!(address.part_version().is_none());
        address.clear_part();
    }
}
