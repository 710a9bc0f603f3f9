//! Where samples come from: files, the network, standard input, bundled sets, the procedural sampler, language models.
//!
//! [`resolve()`] turns what was typed into [`Source`]s with names and hashes; [`Source::read`] streams one as record batches
//! of [`raw_schema`], one row a record, in the source's order. A record that cannot be used is a row with a `problem`,
//! never a missing row; only a source that cannot be read on is an error.

pub mod procedural;

mod access;
mod bundled;
mod cache;
mod chat;
mod columns;
mod csv;
mod download;
mod elements;
mod elsewhere;
mod hub;
mod json;
mod marks;
mod names;
mod open;
mod parquet;
mod parquet_chat;
mod resolve;
mod rows;
mod shape;
mod utf8;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arrow::array::RecordBatch;

use crate::config::{Mix, Reading, ResolvedEntries, SourceEntry, SourceSpec};
use crate::error::{Error, Result};
use crate::sample::Kind;

use cache::Cache;
use columns::Columns;
use elsewhere::ArrivedFile;
use open::Format;
use procedural::Sampler;
use rows::Rows;

pub use crate::http::{Download, Network, Token};
pub use access::Access;
pub use resolve::resolve;
pub use rows::raw_schema;
pub use shape::Shape;

/// One input dataset.
#[derive(Clone, Debug)]
pub struct Source {
    /// The value of the `source` column.
    pub name: String,
    /// What its samples are for.
    pub kind: Kind,
    /// What was typed, or the file a pattern matched.
    pub path: String,
    /// BLAKE3 of the file in hex; none for a generator.
    pub blake3: Option<String>,
    /// The licence its owner states.
    pub licence: Option<String>,
    /// How much of the draw it gives.
    pub mix: Mix,
    columns: Columns,
    reading: Reading,
    origin: Origin,
}

#[derive(Clone)]
enum Origin {
    /// A file, as it was when it was hashed.
    File {
        path: PathBuf,
        state: FileState,
    },
    /// What was brought here from elsewhere.
    Arrived {
        files: Vec<ArrivedFile>,
        parent: Option<String>,
    },
    Bundled(&'static str),
    /// To be sampled from a language model; and the hash of its rows in a recipe, where there is no leave to change them.
    ToAsk {
        n_rows: u64,
        frozen: Option<String>,
    },
    Procedural {
        sampler: Arc<Sampler>,
        n_rows: Option<u64>,
    },
}

/// The entries of the frozen recipe, with paths relative to the folder it will stand in.
pub fn freeze(sources: &[Source], folder: &Path) -> ResolvedEntries {
    let entries = |kind| {
        sources
            .iter()
            .filter(|source| source.kind == kind)
            .map(|source| source.freeze(folder))
            .collect()
    };
    ResolvedEntries {
        task: entries(Kind::Task),
        diverse: entries(Kind::Diverse),
        held_out: entries(Kind::HeldOut),
        eval: entries(Kind::Eval),
    }
}

impl Source {
    /// Streams the source's records in order. `emit` says whether to go on.
    ///
    /// # Errors
    /// [`Error::SourceBroken`] and the like, when the source cannot be read on; [`Error::NoColumns`] and
    /// [`Error::NothingReadable`] at its end, when no record could be used.
    pub fn read(&self, emit: &mut dyn FnMut(RecordBatch) -> bool) -> Result<()> {
        let mut rows = Rows::new(&self.path, &self.columns, self.reading, emit);
        match &self.origin {
            Origin::Procedural { sampler, n_rows } => {
                for index in 0..n_rows.unwrap_or(0) {
                    let pair = sampler.pair(index);
                    if !rows.push_pair(&pair.instruction, &pair.input, &pair.output) {
                        break;
                    }
                }
                return rows.finish_generated();
            }
            Origin::Bundled(text) => json::read_lines(text.as_bytes(), 0, &mut rows)?,
            Origin::ToAsk { .. } => {
                return Err(Error::NotSampled {
                    path: self.path.clone(),
                });
            }
            Origin::File { path, state } => {
                let name = path.to_string_lossy();
                self.read_file(path, &name, state, &mut rows)?;
            }
            Origin::Arrived { files, .. } => {
                for file in files {
                    self.read_file(&file.path, &file.name, &file.state, &mut rows)?;
                }
            }
        }
        rows.finish()
    }

    fn read_file(
        &self,
        path: &Path,
        name: &str,
        state: &FileState,
        rows: &mut Rows<'_>,
    ) -> Result<()> {
        let opened = open::open(path, name, &self.path)?;
        let offset = opened.offset;
        match opened.format {
            Format::JsonArray(reader) => json::read_array(reader, offset, rows)?,
            Format::JsonLines(reader) => json::read_lines(reader, offset, rows)?,
            Format::JsonObjects(reader) => json::read_objects(reader, offset, rows)?,
            Format::Csv { reader, delimiter } => csv::read(reader, delimiter, rows)?,
            Format::Parquet(file) => parquet::read(file, rows)?,
        }
        if FileState::of(path)? != *state {
            return Err(Error::SourceChanging {
                path: self.path.clone(),
            });
        }
        Ok(())
    }

