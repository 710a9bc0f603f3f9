//! How many tokens a text has, for ratios that count them.

use std::fs;
use std::path::{Path, PathBuf};

use tokenizers::{AddedToken, Tokenizer};

use crate::base_model::{BUNDLED_MODEL, BaseModel};
use crate::error::{Error, Result};

use super::TOKENIZER_FILE;

/// Counts the tokens of texts as they stand: no template, no token at the beginning or the end.
#[derive(Debug)]
pub struct TokenCounter {
    /// Its file, for messages.
    path: PathBuf,
    tokenizer: Tokenizer,
    blake3: String,
}

impl TokenCounter {
    /// Reads a tokenizer: the folder of a model, a `tokenizer.json`, or `bundled:tiny`. Each of `special_tokens` is one token.
    ///
    /// # Errors
    /// When it is missing or is not a tokenizer.
    pub fn read(place: &Path, special_tokens: &[String]) -> Result<TokenCounter> {
        let (path, bytes) = if place.is_dir() || place == Path::new(BUNDLED_MODEL) {
            let model = BaseModel::named(place)?;
            let bytes = model.required(TOKENIZER_FILE)?.into_owned();
            (model.path(TOKENIZER_FILE), bytes)
        } else {
            (
                place.to_owned(),
                fs::read(place).map_err(Error::read(place))?,
            )
        };
        let broken = |source| Error::Tokenizer {
            path: path.clone(),
            source,
        };
        let mut tokenizer = Tokenizer::from_bytes(&bytes).map_err(broken)?;
        tokenizer.with_truncation(None).map_err(broken)?;
        tokenizer.with_padding(None);
        let added = special_tokens
            .iter()
            .map(|token| AddedToken::from(token.as_str(), true));
        tokenizer.add_special_tokens(added).map_err(broken)?;
        Ok(TokenCounter {
            path,
            tokenizer,
            blake3: blake3::hash(&bytes).to_hex().to_string(),
        })
    }

    /// BLAKE3 of the tokenizer's file, in hex.
    pub fn blake3(&self) -> &str {
        &self.blake3
    }

    /// Tokens of a text.
    ///
    /// # Errors
    /// When the tokenizer cannot take it.
    pub fn count(&self, text: &str) -> Result<u64> {
        let encoding = self.tokenizer.encode_fast(text, false);
        let encoding = encoding.map_err(|source| Error::Tokenizer {
            path: self.path.clone(),
            source,
        })?;
        Ok(encoding.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_counted_as_they_stand_and_special_tokens_are_one() {
        let tokens = ["<sep>".to_owned()];
        let counter =
            TokenCounter::read(Path::new(BUNDLED_MODEL), &tokens).expect("the bundled one");
        let count = |text: &str| counter.count(text).expect("tokens");
        assert_eq!(count(""), 0);
        assert_eq!(count("<sep>"), 1);
        assert!(count("Name three colours.") >= 3);
        assert_eq!(count("a<sep>"), count("a") + 1);
    }
}
