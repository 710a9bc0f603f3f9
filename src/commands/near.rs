//! Near-duplicates: which rows go, decided in one reading of their sets, in the order in which they come.

use std::sync::Arc;

use arrow::array::{AsArray, Float64Array, Int64Array, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, UInt64Type};

use crate::config::{NearConfig, NearMethod};
use crate::error::Result;
use crate::queries::{self, Query};
use crate::shards::FileWriter;
use crate::tables::{Bands, FirstCome, Keys, RarePrefix, lift, members};

use super::build::Progress;
use super::rouge_l;
use super::stages::{Stage, Stages, each_batch};

/// Which pieces are frequent is seen by about so many rows …
const MIN_SAMPLED: u64 = 8_192;
/// … and by one row in so many where that is more.
const ROWS_PER_SAMPLED: u64 = 16;
/// A piece in more of them than this is frequent: similar rows are looked for by other pieces first.
const FREQUENT_ROWS: u64 = 2;
/// Frequent pieces told apart by how frequent they are; the rest counts as rare, which costs time and loses nothing.
const MOST_FREQUENT: u64 = 1 << 16;

/// Finds the rows that are near-duplicates of earlier ones, and leaves them as the table `near`. The index of the rows that
/// stay holds at most `bytes_max` at a time.
///
/// # Errors
/// When a query fails.
pub(super) async fn find(
    stages: &Stages<'_>,
    config: &NearConfig,
    threshold: f64,
    seed: u64,
    bytes_max: usize,
    copies: &Stage,
    progress: &dyn Fn(Progress),
) -> Result<Stage> {
    if config.method == NearMethod::RougeL {
        return rouge_l::find(stages, config, threshold, copies, progress).await;
    }
    progress(Progress::Query(Query::DedupeNear.file()));
    let query = queries::dedupe_near(config.on, config.shingle);
    let sets = stages.run(&query, &[&copies.key]).await?;
    let decides = format!(
        "{threshold} {:?} {} {seed}",
        config.method, config.permutations
    );
    let (schema, inputs) = (schema(), [sets.key.as_str(), &decides]);
    let near = stages.make("near", &inputs, &schema, async |near| {
        let keys = match config.method {
            NearMethod::Exact => Keys::Rarest(rarest(stages, threshold, &sets, progress).await?),
            // The other has gone its own way above.
            NearMethod::Minhash | NearMethod::RougeL => Keys::Bands(Bands::new(
                config.permutations as usize,
                config.rows_per_band(threshold).unwrap_or(1) as usize,
                seed,
            )),
        };
        first_come(
            stages,
            &sets,
            FirstCome::new(threshold, keys, bytes_max),
            near,
        )
    });
    let near = near.await?;
    stages.register("near", std::slice::from_ref(&near)).await?;
    Ok(near)
}

/// What chooses the pieces that few rows have.
async fn rarest(
    stages: &Stages<'_>,
    threshold: f64,
    sets: &Stage,
    progress: &dyn Fn(Progress),
) -> Result<RarePrefix> {
    progress(Progress::Query(Query::FrequentPieces.file()));
    stages.register("sets", std::slice::from_ref(sets)).await?;
    let step = (stages.n_rows(sets)? / MIN_SAMPLED).clamp(1, ROWS_PER_SAMPLED);
    let query = queries::frequent_pieces(step, FREQUENT_ROWS, MOST_FREQUENT);
    let mut pieces = Vec::new();
    each_batch(
        stages.session,
        query.plan(stages.session).await?,
        &query,
        |batch| {
            pieces.extend(batch["piece"].as_primitive::<UInt64Type>().values());
            Ok(())
        },
    )
    .await?;
    Ok(RarePrefix::new(threshold, pieces))
}

/// Where a row is: its source and its number there.
type Place = (i64, u64);

/// Offers the sets in order, over and over while the index has no room for all, and writes down those that go.
fn first_come(
    stages: &Stages<'_>,
    sets: &Stage,
    mut first_come: FirstCome<Place>,
    near: &mut FileWriter,
) -> Result<()> {
    loop {
        for batch in stages.read(sets)? {
            let batch = batch?;
            let sources = batch["source_idx"].as_primitive::<Int64Type>();
            let rows = batch["source_row"].as_primitive::<UInt64Type>();
            let is_task = batch["is_task"].as_boolean();
            let sets = &batch["pieces"];
            let mut gone = Vec::new();
            for row in 0..batch.num_rows() {
                let place = (sources.value(row), rows.value(row));
                let set = members(sets, row).unwrap_or_default();
                if let Some(similar) = first_come.offer(place, set, is_task.value(row)) {
                    gone.push((place, similar.kept, similar.similarity));
                }
            }
            near.push(evidence(&gone)?)?;
        }
        if !first_come.another_pass() {
            return Ok(());
        }
    }
}

/// A row that goes, with the row that stays in its stead and how similar they are.
type Gone = (Place, Place, f64);

fn evidence(gone: &[Gone]) -> Result<RecordBatch> {
    let sources = |of: fn(&Gone) -> i64| Arc::new(gone.iter().map(of).collect::<Int64Array>());
    let rows = |of: fn(&Gone) -> u64| Arc::new(gone.iter().map(of).collect::<UInt64Array>());
    let similarity = gone.iter().map(|(_, _, similarity)| *similarity);
    let batch = RecordBatch::try_new(
        schema(),
        vec![
            sources(|(row, _, _)| row.0),
            rows(|(row, _, _)| row.1),
            sources(|(_, kept, _)| kept.0),
            rows(|(_, kept, _)| kept.1),
            Arc::new(similarity.collect::<Float64Array>()),
        ],
    );
    batch.map_err(|error| lift("near")(error.into()))
}

/// The table `near`.
fn schema() -> SchemaRef {
    let field = |name: &str, data_type| Field::new(name, data_type, false);
    Arc::new(Schema::new(vec![
        field("source_idx", DataType::Int64),
        field("source_row", DataType::UInt64),
        field("kept_source_idx", DataType::Int64),
        field("kept_row", DataType::UInt64),
        field("similarity", DataType::Float64),
    ]))
}

/// Makes `near` an empty table.
///
/// # Errors
/// When it cannot be written.
pub(super) async fn none(stages: &Stages<'_>) -> Result<Stage> {
    let schema = schema();
    let near = stages
        .make("near", &["none"], &schema, async |_| Ok(()))
        .await?;
    stages.register("near", std::slice::from_ref(&near)).await?;
    Ok(near)
}
