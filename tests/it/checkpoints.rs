use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use delia::checkpoint::Checkpoint;
use delia::error::{Error, Result};
use delia::report::FitReport;
use serde_json::Value;

use crate::delia::{Scratch, samples};
use crate::fit::{command, fit, own_model};
use crate::resume::{finished, stopped, watched, weights};

/// Settings under which the held-out task loss falls and rises again, within 12 steps.
const RESTLESS: &str = "rank = 4\nbatch-size = 2\nmax-steps = 12\nlr = 5e-3\nsave-every = 1\neval-every = 3\neval-rows = 4\n";

/// A folder with a build of 44 rows, 5 held-out rows of the task and 6 of the others.
fn with_held_out() -> Scratch {
    let scratch = Scratch::new();
    scratch.small_sources(4, 60);
    scratch.file("held.jsonl", samples("word", 5));
    let build = "--task task.jsonl --diverse diverse.jsonl --held-out held.jsonl --ratio 10 --held-out-diverse 6 --reword off";
    scratch.build(&build.split(' ').collect::<Vec<_>>()).ok();
    scratch
}

/// The flags that say what a table says.
fn flags(table: &str) -> Vec<String> {
    let lines = table.lines().filter_map(|line| line.split_once(" = "));
    lines
        .flat_map(|(key, value)| [format!("--{key}"), value.trim_matches('"').to_owned()])
        .collect()
}

fn start(scratch: &Scratch, table: &str, out: &str) -> Child {
    let flags = flags(table);
    let flags = flags.iter().map(String::as_str);
    let arguments: Vec<&str> = ["shards", "--out", out].into_iter().chain(flags).collect();
    let mut command = command(&arguments);
    let command = command.current_dir(scratch.path());
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    child.expect("the binary runs")
}

/// The steps of the checkpoints in a folder.
fn checkpoints(folder: &Path) -> Vec<u64> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let steps = names.filter_map(|name| {
        let name = name.to_str()?.strip_prefix(".checkpoint-")?;
        name.strip_suffix(".safetensors")?.parse().ok()
    });
    let mut steps: Vec<u64> = steps.collect();
    steps.sort_unstable();
    steps
}

fn checkpoint(scratch: &Scratch, out: &str, steps: u64) -> PathBuf {
    let name = format!(".checkpoint-{steps}.safetensors");
    scratch.path().join(out).join(name)
}

/// The log as it was written, without the only column that a clock decides.
fn log(scratch: &Scratch, out: &str) -> Vec<String> {
    let text = fs::read_to_string(scratch.path().join(out).join("metrics.jsonl"));
    let without_time = |line: &str| {
        let (before, after) = line.split_once("\"tokens_per_second\":").expect("a speed");
        let (_, after) = after.split_once(',').expect("something after it");
        format!("{before}{after}")
    };
    text.unwrap_or_default().lines().map(without_time).collect()
}

/// Steps in the log.
fn n_logged(scratch: &Scratch, out: &str) -> usize {
    let text = fs::read(scratch.path().join(out).join("metrics.jsonl"));
    let bytes = text.unwrap_or_default();
    bytes.iter().filter(|&&byte| byte == b'\n').count()
}

/// The report without what a clock or the name of the folder decides.
fn report(scratch: &Scratch, out: &str) -> Value {
    let text = fs::read(scratch.path().join(out).join("report.json")).expect("a report");
    let mut report: Value = serde_json::from_slice(&text).expect("JSON");
    let fields = report.as_object_mut().expect("an object");
    for field in [
        "out",
        "files",
        "seconds",
        "evaluation_seconds",
        "waiting_seconds",
        "tokens_per_second",
    ] {
        assert!(fields.remove(field).is_some(), "{field}");
    }
    report
}

#[track_caller]
fn assert_same(scratch: &Scratch, one: &str, other: &str) {
    let adapter = |out| weights(scratch, out, "adapter_model.safetensors");
    assert!(
        adapter(one) == adapter(other),
        "{other}: the adapters differ"
    );
    assert_eq!(log(scratch, one), log(scratch, other));
    assert_eq!(report(scratch, one), report(scratch, other));
    assert_eq!(checkpoints(&scratch.path().join(other)), [] as [u64; 0]);
}

