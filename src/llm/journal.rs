//! Answers that were paid for, on disk before anybody sees them.
//!
//! A file of lines, each an answer with the key of its request and a checksum. A line is added, synced, and only then handed
//! on; those that come while one sync runs are synced together by the next. What a crash left of a last line is cut off when
//! the file is opened, and a line whose checksum is wrong counts as not there.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::error::{Error, Result};

use super::answer::{Outcome, Usage};
use super::request::Key;

/// Answers that wait for the sync of those before them.
const WAITING_MAX: usize = 1_024;

/// Characters of a checksum: 64 bits are enough against accidents.
const CHECK_CHARS: usize = 16;

/// The answers of one server.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    /// To read from; lines are added through another.
    reader: Mutex<File>,
    places: Arc<Mutex<Places>>,
    writer: mpsc::Sender<Waiting>,
    writes: JoinHandle<()>,
}

/// A line that is to be written, and who waits for it.
struct Waiting {
    key: Key,
    line: Vec<u8>,
    done: oneshot::Sender<io::Result<()>>,
}

type Places = HashMap<Key, Place, FixedState>;

/// Where a line is.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: u64,
    n_bytes: u32,
}

#[derive(Deserialize, Serialize)]
struct Line {
    key: String,
    check: String,
    #[serde(flatten)]
    kept: Kept,
}

/// What is kept about a request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Kept {
    #[serde(flatten)]
    pub(super) outcome: Outcome,
    /// What tries may have cost whose answer never came.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub(super) lost: Usage,
}

fn is_nothing(usage: &Usage) -> bool {
    *usage == Usage::default()
}

impl Line {
    fn new(key: Key, kept: &Kept) -> Line {
        Line {
            key: hex(&key),
            check: check(&key, kept),
            kept: kept.clone(),
        }
    }

    fn parse(line: &[u8]) -> Option<(Key, Kept)> {
        let line: Line = serde_json::from_slice(line).ok()?;
        let key = unhex(&line.key)?;
        (check(&key, &line.kept) == line.check).then_some((key, line.kept))
    }
}

fn check(key: &Key, kept: &Kept) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(key)
        .update(&serde_json::to_vec(kept).expect("texts and numbers are JSON"));
    hasher.finalize().to_hex()[..CHECK_CHARS].to_owned()
}

fn hex(key: &Key) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Key> {
    let number = u128::from_str_radix(text, 16).ok()?;
    (text.len() == 32).then(|| number.to_be_bytes())
}

impl Journal {
    /// Opens the file, makes it where it is missing, and repairs its end. Nobody else may have it open.
    ///
    /// # Errors
    /// When it cannot be read or written, or another process holds it.
    pub(super) fn open(path: &Path) -> Result<Journal> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(Error::write(folder))?;
        }
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path);
        let file = file.map_err(Error::write(path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::AnswersBusy {
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(Error::write(path)(source)),
        }
        // A file that nobody finds after a power failure was not kept.
        for folder in path.ancestors().skip(1).take(2) {
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(Error::write(folder))?;
        }
        let (places, end) = scan(&file).map_err(Error::read(path))?;
        if file.metadata().map_err(Error::read(path))?.len() != end {
            let cut = file.set_len(end).and_then(|()| file.sync_all());
            cut.map_err(Error::write(path))?;
        }
        let reader = Mutex::new(File::open(path).map_err(Error::read(path))?);
        let places = Arc::new(Mutex::new(places));
        let (writer, waiting) = mpsc::channel(WAITING_MAX);
        let known = Arc::clone(&places);
        let writes = tokio::task::spawn_blocking(move || write_all(&file, end, waiting, &known));
        Ok(Journal {
            path: path.to_owned(),
            reader,
            places,
            writer,
            writes,
        })
    }

    /// What is kept about a request.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn kept(&self, key: &Key) -> Result<Option<Kept>> {
        let place = self
            .places
            .lock()
            .expect("no holder panics")
            .get(key)
            .copied();
        let Some(place) = place else { return Ok(None) };
        let mut line = vec![0; place.n_bytes as usize];
        let mut reader = self.reader.lock().expect("no holder panics");
        let read = reader
            .seek(SeekFrom::Start(place.start))
            .and_then(|_| reader.read_exact(&mut line));
        read.map_err(Error::read(&self.path))?;
        Ok(Line::parse(&line)
            .filter(|(of, _)| of == key)
            .map(|(_, kept)| kept))
    }

    /// Keeps an answer. It is on the disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) async fn keep(&self, key: Key, kept: &Kept) -> Result<()> {
        let mut line =
            serde_json::to_vec(&Line::new(key, kept)).expect("texts and numbers are JSON");
        line.push(b'\n');
        let (done, kept) = oneshot::channel();
        let gone = || io::Error::other("its writer has ended");
        let sent = self
            .writer
            .send(Waiting { key, line, done })
            .await
            .map_err(|_| gone());
        let kept = match sent {
            Ok(()) => kept.await.unwrap_or_else(|_| Err(gone())),
            Err(error) => Err(error),
        };
        kept.map_err(Error::write(&self.path))
    }

    /// Ends when all is written, and lets others open the file.
    pub(super) async fn close(self) {
        drop(self.writer);
        // A writer that panicked has said so.
        let _ = self.writes.await;
    }
}