    /// Whether the ratio decides how many rows this source has.
    pub fn follows_ratio(&self) -> bool {
        matches!(self.origin, Origin::Procedural { n_rows: None, .. })
    }

    /// Whether its rows come from a language model.
    pub fn is_sampled(&self) -> bool {
        matches!(SourceSpec::parse(&self.path), Ok(SourceSpec::Llm { .. }))
    }

    /// How many rows it is to get from a language model, if it has not got them yet.
    pub fn to_ask(&self) -> Option<u64> {
        match self.origin {
            Origin::ToAsk { n_rows, .. } => Some(n_rows),
            _ => None,
        }
    }

    /// The same source with the rows that it was to get, as lines of JSON, which the cache keeps.
    ///
    /// # Errors
    /// When they cannot be written, or are not those of its recipe.
    pub fn answered(mut self, access: &Access, lines: &[u8]) -> Result<Source> {
        let (path, blake3) = Cache::open(access.cache_folder()?)?.spool(lines, &self.path)?;
        if let Origin::ToAsk {
            frozen: Some(frozen),
            ..
        } = &self.origin
            && *frozen != blake3
        {
            return Err(Error::SourceChanged { path: self.path });
        }
        self.blake3 = Some(blake3);
        self.origin = Origin::Arrived {
            files: vec![ArrivedFile::new(path, format!("{}.jsonl", self.name))?],
            parent: None,
        };
        Ok(self)
    }

    /// The same source with as many rows as the ratio calls for, where it has no number of its own.
    #[must_use]
    pub fn with_default_rows(mut self, rows: u64) -> Source {
        if let Origin::Procedural { n_rows, .. } = &mut self.origin {
            n_rows.get_or_insert(rows);
        }
        self
    }

    /// What decides the rows this source yields, besides this crate's version: two sources with equal fingerprints yield
    /// equal rows.
    pub fn fingerprint(&self) -> String {
        let content = match &self.origin {
            Origin::Procedural { sampler, n_rows } => format!("{sampler:?} {n_rows:?}"),
            _ => format!("{:?}", self.blake3),
        };
        format!("{content} {:?} {:?}", self.columns, self.reading)
    }

    /// The path as the recipe in `folder` writes it: relative to the recipe.
    pub fn path_from(&self, folder: &Path) -> String {
        match &self.origin {
            Origin::File { path, .. } => relative_to(path, folder),
            _ => self.path.clone(),
        }
    }

    /// The name of the folder the file is in.
    fn parent(&self) -> Option<String> {
        let path = match &self.origin {
            Origin::File { path, .. } => path,
            Origin::Arrived { parent, .. } => return parent.clone(),
            Origin::Bundled(_) | Origin::Procedural { .. } | Origin::ToAsk { .. } => return None,
        };
        let path = path.canonicalize().ok()?;
        Some(path.parent()?.file_name()?.to_string_lossy().into_owned())
    }

    fn freeze(&self, folder: &Path) -> SourceEntry {
        SourceEntry {
            path: self.path_from(folder),
            name: Some(self.name.clone()),
            blake3: self.blake3.clone(),
            licence: self.licence.clone(),
            mix: self.mix,
        }
    }
}

/// What tells that somebody wrote to a file while it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FileState {
    n_bytes: u64,
    modified: Option<SystemTime>,
}

impl FileState {
    fn of(path: &Path) -> Result<FileState> {
        let metadata = fs::metadata(path).map_err(Error::read(path))?;
        // A pipe can be read once, and a source is read twice: hashed, then parsed.
        if !metadata.is_file() {
            return Err(Error::SourceNoFile {
                path: path.to_owned(),
            });
        }
        Ok(FileState {
            n_bytes: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }
}

fn hash(path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let mut file = File::open(path).map_err(Error::read(path))?;
    hasher.update_reader(&mut file).map_err(Error::read(path))?;
    Ok(hasher.finalize().to_hex().to_string())
}

pub(crate) fn relative_to(path: &Path, folder: &Path) -> String {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| absolute(path));
    pathdiff::diff_paths(real(path), real(folder))
        .unwrap_or_else(|| real(path))
        .to_string_lossy()
        .into_owned()
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::File { path, .. } => write!(f, "File({})", path.display()),
            Origin::Arrived { files, .. } => write!(f, "Arrived({files:?})"),
            Origin::Bundled(text) => write!(f, "Bundled({} bytes)", text.len()),
            Origin::ToAsk { n_rows, .. } => write!(f, "ToAsk({n_rows})"),
            Origin::Procedural { sampler, n_rows } => {
                write!(f, "Procedural({sampler:?}, {n_rows:?})")
            }
        }
    }
}
