//! The output folder of a fit: whose it is, and how far the fit in it has come.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::base_model::BaseModel;
use crate::config::Export;
use crate::error::{Error, Result};
use crate::lora::ADAPTER_CONFIG;
use crate::model::{ADAPTER_FILE, INDEX_FILE, SINGLE_FILE, config::CONFIG_FILE};
use crate::report::{FitReport, Outcome};
use crate::shards::{FileEntry, lock_folder, replace};
use crate::tokenizer::{COMPANION_FILES, GENERATION_CONFIG, TOKENIZER_FILE};

/// What was asked for, and of what; written first.
pub(super) const RUN: &str = "run.toml";
/// A line for every step.
pub(super) const METRICS: &str = "metrics.jsonl";
/// The same as columns, written at every checkpoint and in the end.
pub(super) const METRICS_PARQUET: &str = "metrics.parquet";
/// The losses over the steps, drawn at every checkpoint and in the end.
pub(super) const LOSS_CHART: &str = "loss.svg";
/// The shards that an unfinished fit has read before they had a manifest.
pub(super) const LEDGER: &str = ".shards.jsonl";
/// How the names of the files begin and end that hold a state of an unfinished fit, with its number of steps in between.
const CHECKPOINT: (&str, &str) = (".checkpoint-", ".safetensors");
/// The bundled base model, where an adapter needs it on disk.
pub(super) const BASE_FOLDER: &str = "base_model";
/// How names of files and folders end until they are whole.
pub(super) const UNFINISHED: &str = ".tmp";
/// The summary, written last: a fit with one is complete.
pub(super) const REPORT: &str = "report.json";

/// The key of the shards' folder or address in `run.toml`.
pub(super) const SHARDS: &str = "shards";
/// The key of the hash of the shards' manifest; a build that is followed has none yet.
pub(super) const HASH_OF_SHARDS: &str = "manifest";
/// The key of what tells builds apart before there is a manifest: see [`build_id`](crate::shards::build_id).
pub(super) const BUILD: &str = "build";
/// The key of the hash over the model's configuration, tokenizer and weights.
pub(super) const HASH_OF_MODEL: &str = "base-model";

/// The key of the hash over the model's weights alone, which say whether an adapter was trained beside them.
pub(super) const HASH_OF_WEIGHTS: &str = "weights";
/// The key of the hash over the adapter a fit starts from.
pub(super) const HASH_OF_ADAPTER: &str = "base-adapter";
/// The key of the hash over the chat template and the tokens it names.
pub(super) const HASH_OF_TEMPLATE: &str = "chat-template";

/// Settings that say where something lies, each with the hash that says what it is.
const PLACES: [(&str, &str); 7] = [
    ("adapter", HASH_OF_ADAPTER),
    (SHARDS, HASH_OF_SHARDS),
    (SHARDS, BUILD),
    ("model", HASH_OF_MODEL),
    ("model", HASH_OF_WEIGHTS),
    ("init-model", HASH_OF_MODEL),
    ("template", HASH_OF_TEMPLATE),
];

/// What each hash stands for.
const HASHED: [(&str, &str); 5] = [
    (HASH_OF_SHARDS, "the build of the shards is"),
    (HASH_OF_MODEL, "the model is"),
    (HASH_OF_WEIGHTS, "the model is"),
    (HASH_OF_ADAPTER, "the adapter to start from is"),
    (HASH_OF_TEMPLATE, "the chat template is"),
];

/// Files that were written, by their names in the folder.
pub(super) type Files = BTreeMap<String, FileEntry>;

/// Everything a fit may write besides the tokenizer's files.
const FILES: [&str; 11] = [
    RUN,
    LEDGER,
    METRICS,
    METRICS_PARQUET,
    LOSS_CHART,
    SINGLE_FILE,
    REPORT,
    ADAPTER_CONFIG,
    ADAPTER_FILE,
    CONFIG_FILE,
    GENERATION_CONFIG,
];

/// An output folder held by this process.
#[derive(Debug)]
pub(super) struct FitFolder {
    path: PathBuf,
    _lock: File,
}

impl FitFolder {
    /// Creates the folder where it is missing, and locks it.
    pub(super) fn lock(path: &Path) -> Result<FitFolder> {
        Ok(FitFolder {
            path: path.to_owned(),
            _lock: lock_folder(path)?,
        })
    }

    /// A file in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file as a whole, and notes it.
    pub(super) fn write(&self, files: &mut Files, name: &str, bytes: &[u8]) -> Result<()> {
        files.insert(name.to_owned(), replace(&self.file(name), bytes)?);
        Ok(())
    }

