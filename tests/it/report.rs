use serde_json::{Value, json};

use crate::delia::{Scratch, samples};

/// A build with exact and near-duplicates, two diverse sources, and markup in a sample.
fn built() -> Scratch {
    let scratch = Scratch::new();
    scratch.small_sources(3, 40);
    let text = "Name the capital of the country whose flag shows one white cross on a red ground in the middle";
    let line = |instruction: &str, output: &str| {
        let line = serde_json::json!({ "instruction": instruction, "output": output });
        format!("{line}\n")
    };
    let mut other = line(text, "Bern");
    other += &line(text, "Bern");
    other += &line(&format!("{text} please"), "Bern");
    other += &line(
        "<script>alert('x')</script> Say what this does & why",
        "<b>Nothing</b>",
    );
    other += &samples("other", 10);
    scratch.file("other.jsonl", other);
    let arguments = [
        "--task",
        "task.jsonl",
        "--diverse",
        "diverse.jsonl",
        "other.jsonl",
        "--ratio",
        "18",
        "--near",
        "0.8",
        "--held-out-diverse",
        "0",
        "--reword",
        "off",
    ];
    scratch.build(&arguments).ok();
    scratch
}

fn report(scratch: &Scratch, name: &str) -> Value {
    let printed = scratch.sql(&["shards", "--report", name, "--json"]).ok();
    serde_json::from_str(&printed).expect("one JSON document")
}

#[test]
fn every_report_is_printed_in_every_format() {
    let scratch = built();
    for name in [
        "overview",
        "sources",
        "lengths",
        "duplicates",
        "mix",
        "samples",
    ] {
        for format in ["table", "csv", "json", "markdown"] {
            let printed = scratch
                .sql(&["shards", "--report", name, "--format", format])
                .ok();
            assert!(
                printed.lines().count() > 2 || format == "json",
                "{name} {format}: {printed}"
            );
        }
        assert_eq!(report(&scratch, name)["report"], name);
    }
}

#[test]
fn the_overview_counts_what_the_shards_hold() {
    let scratch = built();
    let overview = report(&scratch, "overview");
    let build = &overview["build"][0];
    assert_eq!(
        (&build["rows"], &build["ratio_requested"]),
        (&57.into(), &"18".into())
    );
    let kinds = overview["kinds"].as_array().expect("a list");
    let rows: Vec<_> = kinds
        .iter()
        .map(|kind| (kind["kind"].as_str(), kind["rows"].as_u64()))
        .collect();
    assert_eq!(rows, [(Some("task"), Some(3)), (Some("diverse"), Some(54))]);
    let columns = overview["columns"].as_array().expect("a list");
    let position = &columns[0];
    assert_eq!(position["column_name"], "position");
    assert_eq!(
        (&position["min"], &position["max"], &position["median"]),
        (&"0".into(), &"56".into(), &28.0.into())
    );
    assert_eq!(
        (&position["nulls"], &position["rows"]),
        (&0.into(), &57.into())
    );
}

#[test]
fn duplicates_are_shown_with_the_row_that_stays() {
    let scratch = built();
    let duplicates = report(&scratch, "duplicates");
    let cluster = &duplicates["clusters"][0];
    assert_eq!(
        (&cluster["kept_source"], &cluster["kept_row"]),
        (&"other".into(), &0.into())
    );
    assert_eq!(
        (&cluster["exact"], &cluster["near"], &cluster["copies"]),
        (&1.into(), &1.into(), &"1, 2".into())
    );
    assert_eq!(cluster["most_similar"], 1.0);
    assert!(
        cluster["least_similar"]
            .as_f64()
            .is_some_and(|least| (0.8..1.0).contains(&least)),
        "{cluster}"
    );
    assert_eq!(
        duplicates["sizes"],
        serde_json::json!([{ "cluster_size": 3, "clusters": 1, "dropped": 2 }])
    );
}

#[test]
fn lengths_are_those_of_the_texts() {
    let scratch = built();
    let lengths = report(&scratch, "lengths");
    let quantiles = lengths["quantiles"].as_array().expect("a list");
    let of = |text: &str, unit: &str| {
        let found = quantiles
            .iter()
            .find(|row| row["kind"] == "task" && row["text"] == text && row["unit"] == unit);
        found.unwrap_or_else(|| panic!("{text} {unit}")).clone()
    };
    // `Repeat the task word`, `task-0`
    let instruction = of("instruction", "characters");
    assert_eq!(
        (
            &instruction["shortest"],
            &instruction["median"],
            &instruction["longest"]
        ),
        (&20.into(), &20.into(), &20.into())
    );
    assert_eq!(of("instruction", "words")["median"], 4);
    assert_eq!(of("output", "characters")["mean"], 6.0);
    let steps = lengths["characters"].as_array().expect("a list");
    let total: u64 = steps
        .iter()
        .filter_map(|step| step["diverse_input"].as_u64())
        .sum();
    assert_eq!(total, 54);
}

