use std::io::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, LargeStringArray, RecordBatch, StringArray};
use flate2::write::GzEncoder;
use parquet::arrow::ArrowWriter;

use crate::delia::{Row, Scratch, samples, source_of, stream};

/// What every source below holds: plain text, quotes, a line break, a comma, no input, and letters beyond ASCII.
const TEXTS: [(&str, &str, &str); 3] = [
    ("Say \"hi\", twice", "line one\r\nline two", "hi, hi"),
    ("Name the colour", "", "grün"),
    ("Keep  the spaces ", " as they are\t", " yes "),
];

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("in memory")
}

fn json_lines(names: [&str; 3]) -> Vec<u8> {
    let line = |(instruction, input, output)| {
        format!(
            "{}\n",
            serde_json::json!({ names[0]: instruction, names[1]: input, names[2]: output })
        )
    };
    TEXTS.map(line).concat().into_bytes()
}

fn json_array() -> Vec<u8> {
    let list: Vec<_> = TEXTS
        .iter()
        .map(|(i, n, o)| serde_json::json!({ "instruction": i, "input": n, "output": o }))
        .collect();
    serde_json::to_vec_pretty(&list).expect("JSON")
}

fn csv(line_end: &str) -> Vec<u8> {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut lines = vec!["Instruction,Input,Output".to_owned()];
    lines.extend(TEXTS.map(|(i, n, o)| [i, n, o].map(quoted).join(",")));
    lines.join(line_end).into_bytes()
}

fn parquet(large: bool) -> Vec<u8> {
    let column = |values: [&'static str; 3]| -> ArrayRef {
        if large {
            Arc::new(LargeStringArray::from(values.to_vec()))
        } else {
            Arc::new(StringArray::from(values.to_vec()))
        }
    };
    let batch = RecordBatch::try_from_iter([
        ("prompt", column(TEXTS.map(|(i, _, _)| i))),
        ("context", column(TEXTS.map(|(_, n, _)| n))),
        ("completion", column(TEXTS.map(|(_, _, o)| o))),
    ])
    .expect("three columns");
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).expect("Parquet");
    writer.write(&batch).expect("Parquet");
    writer.close().expect("Parquet");
    bytes
}

/// Builds from one task file and returns its rows in the order of the source.
fn built_from(scratch: &Scratch, file: &str, more: &[&str]) -> Vec<Row> {
    let arguments = [
        &[
            "--task", file, "--ratio", "0", "--reword", "off", "--out", "shards", "--force",
        ][..],
        more,
    ]
    .concat();
    scratch.build(&arguments).ok();
    let mut rows = stream(&scratch.path().join("shards"));
    rows.sort_by_key(|row| row.source_row);
    rows
}

#[track_caller]
fn assert_texts(rows: &[Row]) {
    let texts: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row.instruction.as_str(),
                row.input.as_str(),
                row.output.as_str(),
            )
        })
        .collect();
    assert_eq!(texts, TEXTS);
}

#[test]
fn every_format_in_every_compression_keeps_text_byte_for_byte() {
    let scratch = Scratch::new();
    let plain: [(&str, Vec<u8>); 8] = [
        ("array.json", json_array()),
        (
            "lines.jsonl",
            json_lines(["instruction", "input", "output"]),
        ),
        ("lines.json", json_lines(["QUESTION", "Context", "Answer"])),
        (
            "marked.jsonl",
            [
                b"\xef\xbb\xbf".to_vec(),
                json_lines(["query", "input", "response"]),
            ]
            .concat(),
        ),
        ("unix.csv", csv("\n")),
        ("windows.csv", csv("\r\n")),
        ("small.parquet", parquet(false)),
        ("large.parquet", parquet(true)),
    ];
    for (name, bytes) in plain {
        scratch.file(name, &bytes);
        scratch.file(&format!("{name}.gz"), gzip(&bytes));
        scratch.file(&format!("{name}.zst"), zstd(&bytes));
    }
    for name in ["array.json", "lines.jsonl", "windows.csv", "small.parquet"] {
        for ending in ["", ".gz", ".zst"] {
            assert_texts(&built_from(&scratch, &format!("{name}{ending}"), &[]));
        }
    }
    for name in [
        "lines.json",
        "marked.jsonl",
        "unix.csv.gz",
        "large.parquet.zst",
    ] {
        assert_texts(&built_from(&scratch, name, &[]));
    }
}

#[test]
fn a_pretty_array_of_more_than_10_mb_is_streamed() {
    let scratch = Scratch::new();
    let list: Vec<_> = (0..12_000)
        .map(|nth| serde_json::json!({ "instruction": format!("Echo {nth}"), "input": "x".repeat(900), "output": "y" }))
        .collect();
    let bytes = serde_json::to_vec_pretty(&list).expect("JSON");
    assert!(bytes.len() > 10_000_000);
    scratch.file("big.json", bytes);
    scratch.small_sources(2, 0);
    scratch
        .build(&[
            "--task",
            "task.jsonl",
            "--diverse",
            "big.json",
            "--ratio",
            "5",
        ])
        .ok();
    assert_eq!(
        source_of(&scratch.path().join("shards"), "big")["rows_in"],
        12_000
    );
}

