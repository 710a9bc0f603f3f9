//! Near-duplicates as Self-Instruct and Alpaca filtered them: by ROUGE-L with every row that stays, exactly.

mod index;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, UInt64Array};
use arrow::datatypes::{Int64Type, UInt64Type};

use crate::config::NearConfig;
use crate::error::Result;
use crate::queries;
use crate::sample::Kind;

use super::build::Progress;
use super::stages::{Stage, Stages, each_batch, register_columns};

pub(super) use index::{Index, Texts};

/// Finds the rows that are near-duplicates of earlier ones, and leaves them as the table `near`.
///
/// # Errors
/// When a query fails.
pub(super) async fn find(
    stages: &Stages<'_>,
    config: &NearConfig,
    threshold: f64,
    copies: &Stage,
    progress: &dyn Fn(Progress),
) -> Result<Stage> {
    let query = queries::rouge_l_duplicates();
    let how = format!("{} {threshold}", config.on.name());
    let inputs = [copies.key.as_str(), &how];
    progress(Progress::Query(query.query.file()));
    if !stages.is_finished(&query, &inputs) {
        compare(stages, config, threshold).await?;
    }
    let stage = stages.run(&query, &inputs).await?;
    stages
        .register("near", std::slice::from_ref(&stage))
        .await?;
    Ok(stage)
}

/// Leaves the rows that go in the table `rouge_l_gone`.
async fn compare(stages: &Stages<'_>, config: &NearConfig, threshold: f64) -> Result<()> {
    let query = queries::rouge_l_texts(config.on);
    let mut places: Vec<(i64, u64)> = Vec::new();
    let mut is_task = Vec::new();
    let mut batches = Vec::new();
    each_batch(
        stages.session,
        query.plan(stages.session).await?,
        &query,
        |batch| {
            let sources = batch["source_idx"].as_primitive::<Int64Type>();
            let rows = batch["source_row"].as_primitive::<UInt64Type>();
            let of_rows = sources.values().iter().zip(rows.values());
            places.extend(of_rows.map(|(&source, &row)| (source, row)));
            let kinds = batch["kind"].as_string::<i32>().iter();
            is_task.extend(kinds.map(|kind| kind == Some(Kind::Task.name())));
            batches.push(Arc::clone(&batch["words"]));
            Ok(())
        },
    )
    .await?;
    let texts = Texts::new(batches.iter().flat_map(|batch| {
        let batch = batch.as_string::<i32>();
        (0..batch.len()).map(|row| batch.value(row))
    }));
    drop(batches);
    let mut index = Index::new(&texts, threshold);
    let mut gone = Vec::new();
    for text in 0..places.len() {
        // A task row stays, so there is no need to know what it is like.
        let found = (!is_task[text]).then(|| index.most_similar(text)).flatten();
        match found {
            Some((kept, similarity)) => gone.push((places[text], places[kept], similarity)),
            None => index.add(text),
        }
    }
    type Gone = ((i64, u64), (i64, u64), f64);
    let sources = |of: fn(&Gone) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(gone.iter().map(of)))
    };
    let rows = |of: fn(&Gone) -> u64| -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(gone.iter().map(of)))
    };
    let similarity = Float64Array::from_iter_values(gone.iter().map(|gone| gone.2));
    let columns: [(&str, ArrayRef); 5] = [
        ("source_idx", sources(|gone| gone.0.0)),
        ("source_row", rows(|gone| gone.0.1)),
        ("kept_source_idx", sources(|gone| gone.1.0)),
        ("kept_row", rows(|gone| gone.1.1)),
        ("similarity", Arc::new(similarity)),
    ];
    register_columns(stages.session, "rouge_l_gone", columns)
}
