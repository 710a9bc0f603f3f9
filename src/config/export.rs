//! What a fit leaves besides its adapter.

use std::fmt;
use std::str::FromStr;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

/// Something a fit leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Export {
    /// The adapter in PEFT's format, with the rows of new tokens; always written
    Adapter,
    /// The base with rows for the new tokens, and beside it the adapter without them, for vLLM and llama.cpp
    BaseWithTokens,
    /// The adapter merged into its base: a whole model
    Merged,
}

impl Export {
    /// Those with a folder of their own below that of the fit.
    pub const WITH_FOLDER: [Export; 2] = [Export::BaseWithTokens, Export::Merged];

    /// The name of that folder.
    pub fn folder(self) -> Option<&'static str> {
        match self {
            Export::Adapter => None,
            Export::BaseWithTokens => Some("base_with_tokens"),
            Export::Merged => Some("merged"),
        }
    }
}

/// Bytes of tensors in a file of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ShardSize(u64);

impl Default for ShardSize {
    /// What Hugging Face divided models into for years; every reader takes it.
    fn default() -> ShardSize {
        ShardSize(ByteSize::gb(5).as_u64())
    }
}

impl ShardSize {
    /// In bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ShardSize {
    type Err = String;

    fn from_str(text: &str) -> Result<ShardSize, String> {
        match text.parse::<ByteSize>() {
            Ok(size) if size.as_u64() > 0 => Ok(ShardSize(size.as_u64())),
            _ => Err(format!("`{text}` is no size such as `5GB` or `500MB`")),
        }
    }
}

impl fmt::Display for ShardSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whole bytes, so that it reads back as it is.
        write!(f, "{}B", self.0)
    }
}

impl TryFrom<String> for ShardSize {
    type Error = String;

    fn try_from(text: String) -> Result<ShardSize, String> {
        text.parse()
    }
}

impl From<ShardSize> for String {
    fn from(size: ShardSize) -> String {
        size.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_back_as_they_were_written() {
        for (text, bytes) in [("5GB", 5_000_000_000), ("1.5 MiB", 1_572_864), ("7", 7)] {
            let size: ShardSize = text.parse().expect("a size");
            assert_eq!(size.bytes(), bytes, "{text}");
            assert_eq!(size.to_string().parse(), Ok(size));
        }
        assert_eq!(ShardSize::default(), "5GB".parse().expect("a size"));
        for text in ["0", "", "much", "-1GB"] {
            assert!(text.parse::<ShardSize>().is_err(), "{text}");
        }
    }
}
