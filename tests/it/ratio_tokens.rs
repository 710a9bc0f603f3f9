use std::fs;
use std::path::Path;

use delia::tokenizer::TokenCounter;

use crate::delia::{Row, hashes, manifest, source_of};
use crate::mix::{WEIGHTED, built, run, sources};

/// Tokens of a stream's rows of one kind, by their source.
fn tokens(rows: &[Row], is_task: bool) -> (u64, u64) {
    let counter =
        TokenCounter::read(Path::new("bundled:tiny"), &[]).expect("the bundled tokenizer");
    let of_row = |row: &Row| -> u64 {
        let texts = [&row.instruction, &row.input, &row.output];
        texts
            .iter()
            .map(|text| counter.count(text).expect("tokens"))
            .sum()
    };
    let counted: Vec<u64> = rows
        .iter()
        .filter(|row| row.is_task() == is_task)
        .map(of_row)
        .collect();
    (
        counted.iter().sum(),
        counted.iter().copied().max().unwrap_or(0),
    )
}

#[test]
fn a_ratio_in_tokens_is_met_within_half_a_row_of_each_source() {
    let scratch = sources();
    let by_tokens = ["--tokenizer", "bundled:tiny", "--ratio-tokens", "6.5"];
    let rows = built(&scratch, &[&WEIGHTED[..], &by_tokens].concat());
    let ((task, _), (diverse, longest)) = (tokens(&rows, true), tokens(&rows, false));
    let asked = (6.5 * task as f64).round() as u64;
    assert!(
        diverse.abs_diff(asked) <= longest,
        "{diverse} tokens of {asked}"
    );
    let ratio = &manifest(&scratch.path().join("shards"))["ratio"];
    assert_eq!(ratio["unit"], "tokens");
    assert_eq!(ratio["tokens"]["requested_tokens"].as_u64(), Some(asked));
    assert_eq!(ratio["tokens"]["achieved_tokens"].as_u64(), Some(diverse));
    assert_eq!(ratio["tokens"]["task_tokens"].as_u64(), Some(task));
    assert_eq!(ratio["achieved_rows"].as_u64(), Some(rows.len() as u64 - 7));
    let small: Vec<Row> = rows
        .iter()
        .filter(|row| row.source == "small")
        .cloned()
        .collect();
    let of_small = source_of(&scratch.path().join("shards"), "small");
    assert_eq!(of_small["tokens"].as_u64(), Some(tokens(&small, false).0));
    let requested = of_small["mix"]["requested_tokens"]
        .as_u64()
        .expect("tokens");
    assert!(requested.abs_diff(tokens(&small, false).0) <= longest / 2 + 1);
    // The generator makes as many rows as the tokens take.
    let rows = built(
        &scratch,
        &[
            "--diverse",
            "procedural",
            "--ratio-tokens",
            "3",
            "--tokenizer",
            "bundled:tiny",
        ],
    );
    let ((task, _), (diverse, longest)) = (tokens(&rows, true), tokens(&rows, false));
    assert!(diverse.abs_diff(3 * task) <= longest);
    assert!(rows.iter().all(|row| row.repeat == 0));
}

#[test]
fn a_tokenizer_is_part_of_the_recipe() {
    let scratch = sources();
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/model/tiny/tokenizer.json");
    let text = fs::read_to_string(tiny).expect("a tokenizer");
    scratch.file("model/tokenizer.json", &text);
    let arguments = [
        "--diverse",
        "large.jsonl",
        "--ratio",
        "2",
        "--tokenizer",
        "model",
    ];
    let rows = built(&scratch, &arguments);
    let ratio = &manifest(&scratch.path().join("shards"))["ratio"];
    assert_eq!(ratio["unit"], "rows");
    assert_eq!(
        ratio["tokens"]["achieved_tokens"].as_u64(),
        Some(tokens(&rows, false).0)
    );
    let frozen = ["--recipe", "shards/recipe.toml", "--out", "again"];
    scratch.build(&frozen).ok();
    assert_eq!(
        hashes(&scratch.path().join("shards")),
        hashes(&scratch.path().join("again"))
    );
    scratch.file("model/tokenizer.json", text + "\n");
    scratch.build(&[&frozen[..3], &["other"]].concat()).fails(
        1,
        &[
            "the tokenizer `",
            "has changed since the recipe was written",
            "hint: `--accept-changed`",
        ],
    );
    scratch
        .build(&[&frozen[..3], &["other", "--accept-changed"]].concat())
        .ok();
    scratch.file("model/tokenizer.json", "{}");
    run(&scratch, &arguments).fails(1, &["the tokenizer `model/tokenizer.json` cannot be used"]);
    run(&scratch, &[&arguments[..5], &["nowhere"]].concat())
        .fails(1, &["could not read `nowhere`"]);
}

#[test]
fn rows_and_tokens_exclude_each_other() {
    let scratch = sources();
    let by_tokens = ["--diverse", "large.jsonl", "--ratio-tokens", "2"];
    run(&scratch, &by_tokens).fails(2, &["no tokenizer is given", "hint: `--tokenizer DIR`"]);
    run(&scratch, &[&by_tokens[..], &["--ratio", "2"]].concat()).fails(2, &["--ratio"]);
    let strict = [
        &by_tokens[..],
        &["--tokenizer", "bundled:tiny", "--order", "strict"],
    ]
    .concat();
    run(&scratch, &strict).fails(
        2,
        &[
            "`strict` makes its draws by the row",
            "hint: take `--ratio`",
        ],
    );
}