/// Between nothing and `longest`, the same in every run of the test.
fn moment(nth: u64, longest: Duration) -> Duration {
    let hash = blake3::hash(&nth.to_le_bytes());
    let first = hash.as_bytes().first_chunk().expect("32 bytes");
    longest.mul_f64(f64::from(u32::from_le_bytes(*first)) / f64::from(u32::MAX))
}

#[test]
fn a_fit_killed_at_twenty_moments_ends_with_the_same_bits() {
    let scratch = with_held_out();
    for (nth_table, keep) in ["keep = \"best\"", "keep = 3"].into_iter().enumerate() {
        let table = format!("{RESTLESS}{keep}\n");
        let whole = format!("whole{nth_table}");
        let clock = Instant::now();
        assert!(
            start(&scratch, &table, &whole)
                .wait()
                .expect("a child")
                .success()
        );
        let longest = clock.elapsed();
        // Up to three steps further, and then at any moment: also while it saves, measures, and writes what it leaves; whenever it
        // gets to its end, another begins.
        let (mut n_kills, mut n_resumed, mut n_ended) = (0, 0, 0);
        for nth in 0.. {
            let parts = format!("parts{nth_table}-{n_ended}");
            let further = n_logged(&scratch, &parts) + nth as usize % 4;
            let mut child = start(&scratch, &table, &parts);
            let is_running = |child: &mut Child| child.try_wait().expect("a child").is_none();
            while n_logged(&scratch, &parts) < further && is_running(&mut child) {
                std::thread::sleep(Duration::from_millis(2));
            }
            std::thread::sleep(moment(nth, longest / 8));
            child.kill().expect("killed, or over already");
            if child.wait().expect("a child").success() {
                assert_same(&scratch, &whole, &parts);
                n_ended += 1;
                continue;
            }
            n_kills += 1;
            n_resumed += usize::from(!checkpoints(&scratch.path().join(&parts)).is_empty());
            if n_kills == 10 {
                assert!(
                    start(&scratch, &table, &parts)
                        .wait()
                        .expect("a child")
                        .success()
                );
                assert_same(&scratch, &whole, &parts);
                break;
            }
        }
        assert!(n_resumed >= 6, "{n_resumed} of 10 had got somewhere");
    }
}

#[test]
fn a_signal_lets_the_step_end_and_be_saved() {
    let scratch = with_held_out();
    let table = "batch-size = 1\nepochs = 9\neval-every = \"off\"\n";
    for signal in ["INT", "TERM", "HUP"] {
        let mut child = start(&scratch, table, signal);
        while log(&scratch, signal).len() < 3 {
            assert_eq!(child.try_wait().expect("a child"), None, "it has ended");
            std::thread::sleep(Duration::from_millis(2));
        }
        let kill = Command::new("kill")
            .args(["-s", signal, &child.id().to_string()])
            .status();
        assert!(kill.expect("kill runs").success());
        let output = child.wait_with_output().expect("a child");
        assert_eq!(output.status.code(), Some(130), "{signal}");
        let n_done = log(&scratch, signal).len();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains(&format!("interrupted after {n_done} steps")),
            "{said}"
        );
        assert!(said.contains("repeating the command goes on"), "{said}");
        let saved = Checkpoint::read(&checkpoint(&scratch, signal, n_done as u64));
        assert_eq!(saved.expect("whole").progress.steps, n_done as u64);
    }
}

