//! Where samples come from: files, the network, standard input, bundled sets, the procedural sampler.
//!
//! [`resolve`] turns what was typed into [`Source`]s with names and hashes; [`Source::read`] streams one as record batches
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
mod elsewhere;
mod hub;
mod json;
mod marks;
mod names;
mod open;
mod parquet;
mod parquet_chat;
mod requests;
mod rows;
mod utf8;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arrow::array::RecordBatch;

use crate::config::{BuildConfig, ColumnMap, Reading, ResolvedEntries, SourceEntry, SourceSpec};
use crate::error::{Error, Result};
use crate::sample::Kind;

use columns::Columns;
use elsewhere::{ArrivedFile, Elsewhere};
use names::{name_apart, stem};
use open::Format;
use procedural::{Sampler, UnknownFamily};
use rows::Rows;

pub use access::{Access, Download, Token};
pub use rows::raw_schema;

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
    Procedural {
        sampler: Arc<Sampler>,
        n_rows: Option<u64>,
    },
}

/// Finds every source a build names, in the order task, diverse, held out, brings here what is elsewhere, and hashes the
/// files.
///
/// With `accept_changed` a file may differ from the hash its recipe entry holds.
///
/// # Errors
/// A missing, empty or twice named file, a pattern without match, an unknown bundled set or family, a changed file, a map
/// for a source that is not there, a source that cannot be fetched.
pub async fn resolve(
    config: &BuildConfig,
    accept_changed: bool,
    access: &Access,
    progress: &dyn Fn(Download),
) -> Result<Vec<Source>> {
    refuse_second_stdin(config)?;
    let mut sources = Vec::new();
    for (kind, entries) in [
        (Kind::Task, &config.task),
        (Kind::Diverse, &config.diverse),
        (Kind::HeldOut, &config.held_out),
    ] {
        for entry in entries {
            let found = resolve_entry(config, kind, entry, accept_changed, access, progress);
            sources.extend(found.await?);
        }
    }
    name_apart(&mut sources)?;
    apply_maps(&mut sources, &config.map)?;
    Ok(sources)
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
            Origin::Bundled(_) | Origin::Procedural { .. } => return None,
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
        }
    }
}

async fn resolve_entry(
    config: &BuildConfig,
    kind: Kind,
    entry: &SourceEntry,
    accept_changed: bool,
    access: &Access,
    progress: &dyn Fn(Download),
) -> Result<Vec<Source>> {
    let spec = SourceSpec::parse(&entry.path).map_err(|problem| Error::Setting {
        key: "diverse",
        problem,
        hint: "`procedural@100000` draws that many rows".to_owned(),
    })?;
    let source = |path: String, stem: &str, blake3, origin| Source {
        name: entry.name.clone().unwrap_or_else(|| stem.to_owned()),
        kind,
        path,
        blake3,
        licence: entry.licence.clone(),
        columns: Columns::default(),
        reading: config.reading,
        origin,
    };
    match spec {
        SourceSpec::Web(_) | SourceSpec::Hub(_) | SourceSpec::Stdin => {
            let known = entry.blake3.as_deref();
            let elsewhere = Elsewhere::new(access, progress, known, accept_changed)?;
            let arrived = elsewhere.bring(&spec, entry.licence.is_some()).await?;
            unchanged(entry, &arrived.path, &arrived.blake3, accept_changed)?;
            let origin = Origin::Arrived {
                files: arrived.files,
                parent: arrived.parent,
            };
            let hash = Some(arrived.blake3);
            let mut source = source(arrived.path, &arrived.name, hash, origin);
            source.licence = source.licence.or(arrived.licence);
            Ok(vec![source])
        }
        SourceSpec::Bundled(name) => {
            let text = bundled::text(&name)?;
            let hash = blake3::hash(text.as_bytes()).to_hex().to_string();
            unchanged(entry, &entry.path, &hash, accept_changed)?;
            let mut source = source(entry.path.clone(), &name, Some(hash), Origin::Bundled(text));
            source
                .licence
                .get_or_insert_with(|| bundled::LICENCE.to_owned());
            Ok(vec![source])
        }
        SourceSpec::Procedural {
            is_for_base_model,
            families,
            rows,
        } => {
            let sampler = match is_for_base_model {
                false => Sampler::new(config.seed, &families),
                true => Sampler::for_base_model(config.seed, &families),
            };
            let sampler = Arc::new(sampler.map_err(unknown_family)?);
            let origin = Origin::Procedural {
                sampler,
                n_rows: rows,
            };
            let mut source = source(entry.path.clone(), "procedural", None, origin);
            source
                .licence
                .get_or_insert_with(|| bundled::LICENCE.to_owned());
            Ok(vec![source])
        }
        SourceSpec::Files(pattern) => {
            let mut sources = Vec::new();
            for path in matching(&pattern)? {
                let typed = path.to_string_lossy().into_owned();
                let state = FileState::of(&path)?;
                let hash = hash(&path)?;
                unchanged(entry, &typed, &hash, accept_changed)?;
                sources.push(source(
                    typed,
                    &stem(&path),
                    Some(hash),
                    Origin::File { path, state },
                ));
            }
            Ok(sources)
        }
    }
}

