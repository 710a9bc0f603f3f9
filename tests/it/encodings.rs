use serde_json::json;

use crate::chat::built_from;
use crate::delia::{Row, Scratch, samples, source_of};

fn outputs(rows: &[Row]) -> Vec<(u64, &str)> {
    rows.iter()
        .map(|row| (row.source_row, &*row.output))
        .collect()
}

fn record(output: &[u8]) -> Vec<u8> {
    [
        br#"{"instruction": "Say it", "output": ""#,
        output,
        br#""}"#,
    ]
    .concat()
}

/// Three records, the second with a byte of Windows-1252 at offset 91 of the text.
fn three(begin: &[u8], between: &[u8], end: &[u8]) -> Vec<u8> {
    let records = [&b"caf\xc3\xa9"[..], b"caf\xe9", "crème".as_bytes()].map(record);
    [begin, &records.join(between), end].concat()
}

#[test]
fn a_line_that_is_not_utf_8_is_dropped_with_line_and_offset() {
    let scratch = Scratch::new();
    let text = three(b"", b"\n", b"\n");
    let offset = text
        .iter()
        .position(|&byte| byte == 0xe9)
        .expect("it is there");
    scratch.file("mixed.jsonl", &text);
    scratch.file("mixed.jsonl.gz", crate::sources::gzip(&text));
    scratch.file("marked.jsonl", [b"\xef\xbb\xbf", &text[..]].concat());
    scratch.file("array.json", three(b"[", b"\n,", b"]"));
    for (name, offset) in [
        ("mixed.jsonl", offset),
        ("mixed.jsonl.gz", offset),
        ("marked.jsonl", offset + 3),
        ("array.json", offset + 2),
    ] {
        let rows = built_from(&scratch, name, &[]);
        assert_eq!(outputs(&rows), [(0, "café"), (2, "crème")], "{name}");
        let dropped = scratch
            .sql(&[
                "shards",
                "SELECT source_row, reason, matched FROM dropped",
                "--format",
                "csv",
            ])
            .ok();
        let row = format!("1,unreadable,line 2: the byte 0xe9 at offset {offset} is not UTF-8");
        assert!(dropped.contains(&row), "`{row}` is not in:\n{dropped}");
    }
}

#[test]
fn bytes_of_windows_1252_are_read_as_such_and_counted() {
    let scratch = Scratch::new();
    scratch.file("mixed.jsonl", three(b"", b"\n", b"\n"));
    scratch.file("array.json", three(b"[", b", ", b"]"));
    scratch.file(
        "table.csv",
        b"instruction,output\nSay it,caf\xc3\xa9\nSay it,caf\xe9\nSay it,cr\xc3\xa8me\n",
    );
    for name in ["mixed.jsonl", "array.json", "table.csv"] {
        let rows = built_from(&scratch, name, &["--repair-encoding"]);
        // The second is now equal to the first.
        assert_eq!(outputs(&rows), [(0, "café"), (2, "crème")], "{name}");
        let stem = name.split('.').next().expect("a stem");
        let source = source_of(&scratch.path().join("shards"), stem);
        assert_eq!(source["marks"], json!({"repaired_encoding": 1}), "{name}");
        assert_eq!(source["dropped_by_reason"], json!({"exact_duplicate": 1}));
    }
    let quotes = record(b"\x93so\x94 \x80 5 \x85");
    scratch.file("quotes.jsonl", quotes);
    let rows = built_from(&scratch, "quotes.jsonl", &["--repair-encoding"]);
    assert_eq!(outputs(&rows), [(0, "“so” € 5 …")]);
    // A recipe's setting can be taken back.
    scratch.file("recipe.toml", "[build]\nrepair-encoding = true\n");
    let back = ["--recipe", "recipe.toml", "--repair-encoding=false"];
    assert_eq!(
        outputs(&built_from(&scratch, "mixed.jsonl", &back)).len(),
        2
    );
    let source = source_of(&scratch.path().join("shards"), "mixed");
    assert_eq!(source["dropped_by_reason"], json!({"unreadable": 1}));
}

#[test]
fn utf_16_is_refused() {
    let scratch = Scratch::new();
    let utf_16: Vec<u8> = "\u{feff}{\"a\": 1}"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    scratch.file("wide.jsonl", utf_16);
    scratch
        .build(&["--task", "wide.jsonl", "--ratio", "0"])
        .fails(
            1,
            &[
                "source `wide.jsonl` is UTF-16",
                "hint: convert it: `iconv -f UTF-16 -t UTF-8`",
            ],
        );
}

#[test]
fn the_line_of_a_csv_field_is_that_of_its_byte() {
    let scratch = Scratch::new();
    for (name, text) in [
        (
            "crlf.csv",
            &b"instruction,output\r\nSay a,b\r\nSay it,caf\xe9\r\n"[..],
        ),
        ("long.csv", b"instruction,output\nSay a,\"b\ncaf\xe9\"\n"),
    ] {
        scratch.file(name, [text, b"Say c,d\n"].concat());
        built_from(&scratch, name, &[]);
        let dropped = scratch
            .sql(&["shards", "SELECT matched FROM dropped", "--format", "csv"])
            .ok();
        assert!(
            dropped.contains("line 3: the byte 0xe9"),
            "{name}: {dropped}"
        );
    }
}

