use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::delia::{Scratch, hashes, stream};

const COMMON: [&str; 10] = [
    "--near",
    "off",
    "--task",
    "task.jsonl",
    "--diverse",
    "diverse.jsonl",
    "--held-out-diverse",
    "0",
    "--ratio",
    "40",
];

/// Three task rows and 400 diverse ones: many requests for poems and words, few for anything else.
fn sources(scratch: &Scratch) {
    scratch.small_sources(3, 0);
    let things = ["poem", "song", "story", "riddle", "letter"];
    let rows = (0..400).map(|nth| {
        let instruction = match nth % 10 {
            0 => format!("List {} about topic{}", things[nth / 10 % 5], nth / 50),
            1..=3 => format!("Write a {} for child{}", things[nth % 5], nth),
            // Long enough that more of it is said again than is new: the rest of a row is its own.
            _ => "Repeat the word below and say nothing else at all".to_owned(),
        };
        let row = json!({"instruction": instruction, "input": format!("word{nth}"), "output": format!("answer {}", nth % 90)});
        row.to_string() + "\n"
    });
    scratch.file("diverse.jsonl", rows.collect::<String>());
}

fn measured(scratch: &Scratch) -> BTreeMap<String, Value> {
    let rows = scratch.sql(&["shards", "SELECT * FROM diversity", "--format", "json"]);
    let rows: Vec<Value> = serde_json::from_str(&rows.ok()).expect("JSON");
    rows.into_iter()
        .map(|row| (row["pick"].as_str().expect("a name").to_owned(), row))
        .collect()
}

/// All words, and the share of different runs of `n` of them.
fn distinct(texts: &[String], n: usize) -> (usize, f64) {
    let texts: Vec<Vec<&str>> = texts
        .iter()
        .map(|text| text.split_whitespace().collect())
        .collect();
    let runs: Vec<_> = texts.iter().flat_map(|words| words.windows(n)).collect();
    let different: BTreeSet<_> = runs.iter().collect();
    (runs.len(), different.len() as f64 / runs.len() as f64)
}

#[test]
fn a_diverse_selection_is_measured_beside_the_pool_and_random_rows_of_as_many_words() {
    let scratch = Scratch::new();
    sources(&scratch);
    scratch
        .build(&[&COMMON[..], &["--select", "diverse"]].concat())
        .ok();
    let found = measured(&scratch);
    let shards = scratch.path().join("shards");
    let rows = stream(&shards);
    let texts: Vec<String> = rows
        .iter()
        .filter(|row| !row.is_task())
        .map(|row| format!("{} {} {}", row.instruction, row.input, row.output).to_lowercase())
        .collect();
    let ours = &found["diverse"];
    assert_eq!(ours["rows"], 120);
    for n in 1..=3 {
        let (n_runs, share) = distinct(&texts, n);
        if n == 1 {
            assert_eq!(ours["words"], n_runs);
        }
        let claimed = ours[format!("distinct_{n}")].as_f64().expect("a share");
        assert!(
            (claimed - share).abs() < 1e-9,
            "{n}: {claimed} is not {share}"
        );
    }
    let number = |pick: &str, measure: &str| found[pick][measure].as_f64().expect("a number");
    assert_eq!(number("pool", "rows"), 400.0);
    assert_eq!(number("pool", "cluster_coverage"), 1.0);
    let (random, diverse) = (number("random", "words"), number("diverse", "words"));
    assert!(
        random <= diverse && diverse < random + 16.0,
        "{random} and {diverse}"
    );
    // Half of the pool asks for the same: a random pick too, a diverse one less.
    for measure in ["lead_pair_entropy", "mean_distance", "distinct_2"] {
        let (random, diverse) = (number("random", measure), number("diverse", measure));
        assert!(diverse > random, "{measure}: {diverse} after {random}");
    }
    assert!(hashes(&shards).contains_key("diversity.parquet"));
    let manifest = std::fs::read_to_string(shards.join("manifest.json")).expect("a manifest");
    let manifest: Value = serde_json::from_str(&manifest).expect("JSON");
    assert_eq!(manifest["files"]["diversity.parquet"]["rows"], 3);
}

#[test]
fn a_random_selection_is_not_measured() {
    let scratch = Scratch::new();
    sources(&scratch);
    scratch.build(&COMMON).ok();
    assert!(!scratch.path().join("shards/diversity.parquet").exists());
    let missing = scratch.sql(&["shards", "SELECT * FROM diversity"]);
    missing.fails(1, &["diversity"]);
    // The other way round, with the same folder.
    let again = [&COMMON[..], &["--select", "diverse", "--force"]].concat();
    scratch.build(&again).ok();
    assert_eq!(measured(&scratch).len(), 3);
    scratch.build(&[&COMMON[..], &["--force"]].concat()).ok();
    assert!(!scratch.path().join("shards/diversity.parquet").exists());
}

#[test]
fn the_measures_do_not_depend_on_threads_or_batches() {
    let scratch = Scratch::new();
    sources(&scratch);
    let mut files = BTreeSet::new();
    for (threads, batch_rows) in [("1", "8192"), ("2", "64")] {
        let arguments = [
            "--select",
            "diverse",
            "--force",
            "--threads",
            threads,
            "--batch-rows",
            batch_rows,
        ];
        scratch.build(&[&COMMON[..], &arguments].concat()).ok();
        let all = hashes(&scratch.path().join("shards"));
        files.insert(all["diversity.parquet"].clone());
    }
    assert_eq!(files.len(), 1);
}