#[test]
fn the_held_out_loss_is_that_of_a_step_on_the_same_rows() {
    let scratch = with_held_out();
    // The same rows in the place of the task; with a learning rate of 0 and no dropout a step measures what is there.
    let build = "--task held.jsonl --diverse diverse.jsonl --ratio 0 --reword off --out again";
    scratch.build(&build.split(' ').collect::<Vec<_>>()).ok();
    let json = |arguments: &str| -> Value {
        let said = fit(&scratch, &arguments.split(' ').collect::<Vec<_>>()).ok();
        serde_json::from_str(&said).expect("JSON")
    };
    let trained = json("again --lr 0 --dropout 0 --batch-size 5 --json --out step");
    let measured = json("shards --lr 0 --batch-size 16 --json --out measured");
    let row = |report: &Value, on: &str| {
        let rows = report["losses"].as_array().expect("a list");
        let row = rows.iter().find(|row| row["on"] == on);
        let row = row.unwrap_or_else(|| panic!("no row `{on}` in {rows:?}"));
        [&row["first"], &row["last"]].map(|loss| loss.as_f64().expect("a number"))
    };
    let [expected, _] = row(&trained, "task");
    for found in row(&measured, "held-out task") {
        assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
    }
    let [before, after] = row(&measured, "held-out diverse");
    assert!(before == after && before != expected, "nothing is trained");
    let of_first_two = json("shards --lr 0 --batch-size 16 --eval-rows 2 --json --out two");
    assert_ne!(
        row(&of_first_two, "held-out task"),
        row(&measured, "held-out task")
    );
    let off = json("shards --lr 0 --batch-size 16 --eval-every off --json --out off");
    assert_eq!(off["losses"].as_array().expect("a list").len(), 3);
    assert_eq!(off["evaluation_seconds"], 0.0);
}

#[test]
fn the_held_out_loss_is_measured_when_it_is_due() {
    let scratch = with_held_out();
    let measured_after = |settings: &str| -> Vec<usize> {
        let arguments = format!("shards --fresh {settings}");
        let said = fit(&scratch, &arguments.split(' ').collect::<Vec<_>>());
        assert!(said.stderr().contains(
            "held-out loss on 5 of 5 task rows and 6 of 6 diverse rows: before the first step, "
        ));
        said.ok();
        let lines = log(&scratch, "adapter");
        let is_measured = |line: &str| {
            let line: Value = serde_json::from_str(line).expect("JSON");
            let losses = [&line["held_out_task_loss"], &line["held_out_diverse_loss"]];
            assert_eq!(losses[0].is_null(), losses[1].is_null());
            !losses[0].is_null()
        };
        let nth = (1..).zip(&lines).filter(|(_, line)| is_measured(line));
        nth.map(|(nth, _)| nth).collect()
    };
    // 22 steps; four times 11 rows are 44 of 88 samples.
    assert_eq!(
        measured_after("--batch-size 2 --eval-every 5"),
        [5, 10, 15, 20, 22]
    );
    assert_eq!(measured_after("--batch-size 4 --epochs 2"), [22]);
    // The same steps over 484 samples.
    assert_eq!(
        measured_after("--batch-size 22 --epochs 11"),
        [6, 12, 18, 22]
    );
    let schema = {
        let file = fs::File::open(scratch.path().join("adapter/metrics.parquet")).expect("a file");
        let builder = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file);
        builder.expect("Parquet").schema().clone()
    };
    for column in ["held_out_task_loss", "held_out_diverse_loss"] {
        assert!(
            schema
                .field_with_name(column)
                .expect("a column")
                .is_nullable()
        );
    }
}

