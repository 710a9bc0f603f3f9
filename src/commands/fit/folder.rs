//! The output folder of a fit: whose it is, and how far the fit in it has come.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::lora::ADAPTER_CONFIG;
use crate::model::{ADAPTER_FILE, config::CONFIG_FILE};
use crate::report::FitReport;
use crate::shards::{lock_folder, replace};
use crate::tokenizer::{COMPANION_FILES, TOKENIZER_FILE};

/// What was asked for, and of what; written first.
pub(super) const RUN: &str = "run.toml";
/// A line for every step.
pub(super) const METRICS: &str = "metrics.jsonl";
/// The same as columns, written in the end.
pub(super) const METRICS_PARQUET: &str = "metrics.parquet";
/// The state of an unfinished fit.
pub(super) const CHECKPOINT: &str = ".checkpoint.safetensors";
/// The weights of a whole model.
pub(super) const MODEL_FILE: &str = "model.safetensors";
/// The bundled base model, where an adapter needs it on disk.
pub(super) const BASE_FOLDER: &str = "base_model";
/// The summary, written last: a fit with one is complete.
pub(super) const REPORT: &str = "report.json";

/// The key of the shards' folder in `run.toml`.
pub(super) const SHARDS: &str = "shards";

/// Everything a fit may write besides the tokenizer's files.
const FILES: [&str; 10] = [
    RUN,
    METRICS,
    METRICS_PARQUET,
    CHECKPOINT,
    MODEL_FILE,
    REPORT,
    ADAPTER_CONFIG,
    ADAPTER_FILE,
    CONFIG_FILE,
    "generation_config.json",
];

/// How far the fit in a folder has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// There is none, or none to be continued.
    Fresh,
    /// The same fit was begun.
    Unfinished,
    /// The same fit was finished.
    Complete,
}

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

    /// Decides what is to be done for `run`, the text of `run.toml`; `fresh` removes what a fit has left there.
    pub(super) fn enter(&self, run: &str, fresh: bool) -> Result<State> {
        self.refuse_foreign()?;
        if fresh {
            self.clear()?;
        }
        let there = match fs::read_to_string(self.file(RUN)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                replace(&self.file(RUN), run.as_bytes())?;
                return Ok(State::Fresh);
            }
            there => there.map_err(Error::read(self.file(RUN)))?,
        };
        if let Some(difference) = difference(&there, run) {
            // A fit without a checkpoint has nothing to lose: whoever mends a setting goes on here.
            if !self.file(REPORT).exists() && !self.file(CHECKPOINT).exists() {
                replace(&self.file(RUN), run.as_bytes())?;
                return Ok(State::Fresh);
            }
            return Err(Error::FolderOtherFit {
                path: self.path.clone(),
                difference,
            });
        }
        Ok(if self.file(REPORT).exists() {
            State::Complete
        } else {
            State::Unfinished
        })
    }

    /// Writes the report, with which the fit is complete, and removes the checkpoint.
    pub(super) fn finish(&self, report: &FitReport) -> Result<()> {
        let text = serde_json::to_string_pretty(report).expect("texts and numbers");
        replace(&self.file(REPORT), text.as_bytes())?;
        self.remove(CHECKPOINT)
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
            if name == BASE_FOLDER {
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
            let place = name.strip_suffix(".tmp").unwrap_or(name);
            FILES.contains(&place)
                || COMPANION_FILES.contains(&place)
                || [TOKENIZER_FILE, BASE_FOLDER].contains(&place)
        };
        let foreign = entries.into_iter().find(|name| {
            // A fit stopped while it wrote its first file leaves just this.
            if is_ours {
                !is_known(name)
            } else {
                *name != format!("{RUN}.tmp")
            }
        });
        match foreign {
            None => Ok(()),
            Some(entry) => Err(Error::FolderForeign {
                path: self.path.clone(),
                entry,
            }),
        }
    }

    fn entries(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(&self.path).map_err(Error::read(&self.path))?;
        let mut names = entries
            .map(|entry| {
                Ok(entry
                    .map_err(Error::read(&self.path))?
                    .file_name()
                    .to_string_lossy()
                    .into_owned())
            })
            .collect::<Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }
}

/// The first setting in which two `run.toml` differ. Where the shards lie does not count, their hash does.
fn difference(there: &str, asked: &str) -> Option<String> {
    let table = |text: &str| text.parse::<toml::Table>().unwrap_or_default();
    let (there, asked) = (table(there), table(asked));
    let show =
        |value: Option<&toml::Value>| value.map_or("nothing".to_owned(), ToString::to_string);
    let none = toml::Table::new();
    for (section, asked) in &asked {
        let asked = asked.as_table().unwrap_or(&none);
        let there = there
            .get(section)
            .and_then(toml::Value::as_table)
            .unwrap_or(&none);
        for key in asked.keys().chain(there.keys()) {
            let (before, now) = (there.get(key), asked.get(key));
            if before != now && key != SHARDS {
                return Some(format!(
                    "`{key}` was {}, now it is {}",
                    show(before),
                    show(now)
                ));
            }
        }
    }
    None
}
