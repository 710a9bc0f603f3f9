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
        "hint: the tables are `shards`, `dropped`, `sources`, `held_out`, `build` and `stages`",
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

#[test]
fn what_the_engine_would_ignore_is_refused() {
    let scratch = built();
    for (sql, clause) in [
        (
            "SELECT * FROM shards TABLESAMPLE BERNOULLI (10)",
            "TABLESAMPLE",
        ),
        (
            "SELECT * FROM (SELECT * FROM shards TABLESAMPLE (10 ROWS)) AS s",
            "TABLESAMPLE",
        ),
        (
            "WITH s AS (SELECT * FROM shards TABLESAMPLE SYSTEM (10)) SELECT * FROM s",
            "TABLESAMPLE",
        ),
        (
            "EXPLAIN SELECT * FROM shards TABLESAMPLE (10)",
            "TABLESAMPLE",
        ),
        (
            "SELECT kind FROM shards GROUP BY kind WITH ROLLUP",
            "WITH ROLLUP",
        ),
        ("SELECT * FROM shards FOR UPDATE", "FOR UPDATE"),
        ("SELECT * FROM shards PREWHERE position = 1", "PREWHERE"),
        ("SELECT position FROM shards FORMAT JSON", "FORMAT"),
        (
            "SELECT position FROM shards SETTINGS max_threads = 1",
            "SETTINGS",
        ),
        (
            "SELECT length(instruction) FILTER (WHERE false) FROM shards",
            "FILTER",
        ),
        (
            "SELECT length(DISTINCT instruction) FROM shards",
            "DISTINCT",
        ),
        ("SELECT length(instruction) OVER () FROM shards", "OVER"),
        ("SELECT upper(kind ORDER BY kind) FROM shards", "ORDER BY"),
        (
            "SELECT CAST(instruction AS VARCHAR(3)) FROM shards",
            "the length of a type",
        ),
        ("SELECT position FROM shards SAMPLE 0.1", "TABLESAMPLE"),
        (
            "SELECT position FROM shards WHERE kind NOT SIMILAR TO 't%'",
            "the `%` and `_` of SIMILAR TO",
        ),
        (
            "SELECT position FROM shards CONNECT BY position = 1",
            "CONNECT BY",
        ),
        ("SELECT * FROM shards WITH (NOLOCK)", "WITH (…)"),
        ("SELECT * FROM shards PARTITION (p0)", "PARTITION (…)"),
        (
            "SELECT * FROM generate_series(1, 3) WITH ORDINALITY",
            "WITH ORDINALITY",
        ),
        (
            "SELECT count(*) FROM shards GLOBAL JOIN sources ON true",
            "GLOBAL",
        ),
        ("FROM shards", "FROM without SELECT"),
    ] {
        let expected = format!("error: {clause} would be ignored here");
        scratch
            .sql(&["shards", sql])
            .fails(1, &[&expected, "hint: "]);
    }
    let counted = "SELECT count(*) FILTER (WHERE kind = 'task') AS n, count(DISTINCT kind) AS kinds FROM shards";
    assert_eq!(
        scratch.sql(&["shards", counted, "--format", "csv"]).ok(),
        "n,kinds\n3,2\n"
    );
}

#[test]
fn random_rows_are_the_same_on_every_run() {
    let scratch = built();
    let drawn = |sql: &str, threads: &str| {
        scratch
            .sql(&[
                "shards",
                sql,
                "--format",
                "csv",
                "--threads",
                threads,
                "--batch-rows",
                "3",
            ])
            .ok()
    };
    let sql = "SELECT position, instruction FROM random_rows('shards', 5) ORDER BY position";
    assert_eq!(drawn(sql, "1"), drawn(sql, "2"));
    assert_eq!(drawn(sql, "1").lines().count(), 6);
    assert_ne!(
        drawn(sql, "1"),
        drawn(
            "SELECT position, instruction FROM random_rows('shards', 5, 9) ORDER BY position",
            "1"
        )
    );
    let all = "SELECT count(*) AS n FROM random_rows('sources', 1000)";
    assert_eq!(drawn(all, "1"), "n\n2\n");
    for (sql, message) in [
        (
            "SELECT * FROM random_rows('shrads', 5)",
            "table 'shrads' not found",
        ),
        (
            "SELECT * FROM random_rows('shards', -1)",
            "a whole number from 0 on is expected",
        ),
        ("SELECT * FROM random_rows('shards')", "how many rows?"),
        ("SELECT * FROM random_rows('build', 5)", "no `source`"),
        (
            "SELECT * FROM summarize(5)",
            "a table's name in single quotes is expected",
        ),
    ] {
        scratch.sql(&["shards", sql]).fails(1, &[message]);
    }
}

#[test]
fn a_histogram_counts_every_row_once() {
    let scratch = built();
    let sql = "SELECT bin['low'] AS low, bin['high'] AS high, bin['rows'] AS rows FROM \
        (SELECT unnest(histogram(position, 4)) AS bin FROM shards) ORDER BY low";
    for threads in ["1", "2"] {
        let arguments = [
            "shards",
            sql,
            "--format",
            "csv",
            "--threads",
            threads,
            "--batch-rows",
            "2",
        ];
        assert_eq!(
            scratch.sql(&arguments).ok(),
            "low,high,rows\n0.0,4.0,4\n4.0,8.0,4\n8.0,12.0,4\n12.0,16.0,3\n"
        );
    }
    scratch
        .sql(&["shards", "SELECT histogram(position, 1) FROM shards"])
        .fails(1, &["a histogram has between 2 and 10,000 bins, got 1"]);
}