#[test]
fn the_best_step_is_what_the_fit_ends_with() {
    let scratch = with_held_out();
    let report: FitReport = finished(&scratch, &format!("{RESTLESS}keep = \"best\"\n"), "best");
    let best = report.best.expect("a best step");
    let lines = log(&scratch, "best");
    let losses = lines.iter().map(|line| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        line["held_out_task_loss"].as_f64()
    });
    let losses: Vec<Option<f64>> = losses.collect();
    let lowest = losses
        .iter()
        .flatten()
        .copied()
        .fold(f64::INFINITY, f64::min);
    assert_eq!(losses[best.steps as usize - 1], Some(lowest));
    assert!(
        best.steps < 12,
        "the settings are such that the last is not the best: {losses:?}"
    );
    assert_eq!(best.n_measured, 4);
    let kept = format!(
        "kept    the state after {} of 12 steps: its held-out task loss, {lowest:.4}, is the lowest of 4",
        best.steps
    );
    assert!(report.to_string().contains(&kept), "{report}");
    // What was kept has that loss when it is gone on with; what is last has the last.
    finished(&scratch, RESTLESS, "last");
    let before = |adapter: &str| {
        let adapter = scratch.path().join(adapter);
        let table = format!("adapter = {adapter:?}\nmax-steps = 1\neval-rows = 4\n");
        let out = format!("from-{}", adapter.file_name().expect("a name").display());
        let report = finished(&scratch, &table, &out);
        let row = report.losses.iter().find(|row| row.on == "held-out task");
        row.expect("a loss").first
    };
    assert!((before("best") - lowest).abs() < 1e-6);
    let last = losses.last().copied().flatten().expect("a last loss");
    assert!((before("last") - last).abs() < 1e-6);
}

#[test]
fn what_is_best_cannot_be_told_without_held_out_task_rows() {
    let scratch = crate::fit::with_shards();
    fit(&scratch, &["shards", "--keep", "best"]).fails(
        2,
        &[
            "keep",
            "the build holds out no task row",
            "delia-build --held-out",
        ],
    );
    fit(
        &scratch,
        &["shards", "--keep", "best", "--eval-every", "off"],
    )
    .fails(2, &["keep", "is not measured"]);
    fit(&scratch, &["shards", "--keep", "0"])
        .fails(2, &["`0` is neither `best` nor a number above 0"]);
    fit(&scratch, &["shards", "--eval-every", "often"])
        .fails(2, &["neither a number of steps nor"]);
    assert!(!scratch.path().join("adapter/metrics.jsonl").exists());
    let said = fit(
        &scratch,
        &["shards", "--eval-every", "2", "--max-steps", "1"],
    );
    assert!(
        said.stderr().contains("the build holds out no row"),
        "{}",
        said.stderr()
    );
}

