//! What is measured on is kept out of the shards: which rows go, and which task rows are only worded like it.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};

use crate::config::Overlap;
use crate::error::Result;
use crate::queries::{self, Bound};
use crate::sample::Kind;
use crate::tables::{NgramFilter, lift, ngram_filter};

use super::build::Progress;
use super::near;
use super::stages::{Stage, Stages};

/// The rows measured on, ready to be compared with, and what was found so far.
///
/// Its tables are `overlaps` and `contaminated`; they are there, and empty, before anything is compared.
pub(super) struct Decontamination {
    words: u8,
    /// Lets the n-grams of the rows measured on pass.
    filter: Vec<u64>,
    /// The stages that were compared with.
    inputs: Vec<String>,
    overlaps: Vec<Stage>,
    contaminated: Vec<Stage>,
}

impl Decontamination {
    /// Reads the n-grams of the rows measured on, whose stages are `held_out`; without any, no row will go.
    ///
    /// # Errors
    /// When a query fails.
    pub(super) async fn begin(
        stages: &Stages<'_>,
        overlap: Overlap,
        held_out: &[&Stage],
        progress: &dyn Fn(Progress),
    ) -> Result<Decontamination> {
        empty_tables(stages).await?;
        let mut begun = Decontamination {
            words: overlap.words().unwrap_or(0),
            filter: Vec::new(),
            inputs: held_out.iter().map(|stage| stage.key.clone()).collect(),
            overlaps: Vec::new(),
            contaminated: Vec::new(),
        };
        if begun.words > 0 && !held_out.is_empty() {
            let query = queries::held_out_ngrams(begun.words);
            let keys: Vec<_> = begun.inputs.iter().map(String::as_str).collect();
            let stage = run(stages, &query, &keys, progress).await?;
            stages
                .register("held_out_ngrams", std::slice::from_ref(&stage))
                .await?;
            let mut filter = NgramFilter::default();
            for batch in stages.read(&stage)? {
                let batch = batch?;
                let ngrams = batch["ngram"].as_string::<i32>();
                filter.extend(ngram_filter(ngrams.iter().flatten()));
            }
            begun.filter = filter.into_blocks();
            begun.inputs.push(stage.key);
        }
        Ok(begun)
    }

    /// Compares the rows of one kind, read in the stages `rows`, and adds those that go to the table `contaminated`.
    ///
    /// # Errors
    /// When a query fails.
    pub(super) async fn compare(
        &mut self,
        stages: &Stages<'_>,
        kind: Kind,
        rows: &[&str],
        progress: &dyn Fn(Progress),
    ) -> Result<()> {
        if self.inputs.is_empty() {
            return Ok(());
        }
        let mut inputs: Vec<_> = self.inputs.iter().map(String::as_str).collect();
        inputs.extend(rows);
        if !self.filter.is_empty() {
            let query = queries::overlaps(kind, self.words, &self.filter);
            self.overlaps
                .push(run(stages, &query, &inputs, progress).await?);
            stages.register("overlaps", &self.overlaps).await?;
        }
        let query = queries::decontaminate(kind);
        self.contaminated
            .push(run(stages, &query, &inputs, progress).await?);
        stages.register("contaminated", &self.contaminated).await
    }

    /// The keys of what was found so far.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.contaminated.iter().map(|stage| stage.key.as_str())
    }
}

async fn run(
    stages: &Stages<'_>,
    query: &Bound,
    inputs: &[&str],
    progress: &dyn Fn(Progress),
) -> Result<Stage> {
    progress(Progress::Query(query.query.file()));
    stages.run(query, inputs).await
}

/// Makes the tables that the first comparison reads, and those that stay empty where nothing is compared.
async fn empty_tables(stages: &Stages<'_>) -> Result<()> {
    use DataType::{Float64, Int64, UInt64, Utf8};
    near::none(stages).await?;
    for (table, columns) in [
        (
            "copies",
            &[
                ("source_idx", Int64),
                ("source_row", UInt64),
                ("first_source_idx", Int64),
                ("first_source_row", UInt64),
            ][..],
        ),
        (
            "overlaps",
            &[
                ("source_idx", Int64),
                ("kind", Utf8),
                ("source_row", UInt64),
                ("held_out_source_idx", Int64),
                ("held_out_row", UInt64),
                ("ngram", Utf8),
            ],
        ),
        (
            "contaminated",
            &[
                ("source_idx", Int64),
                ("source_row", UInt64),
                ("reason", Utf8),
                ("kept_source_idx", Int64),
                ("kept_row", UInt64),
                ("similarity", Float64),
                ("matched", Utf8),
            ],
        ),
    ] {
        let fields: Vec<_> = columns
            .iter()
            .map(|(name, data_type)| Field::new(*name, data_type.clone(), true))
            .collect();
        let rows = RecordBatch::new_empty(Arc::new(Schema::new(fields)));
        let registered = stages
            .session
            .deregister_table(table)
            .and_then(|_| stages.session.register_batch(table, rows));
        registered.map_err(lift(table))?;
    }
    Ok(())
}
