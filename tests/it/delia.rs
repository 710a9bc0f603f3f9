use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use arrow::array::AsArray;
use arrow::datatypes::{UInt32Type, UInt64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

/// A folder that is removed at the end of the test.
pub(crate) struct Scratch(tempfile::TempDir);

impl Scratch {
    pub(crate) fn new() -> Scratch {
        Scratch(tempfile::tempdir().expect("a temporary folder"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file into the folder.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("inside the folder")).expect("a folder");
        fs::write(&path, content).expect("a file");
        path
    }

    /// Runs `delia-build` in this folder.
    pub(crate) fn build(&self, arguments: &[&str]) -> Ran {
        self.run(Command::new(env!("CARGO_BIN_EXE_delia-build")).args(arguments))
    }

    /// Runs `delia-sql` in this folder.
    pub(crate) fn sql(&self, arguments: &[&str]) -> Ran {
        self.run(Command::new(env!("CARGO_BIN_EXE_delia-sql")).args(arguments))
    }

    pub(crate) fn run(&self, command: &mut Command) -> Ran {
        let command = command
            .current_dir(self.path())
            .stdin(std::process::Stdio::null());
        Ran(command.output().expect("the binary runs"))
    }

    /// A small build of one's own: `n_tasks` task rows and `n_diverse` diverse ones, in `task.jsonl` and `diverse.jsonl`.
    pub(crate) fn small_sources(&self, n_tasks: usize, n_diverse: usize) {
        self.file("task.jsonl", samples("task", n_tasks));
        self.file("diverse.jsonl", samples("diverse", n_diverse));
    }
}

/// JSON Lines of distinct samples.
pub(crate) fn samples(stem: &str, n: usize) -> String {
    (0..n)
        .map(|nth| {
            let line = serde_json::json!({
                "instruction": format!("Repeat the {stem} word"),
                "input": format!("{stem}-{nth}"),
                "output": format!("{stem}-{nth}"),
            });
            format!("{line}\n")
        })
        .collect()
}

/// Says aloud that a test did not run: past the test harness, which would keep it to itself.
pub(crate) fn skipped(test: &str, why: &str) {
    writeln!(io::stderr(), "SKIPPED {test}: {why}").expect("stderr is open");
}

/// A finished process.
pub(crate) struct Ran(pub(crate) Output);

impl Ran {
    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    pub(crate) fn code(&self) -> Option<i32> {
        self.0.status.code()
    }

    /// Asserts success and returns stdout.
    #[track_caller]
    pub(crate) fn ok(&self) -> String {
        assert_eq!(
            self.code(),
            Some(0),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout(),
            self.stderr()
        );
        self.stdout()
    }

    /// Asserts that it failed with this exit code and that stderr holds every one of these texts.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, texts: &[&str]) {
        let stderr = self.stderr();
        assert_eq!(
            self.code(),
            Some(code),
            "stdout:\n{}\nstderr:\n{stderr}",
            self.stdout()
        );
        for text in texts {
            assert!(stderr.contains(text), "`{text}` is not in:\n{stderr}");
        }
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

/// A row of the shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) position: u64,
    pub(crate) kind: String,
    pub(crate) source: String,
    pub(crate) source_row: u64,
    pub(crate) task_row: Option<u64>,
    pub(crate) direction: Option<String>,
    pub(crate) repeat: u32,
    pub(crate) instruction: String,
    pub(crate) input: String,
    pub(crate) output: String,
}

impl Row {
    pub(crate) fn is_task(&self) -> bool {
        self.kind == "task"
    }
}

/// The stream: all shards in the order of their names.
pub(crate) fn stream(folder: &Path) -> Vec<Row> {
    let mut shards: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.file_stem()
                .is_some_and(|stem| stem.to_string_lossy().parse::<u64>().is_ok())
        })
        .collect();
    shards.sort();
    shards.iter().flat_map(|shard| rows(shard)).collect()
}

fn rows(shard: &Path) -> Vec<Row> {
    let file = File::open(shard).expect("a shard");
    let batches = ParquetRecordBatchReaderBuilder::try_new(file)
        .expect("Parquet")
        .build()
        .expect("Parquet");
    let mut rows = Vec::new();
    for batch in batches {
        let batch = batch.expect("rows");
        assert_eq!(
            batch.schema().fields(),
            delia::sample::shard_schema().fields()
        );
        let text = |column: &str, row| batch[column].as_string::<i32>().value(row).to_owned();
        let number = |column: &str, row| batch[column].as_primitive::<UInt64Type>().value(row);
        for row in 0..batch.num_rows() {
            let [instruction, input, output] =
                ["instruction", "input", "output"].map(|column| text(column, row));
            let id = batch["sample_id"].as_fixed_size_binary().value(row);
            assert_eq!(id, delia::sample::sample_id(&instruction, &input, &output));
            rows.push(Row {
                position: number("position", row),
                kind: text("kind", row),
                source: text("source", row),
                source_row: number("source_row", row),
                task_row: batch["task_row"]
                    .as_primitive::<UInt64Type>()
                    .iter()
                    .nth(row)
                    .flatten(),
                direction: batch["direction"]
                    .as_string::<i32>()
                    .iter()
                    .nth(row)
                    .flatten()
                    .map(str::to_owned),
                repeat: batch["repeat"].as_primitive::<UInt32Type>().value(row),
                instruction,
                input,
                output,
            });
        }
    }
    rows
}

/// The manifest of a build.
pub(crate) fn manifest(folder: &Path) -> Value {
    let text = fs::read(folder.join("manifest.json")).expect("a manifest");
    serde_json::from_slice(&text).expect("JSON")
}

/// The part of the manifest that speaks of one source.
pub(crate) fn source_of(folder: &Path, name: &str) -> Value {
    let manifest = manifest(folder);
    let sources = manifest["sources"].as_array().expect("a list");
    sources
        .iter()
        .find(|source| source["source"] == name)
        .unwrap_or_else(|| panic!("`{name}` in {sources:?}"))
        .clone()
}

/// BLAKE3 of every file below a folder, by its path.
pub(crate) fn hashes(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path
                    .strip_prefix(folder)
                    .expect("below")
                    .to_string_lossy()
                    .into_owned();
                found.insert(
                    name,
                    blake3::hash(&fs::read(&path).expect("a file"))
                        .to_hex()
                        .to_string(),
                );
            }
        }
    }
    found
}
