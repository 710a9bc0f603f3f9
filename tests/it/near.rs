use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::delia::{Scratch, source_of, stream};

/// The build of these task and diverse prompts; every diverse row has a response of its own.
fn build(scratch: &Scratch, tasks: &[String], diverse: &[String], arguments: &[&str]) {
    let lines = |prompts: &[String], response: &dyn Fn(usize) -> String| {
        let rows = prompts.iter().enumerate().map(|(nth, prompt)| {
            json!({"instruction": prompt, "output": response(nth)}).to_string() + "\n"
        });
        rows.collect::<String>()
    };
    scratch.file("task.jsonl", lines(tasks, &|nth| format!("task {nth}")));
    scratch.file("diverse.jsonl", lines(diverse, &|nth| format!("{nth}")));
    let common = [
        "--task",
        "task.jsonl",
        "--diverse",
        "diverse.jsonl",
        "--ratio",
        "1",
        "--held-out-diverse",
        "0",
        "--force",
    ];
    scratch.build(&[&common, arguments].concat()).ok();
}

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

fn pieces(prompt: &str) -> BTreeSet<Vec<String>> {
    let words: Vec<String> = prompt
        .to_lowercase()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    if words.len() <= 3 {
        return BTreeSet::from([words]);
    }
    words.windows(3).map(<[String]>::to_vec).collect()
}

fn similarity(a: &str, b: &str) -> f64 {
    let (a, b) = (pieces(a), pieces(b));
    a.intersection(&b).count() as f64 / a.union(&b).count() as f64
}

/// The definition, pair by pair: a row goes when an earlier row that stays is as similar as the threshold.
fn by_definition(tasks: &[String], diverse: &[String], threshold: f64) -> BTreeSet<u64> {
    let mut kept: Vec<&String> = tasks.iter().collect();
    let mut gone = BTreeSet::new();
    for (nth, prompt) in (0..).zip(diverse) {
        if kept
            .iter()
            .any(|kept| similarity(kept, prompt) >= threshold)
        {
            gone.insert(nth);
        } else {
            kept.push(prompt);
        }
    }
    gone
}

/// Prompts of few words, so that many are alike.
fn prompts(n: std::ops::Range<usize>) -> impl Strategy<Value = Vec<String>> {
    let words = prop::sample::select(vec!["a", "B", "c", "d", "ﬁ"]);
    let prompt = prop::collection::vec(words, 1..12).prop_map(|words| words.join(" "));
    prop::collection::vec(prompt, n)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_row_goes_exactly_when_an_earlier_row_that_stays_is_similar(
        tasks in prompts(1..4),
        diverse in prompts(20..120),
        threshold in prop::sample::select(vec![0.3, 0.5, 0.8, 1.0]),
    ) {
        let tasks: Vec<_> = tasks.iter().map(|prompt| prompt.replace('ﬁ', "fi")).collect();
        let plain: Vec<_> = diverse.iter().map(|prompt| prompt.replace('ﬁ', "fi")).collect();
        let scratch = Scratch::new();
        build(&scratch, &tasks, &diverse, &["--near", &threshold.to_string()]);
        let found = dropped(&scratch);
        let expected = by_definition(&tasks, &plain, threshold);
        prop_assert_eq!(found.keys().copied().collect::<BTreeSet<_>>(), expected.clone());
        for (row, (source, kept, claimed)) in &found {
            let kept_prompt = match source.as_str() {
                "task" => &tasks[*kept as usize],
                _ => &plain[*kept as usize],
            };
            prop_assert!(source == "task" || !expected.contains(kept), "what it is compared with stays");
            let expected = similarity(kept_prompt, &plain[*row as usize]);
            prop_assert!((claimed - expected).abs() < 1e-9, "{claimed} is not {expected}");
        }
        // MinHash may miss some; none that it drops is below the threshold.
        build(&scratch, &tasks, &diverse, &["--near", &threshold.to_string(), "--near-method", "minhash"]);
        for (source, kept, claimed) in dropped(&scratch).values() {
            prop_assert!(*claimed >= threshold && (source == "task" || (*kept as usize) < plain.len()));
        }
    }
}

fn texts(prompts: &[&str]) -> Vec<String> {
    prompts.iter().map(|&prompt| prompt.to_owned()).collect()
}

#[test]
fn task_rows_stay_and_a_diverse_row_near_one_goes() {
    let scratch = Scratch::new();
    let task = "Name the capital of the country in one word, please, and nothing else";
    let tasks = texts(&[task, &task.to_uppercase()]);
    let diverse = texts(&[
        &format!("{task} at all"),
        "Say hello",
        "Sing a song of sixpence",
        "Say  HELLO",
    ]);
    build(&scratch, &tasks, &diverse, &["--near", "0.8"]);
    let rows = stream(&scratch.path().join("shards"));
    assert_eq!(rows.iter().filter(|row| row.is_task()).count(), 2);
    let found = dropped(&scratch);
    assert_eq!(found[&0], ("task".to_owned(), 0, 11.0 / 13.0));
    assert_eq!(found[&3], ("diverse".to_owned(), 1, 1.0));
    assert_eq!(found.len(), 2);
    let source = source_of(&scratch.path().join("shards"), "diverse");
    let counts = ["rows_in", "dropped", "kept", "used"].map(|key| source[key].as_u64());
    assert_eq!(counts, [4, 2, 2, 2].map(Some));
}

#[test]
fn what_is_compared_and_how_can_be_chosen() {
    let scratch = Scratch::new();
    let (tasks, diverse) = (
        texts(&["Begin"]),
        texts(&["Say hello", "Say hello", "Say hallo"]),
    );
    let n_gone = |arguments: &[&str]| {
        build(&scratch, &tasks, &diverse, arguments);
        dropped(&scratch).len()
    };
    assert_eq!(n_gone(&["--near", "0.8"]), 1);
    assert_eq!(n_gone(&[]), 1, "0.8 unless something else is asked for");
    assert_eq!(n_gone(&["--near", "off"]), 0);
    assert_eq!(
        n_gone(&["--near", "0.8", "--dedupe-on", "sample"]),
        0,
        "the responses differ"
    );
    assert_eq!(n_gone(&["--near", "0.3", "--shingle", "char:2"]), 2);
    let refused = |arguments: &[&str], text| {
        scratch.build(arguments).fails(2, &[text]);
    };
    refused(&["--near", "2"], "neither `off` nor a similarity above 0");
    refused(&["--shingle", "line:1"], "none of `word:N` and `char:N`");
    refused(
        &[
            "--near",
            "0.1",
            "--near-method",
            "minhash",
            "--near-permutations",
            "8",
        ],
        "too few to find pairs of similarity 0.1",
    );
}
