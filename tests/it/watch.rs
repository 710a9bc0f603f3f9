use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use delia::commands::fit::{self, FitEvent, FitRequest};
use delia::config::{DeviceChoice, FitConfig, ShardsAt};
use delia::error::Error;
use delia::report::Metrics;
use delia::report::tensorboard::Event;
use delia::shards::remote::Downloads;
use prost::Message as _;
use serde_json::Value;

use crate::delia::{Scratch, hashes, skipped};
use crate::fit::{fit as delia_fit, with_shards};

/// 22 steps of two samples, a checkpoint after every fifth.
const TABLE: &str = "batch-size = 2\nsave-every = 5\nrank = 2";

/// A fit within the test that logs into `runs` and is stopped after so many steps.
fn until(scratch: &Scratch, n_steps: u64) {
    let config = FitConfig::from_table(toml::from_str(TABLE).expect("TOML")).expect("settings");
    let stop = AtomicBool::new(false);
    let request = FitRequest {
        shards: &ShardsAt::Folder(scratch.path().join("shards")),
        downloads: &Downloads::default(),
        out: &scratch.path().join("adapter"),
        device: DeviceChoice::Cpu,
        fresh: false,
        prompt: None,
        log_tensorboard: Some(&scratch.path().join("runs")),
        stop: &stop,
    };
    let ended = fit::fit(&config, &request, &|event| {
        if let FitEvent::Step { done, .. } = event {
            stop.store(done == n_steps, Ordering::Relaxed);
        }
    });
    match ended {
        Err(Error::Interrupted { n_done, .. }) => assert_eq!(n_done, n_steps),
        Ok(report) => assert_eq!(report.steps, n_steps),
        Err(error) => panic!("{error}"),
    }
}

/// A whole fit that is stopped after step 7, killed after step 9, and goes on after step 7 to its end.
fn in_three_runs(scratch: &Scratch) {
    until(scratch, 7);
    let checkpoint = |steps: u64| {
        let name = format!("adapter/.checkpoint-{steps}.safetensors");
        scratch.path().join(name)
    };
    let at_seven = fs::read(checkpoint(7)).expect("a checkpoint");
    until(scratch, 9);
    // A process that was killed has logged more than its last checkpoint knows.
    fs::rename(checkpoint(9), checkpoint(7)).expect("replaced");
    fs::write(checkpoint(7), at_seven).expect("put back");
    until(scratch, 22);
}

/// The event files of a folder, in the order of their names.
fn event_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files
}

/// The events of a file, every checksum looked at.
fn events(path: &Path) -> Vec<Event> {
    let bytes = fs::read(path).expect("a file");
    let mut rest = &bytes[..];
    let mut events = Vec::new();
    while !rest.is_empty() {
        let (head, behind) = rest.split_at(12);
        let length = u64::from_le_bytes(*head.first_chunk().expect("8 bytes"));
        assert_eq!(
            masked(&head[..8]),
            crc(&head[8..]),
            "the checksum of a length"
        );
        let (data, behind) = behind.split_at(length as usize);
        let (of_data, behind) = behind.split_at(4);
        assert_eq!(masked(data), crc(of_data), "the checksum of an event");
        events.push(Event::decode(data).expect("an event"));
        rest = behind;
    }
    events
}

fn crc(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(*bytes.first_chunk().expect("4 bytes"))
}

/// Bit by bit, as the definition of CRC-32C has it.
fn masked(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            let odd = crc & 1;
            crc = (crc >> 1) ^ (0x82f6_3b78 * odd);
        }
    }
    (!crc).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// What `metrics.jsonl` says.
fn metrics(scratch: &Scratch) -> Vec<Metrics> {
    let text = fs::read_to_string(scratch.path().join("adapter/metrics.jsonl")).expect("metrics");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("metrics"))
        .collect()
}

/// A curve as event files should have it, from the metrics.
fn curve(metrics: &[Metrics], of: fn(&Metrics) -> Option<f64>) -> Vec<(i64, f32)> {
    let points = metrics.iter();
    points
        .filter_map(|step| Some((step.step as i64, of(step)? as f32)))
        .collect()
}

