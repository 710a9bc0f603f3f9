//! What is measured on is kept out of the shards: which rows go, and which task rows are only worded like it.

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};

use crate::config::Overlap;
use crate::error::Result;
use crate::queries::{self, Bound};
use crate::sample::Kind;
use crate::tables::{MeasuredOn, lift, register_may_share};

use super::build::Progress;
use super::near;
use super::stages::{Stage, Stages};

/// The rows measured on, ready to be compared with, and what was found so far.
///
/// Its tables are `overlaps` and `contaminated`; they are there, and empty, before anything is compared.
pub(super) struct Decontamination {
    words: u8,
    /// The stages that were compared with.
    inputs: Vec<String>,
    overlaps: Vec<Stage>,
    contaminated: Vec<Stage>,
}

impl Decontamination {
    /// Reads what the rows measured on ask, and their n-grams; their stages are `held_out`. Without any, no row will go. What they
    /// are recognised by holds at most `bytes_max`.
    ///
    /// # Errors
    /// When a query fails.
    pub(super) async fn begin(
        stages: &Stages<'_>,
        overlap: Overlap,
        held_out: &[&Stage],
        bytes_max: usize,
        progress: &dyn Fn(Progress),
    ) -> Result<Decontamination> {
        empty_tables(stages).await?;
        let mut begun = Decontamination {
            words: overlap.words().unwrap_or(0),
            inputs: held_out.iter().map(|stage| stage.key.clone()).collect(),
            overlaps: Vec::new(),
            contaminated: Vec::new(),
        };
        if held_out.is_empty() {
            return Ok(begun);
        }
        let mut sought = vec![("held_out_prompts", "prompt", queries::held_out_prompts())];
        if begun.words > 0 {
            let ngrams = queries::held_out_ngrams(begun.words);
            sought.push(("held_out_ngrams", "ngram", ngrams));
        }
        let mut found = Vec::new();
        let mut n_members = 0;
        for (table, column, query) in sought {
            let keys: Vec<_> = begun.inputs.iter().map(String::as_str).collect();
            let stage = run(stages, &query, &keys, progress).await?;
            stages.register(table, std::slice::from_ref(&stage)).await?;
            n_members += stages.n_rows(&stage)?;
            begun.inputs.push(stage.key.clone());
            found.push((stage, column));
        }
        let mut measured_on = MeasuredOn::for_members(n_members, bytes_max);
        for (stage, column) in &found {
            for batch in stages.read(stage)? {
                let batch = batch?;
                let members = batch[*column].as_string::<i32>();
                members
                    .iter()
                    .flatten()
                    .for_each(|member| measured_on.add(member));
            }
        }
        register_may_share(stages.session, measured_on);
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
        let query = queries::suspects(kind, self.words);
        let suspects = run(stages, &query, &inputs, progress).await?;
        inputs.push(&suspects.key);
        stages
            .register("suspects", std::slice::from_ref(&suspects))
            .await?;
        if self.words > 0 {
            let query = queries::overlaps(kind, self.words);
            self.overlaps
                .push(run(stages, &query, &inputs, progress).await?);
            stages.register("overlaps", &self.overlaps).await?;
        }
        if let Some(overlaps) = self.overlaps.last() {
            inputs.push(&overlaps.key);
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
