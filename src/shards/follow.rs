//! A folder in which a build is still writing: its shards are taken in order as they come, and compared with the manifest
//! when that has come too.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

use super::file::FileEntry;
use super::folder::is_held;
use super::ledger::Ledger;
use super::manifest::{MANIFEST, Manifest, PLAN, Plan, RECIPE, build_id, shard_name};
use super::supply::{OpenShard, Supply, closed};

/// Between two looks at the folder.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);
/// A shorter wait is not spoken of.
const UNSPOKEN: Duration = Duration::from_secs(1);
/// Between two looks whether a build is at work; after two that saw none, that is said.
const BETWEEN_PROBES: Duration = Duration::from_secs(2);

/// What is in a folder that is to be followed.
#[derive(Debug)]
pub enum Found {
    /// A finished build: there is nothing to follow.
    Finished,
    /// A build that knows what it will write.
    Begun(Box<Followed>),
}

/// A build that is being written.
#[derive(Debug)]
pub struct Followed {
    folder: PathBuf,
    /// Its plan.
    pub plan: Plan,
    /// Which build it is; see [`build_id`].
    pub id: String,
    plan_text: Vec<u8>,
    notes: Sender<String>,
    closed: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ledger: Ledger,
    /// The manifest, once it is there, and its hash.
    manifest: Option<(Manifest, String)>,
}

/// Waits until a build has fixed what it will write, or is finished. What there is to say during later waits goes into
/// `notes`.
///
/// # Errors
/// [`Error::Interrupted`] once `stop` is set; what is wrong with the files there.
pub fn find(
    folder: &Path,
    stop: &AtomicBool,
    say: &dyn Fn(String),
    notes: Sender<String>,
) -> Result<Found> {
    let mut wait = Wait::new(folder, format!("`{}`", folder.join(PLAN).display()));
    loop {
        // A manifest in a folder that is held is about to be removed, or is only being looked at.
        let is_finished = folder.join(MANIFEST).exists();
        if is_finished && !is_held(folder) {
            return Ok(Found::Finished);
        }
        if !is_finished
            && let Some(plan_text) = read(&folder.join(PLAN))?
            && let Some(recipe) = read(&folder.join(RECIPE))?
        {
            let hash = |text: &[u8]| blake3::hash(text).to_hex().to_string();
            return Ok(Found::Begun(Box::new(Followed {
                folder: folder.to_owned(),
                plan: Plan::parse(&folder.join(PLAN), &plan_text)?,
                id: build_id(&hash(&recipe), &hash(&plan_text)),
                plan_text,
                notes,
                closed: AtomicBool::new(false),
                state: Mutex::default(),
            })));
        }
        if stop.load(Ordering::Relaxed) {
            return Err(closed());
        }
        wait.pause(say);
    }
}

