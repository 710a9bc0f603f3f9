use std::io::Write;
use std::process::{Command, Stdio};

use crate::delia::Scratch;

fn built() -> Scratch {
    let scratch = Scratch::new();
    scratch.small_sources(3, 40);
    scratch
        .build(&[
            "--task",
            "task.jsonl",
            "--diverse",
            "diverse.jsonl",
            "--ratio",
            "4",
            "--rows-per-shard",
            "8",
        ])
        .ok();
    scratch
}

#[test]
fn rows_are_printed_in_every_format() {
    let scratch = built();
    let sql = "SELECT kind, count(*) AS n FROM shards GROUP BY kind ORDER BY kind";
    let printed = |format: &str| scratch.sql(&["shards", sql, "--format", format]).ok();
    assert_eq!(printed("csv"), "kind,n\ndiverse,12\ntask,3\n");
    assert_eq!(
        printed("json"),
        "[{\"kind\":\"diverse\",\"n\":12},{\"kind\":\"task\",\"n\":3}]\n"
    );
    assert_eq!(
        printed("markdown"),
        "| kind    |  n |\n|---------|----|\n| diverse | 12 |\n| task    |  3 |\n"
    );
    assert_eq!(
        printed("table"),
        " kind       n\n──────────────\n diverse   12\n task       3\n"
    );
    let nothing = scratch.sql(&[
        "shards",
        "SELECT kind FROM shards WHERE false",
        "--format",
        "csv",
    ]);
    assert_eq!(nothing.ok(), "kind\n");
}

#[test]
fn every_row_knows_its_shard() {
    let scratch = built();
    let sql = "SELECT shard, min(position) AS first, count(*) AS n FROM shards GROUP BY shard ORDER BY shard";
    let expected = "shard,first,n\n00000.parquet,0,8\n00001.parquet,8,7\n";
    assert_eq!(
        scratch.sql(&["shards", sql, "--format", "csv"]).ok(),
        expected
    );
}

#[test]
fn statements_come_from_a_file_or_stdin_too() {
    let scratch = built();
    scratch.file(
        "q.sql",
        "-- two statements\nSELECT 1 AS a;\nSELECT 2 AS b;\n",
    );
    assert_eq!(
        scratch
            .sql(&["shards", "--file", "q.sql", "--format", "csv"])
            .ok(),
        "a\n1\nb\n2\n"
    );
    scratch
        .sql(&["shards", "--file", "none.sql"])
        .fails(1, &["could not read `none.sql`: No such file"]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_delia-sql"))
        .args(["shards", "--format", "csv"])
        .current_dir(scratch.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(b"SELECT count(*) AS n FROM sources")
        .expect("written");
    let output = child.wait_with_output().expect("a child");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "n\n2\n");
}

#[test]
fn a_wrong_name_gets_a_suggestion_not_a_backtrace() {
    let scratch = built();
    let column = scratch.sql(&["shards", "SELECT instructoin FROM shards"]);
    column.fails(
        1,
        &["error: No field named instructoin. Did you mean 'shards.instruction'?"],
    );
    assert!(!column.stderr().contains("backtrace"));
    let table = [
        "error: table 'shrads' not found",
        "hint: the tables are `shards`, `dropped`, `sources` and `held_out`",
    ];
    scratch
        .sql(&["shards", "SELECT * FROM shrads"])
        .fails(1, &table);
    scratch
        .sql(&["shards", "SELEC 1"])
        .fails(1, &["error: Expected: an SQL statement, found: SELEC"]);
}

#[test]
fn nothing_can_be_written() {
    let scratch = built();
    let before = crate::delia::hashes(&scratch.path().join("shards"));
    for sql in [
        "CREATE TABLE x AS SELECT 1",
        "DROP TABLE shards",
        "INSERT INTO sources SELECT * FROM sources",
        "COPY (SELECT 1) TO 'x.csv'",
        "SET datafusion.execution.batch_size = 1",
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION 'x.csv'",
    ] {
        scratch
            .sql(&["shards", sql])
            .fails(1, &["not supported", "hint: a finished build is only read"]);
    }
    assert!(!scratch.path().join("x.csv").exists());
    assert_eq!(before, crate::delia::hashes(&scratch.path().join("shards")));
}

#[test]
fn a_folder_without_a_build_is_named() {
    let scratch = Scratch::new();
    scratch
        .sql(&["nowhere", "SELECT 1"])
        .fails(1, &["could not read `nowhere`: "]);
    scratch.file("empty/readme.txt", "");
    scratch.sql(&["empty", "SELECT 1"]).fails(
        1,
        &["`empty` holds no finished build: `manifest.json` is missing"],
    );
    scratch.file("odd/manifest.json", "{}");
    scratch.sql(&["odd", "SELECT 1"]).fails(
        1,
        &["`odd/manifest.json` is not what this version writes: missing field"],
    );
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let scratch = built();
    let mut child = Command::new(env!("CARGO_BIN_EXE_delia-sql"))
        .args([
            "shards",
            "SELECT * FROM generate_series(1, 200000)",
            "--format",
            "csv",
        ])
        .current_dir(scratch.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("a child");
    assert_eq!(
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).as_ref()
        ),
        (Some(0), "")
    );
}
