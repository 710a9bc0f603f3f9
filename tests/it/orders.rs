use std::collections::BTreeMap;
use std::process::Command;

use proptest::prelude::*;
use serde_json::json;

use crate::delia::{Row, Scratch, hashes, manifest, samples, stream};

const ORDERS: [&str; 4] = ["shuffled", "strict", "staged", "stratified"];

/// Two task sources and two diverse ones.
fn sources(sizes: [usize; 4]) -> Scratch {
    let scratch = Scratch::new();
    for (name, size) in ["task", "chore", "large", "small"].into_iter().zip(sizes) {
        scratch.file(&format!("{name}.jsonl"), samples(name, size));
    }
    scratch
}

const COMMON: [&str; 8] = [
    "--task",
    "task.jsonl",
    "chore.jsonl",
    "--held-out-diverse",
    "0",
    "--diverse",
    "large.jsonl",
    "small.jsonl",
];

fn built(scratch: &Scratch, arguments: &[&str]) -> Vec<Row> {
    scratch
        .build(&[&COMMON[..], &["--force"], arguments].concat())
        .ok();
    stream(&scratch.path().join("shards"))
}

fn multiset(rows: &[Row]) -> BTreeMap<(&str, u64, u32), usize> {
    let mut uses = BTreeMap::new();
    for row in rows {
        *uses
            .entry((row.source.as_str(), row.source_row, row.repeat))
            .or_default() += 1;
    }
    uses
}

#[test]
fn every_order_holds_the_same_rows() {
    let scratch = sources([5, 3, 90, 30]);
    let arguments = ["--ratio", "11.5", "--passes", "2", "--order"];
    let of = |order| built(&scratch, &[&arguments[..], &[order]].concat());
    let shuffled = of("shuffled");
    assert_eq!(shuffled.len(), 2 * (8 + 92));
    for order in ["strict", "stratified"] {
        let rows = of(order);
        assert_eq!(multiset(&rows), multiset(&shuffled), "{order}");
        assert_ne!(rows, shuffled);
    }
    // A staged order adds its task rows.
    let mut staged = of("staged");
    staged.retain(|row| !row.is_task() || row.repeat == 0);
    let once: Vec<Row> = shuffled
        .into_iter()
        .filter(|row| !row.is_task() || row.repeat == 0)
        .collect();
    assert_eq!(multiset(&staged), multiset(&once));
}

#[test]
fn threads_change_no_order() {
    let scratch = sources([5, 3, 90, 30]);
    for order in ORDERS {
        let of = |threads: &str, out: &str| {
            let arguments = [
                "--ratio",
                "20",
                "--passes",
                "2",
                "--select",
                "diverse",
                "--order",
                order,
                "--batch-size",
                "12",
                "--threads",
                threads,
                "--out",
                out,
                "--batch-rows",
                if threads == "1" { "512" } else { "7" },
            ];
            scratch.build(&[&COMMON[..], &arguments].concat()).ok();
            hashes(&scratch.path().join(out))
        };
        let [one, two] =
            [("1", format!("{order}-1")), ("2", format!("{order}-2"))].map(|(n, out)| of(n, &out));
        assert_eq!(one, two, "{order}");
    }
}

#[test]
fn a_staged_order_has_the_task_first_and_some_of_it_again() {
    let scratch = sources([5, 3, 90, 30]);
    let rows = built(
        &scratch,
        &["--ratio", "10", "--order", "staged", "--stage-share", "1/3"],
    );
    assert_eq!(rows.len(), 8 + 80 + 3);
    let (first, second) = rows.split_at(8);
    assert!(first.iter().all(|row| row.is_task() && row.repeat == 0));
    let again: Vec<&Row> = second.iter().filter(|row| row.is_task()).collect();
    assert_eq!(again.len(), 3);
    assert!(
        again
            .iter()
            .all(|row| row.repeat == 1 && row.task_row.is_some())
    );
    let shards = manifest(&scratch.path().join("shards"));
    assert_eq!(
        shards["plan"]["stages"],
        json!([{ "name": "task", "first_position": 0 }, { "name": "diverse", "first_position": 8 }])
    );
    assert_eq!(shards["plan"]["task_rows"].as_u64(), Some(11));
    let ratio = &shards["ratio"];
    assert_eq!(
        (ratio["task_rows"].as_u64(), ratio["again_rows"].as_u64()),
        (Some(8), Some(3))
    );
    assert_eq!(ratio["achieved"].as_f64(), Some(10.0));
    let summary = scratch
        .build(
            &[
                &COMMON[..],
                &["--order", "staged", "--ratio", "1", "--out", "b"],
            ]
            .concat(),
        )
        .ok();
    assert!(
        summary.contains("stages  task from 0, diverse from 8"),
        "{summary}"
    );
    // At least one row by default, and none without a second stage.
    assert_eq!(stream(&scratch.path().join("b")).len(), 8 + 8 + 1);
    assert_eq!(
        built(&scratch, &["--ratio", "0", "--order", "staged"]).len(),
        8
    );
    for share in ["0", "2", "half"] {
        scratch
            .build(&["--stage-share", share])
            .fails(2, &["no share above 0 and at most 1"]);
    }
}

