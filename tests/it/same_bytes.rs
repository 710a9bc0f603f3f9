use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::delia::{Ran, Scratch, hashes, samples};

fn sources(scratch: &Scratch) {
    scratch.file("task.jsonl", samples("task", 20));
    scratch.file(
        "diverse.jsonl",
        samples("diverse", 900) + &samples("diverse", 100),
    );
}

const ARGUMENTS: [&str; 13] = [
    "--task",
    "task.jsonl",
    "--diverse",
    "diverse.jsonl",
    "procedural@300",
    "--ratio",
    "90",
    "--rows-per-shard",
    "300",
    "--near",
    "0.9",
    "--shingle",
    "char:3",
];

#[test]
fn threads_and_batches_change_nothing_and_the_seed_everything() {
    let scratch = Scratch::new();
    sources(&scratch);
    let built = |out: &str, more: &[&str]| {
        scratch
            .build(&[&ARGUMENTS[..], &["--out", out], more].concat())
            .ok();
        hashes(&scratch.path().join(out))
    };
    let first = built("a", &["--threads", "1", "--batch-rows", "512"]);
    assert_eq!(
        first.keys().filter(|name| name.starts_with("0000")).count(),
        7
    );
    assert_eq!(
        first,
        built("b", &["--threads", "2", "--batch-rows", "8192"])
    );
    assert_eq!(first, built("c", &["--threads", "2", "--batch-rows", "7"]));
    let other = built("d", &["--seed", "1"]);
    assert!(
        first
            .iter()
            .filter(|(name, _)| name.starts_with("0000"))
            .all(|(name, hash)| other[name] != *hash)
    );
}

/// Shards of several row groups, which are encoded in parallel.
#[test]
fn parallel_encoding_changes_nothing() {
    let scratch = Scratch::new();
    let built = |out: &str, more: &[&str]| {
        scratch
            .build(
                &[
                    &["--ratio", "150", "--rows-per-shard", "10000", "--out", out],
                    more,
                ]
                .concat(),
            )
            .ok();
        hashes(&scratch.path().join(out))
    };
    let first = built("a", &["--threads", "1", "--batch-rows", "512"]);
    assert_eq!(
        first.keys().filter(|name| name.starts_with("0000")).count(),
        2
    );
    assert_eq!(
        first,
        built("b", &["--threads", "2", "--batch-rows", "8192"])
    );
}

#[test]
fn the_frozen_recipe_builds_the_same_shards() {
    let scratch = Scratch::new();
    sources(&scratch);
    scratch
        .build(
            &[
                &ARGUMENTS,
                &["--out", "a", "--order", "strict", "--seed", "3"][..],
            ]
            .concat(),
        )
        .ok();
    scratch
        .build(&["--recipe", "a/recipe.toml", "--out", "b"])
        .ok();
    assert_eq!(
        hashes(&scratch.path().join("a")),
        hashes(&scratch.path().join("b"))
    );
    scratch.file("diverse.jsonl", samples("changed", 900));
    scratch
        .build(&["--recipe", "a/recipe.toml", "--out", "c"])
        .fails(
            1,
            &[
                "has changed since the recipe was written",
                "hint: `--accept-changed`",
            ],
        );
    scratch
        .build(&[
            "--recipe",
            "a/recipe.toml",
            "--out",
            "c",
            "--accept-changed",
        ])
        .ok();
}

#[test]
fn a_build_killed_at_any_moment_ends_with_the_same_bytes() {
    let scratch = Scratch::new();
    sources(&scratch);
    let whole = {
        scratch
            .build(&[&ARGUMENTS[..], &["--out", "whole"][..]].concat())
            .ok();
        hashes(&scratch.path().join("whole"))
    };
    let command = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_delia-build"));
        command
            .args(ARGUMENTS)
            .args(["--out", "killed"])
            .current_dir(scratch.path());
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .stdin(Stdio::null());
        command
    };
    let mut n_killed = 0;
    for milliseconds in (20..).step_by(45) {
        let mut child = command().spawn().expect("the binary runs");
        std::thread::sleep(Duration::from_millis(milliseconds));
        if child
            .try_wait()
            .expect("a child")
            .is_some_and(|status| status.success())
        {
            break;
        }
        child.kill().expect("a running child");
        child.wait().expect("a child");
        n_killed += 1;
    }
    assert!(n_killed >= 3, "the build was fast enough to escape");
    assert_eq!(whole, hashes(&scratch.path().join("killed")));
}

#[test]
fn a_full_disk_stops_the_build_and_loses_nothing() {
    let scratch = Scratch::new();
    sources(&scratch);
    scratch
        .build(&[&ARGUMENTS[..], &["--out", "whole"][..]].concat())
        .ok();
    // A limit on the size of files stands in for a full disk; the first stops a stage, the second a shard.
    for blocks in ["4", "24"] {
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(script)
            .arg(env!("CARGO_BIN_EXE_delia-build"));
        let ran = scratch.run(command.args(ARGUMENTS).args(["--out", "part"]));
        ran.fails(
            1,
            &[
                "could not write `part/",
                "File too large",
                "hint: make room, then repeat the command",
            ],
        );
    }
    scratch
        .build(&[&ARGUMENTS[..], &["--out", "part"][..]].concat())
        .ok();
    assert_eq!(
        hashes(&scratch.path().join("whole")),
        hashes(&scratch.path().join("part"))
    );
}

/// A file system that is really full, where this user may mount one: in a mount namespace of its own, which ends with it.
#[test]
fn a_file_system_that_is_full_loses_nothing_either() {
    let scratch = Scratch::new();
    sources(&scratch);
    scratch
        .build(&[&ARGUMENTS[..], &["--out", "whole"][..]].concat())
        .ok();
    let script = "mkdir disk && mount -t tmpfs -o size=200k tmpfs disk || exit 77
        \"$0\" \"$@\" --out disk/shards && exit 78
        mount -o remount,size=64m disk && \"$0\" \"$@\" --out disk/shards && cp -r disk/shards copy";
    let mut command = Command::new("unshare");
    command
        .args([
            "--mount",
            "sh",
            "-c",
            script,
            env!("CARGO_BIN_EXE_delia-build"),
        ])
        .args(ARGUMENTS);
    let ran = match command.current_dir(scratch.path()).output() {
        Ok(output) if !matches!(output.status.code(), Some(1 | 77)) => Ran(output),
        refused => {
            let said = writeln!(
                io::stderr(),
                "SKIPPED a_file_system_that_is_full_loses_nothing_either: {refused:?}"
            );
            return said.expect("stderr is open");
        }
    };
    ran.ok();
    assert!(
        ran.stderr().contains("No space left on device"),
        "{}",
        ran.stderr()
    );
    let without_recipe = |folder: &str| {
        let mut hashes = hashes(&scratch.path().join(folder));
        // These name the sources relative to the folder, which was one deeper.
        hashes.retain(|name, _| {
            !matches!(
                name.as_str(),
                "recipe.toml" | "manifest.json" | "sources.parquet"
            )
        });
        hashes
    };
    assert_eq!(without_recipe("whole"), without_recipe("copy"));
}
