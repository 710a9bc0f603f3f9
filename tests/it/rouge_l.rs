use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::delia::{Scratch, hashes, stream};

const COMMON: [&str; 10] = [
    "--task",
    "task.jsonl",
    "--diverse",
    "rows.jsonl",
    "--ratio",
    "1",
    "--held-out-diverse",
    "0",
    "--near-method",
    "rouge-l",
];

/// The near-duplicates of a build: the row, the row that stayed, and their similarity.
fn dropped(scratch: &Scratch) -> BTreeMap<u64, (String, u64, f64)> {
    let sql = "SELECT source_row, kept_source, kept_row, similarity FROM dropped WHERE reason = 'near_duplicate'";
    let rows = scratch.sql(&["shards", sql, "--format", "json"]).ok();
    let rows: Vec<Value> = serde_json::from_str(&rows).expect("JSON");
    let number = |row: &Value, key: &str| row[key].as_u64().expect("a number");
    let found = rows.iter().map(|row| {
        let kept = row["kept_source"].as_str().expect("a name").to_owned();
        let similarity = row["similarity"].as_f64().expect("a number");
        (
            number(row, "source_row"),
            (kept, number(row, "kept_row"), similarity),
        )
    });
    found.collect()
}

#[test]
fn the_rows_that_go_are_those_that_rouge_score_finds() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rouge_l/rows.jsonl");
    let golden = fs::read_to_string(golden).expect("the golden rows");
    let mut expected = BTreeMap::new();
    for (row, line) in (0..).zip(golden.lines()) {
        let line: Value = serde_json::from_str(line).expect("JSON");
        if let (Some(kept), Some(similarity)) =
            (line["kept_row"].as_u64(), line["similarity"].as_f64())
        {
            expected.insert(row, (kept, similarity));
        }
    }
    assert!(expected.len() > 100, "{} of 300 rows go", expected.len());
    let scratch = Scratch::new();
    scratch.file("rows.jsonl", &golden);
    scratch.file(
        "task.jsonl",
        "{\"instruction\": \"Hm\", \"output\": \"Aha\"}\n",
    );
    scratch
        .build(&[&COMMON[..], &["--near", "0.7"]].concat())
        .ok();
    let found = dropped(&scratch);
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>()
    );
    for (row, (_, kept, similarity)) in &found {
        let (expected_row, expected) = expected[row];
        assert_eq!(*kept, expected_row, "row {row}");
        assert!((similarity - expected).abs() < 1e-8, "row {row}");
    }
}

#[test]
fn task_rows_stay_and_other_letters_are_no_words() {
    let scratch = Scratch::new();
    let line = |instruction: &str, nth: usize| {
        format!(
            "{}\n",
            json!({"instruction": instruction, "output": nth.to_string()})
        )
    };
    let task = [
        "Name the capital of Iceland",
        "Name the capital of iceland!",
    ];
    let rows = [
        "Name a capital of Iceland",
        "日本の首都は?",
        "日本の首都は!",
        "Say hello, please",
        "Please say HELLO",
        "Say hello",
    ];
    let lines = |rows: &[&str]| -> String {
        let rows = rows.iter().enumerate();
        rows.map(|(nth, row)| line(row, nth)).collect()
    };
    scratch.file("task.jsonl", lines(&task));
    scratch.file("rows.jsonl", lines(&rows));
    let arguments = [&COMMON[..], &["--near", "0.75"]].concat();
    scratch.build(&arguments).ok();
    let found = dropped(&scratch);
    assert_eq!(found[&0], ("task".to_owned(), 0, 0.8));
    assert_eq!(found[&5], ("rows".to_owned(), 3, 0.8));
    assert_eq!(found.len(), 2, "{found:?}");
    let shards = scratch.path().join("shards");
    assert_eq!(
        stream(&shards).iter().filter(|row| row.is_task()).count(),
        2
    );
    // Built again on one thread, to the same bytes.
    let before = hashes(&shards);
    let again = ["--force", "--threads", "1"];
    scratch.build(&[&arguments[..], &again].concat()).ok();
    assert_eq!(hashes(&shards), before);
    // Whole samples: the responses differ.
    let whole = ["--force", "--dedupe-on", "sample", "--near", "0.9"];
    scratch.build(&[&COMMON[..], &whole].concat()).ok();
    assert!(dropped(&scratch).is_empty());
}

#[test]
fn the_measure_is_a_function_of_sql() {
    let scratch = Scratch::new();
    scratch.small_sources(2, 20);
    scratch
        .build(&[
            "--task",
            "task.jsonl",
            "--diverse",
            "diverse.jsonl",
            "--ratio",
            "1",
        ])
        .ok();
    let sql = "SELECT rouge_l('police killed the gunman', 'Police kill the gunman!') AS f";
    let printed = scratch.sql(&["shards", sql, "--format", "csv"]).ok();
    assert_eq!(printed, "f\n0.75\n");
}
