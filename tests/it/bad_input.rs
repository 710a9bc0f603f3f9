use std::fs;
use std::io::Write;

use crate::delia::{Scratch, samples};

/// Builds with `name` as the diverse source and the small task set.
fn with_source(scratch: &Scratch, name: &str) -> crate::delia::Ran {
    scratch.file("task.jsonl", samples("task", 3));
    scratch.build(&["--task", "task.jsonl", "--diverse", name, "--ratio", "2"])
}

#[test]
fn a_source_that_cannot_be_opened_is_named() {
    let scratch = Scratch::new();
    let missing = [
        "could not read `nope.jsonl`: No such file",
        "hint: paths are relative to the current folder",
    ];
    with_source(&scratch, "nope.jsonl").fails(1, &missing);
    with_source(&scratch, "no/where.jsonl")
        .fails(1, &["hint: the folder `no` does not exist either"]);
    with_source(&scratch, "*.parquet").fails(1, &["no file matches `*.parquet`"]);
    scratch.file("folder/a.jsonl", "{}");
    with_source(&scratch, "folder").fails(
        1,
        &[
            "`folder` is a folder",
            "hint: name its files: `folder/*.jsonl`",
        ],
    );
    with_source(&scratch, "task.jsonl").fails(1, &["source `task.jsonl` is given twice"]);
    with_source(&scratch, "bundled:tetris")
        .fails(2, &["no bundled set `tetris`", "`bundled:formatted_text`"]);
    with_source(&scratch, "procedural:sort_number").fails(
        2,
        &["no family `sort_number`", "did you mean `sort_numbers`?"],
    );
    with_source(&scratch, "procedural:words,hard").fails(
        2,
        &[
            "nothing hard in `words`",
            "what is there is easy and medium",
        ],
    );
    with_source(&scratch, "procedural@lots")
        .fails(2, &["`lots` in `procedural@lots` is not a number of rows"]);
    assert!(
        !scratch.path().join("shards").exists(),
        "nothing was written"
    );
}

#[test]
fn a_source_without_usable_records_says_what_it_holds() {
    let scratch = Scratch::new();
    scratch.file("empty.jsonl", "");
    with_source(&scratch, "empty.jsonl").fails(1, &["source `empty.jsonl` is empty"]);
    scratch.file("blank.json", "  \n\n ");
    with_source(&scratch, "blank.json").fails(1, &["source `blank.json` is empty"]);
    scratch.file("none.json", "[]");
    with_source(&scratch, "none.json").fails(1, &["source `none.json` is empty"]);
    scratch.file("header.csv", "instruction,output\n");
    with_source(&scratch, "header.csv").fails(1, &["source `header.csv` is empty"]);
    scratch.file("poem.txt", "Roses are red");
    with_source(&scratch, "poem.txt").fails(
        1,
        &[
            "the format of source `poem.txt` is not recognised",
            "hint: sources are JSON",
        ],
    );
    scratch.file("poem.jsonl", "Roses\nare\nred\n");
    with_source(&scratch, "poem.jsonl").fails(
        1,
        &["none of its 3 records can be read; line 1: expected value"],
    );
    scratch.file("other.jsonl", "{\"frage\": \"a\", \"output\": \"b\"}\n");
    let no_column = [
        "no column for the prompt; its columns are `frage`, `output`",
        "--map instruction=COLUMN,output=COLUMN",
    ];
    with_source(&scratch, "other.jsonl").fails(1, &no_column);
    scratch.file("other.csv", "question,antwort\na,b\n");
    with_source(&scratch, "other.csv").fails(
        1,
        &["no column for the response; its columns are `question`, `antwort`"],
    );
    scratch.file(
        "numbers.jsonl",
        "{\"instruction\": \"a\", \"output\": 1}\n{\"instruction\": \"b\", \"output\": 2}\n",
    );
    with_source(&scratch, "numbers.jsonl").fails(
        1,
        &["none of its 2 records can be read; line 1: its response is a number, not text"],
    );
}

#[test]
fn a_parquet_column_of_another_type_is_named() {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

    let scratch = Scratch::new();
    let prompt: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    let answer: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let batch =
        RecordBatch::try_from_iter([("prompt", prompt), ("answer", answer)]).expect("two columns");
    let mut bytes = Vec::new();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).expect("Parquet");
    writer.write(&batch).expect("Parquet");
    writer.close().expect("Parquet");
    scratch.file("typed.parquet", &bytes);
    with_source(&scratch, "typed.parquet")
        .fails(1, &["column `answer` is Int64, text is expected"]);
    scratch.file("torn.parquet", &bytes[..bytes.len() - 20]);
    with_source(&scratch, "torn.parquet")
        .fails(1, &["source `torn.parquet` is broken in its footer"]);
}

