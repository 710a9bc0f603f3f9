//! Requests that are repeated while repeating may help.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use url::Url;

use crate::error::{Error, Result};

use super::access::{Access, Download, Token};

/// The wait before the first repetition; every further one is twice as long …
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// … up to this …
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// … unless the server asks for more; one that asks for more than this is given up.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Without a byte for so long, a connection counts as broken.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of an error's body that are read for its message.
const MAX_ERROR_BYTES: usize = 4_096;

/// The network, for one build.
pub(super) struct Requests<'a> {
    client: Client,
    pub(super) access: &'a Access,
    pub(super) progress: &'a dyn Fn(Download),
}

/// What a problem begins with where nobody answered.
const NO_CONNECTION: &str = "no connection";

/// Why a request was of no use.
pub(super) enum Failure {
    /// It may work the next time.
    Passing {
        problem: String,
        /// As the server asks.
        wait: Option<Duration>,
        /// Whether this try brought us further than those before.
        progressed: bool,
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
        let client = Client::builder()
            .user_agent(concat!("delia/", env!("CARGO_PKG_VERSION")))
            // The bytes that are hashed and resumed are those of the file, not of one transfer.
            .no_gzip()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .build()
            .map_err(|error| Error::Fetch {
                url: (access.hub.as_ref()).map_or("any address".to_owned(), Url::to_string),
                problem: root(&error),
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
                bearer(request, token)
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
            let (problem, wait, progressed) = match attempt().await {
                Ok(value) => return Ok(value),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing {
                    problem,
                    wait,
                    progressed,
                }) => (problem, wait, progressed),
            };
            if progressed {
                n_failures = 0;
            }
            let never_connected = problem.starts_with(NO_CONNECTION);
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
            let backoff = FIRST_WAIT.saturating_mul(1 << n_failures.min(16));
            // Also where the server asks for less: its clock or ours may be wrong.
            let backoff = backoff.min(LONGEST_WAIT);
            let wait = wait.map_or(backoff, |wait| wait.max(backoff));
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

fn bearer(request: RequestBuilder, token: &Token) -> RequestBuilder {
    request.bearer_auth(token.secret())
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
    let wait = retry_after(response.headers());
    let problem = match said(response).await {
        Some(said) => format!("the server answers {status}: {said}"),
        None => format!("the server answers {status}"),
    };
    let is_passing = status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT;
    if is_passing {
        return Err(Failure::Passing {
            problem,
            wait,
            progressed: false,
        });
    }
    let hint = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "on a hub, private and gated datasets need a token in `HF_TOKEN`, and their terms accepted on the dataset's page"
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => "check the address for typing errors",
        _ => "the server does not give this file",
    };
    Err(Failure::Final(fetch_error(url, problem, hint.to_owned())))
}

/// The failure of a connection.
pub(super) fn broken(error: &reqwest::Error, progressed: bool) -> Failure {
    let problem = if error.is_timeout() {
        "no answer in time".to_owned()
    } else if error.is_connect() {
        format!("{NO_CONNECTION}: {}", root(error))
    } else {
        format!("the connection broke: {}", root(error))
    };
    Failure::Passing {
        problem,
        wait: None,
        progressed,
    }
}

/// The cause behind all causes: those before it say that there is one.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// A number of seconds, or a date, which a wrong clock on either side makes too long or too short a wait.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

/// What a server says beside its status: the hub and others answer `{"error": "…"}`.
async fn said(mut response: Response) -> Option<String> {
    let mut body = Vec::new();
    while body.len() < MAX_ERROR_BYTES
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk);
    }
    let body: serde_json::Value = serde_json::from_slice(&body).ok()?;
    body.get("error")?.as_str().map(str::to_owned)
}
