//! What a build may use outside of its files: a folder for downloads, the network, standard input.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use crate::error::{Error, Result};
use crate::http::Token;
use crate::llm::Asking;

/// The hub, unless another is named.
const DEFAULT_HUB: &str = "https://huggingface.co";

/// Times a download that brought nothing new is tried again.
const DEFAULT_RETRIES: u32 = 4;

/// What a build may use outside of its files.
#[derive(Clone, Debug)]
pub struct Access {
    /// Where downloads and what came from standard input are kept; without it such sources are refused.
    pub cache: Option<PathBuf>,
    /// The base address of the hub that `hf://` is on; `None` where what should name it does not, which is no matter until a
    /// source is there.
    pub hub: Option<Url>,
    /// Sent to the hub, and to no other host.
    pub token: Option<Token>,
    /// How often a request that brought nothing new is repeated.
    pub retries: u32,
    /// How a language model's server is asked.
    pub asking: Asking,
    /// Opens standard input.
    pub stdin: fn() -> Box<dyn Read + Send>,
}

impl Default for Access {
    fn default() -> Access {
        Access {
            cache: None,
            hub: Url::parse(DEFAULT_HUB).ok(),
            token: None,
            retries: DEFAULT_RETRIES,
            asking: Asking::default(),
            stdin: || Box::new(std::io::stdin()),
        }
    }
}

impl Access {
    /// The folder for what is fetched and answered.
    ///
    /// # Errors
    /// Where there is none.
    pub(crate) fn cache_folder(&self) -> Result<&Path> {
        self.cache.as_deref().ok_or_else(|| Error::Setting {
            key: "cache",
            problem: "there is no folder to keep downloads, answers and standard input in"
                .to_owned(),
            hint: "`--cache DIR` names one".to_owned(),
        })
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
