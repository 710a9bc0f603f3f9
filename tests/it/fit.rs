use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use delia::base_model::BaseModel;
use delia::error::Error;
use delia::model::Weights;
use delia::shards::{Manifest, ShardFolder, StreamReader};
use serde_json::Value;

use crate::delia::{Ran, Scratch, skipped, stream};
use crate::golden_models;

/// Runs `delia-fit` in this folder, on the CPU.
pub(crate) fn fit(scratch: &Scratch, arguments: &[&str]) -> Ran {
    scratch.run(&mut command(arguments))
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_delia-fit"));
    command.args(arguments).args(["--device", "cpu"]);
    command
}

/// A folder with a small build of three steps of 16 samples.
pub(crate) fn with_shards() -> Scratch {
    let scratch = Scratch::new();
    scratch.small_sources(4, 60);
    let build = [
        "--task",
        "task.jsonl",
        "--diverse",
        "diverse.jsonl",
        "--ratio",
        "10",
        "--held-out-diverse",
        "0",
        "--special-token",
        "<sep>",
        "--reword",
        "off",
    ];
    scratch.build(&build).ok();
    scratch
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}

/// A copy of the bundled model, to be spoiled.
pub(crate) fn own_model(scratch: &Scratch) -> PathBuf {
    let folder = scratch.path().join("model");
    fs::create_dir(&folder).expect("a folder");
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/model/tiny");
    for entry in fs::read_dir(bundled).expect("the bundled model") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), folder.join(entry.file_name())).expect("copied");
    }
    folder
}

#[test]
fn a_fit_leaves_an_adapter_in_pefts_format() {
    let scratch = with_shards();
    let said = fit(&scratch, &["shards", "--try", "Repeat the word: tree"]).ok();
    for text in [
        "loss on",
        "prompt  Repeat",
        "before  ",
        "after   ",
        "steps   3: 44 samples",
        "on cpu",
    ] {
        assert!(said.contains(text), "`{text}` is not in:\n{said}");
    }
    let adapter = scratch.path().join("adapter");
    let config = json(&adapter.join("adapter_config.json"));
    assert_eq!(
        (&config["peft_type"], &config["r"], &config["lora_alpha"]),
        (&"LORA".into(), &16.into(), &32.0.into())
    );
    assert_eq!(
        config["trainable_token_indices"]["embed_tokens"],
        serde_json::json!([2048])
    );
    let base = config["base_model_name_or_path"].as_str().expect("a path");
    assert!(
        Path::new(base).join("model.safetensors").exists(),
        "the base lies where the adapter says"
    );
    let bytes = fs::read(adapter.join("adapter_model.safetensors")).expect("weights");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let shape = |name: &str| {
        tensors
            .tensor(&format!("base_model.model.model.{name}"))
            .expect("a tensor")
            .shape()
            .to_vec()
    };
    assert_eq!(shape("layers.0.self_attn.k_proj.lora_A.weight"), [16, 128]);
    assert_eq!(shape("layers.3.mlp.down_proj.lora_B.weight"), [128, 16]);
    assert_eq!(
        shape("embed_tokens.token_adapter.trainable_tokens_delta"),
        [1, 128]
    );
    let tokenizer = json(&adapter.join("tokenizer.json"));
    let added = tokenizer["added_tokens"].as_array().expect("a list");
    assert!(
        added
            .iter()
            .any(|token| token["content"] == "<sep>" && token["id"] == 2048)
    );
    let lines = fs::read_to_string(adapter.join("metrics.jsonl")).expect("metrics");
    assert_eq!(lines.lines().count(), 3);
    assert!(adapter.join("metrics.parquet").exists() && adapter.join("run.toml").exists());
    let is_left = |entry: std::io::Result<fs::DirEntry>| {
        let name = entry.expect("an entry").file_name();
        name.to_string_lossy().starts_with('.')
    };
    assert!(!fs::read_dir(&adapter).expect("a folder").any(is_left));
}

