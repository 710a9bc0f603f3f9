//! What a build may use outside of its files, from flags and from the environment.

use std::env;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use crate::network;
use delia::error::Error;
use delia::llm::{Asking, DEFAULT_KEY_ENV, Interrupt};
use delia::sources::{Access, Token};

/// Flags for sources that are not files here.
#[derive(clap::Args)]
#[command(next_help_heading = "Sources elsewhere")]
pub(crate) struct AccessFlags {
    /// Folder for downloads, answers of language models and standard input [default: the user's cache folder]
    ///
    /// The default is `$XDG_CACHE_HOME/delia`, or `~/.cache/delia`. It may be removed at any time; the answers in `answers` then
    /// have to be paid for again.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,

    /// Base address of the hub that `hf://` is on [default: $HF_ENDPOINT, or `https://huggingface.co`]
    ///
    /// A token in `HF_TOKEN` is sent to this address alone, for private and gated datasets.
    #[arg(long, value_name = "URL")]
    hub: Option<String>,

    /// How often a download that brings nothing new is tried again [default: 4]
    #[arg(long, value_name = "N")]
    retries: Option<u32>,

    #[command(flatten)]
    asking: AskingFlags,
}

/// Flags for a language model's server; none of them decides what it answers.
#[derive(clap::Args)]
#[command(next_help_heading = "Asking a language model")]
struct AskingFlags {
    /// Environment variable that holds the key for --endpoint; it is sent there, and written nowhere
    #[arg(long, value_name = "NAME", default_value = DEFAULT_KEY_ENV)]
    api_key_env: String,

    /// Requests on their way at a time, at the most; fewer where the server says that it is too much [default: 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    concurrency: Option<u32>,

    /// Requests a minute, at the most
    #[arg(long, value_name = "N")]
    requests_per_minute: Option<NonZeroU32>,

    /// Tokens a minute, at the most; the most that each request can cost counts
    #[arg(long, value_name = "N")]
    tokens_per_minute: Option<NonZeroU32>,

    /// Seconds that a request may take [default: 120]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    llm_timeout: Option<u32>,

    /// How often a request is repeated after errors that may pass [default: 8]
    #[arg(long, value_name = "N")]
    llm_retries: Option<u32>,
}

impl AskingFlags {
    /// What they and the environment come to.
    fn asking(&self, interrupt: Interrupt, quiet: bool) -> Asking {
        let usual = Asking::default();
        let key = env::var(&self.api_key_env).ok();
        let key = key.filter(|key| !key.trim().is_empty());
        // It stands in the environment of builds that ask nothing, too.
        if !quiet && key.as_deref().is_some_and(|key| Token::new(key).is_none()) {
            eprintln!(
                "warning: what `{}` holds is no key, and is not sent",
                self.api_key_env
            );
        }
        Asking {
            key: key.as_deref().and_then(Token::new),
            key_env: self.api_key_env.clone(),
            concurrency: self.concurrency.map_or(usual.concurrency, |n| n as usize),
            requests_per_minute: self.requests_per_minute,
            tokens_per_minute: self.tokens_per_minute,
            timeout: (self.llm_timeout)
                .map_or(usual.timeout, |seconds| Duration::from_secs(seconds.into())),
            retries: self.llm_retries.unwrap_or(usual.retries),
            interrupt,
        }
    }
}

/// Ends when somebody presses Ctrl-C and what is on its way has come, which is paid for; a second Ctrl-C does not wait.
pub(crate) async fn ctrl_c(interrupt: Interrupt) {
    drop(tokio::signal::ctrl_c().await);
    if interrupt.is_asking() {
        eprintln!(
            "waiting for answers on their way, which are paid for; Ctrl-C again gives them up"
        );
        interrupt.stop();
        tokio::select! {
            () = interrupt.idle() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
}

impl AccessFlags {
    /// What they and the environment come to. Requests end when `interrupt` says so.
    ///
    /// # Errors
    /// For a `--hub` that is no address.
    pub(crate) fn access(&self, interrupt: Interrupt, quiet: bool) -> Result<Access, Error> {
        Ok(Access {
            cache: self.cache.clone().or_else(network::cache_folder),
            network: network::network(self.hub.as_deref(), self.retries, quiet)?,
            asking: self.asking.asking(interrupt, quiet),
            ..Access::default()
        })
    }
}
