//! One request and what comes back for it.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url};

use crate::error::{Error, Result};
use crate::http::{self, Broke, Refusal, Token};

use super::answer::{Answer, Unread};

/// A server's word for an account without money, which comes with the status of one that is asked too often.
const NO_MONEY: &str = "insufficient_quota";

/// A server that asks to wait for longer is not waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// Bytes of an answer; a longer one is none.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// Where requests go.
#[derive(Debug)]
pub(super) struct Endpoint {
    http: reqwest::Client,
    pub(super) url: Url,
    key: Option<Token>,
    /// The environment variable it came from.
    key_env: String,
}

/// Why a request has no answer.
pub(super) enum Failure {
    /// It may have one the next time.
    Passing {
        problem: String,
        /// As the server asks.
        wait: Option<Duration>,
        /// Whether it was sent too many.
        is_too_much: bool,
        /// Whether the server may have worked, and may want to be paid.
        may_have_cost: bool,
        hint: &'static str,
    },
    /// The server will never answer this one.
    Refused(String),
    /// It will answer none.
    Final(Error),
}

/// What to do about a server that fails again and again.
const KEPT: &str = "repeating the command goes on here: answers that came are kept";
const UNTRUSTED: &str =
    "check the address in `--endpoint`; nothing was sent, and answers that came are kept";
const UNREACHED: &str = "check `--endpoint` and the network; answers that came are kept";

impl Endpoint {
    pub(super) fn new(
        base: &Url,
        key: Option<Token>,
        key_env: String,
        timeout: Duration,
    ) -> Result<Endpoint> {
        let text = format!("{}/chat/completions", base.as_str().trim_end_matches('/'));
        let url = Url::parse(&text).map_err(|error| Error::Setting {
            key: "endpoint",
            problem: format!("`{text}` is no address: {error}"),
            hint: "such as `http://localhost:8000/v1`".to_owned(),
        })?;
        let client = http::client()
            .timeout(timeout)
            // It would turn the request into another one, or lead the prompts elsewhere.
            .redirect(Policy::none())
            // A connection each: on one that carries many, a server that answers a request twice answers the next one wrongly.
            .pool_max_idle_per_host(0)
            .build();
        let client = client.map_err(|error| Error::Asking {
            url: text,
            problem: http::root(&error),
            hint: "the TLS library could not be set up".to_owned(),
        })?;
        Ok(Endpoint {
            http: client,
            url,
            key,
            key_env,
        })
    }

    /// Sends a request once.
    pub(super) async fn exchange(&self, body: &[u8]) -> std::result::Result<Answer, Failure> {
        let mut request = self
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json");
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.secret());
        }
        let passing = |problem, may_have_cost| Failure::Passing {
            problem,
            wait: None,
            is_too_much: false,
            may_have_cost,
            hint: KEPT,
        };
        let broken = |error: &reqwest::Error| match http::connection_problem(error) {
            (problem, Broke::Untrusted) => {
                Failure::Final(self.error(problem, UNTRUSTED.to_owned()))
            }
            (problem, Broke::Never) => Failure::Passing {
                problem,
                wait: None,
                is_too_much: false,
                may_have_cost: false,
                hint: UNREACHED,
            },
            (problem, Broke::Midway) => passing(problem, true),
        };
        let sent = request.body(body.to_vec()).send().await;
        let mut response = sent.map_err(|error| broken(&error))?;
        if !response.status().is_success() {
            return Err(self.failure(&Refusal::of(response).await));
        }
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
            text.extend_from_slice(&chunk);
            if text.len() > MAX_ANSWER_BYTES {
                let problem = "the answer is longer than 16 MiB".to_owned();
                return Err(Failure::Refused(problem));
            }
        }
        Answer::parse(&text).map_err(|unread| match unread {
            // A page of a proxy, say: nobody worked for it.
            Unread::NoJson => passing("what came is no JSON".to_owned(), false),
            Unread::BrokenOff(problem) => passing(problem, true),
            Unread::Other(problem) => Failure::Refused(self.without_key(&problem)),
        })
    }

    fn failure(&self, refusal: &Refusal) -> Failure {
        let problem = self.without_key(&refusal.problem());
        let has_no_money = refusal.code.as_deref() == Some(NO_MONEY);
        if let Some(wait) = refusal.wait.filter(|wait| *wait > LONGEST_WAIT) {
            let problem = format!(
                "{problem}; it asks to come back in {} minutes",
                wait.as_secs() / 60
            );
            return Failure::Final(self.error(problem, KEPT.to_owned()));
        }
        if refusal.is_passing() && !has_no_money {
            return Failure::Passing {
                problem,
                wait: refusal.wait,
                is_too_much: refusal.status == StatusCode::TOO_MANY_REQUESTS,
                may_have_cost: false,
                hint: KEPT,
            };
        }
        let hint = match refusal.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => match self.key {
                Some(_) => format!("the key comes from the environment variable `{}`; `--api-key-env` names another", self.key_env),
                None => format!("it wants a key, and the environment variable `{}` holds none; `--api-key-env` names another", self.key_env),
            },
            StatusCode::NOT_FOUND => "check `--llm-model`, and whether `--endpoint` ends as the server's documentation says, mostly in `/v1`".to_owned(),
            StatusCode::METHOD_NOT_ALLOWED => "check `--endpoint`: mostly it ends in `/v1`".to_owned(),
            StatusCode::PAYMENT_REQUIRED => "the account has nothing left".to_owned(),
            _ if has_no_money => "the account has nothing left".to_owned(),
            status if status.is_redirection() => "`--endpoint` should name the address it leads to".to_owned(),
            _ => return Failure::Refused(problem),
        };
        Failure::Final(self.error(problem, hint))
    }

    /// What a server says may hold what it was sent.
    fn without_key(&self, said: &str) -> String {
        match &self.key {
            Some(key) => said.replace(key.secret(), "…"),
            None => said.to_owned(),
        }
    }

    pub(super) fn error(&self, problem: String, hint: String) -> Error {
        Error::Asking {
            url: self.url.to_string(),
            problem,
            hint,
        }
    }
}