#[test]
fn a_source_that_breaks_off_is_an_error_with_its_place() {
    let scratch = Scratch::new();
    let text = samples("long", 3_000);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(text.as_bytes()).expect("in memory");
    let gzip = gzip.finish().expect("in memory");
    let zstd = zstd::encode_all(text.as_bytes(), 3).expect("in memory");
    scratch.file("torn.jsonl.gz", &gzip[..gzip.len() / 2]);
    scratch.file("torn.jsonl.zst", &zstd[..zstd.len() / 2]);
    scratch.file("bare.jsonl.gz", &gzip[..5]);
    for name in ["torn.jsonl.gz", "torn.jsonl.zst"] {
        with_source(&scratch, name).fails(
            1,
            &[
                &format!("source `{name}` is broken at"),
                "hint: a download may have been cut off",
            ],
        );
    }
    with_source(&scratch, "bare.jsonl.gz")
        .fails(1, &["source `bare.jsonl.gz` is broken at its beginning"]);
    scratch.file(
        "array.json",
        "[{\"instruction\": \"a\", \"output\": \"b\"},\n {\"instruction\": \"c\"",
    );
    with_source(&scratch, "array.json").fails(
        1,
        &["source `array.json` is broken at line 2, after 1 records: EOF while parsing"],
    );
    scratch.file(
        "bad.json",
        "[{\"instruction\": \"a\", \"output\": \"b\"},\n {\"instruction\" \"c\"}]",
    );
    let dropped = || {
        let sql = "SELECT source_row, matched FROM dropped WHERE source = 'bad'";
        scratch.sql(&["shards", sql, "--format", "csv"]).ok()
    };
    with_source(&scratch, "bad.json").ok();
    assert!(
        dropped().contains("1,line 2: expected `:`"),
        "{}",
        dropped()
    );
    // Python writes what is no JSON.
    scratch.file(
        "bad.json",
        "[{\"instruction\": \"a\", \"output\": \"b\", \"score\": NaN},\n{\"instruction\": \"c\", \"output\": \"d\"}]",
    );
    fs::remove_dir_all(scratch.path().join("shards")).expect("removed");
    with_source(&scratch, "bad.json").ok();
    assert!(
        dropped().contains("0,line 1: expected value"),
        "{}",
        dropped()
    );
    fs::remove_dir_all(scratch.path().join("shards")).expect("removed");
    // Two such records in a row may be one that was cut in the wrong places.
    scratch.file(
        "bad.json",
        "[{\"instruction\": \"a\", \"output\": \"b\"},\n {\"instruction\" \"c\"},\n {\"instruction\" \"d\"}]",
    );
    with_source(&scratch, "bad.json").fails(
        1,
        &[
            "broken at line 2, after 3 records: expected `:`",
            "hint: mend the file, or turn it into JSON Lines",
        ],
    );
    for text in ["[{\"instruction\": \"a\", \"output\": \"b\"},\n]", "[,]"] {
        scratch.file("bad.json", text);
        with_source(&scratch, "bad.json").fails(1, &["a comma with nothing on one of its sides"]);
    }
    // Nothing of a failed build looks finished, and a mended source is built.
    assert!(!scratch.path().join("shards/manifest.json").exists());
    scratch.file("bad.json", "[{\"instruction\": \"a\", \"output\": \"b\"}]");
    scratch
        .build(&[
            "--task",
            "task.jsonl",
            "--diverse",
            "bad.json",
            "--ratio",
            "2",
            "--force",
        ])
        .ok();
}

#[test]
fn settings_that_cannot_be_meant_are_usage_errors() {
    let scratch = Scratch::new();
    for (ratio, text) in [
        ("-1", "at least 0, got `-1`"),
        ("NaN", "a finite number, got `NaN`"),
        ("inf", "a finite number, got `inf`"),
        ("1e30", "at most 10^12, got `1e30`"),
        ("many", "a number such as 520 or 0.5, got `many`"),
    ] {
        scratch.build(&["--ratio", ratio]).fails(2, &[text]);
    }
    scratch.build(&["--ratio", "1e11"]).fails(
        2,
        &["ratio: 100000000000 × 1 diverse rows for 100 task rows are more than 10^12"],
    );
    scratch
        .build(&["--ratio", "1e12", "--iterations", "9"])
        .fails(2, &["iterations: 9 iterations at ratio 1000000000000"]);
    scratch
        .build(&["--iterations", "0"])
        .fails(2, &["iterations: at least 1, got 0"]);
    scratch
        .build(&["--rows-per-shard", "0"])
        .fails(2, &["rows-per-shard: between 1 and 10^12, got 0"]);
    scratch
        .build(&["--order", "random"])
        .fails(2, &["invalid value 'random'", "shuffled, strict"]);
    scratch.build(&["--special-token", " "]).fails(
        2,
        &["special-token: a token has at least one visible character"],
    );
    scratch
        .build(&["--map", "reply"])
        .fails(2, &["`reply` is not of the form ROLE=COLUMN"]);
    scratch
        .build(&["--map", "output=reply"])
        .fails(2, &["`output=reply` is for no file of this build"]);
    scratch
        .build(&["--ratoi", "1"])
        .fails(2, &["unexpected argument '--ratoi'", "'--ratio'"]);
    scratch
        .build(&["--special-token", "<a>", "<a>"])
        .fails(2, &["special-token: `<a>` is given twice"]);
    scratch
        .build(&["--diverse", "procedural@2000000000000"])
        .fails(2, &["is not a number of rows up to 10^12"]);
}

