use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::delia::{Scratch, hashes, samples};

fn small() -> Scratch {
    let scratch = Scratch::new();
    scratch.small_sources(4, 60);
    scratch
}

const ARGUMENTS: [&str; 6] = [
    "--task",
    "task.jsonl",
    "--diverse",
    "diverse.jsonl",
    "--ratio",
    "10",
];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&ARGUMENTS[..], more].concat()
}

#[test]
fn the_same_build_again_is_up_to_date() {
    let scratch = small();
    scratch.build(&ARGUMENTS).ok();
    let before = hashes(&scratch.path().join("shards"));
    assert!(
        scratch
            .build(&ARGUMENTS)
            .ok()
            .contains("`shards` is up to date")
    );
    assert_eq!(before, hashes(&scratch.path().join("shards")));
}

#[test]
fn another_build_is_refused_by_the_setting_that_differs() {
    let scratch = small();
    scratch.build(&ARGUMENTS).ok();
    let before = hashes(&scratch.path().join("shards"));
    scratch.build(&with(&["--seed", "9"])).fails(
        1,
        &[
            "`shards` holds another build: `build.seed` is `0` there, `9` here",
            "hint: choose another folder with `--out`",
        ],
    );
    scratch.file("diverse.jsonl", samples("other", 60));
    scratch
        .build(&ARGUMENTS)
        .fails(1, &["`build.diverse` names ../diverse.jsonl ("]);
    assert_eq!(
        before,
        hashes(&scratch.path().join("shards")),
        "nothing was touched"
    );
    scratch.build(&with(&["--seed", "9", "--force"])).ok();
}

#[test]
fn foreign_files_are_never_removed() {
    let scratch = small();
    scratch.file("full/thesis.tex", "years of work");
    scratch.build(&with(&["--out", "full"])).fails(
        1,
        &["`full` holds `thesis.tex`, which this build did not write"],
    );
    scratch
        .build(&with(&["--out", "full", "--force"]))
        .fails(1, &["`thesis.tex`", "nothing was removed"]);
    scratch.build(&ARGUMENTS).ok();
    for foreign in [
        "shards/00099.parquet",
        "shards/dropped/mine.parquet",
        "shards/held_out/notes.txt",
    ] {
        let path = scratch.file(foreign, "mine");
        let name = foreign.strip_prefix("shards/").expect("below");
        scratch
            .build(&with(&["--force", "--seed", "5"]))
            .fails(1, &[&format!("`{name}`, which this build did not write")]);
        assert_eq!(fs::read_to_string(&path).expect("still there"), "mine");
        fs::remove_file(path).expect("removed");
    }
    scratch.file("shards-file", "");
    scratch
        .build(&with(&["--out", "shards-file"]))
        .fails(1, &["could not write `shards-file`"]);
}

#[test]
fn what_looks_like_a_build_but_is_none_is_foreign() {
    let scratch = small();
    for foreign in [
        "a/.stages/thesis.tex",
        "b/manifest.json",
        "c/dropped/mine.parquet",
        "d/00000.parquet",
    ] {
        let path = scratch.file(foreign, "mine");
        let folder = &foreign[..1];
        scratch
            .build(&with(&["--out", folder]))
            .fails(1, &["which this build did not write"]);
        scratch
            .build(&with(&["--out", folder, "--force"]))
            .fails(1, &["which this build did not write"]);
        assert_eq!(fs::read_to_string(path).expect("still there"), "mine");
    }
    // A finished build that has lost its recipe is damaged, not free to be built over.
    scratch.build(&ARGUMENTS).ok();
    fs::remove_file(scratch.path().join("shards/recipe.toml")).expect("removed");
    scratch
        .build(&with(&["--seed", "2"]))
        .fails(1, &["`shards/recipe.toml` is damaged: it is missing"]);
    scratch.build(&with(&["--seed", "2", "--force"])).ok();
}

