//! The held-out rows of a build, laid out and cut into micro-batches as those that are trained on.

use rayon::prelude::*;

use crate::config::TooLong;
use crate::error::{Error, Result};
use crate::sample::Kind;
use crate::shards::{OpenShard, held_out};
use crate::tokenizer::ChatTokenizer;

use super::{Fate, LoaderConfig, MicroBatch, example, micro_batches};

/// The file of the rows of a kind, where there is one.
pub type HeldOutFiles<'a> = dyn Fn(Kind) -> Result<Option<OpenShard>> + 'a;

/// What a held-out loss is measured on; it stays in memory.
#[derive(Clone, Debug, Default)]
pub struct HeldOut {
    /// Rows of the task.
    pub task: HeldOutRows,
    /// Rows of the others.
    pub diverse: HeldOutRows,
}

/// Rows of one kind.
#[derive(Clone, Debug, Default)]
pub struct HeldOutRows {
    /// What is computed at a time.
    pub micro_batches: Vec<MicroBatch>,
    /// Rows in them.
    pub n_rows: u64,
    /// Rows that were to be in them and have too many tokens, or none that the loss counts.
    pub n_left_out: u64,
    /// Rows that the build holds out.
    pub n_in_build: u64,
}

impl HeldOut {
    /// Reads the first `n_rows` rows of each kind, of which `files` gives the file. A row that is too long is cut with
    /// [`TooLong::Truncate`] and left out otherwise: nothing is trained on it.
    ///
    /// # Errors
    /// What reading the build or laying out a row meets.
    pub fn read(
        config: &LoaderConfig,
        tokenizer: &ChatTokenizer,
        files: &HeldOutFiles<'_>,
        n_rows: u64,
    ) -> Result<HeldOut> {
        let mut config = config.clone();
        if config.too_long == TooLong::Error {
            config.too_long = TooLong::Drop;
        }
        let rows = |kind| HeldOutRows::read(&config, tokenizer, files, kind, n_rows);
        Ok(HeldOut {
            task: rows(Kind::Task)?,
            diverse: rows(Kind::Diverse)?,
        })
    }

    /// Rows of both kinds.
    pub fn n_rows(&self) -> u64 {
        self.task.n_rows + self.diverse.n_rows
    }
}

impl HeldOutRows {
    fn read(
        config: &LoaderConfig,
        tokenizer: &ChatTokenizer,
        files: &HeldOutFiles<'_>,
        kind: Kind,
        n_rows: u64,
    ) -> Result<HeldOutRows> {
        let (samples, n_in_build) = match files(kind)? {
            Some(file) => held_out(file, kind, n_rows)?,
            None => (Vec::new(), 0),
        };
        let fates = samples
            .par_iter()
            .map(|sample| {
                let example = example(tokenizer, sample).map_err(|error| match error {
                    Error::LaidOut {
                        position, source, ..
                    } => Error::LaidOut {
                        position,
                        of: "the held-out rows",
                        source,
                    },
                    other => other,
                });
                config.fate(example?)
            })
            .collect::<Result<Vec<_>>>()?;
        let n_read = fates.len() as u64;
        let used = fates.into_iter().filter_map(|fate| match fate {
            Fate::Used(example, _) => Some(example),
            Fate::TooLong | Fate::NoTarget => None,
        });
        let used: Vec<_> = used.collect();
        let n_rows = used.len() as u64;
        Ok(HeldOutRows {
            micro_batches: micro_batches(used, config.micro_shape, config.loss_on),
            n_rows,
            n_left_out: n_read - n_rows,
            n_in_build,
        })
    }
}