    /// Prepares the folder for `run`, the text of `run.toml`, and says whether the same fit is finished there; `fresh`
    /// removes what a fit has left.
    pub(super) fn enter(&self, run: &str, fresh: bool) -> Result<bool> {
        self.refuse_foreign()?;
        if fresh {
            self.clear()?;
        }
        let there = match fs::read_to_string(self.file(RUN)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                replace(&self.file(RUN), run.as_bytes())?;
                return Ok(false);
            }
            there => there.map_err(Error::read(self.file(RUN)))?,
        };
        if let Some(difference) = difference(&there, run) {
            // A fit without a checkpoint has nothing to lose: whoever mends a setting goes on here.
            if !self.file(REPORT).exists() && self.checkpoints()?.is_empty() {
                self.remove(LEDGER)?;
                replace(&self.file(RUN), run.as_bytes())?;
                return Ok(false);
            }
            return Err(Error::FolderOtherFit {
                path: self.path.clone(),
                difference,
            });
        }
        let is_finished = self.file(REPORT).exists();
        if is_finished {
            // It may have been stopped between its last two acts.
            self.remove_checkpoints_but(&[])?;
        }
        Ok(is_finished)
    }

    /// Puts `run` in the place of `run.toml`: it says the same, and by now the manifest's hash too.
    pub(super) fn note_manifest(&self, run: &str) -> Result<()> {
        replace(&self.file(RUN), run.as_bytes()).map(drop)
    }

    /// The report of the finished fit, every file compared with what was written; `out` is what the folder is called now.
    pub(super) fn report(&self, out: &Path) -> Result<FitReport> {
        let path = self.file(REPORT);
        let text = fs::read(&path).map_err(Error::read(&path))?;
        let report: FitReport =
            serde_json::from_slice(&text).map_err(|source| Error::Manifest { path, source })?;
        for (name, entry) in &report.files {
            entry
                .verify(&self.file(name))
                .map_err(|error| match error {
                    Error::Damaged { path, problem } => Error::FitDamaged { path, problem },
                    other => other,
                })?;
        }
        Ok(FitReport {
            out: out.to_owned(),
            outcome: Outcome::UpToDate,
            tried: None,
            ..report
        })
    }

    /// Adds files to the report of the finished fit.
    pub(super) fn add(&self, files: &Files) -> Result<()> {
        let path = self.file(REPORT);
        let text = fs::read(&path).map_err(Error::read(&path))?;
        let report = serde_json::from_slice(&text);
        let mut report: FitReport = report.map_err(|source| Error::Manifest { path, source })?;
        report.files.extend(files.clone());
        self.finish(&report)
    }

    /// Writes the report, with which the fit is complete, and removes the checkpoints.
    pub(super) fn finish(&self, report: &FitReport) -> Result<()> {
        let text = serde_json::to_string_pretty(report).expect("texts and numbers");
        replace(&self.file(REPORT), text.as_bytes())?;
        self.remove(LEDGER)?;
        self.remove_checkpoints_but(&[])
    }

    /// The steps of the states that are kept here, smallest first.
    pub(super) fn checkpoints(&self) -> Result<Vec<u64>> {
        let names = self.entries()?;
        let steps = names.iter().filter_map(|name| checkpoint_steps(name));
        let mut steps: Vec<u64> = steps.collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// Removes the states but those after these steps, and what a fit stopped while it wrote one has left.
    pub(super) fn remove_checkpoints_but(&self, kept: &[u64]) -> Result<()> {
        for name in self.entries()? {
            let place = name.strip_suffix(".tmp");
            let steps = checkpoint_steps(place.unwrap_or(&name));
            if steps.is_some_and(|steps| place.is_some() || !kept.contains(&steps)) {
                self.remove(&name)?;
            }
        }
        Ok(())
    }

    /// Removes a file that may not be there.
    fn remove(&self, name: &str) -> Result<()> {
        let path = self.file(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::write(path)(error)),
            _ => Ok(()),
        }
    }

    fn clear(&self) -> Result<()> {
        // First the report, so that what is left never looks finished; last what makes the folder a fit's.
        self.remove(REPORT)?;
        for name in self.entries()? {
            if is_folder(&name) {
                let path = self.file(&name);
                fs::remove_dir_all(&path).map_err(Error::write(&path))?;
            } else if name != RUN {
                self.remove(&name)?;
            }
        }
        self.remove(RUN)
    }

    fn refuse_foreign(&self) -> Result<()> {
        let entries = self.entries()?;
        let is_ours = entries.iter().any(|name| name == RUN);
        let is_known = |name: &str| {
            let place = name.strip_suffix(UNFINISHED).unwrap_or(name);
            FILES.contains(&place)
                || COMPANION_FILES.contains(&place)
                || place == TOKENIZER_FILE
                || is_folder(place)
                || checkpoint_steps(place).is_some()
        };
        let foreign = entries.into_iter().find(|name| {
            // A fit stopped while it wrote its first file leaves just this.
            if is_ours {
                !is_known(name)
            } else {
                *name != format!("{RUN}{UNFINISHED}")
            }
        });
        let foreign = match foreign {
            None => self.foreign_in_exports()?,
            foreign => foreign,
        };
        match foreign {
            None => Ok(()),
            Some(entry) => Err(Error::FolderForeign {
                path: self.path.clone(),
                entry,
            }),
        }
    }

    /// A file in a folder of an export that no export wrote: that folder is where another tool puts what it makes of it.
    fn foreign_in_exports(&self) -> Result<Option<String>> {
        let report = fs::read(self.file(REPORT)).ok();
        let report: Option<FitReport> = report.and_then(|text| serde_json::from_slice(&text).ok());
        let files = report.map(|report| report.files).unwrap_or_default();
        let exports = Export::WITH_FOLDER.into_iter().filter_map(Export::folder);
        for folder in exports.chain([BASE_FOLDER]) {
            let prefix = format!("{folder}/");
            let is_reported = files.keys().any(|file| file.starts_with(&prefix));
            let mut folders = vec![folder.to_owned()];
            while let Some(folder) = folders.pop() {
                for name in names_in(&self.file(&folder))? {
                    let path = format!("{folder}/{name}");
                    if self.file(&path).is_dir() {
                        folders.push(path);
                    } else if !match is_reported {
                        true => files.contains_key(&path),
                        // It was written whole, and the fit stopped before it could say so.
                        false => is_of_model(&name),
                    } {
                        return Ok(Some(path));
                    }
                }
            }
        }
        Ok(None)
    }

    fn entries(&self) -> Result<Vec<String>> {
        names_in(&self.path)
    }
}

