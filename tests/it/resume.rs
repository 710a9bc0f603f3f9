use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use delia::checkpoint::Checkpoint;
use delia::commands::fit::{self, FitEvent, FitRequest};
use delia::config::{DeviceChoice, FitConfig, ShardsAt};
use delia::error::{Error, Result};
use delia::report::FitReport;
use delia::shards::remote::Downloads;

use crate::delia::Scratch;
use crate::fit::{command, fit as delia_fit, with_shards};

/// A fit within the test, with these settings; asked to stop once `stop_after` steps are made.
fn run(scratch: &Scratch, table: &str, out: &str, stop_after: Option<u64>) -> Result<FitReport> {
    watched(scratch, table, out, &|done| Some(done) == stop_after)
}

/// The same; after every step, before it is saved, `stop_after` is asked whether to stop.
pub(crate) fn watched(
    scratch: &Scratch,
    table: &str,
    out: &str,
    stop_after: &dyn Fn(u64) -> bool,
) -> Result<FitReport> {
    let config = FitConfig::from_table(toml::from_str(table).expect("TOML")).expect("settings");
    let stop = AtomicBool::new(false);
    let request = FitRequest {
        shards: &ShardsAt::Folder(scratch.path().join("shards")),
        downloads: &Downloads::default(),
        out: &scratch.path().join(out),
        device: DeviceChoice::Cpu,
        fresh: false,
        prompt: None,
        log_tensorboard: None,
        stop: &stop,
    };
    fit::fit(&config, &request, &|event| {
        if let FitEvent::Step { done, .. } = event {
            stop.store(stop_after(done), Ordering::Relaxed);
        }
    })
}

pub(crate) fn finished(scratch: &Scratch, table: &str, out: &str) -> FitReport {
    run(scratch, table, out, None).expect("a finished fit")
}

pub(crate) fn stopped(scratch: &Scratch, table: &str, out: &str, stop_after: u64) {
    match run(scratch, table, out, Some(stop_after)) {
        Err(Error::Interrupted { n_done, .. }) => assert_eq!(n_done, stop_after),
        other => panic!("it should stop after step {stop_after}: {other:?}"),
    }
}

pub(crate) fn weights(scratch: &Scratch, out: &str, file: &str) -> Vec<u8> {
    fs::read(scratch.path().join(out).join(file)).expect("weights")
}