#[test]
fn self_instruct_instances_share_their_instruction() {
    let scratch = Scratch::new();
    let line = r#"{"instruction": "Double it", "instances": [{"input": "1", "output": "2"}, {"input": "4", "output": "8"}]}"#;
    scratch.file("seed_tasks.jsonl", line);
    let rows = built_from(&scratch, "seed_tasks.jsonl", &[]);
    let texts: Vec<_> = rows
        .iter()
        .map(|row| (row.source_row, &*row.instruction, &*row.input, &*row.output))
        .collect();
    assert_eq!(
        texts,
        [(0, "Double it", "1", "2"), (1, "Double it", "4", "8")]
    );
}

#[test]
fn a_map_reads_columns_of_any_name() {
    let scratch = Scratch::new();
    scratch.file("chat.jsonl", json_lines(["user_query", "notes", "reply"]));
    let map = "instruction=user_query,input=notes,output=reply";
    assert_texts(&built_from(&scratch, "chat.jsonl", &["--map", map]));
    assert_texts(&built_from(
        &scratch,
        "chat.jsonl",
        &["--map", &format!("chat:{map}")],
    ));
}

#[test]
fn a_pattern_names_every_file_and_equal_names_get_their_folder() {
    let scratch = Scratch::new();
    scratch.file("a/train.jsonl", samples("alpha", 3));
    scratch.file("b/train.jsonl", samples("beta", 3));
    scratch.file("b/other.csv", "prompt,answer\n1,2\n");
    scratch.small_sources(1, 0);
    scratch
        .build(&[
            "--task",
            "task.jsonl",
            "--diverse",
            "*/*.jsonl",
            "b/other.csv",
            "--ratio",
            "7",
        ])
        .ok();
    let mut sources: Vec<_> = stream(&scratch.path().join("shards"))
        .into_iter()
        .map(|row| row.source)
        .collect();
    sources.sort();
    sources.dedup();
    assert_eq!(sources, ["a/train", "b/train", "other", "task"]);
}

#[test]
fn equal_names_in_one_folder_keep_their_endings_and_generators_their_families() {
    let scratch = Scratch::new();
    scratch.small_sources(1, 0);
    scratch.file("same.csv", "prompt,answer\n1,2\n");
    scratch.file("same.jsonl", samples("same", 1));
    let diverse = [
        "same.csv",
        "same.jsonl",
        "procedural:fractions@5",
        "procedural:percentage@5",
    ];
    scratch
        .build(
            &[
                &["--task", "task.jsonl", "--ratio", "11", "--diverse"],
                &diverse[..],
            ]
            .concat(),
        )
        .ok();
    let mut sources: Vec<_> = stream(&scratch.path().join("shards"))
        .into_iter()
        .map(|row| row.source)
        .collect();
    sources.sort();
    sources.dedup();
    let folder = scratch.path().canonicalize().expect("a folder");
    let parent = folder.file_name().expect("a name").to_string_lossy();
    let mut expected = vec![format!("{parent}/same.csv"), format!("{parent}/same.jsonl")];
    expected
        .extend(["procedural:fractions@5", "procedural:percentage@5", "task"].map(str::to_owned));
    expected.sort();
    assert_eq!(sources, expected);
}

#[test]
fn a_null_column_does_not_stand_in_the_way_of_a_text() {
    let scratch = Scratch::new();
    let lines = [
        r#"{"instruction": null, "prompt": "p", "output": "o"}"#,
        r#"{"response": "o", "output": null, "question": "q"}"#,
    ];
    scratch.file("nulls.jsonl", lines.join("\n"));
    let rows = built_from(&scratch, "nulls.jsonl", &[]);
    let texts: Vec<_> = rows
        .iter()
        .map(|row| (&*row.instruction, &*row.output))
        .collect();
    assert_eq!(texts, [("p", "o"), ("q", "o")]);
}

#[test]
fn unusable_records_are_counted_and_kept_as_evidence() {
    let scratch = Scratch::new();
    let lines = [
        r#"{"instruction": "a", "output": "1"}"#,
        r#"{"instruction": "a", "output": }"#,
        r#"["a", "b"]"#,
        r#"{"instruction": "b", "output": 7}"#,
        r#"{"instruction": "c"}"#,
        "",
        r#"{"instruction": "d", "output": " \t"}"#,
        r#"{"instruction": " ", "input": null, "output": "e"}"#,
        r#"{"instruction": "f", "input": "<no input>", "output": null}"#,
        r#"{"instruction": "a", "input": "N/A", "output": "1"}"#,
    ];
    scratch.file("messy.jsonl", lines.join("\n"));
    let rows = built_from(&scratch, "messy.jsonl", &[]);
    assert_eq!(
        rows.iter().map(|row| row.source_row).collect::<Vec<_>>(),
        [0]
    );
    let source = source_of(&scratch.path().join("shards"), "messy");
    assert_eq!(
        (&source["rows_in"], &source["kept"]),
        (&9.into(), &1.into())
    );
    let reasons = serde_json::json!({ "unreadable": 4, "empty_output": 2, "empty_prompt": 1, "exact_duplicate": 1 });
    assert_eq!(source["dropped_by_reason"], reasons);
    let sql =
        "SELECT source_row, query, reason, kept_row, matched FROM dropped ORDER BY source_row";
    let dropped = scratch.sql(&["shards", sql, "--format", "csv"]).ok();
    for line in [
        "1,10,unreadable,,line 2: expected value at column 32",
        "2,10,unreadable,,\"line 3: it is a list, not an object\"",
        "3,10,unreadable,,\"line 4: its response is a number, not text\"",
        "4,10,unreadable,,line 5: it has no column for the response",
        "8,20,exact_duplicate,0,",
    ] {
        assert!(dropped.contains(line), "`{line}` is not in:\n{dropped}");
    }
}