#[test]
fn the_folder_of_a_fit_is_treated_as_that_of_a_build() {
    let scratch = with_shards();
    let arguments = ["shards", "--max-steps", "2"];
    fit(&scratch, &arguments).ok();
    assert!(fit(&scratch, &arguments).ok().contains("up to date"));
    fit(&scratch, &["shards", "--max-steps", "2", "--rank", "4"])
        .fails(1, &["another fit: `rank` was 16, now it is 4", "--fresh"]);
    fit(
        &scratch,
        &["shards", "--max-steps", "2", "--rank", "4", "--fresh"],
    )
    .ok();
    scratch.file("adapter/notes.txt", "mine");
    fit(&scratch, &["shards", "--max-steps", "1", "--fresh"])
        .fails(1, &["holds `notes.txt`", "--out"]);
    assert!(
        scratch
            .path()
            .join("adapter/adapter_model.safetensors")
            .exists()
    );
}

#[test]
fn a_finished_fit_answers_another_prompt() {
    let scratch = with_shards();
    let model = own_model(&scratch);
    let tried = |arguments: &[&str], prompt: Option<&str>| -> Value {
        let prompt = prompt.map_or(vec![], |prompt| vec!["--try", prompt]);
        let said = fit(&scratch, &[arguments, &prompt, &["--json"]].concat()).ok();
        let report: Value = serde_json::from_str(&said).expect("JSON");
        report["tried"].clone()
    };
    let config = model.join("config.json");
    let lora = ["shards", "--lr", "1e-2", "--batch-size", "4"];
    let full = [
        &lora[..],
        &["--full", "--model", "model", "--out", "full"],
        &["--init-model", config.to_str().expect("UTF-8")],
    ]
    .concat();
    for arguments in [&lora[..], &full[..]] {
        let first = tried(arguments, Some("Repeat the task word\ntask-1"));
        assert_ne!(first["before"], first["after"], "it has learned something");
        assert_eq!(tried(arguments, None), Value::Null);
        let again = tried(arguments, Some("Repeat the task word\ntask-1"));
        assert_eq!(again, first, "the finished fit answers as it did");
    }
    let said = fit(
        &scratch,
        &[&lora[..], &["--try", "Say something else"]].concat(),
    )
    .ok();
    for text in [
        "prompt  Say something else",
        "after ",
        "is up to date: every file",
    ] {
        assert!(said.contains(text), "`{text}` is not in:\n{said}");
    }
}

#[test]
fn a_finished_fit_is_looked_at_file_by_file() {
    let scratch = with_shards();
    own_model(&scratch);
    let arguments = |model| ["shards", "--max-steps", "1", "--model", model];
    fit(&scratch, &arguments("model")).ok();
    // Another name of the same folder is no other fit.
    let again = fit(&scratch, &arguments("./model")).ok();
    assert!(again.contains("up to date"), "{again}");
    let weights = scratch.path().join("adapter/adapter_model.safetensors");
    let mut bytes = fs::read(&weights).expect("weights");
    *bytes.last_mut().expect("bytes") ^= 1;
    fs::write(&weights, &bytes).expect("written");
    fit(&scratch, &arguments("model")).fails(
        1,
        &[
            "adapter_model.safetensors` is damaged: its bytes",
            "--fresh",
        ],
    );
    fs::remove_file(&weights).expect("removed");
    fit(&scratch, &arguments("model")).fails(1, &["is damaged: it is missing"]);
}

#[test]
fn what_another_tool_puts_beside_the_base_is_never_removed() {
    let scratch = with_shards();
    let arguments = ["shards", "--max-steps", "1", "--fresh"];
    fit(&scratch, &arguments).ok();
    let file = scratch.file("adapter/base_model/model-q8.gguf", "another tool's");
    fit(&scratch, &arguments).fails(1, &["holds `base_model/model-q8.gguf`", "--out"]);
    assert!(file.exists());
    fs::remove_file(&file).expect("removed");
    fit(&scratch, &arguments).ok();
}

#[test]
fn the_bundled_recipe_is_the_default_written_out() {
    let scratch = with_shards();
    fit(&scratch, &["shards", "--max-steps", "1"]).ok();
    let again = fit(
        &scratch,
        &["shards", "--max-steps", "1", "--recipe", "delia"],
    )
    .ok();
    assert!(again.contains("up to date"), "{again}");
}

