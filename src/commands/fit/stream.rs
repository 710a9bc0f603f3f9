//! The stream of a fit: where its shards are, and what is to be known of them before they are all there.

use std::fs::{self, File};
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::checkpoint::Progress;
use crate::config::ShardsAt;
use crate::error::{Error, Result};
use crate::loader::GlobalBatch;
use crate::sample::Kind;
use crate::shards::remote::{self, Fetched};
use crate::shards::{
    Followed, Found, Ledger, MANIFEST, Manifest, OpenShard, Plan, ShardFolder, Supply, find,
};

use super::folder::{FitFolder, LEDGER};
use super::{FitEvent, FitRequest};

/// Between two looks whether to stop, while a batch is waited for.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Between two looks whether something that seldom waits is done.
const BRIEFLY: Duration = Duration::from_millis(5);

/// The stream of a fit.
pub(super) struct Stream {
    /// The plan of the build.
    pub(super) plan: Plan,
    /// The hash of its manifest, where it has one already.
    pub(super) manifest: Option<String>,
    /// What tells builds apart before they have one.
    pub(super) build: Option<String>,
    pub(super) supply: Arc<dyn Supply>,
    origin: Origin,
    /// What there is to say of waits.
    notes: Receiver<String>,
}

enum Origin {
    Folder(Box<Manifest>),
    Web(Box<Manifest>),
    Followed(Arc<Followed>),
}

/// What comes after a step.
pub(super) enum Next {
    /// Another.
    Step(Box<GlobalBatch>),
    /// Nothing, since somebody wants the fit to stop.
    Stop,
    /// Nothing, since it is over.
    End,
}

