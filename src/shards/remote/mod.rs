//! A finished build behind an address: its manifest first, then each shard when its turn comes, a few ahead of the reader.
//!
//! A shard is fetched whole into the cache folder, and compared with the manifest before a row of it is used.

mod store;
mod transfer;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use url::Url;

use crate::config::shown;
use crate::error::{Error, Result};
use crate::http::{CHECK_ADDRESS, Download, Network, Requests};

use super::file::FileEntry;
use super::manifest::{MANIFEST, Manifest, shard_name};
use super::supply::{OpenShard, Supply, closed};

use store::Store;
use transfer::Transfer;

/// Shards that are fetched before their turn: one would do, were all of one size and the network always there.
const SHARDS_AHEAD: u64 = 2;

/// Bytes of shards that stay in the cache folder, unless another number is given.
pub const DEFAULT_CACHE_BYTES: u64 = 8_000_000_000;

/// A manifest of a million shards is smaller; whoever sends more sends something else.
const MAX_MANIFEST_BYTES: u64 = 256 << 20;

/// A shorter wait is not spoken of.
const UNSPOKEN: Duration = Duration::from_secs(3);

/// Between two looks whether to stop.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// What needs no network, as the end of a hint.
const OFFLINE: &str = "shards that are in the cache are not fetched again";

/// How a build behind an address is fetched.
#[derive(Clone, Debug)]
pub struct Downloads {
    /// The folder for downloads; without it builds behind addresses are refused.
    pub cache: Option<PathBuf>,
    /// Bytes of shards that may stay in it; those at hand are kept whatever it is.
    pub cache_bytes: u64,
    /// How they are asked for.
    pub network: Network,
}

impl Default for Downloads {
    fn default() -> Downloads {
        Downloads {
            cache: None,
            cache_bytes: DEFAULT_CACHE_BYTES,
            network: Network::default(),
        }
    }
}

/// Fetches the manifest of the build in the folder at `url`. Returns it and its hash.
///
/// # Errors
/// [`Error::Fetch`], naming the address; [`Error::Manifest`] where it leads to something else; [`Error::Interrupted`] once
/// `stop` is set.
pub fn manifest(
    url: &Url,
    downloads: &Downloads,
    stop: &AtomicBool,
    say: &dyn Fn(String),
) -> Result<(Manifest, String)> {
    let place = file_at(url, MANIFEST);
    let progress = |download| told(&download, say);
    let requests = Requests::new(&downloads.network, OFFLINE, &progress)?;
    let text = runtime().block_on(async {
        tokio::select! {
            text = transfer::small(&requests, &place, MAX_MANIFEST_BYTES) => text,
            () = is_set(stop) => Err(closed()),
        }
    });
    let text = text.map_err(|error| match at(&place)(error) {
        Error::Fetch { url, problem, hint } if hint == CHECK_ADDRESS => Error::Fetch {
            url,
            problem,
            hint:
                "the address is that of the folder of a finished build, which has a `manifest.json`"
                    .to_owned(),
        },
        error => error,
    })?;
    let manifest = Manifest::parse(Path::new(&shown(&place)), &text)?;
    Ok((manifest, blake3::hash(&text).to_hex().to_string()))
}

/// Fetches a small file of the build at `url`, and compares it with its entry in the manifest.
///
/// # Errors
/// As [`manifest`]; [`Error::Fetch`] for other bytes than the build wrote, too.
pub fn file(
    url: &Url,
    name: &str,
    entry: &FileEntry,
    downloads: &Downloads,
    stop: &AtomicBool,
) -> Result<OpenShard> {
    let place = file_at(url, name);
    let requests = Requests::new(&downloads.network, OFFLINE, &|_| {})?;
    let bytes = runtime().block_on(async {
        tokio::select! {
            bytes = transfer::small(&requests, &place, MAX_MANIFEST_BYTES) => bytes,
            () = is_set(stop) => Err(closed()),
        }
    });
    let bytes = bytes.map_err(at(&place))?;
    let path = PathBuf::from(shown(&place));
    if !entry.is_same(&FileEntry::of_bytes(&bytes)) {
        let problem = "its bytes are not those that the manifest names";
        return Err(mixed(&place, problem.to_owned()));
    }
    // Whoever reads Parquet wants to seek in it.
    let mut file = tempfile::tempfile().map_err(Error::write(&path))?;
    let written = file.write_all(&bytes).and_then(|()| file.rewind());
    written.map_err(Error::write(&path))?;
    Ok(OpenShard { path, file })
}