#[test]
fn recipes_are_checked_to_the_key() {
    let scratch = Scratch::new();
    scratch.build(&["--recipe", "nope"]).fails(
        2,
        &[
            "recipe: there is neither a bundled recipe nor a file called `nope`",
            "`delia`",
        ],
    );
    scratch
        .build(&["--recipe", "nope.toml"])
        .fails(1, &["could not read `nope.toml`: No such file"]);
    scratch.file("typo.toml", "[build]\nratoi = 3\n");
    scratch.build(&["--recipe", "typo.toml"]).fails(
        2,
        &[
            "recipe `typo.toml` cannot be used",
            "line 2",
            "unknown field `ratoi`",
        ],
    );
    scratch.file("syntax.toml", "[build\n");
    scratch
        .build(&["--recipe", "syntax.toml"])
        .fails(2, &["recipe `syntax.toml` cannot be used", "line 1"]);
    scratch.file("negative.toml", "[build]\nratio = -0.5\n");
    scratch
        .build(&["--recipe", "negative.toml"])
        .fails(2, &["at least 0, got `-0.5`"]);
}

#[test]
fn a_recipe_value_of_another_type_says_what_is_expected() {
    let scratch = Scratch::new();
    for (recipe, texts) in [
        (
            "[build]\nratio = true\n",
            ["line 2", "expected a number such as 520 or 0.5"],
        ),
        (
            "[build]\ntask = [3]\n",
            ["line 2", "expected a path, or a table with `path`"],
        ),
        (
            "[[build.task]]\npaht = \"a\"\n",
            ["unknown field `paht`", "expected one of `path`, `name`"],
        ),
    ] {
        scratch.file("odd.toml", recipe);
        scratch.build(&["--recipe", "odd.toml"]).fails(2, &texts);
    }
    let frozen = "[[build.task]]\npath = \"bundled:formatted_text\"\nblake3 = \"00\"\n";
    scratch.file("old.toml", frozen);
    let changed = "source `bundled:formatted_text` has changed since the recipe was written";
    scratch
        .build(&["--recipe", "old.toml"])
        .fails(1, &[changed]);
}

#[test]
fn what_only_looks_like_a_known_format_is_refused() {
    let scratch = Scratch::new();
    scratch.file("open.csv", "prompt,answer\na,b\nc,\"d\ne,f\ng,h\n");
    let unclosed = [
        "source `open.csv` is broken at line 3, after 1 records: a quote is opened and never closed",
    ];
    with_source(&scratch, "open.csv").fails(1, &unclosed);
    scratch.file(
        "nested.json",
        "{\"data\": [\n  {\"instruction\": \"a\", \"output\": \"b\"},\n {}]}\n",
    );
    with_source(&scratch, "nested.json")
        .fails(1, &["the format of source `nested.json` is not recognised"]);
    std::process::Command::new("mkfifo")
        .arg(scratch.path().join("pipe"))
        .status()
        .expect("mkfifo runs");
    with_source(&scratch, "pipe").fails(
        1,
        &[
            "`pipe` is not a regular file",
            "hint: a source is read twice",
        ],
    );
    // Fields too many or too few cost their record alone.
    scratch.file("ragged.csv", "prompt,answer\na,b,c\nd\ne,f\n");
    with_source(&scratch, "ragged.csv").ok();
    let sql = "SELECT matched FROM dropped ORDER BY source_row";
    let dropped = scratch.sql(&["shards", sql, "--format", "csv"]).ok();
    assert_eq!(
        dropped,
        "matched\n\"line 2: it has 3 fields, the header 2\"\n\"line 3: it has 1 fields, the header 2\"\n"
    );
}

#[test]
fn without_task_samples_there_is_no_build() {
    let scratch = Scratch::new();
    scratch.file("task.jsonl", "{\"instruction\": \"a\", \"output\": \"\"}\n");
    scratch.build(&["--task", "task.jsonl"]).fails(
        1,
        &["no task sample is left: 1 were read, all were dropped"],
    );
}
