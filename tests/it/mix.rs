use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::delia::{Ran, Row, Scratch, hashes, manifest, samples, source_of, stream};

const COMMON: [&str; 5] = ["--task", "task.jsonl", "--held-out-diverse", "0", "--force"];

pub(crate) fn run(scratch: &Scratch, arguments: &[&str]) -> Ran {
    scratch.build(&[&COMMON[..], arguments].concat())
}

pub(crate) fn built(scratch: &Scratch, arguments: &[&str]) -> Vec<Row> {
    run(scratch, arguments).ok();
    stream(&scratch.path().join("shards"))
}

/// Diverse rows by source.
fn counts(rows: &[Row]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for row in rows.iter().filter(|row| !row.is_task()) {
        *counts.entry(row.source.as_str()).or_default() += 1;
    }
    counts
}

/// 7 task rows, 200 rows `large`, 60 rows `small`.
pub(crate) fn sources() -> Scratch {
    let scratch = Scratch::new();
    scratch.file("task.jsonl", samples("task", 7));
    scratch.file("large.jsonl", samples("large", 200));
    scratch.file("small.jsonl", samples("small", 60));
    scratch
}

pub(crate) const WEIGHTED: [&str; 8] = [
    "--diverse",
    "large.jsonl",
    "--weight",
    "0.3",
    "--diverse",
    "small.jsonl",
    "--weight",
    "0.7",
];

#[test]
fn weights_are_met_to_the_row_even_where_a_source_repeats() {
    let scratch = sources();
    let rows = built(&scratch, &[&WEIGHTED[..], &["--ratio", "21"]].concat());
    // 147 rows: 44.1 and 102.9.
    assert_eq!(
        counts(&rows),
        BTreeMap::from([("large", 44), ("small", 103)])
    );
    let small = source_of(&scratch.path().join("shards"), "small");
    let mix = json!({
        "weight": 0.7, "cap": null, "group": null, "requested_rows": 103, "requested_tokens": null,
        "achieved_rows": 103, "achieved_by_pass": [103],
    });
    assert_eq!(small["mix"], mix);
    assert_eq!(
        (small["used"].as_u64(), small["repeats"].as_u64()),
        (Some(60), Some(43))
    );
    // Every stretch of draws holds the sources in their shares.
    let strict = built(
        &scratch,
        &[&WEIGHTED[..], &["--ratio", "21", "--order", "strict"]].concat(),
    );
    let draws: Vec<&Row> = strict.iter().filter(|row| !row.is_task()).collect();
    for n_draws in 0..draws.len() {
        let n_small = draws[..n_draws]
            .iter()
            .filter(|row| row.source == "small")
            .count() as f64;
        assert!(
            (n_small - 0.7 * n_draws as f64).abs() <= 1.0,
            "{n_small} of {n_draws}"
        );
    }
}

#[test]
fn a_source_that_may_not_repeat_stops_the_build_or_is_topped_up() {
    let scratch = sources();
    let error = [&WEIGHTED[..], &["--ratio", "21", "--on-exhausted", "error"]].concat();
    run(&scratch, &error).fails(
        1,
        &[
            "asks for 103 rows of `small`, 60 are left after cleaning",
            "hint: `--on-exhausted repeat`",
        ],
    );
    let top_up = [
        &WEIGHTED[..],
        &["--ratio", "21", "--on-exhausted", "top-up"],
    ]
    .concat();
    let rows = built(&scratch, &top_up);
    assert_eq!(
        counts(&rows),
        BTreeMap::from([("large", 87), ("small", 60)])
    );
    assert!(rows.iter().all(|row| row.repeat == 0));
    let mix = &source_of(&scratch.path().join("shards"), "small")["mix"];
    assert_eq!(
        (
            mix["requested_rows"].as_u64(),
            mix["achieved_rows"].as_u64()
        ),
        (Some(103), Some(60))
    );
    let report = scratch.sql(&["shards", "--report", "mix", "--json"]).ok();
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    let small = report["sources"].as_array().and_then(|sources| {
        let named = |source: &&serde_json::Value| source["source"] == "small";
        sources.iter().find(named)
    });
    let small = small.expect("it gave rows");
    assert_eq!(
        (&small["requested"], &small["rows"], &small["difference"]),
        (&103.into(), &60.into(), &json!(-43))
    );
}

#[test]
fn a_cap_holds_and_the_others_give_the_rest() {
    let scratch = sources();
    let capped = [
        "--diverse",
        "large.jsonl",
        "--cap",
        "50",
        "--diverse",
        "small.jsonl",
    ];
    let rows = built(&scratch, &[&capped[..], &["--ratio", "15"]].concat());
    assert_eq!(
        counts(&rows),
        BTreeMap::from([("large", 50), ("small", 55)])
    );
    let both = [&capped[..], &["--cap", "20", "--ratio", "15"]].concat();
    run(&scratch, &both).fails(
        1,
        &[
            "the caps of the sources allow at most 70 of the 105 diverse rows of a pass",
            "hint: a higher `--cap`",
        ],
    );
}

