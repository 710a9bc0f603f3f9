//! The output folder: whose it is, how far its build got, and that nobody else writes into it.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::error::{Error, Result};

use super::file::{FileEntry, replace};
use super::manifest::{MANIFEST, Manifest, PLAN, Plan, RECIPE, shard_name};

/// Where a build keeps what it needs only until the manifest is written.
const STAGES: &str = ".stages";
/// How the folders begin that the engine makes there for what does not fit in memory.
const SCRATCH: &str = "datafusion-";

/// How often a folder that is held is tried again, and how long it is waited for in between: whoever only looks whether it is
/// held, as [`is_held`] does, holds it for a moment.
const LOCK_TRIES: u32 = 4;
const BETWEEN_LOCK_TRIES: Duration = Duration::from_millis(25);

/// Folders of a build besides the shards.
const FOLDERS: [&str; 2] = ["dropped", "held_out"];

/// The files in them.
const FILES_INSIDE: [&str; 3] = [
    "dropped/00000.parquet",
    "held_out/task.parquet",
    "held_out/diverse.parquet",
];

/// Files of a build besides the shards.
const FILES: [&str; 5] = [
    RECIPE,
    PLAN,
    MANIFEST,
    "sources.parquet",
    "diversity.parquet",
];

/// How far the build in a folder got.
#[derive(Debug)]
pub enum State {
    /// Nothing is there, or nothing but the stages of a build that never got to its plan.
    Fresh,
    /// The same recipe was begun and not finished.
    Unfinished,
    /// The same recipe was finished, and every file is as it was written.
    Complete(Box<Manifest>),
}

/// Creates a folder where it is missing, and locks it until the returned file is dropped.
///
/// # Errors
/// [`Error::FolderBusy`] while another process holds it; [`Error::Write`] where it cannot be made.
pub fn lock_folder(path: &Path) -> Result<File> {
    fs::create_dir_all(path).map_err(Error::write(path))?;
    // The lock is on the folder itself: a lock file would have to be removed, and whoever opened it before would hold nothing.
    let lock = File::open(path).map_err(Error::read(path))?;
    for _ in 0..LOCK_TRIES {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => thread::sleep(BETWEEN_LOCK_TRIES),
            Err(TryLockError::Error(source)) => return Err(Error::write(path)(source)),
        }
    }
    Err(Error::FolderBusy {
        path: path.to_owned(),
    })
}

