//! What a source looks like before it is read.

use std::path::Path;

use crate::error::{Error, Result};

use super::open::{Format, open};
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
            Origin::ToAsk { .. } => {
                return Err(Error::NotSampled {
                    path: self.path.clone(),
                });
            }
            Origin::Bundled(text) => Shape {
                format: "JSON Lines",
                bytes: Some(text.len() as u64),
            },
            Origin::File { path, state } => Shape {
                format: format(path, &path.to_string_lossy(), &self.path)?,
                bytes: Some(state.n_bytes),
            },
            Origin::Arrived { files, .. } => Shape {
                format: match files.first() {
                    Some(file) => format(&file.path, &file.name, &self.path)?,
                    None => "nothing",
                },
                bytes: Some(files.iter().map(|file| file.state.n_bytes).sum()),
            },
        })
    }
}

/// What the file at `path` holds; the other arguments are those of [`open`].
fn format(path: &Path, name: &str, typed: &str) -> Result<&'static str> {
    Ok(match open(path, name, typed)?.format {
        Format::JsonArray(_) => "JSON array",
        Format::JsonLines(_) | Format::JsonObjects(_) => "JSON Lines",
        Format::Csv {
            delimiter: b',', ..
        } => "CSV",
        Format::Csv { .. } => "TSV",
        Format::Parquet(_) => "Parquet",
    })
}