/// Every curve of a fit, by its tag.
fn curves(metrics: &[Metrics]) -> BTreeMap<&'static str, Vec<(i64, f32)>> {
    BTreeMap::from([
        ("grad_norm", curve(metrics, |step| step.grad_norm)),
        ("loss/all", curve(metrics, |step| step.loss)),
        ("loss/diverse", curve(metrics, |step| step.diverse_loss)),
        ("loss/task", curve(metrics, |step| step.task_loss)),
        ("lr", curve(metrics, |step| step.lr)),
        (
            "tokens_per_second",
            curve(metrics, |step| Some(step.tokens_per_second)),
        ),
    ])
}

#[test]
fn event_files_hold_what_the_metrics_hold() {
    let scratch = with_shards();
    in_three_runs(&scratch);
    let files = event_files(&scratch.path().join("runs"));
    let files: Vec<Vec<Event>> = files.iter().map(|file| events(file)).collect();
    let mut found: BTreeMap<String, Vec<(i64, f32)>> = BTreeMap::new();
    for (events, next_step) in files.iter().zip([0, 7, 7]) {
        let [version, start, steps @ ..] = &events[..] else {
            panic!("a version and a start: {events:?}")
        };
        assert_eq!(version.file_version.as_deref(), Some("brain.Event:2"));
        let status = start.session_log.as_ref().map(|session| session.status);
        assert_eq!((start.step, status), (next_step, Some(1)));
        // As TensorBoard does at the start of a session.
        for points in found.values_mut() {
            points.retain(|&(step, _)| step < next_step);
        }
        for event in steps {
            assert!(event.wall_time > 1.7e9, "seconds since 1970: {event:?}");
            for scalar in &event.summary.as_ref().expect("values").value {
                let points = found.entry(scalar.tag.clone()).or_default();
                let value = scalar.simple_value.expect("a number, 0 or not");
                points.push((event.step, value));
            }
        }
    }
    assert_eq!(files.len(), 3, "a file a run");
    let metrics = metrics(&scratch);
    assert_eq!(metrics.len(), 22);
    let expected = curves(&metrics);
    assert!(
        expected["loss/task"].len() < 22,
        "some steps have no task sample"
    );
    assert_eq!(found.len(), expected.len());
    for (tag, points) in expected {
        assert_eq!(found[tag], points, "{tag}");
    }
}

#[test]
fn tensorboard_reads_every_step_once() {
    let has = |python: &String| {
        let mut import = Command::new(python);
        let status = import.args(["-c", "import tensorboard"]).output();
        status.is_ok_and(|ran| ran.status.success())
    };
    let python = std::env::var("DELIA_PEFT_PYTHON").ok().filter(has);
    let Some(python) = python else {
        let why = "DELIA_PEFT_PYTHON names no Python with tensorboard";
        return skipped("tensorboard_reads_every_step_once", why);
    };
    let scratch = with_shards();
    in_three_runs(&scratch);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/event_files.py");
    let said = scratch
        .run(Command::new(python).arg(script).arg("runs"))
        .ok();
    let found: BTreeMap<String, Vec<(i64, f32)>> = serde_json::from_str(&said).expect("JSON");
    let expected = curves(&metrics(&scratch));
    assert_eq!(found.len(), expected.len(), "{:?}", found.keys());
    for (tag, points) in expected {
        assert_eq!(found[tag], points, "{tag}");
    }
}

