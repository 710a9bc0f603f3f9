//! One file on its way: what a transfer that broke off has brought is not asked for again.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, RANGE};
use reqwest::{Response, StatusCode};
use url::Url;

use crate::error::{Error, Result};
use crate::http::{Failure, Requests, broken, content_range, fetch_error, send};

use super::super::file::FileEntry;
use super::store::Store;

/// Between two looks whether another process still fetches the same shard.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// What a server is told apart by that gives something else than what the manifest was written for.
const OTHER_BUILD: &str =
    "the manifest and the shards are not those of one build; nothing of this shard was used";

/// A shard that is fetched.
pub(super) struct Transfer<'a> {
    pub(super) requests: &'a Requests<'a>,
    pub(super) store: &'a Store,
    pub(super) url: &'a Url,
    pub(super) entry: &'a FileEntry,
}

type Tried<T> = std::result::Result<T, Failure>;

impl Transfer<'_> {
    /// The shard as the manifest describes it, from the store where it is there. The shards in `keep` stay there.
    ///
    /// # Errors
    /// [`Error::Fetch`], or what is wrong with the store.
    pub(super) async fn run(&self, keep: &[&FileEntry]) -> Result<File> {
        if let Some(file) = self.store.whole(self.entry)? {
            return Ok(file);
        }
        self.store.make_room(self.entry, keep)?;
        let (path, mut file) = self.store.part(self.entry)?;
        lock(&path, &file).await?;
        // Another process may have fetched it in the meantime.
        if let Some(whole) = self.store.whole(self.entry)? {
            // What was opened for it is empty, or is the whole one by now.
            let _ = fs::remove_file(&path);
            return Ok(whole);
        }
        let mut has_started_over = false;
        loop {
            let n_here = length(&path, &file)?;
            let mut most = n_here;
            let url = self.url;
            let got = self.requests.persistently(url, async || {
                self.attempt(&path, &mut file, &mut most).await
            });
            let is_pieced = got.await? || n_here > 0;
            let found = FileEntry::of_file(&file).map_err(Error::read(&path))?;
            if found.is_same(self.entry) {
                self.store.adopt(&path, &file, self.entry)?;
                file.unlock().map_err(Error::write(&path))?;
                return Ok(file);
            }
            start_over(&path, &file)?;
            // Pieces of two versions may be to blame, once; those of one transfer are not.
            if !is_pieced || std::mem::replace(&mut has_started_over, true) {
                return Err(
                    self.refused("its bytes are not those that the manifest names".to_owned())
                );
            }
        }
    }

    /// One request, for what is missing. Returns whether the file was put together from pieces.
    async fn attempt(&self, path: &Path, file: &mut File, most: &mut u64) -> Tried<bool> {
        let wanted = self.entry.bytes;
        let mut n_here = length(path, file)?;
        if n_here > wanted {
            start_over(path, file)?;
            n_here = 0;
        }
        if n_here == wanted {
            return Ok(n_here > 0);
        }
        let request = self
            .requests
            .get(self.url)
            .header(ACCEPT_ENCODING, "identity");
        let request = match n_here {
            0 => request,
            _ => request.header(RANGE, format!("bytes={n_here}-")),
        };
        let response = send(self.url, request).await?;
        let (first, total) = match response.status() {
            StatusCode::OK => (0, response.content_length()),
            StatusCode::PARTIAL_CONTENT => match content_range(response.headers()) {
                Some((Some(first), total)) if first == n_here => (first, total),
                _ => return self.unexpected(path, file, &response),
            },
            _ => return self.unexpected(path, file, &response),
        };
        if let Some(total) = total.filter(|&total| total != wanted) {
            let problem = format!("the server has {total} bytes, the manifest names {wanted}");
            return Err(Failure::Final(self.refused(problem)));
        }
        if first == 0 {
            start_over(path, file)?;
        }
        self.receive(path, file, response, first, most).await?;
        Ok(first > 0)
    }

    async fn receive(
        &self,
        path: &Path,
        file: &mut File,
        mut response: Response,
        first: u64,
        most: &mut u64,
    ) -> Tried<()> {
        let wanted = self.entry.bytes;
        let mut done = first;
        let ended = loop {
            match response.chunk().await {
                Ok(Some(bytes)) => {
                    done += bytes.len() as u64;
                    // Nobody fills the disk by never ending.
                    if done > wanted {
                        start_over(path, file)?;
                        let problem = format!(
                            "the server sends more than the {wanted} bytes that the manifest names"
                        );
                        return Err(Failure::Final(self.refused(problem)));
                    }
                    file.write_all(&bytes).map_err(Error::write(path))?;
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        let progressed = done > *most;
        *most = done.max(*most);
        match ended {
            Some(error) => Err(broken(&error, progressed)),
            None if done < wanted => Err(Failure::Passing {
                problem: format!("the connection ended after {done} of {wanted} bytes"),
                wait: None,
                progressed,
                never_connected: false,
            }),
            None => Ok(()),
        }
    }

    /// An answer that fits to nothing: what is here may be the reason.
    fn unexpected<T>(&self, path: &Path, file: &File, response: &Response) -> Tried<T> {
        start_over(path, file)?;
        Err(Failure::Passing {
            problem: format!(
                "the server answers {} where it should not",
                response.status()
            ),
            wait: None,
            progressed: false,
            never_connected: false,
        })
    }

    fn refused(&self, problem: String) -> Error {
        fetch_error(self.url, problem, OTHER_BUILD.to_owned())
    }
}

/// The bytes of a small file, of at most so many.
///
/// # Errors
/// [`Error::Fetch`].
pub(super) async fn small(requests: &Requests<'_>, url: &Url, max_bytes: u64) -> Result<Vec<u8>> {
    let get = async || {
        let request = requests.get(url).header(ACCEPT_ENCODING, "identity");
        let mut response = send(url, request).await?;
        let mut text = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(bytes)) => text.extend_from_slice(&bytes),
                Ok(None) => return Ok(text),
                Err(error) => return Err(broken(&error, false)),
            }
            if text.len() as u64 > max_bytes {
                let problem = format!("it has more than {max_bytes} bytes");
                let hint = "the address leads to something else".to_owned();
                return Err(Failure::Final(fetch_error(url, problem, hint)));
            }
        }
    };
    requests.persistently(url, get).await
}

/// Waits until no other process fetches the same file.
async fn lock(path: &Path, file: &File) -> Result<()> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(BETWEEN_LOOKS).await,
            Err(TryLockError::Error(source)) => return Err(Error::write(path)(source)),
        }
    }
}

fn length(path: &Path, file: &File) -> Result<u64> {
    let metadata = file.metadata().map_err(Error::read(path))?;
    Ok(metadata.len())
}

fn start_over(path: &Path, file: &File) -> Result<()> {
    file.set_len(0).map_err(Error::write(path))
}