#[test]
fn an_interrupted_fit_ends_with_the_same_bits() {
    let scratch = with_shards();
    // Many small steps: 22 of two samples.
    let arguments = [
        "shards",
        "--batch-size",
        "2",
        "--save-every",
        "3",
        "--lr",
        "1e-2",
    ];
    delia_fit(&scratch, &[&arguments[..], &["--out", "whole"]].concat()).ok();
    let adapter = |folder: &str| {
        fs::read(
            scratch
                .path()
                .join(folder)
                .join("adapter_model.safetensors"),
        )
        .ok()
    };
    let steps = |folder: &str| {
        let log = fs::read_to_string(scratch.path().join(folder).join("metrics.jsonl"))
            .unwrap_or_default();
        log.lines().count()
    };
    let arguments = [&arguments[..], &["--out", "parts"]].concat();
    // Killed as soon as it has gone a few steps further, then asked to stop, then left alone.
    for (signal, further) in [("-KILL", 2), ("-KILL", 5), ("-INT", 2), ("-TERM", 3)] {
        let before = steps("parts");
        let mut run = command(&arguments);
        run.current_dir(scratch.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = run.spawn().expect("the binary runs");
        while steps("parts") < (before + further).min(21)
            && child.try_wait().expect("a child").is_none()
        {
            std::thread::sleep(Duration::from_millis(5));
        }
        Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status()
            .expect("kill runs");
        let code = child.wait().expect("a child").code();
        if adapter("parts").is_none() && signal != "-KILL" {
            assert_eq!(code, Some(130), "a fit that was asked to stop says so");
        }
    }
    delia_fit(&scratch, &arguments).ok();
    assert_eq!(steps("parts"), 22, "no step is logged twice");
    assert!(adapter("parts") == adapter("whole"), "the adapters differ");
}

#[test]
fn a_fit_in_parts_is_a_fit_in_one() {
    let scratch = with_shards();
    // Over two passes, with samples left out, cut, and every weight trained; stopped at the first step, around a save, at
    // the turn of the pass, at the last step but one.
    for (nth, (table, n_steps, file)) in [
        (
            "epochs = 2\nbatch-size = 4\nsave-every = 5",
            22,
            "adapter_model.safetensors",
        ),
        (
            "epochs = 2\nbatch-size = 5\nmax-length = 25",
            18,
            "adapter_model.safetensors",
        ),
        (
            "batch-size = 3\nmax-length = 23\ntoo-long = \"truncate\"",
            15,
            "adapter_model.safetensors",
        ),
        (
            "full = true\nbatch-size = 7\nmax-steps = 6",
            6,
            "model.safetensors",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let stops = [1, 4, 5, n_steps / 2, n_steps - 1];
        let mut stops: Vec<u64> = stops.into_iter().filter(|&stop| stop < n_steps).collect();
        stops.sort_unstable();
        stops.dedup();
        let (whole, parts) = (format!("whole{nth}"), format!("parts{nth}"));
        let once = finished(&scratch, table, &whole);
        for &stop in &stops {
            stopped(&scratch, table, &parts, stop);
        }
        let often = finished(&scratch, table, &parts);
        assert_eq!(once.steps, n_steps, "{table}");
        assert_eq!(
            (once.samples, once.tokens, once.too_long, once.no_target),
            (often.samples, often.tokens, often.too_long, often.no_target),
            "{table}"
        );
        assert_eq!(
            once.too_long > 0,
            table.contains("max-length = 25"),
            "{table}"
        );
        let bytes = |out: &str| weights(&scratch, out, file);
        assert!(
            bytes(&whole) == bytes(&parts),
            "{table}: the weights differ"
        );
    }
}

#[test]
fn threads_change_no_bit() {
    let scratch = with_shards();
    let of = |threads: &str, more: &[&str], file: &str| {
        let arguments = [
            "shards",
            "--threads",
            threads,
            "--out",
            threads,
            "--lr",
            "1e-2",
            "--fresh",
        ];
        delia_fit(&scratch, &[&arguments[..], more].concat()).ok();
        weights(&scratch, threads, file)
    };
    for (more, file) in [
        (&[][..], "adapter_model.safetensors"),
        (&["--full", "--max-steps", "2"], "model.safetensors"),
    ] {
        assert!(of("1", more, file) == of("3", more, file), "{file} differs");
    }
}

#[test]
fn a_log_that_lacks_a_step_of_the_checkpoint_is_refused() {
    let scratch = with_shards();
    let table = "batch-size = 4";
    stopped(&scratch, table, "adapter", 3);
    let log = scratch.path().join("adapter/metrics.jsonl");
    let whole = fs::read_to_string(&log).expect("a log");
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    fs::write(&log, [lines[0], lines[2]].concat()).expect("written");
    match run(&scratch, table, "adapter", None) {
        Err(Error::FitDamaged { problem, .. }) => {
            assert_eq!(problem, "line 2 is not that of step 1");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_loss_that_is_not_a_number_names_its_samples_and_keeps_what_was_good() {
    let scratch = with_shards();
    let settings = [
        ("lr", "1e38"),
        ("clip", "1e38"),
        ("warmup", "1.0"),
        ("batch-size", "4"),
    ];
    let flags: Vec<String> = settings
        .iter()
        .flat_map(|(key, value)| [format!("--{key}"), (*value).to_owned()])
        .collect();
    let flags = flags.iter().map(String::as_str);
    let arguments: Vec<&str> = ["shards"].into_iter().chain(flags).collect();
    delia_fit(&scratch, &arguments).fails(
        1,
        &[
            "is not a number at step 1 (the first is 0),",
            "on the samples at positions",
            "the last good one, is in `adapter/.checkpoint-1.safetensors`",
            "`--fresh` and a smaller `--lr`, a smaller `--clip`",
        ],
    );
    assert!(
        !scratch
            .path()
            .join("adapter/adapter_model.safetensors")
            .exists()
    );
    // What is kept is what the same fit is after the step before.
    let table = settings
        .map(|(key, value)| format!("{key} = {value}\n"))
        .concat();
    stopped(&scratch, &table, "good", 1);
    let checkpoint = |out: &str| {
        let path = scratch.path().join(out).join(".checkpoint-1.safetensors");
        Checkpoint::read(&path).expect("a checkpoint")
    };
    let (kept, good) = (checkpoint("adapter"), checkpoint("good"));
    assert_eq!(kept.progress.steps, 1);
    assert_eq!(kept.tensors, good.tensors);
}
