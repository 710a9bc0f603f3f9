//! Where the shards of a fit are.

use std::fmt;
use std::path::{Path, PathBuf};

use url::Url;

use crate::error::{Error, Result};

/// Whoever names a build by its manifest means the folder that it is in.
const MANIFEST: &str = "manifest.json";

/// Where the shards of a fit are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardsAt {
    /// In a folder, all of them.
    Folder(PathBuf),
    /// In a folder that a build may still be writing.
    Followed(PathBuf),
    /// Below an address, which ends with `/`; all of them.
    Web(Url),
}

impl ShardsAt {
    /// What was typed, a folder or an address; `follow` says that a build may still be at work there.
    ///
    /// # Errors
    /// [`Error::Setting`] for an address that shards cannot be read from.
    pub fn parse(typed: &Path, follow: bool) -> Result<ShardsAt> {
        let refuse = |problem: String, hint: &str| {
            Err(Error::Setting {
                key: "shards",
                problem,
                hint: hint.to_owned(),
            })
        };
        let scheme = typed.to_str().and_then(|text| text.split_once("://"));
        let Some((scheme, _)) = scheme else {
            return Ok(match follow {
                true => ShardsAt::Followed(typed.to_owned()),
                false => ShardsAt::Folder(typed.to_owned()),
            });
        };
        let is_web = |url: &Url| ["http", "https"].contains(&url.scheme()) && url.has_host();
        // What was typed is not repeated: it may hold a password.
        let url = match typed.to_str().map(Url::parse) {
            Some(Ok(url)) if is_web(&url) => url,
            _ => {
                return refuse(
                    format!("this `{scheme}` address is none that shards are read from"),
                    "shards are in a folder, or at an address such as `https://example.org/shards/`",
                );
            }
        };
        if follow {
            return refuse(
                format!("`{}` cannot be followed", shown(&url)),
                "`--follow` is for a folder; a build behind an address has to be finished",
            );
        }
        Ok(ShardsAt::Web(as_folder(url)))
    }
}

impl fmt::Display for ShardsAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShardsAt::Folder(path) | ShardsAt::Followed(path) => path.display().fmt(f),
            ShardsAt::Web(url) => f.write_str(&shown(url)),
        }
    }
}

/// An address without what may be secret in it: names, passwords, and the query, which is where signatures stand.
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Neither can fail: only an address with a host gets here.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

/// The address of the folder.
fn as_folder(mut url: Url) -> Url {
    url.set_fragment(None);
    let path = url.path();
    let path = path.strip_suffix(MANIFEST).unwrap_or(path);
    let path = format!("{}/", path.trim_end_matches('/'));
    url.set_path(&path);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web(text: &str) -> ShardsAt {
        ShardsAt::parse(Path::new(text), false).expect("an address")
    }

    #[test]
    fn an_address_is_that_of_a_folder_and_shows_no_secret() {
        for (typed, meant) in [
            ("http://host/a/shards", "http://host/a/shards/"),
            ("https://host/a/shards/", "https://host/a/shards/"),
            ("https://host", "https://host/"),
            ("https://host/a/manifest.json", "https://host/a/"),
            ("https://me:word@host:1/a?sig=abc#x", "https://host:1/a/"),
        ] {
            assert_eq!(web(typed).to_string(), meant);
        }
        let ShardsAt::Web(url) = web("https://me:word@host/a?sig=abc") else {
            panic!("an address");
        };
        assert_eq!(url.as_str(), "https://me:word@host/a/?sig=abc");
    }

    #[test]
    fn what_shards_cannot_be_read_from_is_refused_without_repeating_secrets() {
        for (typed, follow) in [
            ("s3://me:word@bucket/a", false),
            ("https://me:word@:x", false),
            ("https://me:word@host/a", true),
        ] {
            let error = ShardsAt::parse(Path::new(typed), follow).expect_err("refused");
            assert!(matches!(error, Error::Setting { key: "shards", .. }));
            assert!(!error.to_string().contains("word"), "{error}");
        }
        assert_eq!(
            ShardsAt::parse(Path::new("shards"), true).expect("a folder"),
            ShardsAt::Followed("shards".into())
        );
    }
}
