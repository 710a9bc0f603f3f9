//! Asks a server: many requests at a time, each again while that may help, none whose answer is there already.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::{StreamExt, stream};
use reqwest::Url;
use tokio::sync::watch;

use crate::config::Caps;
use crate::error::{Error, Result};
use crate::http::{self, Token};

use super::answer::{Outcome, Usage};
use super::budget::{Budget, SetAside};
use super::exchange::{Endpoint, Failure};
use super::interrupt::Interrupt;
use super::journal::{Journal, Kept};
use super::pace::Pace;
use super::request::{Key, Request, key};

/// The environment variable that a key comes from, unless another is named.
pub const DEFAULT_KEY_ENV: &str = "OPENAI_API_KEY";

/// A server that says that it is too much is asked so many times as often as one that fails: it will have time again.
const PATIENCE: u32 = 4;

/// How a server is asked; none of it decides what it answers.
#[derive(Clone, Debug)]
pub struct Asking {
    /// Sent to the server, and to no other.
    pub key: Option<Token>,
    /// The environment variable it came from, for messages.
    pub key_env: String,
    /// Requests on their way at once, at the most; 0 is taken for 1.
    pub concurrency: usize,
    /// Requests a minute, at the most.
    pub requests_per_minute: Option<NonZeroU32>,
    /// Tokens a minute, at the most; what a request can cost counts.
    pub tokens_per_minute: Option<NonZeroU32>,
    /// How long a request may take.
    pub timeout: Duration,
    /// How often a request is repeated.
    pub retries: u32,
    /// Ends it from outside.
    pub interrupt: Interrupt,
}

impl Default for Asking {
    fn default() -> Asking {
        Asking {
            key: None,
            key_env: DEFAULT_KEY_ENV.to_owned(),
            concurrency: 16,
            requests_per_minute: None,
            tokens_per_minute: None,
            timeout: Duration::from_secs(120),
            retries: 8,
            interrupt: Interrupt::default(),
        }
    }
}

/// How far a plan is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Requests that are answered or refused.
    pub done: u64,
    /// Of these, the ones whose answer was there already.
    pub known: u64,
    /// Repetitions.
    pub repeated: u64,
    /// Tokens of requests and answers, those that were there included.
    pub tokens: u64,
    /// What they cost in millionths of a dollar, where prices are given.
    pub microdollars: u64,
}

/// Whether all of a plan was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All of it.
    Whole,
    /// The budget does not allow the next request.
    OverBudget,
}

/// A server that completes chats.
#[derive(Debug)]
pub struct Client {
    endpoint: Endpoint,
    concurrency: usize,
    retries: u32,
    interrupt: Interrupt,
    journal: Journal,
    pace: Pace,
    budget: Budget,
    n_done: AtomicU64,
    n_known: AtomicU64,
    n_repeated: AtomicU64,
    /// Whether a request was answered since the client was opened.
    has_answered: AtomicBool,
}

/// How the way of a request ended.
enum Went {
    There(Outcome),
    OverBudget,
    /// Another failed, and this one was not sent any more.
    Stopped,
}

impl Client {
    /// A client of the server with this base address, such as `https://api.openai.com/v1`. Answers are kept in `folder`.
    ///
    /// # Errors
    /// When the folder cannot be used, or another process asks the same server with it.
    pub fn open(base: &Url, asking: Asking, caps: Caps, folder: &Path) -> Result<Client> {
        let concurrency = asking.concurrency.max(1);
        let endpoint = Endpoint::new(base, asking.key, asking.key_env, asking.timeout)?;
        let of_server = blake3::hash(endpoint.url.as_str().as_bytes()).to_hex();
        let file = format!("{}.jsonl", &of_server[..32]);
        Ok(Client {
            endpoint,
            concurrency,
            retries: asking.retries,
            interrupt: asking.interrupt,
            journal: Journal::open(&folder.join("answers").join(file))?,
            pace: Pace::new(
                concurrency,
                asking.requests_per_minute,
                asking.tokens_per_minute,
            ),
            budget: Budget::new(caps),
            n_done: AtomicU64::new(0),
            n_known: AtomicU64::new(0),
            n_repeated: AtomicU64::new(0),
            has_answered: AtomicBool::new(false),
        })
    }