#[test]
fn the_files_of_a_pattern_have_one_weight_together() {
    let scratch = sources();
    scratch.file("part-1.jsonl", samples("one", 30));
    scratch.file("part-2.jsonl", samples("two", 10));
    let arguments = [
        "--diverse",
        "part-*.jsonl",
        "--weight",
        "2",
        "--diverse",
        "large.jsonl",
        "small.jsonl",
        "--weight",
        "1",
        "--ratio",
        "12",
    ];
    let rows = built(&scratch, &arguments);
    // 84 rows: 56 for the pattern, 28 for the two files, each split by size.
    let expected = [("part-1", 42), ("part-2", 14), ("large", 22), ("small", 6)];
    assert_eq!(counts(&rows), BTreeMap::from(expected));
    let shards = scratch.path().join("shards");
    scratch
        .build(&["--recipe", "shards/recipe.toml", "--out", "again"])
        .ok();
    assert_eq!(hashes(&shards), hashes(&scratch.path().join("again")));
}

#[test]
fn a_recipe_holds_weights_and_caps() {
    let scratch = sources();
    let recipe = r#"
        [build]
        ratio = 10
        task = ["task.jsonl"]
        held-out-diverse = 0
        diverse = [{ path = "large.jsonl", weight = 3 }, { path = "small.jsonl", weight = 1, cap = 10 }]
    "#;
    scratch.file("mix.toml", recipe);
    scratch.build(&["--recipe", "mix.toml"]).ok();
    let rows = stream(&scratch.path().join("shards"));
    assert_eq!(
        counts(&rows),
        BTreeMap::from([("large", 60), ("small", 10)])
    );
    scratch.file(
        "mix.toml",
        recipe.replace(
            "[\"task.jsonl\"]",
            "[{ path = \"task.jsonl\", weight = 1 }]",
        ),
    );
    scratch
        .build(&["--recipe", "mix.toml", "--out", "no"])
        .fails(2, &["weight: `task.jsonl` is no diverse source"]);
    scratch.file("mix.toml", recipe.replace("weight = 1", "weight = -1"));
    scratch
        .build(&["--recipe", "mix.toml", "--out", "no"])
        .fails(2, &["mix.toml"]);
}

#[test]
fn generators_have_weights_too() {
    let scratch = sources();
    let arguments = [
        "--diverse",
        "procedural:sort_numbers",
        "--weight",
        "1",
        "--diverse",
        "procedural:weekday",
        "--weight",
        "1",
        "--ratio",
        "9",
    ];
    let rows = built(&scratch, &arguments);
    let expected = [("procedural:sort_numbers", 32), ("procedural:weekday", 31)];
    assert_eq!(counts(&rows), BTreeMap::from(expected));
}

#[test]
fn weights_that_cannot_be_meant_are_refused_with_a_hint() {
    let scratch = sources();
    let refused = |arguments: &[&str], texts: &[&str]| run(&scratch, arguments).fails(2, texts);
    let two = [
        "--diverse",
        "large.jsonl",
        "--diverse",
        "small.jsonl",
        "--weight",
    ];
    refused(
        &[&two[..], &["1"]].concat(),
        &[
            "weight: `large.jsonl` has none",
            "hint: give every `--diverse` a `--weight`",
        ],
    );
    refused(
        &["--diverse", "large.jsonl", "--weight", "0"],
        &["all weights are 0", "hint: `--ratio 0`"],
    );
    refused(
        &["--diverse", "large.jsonl", "--weight", "-1"],
        &["a weight is a number of at least 0"],
    );
    refused(
        &["--diverse", "large.jsonl", "--weight", "NaN"],
        &["a weight is a finite number"],
    );
    refused(
        &["--weight", "1", "--diverse", "large.jsonl"],
        &["follows no `--diverse`", "hint: it belongs"],
    );
    refused(
        &["--diverse", "large.jsonl", "--cap", "1", "--cap", "2"],
        &["has two of them"],
    );
    assert!(!scratch.path().join("shards").exists());
}

