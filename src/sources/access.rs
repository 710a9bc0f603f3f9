//! What a build may use outside of its files: a folder for downloads, the network, standard input.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::http::Network;
use crate::llm::Asking;

/// What a build may use outside of its files.
#[derive(Clone, Debug)]
pub struct Access {
    /// Where downloads and what came from standard input are kept; without it such sources are refused.
    pub cache: Option<PathBuf>,
    /// How downloads are asked for.
    pub network: Network,
    /// How a language model's server is asked.
    pub asking: Asking,
    /// Opens standard input.
    pub stdin: fn() -> Box<dyn Read + Send>,
}

impl Default for Access {
    fn default() -> Access {
        Access {
            cache: None,
            network: Network::default(),
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