    /// Asks each of these once, and hands over what came of it, in the order in which it came: each with its place in the plan.
    ///
    /// When something fails or somebody interrupts it, nothing more is sent, and what is on its way is waited for: what is paid
    /// for is kept.
    ///
    /// # Errors
    /// When the server answers no request, or an answer cannot be kept; [`Error::Interrupted`]; also what `receive` returns.
    pub async fn ask(
        &self,
        plan: impl IntoIterator<Item = (u64, Request)>,
        mut receive: impl FnMut(u64, Outcome) -> Result<()>,
    ) -> Result<Ended> {
        let is_over = AtomicBool::new(false);
        let (stop, stopped) = watch::channel(false);
        let let_through = stream::iter(plan)
            .then(async |(ordinal, request): (u64, Request)| {
                let most = request.tokens_max();
                let set_aside = self.budget.set_aside(most).await;
                is_over.fetch_or(set_aside.is_none(), Ordering::Relaxed);
                Some((ordinal, request, set_aside?))
            })
            .take_while(|next| std::future::ready(next.is_some() && !*stopped.borrow()))
            .filter_map(std::future::ready);
        let ways = let_through
            .map(async |(ordinal, request, set_aside)| {
                let went = self
                    .way(ordinal, &request, set_aside, stopped.clone())
                    .await;
                (ordinal, went)
            })
            .buffer_unordered(self.concurrency);
        let _on_the_way = self.interrupt.asking();
        let mut interrupted = std::pin::pin!(self.interrupt.wanted());
        let mut ways = std::pin::pin!(ways);
        let mut failed = None;
        loop {
            let next = tokio::select! {
                biased;
                () = &mut interrupted, if failed.is_none() => {
                    stop.send_replace(true);
                    failed = Some(Error::Interrupted {
                        n_done: self.n_done.load(Ordering::Relaxed),
                        what: "requests",
                    });
                    continue;
                }
                next = ways.next() => next,
            };
            let Some((ordinal, went)) = next else {
                break;
            };
            let received = match went {
                Ok(Went::There(outcome)) => {
                    self.n_done.fetch_add(1, Ordering::Relaxed);
                    receive(ordinal, outcome)
                }
                Ok(Went::Stopped) => Ok(()),
                Ok(Went::OverBudget) => {
                    is_over.store(true, Ordering::Relaxed);
                    stop.send_replace(true);
                    Ok(())
                }
                Err(error) => Err(error),
            };
            if let Err(error) = received {
                stop.send_replace(true);
                failed.get_or_insert(error);
            }
        }
        match failed {
            Some(error) => Err(error),
            None if is_over.load(Ordering::Relaxed) => Ok(Ended::OverBudget),
            None => Ok(Ended::Whole),
        }
    }

    /// How far it is.
    pub fn asked(&self) -> Asked {
        let spent = self.budget.spent();
        Asked {
            done: self.n_done.load(Ordering::Relaxed),
            known: self.n_known.load(Ordering::Relaxed),
            repeated: self.n_repeated.load(Ordering::Relaxed),
            tokens: spent.tokens,
            microdollars: u64::try_from(spent.picodollars / 1_000_000).unwrap_or(u64::MAX),
        }
    }

    /// Ends when every answer is on the disk.
    pub async fn close(self) {
        self.journal.close().await;
    }

    /// A request from its place in the plan to its answer.
    async fn way(
        &self,
        ordinal: u64,
        request: &Request,
        set_aside: SetAside<'_>,
        stopped: watch::Receiver<bool>,
    ) -> Result<Went> {
        let (body, most) = (request.body(), request.tokens_max());
        let key = key(&body, ordinal);
        if let Some(Kept { outcome, lost }) = self.journal.kept(&key)? {
            self.n_known.fetch_add(1, Ordering::Relaxed);
            set_aside.settle(outcome.cost(most).plus(lost));
            return Ok(Went::There(outcome));
        }
        self.send(&key, &body, most, set_aside, stopped).await
    }

    /// Sends a request until it is answered.
    async fn send(
        &self,
        key: &Key,
        body: &[u8],
        most: Usage,
        mut set_aside: SetAside<'_>,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<Went> {
        let n_tokens = most.prompt_tokens + most.completion_tokens;
        let (mut n_failures, mut n_too_much) = (0, 0);
        // What tries may have cost whose answer never came.
        let mut lost = Usage::default();
        loop {
            let turn = tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => return Ok(Went::Stopped),
                turn = self.pace.turn(n_tokens) => turn,
            };
            let failure = match self.endpoint.exchange(body).await {
                Ok(answer) => {
                    turn.went_well();
                    self.has_answered.store(true, Ordering::Relaxed);
                    let kept = Kept {
                        outcome: Outcome::Answered(answer),
                        lost,
                    };
                    self.journal.keep(*key, &kept).await?;
                    set_aside.settle(kept.outcome.cost(most));
                    return Ok(Went::There(kept.outcome));
                }
                Err(failure) => failure,
            };
            let (problem, wait, hint) = match failure {
                Failure::Final(error) => return Err(error),
                Failure::Refused(said) => {
                    turn.went_well();
                    let outcome = Outcome::Refused(said);
                    // Where nothing was answered yet, it may be that nothing ever is, until somebody mends the server.
                    if self.has_answered.load(Ordering::Relaxed) {
                        let kept = Kept {
                            outcome: outcome.clone(),
                            lost,
                        };
                        self.journal.keep(*key, &kept).await?;
                    }
                    return Ok(Went::There(outcome));
                }
                Failure::Passing {
                    problem,
                    wait,
                    is_too_much,
                    may_have_cost,
                    hint,
                } => {
                    match is_too_much {
                        true => turn.was_too_much(wait),
                        false => drop(turn),
                    }
                    n_too_much += u32::from(is_too_much);
                    n_failures += u32::from(!is_too_much);
                    if may_have_cost {
                        lost = lost.plus(most);
                        set_aside.settle(most);
                        match self.budget.set_aside(most).await {
                            Some(again) => set_aside = again,
                            None => return Ok(Went::OverBudget),
                        }
                    }
                    (problem, wait, hint)
                }
            };
            let n_tries = n_failures + n_too_much;
            if n_failures > self.retries || n_too_much > self.retries.saturating_mul(PATIENCE) {
                let problem = format!("{problem} ({n_tries} tries)");
                return Err(self.endpoint.error(problem, hint.to_owned()));
            }
            self.n_repeated.fetch_add(1, Ordering::Relaxed);
            let wait = jittered(http::wait_after(n_tries - 1, wait), key, n_tries);
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return Ok(Went::Stopped),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

/// A wait that is up to a quarter longer, so that requests that failed together do not come again together.
fn jittered(wait: Duration, key: &Key, n_tries: u32) -> Duration {
    let place = key[n_tries as usize % key.len()];
    wait + wait.mul_f64(f64::from(place) / f64::from(u8::MAX) / 4.0)
}