#[test]
fn a_plan_is_printed_and_nothing_written() {
    let scratch = with_shards();
    let before = hashes(scratch.path());
    let said = delia_fit(&scratch, &["shards", "--plan", "--batch-size", "10"]).ok();
    for line in [
        "model   `bundled:tiny`: ",
        "trained rank 16 × (in + out) over 28 matrices = ",
        ", and 1 new token × 128 = 128: ",
        "scale   alpha 32 / rank 16 = 2\n",
        "samples of up to 2,048 tokens; 44 of 44 looked at have ",
        "steps   44 samples / 10 = 5 (4 of 10, one of 4) × 1 epoch\n",
        "warm-up 5 % of 5 = 1 step: learning rate 2e-4, then along a cosine to 0\n",
        "batch   10 samples × ",
        "memory  about ",
        "time    ",
        " on cpu for all steps: ",
    ] {
        assert!(said.contains(line), "`{line}` is not in:\n{said}");
    }
    assert_eq!(hashes(scratch.path()), before, "nothing is written");
    assert!(!scratch.path().join("adapter").exists());
    let quiet = delia_fit(&scratch, &["shards", "--plan", "--quiet"]);
    assert_eq!((quiet.ok(), quiet.stderr()), (String::new(), String::new()));
    let arguments = ["shards", "--plan", "--max-length", "4"];
    delia_fit(&scratch, &arguments).fails(1, &["of 4 task samples", "--max-length"]);
    delia_fit(&scratch, &["shards", "--plan", "--fresh"]).fails(2, &["--plan", "--fresh"]);
}

#[test]
fn a_plan_foretells_the_fit() {
    let scratch = with_shards();
    for (nth, flags) in [
        &["--batch-size", "10"][..],
        &["--epochs", "3", "--max-steps", "7", "--rank", "5"],
        &["--full"],
        &["--special-token"],
    ]
    .into_iter()
    .enumerate()
    {
        let out = format!("out{nth}");
        let arguments = [&["shards", "--json", "--out", &out], flags].concat();
        let read = |said: String| -> Value { serde_json::from_str(&said).expect("JSON") };
        let plan = read(delia_fit(&scratch, &[&arguments[..], &["--plan"]].concat()).ok());
        let report = read(delia_fit(&scratch, &arguments).ok());
        for (foretold, found) in [
            (&plan["steps"]["steps"], &report["steps"]),
            (&plan["trained"]["weights"], &report["trained_parameters"]),
            (&plan["parameters"], &report["parameters"]),
            (&plan["device"], &report["device"]),
        ] {
            assert_eq!(foretold, found, "{flags:?}");
        }
        // A pass holds all samples, and the stream is as short as what is looked at of it.
        if plan["steps"]["steps"] == plan["steps"]["per_epoch"] {
            let tokens = plan["time"]["tokens"].as_f64().expect("a number");
            assert_eq!(Some(tokens as u64), report["tokens"].as_u64(), "{flags:?}");
        }
        let memory = &plan["memory"];
        let parts = ["weights", "training", "activations", "scores"];
        let sum: u64 = parts
            .iter()
            .map(|part| memory[part].as_u64().expect("bytes"))
            .sum();
        assert_eq!(memory["total"].as_u64(), Some(sum));
        assert!(plan["time"]["seconds"].as_f64().expect("seconds") > 0.0);
    }
}

#[test]
fn a_fit_says_what_it_is_going_to_do() {
    let scratch = with_shards();
    let arguments = ["shards", "--max-steps", "1"];
    let first = delia_fit(&scratch, &arguments);
    first.ok();
    let said = first.stderr();
    for line in [
        "\nsteps   44 samples / 16 = 3 (2 of 16, one of 12) × 1 epoch, of which 1 are made\n",
        "\nmemory  about ",
        "\ntime    ",
    ] {
        assert!(said.contains(line), "`{line}` is not in:\n{said}");
    }
    let again = delia_fit(&scratch, &arguments);
    again.ok();
    assert!(
        !again.stderr().contains("memory "),
        "there is nothing to do"
    );
}

