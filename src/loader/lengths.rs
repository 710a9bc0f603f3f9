//! How long the samples of a stream are, from some of them.

use std::ops::Range;

use rayon::prelude::*;
use serde::Serialize;

use crate::error::Result;
use crate::tokenizer::ChatTokenizer;

use super::{Fate, LoaderConfig, example};

/// Places of the stream that are looked at: one alone would be a single stage of a staged stream.
const N_PLACES: u64 = 4;

/// Rows looked at in all of them.
const N_ROWS: u64 = 512;

/// Lengths of some samples of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lengths {
    /// Rows looked at.
    pub rows: u64,
    /// Those of them that are trained on.
    pub samples: u64,
    /// Their tokens.
    pub tokens: u64,
    /// Those of them that the loss counts.
    pub targets: u64,
    /// Tokens of the longest.
    pub longest: u64,
    /// The sum of the squares of their tokens, to which attention is proportional.
    pub squares: u64,
}

impl LoaderConfig {
    /// Tokenises some hundred rows, spread over the stream.
    ///
    /// # Errors
    /// What reading the shards meets.
    pub fn lengths(&self, tokenizer: &ChatTokenizer) -> Result<Lengths> {
        self.lengths_of(tokenizer, 0..self.plan.rows, N_PLACES)
    }

    /// The same of rows around `position`, in its shard.
    ///
    /// # Errors
    /// What reading the shard meets.
    pub fn lengths_at(&self, tokenizer: &ChatTokenizer, position: u64) -> Result<Lengths> {
        let of_shard = self.plan.rows_per_shard;
        let first = position / of_shard * of_shard;
        let end = first.saturating_add(of_shard).min(self.plan.rows);
        let start = position.min(end.saturating_sub(N_ROWS)).max(first);
        self.lengths_of(tokenizer, start..end, 1)
    }

    fn lengths_of(
        &self,
        tokenizer: &ChatTokenizer,
        rows: Range<u64>,
        n_places: u64,
    ) -> Result<Lengths> {
        let mut lengths = Lengths::default();
        let n_rows = rows.end - rows.start;
        let mut seen = rows.start;
        for place in 0..n_places {
            let start = (rows.start + n_rows * place / n_places).max(seen);
            seen = (start + N_ROWS / n_places).min(rows.end);
            let samples = self.reader(start..seen).collect::<Result<Vec<_>>>()?;
            let fates = samples
                .into_par_iter()
                .map(|sample| self.fate(example(tokenizer, &sample)?));
            for fate in fates.collect::<Vec<Result<Fate>>>() {
                lengths.rows += 1;
                if let Fate::Used(example, n_targets) = fate? {
                    let n_tokens = example.encoded.ids.len() as u64;
                    lengths.samples += 1;
                    lengths.tokens += n_tokens;
                    lengths.targets += n_targets as u64;
                    lengths.longest = lengths.longest.max(n_tokens);
                    lengths.squares += n_tokens * n_tokens;
                }
            }
        }
        Ok(lengths)
    }
}