/// Finds every whole line with a right checksum, and where the last line ends.
fn scan(file: &File) -> io::Result<(Places, u64)> {
    let mut places = Places::default();
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let (mut line, mut start) = (Vec::new(), 0);
    loop {
        line.clear();
        let n_read = reader.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Ok((places, start));
        }
        if let (Some((key, _)), Ok(n_bytes)) = (Line::parse(&line), u32::try_from(n_read)) {
            places.insert(key, Place { start, n_bytes });
        }
        start += n_read as u64;
    }
}

/// Writes lines as they come until nobody can send more, and syncs them together.
fn write_all(
    mut file: &File,
    mut end: u64,
    mut waiting: mpsc::Receiver<Waiting>,
    places: &Mutex<Places>,
) {
    let mut together = Vec::new();
    while let Some(first) = waiting.blocking_recv() {
        together.push(first);
        while let Ok(next) = waiting.try_recv() {
            together.push(next);
        }
        let lines: Vec<u8> = together
            .iter()
            .flat_map(|next| &next.line)
            .copied()
            .collect();
        let written = file.write_all(&lines).and_then(|()| file.sync_data());
        if let Err(error) = &written {
            // Half a line must not stand before the next one.
            let is_cut = file.set_len(end).is_ok();
            for next in together.drain(..) {
                let same = io::Error::new(error.kind(), error.to_string());
                let _ = next.done.send(Err(same));
            }
            if is_cut {
                continue;
            }
            return;
        }
        for Waiting { key, line, done } in together.drain(..) {
            let n_bytes = u32::try_from(line.len()).unwrap_or(u32::MAX);
            places.lock().expect("no holder panics").insert(
                key,
                Place {
                    start: end,
                    n_bytes,
                },
            );
            end += line.len() as u64;
            // Who asked may be gone; the answer is not.
            let _ = done.send(Ok(()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::Answer;
    use super::*;

    fn answer(text: &str) -> Kept {
        let answer = Answer {
            text: text.to_owned(),
            finish_reason: Some("stop".to_owned()),
            usage: Some(Usage::default()),
        };
        Kept {
            outcome: Outcome::Answered(answer),
            lost: Usage::default(),
        }
    }

    const A: Key = [1; 16];
    const B: Key = [2; 16];

    async fn with_two(path: &Path) {
        let journal = Journal::open(path).expect("it opens");
        assert_eq!(journal.kept(&A).expect("readable"), None);
        let (a, b) = (answer("one\ntwo"), answer("ü"));
        let (first, second) = tokio::join!(journal.keep(A, &a), journal.keep(B, &b));
        first.and(second).expect("both are kept");
        assert_eq!(journal.kept(&A).expect("readable"), Some(a));
        journal.close().await;
    }

    #[tokio::test]
    async fn answers_are_there_again_and_a_torn_end_is_cut_off() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("answers/x.jsonl");
        with_two(&path).await;
        let whole = std::fs::read(&path).expect("readable");
        for torn in [&whole[..5], b"garbage", b"{\"key\": 1}"] {
            std::fs::write(&path, [&whole, torn].concat()).expect("written");
            let journal = Journal::open(&path).expect("it opens");
            assert_eq!(std::fs::read(&path).expect("readable"), whole);
            assert_eq!(journal.kept(&B).expect("readable"), Some(answer("ü")));
            // A line stands on its own behind the repair.
            journal.keep([3; 16], &answer("three")).await.expect("kept");
            journal.close().await;
            let journal = Journal::open(&path).expect("it opens");
            assert_eq!(
                journal.kept(&[3; 16]).expect("readable"),
                Some(answer("three"))
            );
            assert_eq!(
                journal.kept(&A).expect("readable"),
                Some(answer("one\ntwo"))
            );
            journal.close().await;
            std::fs::write(&path, &whole).expect("written");
        }
    }

    #[tokio::test]
    async fn a_line_that_was_changed_is_not_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.jsonl");
        with_two(&path).await;
        let text = std::fs::read_to_string(&path).expect("text");
        std::fs::write(&path, text.replace("two", "too")).expect("written");
        let journal = Journal::open(&path).expect("it opens");
        assert_eq!(journal.kept(&A).expect("readable"), None);
        assert_eq!(journal.kept(&B).expect("readable"), Some(answer("ü")));
    }

    #[tokio::test]
    async fn refusals_and_what_was_lost_are_kept_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let journal = Journal::open(&folder.path().join("x.jsonl")).expect("it opens");
        let refused = Kept {
            outcome: Outcome::Refused("flagged".to_owned()),
            lost: Usage {
                prompt_tokens: 3,
                completion_tokens: 4,
            },
        };
        journal.keep(A, &refused).await.expect("kept");
        assert_eq!(journal.kept(&A).expect("readable"), Some(refused));
    }

    #[tokio::test]
    async fn two_do_not_hold_it_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.jsonl");
        let held = Journal::open(&path).expect("it opens");
        assert!(matches!(
            Journal::open(&path),
            Err(Error::AnswersBusy { .. })
        ));
        held.close().await;
        Journal::open(&path).expect("it opens again");
    }
}