#[test]
fn the_directions_are_those_of_the_task() {
    let scratch = Scratch::new();
    scratch
        .build(&["--ratio", "1", "--variants", "2", "--keep-original"])
        .ok();
    let found = report(&scratch, "diversity");
    let directions = found["directions"].as_array().expect("a list");
    let rows = |row: &Value| row["rows"].as_u64().expect("a count");
    assert_eq!(directions.iter().map(rows).sum::<u64>(), 300);
    let original = &directions[0];
    assert_eq!(
        [
            &original["direction"],
            &original["rows"],
            &original["instructions"]
        ],
        [&json!("as it was"), &json!(100), &json!(1)]
    );
    assert!(
        directions.len() > 20
            && directions[1]["sample"]
                .as_str()
                .expect("text")
                .contains("<sep>")
    );
}

#[test]
fn the_mix_adds_up() {
    let scratch = built();
    let mix = report(&scratch, "mix");
    let sources = mix["sources"].as_array().expect("a list");
    let rows: u64 = sources
        .iter()
        .filter_map(|source| source["rows"].as_u64())
        .sum();
    assert_eq!(rows, 57);
    assert!(
        sources.iter().all(|source| source["difference"] == 0),
        "{sources:?}"
    );
    assert_eq!(
        mix["stages"],
        serde_json::json!([
            { "stage": "all", "first_position": 0, "rows": 57, "task_rows": 3, "diverse_rows": 54 }
        ])
    );
}

#[test]
fn samples_are_the_same_on_every_run_and_thread_count_and_others_for_another_seed() {
    let scratch = built();
    let drawn = |arguments: &[&str]| {
        let fixed = ["shards", "--report", "samples", "--samples", "4", "--json"];
        scratch.sql(&[&fixed, arguments].concat()).ok()
    };
    let one = drawn(&["--threads", "1"]);
    assert_eq!(one, drawn(&["--threads", "2", "--batch-rows", "3"]));
    assert_ne!(one, drawn(&["--seed", "1"]));
    let samples: Value = serde_json::from_str(&one).expect("JSON");
    assert_eq!(samples["samples"].as_array().map(Vec::len), Some(3 + 4));
}

#[test]
fn the_page_needs_nothing_else_and_follows_no_markup_in_data() {
    let scratch = built();
    scratch.file("report.html", "<!doctype html>an older one");
    let arguments = [
        "shards",
        "--report",
        "html",
        "--out",
        "report.html",
        "--samples",
        "40",
        "--quiet",
    ];
    assert_eq!(scratch.sql(&arguments).ok(), "");
    let page = std::fs::read_to_string(scratch.path().join("report.html")).expect("a page");
    assert!(page.starts_with("<!doctype html>"));
    assert!(page.contains("&lt;script&gt;alert("), "the sample is shown");
    for markup in [
        "<script",
        "<b>Nothing",
        "http:",
        "https:",
        "url(",
        "@import",
        "<link",
        "<img",
    ] {
        assert!(!page.contains(markup), "{markup}");
    }
    for chapter in [
        "overview",
        "sources",
        "lengths",
        "duplicates",
        "mix",
        "samples",
    ] {
        assert!(
            page.contains(&format!("<section id=\"{chapter}\">")),
            "{chapter}"
        );
    }
    assert!(page.contains("<rect "), "there are charts");
    assert!(!scratch.path().join("report.html.tmp").exists());
    let again = [
        "shards",
        "--report",
        "html",
        "--out",
        "again.html",
        "--samples",
        "40",
        "--threads",
        "1",
    ];
    scratch.sql(&again).ok();
    let again = std::fs::read_to_string(scratch.path().join("again.html")).expect("a page");
    assert!(again == page, "the page is the same on every run");
}

#[test]
fn what_cannot_be_meant_is_said() {
    let scratch = built();
    scratch.sql(&["shards", "--report", "nonsense"]).fails(
        2,
        &["invalid value 'nonsense'", "overview, sources, lengths"],
    );
    scratch
        .sql(&["shards", "--report", "html"])
        .fails(2, &["--out <FILE>"]);
    scratch
        .sql(&["shards", "--report", "mix", "--out", "x.html"])
        .fails(
            2,
            &[
                "error: --out: only `--report html` writes a file",
                "hint: other reports go to stdout",
            ],
        );
    scratch
        .sql(&["shards", "SELECT 1", "--report", "mix"])
        .fails(2, &["cannot be used with"]);
    scratch.file("unfinished/plan.json", "{}");
    scratch.sql(&["unfinished", "--report", "overview"]).fails(
        1,
        &["`unfinished` holds no finished build: `manifest.json` is missing"],
    );
    scratch
        .sql(&["shards", "--report", "html", "--out", "no/such/page.html"])
        .fails(1, &["could not write `no/such/page.html`"]);
    // What is there and no page stays as it is, and so does the build.
    let before = crate::delia::hashes(scratch.path());
    for (out, problem) in [
        (
            "other.jsonl",
            "error: --out: `other.jsonl` is there and no page",
        ),
        (
            "shards/00000.parquet",
            "error: --out: `shards/00000.parquet` lies in the build",
        ),
        ("shards/page.html", "lies in the build"),
    ] {
        scratch
            .sql(&["shards", "--report", "html", "--out", out])
            .fails(2, &[problem, "hint: "]);
    }
    assert_eq!(before, crate::delia::hashes(scratch.path()));
}
