//! What a build may use outside of its files, from flags and from the environment.

use std::env;
use std::path::{Path, PathBuf};

use delia::error::Error;
use delia::sources::{Access, Token};
use url::Url;

/// Flags for sources that are not files here.
#[derive(clap::Args)]
#[command(next_help_heading = "Sources elsewhere")]
pub(crate) struct AccessFlags {
    /// Folder for downloads and for standard input [default: the user's cache folder]
    ///
    /// The default is `$XDG_CACHE_HOME/delia`, or `~/.cache/delia`. Files in it are named after their bytes; it may be removed
    /// at any time.
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
}

impl AccessFlags {
    /// What they and the environment come to.
    ///
    /// # Errors
    /// For a `--hub` that is no address.
    pub(crate) fn access(&self, quiet: bool) -> Result<Access, Error> {
        let usual = Access::default();
        let of_environment = env::var("HF_ENDPOINT").ok().filter(|hub| !hub.is_empty());
        let hub = match self.hub.as_ref().or(of_environment.as_ref()) {
            None => usual.hub,
            // It stands in the environment of builds that need no hub, too.
            Some(hub) if self.hub.is_none() => address(hub),
            Some(hub) => Some(address(hub).ok_or_else(|| no_address(hub))?),
        };
        let token = env::var("HF_TOKEN")
            .ok()
            .filter(|token| !token.trim().is_empty());
        let is_no_token = |token| Token::new(token).is_none();
        if !quiet && token.as_deref().is_some_and(is_no_token) {
            eprintln!("warning: what `HF_TOKEN` holds is no token, and is not sent");
        }
        Ok(Access {
            cache: self.cache.clone().or_else(cache_folder),
            hub,
            token: token.as_deref().and_then(Token::new),
            retries: self.retries.unwrap_or(usual.retries),
            stdin: usual.stdin,
        })
    }
}

fn address(text: &str) -> Option<Url> {
    let is_web = |url: &Url| ["http", "https"].contains(&url.scheme()) && url.has_host();
    Url::parse(text).ok().filter(is_web)
}

fn no_address(text: &str) -> Error {
    Error::Setting {
        key: "hub",
        problem: format!("`{text}` is no address of a server"),
        hint: "such as `https://huggingface.co`".to_owned(),
    }
}

/// The user's cache folder, by the rules of the XDG base directories: a relative path there is no path.
fn cache_folder() -> Option<PathBuf> {
    let folder = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let below = |base: PathBuf| base.join(Path::new("delia"));
    folder("XDG_CACHE_HOME")
        .map(below)
        .or_else(|| folder("HOME").map(|home| below(home.join(".cache"))))
}