/// The shards of a build behind an address.
#[derive(Debug)]
pub struct Fetched {
    shared: Arc<Shared>,
    n_shards: u64,
    url: Url,
    notes: Sender<String>,
}

/// What the reader and the thread that fetches have in common.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Something in it has changed.
    changed: Condvar,
    /// The transfer at hand is to end.
    closing: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The shard the reader is at, once it has begun.
    at: Option<u64>,
    /// Whether it has it.
    has_it: bool,
    ready: BTreeMap<u64, Result<OpenShard>>,
    /// Those that could not be had ahead of their turn; another try is made when that comes.
    postponed: BTreeSet<u64>,
    is_closed: bool,
    /// Whether the thread that fetches did; it has said so.
    has_panicked: bool,
}

impl Fetched {
    /// The shards that `manifest` names, at `url`. With `wraps`, the first follows the last. What there is to say during
    /// waits goes into `notes`.
    ///
    /// # Errors
    /// When there is no place to keep shards in, or the manifest does not name each.
    pub fn start(
        url: &Url,
        manifest: &Manifest,
        downloads: &Downloads,
        wraps: bool,
        notes: Sender<String>,
    ) -> Result<Fetched> {
        let cache = downloads.cache.as_deref().ok_or_else(|| Error::Setting {
            key: "cache",
            problem: "there is no folder to keep shards in".to_owned(),
            hint: "`--cache DIR` names one".to_owned(),
        })?;
        let n_shards = manifest.plan.shards;
        let entries = (0..n_shards).map(|shard_idx| entry(manifest, shard_idx, url));
        let worker = Worker {
            entries: entries.collect::<Result<_>>()?,
            store: Store::open(&cache.join("shards"), downloads.cache_bytes)?,
            url: url.clone(),
            network: downloads.network.clone(),
            wraps,
            notes: notes.clone(),
        };
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            closing: Notify::new(),
        });
        let of_worker = Arc::clone(&shared);
        thread::spawn(move || {
            // Also where it panics: whoever waits is not to wait for ever.
            let _ended = Ended(&of_worker);
            worker.run(&of_worker);
        });
        Ok(Fetched {
            shared,
            n_shards,
            url: url.clone(),
            notes,
        })
    }
}

impl Supply for Fetched {
    fn open(&self, shard_idx: u64) -> Result<OpenShard> {
        let mut state = self.shared.state();
        (state.at, state.has_it) = (Some(shard_idx), false);
        self.shared.changed.notify_all();
        let since = Instant::now();
        let mut is_told = false;
        loop {
            if let Some(shard) = state.ready.remove(&shard_idx) {
                state.has_it = true;
                return shard;
            }
            if state.is_closed {
                let has_panicked = state.has_panicked;
                drop(state);
                assert!(!has_panicked, "the thread that fetches shards ended");
                return Err(closed());
            }
            if !is_told && since.elapsed() >= UNSPOKEN {
                is_told = true;
                let place = shown(&file_at(&self.url, &shard_name(shard_idx)));
                let (nth, all) = (shard_idx + 1, self.n_shards);
                // Whoever reads the notes may have gone.
                drop((self.notes).send(format!("waiting for `{place}`, shard {nth} of {all}")));
            }
            let waited = self.shared.changed.wait_timeout(state, UNSPOKEN);
            state = waited.expect("no holder panics").0;
        }
    }

    fn close(&self) {
        let mut state = self.shared.state();
        state.is_closed = true;
        // A closed supply gives nothing, also of what was fetched ahead.
        state.ready.clear();
        drop(state);
        self.shared.changed.notify_all();
        self.shared.closing.notify_one();
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

/// Closes when the thread that fetches ends.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        if let Ok(mut state) = self.0.state.lock() {
            state.is_closed = true;
            state.has_panicked = thread::panicking();
        }
        self.0.changed.notify_all();
    }
}

/// What the thread that fetches needs.
struct Worker {
    entries: Vec<FileEntry>,
    store: Store,
    url: Url,
    network: Network,
    wraps: bool,
    notes: Sender<String>,
}

