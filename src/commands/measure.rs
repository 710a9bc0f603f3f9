//! How diverse the chosen rows are, beside the pool and a random pick: measured where the selection is to be diverse.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::queries;
use crate::shards::{FileEntry, OutFolder, Use};

use super::build::Progress;
use super::stages::{Stages, register, write};

/// The file of the table `diversity`.
pub(super) const DIVERSITY: &str = "diversity.parquet";

/// Measures the draw, from the tables it leaves in the session.
///
/// # Errors
/// When a query fails or the file cannot be written.
pub(super) async fn write_diversity(
    stages: &Stages<'_>,
    seed: u64,
    folder: &OutFolder,
    progress: &dyn Fn(Progress),
) -> Result<BTreeMap<String, FileEntry>> {
    let session = stages.session;
    let compared = queries::compared(seed);
    progress(Progress::Query(compared.query.file()));
    // Computed again after an interruption, unlike a stage: its key would have to name all that the draw depends on.
    let path = stages.folder.join("compared.parquet");
    write(session, &compared, &path, Use::Stage).await?;
    register(session, "compared", &[path]).await?;
    let query = queries::diversity(seed);
    progress(Progress::Query(query.query.file()));
    let entry = write(
        session,
        &query,
        &folder.path().join(DIVERSITY),
        Use::Artefact,
    )
    .await?;
    Ok(BTreeMap::from([(DIVERSITY.to_owned(), entry)]))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, AsArray, FixedSizeBinaryArray, Int64Array, RecordBatch, StringArray, UInt64Array,
    };
    use arrow::compute::concat_batches;
    use arrow::datatypes::{Float64Type, UInt64Type};
    use datafusion::prelude::SessionContext;

    use crate::queries::Bound;
    use crate::tables::{Engine, session};

    use super::super::stages::register_columns;
    use super::*;

    /// Instruction, input and output of the pool; the first of them are chosen. The longer words of their prompts, which name
    /// the clusters, are "write", "stars", "prime" and "words".
    const POOL: [(&str, &str, &str); 6] = [
        ("Write a poem.", "", "red blue"),
        ("Name two stars", "", "red red"),
        ("Write a poem!", "", "red blue"),
        ("Write poem", "", "blue"),
        ("What is a prime?", "", "a number"),
        ("Sort the words", "b a", "a b"),
    ];

    fn tables(engine: &Engine, n_chosen: usize) -> SessionContext {
        let session = session(engine, &std::env::temp_dir()).expect("a session");
        let n = POOL.len();
        let texts = |of: fn(&(&'static str, &'static str, &'static str)) -> &'static str| {
            Arc::new(POOL.iter().map(of).map(Some).collect::<StringArray>()) as ArrayRef
        };
        let idx = |n: usize| Arc::new(Int64Array::from(vec![7; n])) as ArrayRef;
        let rows = |n: usize| Arc::new(UInt64Array::from_iter_values(0..n as u64)) as ArrayRef;
        let ids = (0..n).map(|row| [row as u8; 16]);
        let ids = FixedSizeBinaryArray::try_from_iter(ids).expect("ids");
        let pool = [
            ("source_idx", idx(n)),
            ("source_row", rows(n)),
            ("sample_id", Arc::new(ids) as _),
            ("instruction", texts(|row| row.0)),
            ("input", texts(|row| row.1)),
            ("output", texts(|row| row.2)),
        ];
        register_columns(&session, "pool", pool).expect("a table");
        // A row that is drawn again is chosen once.
        let drawn = [
            ("source_idx", idx(n_chosen + 1)),
            (
                "source_row",
                Arc::new(UInt64Array::from_iter_values(
                    (0..=n_chosen as u64).map(|draw| draw % n_chosen as u64),
                )),
            ),
        ];
        register_columns(&session, "drawn", drawn).expect("a table");
        let normalized = [
            ("source_idx", idx(n)),
            ("source_row", rows(n)),
            ("instruction", texts(|row| row.0)),
            ("input", texts(|row| row.1)),
            ("output", texts(|row| row.2)),
        ];
        register_columns(&session, "normalized", normalized).expect("a table");
        session
    }

    async fn rows(session: &SessionContext, query: &Bound) -> RecordBatch {
        let plan = query.plan(session).await.expect("a plan");
        let schema = Arc::clone(plan.schema().inner());
        let batches = plan.collect().await.expect("rows");
        concat_batches(&schema, &batches).expect("one batch")
    }

    async fn measured(engine: Engine, n_chosen: usize) -> RecordBatch {
        let session = tables(&engine, n_chosen);
        let compared = rows(&session, &queries::compared(3)).await;
        session
            .register_batch("compared", compared)
            .expect("a table");
        let found = rows(&session, &queries::diversity(3)).await;
        session
            .register_batch("diversity", found.clone())
            .expect("a table");
        let to_read = rows(&session, &queries::diversity_of_draw()).await;
        assert_eq!(
            to_read["pick"].as_string::<i32>(),
            found["pick"].as_string::<i32>()
        );
        found
    }

    fn engine(threads: usize, batch_rows: usize) -> Engine {
        Engine {
            threads,
            batch_rows,
            memory_bytes: Engine::MIN_MEMORY_BYTES,
            temp_dir: None,
        }
    }

    fn floats(rows: &RecordBatch, column: &str) -> Vec<f64> {
        rows[column].as_primitive::<Float64Type>().values().to_vec()
    }

    fn counts(rows: &RecordBatch, column: &str) -> Vec<u64> {
        rows[column].as_primitive::<UInt64Type>().values().to_vec()
    }

    #[tokio::test]
    async fn the_measures_are_those_of_the_definitions() {
        let found = measured(engine(1, 512), 3).await;
        let picks: Vec<_> = found["pick"].as_string::<i32>().iter().flatten().collect();
        assert_eq!(picks, ["pool", "random", "diverse"]);
        // write a poem red blue | name two stars red red | write a poem red blue
        let last = |column: &str| floats(&found, column)[2];
        assert_eq!(counts(&found, "rows")[2], 3);
        assert_eq!(counts(&found, "words")[2], 15);
        assert_eq!(last("distinct_1"), 8.0 / 15.0);
        assert_eq!(last("distinct_2"), 8.0 / 12.0);
        assert_eq!(last("distinct_3"), 6.0 / 9.0);
        assert_eq!(
            counts(&found, "lead_pairs"),
            [3, counts(&found, "lead_pairs")[1], 2]
        );
        assert_eq!(floats(&found, "lead_pair_share")[0], 5.0 / 6.0);
        assert_eq!(counts(&found, "clusters")[2], 2);
        assert_eq!(last("cluster_coverage"), 2.0 / 4.0);
        let bits = |p: f64| -(p * p.log2() + (1.0 - p) * (1.0 - p).log2());
        assert!((last("cluster_entropy") - bits(1.0 / 3.0)).abs() < 1e-4);
        assert!((last("lead_pair_entropy") - bits(1.0 / 3.0)).abs() < 1e-4);
        // Three rows are two pairs: "write a poem." and "write a poem!" share two of four words, others none.
        assert_eq!(counts(&found, "pairs")[2], 2);
        let distance = last("mean_distance");
        assert!(distance == 1.0 || distance == 0.75, "{distance}");
    }

    #[tokio::test]
    async fn the_random_pick_has_as_many_words_and_a_whole_pool_is_the_pool() {
        let found = measured(engine(1, 512), 2).await;
        let words = counts(&found, "words");
        assert!(words[1] <= words[2] && words[2] < words[1] + 8, "{words:?}");
        let all = measured(engine(1, 512), POOL.len()).await;
        for column in [
            "distinct_2",
            "lead_pair_entropy",
            "cluster_entropy",
            "mean_distance",
        ] {
            let values = floats(&all, column);
            assert!(
                values.iter().all(|value| *value == values[0]),
                "{column}: {values:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_finished_stream_is_measured_by_source() {
        let session = tables(&engine(2, 512), 3);
        let shards = "SELECT source_row AS position, CASE WHEN source_row < 2 THEN 'task' ELSE 'diverse' END AS kind, \
            'a' AS source, sample_id, CAST(0 AS INT UNSIGNED) AS repeat, instruction, input, output \
            FROM pool";
        let shards = session.sql(shards).await.expect("a plan");
        session
            .register_table("shards", shards.into_view())
            .expect("a table");
        let found = rows(&session, &queries::diversity_of_stream(0)).await;
        let kinds: Vec<_> = found["kind"].as_string::<i32>().iter().flatten().collect();
        assert_eq!(kinds, ["task", "diverse"]);
        assert_eq!(counts(&found, "rows"), [2, 4]);
        // write a poem red blue | name two stars red red
        assert_eq!(counts(&found, "words")[0], 10);
        assert_eq!(floats(&found, "distinct_1")[0], 8.0 / 10.0);
        assert_eq!(counts(&found, "lead_pairs"), [2, 2]);
        assert_eq!(floats(&found, "lead_pair_entropy")[0], 1.0);
        assert_eq!(floats(&found, "mean_distance")[0], 1.0);
        assert_eq!(counts(&found, "pairs"), [1, 3]);
        assert_eq!(counts(&found, "clusters"), [2, 3]);
    }

    #[tokio::test]
    async fn neither_threads_nor_batches_change_a_bit() {
        let one = measured(engine(1, 8_192), 3).await;
        assert_eq!(one, measured(engine(3, 2), 3).await);
    }
}