#[test]
fn the_stream_is_read_from_any_position_on() {
    let scratch = Scratch::new();
    scratch.small_sources(3, 90);
    let build = [
        "--task",
        "task.jsonl",
        "--diverse",
        "diverse.jsonl",
        "--ratio",
        "20",
    ];
    scratch
        .build(&[&build[..], &["--rows-per-shard", "10"]].concat())
        .ok();
    let shards = scratch.path().join("shards");
    let manifest = Manifest::open(&shards).expect("a build");
    let reader = |range| {
        let supply = Arc::new(ShardFolder::new(&shards, &manifest));
        StreamReader::new(supply, &manifest.plan, range)
    };
    let read = |range: Range<u64>| {
        let samples = reader(range).collect::<delia::error::Result<Vec<_>>>();
        samples
            .expect("samples")
            .into_iter()
            .map(|sample| (sample.position, sample.output))
            .collect::<Vec<_>>()
    };
    let all = read(0..u64::MAX);
    let rows = stream(&shards)
        .into_iter()
        .map(|row| (row.position, row.output));
    assert_eq!(all, rows.collect::<Vec<_>>());
    for start in 0..63 {
        assert_eq!(read(start..63), all[start as usize..], "from {start} on");
    }
    assert_eq!(read(7..23), all[7..23]);
    // A shard in the place of another has rows that do not follow.
    fs::copy(shards.join("00003.parquet"), shards.join("00001.parquet")).expect("copied");
    let found: Vec<_> = reader(0..u64::MAX).collect();
    let error = found
        .last()
        .expect("something")
        .as_ref()
        .expect_err("refused");
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    assert_eq!(found.len(), 11, "what stands before it is read");
}

#[test]
fn every_weight_can_be_trained_from_scratch() {
    let scratch = with_shards();
    let model = own_model(&scratch);
    fs::remove_file(model.join("model.safetensors")).expect("removed");
    let arguments = [
        "shards",
        "--full",
        "--model",
        "model",
        "--init-model",
        "model/config.json",
        "--out",
        "fresh",
        "--lr",
        "1e-3",
    ];
    fit(&scratch, &arguments).ok();
    let config = json(&scratch.path().join("fresh/config.json"));
    assert_eq!(config["vocab_size"], 2049, "the special token has a row");
    // What was written is a model to start from.
    fit(
        &scratch,
        &["shards", "--model", "fresh", "--max-steps", "1"],
    )
    .ok();
    let adapter = json(&scratch.path().join("adapter/adapter_config.json"));
    assert_eq!(
        adapter["trainable_token_indices"]["embed_tokens"],
        serde_json::json!([2048])
    );
    // The first step has a learning rate of 0: the token still has the row it was trained to.
    let weights = |folder: &str| BaseModel::named(&scratch.path().join(folder)).expect("a folder");
    let base = Weights::open(&weights("fresh")).expect("weights");
    let table = base
        .values("model.embed_tokens.weight", &[2049, 128])
        .expect("a table");
    let adapter = Weights::of_adapter(&weights("adapter")).expect("an adapter");
    let name = "base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta";
    let row = adapter.values(name, &[1, 128]).expect("a row");
    assert_eq!(row, table[2048 * 128..]);
}

#[test]
fn samples_that_are_too_long_are_dropped_cut_or_refused() {
    let scratch = Scratch::new();
    let long = |stem: &str, n: usize| {
        let words = |n: usize| (0..n).map(|nth| format!("word{nth} ")).collect::<String>();
        let rows = (0..n).map(|nth| serde_json::json!({"instruction": format!("{stem} {nth}"), "output": words(1 + 40 * (nth % 4))}));
        rows.map(|row| format!("{row}\n")).collect::<String>()
    };
    scratch.file("task.jsonl", long("Task", 8));
    scratch.file("diverse.jsonl", long("Say", 40));
    let build = [
        "--task",
        "task.jsonl",
        "--diverse",
        "diverse.jsonl",
        "--ratio",
        "4",
        "--held-out-diverse",
        "0",
    ];
    scratch.build(&build).ok();
    fit(&scratch, &["shards", "--max-length", "100"])
        .fails(1, &["of 8 task samples", "--max-length", "--too-long"]);
    fit(
        &scratch,
        &["shards", "--max-length", "100", "--too-long", "error"],
    )
    .fails(1, &["the sample at position", "100 are allowed"]);
    let report = fit(
        &scratch,
        &[
            "shards",
            "--max-length",
            "100",
            "--too-long",
            "truncate",
            "--json",
        ],
    )
    .ok();
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(
        (&report["samples"], &report["too_long"]),
        (&40.into(), &0.into())
    );
    fit(&scratch, &["shards", "--max-length", "4096"]).fails(2, &["max-length", "2048 positions"]);
    // All that is refused is refused before the first step.
    assert!(!scratch.path().join("refused").exists());
    let refused = |arguments: &[&str], texts: &[&str]| {
        let arguments = [&["shards", "--out", "refused"], arguments].concat();
        fit(&scratch, &arguments).fails(1, texts);
        assert!(!scratch.path().join("refused/metrics.jsonl").exists());
    };
    refused(
        &["--max-length", "100", "--too-long", "error"],
        &["the sample at position", "100 are allowed"],
    );
    refused(
        &["--max-length", "4", "--too-long", "truncate"],
        &["8 of 8 task samples have no supervised token among their first 4"],
    );
}