#[test]
fn as_many_checkpoints_are_kept_as_were_asked_for() {
    let scratch = with_held_out();
    let kept = |keep: &str, out: &str, stop_after| {
        let table = format!("{RESTLESS}{keep}\n");
        stopped(&scratch, &table, out, stop_after);
        checkpoints(&scratch.path().join(out))
    };
    assert_eq!(kept("", "one", 7), [7]);
    assert_eq!(kept("keep = 3", "three", 7), [5, 6, 7]);
    // How many are kept changes no result, and may change.
    assert_eq!(kept("keep = 2", "three", 9), [8, 9]);
    // Measured after 3 steps, 6 and 9, of which one is the best.
    let best = kept("keep = \"best\"", "best", 11);
    assert_eq!((best.len(), best[1]), (2, 11));
    assert!([3, 6, 9].contains(&best[0]), "{best:?}");
    fs::remove_file(checkpoint(&scratch, "best", best[0])).expect("removed");
    let table = format!("{RESTLESS}keep = \"best\"\n");
    match watched(&scratch, &table, "best", &|_| false) {
        Err(Error::Checkpoint { problem, .. }) => assert_eq!(problem, "it is missing"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_torn_checkpoint_is_refused_and_an_older_one_that_is_whole_is_named() {
    let scratch = with_held_out();
    let table = format!("{RESTLESS}keep = 3\n");
    finished(&scratch, &table, "whole");
    stopped(&scratch, &table, "torn", 7);
    let cut = |steps| {
        let path = checkpoint(&scratch, "torn", steps);
        let bytes = fs::read(&path).expect("a checkpoint");
        fs::write(&path, &bytes[..bytes.len() / 2]).expect("torn");
    };
    let go_on = || {
        let flags = flags(&table);
        let flags = flags.iter().map(String::as_str);
        let arguments: Vec<&str> = ["shards", "--out", "torn"]
            .into_iter()
            .chain(flags)
            .collect();
        fit(&scratch, &arguments)
    };
    cut(7);
    let torn = "the checkpoint `torn/.checkpoint-7.safetensors` cannot be used: ";
    let hint = "hint: the one after 6 steps is whole: remove this file, and the same command goes on there";
    go_on().fails(1, &[torn, hint]);
    cut(6);
    go_on().fails(1, &[torn, "the one after 5 steps is whole"]);
    assert_eq!(
        checkpoints(&scratch.path().join("torn")),
        [5, 6, 7],
        "nothing was removed"
    );
    for steps in [6, 7] {
        fs::remove_file(checkpoint(&scratch, "torn", steps)).expect("removed");
    }
    go_on().ok();
    assert_same(&scratch, "whole", "torn");

    stopped(&scratch, RESTLESS, "lost", 3);
    fs::write(checkpoint(&scratch, "lost", 3), "nothing").expect("written");
    match watched(&scratch, RESTLESS, "lost", &|_| false) {
        Err(error @ Error::Checkpoint { older: None, .. }) => {
            assert!(error.hint().expect("a hint").contains("`--fresh`"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_checkpoint_of_another_run_model_or_build_is_refused_by_what_differs() {
    let scratch = with_held_out();
    let model = own_model(&scratch);
    let change_model = || {
        let path = model.join("model.safetensors");
        let mut bytes = fs::read(&path).expect("weights");
        *bytes.last_mut().expect("bytes") ^= 1;
        fs::write(&path, bytes).expect("written");
    };
    change_model();
    let build = "--task task.jsonl --diverse diverse.jsonl --ratio 5 --reword off --out others";
    scratch.build(&build.split(' ').collect::<Vec<_>>()).ok();
    stopped(&scratch, RESTLESS, "mine", 2);
    let of_run = RESTLESS.replace("rank = 4", "rank = 8");
    let of_model = format!("{RESTLESS}model = {model:?}\n");
    stopped(&scratch, &of_run, "run", 2);
    stopped(&scratch, &of_model, "other-model", 2);
    let mine = fs::read(checkpoint(&scratch, "mine", 2)).expect("a checkpoint");
    let refused = |out: &str, because: &str| {
        fs::copy(
            checkpoint(&scratch, out, 2),
            checkpoint(&scratch, "mine", 2),
        )
        .expect("copied");
        match watched(&scratch, RESTLESS, "mine", &|_| false) {
            Err(Error::Checkpoint { problem, .. }) => {
                assert!(problem.starts_with("it is of another fit: "), "{problem}");
                assert!(
                    problem.contains(because),
                    "`{because}` is not in: {problem}"
                );
            }
            other => panic!("{other:?}"),
        }
    };
    refused("run", "`rank` was 8, now it is 4");
    refused("other-model", "`model` was ");
    // A state under the number of another.
    fs::write(checkpoint(&scratch, "mine", 2), &mine).expect("restored");
    fs::copy(
        checkpoint(&scratch, "mine", 2),
        checkpoint(&scratch, "mine", 9),
    )
    .expect("copied");
    match watched(&scratch, RESTLESS, "mine", &|_| false) {
        Err(Error::Checkpoint { problem, older, .. }) => {
            assert_eq!(
                (problem.as_str(), older),
                ("it holds the state after 2 steps", Some(2))
            );
        }
        other => panic!("{other:?}"),
    }
    fs::remove_file(checkpoint(&scratch, "mine", 9)).expect("removed");

    // Other contents in the same places: the build, then the model.
    fs::rename(scratch.path().join("shards"), scratch.path().join("kept")).expect("moved");
    fs::rename(scratch.path().join("others"), scratch.path().join("shards")).expect("moved");
    let differs =
        |out: &str, table: &str, because: &str| match watched(&scratch, table, out, &|_| false) {
            Err(Error::FolderOtherFit { difference, .. }) => assert_eq!(difference, because),
            other => panic!("{other:?}"),
        };
    differs(
        "mine",
        RESTLESS,
        "the build of the shards is not the one it was begun with",
    );
    stopped(&scratch, RESTLESS, "of-others", 2);
    let foreign = fs::read(checkpoint(&scratch, "of-others", 2)).expect("a checkpoint");
    fs::rename(scratch.path().join("shards"), scratch.path().join("others")).expect("moved");
    fs::rename(scratch.path().join("kept"), scratch.path().join("shards")).expect("moved");
    fs::write(checkpoint(&scratch, "of-others", 2), foreign).expect("written");
    refused("of-others", "the build of the shards is not the one");
    change_model();
    differs(
        "other-model",
        &of_model,
        "the model is not the one it was begun with",
    );
}

/// The last checkpoint is whole, and what could not be written after it is made up for.
#[track_caller]
fn goes_on_after(scratch: &Scratch, failed: Result<FitReport>, mend: &dyn Fn()) {
    match failed {
        Err(error @ Error::Write { .. }) => {
            assert!(error.to_string().contains("part/.checkpoint-5"), "{error}");
            let hint = error.hint().expect("a hint");
            assert!(
                hint.contains("make room") || hint.contains("let this user"),
                "{hint}"
            );
        }
        other => panic!("{other:?}"),
    }
    let saved = Checkpoint::read(&checkpoint(scratch, "part", 4));
    assert_eq!(saved.expect("whole").progress.steps, 4);
    assert!(
        !checkpoint(scratch, "part", 5).exists(),
        "half a checkpoint is none"
    );
    mend();
    finished(scratch, RESTLESS, "part");
    assert_same(scratch, "whole", "part");
}

#[test]
fn a_full_disk_leaves_the_checkpoint_before() {
    let scratch = with_held_out();
    finished(&scratch, RESTLESS, "whole");
    // A device that is always full stands in the place that the next checkpoint is written to first.
    let beside = scratch.path().join("part/.checkpoint-5.safetensors.tmp");
    let failed = watched(&scratch, RESTLESS, "part", &|done| {
        if done == 5 {
            std::os::unix::fs::symlink("/dev/full", &beside).expect("a link");
        }
        false
    });
    goes_on_after(&scratch, failed, &|| {
        fs::remove_file(&beside).expect("removed")
    });
}

#[test]
fn a_folder_that_may_not_be_written_to_leaves_the_checkpoint_before() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = with_held_out();
    finished(&scratch, RESTLESS, "whole");
    let folder = scratch.path().join("part");
    let allow = |mode| fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).expect("set");
    let is_root = std::cell::Cell::new(false);
    let failed = watched(&scratch, RESTLESS, "part", &|done| {
        if done == 5 {
            allow(0o555);
            is_root.set(fs::write(folder.join(".checkpoint-5.safetensors.tmp"), "").is_ok());
        }
        is_root.get()
    });
    if is_root.get() {
        allow(0o755);
        crate::delia::skipped(
            "a_folder_that_may_not_be_written_to_leaves_the_checkpoint_before",
            "this user may write everywhere",
        );
        return;
    }
    goes_on_after(&scratch, failed, &|| allow(0o755));
}

#[test]
fn what_was_kept_too_long_is_removed() {
    let scratch = with_held_out();
    let table = format!("{RESTLESS}keep = 3\n");
    stopped(&scratch, &table, "adapter", 4);
    // As a fit leaves it that is killed between its report and the removal of its checkpoints, or while it writes one.
    let old = fs::read(checkpoint(&scratch, "adapter", 4)).expect("a checkpoint");
    scratch.file("adapter/.checkpoint-7.safetensors.tmp", "half");
    finished(&scratch, &table, "adapter");
    assert!(
        !scratch
            .path()
            .join("adapter/.checkpoint-7.safetensors.tmp")
            .exists()
    );
    fs::write(checkpoint(&scratch, "adapter", 12), old).expect("written");
    let again = finished(&scratch, &table, "adapter");
    assert_eq!(again.outcome, delia::report::Outcome::UpToDate);
    assert_eq!(checkpoints(&scratch.path().join("adapter")), [] as [u64; 0]);
}
