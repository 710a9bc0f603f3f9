use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::delia::{Ran, Scratch, hashes, samples, skipped};

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

/// Places at which builds are killed.
const KILLS: u32 = 30;

#[test]
fn a_build_killed_at_any_moment_ends_with_the_same_bytes() {
    let scratch = Scratch::new();
    sources(&scratch);
    let build = |out: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_delia-build"));
        command.args(ARGUMENTS).args(["--out", out]);
        command.current_dir(scratch.path()).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let begun = Instant::now();
    assert!(build("whole").status().expect("the binary runs").success());
    let (whole, elapsed) = (hashes(&scratch.path().join("whole")), begun.elapsed());
    let mut n_killed = 0;
    for nth in 0..KILLS {
        let out = format!("killed-{nth}");
        let mut child = build(&out).spawn().expect("the binary runs");
        // Spread over the whole build without a pattern: the fractions of multiples of the golden ratio.
        std::thread::sleep(elapsed.mul_f64((0.618_034 * f64::from(nth)).fract()));
        let is_done = child.try_wait().expect("a child").is_some();
        n_killed += u32::from(!is_done);
        child.kill().expect("a child that can be killed");
        child.wait().expect("a child");
        assert!(build(&out).status().expect("the binary runs").success());
        assert_eq!(whole, hashes(&scratch.path().join(&out)), "killed {nth}");
    }
    assert!(
        n_killed > KILLS / 2,
        "only {n_killed} builds were still running"
    );
}

#[test]
fn what_an_interrupted_build_finished_is_not_done_again() {
    let scratch = Scratch::new();
    sources(&scratch);
    let out = scratch.path().join("part");
    let mut build = Command::new(env!("CARGO_BIN_EXE_delia-build"));
    build
        .args(ARGUMENTS)
        .args(["--out", "part"])
        .current_dir(scratch.path());
    build
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = build.spawn().expect("the binary runs");
    // With the plan everything before the shards is done.
    while !out.join("plan.json").exists() {
        assert!(
            child.try_wait().expect("a child").is_none(),
            "it ended too early"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().expect("a running child");
    child.wait().expect("a child");
    let stages = || {
        let files = fs::read_dir(out.join(".stages")).expect("a folder");
        let stages = files
            .map(|entry| entry.expect("an entry"))
            .filter(|entry| {
                entry
                    .path()
                    .extension()
                    .is_some_and(|ending| ending == "parquet")
            })
            .map(|entry| {
                let file = entry.metadata().expect("a file");
                let name = entry.file_name().to_string_lossy().into_owned();
                (name, file.ino(), file.modified().expect("a time"))
            });
        stages.collect::<BTreeSet<_>>()
    };
    let first = stages();
    for query in [
        "10_normalize-",
        "20_dedupe_exact-",
        "30_dedupe_near-",
        "near-",
        "70_interleave-",
    ] {
        assert!(
            first.iter().any(|(name, _, _)| name.starts_with(query)),
            "{query} in {first:?}"
        );
    }
    // What stands in the place of the last shard stops the second run there.
    fs::create_dir_all(out.join("00006.parquet.tmp")).expect("a folder");
    let ran = scratch.run(&mut build);
    ran.fails(1, &[]);
    assert_eq!(first, stages(), "every stage is the file it was");
    fs::remove_dir(out.join("00006.parquet.tmp")).expect("removed");
    assert!(build.status().expect("the binary runs").success());
    scratch
        .build(&[&ARGUMENTS[..], &["--out", "whole"][..]].concat())
        .ok();
    assert_eq!(hashes(&out), hashes(&scratch.path().join("whole")));
}

#[test]
fn a_small_memory_limit_changes_nothing_and_too_small_a_one_is_refused() {
    let scratch = Scratch::new();
    let built = |out: &str, more: &[&str]| {
        let arguments = ["--ratio", "200", "--out", out];
        scratch.build(&[&arguments, more].concat()).ok();
        hashes(&scratch.path().join(out))
    };
    let first = built("a", &[]);
    assert_eq!(first, built("b", &["--memory-limit", "32MiB"]));
    let temp = scratch.path().join("elsewhere");
    fs::create_dir(&temp).expect("a folder");
    assert_eq!(
        first,
        built("c", &["--memory-limit", "64MB", "--temp-dir", "elsewhere"])
    );
    assert_eq!(
        fs::read_dir(temp).expect("a folder").count(),
        0,
        "nothing is left behind"
    );
    let refused = |limit: &str, text| {
        scratch
            .build(&["--memory-limit", limit, "--out", "d"])
            .fails(2, &[text]);
    };
    refused("1kB", "the least is 32.0 MiB, got `1kB`");
    refused("much", "`much` is no size such as 4GB or 512MiB");
}

#[test]
fn a_limit_too_small_for_the_work_names_one_that_is_not() {
    let scratch = Scratch::new();
    // Rows of 200 kB: a batch of them is more than the least limit.
    let rows = (0..400).map(|nth| {
        let text = format!("{nth} ").repeat(50_000);
        serde_json::json!({"instruction": "Repeat", "input": text, "output": nth.to_string()})
            .to_string()
            + "\n"
    });
    scratch.file("long.jsonl", rows.collect::<String>());
    let build = |out: &str, limit: &str| {
        scratch.build(&[
            "--diverse",
            "long.jsonl",
            "--ratio",
            "3",
            "--near",
            "off",
            "--memory-limit",
            limit,
            "--out",
            out,
        ])
    };
    let refused = build("a", "32MiB");
    refused.fails(
        1,
        &[
            "needs a memory limit of",
            "and has 33.6 MB",
            "hint: pass a larger `--memory-limit`",
        ],
    );
    // What it names is enough for the step that was refused; later ones may name more.
    let mut limit = named(&refused.stderr());
    for _ in 0..8 {
        let ran = build("a", &limit);
        if ran.code() == Some(0) {
            build("b", "1GB").ok();
            return assert_eq!(
                hashes(&scratch.path().join("a")),
                hashes(&scratch.path().join("b"))
            );
        }
        limit = named(&ran.stderr());
    }
    panic!("`{limit}` is not enough either");
}

/// The limit that a refusal names.
fn named(stderr: &str) -> String {
    let (_, behind) = stderr
        .split_once("needs a memory limit of ")
        .expect("a refusal");
    let (limit, _) = behind.split_once(", and has").expect("two sizes");
    limit.replace(' ', "")
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let scratch = Scratch::new();
    sources(&scratch);
    // A file where a folder should be cannot be written into by any user, root included.
    scratch.file("taken", "");
    let ran = scratch.build(&[&ARGUMENTS[..], &["--out", "taken/shards"]].concat());
    ran.fails(1, &["could not write `taken/shards`"]);
    let script = "mkdir disk && mount -t tmpfs -o ro tmpfs disk || exit 77; exec \"$0\" \"$@\" --out disk/shards";
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
    match command.current_dir(scratch.path()).output() {
        Ok(output) if String::from_utf8_lossy(&output.stderr).contains("disk/shards") => {
            Ran(output).fails(
                1,
                &["could not write `disk/shards`", "Read-only file system"],
            );
        }
        refused => skipped(
            "a_folder_that_cannot_be_written_is_named, the read-only file system",
            &format!("{refused:?}"),
        ),
    }
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
            let test = "a_file_system_that_is_full_loses_nothing_either";
            return skipped(test, &format!("{refused:?}"));
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
