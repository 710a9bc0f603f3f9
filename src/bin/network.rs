//! The network, from flags and from the environment, and the user's cache folder.

use std::env;
use std::path::{Path, PathBuf};

use delia::error::Error;
use delia::http::{Network, Token};
use url::Url;

/// What flags and the environment come to; `hub` and `retries` as typed.
///
/// # Errors
/// For a `hub` that is no address.
pub(crate) fn network(
    hub: Option<&str>,
    retries: Option<u32>,
    quiet: bool,
) -> Result<Network, Error> {
    let usual = Network::default();
    let of_environment = env::var("HF_ENDPOINT").ok().filter(|hub| !hub.is_empty());
    let hub = match hub.or(of_environment.as_deref()) {
        None => usual.hub,
        // It stands in the environment of commands that need no hub, too.
        Some(text) if hub.is_none() => address(text),
        Some(text) => Some(address(text).ok_or_else(|| no_address(text))?),
    };
    let token = env::var("HF_TOKEN")
        .ok()
        .filter(|token| !token.trim().is_empty());
    let is_no_token = |token| Token::new(token).is_none();
    if !quiet && token.as_deref().is_some_and(is_no_token) {
        eprintln!("warning: what `HF_TOKEN` holds is no token, and is not sent");
    }
    Ok(Network {
        hub,
        token: token.as_deref().and_then(Token::new),
        retries: retries.unwrap_or(usual.retries),
    })
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
pub(crate) fn cache_folder() -> Option<PathBuf> {
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
