//! Requests that are repeated while repeating may help.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use url::Url;

use crate::error::{Error, Result};
use crate::http::{self, Broke, Refusal};

use super::access::{Access, Download};

/// A server that asks to wait for longer is given up.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// Without a byte for so long, a connection counts as broken.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// The network, for one build.
pub(super) struct Requests<'a> {
    client: Client,
    pub(super) access: &'a Access,
    pub(super) progress: &'a dyn Fn(Download),
}

/// Why a request was of no use.
pub(super) enum Failure {
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
    pub(super) fn new(access: &'a Access, progress: &'a dyn Fn(Download)) -> Result<Requests<'a>> {
        let client = http::client()
            // The bytes that are hashed and resumed are those of the file, not of one transfer.
            .no_gzip()
            .read_timeout(READ_TIMEOUT)
            .build()
            .map_err(|error| Error::Fetch {
                url: (access.hub.as_ref()).map_or("any address".to_owned(), Url::to_string),
                problem: http::root(&error),
                hint: "the TLS library could not be set up".to_owned(),
            })?;
        Ok(Requests {
            client,
            access,
            progress,
        })
    }

    /// A request for `url`, with the token where that is the hub's.
    pub(super) fn get(&self, url: &Url) -> RequestBuilder {
        let request = self.client.get(url.clone());
        match &self.access.token {
            Some(token)
                if (self.access.hub.as_ref()).is_some_and(|hub| hub.origin() == url.origin()) =>
            {
                request.bearer_auth(token.secret())
            }
            _ => request,
        }
    }

    /// Tries until it works, repeating would not help, or nothing new came for too many times.
    pub(super) async fn persistently<T>(
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
            if n_failures == self.access.retries {
                let tries = match n_failures {
                    0 => String::new(),
                    n => format!(" ({} tries)", n + 1),
                };
                let hint = if never_connected {
                    "check the address and the network; a recipe that a build wrote needs no network for files that are in the cache"
                } else {
                    "repeating the command goes on where the download stopped; a recipe that a build wrote needs no network for files that are in the cache"
                };
                return Err(fetch_error(
                    url,
                    format!("{problem}{tries}"),
                    hint.to_owned(),
                ));
            }
            let wait = http::wait_after(n_failures, wait);
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
pub(super) fn fetch_error(url: &Url, problem: String, hint: String) -> Error {
    Error::Fetch {
        url: url.to_string(),
        problem,
        hint,
    }
}

/// Sends a request; an answer that is an error becomes a failure.
pub(super) async fn send(
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
        StatusCode::NOT_FOUND | StatusCode::GONE => "check the address for typing errors",
        _ => "the server does not give this file",
    };
    Err(Failure::Final(fetch_error(
        url,
        refusal.problem(),
        hint.to_owned(),
    )))
}

/// The failure of a connection.
pub(super) fn broken(error: &reqwest::Error, progressed: bool) -> Failure {
    let (problem, broke) = http::connection_problem(error);
    Failure::Passing {
        problem,
        wait: None,
        progressed,
        never_connected: broke != Broke::Midway,
    }
}