/// Standard input can be read once.
fn refuse_second_stdin(config: &BuildConfig) -> Result<()> {
    let entries = config
        .task
        .iter()
        .chain(&config.diverse)
        .chain(&config.held_out);
    match entries.filter(|entry| entry.path == "-").nth(1) {
        None => Ok(()),
        Some(entry) => Err(Error::SourceTwice {
            path: entry.path.clone(),
        }),
    }
}

fn matching(pattern: &Path) -> Result<Vec<PathBuf>> {
    if pattern.is_dir() {
        return Err(Error::SourceFolder {
            path: pattern.to_owned(),
        });
    }
    let text = pattern.to_string_lossy();
    if pattern.exists() || !text.contains(['*', '?', '[']) {
        return Ok(vec![pattern.to_owned()]);
    }
    let no_match = || Error::NoMatch {
        pattern: text.clone().into_owned(),
    };
    let matches = glob::glob(&text).map_err(|error| Error::Setting {
        key: "source",
        problem: format!("`{text}` is no pattern: {error}"),
        hint: "`*`, `?`, `[…]` and `**` are special".to_owned(),
    })?;
    let mut paths = Vec::new();
    for path in matches {
        let path = path.map_err(|error| Error::Read {
            path: error.path().to_owned(),
            source: error.into(),
        })?;
        if path.is_file() {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        Err(no_match())
    } else {
        Ok(paths)
    }
}

/// Refuses a source that is not the one its recipe was frozen with.
fn unchanged(entry: &SourceEntry, typed: &str, hash: &str, accept_changed: bool) -> Result<()> {
    match &entry.blake3 {
        Some(frozen) if frozen != hash && !accept_changed => Err(Error::SourceChanged {
            path: typed.to_owned(),
        }),
        _ => Ok(()),
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

fn apply_maps(sources: &mut [Source], maps: &[ColumnMap]) -> Result<()> {
    for map in maps {
        let mut used = false;
        for source in sources
            .iter_mut()
            .filter(|source| matches!(source.origin, Origin::File { .. } | Origin::Arrived { .. }))
        {
            if map
                .source_name
                .as_ref()
                .is_none_or(|name| *name == source.name)
            {
                source.columns.map(&map.columns);
                used = true;
            }
        }
        if !used {
            let names: Vec<_> = sources
                .iter()
                .map(|source| format!("`{}`", source.name))
                .collect();
            return Err(Error::Setting {
                key: "map",
                problem: format!("`{map}` is for no file of this build"),
                hint: format!("the sources are {}", names.join(", ")),
            });
        }
    }
    Ok(())
}

fn unknown_family(unknown: UnknownFamily) -> Error {
    let UnknownFamily { name, nearest } = unknown;
    let all: Vec<_> = procedural::FAMILIES
        .iter()
        .map(|family| family.name)
        .collect();
    Error::Setting {
        key: "diverse",
        problem: format!("the procedural sampler has no family `{name}`"),
        hint: match nearest {
            Some(nearest) => format!(
                "did you mean `{nearest}`? The families are {}",
                all.join(", ")
            ),
            None => format!("the families are {}", all.join(", ")),
        },
    }
}

fn relative_to(path: &Path, folder: &Path) -> String {
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
            Origin::Procedural { sampler, n_rows } => {
                write!(f, "Procedural({sampler:?}, {n_rows:?})")
            }
        }
    }
}
