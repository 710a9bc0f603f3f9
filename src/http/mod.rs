//! What everything that asks a server needs: a client, what an answer that is none means, how long to wait before asking again.

mod requests;

use std::fmt;
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{ClientBuilder, Response, StatusCode};

pub use requests::{Download, Network};
pub(crate) use requests::{Failure, Requests, broken, content_range, fetch_error, send};

/// The wait before the first repetition; every further one is twice as long …
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// … up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// What the TLS library says of a certificate that proves nothing.
const BAD_CERTIFICATE: &str = "invalid peer certificate";

/// No wait that a server asks for is longer: no clock can be set for ever.
const MAX_ASKED: Duration = Duration::from_secs(7 * 24 * 3600);

/// Bytes of an error's body that are read for its message.
const MAX_ERROR_BYTES: usize = 4_096;
/// Characters of a message that are passed on: some servers answer with a page.
const MAX_SAID_CHARS: usize = 300;

/// The hint for an address that leads nowhere.
pub(crate) const CHECK_ADDRESS: &str = "check the address for typing errors";

/// A client, but for the timeouts of an answer.
pub(crate) fn client() -> ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("delia/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
}

/// A secret that is never shown.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// The token in this text; `None` where it holds nothing that could be one.
    pub fn new(text: &str) -> Option<Token> {
        let text = text.trim();
        let is_header = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_header.then(|| Token(text.to_owned()))
    }

    /// The secret itself.
    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// An answer that is not what was asked for.
#[derive(Debug)]
pub struct Refusal {
    /// Its status.
    pub status: StatusCode,
    /// What the server says beside its status.
    said: Option<String>,
    /// What it calls the error.
    pub code: Option<String>,
    /// How long it asks to wait.
    pub wait: Option<Duration>,
}

impl Refusal {
    /// Reads the rest of an answer.
    pub(crate) async fn of(response: Response) -> Refusal {
        let status = response.status();
        let wait = retry_after(response.headers());
        let body = body_of(response).await.unwrap_or_default();
        let at = |pointer: &str| Some(body.pointer(pointer)?.as_str()?.to_owned());
        let places = ["/error/message", "/error", "/message", "/detail"];
        Refusal {
            status,
            said: places.iter().find_map(|place| at(place)),
            code: at("/error/code").or_else(|| at("/error/type")),
            wait,
        }
    }

    /// Whether the same request may be answered later.
    pub(crate) fn is_passing(&self) -> bool {
        self.status.is_server_error()
            || self.status == StatusCode::TOO_MANY_REQUESTS
            || self.status == StatusCode::REQUEST_TIMEOUT
    }

    /// What happened, as part of a message.
    pub(crate) fn problem(&self) -> String {
        match &self.said {
            Some(said) => {
                // On one line, and nothing for a terminal to obey.
                let words: Vec<_> = said
                    .split(|c: char| c.is_whitespace() || c.is_control())
                    .collect();
                let said: String = words.join(" ").chars().take(MAX_SAID_CHARS).collect();
                format!("the server answers {}: {said}", self.status)
            }
            None => format!("the server answers {}", self.status),
        }
    }
}

/// The wait before the next try after so many failures; where the server asks for more, that: its clock or ours may be wrong,
/// so never for less.
pub(crate) fn wait_after(n_failures: u32, asked: Option<Duration>) -> Duration {
    let backoff = FIRST_WAIT.saturating_mul(1 << n_failures.min(16));
    let backoff = backoff.min(LONGEST_WAIT);
    asked.map_or(backoff, |asked| asked.max(backoff))
}

/// How a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broke {
    /// There is one, with somebody who cannot prove who it is: it will not be otherwise the next time.
    Untrusted,
    /// There never was one.
    Never,
    /// On the way.
    Midway,
}

/// What a connection that failed is reported as, and how it failed.
pub(crate) fn connection_problem(error: &reqwest::Error) -> (String, Broke) {
    let cause = root(error);
    if error.is_timeout() {
        let broke = if error.is_connect() {
            Broke::Never
        } else {
            Broke::Midway
        };
        ("no answer in time".to_owned(), broke)
    } else if cause.contains(BAD_CERTIFICATE) {
        (
            format!("the server is not trusted: {cause}"),
            Broke::Untrusted,
        )
    } else if error.is_connect() {
        (format!("no connection: {cause}"), Broke::Never)
    } else {
        (format!("the connection broke: {cause}"), Broke::Midway)
    }
}

/// The cause behind all causes: those before it say that there is one.
pub(crate) fn root(error: &reqwest::Error) -> String {
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
        let longest = MAX_ASKED.as_secs_f64();
        return Duration::try_from_secs_f64(f64::min(seconds, longest)).ok();
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

async fn body_of(mut response: Response) -> Option<serde_json::Value> {
    let mut body = Vec::new();
    while body.len() < MAX_ERROR_BYTES
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown() {
        let token = Token::new(" hf_secret\n").expect("a token");
        assert_eq!(token.secret(), "hf_secret");
        assert!(!format!("{token:?}").contains("secret"));
        assert!(Token::new("  ").is_none() && Token::new("two words").is_none());
    }

    #[test]
    fn waits_grow_to_a_limit_and_are_never_shorter_than_asked() {
        let seconds =
            |n, asked: Option<u64>| wait_after(n, asked.map(Duration::from_secs)).as_secs_f64();
        assert_eq!([0, 1, 2].map(|n| seconds(n, None)), [0.5, 1.0, 2.0]);
        assert_eq!(seconds(40, None), 30.0);
        assert_eq!(seconds(0, Some(7)), 7.0);
        assert_eq!(seconds(5, Some(0)), 16.0);
    }

    #[tokio::test]
    async fn what_servers_say_is_found_where_they_say_it() {
        for (body, said, code) in [
            (r#"{"error": "gated"}"#, Some("gated"), None),
            (
                r#"{"error": {"message": "no key", "code": "invalid_api_key"}}"#,
                Some("no key"),
                Some("invalid_api_key"),
            ),
            (
                r#"{"object": "error", "message": "too long"}"#,
                Some("too long"),
                None,
            ),
            (r#"{"detail": "Not Found"}"#, Some("Not Found"), None),
            ("<html>", None, None),
        ] {
            let response = Response::from(
                ::http::Response::builder()
                    .status(400)
                    .header("retry-after", "2")
                    .body(body)
                    .expect("a response"),
            );
            let refusal = Refusal::of(response).await;
            assert_eq!(
                (refusal.said.as_deref(), refusal.code.as_deref()),
                (said, code)
            );
            assert_eq!(refusal.wait, Some(Duration::from_secs(2)));
            assert!(!refusal.is_passing());
        }
    }
}
