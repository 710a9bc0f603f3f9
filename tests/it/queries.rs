use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, FixedSizeBinaryArray, Int64Array, RecordBatch, UInt64Array,
};
use datafusion::physical_plan::displayable;
use datafusion::prelude::SessionContext;
use delia::config::{BuildConfig, DedupeOn, Order, Recipe, Select, Shingle};
use delia::queries::{self, Bound, Query};
use delia::sample::Kind;
use delia::tables::{self, Engine};

#[test]
fn the_folder_lists_the_pipeline() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("queries");
    let list = |folder: &Path, prefix: &str| -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| {
                format!(
                    "{prefix}{}",
                    entry.expect("an entry").file_name().to_string_lossy()
                )
            })
            .filter(|name| name.ends_with(".sql"))
            .collect();
        names.sort();
        names
    };
    let mut files = list(&folder, "");
    files.extend(list(&folder.join("inspect"), "inspect/"));
    let known: Vec<_> = Query::ALL.iter().map(|query| query.file()).collect();
    assert_eq!(files, known);
}

fn config() -> BuildConfig {
    BuildConfig::from_recipe(Recipe::default()).expect("the defaults fit")
}

/// Every query with values for its parameters.
fn all_bound() -> Vec<Bound> {
    vec![
        queries::normalize(0, Kind::Task, false),
        queries::examples(0, 1),
        queries::rejects(),
        queries::usable(),
        queries::dedupe_exact(),
        queries::firsts(),
        queries::tokens(Kind::Task),
        queries::dedupe_near(DedupeOn::Prompt, Shingle::Words(3)),
        queries::rouge_l_texts(DedupeOn::Prompt),
        queries::frequent_pieces(1, 8, 1),
        queries::rouge_l_duplicates(),
        queries::held_out_prompts(),
        queries::held_out_ngrams(8),
        queries::suspects(Kind::Task, 8),
        queries::overlaps(Kind::Task, 8),
        queries::decontaminate(Kind::Task),
        queries::kept(),
        queries::hold_out(0),
        queries::pool(),
        queries::pool_tokens(),
        queries::clusters(0),
        queries::diversify(Select::Random, 0),
        queries::draw_tokens(),
        queries::draws(Order::Strict),
        queries::shared_prompts(),
        queries::prompt_parts(None),
        queries::instructions(),
        queries::task_rows(),
        queries::reword(&config().rewording, 0),
        queries::reflected(true),
        queries::tasks(None),
        queries::spread(0),
        queries::directions(),
        queries::texts(),
        queries::interleave(&config(), "1", 0),
        queries::repeats(),
        queries::used_tokens(),
        queries::shards(0..1),
        queries::dropped(),
        queries::held_out(Kind::Task),
        queries::sources(),
        queries::marks(),
        queries::compared(0),
        queries::diversity(0),
        queries::plain(Query::Build),
        queries::plain(Query::Copies),
        queries::plain(Query::DirectionsOfStream),
        queries::diversity_of_stream(0),
        queries::diversity_of_draw(),
        queries::dropped_by_reason(),
        queries::duplicate_clusters(1),
        queries::plain(Query::DuplicatePairs),
        queries::plain(Query::DuplicateSimilarity),
        queries::plain(Query::DuplicateSizes),
        queries::plain(Query::Kinds),
        queries::length_bins("words", 1),
        queries::length_histogram("words"),
        queries::plain(Query::LengthQuantiles),
        queries::plain(Query::Lengths),
        queries::plain(Query::Mix),
        queries::plain(Query::MixBlocks),
        queries::mix_course(1),
        queries::plain(Query::MixRepeats),
        queries::plain(Query::MixStages),
        queries::samples(1, 0),
        queries::named_shards(1),
        queries::plain(Query::SourceRows),
        queries::plain(Query::Summary),
    ]
}

#[test]
fn every_parameter_in_a_query_is_bound_and_no_other() {
    let bound = all_bound();
    assert_eq!(
        bound.iter().map(|bound| bound.query).collect::<Vec<_>>(),
        Query::ALL
    );
    for Bound { query, parameters } in bound {
        let code: Vec<_> = query
            .sql()
            .lines()
            .filter(|line| !line.trim_start().starts_with("--"))
            .collect();
        let used: BTreeSet<String> = code
            .join("\n")
            .split('$')
            .skip(1)
            .map(|rest| {
                rest.chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect()
            })
            .collect();
        let names: BTreeSet<String> = parameters
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect();
        assert_eq!(used, names, "{}", query.file());
    }
}