impl Stream {
    /// Looks at what is there. `wraps` says that there will be more than one pass.
    pub(super) fn open(
        request: &FitRequest<'_>,
        wraps: bool,
        watch: &dyn Fn(FitEvent<'_>),
    ) -> Result<Stream> {
        let (sender, notes) = mpsc::channel();
        let say = |note| watch(FitEvent::Note(note));
        match request.shards {
            ShardsAt::Folder(folder) => Stream::of_folder(folder, notes),
            ShardsAt::Followed(folder) => match find(folder, request.stop, &say, sender)? {
                Found::Finished => Stream::of_folder(folder, notes),
                Found::Begun(followed) => {
                    let followed = Arc::new(*followed);
                    Ok(Stream {
                        plan: followed.plan.clone(),
                        manifest: None,
                        build: Some(followed.id.clone()),
                        supply: Arc::clone(&followed) as Arc<dyn Supply>,
                        origin: Origin::Followed(followed),
                        notes,
                    })
                }
            },
            ShardsAt::Web(url) => {
                let downloads = request.downloads;
                let (manifest, hash) = remote::manifest(url, downloads, request.stop, &say)?;
                let fetched = Fetched::start(url, &manifest, downloads, wraps, sender)?;
                Ok(Stream {
                    build: manifest.build_id(),
                    plan: manifest.plan.clone(),
                    manifest: Some(hash),
                    supply: Arc::new(fetched),
                    origin: Origin::Web(Box::new(manifest)),
                    notes,
                })
            }
        }
    }

    fn of_folder(folder: &Path, notes: Receiver<String>) -> Result<Stream> {
        let manifest = Manifest::open(folder)?;
        let place = folder.join(MANIFEST);
        let text = fs::read(&place).map_err(Error::read(&place))?;
        Ok(Stream {
            plan: manifest.plan.clone(),
            manifest: Some(blake3::hash(&text).to_hex().to_string()),
            build: manifest.build_id(),
            supply: Arc::new(ShardFolder::new(folder, &manifest)),
            origin: Origin::Folder(Box::new(manifest)),
            notes,
        })
    }

    /// Remembers in the fit's folder what is read before there is a manifest; where there is one, compares it with what was
    /// remembered.
    pub(super) fn remember(&self, folder: &FitFolder, shards: &ShardsAt) -> Result<()> {
        let ledger = folder.file(LEDGER);
        match &self.origin {
            Origin::Followed(followed) => followed.keep_ledger(&ledger),
            Origin::Folder(manifest) | Origin::Web(manifest) => {
                Ledger::read(&ledger)?.verify(Path::new(&shards.to_string()), manifest)
            }
        }
    }

    /// The held-out rows of a kind, compared with the manifest; none where the build holds out none, or has no manifest yet.
    pub(super) fn held_out(
        &self,
        kind: Kind,
        request: &FitRequest<'_>,
    ) -> Result<Option<OpenShard>> {
        let name = format!("held_out/{}.parquet", kind.name());
        match (&self.origin, request.shards) {
            (Origin::Folder(manifest), ShardsAt::Folder(folder) | ShardsAt::Followed(folder)) => {
                let Some(entry) = manifest.files.get(&name) else {
                    return Ok(None);
                };
                let path = folder.join(name);
                entry.verify(&path)?;
                let file = File::open(&path).map_err(Error::read(&path))?;
                Ok(Some(OpenShard { path, file }))
            }
            (Origin::Web(manifest), ShardsAt::Web(url)) => {
                let entry = manifest.files.get(&name);
                let fetched = entry
                    .map(|entry| remote::file(url, &name, entry, request.downloads, request.stop));
                fetched.transpose()
            }
            _ => Ok(None),
        }
    }

    /// Whether the build has no manifest yet, and nothing but its stream can be used.
    pub(super) fn is_followed(&self) -> bool {
        matches!(self.origin, Origin::Followed(_))
    }

    /// Whether all of it can be looked at before the first step.
    pub(super) fn is_at_hand(&self) -> bool {
        matches!(self.origin, Origin::Folder(_))
    }

    /// Waits for what may still be missing when the last step is made: the manifest, with which all that was read is compared.
    /// Returns its hash, where it was not known before. `n_done` is the number of steps.
    pub(super) fn settle(
        &self,
        n_done: u64,
        stop: &AtomicBool,
        watch: &dyn Fn(FitEvent<'_>),
    ) -> Result<Option<String>> {
        match &self.origin {
            Origin::Followed(followed) => {
                let say = |note| watch(FitEvent::Note(note));
                let settled = followed.settle(stop, &say);
                settled.map(Some).map_err(|error| match error {
                    Error::Interrupted { what, .. } => Error::Interrupted { n_done, what },
                    error => error,
                })
            }
            Origin::Folder(_) | Origin::Web(_) => Ok(None),
        }
    }

    /// Passes on what there is to say.
    fn tell(&self, watch: &dyn Fn(FitEvent<'_>)) {
        for note in self.notes.try_iter() {
            watch(FitEvent::Note(note));
        }
    }
}

impl super::Plan<'_> {
    /// The next batch, as soon as it is there.
    pub(super) fn next(
        &self,
        batches: &Receiver<Result<GlobalBatch>>,
        watch: &dyn Fn(FitEvent<'_>),
    ) -> Result<Next> {
        loop {
            let batch = batches.recv_timeout(BETWEEN_LOOKS);
            self.stream.tell(watch);
            match batch {
                Ok(batch) => return Ok(Next::Step(Box::new(batch?))),
                Err(RecvTimeoutError::Timeout) if self.request.stop.load(Ordering::Relaxed) => {
                    return Ok(Next::Stop);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(Next::End),
            }
        }
    }

    /// Does what may have to wait for shards; ends the wait when somebody wants the fit to stop.
    pub(super) fn waiting<T: Send>(
        &self,
        watch: &dyn Fn(FitEvent<'_>),
        work: impl FnOnce() -> Result<T> + Send,
    ) -> Result<T> {
        thread::scope(|scope| {
            let worker = scope.spawn(work);
            while !worker.is_finished() {
                if self.request.stop.load(Ordering::Relaxed) {
                    self.stream.supply.close();
                }
                self.stream.tell(watch);
                thread::sleep(BRIEFLY);
            }
            worker.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Refuses, before the first step, what leaves out too much of the task, where all of the stream is at hand.
    pub(super) fn check_ahead(&self) -> Result<()> {
        match self.stream.is_at_hand() {
            true => self.loader.check(&self.tokenizer),
            false => Ok(()),
        }
    }

    /// Refuses to go on once too much of the task was left out, where that could not be seen before the first step.
    pub(super) fn check_so_far(&self, progress: &Progress, batch: &GlobalBatch) -> Result<()> {
        if self.stream.is_at_hand() || batch.step >= self.loader.steps.per_epoch() {
            return Ok(());
        }
        self.loader.check_left_out(
            progress.too_long.task + batch.too_long.task,
            progress.no_target.task + batch.no_target.task,
        )
    }
}