#[test]
fn each_pass_has_its_stages_and_an_order_of_its_own() {
    let scratch = sources([5, 3, 90, 30]);
    let rows = built(
        &scratch,
        &["--ratio", "4", "--order", "staged", "--passes", "2"],
    );
    let stages = manifest(&scratch.path().join("shards"))["plan"]["stages"].clone();
    let expected = [
        ("pass 1/task", 0),
        ("pass 1/diverse", 8),
        ("pass 2/task", 41),
        ("pass 2/diverse", 49),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, first)| json!({ "name": name, "first_position": first }))
        .collect();
    assert_eq!(stages, json!(expected));
    let task_order = |rows: &[Row]| -> Vec<(String, u64)> {
        rows.iter()
            .map(|row| (row.source.clone(), row.source_row))
            .collect()
    };
    let (first, second) = (task_order(&rows[..8]), task_order(&rows[41..49]));
    assert_ne!(first, second);
    let sorted = |mut rows: Vec<(String, u64)>| {
        rows.sort();
        rows
    };
    assert_eq!(sorted(first), sorted(second));
}

/// Rows of each source in each batch are its share, rounded up or down.
fn check_batches(rows: &[Row], batch_size: usize) {
    let mut totals: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows {
        *totals.entry(&row.source).or_default() += 1;
    }
    for batch in rows.chunks(batch_size) {
        for (source, total) in &totals {
            let part = batch.iter().filter(|row| row.source == *source).count();
            let exact = batch.len() as f64 * *total as f64 / rows.len() as f64;
            assert!(
                (part as f64 - exact).abs() < 1.0,
                "{part} rows of `{source}`, {exact} are its share"
            );
        }
    }
}

#[test]
fn the_default_batch_is_that_of_the_fit() {
    let scratch = sources([5, 3, 90, 30]);
    let small = built(&scratch, &["--ratio", "30", "--order", "stratified"]);
    assert_eq!(small.len(), 248);
    check_batches(&small, 16);
    let large = built(&scratch, &["--ratio", "31", "--order", "stratified"]);
    assert_eq!(large.len(), 256);
    check_batches(&large, 64);
}

#[test]
fn rare_rows_are_spread_over_a_stratified_stream() {
    let scratch = sources([10, 2, 700, 30]);
    let rows = built(
        &scratch,
        &[
            "--ratio",
            "80",
            "--order",
            "stratified",
            "--batch-size",
            "8",
        ],
    );
    assert_eq!(rows.len(), 972);
    // 10 rows in 121 batches: each third holds about a third of them.
    for third in rows.chunks(324) {
        let n = third.iter().filter(|row| row.source == "task").count();
        assert!((2..=5).contains(&n), "{n} task rows in a third");
    }
    let other = built(
        &scratch,
        &[
            "--ratio",
            "80",
            "--order",
            "stratified",
            "--batch-size",
            "8",
            "--seed",
            "1",
        ],
    );
    assert_ne!(rows, other);
}

#[test]
fn a_staged_stream_can_be_trained_on() {
    let scratch = sources([5, 3, 90, 30]);
    built(
        &scratch,
        &["--ratio", "4", "--order", "staged", "--passes", "2"],
    );
    let mut fit = Command::new(env!("CARGO_BIN_EXE_delia-fit"));
    scratch
        .run(fit.args(["shards", "--max-steps", "2", "--device", "cpu", "--quiet"]))
        .ok();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn a_stratified_batch_holds_the_mix(
        sizes in [1_usize..12, 1_usize..6, 1_usize..60, 1_usize..60],
        ratio in 0_u64..14,
        batch_size in 1_usize..40,
        passes in 1_usize..3,
    ) {
        let scratch = sources(sizes);
        let (ratio, size, n_passes) = (ratio.to_string(), batch_size.to_string(), passes.to_string());
        let arguments = ["--order", "stratified", "--ratio", &ratio, "--batch-size", &size, "--passes", &n_passes];
        let rows = built(&scratch, &arguments);
        for pass in rows.chunks(rows.len() / passes) {
            check_batches(pass, batch_size);
        }
    }
}
