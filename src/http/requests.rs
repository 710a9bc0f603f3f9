//! Requests that are repeated while repeating may help.

use std::time::Duration;

use reqwest::header::{CONTENT_RANGE, HeaderMap};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use url::Url;

use crate::error::{Error, Result};

use super::{Broke, CHECK_ADDRESS, Refusal, Token, client, connection_problem, root, wait_after};

/// The hub, unless another is named.
const DEFAULT_HUB: &str = "https://huggingface.co";

/// Times a request that brought nothing new is repeated.
const DEFAULT_RETRIES: u32 = 4;

/// A server that asks to wait for longer is given up.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// Without a byte for so long, a connection counts as broken.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Whom requests are sent to, and how often.
#[derive(Clone, Debug)]
pub struct Network {
    /// The base address of the hub that `hf://` is on; `None` where what should name it does not, which is no matter until a
    /// source is there.
    pub hub: Option<Url>,
    /// Sent to the hub, and to no other host.
    pub token: Option<Token>,
    /// How often a request that brought nothing new is repeated.
    pub retries: u32,
}

impl Default for Network {
    fn default() -> Network {
        Network {
            hub: Url::parse(DEFAULT_HUB).ok(),
            token: None,
            retries: DEFAULT_RETRIES,
        }
    }
}

/// How far a download is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// The address.
    pub url: String,
    /// Bytes that are here.
    pub done: u64,
    /// Bytes there are, if the server says so.
    pub total: Option<u64>,
    /// Why the last try broke off and how long the wait for the next one is, while it lasts.
    pub waits: Option<(String, Duration)>,
}

/// The network, for one command.
pub(crate) struct Requests<'a> {
    client: Client,
    pub(crate) network: &'a Network,
    pub(crate) progress: &'a dyn Fn(Download),
    /// What needs no network, as part of a hint.
    offline: &'static str,
}

/// Why a request was of no use.
pub(crate) enum Failure {
    /// It may work the next time.
    Passing {
        problem: String,
        /// As the server asks.
        wait: Option<Duration>,
        /// Whether this try brought us further than those before.
        progressed: bool,
        /// Whether nobody answered at all.
        never_connected: bool,
    },
    /// It will not.
    Final(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Final(error)
    }
}

impl<'a> Requests<'a> {
    /// `offline` says what needs no network, as the end of a hint.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub(crate) fn new(
        network: &'a Network,
        offline: &'static str,
        progress: &'a dyn Fn(Download),
    ) -> Result<Requests<'a>> {
        let client = client()
            // The bytes that are hashed and resumed are those of the file, not of one transfer.
            .no_gzip()
            .read_timeout(READ_TIMEOUT)
            .build()
            .map_err(|error| Error::Fetch {
                url: (network.hub.as_ref()).map_or("any address".to_owned(), Url::to_string),
                problem: root(&error),
                hint: "the TLS library could not be set up".to_owned(),
            })?;
        Ok(Requests {
            client,
            network,
            progress,
            offline,
        })
    }

    /// A request for `url`, with the token where that is the hub's.
    pub(crate) fn get(&self, url: &Url) -> RequestBuilder {
        let request = self.client.get(url.clone());
        match &self.network.token {
            Some(token)
                if (self.network.hub.as_ref()).is_some_and(|hub| hub.origin() == url.origin()) =>
            {
                request.bearer_auth(token.secret())
            }
            _ => request,
        }
    }

    /// Tries until it works, repeating would not help, or nothing new came for too many times.
    pub(crate) async fn persistently<T>(
        &self,
        url: &Url,
        mut attempt: impl AsyncFnMut() -> std::result::Result<T, Failure>,
    ) -> Result<T> {
        let mut n_failures = 0;
        loop {
            let (problem, wait, progressed, never_connected) = match attempt().await {
                Ok(value) => return Ok(value),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing {
                    problem,
                    wait,
                    progressed,
                    never_connected,
                }) => (problem, wait, progressed, never_connected),
            };
            if progressed {
                n_failures = 0;
            }
            if wait.is_some_and(|wait| wait > LONGEST_ASKED) {
                let hint = "the server asks to come back later".to_owned();
                return Err(fetch_error(url, problem, hint));
            }
            if n_failures == self.network.retries {
                let tries = match n_failures {
                    0 => String::new(),
                    n => format!(" ({} tries)", n + 1),
                };
                let hint = if never_connected {
                    "check the address and the network"
                } else {
                    "repeating the command goes on where the download stopped"
                };
                return Err(fetch_error(
                    url,
                    format!("{problem}{tries}"),
                    format!("{hint}; {}", self.offline),
                ));
            }
            let wait = wait_after(n_failures, wait);
            (self.progress)(Download {
                url: url.to_string(),
                done: 0,
                total: None,
                waits: Some((problem, wait)),
            });
            tokio::time::sleep(wait).await;
            n_failures += 1;
        }
    }
}

/// The error for an address that leads nowhere.
pub(crate) fn fetch_error(url: &Url, problem: String, hint: String) -> Error {
    Error::Fetch {
        url: url.to_string(),
        problem,
        hint,
    }
}

/// Sends a request; an answer that is an error becomes a failure.
pub(crate) async fn send(
    url: &Url,
    request: RequestBuilder,
) -> std::result::Result<Response, Failure> {
    let response = request
        .send()
        .await
        .map_err(|error| broken(&error, false))?;
    let status = response.status();
    let is_answer = status.is_success()
        || status == StatusCode::NOT_MODIFIED
        || status == StatusCode::RANGE_NOT_SATISFIABLE;
    if is_answer {
        return Ok(response);
    }
    let refusal = Refusal::of(response).await;
    if refusal.is_passing() {
        return Err(Failure::Passing {
            problem: refusal.problem(),
            wait: refusal.wait,
            progressed: false,
            never_connected: false,
        });
    }
    let hint = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "on a hub, private and gated datasets need a token in `HF_TOKEN`, and their terms accepted on the dataset's page"
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => CHECK_ADDRESS,
        _ => "the server does not give this file",
    };
    Err(Failure::Final(fetch_error(
        url,
        refusal.problem(),
        hint.to_owned(),
    )))
}

/// The failure of a connection.
pub(crate) fn broken(error: &reqwest::Error, progressed: bool) -> Failure {
    let (problem, broke) = connection_problem(error);
    Failure::Passing {
        problem,
        wait: None,
        progressed,
        never_connected: broke != Broke::Midway,
    }
}

/// `bytes 5-9/10` → (5, 10); `bytes */10` → (none, 10).
pub(crate) fn content_range(headers: &HeaderMap) -> Option<(Option<u64>, Option<u64>)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let first = match range.split_once('-') {
        Some((first, _)) => Some(first.trim().parse().ok()?),
        None => None,
    };
    Some((first, total.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn a_range_is_read_as_servers_write_it() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_RANGE, HeaderValue::from_static(text));
            content_range(&headers)
        };
        assert_eq!(read("bytes 5-9/10"), Some((Some(5), Some(10))));
        assert_eq!(read("bytes 5-9/*"), Some((Some(5), None)));
        assert_eq!(read("bytes */10"), Some((None, Some(10))));
        assert_eq!(read("lines 5-9/10"), None);
        assert_eq!(read("bytes x-9/10"), None);
    }
}