impl Followed {
    /// Keeps the ledger of what was read in this file.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn keep_ledger(&self, path: &Path) -> Result<()> {
        self.state().ledger = Ledger::keep(path)?;
        Ok(())
    }

    /// Waits for the manifest and compares all that was read with it. Returns its hash.
    ///
    /// # Errors
    /// [`Error::ShardReplaced`] for a shard that was read with other bytes than the manifest names; [`Error::Interrupted`]
    /// once `stop` is set.
    pub fn settle(&self, stop: &AtomicBool, say: &dyn Fn(String)) -> Result<String> {
        let place = self.folder.join(MANIFEST);
        let mut wait = Wait::new(&self.folder, format!("`{}`", place.display()));
        loop {
            let mut state = self.state();
            if let Some((_, hash)) = self.manifest(&mut state)? {
                return Ok(hash.clone());
            }
            drop(state);
            if stop.load(Ordering::Relaxed) {
                return Err(closed());
            }
            wait.pause(say);
        }
    }

    /// The manifest if it is there, and then it fits to what was read.
    fn manifest<'s>(&self, state: &'s mut State) -> Result<Option<&'s (Manifest, String)>> {
        if state.manifest.is_none() {
            let path = self.folder.join(MANIFEST);
            let Some(text) = read(&path)? else {
                return self.is_the_same().map(|()| None);
            };
            let manifest = Manifest::parse(&path, &text)?;
            if manifest.build_id().as_ref() != Some(&self.id) {
                return Err(self.another());
            }
            state.ledger.verify(&self.folder, &manifest)?;
            let hash = blake3::hash(&text).to_hex().to_string();
            state.manifest = Some((manifest, hash));
        }
        Ok(state.manifest.as_ref())
    }

    /// While a build replaces another there may be no plan.
    fn is_the_same(&self) -> Result<()> {
        match read(&self.folder.join(PLAN))? {
            Some(text) if text != self.plan_text => Err(self.another()),
            _ => Ok(()),
        }
    }

    fn another(&self) -> Error {
        Error::BuildReplaced {
            path: self.folder.clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

impl Supply for Followed {
    fn open(&self, shard_idx: u64) -> Result<OpenShard> {
        let path = self.folder.join(shard_name(shard_idx));
        let what = format!(
            "`{}`, shard {} of {}",
            path.display(),
            shard_idx + 1,
            self.plan.shards
        );
        let mut wait = Wait::new(&self.folder, what);
        // Whoever reads the notes may have gone.
        let say = |note: String| drop(self.notes.send(note));
        let (file, written) = loop {
            if self.closed.load(Ordering::Relaxed) {
                return Err(closed());
            }
            let mut state = self.state();
            // The manifest first: what is not there although it is will not come.
            let written = self
                .manifest(&mut state)?
                .map(|(manifest, _)| manifest.shard(shard_idx).cloned());
            drop(state);
            match File::open(&path) {
                Ok(file) => break (file, written),
                Err(error) if error.kind() == ErrorKind::NotFound && written.is_none() => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Err(damaged(path, "it is missing"));
                }
                Err(error) => return Err(Error::read(path)(error)),
            }
            wait.pause(&say);
        };
        // What is hashed is what will be read, even if another file is put in its place.
        let entry = FileEntry::of_file(&file).map_err(Error::read(&path))?;
        if let Some(written) = written
            && !written.is_some_and(|written| written.is_same(&entry))
        {
            return Err(damaged(path, "its bytes are not those that were written"));
        }
        self.state().ledger.note(&self.folder, shard_idx, entry)?;
        Ok(OpenShard { path, file })
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

fn damaged(path: PathBuf, problem: &str) -> Error {
    Error::Damaged {
        path,
        problem: problem.to_owned(),
    }
}

/// A file that may not be there yet; its place is taken by whole files only.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        text => text.map(Some).map_err(Error::read(path)),
    }
}

/// A wait for a file, of which is told once that it lasts, and once that nobody is at work.
struct Wait<'a> {
    folder: &'a Path,
    /// What is waited for, in words.
    what: String,
    since: Instant,
    is_told: bool,
    probed: Instant,
    /// Probes in a row that saw no build.
    n_idle: u32,
}

impl<'a> Wait<'a> {
    fn new(folder: &'a Path, what: String) -> Wait<'a> {
        let now = Instant::now();
        Wait {
            folder,
            what,
            since: now,
            is_told: false,
            probed: now,
            n_idle: 0,
        }
    }

    /// Lets some time pass.
    fn pause(&mut self, say: &dyn Fn(String)) {
        thread::sleep(BETWEEN_LOOKS);
        if !self.is_told && self.since.elapsed() >= UNSPOKEN {
            self.is_told = true;
            say(format!("waiting for {}", self.what));
        }
        if self.probed.elapsed() < BETWEEN_PROBES {
            return;
        }
        self.probed = Instant::now();
        self.n_idle = match is_held(self.folder) {
            true => 0,
            false => self.n_idle.saturating_add(1),
        };
        if self.n_idle == 2 {
            say(format!(
                "no `delia-build` is at work in `{}`: repeat its command, and the fit goes on",
                self.folder.display()
            ));
        }
    }
}