#[test]
fn a_csv_field_that_is_not_utf_8_drops_its_record() {
    let scratch = Scratch::new();
    scratch.file(
        "table.csv",
        b"\xef\xbb\xbfinstruction,output\nSay it,caf\xc3\xa9\nSay it,caf\xe9\n",
    );
    assert_eq!(
        outputs(&built_from(&scratch, "table.csv", &[])),
        [(0, "café")]
    );
    let dropped = scratch
        .sql(&["shards", "SELECT matched FROM dropped", "--format", "csv"])
        .ok();
    let place = "line 3: the byte 0xe9 at offset 3 of column `output` is not UTF-8";
    assert!(dropped.contains(place), "{dropped}");
}

#[test]
fn a_byte_order_mark_in_the_middle_of_a_file_is_none_of_its_text() {
    let scratch = Scratch::new();
    let marked = |output: &str| [b"\xef\xbb\xbf", &record(output.as_bytes())[..], b"\n"].concat();
    scratch.file("joined.jsonl", [marked("one"), marked("two")].concat());
    assert_eq!(
        outputs(&built_from(&scratch, "joined.jsonl", &[])),
        [(0, "one"), (1, "two")]
    );
}

#[test]
fn misread_text_is_put_right_when_that_is_asked_for() {
    let scratch = Scratch::new();
    let texts = ["cafÃ©", "itâ€™s", "« le café\u{a0}»", "plain"];
    let lines: Vec<_> = texts.map(|text| record(text.as_bytes())).to_vec();
    scratch.file("texts.jsonl", lines.join(&b"\n"[..]));
    let as_they_are = built_from(&scratch, "texts.jsonl", &[]);
    assert_eq!(
        as_they_are
            .iter()
            .map(|row| &*row.output)
            .collect::<Vec<_>>(),
        texts
    );
    let source = source_of(&scratch.path().join("shards"), "texts");
    assert_eq!(source.get("marks"), None);
    let rows = built_from(&scratch, "texts.jsonl", &["--repair-mojibake"]);
    assert_eq!(
        outputs(&rows),
        [
            (0, "café"),
            (1, "it’s"),
            (2, "« le café\u{a0}»"),
            (3, "plain")
        ]
    );
    let source = source_of(&scratch.path().join("shards"), "texts");
    assert_eq!(source["marks"], json!({"repaired_mojibake": 2}));
}

/// Two sources with rejects: 4 of 10 task records, 1 of 101 diverse ones.
fn with_rejects(scratch: &Scratch) {
    let bad = "{\"instruction\": \"a\"\n{\"instruction\": \"a\", \"output\": \" \"}\n{\"output\": \"b\"}\n{\"instruction\": \"\", \"output\": \"b\"}\n";
    scratch.file("task.jsonl", samples("task", 6) + bad);
    scratch.file("diverse.jsonl", samples("diverse", 100) + "[]\n");
}

#[test]
fn rejects_never_stop_a_build_unless_they_are_limited() {
    let scratch = Scratch::new();
    with_rejects(&scratch);
    let sources = [
        "--task",
        "task.jsonl",
        "--diverse",
        "diverse.jsonl",
        "--ratio",
        "2",
    ];
    let build = |more: &[&str]| scratch.build(&[&sources[..], more].concat());
    for limit in ["4", "39%", "0.5%", "0"] {
        build(&["--max-rejects", limit]).fails(
            3,
            &[
                &format!("error: 5 of 111 records are unusable, `--max-rejects {limit}` allows fewer: `task` 4 of 10 (empty_output 1, empty_prompt 1, unreadable 2); `diverse` 1 of 101 (unreadable 1)"),
                "hint: no shard was written",
            ],
        );
        let shards = scratch.path().join("shards");
        for name in ["00000.parquet", "plan.json", "manifest.json"] {
            assert!(!shards.join(name).exists(), "{name} after {limit}");
        }
    }
    for limit in ["5", "40%", "off"] {
        build(&["--max-rejects", limit, "--force"]).ok();
    }
    build(&["--force"]).ok();
    let dropped = "SELECT count(*) AS n FROM dropped";
    assert_eq!(
        scratch.sql(&["shards", dropped, "--format", "csv"]).ok(),
        "n\n5\n"
    );
    // What is there is not touched by a build that ends so.
    let before = crate::delia::hashes(&scratch.path().join("shards"));
    build(&["--force", "--max-rejects", "0"]).fails(3, &["5 of 111 records"]);
    let mut after = crate::delia::hashes(&scratch.path().join("shards"));
    after.retain(|name, _| !name.starts_with(".stages"));
    assert_eq!(after, before);
    build(&["--max-rejects", "many"]).fails(2, &["`many` is neither a number of records"]);
}

#[test]
fn a_task_set_without_a_usable_row_is_counted_too() {
    let scratch = Scratch::new();
    scratch.file("task.jsonl", "{\"instruction\": \"a\", \"output\": \"\"}\n");
    scratch
        .build(&["--task", "task.jsonl", "--max-rejects", "0"])
        .fails(
            3,
            &[
                "1 of 1 records are unusable",
                "`task` 1 of 1 (empty_output 1)",
            ],
        );
    scratch
        .build(&["--task", "task.jsonl"])
        .fails(1, &["no task sample is left"]);
}
