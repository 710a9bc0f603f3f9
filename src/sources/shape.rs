//! What a source looks like before it is read.

use crate::error::Result;

use super::open::{Opened, open};
use super::{Origin, Source};

/// What is known of a source without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How its records are written.
    pub format: &'static str,
    /// Bytes of the file as it stands; none for a generator.
    pub bytes: Option<u64>,
}

impl Source {
    /// Looks at the first bytes of the source.
    ///
    /// # Errors
    /// When it cannot be opened or is of no known format.
    pub fn shape(&self) -> Result<Shape> {
        Ok(match &self.origin {
            Origin::Procedural { .. } => Shape {
                format: "generated",
                bytes: None,
            },
            Origin::Bundled(text) => Shape {
                format: "JSON Lines",
                bytes: Some(text.len() as u64),
            },
            Origin::File { path, state } => Shape {
                format: match open(path, &self.path)? {
                    Opened::JsonArray(_) => "JSON array",
                    Opened::JsonLines(_) | Opened::JsonObjects(_) => "JSON Lines",
                    Opened::Csv {
                        delimiter: b',', ..
                    } => "CSV",
                    Opened::Csv { .. } => "TSV",
                    Opened::Parquet(_) => "Parquet",
                },
                bytes: Some(state.n_bytes),
            },
        })
    }
}