#[test]
fn shards_that_are_not_whole_are_refused() {
    let scratch = with_shards();
    fit(&scratch, &["nowhere"]).fails(1, &["could not read `nowhere`"]);
    let shard = scratch.path().join("shards/00000.parquet");
    let bytes = fs::read(&shard).expect("a shard");
    let mut other = bytes.clone();
    other[100] ^= 1;
    fs::write(&shard, &other).expect("as long as before");
    let problems = ["00000.parquet` is damaged: its bytes are not", "--force"];
    fit(&scratch, &["shards"]).fails(1, &problems);
    fs::write(&shard, &bytes[..bytes.len() / 2]).expect("torn");
    fit(&scratch, &["shards"]).fails(1, &["00000.parquet` is damaged", "--force"]);
    fs::remove_file(scratch.path().join("shards/manifest.json")).expect("removed");
    fit(&scratch, &["shards"]).fails(1, &["`manifest.json` is missing"]);
}

#[test]
fn a_model_that_cannot_be_computed_is_refused_by_name() {
    let scratch = with_shards();
    let model = own_model(&scratch);
    let spoil = |file: &str, change: &dyn Fn(Vec<u8>) -> Vec<u8>, texts: &[&str]| {
        let path = model.join(file);
        let whole = fs::read(&path).expect("a file");
        fs::write(&path, change(whole.clone())).expect("written");
        fit(&scratch, &["shards", "--model", "model"]).fails(1, texts);
        fs::write(&path, whole).expect("restored");
    };
    let with = |field: &'static str, value: Value| {
        move |text: Vec<u8>| {
            let mut config: Value = serde_json::from_slice(&text).expect("JSON");
            config[field] = value.clone();
            config.to_string().into_bytes()
        }
    };
    spoil(
        "config.json",
        &with("model_type", "mamba".into()),
        &["model/config.json", "`mamba` is not supported"],
    );
    spoil(
        "config.json",
        &with("sliding_window", 128.into()),
        &["field `sliding_window` = 128"],
    );
    spoil(
        "config.json",
        &with("intermediate_size", 380.into()),
        &[
            "tensor `model.layers.0.mlp.gate_proj.weight` has the shape [384, 128]",
            "[380, 128]",
        ],
    );
    spoil(
        "config.json",
        &with("num_hidden_layers", 5.into()),
        &["tensor `model.layers.4.", "is missing"],
    );
    spoil(
        "config.json",
        &with("num_hidden_layers", 3.into()),
        &["tensor `model.layers.3.", "has no place"],
    );
    spoil("config.json", &with("vocab_size", 2000.into()), &["2000"]);
    spoil(
        "model.safetensors",
        &|bytes| bytes[..bytes.len() - 100].to_vec(),
        &["model.safetensors` holds no readable weights"],
    );
    spoil(
        "tokenizer.json",
        &|_| b"{}".to_vec(),
        &["tokenizer.json` cannot be used"],
    );
    spoil(
        "chat_template.jinja",
        &|_| b"{% for %}".to_vec(),
        &["chat_template.jinja` cannot be used"],
    );
    fs::remove_file(model.join("tokenizer.json")).expect("removed");
    fit(&scratch, &["shards", "--model", "model"])
        .fails(1, &["`model/` has no `tokenizer.json`", "Hugging Face"]);
    fit(&scratch, &["shards", "--model", "bundled:large"])
        .fails(2, &["no bundled model `bundled:large`", "bundled:tiny"]);
    fit(&scratch, &["shards", "--model", "no_model"])
        .fails(1, &["there is no folder `no_model`", "hf download"]);
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let scratch = with_shards();
    let model = own_model(&scratch);
    for file in ["config.json", "model.safetensors"] {
        fs::copy(
            golden_models::folder("gqa_tied").join(file),
            model.join(file),
        )
        .expect("copied");
    }
    fit(&scratch, &["shards", "--model", "model"]).fails(
        1,
        &["the tokenizer has 2048 tokens, the model's vocabulary 67"],
    );
}

