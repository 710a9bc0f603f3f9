//! The checkpoints in the folder of a fit: the last few, and that of the best step.

use std::fs;

use crate::checkpoint::Checkpoint;
use crate::config::Keep;
use crate::error::{Error, Result};

use super::folder::{FitFolder, RUN, checkpoint_name, difference};

/// The checkpoints of one fit.
#[derive(Debug)]
pub(super) struct Checkpoints<'a> {
    folder: &'a FitFolder,
    /// The text of `run.toml`, which every one of them carries: settings, and the hashes of shards and model.
    run: String,
    keep: Keep,
}

impl<'a> Checkpoints<'a> {
    /// Those of the fit whose `run.toml` is in the folder.
    pub(super) fn of(folder: &'a FitFolder, keep: Keep) -> Result<Checkpoints<'a>> {
        let path = folder.file(RUN);
        let run = fs::read_to_string(&path).map_err(Error::read(path))?;
        Ok(Checkpoints { folder, run, keep })
    }

    /// What every checkpoint of this fit carries.
    pub(super) fn run(&self) -> &str {
        &self.run
    }

    /// The newest, or `None` for a fit that has none.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] where it is torn or of another fit; it says whether an older one is whole.
    pub(super) fn newest(&self) -> Result<Option<Checkpoint>> {
        let steps = self.folder.checkpoints()?;
        let Some((&newest, older)) = steps.split_last() else {
            return Ok(None);
        };
        let newest = self.read(newest).map_err(|error| match error {
            Error::Checkpoint { path, problem, .. } => Error::Checkpoint {
                path,
                problem,
                older: older
                    .iter()
                    .copied()
                    .rfind(|&steps| self.read(steps).is_ok()),
            },
            other => other,
        })?;
        Ok(Some(newest))
    }

    /// That of the state after so many steps.
    pub(super) fn read(&self, steps: u64) -> Result<Checkpoint> {
        let path = self.folder.file(&checkpoint_name(steps));
        let checkpoint = Checkpoint::read(&path)?;
        let problem = if let Some(difference) = difference(&checkpoint.run, &self.run) {
            format!("it is of another fit: {difference}")
        } else if checkpoint.progress.steps != steps {
            format!(
                "it holds the state after {} steps",
                checkpoint.progress.steps
            )
        } else {
            return Ok(checkpoint);
        };
        Err(Error::Checkpoint {
            path,
            problem,
            older: None,
        })
    }

    /// Writes one, then removes those that are not to be kept; `best` is the step whose state is.
    pub(super) fn write(&self, checkpoint: &Checkpoint, best: Option<u64>) -> Result<()> {
        let name = checkpoint_name(checkpoint.progress.steps);
        checkpoint.write(&self.folder.file(&name))?;
        let steps = self.folder.checkpoints()?;
        let n_older = steps.len().saturating_sub(self.keep.n_last());
        let mut kept = steps[n_older..].to_vec();
        kept.extend(best);
        self.folder.remove_checkpoints_but(&kept)
    }
}