/// Whether a process holds the folder; one that is not there is held by none.
pub fn is_held(path: &Path) -> bool {
    // Shared, so that those who look do not see each other.
    File::open(path)
        .is_ok_and(|folder| matches!(folder.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// An output folder held by this process: no second build can enter it until this value is dropped.
#[derive(Debug)]
pub struct OutFolder {
    path: PathBuf,
    _lock: File,
}

impl OutFolder {
    /// Creates the folder where it is missing, and locks it.
    ///
    /// # Errors
    /// [`Error::FolderBusy`] while another process holds it; [`Error::Write`] where it cannot be made.
    pub fn lock(path: &Path) -> Result<OutFolder> {
        Ok(OutFolder {
            path: path.to_owned(),
            _lock: lock_folder(path)?,
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the build keeps what it needs only until the manifest is written.
    pub fn stages(&self) -> PathBuf {
        self.path.join(STAGES)
    }

    /// Decides what is to be done for `recipe`, the text of the frozen recipe.
    ///
    /// # Errors
    /// [`Error::FolderForeign`], [`Error::FolderOtherBuild`], or [`Error::Damaged`] for a finished build that is no longer
    /// what it was.
    pub fn state(&self, recipe: &str) -> Result<State> {
        self.refuse_foreign()?;
        let manifest = Manifest::read_if_complete(&self.path)?;
        let there = match (self.recipe()?, &manifest) {
            (Some(there), _) => there,
            (None, None) => return Ok(State::Fresh),
            (None, Some(_)) => {
                let path = self.path.join(RECIPE);
                return Err(Error::Damaged {
                    path,
                    problem: "it is missing".to_owned(),
                });
            }
        };
        if there != recipe {
            // A build that never got to its plan has written nothing: whoever mends a source or a setting goes on here.
            if manifest.is_none() && !self.path.join(PLAN).exists() {
                return Ok(State::Fresh);
            }
            let difference = difference(&there, recipe);
            return Err(Error::FolderOtherBuild {
                path: self.path.clone(),
                difference,
            });
        }
        let Some(manifest) = manifest else {
            return Ok(State::Unfinished);
        };
        for (name, entry) in &manifest.files {
            entry.verify(&self.path.join(name))?;
        }
        self.remove_stages()?;
        Ok(State::Complete(Box::new(manifest)))
    }

    /// Whether a build, finished or not, would have to make room for another.
    ///
    /// # Errors
    /// [`Error::FolderForeign`] where the folder holds anything else.
    pub fn holds_a_build(&self) -> Result<bool> {
        self.refuse_foreign()?;
        Ok(self.recipe()?.is_some() || self.path.join(MANIFEST).exists())
    }

    /// Removes what the engine of a build that was killed had put on disk for want of memory.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove_scratch(&self) -> Result<()> {
        let stages = self.stages();
        for entry in fs::read_dir(&stages).map_err(Error::read(&stages))? {
            let entry = entry.map_err(Error::read(&stages))?;
            let name = entry.file_name();
            if name.to_string_lossy().starts_with(SCRATCH) {
                let path = entry.path();
                fs::remove_dir_all(&path).map_err(Error::write(&path))?;
            }
        }
        Ok(())
    }

    /// Makes the folder for the stages.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make_stages(&self) -> Result<()> {
        let stages = self.stages();
        fs::create_dir_all(&stages).map_err(Error::write(&stages))
    }

    /// Removes the build that is in the folder: the files its own manifest or plan names, and no other. The stages stay, and
    /// so does the recipe, until [`OutFolder::begin`] puts the next in its place: the folder never looks like nobody's.
    ///
    /// # Errors
    /// [`Error::FolderForeign`] before anything is removed; [`Error::Write`] for what cannot be.
    pub fn clear(&self) -> Result<()> {
        self.refuse_foreign()?;
        // First the manifest, so that what is left never looks finished.
        self.remove_file(MANIFEST)?;
        for name in self.entries()? {
            if name != RECIPE && !FOLDERS.contains(&name.as_str()) && name != STAGES {
                self.remove_file(&name)?;
            }
        }
        for folder in FOLDERS {
            let path = self.path.join(folder);
            if path.is_dir() {
                fs::remove_dir_all(&path).map_err(Error::write(&path))?;
            }
        }
        Ok(())
    }

    /// Writes the recipe, with which the folder becomes this build's.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(&self, recipe: &str) -> Result<FileEntry> {
        let entry = replace(&self.path.join(RECIPE), recipe.as_bytes())?;
        self.make_stages()?;
        for folder in FOLDERS {
            let path = self.path.join(folder);
            fs::create_dir_all(&path).map_err(Error::write(&path))?;
        }
        Ok(entry)
    }

    /// Writes the plan.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_plan(&self, plan: &Plan) -> Result<FileEntry> {
        replace(&self.path.join(PLAN), to_json(plan).as_bytes())
    }

    /// Writes the manifest, with which the build is complete, and removes the stages.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(&self, manifest: &Manifest) -> Result<()> {
        replace(&self.path.join(MANIFEST), to_json(manifest).as_bytes())?;
        self.remove_stages()
    }

    fn recipe(&self) -> Result<Option<String>> {
        let path = self.path.join(RECIPE);
        match fs::read_to_string(&path) {
            Ok(recipe) => Ok(Some(recipe)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Read { path, source }),
        }
    }

    /// A file is ours when the manifest names it or, before there is one, when the recipe's build would write it.
    fn refuse_foreign(&self) -> Result<()> {
        // A manifest that cannot be parsed names nothing.
        let manifest = Manifest::read_if_complete(&self.path).ok().flatten();
        let is_ours = self.recipe()?.is_some() || manifest.is_some();
        let plan = Plan::read(&self.path).ok().flatten();
        let is_known = |name: &str| {
            let place = name.strip_suffix(".tmp").unwrap_or(name);
            let is_planned = plan
                .as_ref()
                .is_some_and(|plan| is_shard_below(place, plan.shards));
            match &manifest {
                Some(manifest) => place == MANIFEST || manifest.files.contains_key(place),
                None => FILES.contains(&place) || FILES_INSIDE.contains(&place) || is_planned,
            }
        };
        for name in self.entries()? {
            if !is_ours {
                // A build stopped while it wrote its recipe leaves just this.
                if name != format!("{RECIPE}.tmp") {
                    return Err(self.foreign(name));
                }
            } else if FOLDERS.contains(&name.as_str()) {
                for inside in entries(&self.path.join(&name))? {
                    let entry = format!("{name}/{inside}");
                    if !is_known(&entry) {
                        return Err(self.foreign(entry));
                    }
                }
            } else if name != STAGES && !is_known(&name) {
                return Err(self.foreign(name));
            }
        }
        Ok(())
    }

    fn foreign(&self, entry: String) -> Error {
        Error::FolderForeign {
            path: self.path.clone(),
            entry,
        }
    }

    fn entries(&self) -> Result<Vec<String>> {
        entries(&self.path)
    }

    fn remove_file(&self, name: &str) -> Result<()> {
        let path = self.path.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::Write {
                path,
                source: error,
            }),
            _ => Ok(()),
        }
    }

    fn remove_stages(&self) -> Result<()> {
        let stages = self.stages();
        match fs::remove_dir_all(&stages) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::Write {
                path: stages,
                source: error,
            }),
            _ => Ok(()),
        }
    }
}