#[test]
fn a_preset_is_its_values() {
    let scratch = with_shards();
    let run = |preset: &str, flags: &[&str]| {
        let arguments = [
            "shards",
            "--out",
            preset,
            "--max-steps",
            "2",
            "--preset",
            preset,
        ];
        delia_fit(&scratch, &[&arguments[..], flags].concat()).ok();
        let run = fs::read_to_string(scratch.path().join(preset).join("run.toml"));
        let run: toml::Table = run.expect("a file").parse().expect("TOML");
        run["fit"].as_table().expect("a table").clone()
    };
    let peft = run("peft", &["--lr", "0.001"]);
    let values = [
        ("rank", 8.into()),
        ("alpha", 8.0.into()),
        ("dropout", 0.0.into()),
        ("lr", 0.001.into()),
        ("schedule", "linear".into()),
        ("warmup", 0.0.into()),
        ("weight-decay", 0.0.into()),
        ("clip", 1.0.into()),
        ("batch-size", 8.into()),
        ("epochs", 3.into()),
    ];
    for (key, value) in values {
        assert_eq!(peft[key], value, "{key}");
    }
    assert!(!peft.contains_key("preset"));
    let swift = run("swift-2024-07", &["--warmup-steps", "1"]);
    assert_eq!((&swift["rank"], &swift["clip"]), (&8.into(), &0.5.into()));
    assert_eq!(swift["warmup-steps"], 1.into());
    assert!(!swift.contains_key("warmup"));
    run("paper", &[]);
    // The values are what counts: the same fit without the name.
    let arguments = ["shards", "--out", "paper", "--max-steps", "2"];
    let again = delia_fit(&scratch, &arguments).ok();
    assert!(again.contains("up to date"), "{again}");
    delia_fit(&scratch, &["shards", "--preset", "trl"]).fails(2, &["swift-2024-07", "paper"]);
}

#[test]
fn the_learning_rate_follows_its_schedule() {
    let scratch = with_shards();
    let rates = |flags: &[&str]| -> Vec<f64> {
        let arguments = ["shards", "--fresh", "--batch-size", "11", "--lr", "1"];
        delia_fit(&scratch, &[&arguments[..], flags].concat()).ok();
        metrics(&scratch)
            .iter()
            .map(|step| step.lr.expect("a learning rate"))
            .collect()
    };
    let linear = rates(&["--schedule", "linear", "--warmup-steps", "2"]);
    assert_eq!(linear, [0.0, 0.5, 1.0, 0.5]);
    let linear = rates(&["--schedule", "linear", "--warmup", "0"]);
    assert_eq!(linear, [1.0, 0.75, 0.5, 0.25]);
    let constant = rates(&["--schedule", "constant", "--warmup", "0.25"]);
    assert_eq!(constant, [0.0, 1.0, 1.0, 1.0]);
    let cosine = rates(&["--warmup-steps", "8"]);
    assert_eq!(cosine, [0.0, 0.125, 0.25, 0.375]);
    let refused = |flags: &[&str], texts: &[&str]| {
        delia_fit(&scratch, &[&["shards"], flags].concat()).fails(2, texts);
    };
    refused(
        &["--warmup", "10"],
        &[
            "warmup: a share of the steps from 0 to 1, got 10",
            "--warmup-steps",
        ],
    );
    refused(
        &["--warmup", "0.1", "--warmup-steps", "3"],
        &["--warmup", "--warmup-steps"],
    );
    refused(&["--schedule", "step"], &["cosine", "linear", "constant"]);
}

#[test]
fn the_losses_are_drawn() {
    let scratch = with_shards();
    until(&scratch, 7);
    let chart = scratch.path().join("adapter/loss.svg");
    let at_checkpoint = fs::read_to_string(&chart).expect("a chart at a checkpoint");
    until(&scratch, 22);
    let svg = fs::read_to_string(&chart).expect("a chart in the end");
    assert_ne!(svg, at_checkpoint);
    for text in [
        "<svg",
        "\nstep\n",
        "\ntask\n",
        "\ndiverse\n",
        "\nlearning rate\n",
    ] {
        assert!(svg.contains(text), "`{text}` is not in:\n{svg}");
    }
    let report = fs::read(scratch.path().join("adapter/report.json")).expect("a report");
    let report: Value = serde_json::from_slice(&report).expect("JSON");
    assert!(report["files"].get("loss.svg").is_some());
}
