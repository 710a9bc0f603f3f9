//! A file is fetched into the cache, and a download that broke off goes on where it stopped.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use reqwest::header::{
    ACCEPT_ENCODING, ETAG, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    LAST_MODIFIED, RANGE, TRANSFER_ENCODING,
};
use reqwest::{Response, StatusCode, Version as HttpVersion};
use url::Url;

use crate::error::{Error, Result};
use crate::http::{Download, Failure, Requests, broken, content_range, send};

use super::cache::{Address, Cache, Fetched, Version};

/// What a try ended with.
enum Got {
    /// The file is as it was.
    Unchanged,
    /// The file on its way is complete.
    Complete(Version),
}

/// Fetches what `url` leads to, unless the cache holds it and the server says that it is still the same. Returns the file
/// and its hash.
///
/// `known` is the hash a recipe holds: a cached file that has it serves when the server cannot be asked.
///
/// # Errors
/// [`Error::Fetch`], or what is wrong with the cache.
pub(super) async fn download(
    requests: &Requests<'_>,
    cache: &Cache,
    url: &Url,
    known: Option<&str>,
) -> Result<(PathBuf, String)> {
    let address = cache.address(url);
    let _lock = address.lock().await?;
    let before = match address.fetched() {
        Some(fetched) => {
            let file = cache.file(&fetched.blake3)?;
            file.map(|file| (file, fetched))
        }
        None => None,
    };
    let mut most = part_length(&address);
    let got = requests
        .persistently(url, async || {
            let version = before.as_ref().map(|(_, fetched)| &fetched.version);
            attempt(requests, &address, url, version, &mut most).await
        })
        .await;
    match (got, before) {
        (Ok(Got::Complete(version)), _) => {
            let (file, blake3) = cache.adopt(&address.part())?;
            address.clear_part();
            address.note(&Fetched {
                url: url.to_string(),
                blake3: blake3.clone(),
                version,
            })?;
            Ok((file, blake3))
        }
        (Ok(Got::Unchanged), Some((file, fetched))) => Ok((file, fetched.blake3)),
        (Err(Error::Fetch { .. }), Some((file, fetched)))
            if known == Some(fetched.blake3.as_str()) =>
        {
            Ok((file, fetched.blake3))
        }
        (Ok(Got::Unchanged), None) => unreachable!("only a file that is here can be unchanged"),
        (Err(error), _) => Err(error),
    }
}

/// One request. `most` is the furthest that any try came.
async fn attempt(
    requests: &Requests<'_>,
    address: &Address,
    url: &Url,
    before: Option<&Version>,
    most: &mut u64,
) -> std::result::Result<Got, Failure> {
    let n_here = part_length(address);
    let part = address.part_version().unwrap_or_default();
    let request = requests.get(url).header(ACCEPT_ENCODING, "identity");
    let resumes = part.strong().filter(|_| n_here > 0);
    let asks = before.filter(|_| resumes.is_none());
    let request = match (resumes, asks) {
        (Some(version), _) => request
            .header(RANGE, format!("bytes={n_here}-"))
            .header(IF_RANGE, version),
        (
            None,
            Some(Version {
                etag: Some(etag), ..
            }),
        ) => request.header(IF_NONE_MATCH, etag),
        (
            None,
            Some(Version {
                last_modified: Some(date),
                ..
            }),
        ) => request.header(IF_MODIFIED_SINCE, date),
        (None, _) => request,
    };
    let response = send(url, request).await?;
    match response.status() {
        StatusCode::NOT_MODIFIED if asks.is_some() => return Ok(Got::Unchanged),
        StatusCode::PARTIAL_CONTENT if resumes.is_some() => {
            let now = Version::of(response.headers());
            let is_same = now.etag.is_none() || now.etag == part.etag;
            if let Some((first, total)) = content_range(response.headers())
                && first == Some(n_here)
                && is_same
            {
                return receive(requests, address, url, response, n_here, total, part, most).await;
            }
        }
        StatusCode::RANGE_NOT_SATISFIABLE if resumes.is_some() => {
            // Nothing follows what is here: all of it was, when the last try ended before it could say so.
            if let Some((None, Some(total))) = content_range(response.headers())
                && total == n_here
            {
                return Ok(Got::Complete(part));
            }
        }
        StatusCode::OK => {
            let version = Version::of(response.headers());
            address.clear_part();
            address.note_part(&version)?;
            let total = response.content_length();
            return receive(requests, address, url, response, 0, total, version, most).await;
        }
        _ => {}
    }
    address.clear_part();
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

#[expect(
    clippy::too_many_arguments,
    reason = "they are the state of one transfer"
)]
async fn receive(
    requests: &Requests<'_>,
    address: &Address,
    url: &Url,
    mut response: Response,
    first: u64,
    total: Option<u64>,
    version: Version,
    most: &mut u64,
) -> std::result::Result<Got, Failure> {
    let path = address.part();
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let mut file: File = file.map_err(Error::write(&path))?;
    let mut done = first;
    let is_chunked = response.version() >= HttpVersion::HTTP_2
        || response.headers().contains_key(TRANSFER_ENCODING);
    let ended = loop {
        (requests.progress)(Download {
            url: url.to_string(),
            done,
            total,
            waits: None,
        });
        match response.chunk().await {
            Ok(Some(chunk)) => {
                file.write_all(&chunk).map_err(Error::write(&path))?;
                done += chunk.len() as u64;
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    let progressed = done > *most;
    *most = done.max(*most);
    match (ended, total) {
        (Some(error), _) => Err(broken(&error, progressed)),
        (None, Some(total)) if done < total => Err(Failure::Passing {
            problem: format!("the connection ended after {done} of {total} bytes"),
            wait: None,
            progressed,
            never_connected: false,
        }),
        (None, Some(total)) if done > total => {
            address.clear_part();
            Err(Failure::Passing {
                problem: format!("the server sent {done} bytes and had promised {total}"),
                wait: None,
                progressed: false,
                never_connected: false,
            })
        }
        (None, Some(_)) => Ok(Got::Complete(version)),
        // Nobody said how long it is: if it was cut off, the next command must not be told that it is unchanged.
        (None, None) if !is_chunked => Ok(Got::Complete(Version::default())),
        (None, None) => Ok(Got::Complete(version)),
    }
}

fn part_length(address: &Address) -> u64 {
    fs::metadata(address.part()).map_or(0, |metadata| metadata.len())
}

impl Version {
    fn of(headers: &HeaderMap) -> Version {
        let text = |name: HeaderName| Some(headers.get(name)?.to_str().ok()?.to_owned());
        Version {
            etag: text(ETAG),
            last_modified: text(LAST_MODIFIED),
        }
    }

    /// What a part may be continued by: an entity tag that promises equal bytes, or else a date.
    fn strong(&self) -> Option<&str> {
        let tag = self.etag.as_deref().filter(|tag| !tag.starts_with("W/"));
        tag.or(self.last_modified.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weak_tag_does_not_promise_equal_bytes() {
        let version = |etag: &str, date: Option<&str>| Version {
            etag: Some(etag.to_owned()),
            last_modified: date.map(str::to_owned),
        };
        assert_eq!(version("\"a\"", Some("date")).strong(), Some("\"a\""));
        assert_eq!(version("W/\"a\"", Some("date")).strong(), Some("date"));
        assert_eq!(version("W/\"a\"", None).strong(), None);
    }
}
