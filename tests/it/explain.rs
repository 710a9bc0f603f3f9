use std::fs;

use delia::queries::Query;
use serde_json::{Value, json};

use crate::delia::{Scratch, manifest};

const BUILD: [&str; 14] = [
    "--task",
    "task.jsonl",
    "--diverse",
    "diverse.jsonl",
    "--held-out",
    "held.jsonl",
    "--near",
    "0.8",
    "--near-method",
    "minhash",
    "--ratio",
    "2.5",
    "--order",
    "strict",
];

fn sources(scratch: &Scratch) {
    scratch.small_sources(6, 80);
    // Long enough for words in a row.
    let held = (0..12).map(|nth| {
        let words: Vec<_> = (0..12).map(|word| format!("w{nth}-{word}")).collect();
        format!(
            "{}\n",
            json!({"prompt": format!("Repeat {nth}"), "response": words.join(" ")})
        )
    });
    scratch.file("held.jsonl", held.collect::<String>());
}

#[test]
fn every_query_is_shown_with_its_parameters_and_plan_and_nothing_is_written() {
    let scratch = Scratch::new();
    sources(&scratch);
    let printed = scratch.build(&[&BUILD[..], &["--explain"]].concat()).ok();
    let queries = [
        Query::Normalize,
        Query::DedupeExact,
        Query::HeldOutPrompts,
        Query::HeldOutNgrams,
        Query::Suspects,
        Query::Overlaps,
        Query::Decontaminate,
        Query::HoldOut,
        Query::Diversify,
        Query::Interleave,
        Query::Shards,
        Query::Dropped,
        Query::HeldOut,
        Query::Sources,
    ];
    for query in queries {
        assert!(
            printed.contains(&format!("-- queries/{}\n", query.file())),
            "{}",
            query.file()
        );
        // The text once, however often it runs.
        assert_eq!(printed.matches(query.sql()).count(), 1, "{}", query.file());
    }
    for shown in [
        "-- $kind = 'held_out'",
        "-- $order = 'strict'",
        "-- $ratio = '2.5'",
        "-- $n_rows = 8\n",
        "-- logical plan\n",
        "-- physical plan\n",
        "OUT/.stages/",
    ] {
        assert!(printed.contains(shown), "`{shown}` is not in:\n{printed}");
    }
    let temporary = std::env::temp_dir();
    assert!(
        !printed.contains(&*temporary.to_string_lossy()),
        "{printed}"
    );
    assert_eq!(
        printed,
        scratch.build(&[&BUILD[..], &["--explain"]].concat()).ok(),
        "the same every time"
    );
    let json = scratch
        .build(&[&BUILD[..], &["--explain", "--json"]].concat())
        .ok();
    let json: Vec<Value> = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json[0]["query"], "10_normalize.sql");
    assert!(!scratch.path().join("shards").exists());
}

#[test]
fn a_dry_run_says_to_the_row_what_the_build_then_does() {
    let scratch = Scratch::new();
    sources(&scratch);
    scratch.file("more.csv", "instruction,output\nAdd 1 and 1,2\n,\n");
    let mut build = BUILD.to_vec();
    build.insert(4, "more.csv");
    let printed = scratch.build(&[&build[..], &["--dry-run"]].concat()).ok();
    for shown in [
        " more.csv ",
        "JSON Lines",
        "CSV",
        "mix     6 task rows and 15 diverse rows, 15 asked for, strict",
        "shards  1 of 16,384 rows",
        "note    nothing was written",
    ] {
        assert!(printed.contains(shown), "`{shown}` is not in:\n{printed}");
    }
    let json = scratch
        .build(&[&build[..], &["--dry-run", "--json"]].concat())
        .ok();
    let dry: Value = serde_json::from_str(&json).expect("JSON");
    let bytes = fs::metadata(scratch.path().join("more.csv")).expect("a file");
    assert_eq!(dry["read"][2]["bytes"], bytes.len());
    assert!(!scratch.path().join("shards").exists());
    scratch.build(&build).ok();
    let built = manifest(&scratch.path().join("shards"));
    for key in ["ratio", "plan"] {
        assert_eq!(dry[key], built[key], "{key}");
    }
    for (dry, built) in dry["sources"]
        .as_array()
        .expect("a list")
        .iter()
        .zip(built["sources"].as_array().expect("a list"))
    {
        for key in [
            "source",
            "blake3",
            "rows_in",
            "kept",
            "dropped_by_reason",
            "used",
            "repeats",
            "held_out",
        ] {
            assert_eq!(dry[key], built[key], "{key} of {}", built["source"]);
        }
    }
}

#[test]
fn what_a_build_would_refuse_is_refused_before() {
    let scratch = Scratch::new();
    scratch.small_sources(2, 5);
    let arguments = [
        "--task",
        "task.jsonl",
        "--diverse",
        "diverse.jsonl",
        "--on-exhausted",
        "error",
    ];
    for flag in ["--explain", "--dry-run"] {
        scratch
            .build(&[&arguments[..], &[flag]].concat())
            .fails(1, &["the ratio asks for 1040 diverse samples"]);
    }
    scratch
        .build(&["--dry-run", "--explain"])
        .fails(2, &["cannot be used with"]);
}