#[test]
fn a_pass_draws_what_the_passes_before_did_not_use() {
    let scratch = sources();
    let arguments = ["--diverse", "large.jsonl", "--ratio", "12", "--passes", "3"];
    let rows = built(&scratch, &arguments);
    let manifest = manifest(&scratch.path().join("shards"));
    let n_pass = 7 + 84;
    assert_eq!(
        manifest["plan"]["stages"],
        json!([
            { "name": "pass 1", "first_position": 0 },
            { "name": "pass 2", "first_position": n_pass },
            { "name": "pass 3", "first_position": 2 * n_pass },
        ])
    );
    let passes: Vec<&[Row]> = rows.chunks(n_pass).collect();
    assert_eq!(passes.len(), 3);
    let drawn = |pass: &[Row]| -> BTreeSet<u64> {
        pass.iter()
            .filter(|row| !row.is_task())
            .map(|row| row.source_row)
            .collect()
    };
    for (nth, pass) in passes.iter().enumerate() {
        let tasks: Vec<_> = pass.iter().filter(|row| row.is_task()).collect();
        assert_eq!(tasks.len(), 7);
        assert!(
            tasks.iter().all(|row| row.repeat == nth as u32),
            "`repeat` counts across passes"
        );
    }
    assert_eq!(drawn(passes[0]).len() + drawn(passes[1]).len(), 2 * 84);
    assert!(drawn(passes[0]).is_disjoint(&drawn(passes[1])));
    // 200 rows: the third pass takes the 32 that are left, then 52 for the second time.
    let before = &drawn(passes[0]) | &drawn(passes[1]);
    assert_eq!(drawn(passes[2]).difference(&before).count(), 32);
    let n_again = rows
        .iter()
        .filter(|row| !row.is_task() && row.repeat == 1)
        .count();
    assert_eq!(n_again, 52);
    let ratio = &manifest["ratio"];
    assert_eq!(ratio["requested_rows"].as_u64(), Some(252));
    assert_eq!(
        (ratio["task_rows"].as_u64(), ratio["achieved"].as_f64()),
        (Some(21), Some(12.0))
    );
    let error = [&arguments[..], &["--on-exhausted", "error"]].concat();
    run(&scratch, &error).fails(1, &["asks for 252 diverse samples, 200 are left"]);
    run(&scratch, &["--passes", "0"]).fails(2, &["passes: between 1 and"]);
}

/// 300 prompts of one kind and 12 of kinds of their own.
fn skewed() -> Scratch {
    let scratch = sources();
    let rare = [
        "Explain photosynthesis",
        "Translate greetings",
        "Compose limericks",
        "Balance equations",
        "Summarise chapters",
        "Debug Python functions",
        "Recommend museums",
        "Classify minerals",
        "Estimate distances",
        "Narrate expeditions",
        "Simplify fractions",
        "Correct spelling",
    ];
    let line = |prompt: &&str| format!("{}\n", json!({ "instruction": prompt, "output": "yes" }));
    let rare: String = rare.iter().map(line).collect();
    scratch.file("skewed.jsonl", samples("common", 300) + &rare);
    scratch
}

#[test]
fn a_diverse_selection_takes_the_rare_kinds_first() {
    let scratch = skewed();
    let n_rare = |arguments: &[&str]| {
        let rows = built(
            &scratch,
            &[&["--diverse", "skewed.jsonl", "--ratio", "3"], arguments].concat(),
        );
        assert_eq!(rows.len(), 7 + 21);
        rows.iter().filter(|row| row.output == "yes").count()
    };
    for seed in ["0", "1", "2"] {
        assert_eq!(n_rare(&["--select", "diverse", "--seed", seed]), 12);
    }
    assert!(n_rare(&["--select", "random"]) < 6);
}

#[test]
fn a_diverse_selection_loses_and_invents_nothing() {
    let scratch = skewed();
    let arguments = [
        "--diverse",
        "skewed.jsonl",
        "--weight",
        "4",
        "--diverse",
        "small.jsonl",
        "--weight",
        "1",
        "--select",
        "diverse",
        "--ratio",
        "60",
        "--passes",
        "2",
        "--held-out-diverse",
        "20",
        "--task",
        "task.jsonl",
    ];
    scratch.build(&arguments).ok();
    let rows = stream(&scratch.path().join("shards"));
    assert_eq!(
        counts(&rows),
        BTreeMap::from([("skewed", 672), ("small", 168)])
    );
    let sql = "SELECT source, source_row FROM held_out WHERE kind = 'diverse'";
    let held_out = scratch.sql(&["shards", sql, "--format", "csv"]).ok();
    assert_eq!(held_out.lines().count(), 1 + 20);
    let mut uses: BTreeMap<(&str, u64), usize> = BTreeMap::new();
    for row in rows.iter().filter(|row| !row.is_task()) {
        assert!(!held_out.contains(&format!("{},{}\n", row.source, row.source_row)));
        *uses.entry((&row.source, row.source_row)).or_default() += 1;
    }
    assert_eq!(uses.len(), 312 + 60 - 20, "the whole pool");
    for source in ["skewed", "small"] {
        let of_source = || {
            uses.iter()
                .filter(|((name, _), _)| *name == source)
                .map(|(_, &n)| n)
        };
        let (least, most) = (of_source().min(), of_source().max());
        assert!(
            most <= least.map(|n| n + 1),
            "no row twice more often than another"
        );
    }
}
