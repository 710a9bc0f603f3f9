//! What a build may use outside of its files: a folder for downloads, the network, standard input.

use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

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
            stdin: || Box::new(std::io::stdin()),
        }
    }
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
    pub(super) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown() {
        let token = Token::new(" hf_secret\n").expect("a token");
        assert_eq!(token.secret(), "hf_secret");
        let access = Access {
            token: Some(token),
            ..Access::default()
        };
        assert!(!format!("{access:?}").contains("secret"));
        assert!(Token::new("  ").is_none() && Token::new("two words").is_none());
    }
}