impl Worker {
    /// Fetches until nobody waits any more.
    fn run(&self, shared: &Shared) {
        let runtime = runtime();
        // Whoever reads the notes may have gone.
        let say = |note| drop(self.notes.send(note));
        let progress = |download| told(&download, &say);
        // One for all, so that a connection serves for many shards.
        let requests = match Requests::new(&self.network, OFFLINE, &progress) {
            Ok(requests) => requests,
            Err(error) => {
                if let Some((shard_idx, _)) = self.next(shared) {
                    shared.state().ready.insert(shard_idx, Err(error));
                    shared.changed.notify_all();
                }
                return;
            }
        };
        while let Some((shard_idx, window)) = self.next(shared) {
            let keep = window.iter().map(|&idx| self.entry(idx));
            let fetched = runtime.block_on(async {
                tokio::select! {
                    fetched = self.fetch(&requests, shard_idx, keep.collect()) => fetched,
                    () = shared.closing.notified() => Err(closed()),
                }
            });
            let mut state = shared.state();
            let is_awaited = state.at == Some(shard_idx) && !state.has_it;
            if fetched.is_err() && !is_awaited {
                state.postponed.insert(shard_idx);
                continue;
            }
            state.postponed.remove(&shard_idx);
            state.ready.insert(shard_idx, fetched);
            shared.changed.notify_all();
        }
    }

    /// The next shard to fetch, and those that must stay; waits for a turn. `None` where there will be none.
    fn next(&self, shared: &Shared) -> Option<(u64, Vec<u64>)> {
        let mut state = shared.state();
        loop {
            if state.is_closed {
                return None;
            }
            if let Some(at) = state.at {
                let window = self.window(at);
                state.ready.retain(|idx, _| window.contains(idx));
                let is_missing = |idx: &u64| match *idx == at {
                    true => !state.has_it && !state.ready.contains_key(idx),
                    false => !state.ready.contains_key(idx) && !state.postponed.contains(idx),
                };
                if let Some(&next) = window.iter().find(|idx| is_missing(idx)) {
                    return Some((next, window));
                }
            }
            state = shared.changed.wait(state).expect("no holder panics");
        }
    }

    /// The shard the reader is at, and those ahead of it.
    fn window(&self, at: u64) -> Vec<u64> {
        let n_shards = self.entries.len() as u64;
        let ahead = at..=at + SHARDS_AHEAD;
        let mut window: Vec<u64> = match self.wraps {
            true => ahead.map(|idx| idx % n_shards).collect(),
            false => ahead.filter(|&idx| idx < n_shards).collect(),
        };
        window.dedup();
        window
    }

    fn entry(&self, shard_idx: u64) -> &FileEntry {
        &self.entries[usize::try_from(shard_idx).expect("an index of a list")]
    }

    async fn fetch(
        &self,
        requests: &Requests<'_>,
        shard_idx: u64,
        keep: Vec<&FileEntry>,
    ) -> Result<OpenShard> {
        let url = file_at(&self.url, &shard_name(shard_idx));
        let transfer = Transfer {
            requests,
            store: &self.store,
            url: &url,
            entry: self.entry(shard_idx),
        };
        let file = transfer.run(&keep).await.map_err(at(&url))?;
        Ok(OpenShard {
            path: shown(&url).into(),
            file,
        })
    }
}

/// The address of a file in the folder at `url`; a query stands for the right to read, and goes along.
fn file_at(url: &Url, name: &str) -> Url {
    let mut file = url
        .join(name)
        .expect("a name of ours is part of an address");
    file.set_query(url.query());
    file
}

/// What the manifest says of a shard. Its hash becomes the name of a file.
fn entry(manifest: &Manifest, shard_idx: u64, url: &Url) -> Result<FileEntry> {
    let is_hash = |text: &str| {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        text.len() == blake3::OUT_LEN * 2 && text.bytes().all(is_digit)
    };
    let entry = manifest.shard(shard_idx);
    let entry = entry.filter(|entry| is_hash(&entry.blake3));
    entry.cloned().ok_or_else(|| {
        let problem = format!("it does not name `{}`", shard_name(shard_idx));
        mixed(&file_at(url, MANIFEST), problem)
    })
}

/// A file that is not of the build whose manifest was read.
fn mixed(url: &Url, problem: String) -> Error {
    Error::Fetch {
        url: shown(url),
        problem,
        hint: "the files there are not those of one build: copy it there again, the manifest last"
            .to_owned(),
    }
}

/// Names an address without what may be secret in it.
fn at(place: &Url) -> impl FnOnce(Error) -> Error {
    let place = shown(place);
    move |error| match error {
        Error::Fetch { problem, hint, .. } => Error::Fetch {
            url: place,
            problem,
            hint,
        },
        error => error,
    }
}

/// Tells of a transfer that broke off.
fn told(download: &Download, say: &dyn Fn(String)) {
    if let Some((problem, wait)) = &download.waits
        && let Ok(place) = Url::parse(&download.url)
    {
        let (place, seconds) = (shown(&place), wait.as_secs_f64());
        say(format!(
            "`{place}`: {problem}; trying again in {seconds:.1} s"
        ));
    }
}

async fn is_set(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
}

fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime on this thread needs nothing but a few descriptors")
}
