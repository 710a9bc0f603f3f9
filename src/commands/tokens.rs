//! Tokens of samples, where a tokenizer is given: counted once, kept as stages, added up where a ratio or a manifest asks.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use datafusion::prelude::SessionContext;

use crate::config::{BuildConfig, BuildTable};
use crate::error::{Error, Result};
use crate::queries::{self, Bound};
use crate::sample::Kind;
use crate::sources::{Source, relative_to};
use crate::tables::register_token_count;
use crate::tokenizer::TokenCounter;

use super::stages::{Stage, Stages, each_batch};

/// Generated rows whose tokens are counted, to see how many rows a number of tokens takes.
const SAMPLED_ROWS: u64 = 512;

/// The tokens of a build's samples: the table `tokens`.
pub(super) struct Tokens {
    counter: Arc<TokenCounter>,
    stages: Vec<Stage>,
}

impl Tokens {
    /// The tokenizer that `config` names, if any, known to the session.
    ///
    /// # Errors
    /// When it cannot be read, and [`Error::TokenizerChanged`] where the recipe was frozen with another.
    pub(super) fn open(config: &BuildConfig, accept_changed: bool) -> Result<Option<Tokens>> {
        let Some(path) = &config.tokenizer else {
            return Ok(None);
        };
        let counter = TokenCounter::read(path, &config.special_tokens)?;
        let frozen = config.tokenizer_blake3.as_deref();
        if frozen.is_some_and(|frozen| frozen != counter.blake3()) && !accept_changed {
            return Err(Error::TokenizerChanged { path: path.clone() });
        }
        Ok(Some(Tokens {
            counter: Arc::new(counter),
            stages: Vec::new(),
        }))
    }

    /// Writes the tokenizer into the frozen recipe, its path relative to the folder the recipe will stand in.
    pub(super) fn freeze(&self, table: &mut BuildTable, folder: &Path) {
        table.tokenizer_blake3 = Some(self.counter.blake3().to_owned());
        if let Some(path) = table.tokenizer.take() {
            table.tokenizer = Some(match path.exists() {
                true => relative_to(&path, folder).into(),
                false => path,
            });
        }
    }

    /// Makes `token_count` known to the session.
    pub(super) fn register(&self, session: &SessionContext) {
        register_token_count(session, Arc::clone(&self.counter));
    }

    /// Counts the tokens of the samples of one kind, which this stage decides.
    ///
    /// # Errors
    /// When the query fails.
    pub(super) async fn count(
        &mut self,
        stages: &Stages<'_>,
        kind: Kind,
        decided: &Stage,
    ) -> Result<()> {
        let query = queries::tokens(kind);
        let stage = stages
            .run(&query, &[&decided.key, self.counter.blake3()])
            .await?;
        self.stages.push(stage);
        stages.register("tokens", &self.stages).await
    }

    /// All tokens counted so far.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn total(&self, stages: &Stages<'_>) -> Result<u64> {
        let mut total = 0;
        for stage in &self.stages {
            for batch in stages.read(stage)? {
                let batch = batch?;
                let counts = batch["n_tokens"].as_primitive::<Int64Type>();
                total += counts.values().iter().map(|&n| n as u64).sum::<u64>();
            }
        }
        Ok(total)
    }

    /// Generated rows that hold `n_tokens` tokens, by the mean of the first few.
    ///
    /// # Errors
    /// When the tokenizer cannot take a text.
    pub(super) fn rows_of(&self, source: &Source, n_tokens: u64) -> Result<u64> {
        let (mut n_rows, mut n_counted, mut failed) = (0_u64, 0_u64, None);
        let sample = source.clone().with_default_rows(SAMPLED_ROWS);
        sample.read(&mut |batch| {
            for column in ["instruction", "input", "output"] {
                for text in batch[column].as_string::<i32>().iter().flatten() {
                    match self.counter.count(text) {
                        Ok(n) => n_counted += n,
                        Err(error) => failed = Some(error),
                    }
                }
            }
            n_rows += batch.num_rows() as u64;
            failed.is_none()
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
        let rows = u128::from(n_tokens) * u128::from(n_rows) / u128::from(n_counted.max(1));
        Ok(u64::try_from(rows).unwrap_or(u64::MAX))
    }
}

/// The tokens of each source, from a query that adds them up.
///
/// # Errors
/// When the query fails.
pub(super) async fn by_source(stages: &Stages<'_>, query: &Bound) -> Result<BTreeMap<usize, u64>> {
    let mut sums = BTreeMap::new();
    each_batch(
        stages.session,
        query.plan(stages.session).await?,
        query,
        |batch| {
            let number = |column: &str| batch[column].as_primitive::<Int64Type>();
            let pairs = number("source_idx")
                .values()
                .iter()
                .zip(number("n_tokens").values());
            sums.extend(pairs.map(|(&idx, &n)| (idx as usize, n as u64)));
            Ok(())
        },
    )
    .await?;
    Ok(sums)
}