/// Whether this is the name of a folder that a fit writes, whole or not.
fn is_folder(name: &str) -> bool {
    let name = name.strip_suffix(UNFINISHED).unwrap_or(name);
    let mut exports = Export::WITH_FOLDER.into_iter();
    name == BASE_FOLDER || exports.any(|export| export.folder() == Some(name))
}

/// Whether a file of this name belongs to a model or adapter.
fn is_of_model(name: &str) -> bool {
    let files = [
        ADAPTER_CONFIG,
        CONFIG_FILE,
        GENERATION_CONFIG,
        INDEX_FILE,
        TOKENIZER_FILE,
    ];
    files.contains(&name) || COMPANION_FILES.contains(&name) || name.ends_with(".safetensors")
}

/// The names of what is in a folder, sorted; none where there is no folder.
fn names_in(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::read(folder))?,
    };
    let names = entries.map(|entry| {
        let name = entry.map_err(Error::read(folder))?.file_name();
        Ok(name.to_string_lossy().into_owned())
    });
    let mut names = names.collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// The file of the state after so many steps.
pub(super) fn checkpoint_name(steps: u64) -> String {
    let (start, end) = CHECKPOINT;
    format!("{start}{steps}{end}")
}

/// The steps in the name of such a file.
fn checkpoint_steps(name: &str) -> Option<u64> {
    let (start, end) = CHECKPOINT;
    let steps = name.strip_prefix(start)?.strip_suffix(end)?.parse().ok()?;
    (checkpoint_name(steps) == name).then_some(steps)
}

/// The first setting in which two `run.toml` differ. Where something lies does not count where its hash says what it is.
pub(super) fn difference(there: &str, asked: &str) -> Option<String> {
    let (mut there, mut asked) = (values(there), values(asked));
    // Two manifests say all about two builds; while one is missing, what is known before it has to do.
    let both = [&there, &asked].map(|values| values.contains_key(HASH_OF_SHARDS));
    let unused = match both {
        [true, true] => BUILD,
        _ => HASH_OF_SHARDS,
    };
    for values in [&mut there, &mut asked] {
        values.remove(unused);
    }
    let is_same = |key: &str| there.get(key) == asked.get(key);
    let is_elsewhere = |key: &str| {
        let mut hashes = PLACES.iter().filter(|(place, _)| *place == key);
        hashes.any(|(_, hash)| there.contains_key(*hash) && is_same(hash))
    };
    let show =
        |value: Option<&toml::Value>| value.map_or("nothing".to_owned(), ToString::to_string);
    let keys: BTreeSet<&String> = there.keys().chain(asked.keys()).collect();
    // A hash is the last thing to show.
    let is_hash = |key: &str| PLACES.iter().any(|(_, hash)| *hash == key);
    let (hashes, settings): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| is_hash(key));
    let mut keys = settings.into_iter().chain(hashes);
    let key = keys.find(|key| !is_same(key) && !is_elsewhere(key))?;
    if let Some((_, what)) = HASHED.iter().find(|(hash, _)| hash == key) {
        return Some(format!("{what} not the one it was begun with"));
    }
    let (before, now) = (show(there.get(key)), show(asked.get(key)));
    Some(format!("`{key}` was {before}, now it is {now}"))
}

/// The hash of the weights an adapter was trained beside, where a fit of ours left it.
pub(super) fn weights_hash_in(adapter: &BaseModel) -> Result<Option<String>> {
    let text = adapter.bytes(RUN)?.unwrap_or_default();
    let values = values(&String::from_utf8_lossy(&text));
    let hash = values.get(HASH_OF_WEIGHTS).and_then(toml::Value::as_str);
    Ok(hash.map(str::to_owned))
}

/// The settings in a `run.toml`, whatever their table.
fn values(text: &str) -> BTreeMap<String, toml::Value> {
    let table = text.parse::<toml::Table>().unwrap_or_default();
    let sections = table.into_iter().filter_map(|(_, section)| match section {
        toml::Value::Table(section) => Some(section),
        _ => None,
    });
    sections.flatten().collect()
}