#[test]
fn every_query_opens_with_what_comes_in_and_what_goes_out() {
    for query in Query::ALL {
        let header: Vec<_> = query
            .sql()
            .lines()
            .take_while(|line| line.starts_with("--"))
            .collect();
        for part in ["-- in   ", "-- out  "] {
            assert!(
                header.iter().any(|line| line.starts_with(part)),
                "{}: no `{part}`",
                query.file()
            );
        }
        let parameters = query
            .sql()
            .lines()
            .any(|line| !line.starts_with("--") && line.contains('$'));
        assert_eq!(
            parameters,
            header.iter().any(|line| line.starts_with("-- with ")),
            "{}",
            query.file()
        );
        // Rows that come in no order are brought into one by whoever reads them.
        let is_ordered = !header.iter().any(|line| line.ends_with("in no order"));
        let last = query.sql().lines().last().unwrap_or_default();
        assert!(last.ends_with(';'), "{}", query.file());
        assert_eq!(last.starts_with("ORDER BY"), is_ordered, "{}", query.file());
    }
}

/// A session with a row in each of the tables that the draw reads.
fn tables_of_a_draw(scratch: &Path) -> SessionContext {
    let engine = Engine {
        threads: 2,
        batch_rows: 2_048,
        memory_bytes: Engine::MIN_MEMORY_BYTES,
        temp_dir: None,
    };
    let session = tables::session(&engine, scratch).expect("a session");
    let signed = || Arc::new(Int64Array::from(vec![1])) as ArrayRef;
    let unsigned = || Arc::new(UInt64Array::from(vec![1])) as ArrayRef;
    let id = FixedSizeBinaryArray::try_from_iter([[0_u8; 16]].into_iter()).expect("an id");
    let id = Arc::new(id) as ArrayRef;
    let pool = vec![
        ("source_idx", signed()),
        ("source_row", unsigned()),
        ("sample_id", Arc::clone(&id)),
    ];
    let clusters = vec![
        ("source_idx", signed()),
        ("source_row", unsigned()),
        ("sample_id", id),
        ("cluster", unsigned()),
        ("opening", unsigned()),
    ];
    let rounds = vec![
        ("source_idx", signed()),
        ("round", signed()),
        ("n_pool", signed()),
        ("n_draws", signed()),
        ("most_hash", unsigned()),
        ("is_whole", Arc::new(BooleanArray::from(vec![false])) as _),
    ];
    let id = Arc::clone(&pool[2].1);
    let ranked = vec![
        ("source_idx", signed()),
        ("source_row", unsigned()),
        ("sample_id", id),
        ("round", signed()),
        ("nth", signed()),
    ];
    let allotment = [
        "source_idx",
        "round",
        "pass",
        "first_nth",
        "n_draws",
        "n_before",
    ];
    let allotment = allotment.map(|name| (name, signed())).to_vec();
    for (name, columns) in [
        ("pool", pool),
        ("clusters", clusters),
        ("rounds", rounds),
        ("ranked", ranked),
        ("allotment", allotment),
    ] {
        let batch = RecordBatch::try_from_iter(columns).expect("columns of one row");
        session.register_batch(name, batch).expect("a table");
    }
    session
}

/// The queries are written for every selection and order; what one does not need must not cost it anything.
#[tokio::test]
async fn what_nobody_asks_for_is_not_computed() {
    let scratch = crate::delia::Scratch::new();
    let session = tables_of_a_draw(scratch.path());
    let planned = async |query: Bound| {
        let plan = query.plan(&session).await.expect("a plan");
        let plan = plan.create_physical_plan().await.expect("a plan");
        let shown = displayable(plan.as_ref()).indent(false).to_string();
        (
            shown.matches("WindowAggExec").count(),
            shown.matches("JoinExec").count(),
        )
    };
    // One join finds the rows to be ranked, one those that need no rank.
    let ranked = async |select| planned(queries::diversify(select, 0)).await;
    assert_eq!(ranked(Select::Random).await, (1, 2));
    assert_eq!(ranked(Select::Diverse).await, (3, 2));
    // Only a strict order asks when a sample is drawn.
    assert_eq!(planned(queries::draws(Order::Strict)).await, (1, 1));
    assert_eq!(planned(queries::draws(Order::Shuffled)).await, (0, 1));
}