#[test]
fn settings_that_cannot_be_meant_are_refused() {
    let scratch = with_shards();
    fit(&scratch, &["shards", "--special-token", ""]).fails(2, &["visible character"]);
    let twice = ["--special-token", "<a>", "--special-token", "<a>", "shards"];
    fit(&scratch, &twice).fails(2, &["`<a>` is given twice"]);
    fit(&scratch, &["--full", "--rank", "8", "shards"]).fails(2, &["--full", "--rank"]);
    fit(&scratch, &["shards", "--rank", "0"]).fails(2, &["rank: at least 1, got 0"]);
    fit(&scratch, &["shards", "--batch-size", "none"]).fails(2, &["neither `auto` nor a number"]);
    fit(&scratch, &["shards", "--init", "copy:<nobody>"])
        .fails(2, &["no token `<nobody>` to copy"]);
    fit(
        &scratch,
        &["shards", "--init", "mean:the format", "--max-steps", "1"],
    )
    .ok();
}

#[test]
fn a_gpu_that_is_not_there_is_named_or_done_without() {
    if delia::device::missing(0).is_none() {
        skipped(
            "a_gpu_that_is_not_there_is_named_or_done_without",
            "there is a GPU",
        );
        return;
    }
    let scratch = with_shards();
    let run = |device: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_delia-fit"));
        scratch.run(command.args(["shards", "--max-steps", "1", "--device", device]))
    };
    run("cuda").fails(1, &["device `cuda:0` cannot be used: ", "--device cpu"]);
    let said = run("auto");
    said.ok();
    let device: Vec<_> = said
        .stderr()
        .lines()
        .filter(|line| line.starts_with("device "))
        .map(str::to_owned)
        .collect();
    assert_eq!(device.len(), 1, "one line says where it runs");
    assert!(
        device[0].starts_with("device cpu (no GPU: "),
        "{}",
        device[0]
    );
    run("gpu").fails(2, &["none of `auto`, `cpu`, `cuda` and `cuda:N`"]);
}

#[test]
fn stages_of_a_build_are_trained_one_after_the_other() {
    let scratch = Scratch::new();
    scratch.small_sources(20, 60);
    let sources = ["--task", "task.jsonl", "--diverse", "diverse.jsonl"];
    let order = ["--ratio", "2", "--order", "staged", "--stage-share", "1/4"];
    let others = [
        "--held-out-diverse",
        "0",
        "--reword",
        "off",
        "--near",
        "off",
    ];
    scratch
        .build(&[&sources[..], &order, &others].concat())
        .ok();
    let batch = ["shards", "--batch-size", "8", "--warmup-steps", "1"];
    let plan = fit(&scratch, &[&batch[..], &["--plan"]].concat()).ok();
    assert!(plan.contains("stages  3 + 6 steps"), "{plan}");
    fit(&scratch, &batch).ok();
    let metrics = fs::read_to_string(scratch.path().join("adapter/metrics.jsonl"));
    let steps = metrics.expect("metrics");
    let steps: Vec<Value> = steps
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let rates: Vec<f64> = steps
        .iter()
        .map(|step| step["lr"].as_f64().expect("a rate"))
        .collect();
    let rises: Vec<usize> = (0..9).filter(|&step| rates[step] == 0.0).collect();
    assert_eq!((rates.len(), rises), (9, vec![0, 3]), "{rates:?}");
    let samples: Vec<_> = steps.iter().map(|step| step["samples"].as_u64()).collect();
    assert_eq!(samples[2..4], [Some(4), Some(8)], "no step crosses a stage");
    let is_task = |step: &Value| step["diverse_loss"].is_null();
    assert!(steps[..3].iter().all(is_task) && !steps[3..].iter().any(is_task));
}