#[test]
fn a_build_is_only_replaced_by_one_that_can_be_drawn() {
    let scratch = small();
    scratch.build(&ARGUMENTS).ok();
    let before = hashes(&scratch.path().join("shards"));
    scratch.file("torn.json", "[{\"instruction\": \"a\", ");
    let torn = ["--task", "task.jsonl", "--diverse", "torn.json", "--force"];
    scratch.build(&torn).fails(
        1,
        &[
            "source `torn.json` is broken",
            "hint: a download may have been cut off",
        ],
    );
    assert!(scratch.build(&ARGUMENTS).ok().contains("is up to date"));
    assert_eq!(before, hashes(&scratch.path().join("shards")));
}

#[test]
fn a_folder_may_be_called_anything() {
    let scratch = small();
    for name in ["with space", "v[1]*?", "100%25", "ümlaut#1"] {
        scratch.build(&with(&["--out", name])).ok();
        assert_eq!(
            scratch
                .sql(&[name, "SELECT count(*) AS n FROM shards", "--format", "csv"])
                .ok(),
            "n\n44\n"
        );
    }
}

#[test]
fn a_damaged_build_is_named_and_can_be_built_again() {
    let scratch = small();
    scratch.build(&ARGUMENTS).ok();
    let before = hashes(&scratch.path().join("shards"));
    let shard = scratch.path().join("shards/00000.parquet");
    let whole = fs::read(&shard).expect("a shard");
    fs::write(&shard, &whole[..whole.len() - 7]).expect("torn");
    scratch.build(&ARGUMENTS).fails(
        1,
        &[
            "`shards/00000.parquet` is damaged: it has",
            "hint: `delia-build --force`",
        ],
    );
    scratch
        .sql(&["shards", "SELECT 1"])
        .fails(1, &["`shards/00000.parquet` is damaged: it has"]);
    let mut flipped = whole;
    flipped[100] ^= 1;
    fs::write(&shard, flipped).expect("damaged");
    scratch.build(&ARGUMENTS).fails(
        1,
        &["is damaged: its bytes are not those that were written"],
    );
    fs::remove_file(&shard).expect("removed");
    scratch
        .build(&ARGUMENTS)
        .fails(1, &["is damaged: it is missing"]);
    scratch.build(&with(&["--force"])).ok();
    assert_eq!(before, hashes(&scratch.path().join("shards")));
}

#[test]
fn a_second_build_into_the_same_folder_is_refused_while_the_first_runs() {
    let scratch = small();
    let mut first = Command::new(env!("CARGO_BIN_EXE_delia-build"))
        .args(["--ratio", "100", "--out", "busy"])
        .current_dir(scratch.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    while !scratch.path().join("busy/recipe.toml").exists() {
        assert!(
            first.try_wait().expect("a child").is_none(),
            "the first build ended too early"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    scratch.build(&with(&["--out", "busy"])).fails(
        1,
        &[
            "another process is writing into `busy`",
            "hint: wait for it",
        ],
    );
    assert!(first.wait().expect("a child").success());
    scratch.sql(&["busy", "SELECT count(*) FROM shards"]).ok();
}

#[test]
fn an_interrupted_build_says_so_and_goes_on() {
    let scratch = small();
    let arguments = ["--ratio", "200", "--out", "shards"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_delia-build"))
        .args(arguments)
        .current_dir(scratch.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    while !scratch.path().join("shards/recipe.toml").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .expect("kill runs");
    assert_eq!(child.wait().expect("a child").code(), Some(130));
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().expect("piped"), &mut said)
        .expect("text");
    assert!(
        said.contains("interrupted; repeating the command goes on where it stopped"),
        "{said}"
    );
    scratch.sql(&["shards", "SELECT 1"]).fails(
        1,
        &[
            "holds no finished build",
            "hint: `delia-build --out DIR` makes one",
        ],
    );
    scratch.build(&arguments).ok();
    scratch.build(&["--ratio", "200", "--out", "whole"]).ok();
    assert_eq!(
        hashes(&scratch.path().join("shards")),
        hashes(&scratch.path().join("whole"))
    );
}
