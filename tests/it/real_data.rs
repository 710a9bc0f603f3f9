use std::path::PathBuf;

use crate::delia::{Scratch, skipped, source_of, stream};
use crate::fit::fit;

/// The folder of real datasets, or `None`, said aloud.
fn real_data(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("DELIA_REAL_DATA").map(PathBuf::from);
    if folder.is_none() {
        skipped(test, "DELIA_REAL_DATA names no folder of real datasets");
    }
    folder
}

#[test]
fn translation_among_alpaca_holds_the_ratio() {
    let Some(data) = real_data("translation_among_alpaca_holds_the_ratio") else {
        return;
    };
    let path = |name: &str| data.join(name).to_string_lossy().into_owned();
    let scratch = Scratch::new();
    let (task, alpaca) = (
        path("task/wmt21_en_is/dev-en-is.jsonl"),
        path("diverse/alpaca_data.json.zst"),
    );
    let sources = ["--task", &task, "--diverse", &alpaca];
    let printed = scratch
        .build(&[&sources[..], &["--ratio", "520", "--near", "0.8"]].concat())
        .ok();
    assert!(
        printed.contains("520 requested, 520 achieved: 71 task rows, 36,920 diverse rows"),
        "{printed}"
    );
    let rows = stream(&scratch.path().join("shards"));
    assert_eq!(rows.iter().filter(|row| row.is_task()).count(), 71);
    assert_eq!(rows.len(), 71 + 36_920);
    for placeholder in ["N/A", "No input", "<no input>", "None"] {
        assert!(
            rows.iter().all(|row| row.input != placeholder),
            "`{placeholder}` is no input"
        );
    }
    let source = source_of(&scratch.path().join("shards"), "alpaca_data");
    assert_eq!(source["rows_in"], 52_002);
    assert_eq!(source["dropped_by_reason"]["empty_output"], 28);
    assert_eq!(source["dropped_by_reason"]["near_duplicate"], 7);
    let sql = "SELECT kind, count(*) AS n FROM shards GROUP BY kind ORDER BY kind";
    assert_eq!(
        scratch.sql(&["shards", sql, "--format", "csv"]).ok(),
        "kind,n\ndiverse,36920\ntask,71\n"
    );
    // Documents, and languages the bundled tokenizer has never seen.
    let arguments = ["shards", "--max-steps", "50", "--batch-size", "2"];
    fit(
        &scratch,
        &[&arguments[..], &["--too-long", "truncate"]].concat(),
    )
    .ok();
}

#[test]
fn every_real_file_with_a_prompt_and_a_response_is_a_source() {
    let Some(data) = real_data("every_real_file_with_a_prompt_and_a_response_is_a_source") else {
        return;
    };
    let path = |name: &str| data.join(name).to_string_lossy().into_owned();
    let scratch = Scratch::new();
    let diverse = path("diverse/*");
    let tasks = [
        path("task/wmt21_*/*.jsonl"),
        path("task/halu_cot_json/*.jsonl"),
        path("task/halu_cot_json/source/*"),
    ];
    let mut arguments = vec![
        "--diverse",
        &diverse,
        "--ratio",
        "1",
        "--on-exhausted",
        "error",
        "--task",
    ];
    arguments.extend(tasks.iter().map(String::as_str));
    arguments.extend([
        "--map",
        "train_labels_only:instruction=user_query,output=chatgpt_response",
        "halueval_general_data:instruction=user_query,output=chatgpt_response",
        "halueval_qa_multi-turn_data:input=knowledge,output=right_answer",
        "halueval_qa_one-turn_data:input=knowledge,output=right_answer",
    ]);
    scratch.build(&arguments).ok();
    let out = scratch.path().join("shards");
    for (name, n_records) in [
        ("alpaca_data", 52_002),
        ("alpaca_gpt4_en_demo", 999),
        ("code_alpaca_2k", 2_017),
        ("gpteacher_codegen", 4_535),
        ("gpteacher_roleplay", 3_146),
        ("gsm8k_train", 7_473),
        ("instruction_induction", 1_815),
        ("seed_tasks", 175),
        ("dev-en-is", 71),
        ("test-is-en", 47),
        ("test_Halu_CoT_JSON", 1_506),
        ("train_labels_only", 3_001),
        ("halueval_general_data", 4_507),
        ("halueval_qa_one-turn_data", 500),
    ] {
        let source = source_of(&out, name);
        assert_eq!(source["rows_in"], n_records, "{name}");
        assert_eq!(
            source["dropped_by_reason"]["unreadable"],
            serde_json::Value::Null,
            "{name}"
        );
    }
}

/// The numbers are those of a few lines of Python over the definition.
#[test]
fn what_is_measured_on_is_found_in_real_data() {
    let Some(data) = real_data("what_is_measured_on_is_found_in_real_data") else {
        return;
    };
    let path = |name: &str| data.join(name).to_string_lossy().into_owned();
    let scratch = Scratch::new();
    for (diverse, flag, measured, n_overlaps) in [
        (
            "gsm8k_train.jsonl.zst",
            "--eval",
            "eval/gsm8k_test.jsonl",
            236,
        ),
        (
            "alpaca_data.json.zst",
            "--eval",
            "eval/ifeval_input_data.jsonl",
            15,
        ),
        (
            "alpaca_data.json.zst",
            "--held-out",
            "task/halu_cot_json/test_Halu_CoT_JSON.jsonl",
            1_762,
        ),
    ] {
        let (file, measured) = (path(&format!("diverse/{diverse}")), path(measured));
        let sources = [
            "--diverse",
            &file,
            flag,
            &measured,
            "--ratio",
            "1",
            "--near",
            "off",
            "--force",
        ];
        scratch.build(&sources).ok();
        let name = diverse.split('.').next().expect("a name");
        let source = source_of(&scratch.path().join("shards"), name);
        assert_eq!(
            source["dropped_by_reason"]["held_out_overlap"], n_overlaps,
            "{diverse} and {measured}"
        );
    }
}