fn entries(folder: &Path) -> Result<Vec<String>> {
    let read = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(Error::read(folder))?,
    };
    let mut names = Vec::new();
    for entry in read {
        names.push(
            entry
                .map_err(Error::read(folder))?
                .file_name()
                .to_string_lossy()
                .into_owned(),
        );
    }
    names.sort();
    Ok(names)
}

fn is_shard_below(name: &str, n_shards: u64) -> bool {
    let idx = name
        .strip_suffix(".parquet")
        .and_then(|digits| digits.parse::<u64>().ok());
    idx.is_some_and(|idx| idx < n_shards && shard_name(idx) == name)
}

fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string_pretty(value).expect("plain data") + "\n"
}

/// The first setting in which two frozen recipes differ, in words.
fn difference(there: &str, here: &str) -> String {
    let parsed = |text: &str| text.parse::<toml::Table>().unwrap_or_default();
    first_difference("", &parsed(there), &parsed(here))
        .unwrap_or_else(|| "its recipe is written differently".to_owned())
}

fn first_difference(prefix: &str, there: &toml::Table, here: &toml::Table) -> Option<String> {
    let mut keys: Vec<_> = there.keys().chain(here.keys()).collect();
    keys.sort();
    keys.dedup();
    keys.into_iter().find_map(|key| {
        let shown = |value: Option<&toml::Value>| {
            value.map_or("missing".to_owned(), |value| format!("`{value}`"))
        };
        match (there.get(key), here.get(key)) {
            (there, here) if there == here => None,
            (Some(toml::Value::Table(there)), Some(toml::Value::Table(here))) => {
                first_difference(&format!("{prefix}{key}."), there, here)
            }
            (Some(toml::Value::Array(there)), Some(toml::Value::Array(here)))
                if there.iter().any(toml::Value::is_table) =>
            {
                Some(format!(
                    "`{prefix}{key}` names {} there, {} here",
                    source_list(there),
                    source_list(here)
                ))
            }
            (there, here) => Some(format!(
                "`{prefix}{key}` is {} there, {} here",
                shown(there),
                shown(here)
            )),
        }
    })
}

fn source_list(sources: &[toml::Value]) -> String {
    let described = |source: &toml::Value| {
        let text = |key| {
            source
                .get(key)
                .and_then(toml::Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let hash = text("blake3");
        if hash.is_empty() {
            text("path")
        } else {
            format!("{} ({}…)", text("path"), &hash[..hash.len().min(8)])
        }
    };
    sources.iter().map(described).collect::<Vec<_>>().join(", ")
}
