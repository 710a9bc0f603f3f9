use std::fs;
use std::path::{Path, PathBuf};

use delia::lora::ADAPTER_CONFIG;
use delia::model::{ADAPTER_FILE, Weights};
use serde_json::Value;

use crate::delia::{Scratch, hashes};
use crate::export::{folder, golden_base};
use crate::fit::{fit, with_shards};
use crate::golden_models;

/// A fit beside `base` that goes on from an adapter, or from none.
fn go_on(scratch: &Scratch, out: &str, more: &[&str]) -> String {
    let arguments = [
        "shards",
        "--template",
        "raw",
        "--batch-size",
        "4",
        "--dropout",
        "0",
        "--warmup",
        "0",
        "--out",
        out,
    ];
    let arguments = [&arguments[..], more].concat();
    match more.contains(&"--model") {
        true => fit(scratch, &arguments).ok(),
        false => fit(scratch, &[&arguments[..], &["--model", "base"]].concat()).ok(),
    }
}

/// The losses of a fit's steps.
fn losses(scratch: &Scratch, out: &str) -> Vec<f64> {
    let lines =
        fs::read_to_string(scratch.path().join(out).join("metrics.jsonl")).expect("metrics");
    let loss = |line: &str| {
        let step: Value = serde_json::from_str(line).expect("JSON");
        step["loss"].as_f64().expect("a loss")
    };
    lines.lines().map(loss).collect()
}

/// The loss of a merged model: a fresh adapter beside it changes nothing yet.
fn loss_of_merged(scratch: &Scratch, of: &str) -> f64 {
    let (model, out) = (format!("{of}/merged"), format!("merged_of_{of}"));
    let one_step = ["--model", &model, "--special-token", "--max-steps", "1"];
    go_on(scratch, &out, &one_step);
    losses(scratch, &out)[0]
}

#[track_caller]
fn near(found: f64, expected: f64, what: &str) {
    assert!(
        (found - expected).abs() < 1e-4,
        "{what}: {found} is not {expected}"
    );
}

fn adapter(path: &Path) -> Vec<(String, Vec<f32>)> {
    let weights = Weights::of_adapter(&folder(path)).expect("an adapter");
    let names = weights.names().into_iter();
    let values = names.map(|name| {
        let shape = weights.stored(name).expect("a tensor").shape.to_vec();
        (
            name.to_owned(),
            weights.values(name, &shape).expect("numbers"),
        )
    });
    values.collect()
}

/// A copy of PEFT's adapter of a golden checkpoint.
fn pefts(scratch: &Scratch, name: &str) -> PathBuf {
    let to = scratch.path().join("pefts");
    fs::create_dir_all(&to).expect("a folder");
    for file in [ADAPTER_CONFIG, ADAPTER_FILE] {
        fs::copy(golden_models::folder(name).join(file), to.join(file)).expect("copied");
    }
    to
}

#[test]
fn a_fit_goes_on_from_our_adapter_as_it_is() {
    for more in [
        &[][..],
        &["--dora"],
        &["--rslora", "--targets", "q_proj,v_proj"],
    ] {
        let scratch = with_shards();
        golden_base(&scratch, "gqa_tied", 67);
        let first = [
            &["--lr", "3e-2", "--rank", "3", "--max-steps", "4"][..],
            more,
        ]
        .concat();
        go_on(&scratch, "first", &first);
        let again = [
            "--adapter",
            "first",
            "--max-steps",
            "2",
            "--lr",
            "1e-2",
            "--export",
            "merged",
        ];
        go_on(&scratch, "again", &again);
        let still = [
            "--adapter",
            "first",
            "--max-steps",
            "1",
            "--lr",
            "0",
            "--export",
            "merged",
        ];
        go_on(&scratch, "still", &still);
        let [at_first, again] = ["first", "again"].map(|out| losses(&scratch, out));
        assert_eq!(again[0], losses(&scratch, "still")[0]);
        assert!(
            (at_first[0] - again[0]).abs() > 1e-2,
            "{more:?}: the first fit learned something"
        );
        near(
            again[0],
            loss_of_merged(&scratch, "still"),
            "the adapter's own loss",
        );
        assert_eq!(
            adapter(&scratch.path().join("still")),
            adapter(&scratch.path().join("first"))
        );
        assert_ne!(
            adapter(&scratch.path().join("again")),
            adapter(&scratch.path().join("first"))
        );
        let config = |out: &str| -> Value {
            let text = fs::read(scratch.path().join(out).join(ADAPTER_CONFIG)).expect("a file");
            serde_json::from_slice(&text).expect("JSON")
        };
        assert_eq!(
            config("again"),
            config("first"),
            "rank, alpha, targets and kind are the adapter's"
        );
    }
}

#[test]
fn a_fit_goes_on_from_pefts_adapters() {
    for (base, kind) in golden_models::STEPS {
        let scratch = with_shards();
        let model = golden_models::model(base);
        let config = delia::model::config::DecoderConfig::read(&model).expect("a configuration");
        // The new token, which the build names, has the first id behind the vocabulary, as PEFT's has.
        golden_base(&scratch, base, config.vocab_size);
        let theirs = pefts(&scratch, &format!("{base}/{kind}"));
        let still = [
            "--adapter",
            "pefts",
            "--max-steps",
            "1",
            "--lr",
            "0",
            "--export",
            "merged",
        ];
        go_on(&scratch, "still", &still);
        assert_eq!(
            adapter(&scratch.path().join("still")),
            adapter(&theirs),
            "{base} {kind}"
        );
        near(
            losses(&scratch, "still")[0],
            loss_of_merged(&scratch, "still"),
            base,
        );
        let on = ["--adapter", "pefts", "--max-steps", "2", "--lr", "1e-2"];
        go_on(&scratch, "on", &on);
        assert_eq!(
            losses(&scratch, "on")[0],
            losses(&scratch, "still")[0],
            "{base} {kind}"
        );
    }
}

#[test]
fn lengths_of_dora_are_those_of_the_file() {
    let scratch = with_shards();
    golden_base(&scratch, "gqa_tied", 67);
    let theirs = pefts(&scratch, "gqa_tied/dora");
    let still = |out: &str| {
        go_on(
            &scratch,
            out,
            &["--adapter", "pefts", "--max-steps", "1", "--lr", "0"],
        );
        losses(&scratch, out)[0]
    };
    let before = still("before");
    let path = theirs.join(ADAPTER_FILE);
    let bytes = fs::read(&path).expect("weights");
    let read = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let doubled = read.tensors().into_iter().map(|(name, view)| {
        let factor = if name.ends_with("lora_magnitude_vector") {
            2.0
        } else {
            1.0
        };
        let numbers = view.data().as_chunks::<4>().0.iter();
        let numbers = numbers.flat_map(|four| (factor * f32::from_le_bytes(*four)).to_le_bytes());
        (name, view.shape().to_vec(), numbers.collect::<Vec<u8>>())
    });
    let doubled: Vec<_> = doubled.collect();
    let views = doubled.iter().map(|(name, shape, bytes)| {
        let view =
            safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes);
        (name, view.expect("a view"))
    });
    fs::write(&path, safetensors::serialize(views, None).expect("bytes")).expect("written");
    let after = still("after");
    assert!((after - before).abs() > 1e-2, "{after} is not {before}");
    assert_eq!(adapter(&scratch.path().join("after")), adapter(&theirs));
}

#[test]
fn tokens_that_the_adapter_does_not_know_start_anew() {
    let scratch = with_shards();
    golden_base(&scratch, "mha_untied", 61);
    go_on(
        &scratch,
        "first",
        &["--lr", "3e-2", "--max-steps", "2", "--rank", "3"],
    );
    let more = [
        "--adapter",
        "first",
        "--max-steps",
        "1",
        "--lr",
        "0",
        "--init",
        "copy:task",
    ];
    let tokens = ["--special-token", "<sep>", "--special-token", "<more>"];
    go_on(&scratch, "two", &[&more[..], &tokens].concat());
    let table = |out: &str| {
        let found = adapter(&scratch.path().join(out)).into_iter();
        let mut rows = found.filter(|(name, _)| name.ends_with("trainable_tokens_delta"));
        rows.next_back().expect("rows of the embedding").1
    };
    let (one, two) = (table("first"), table("two"));
    assert_eq!(two[..24], one);
    let base = Weights::open(&folder(&scratch.path().join("base"))).expect("weights");
    let rows = base
        .values("model.embed_tokens.weight", &[61, 24])
        .expect("a table");
    assert_eq!(two[24..], rows[5 * 24..6 * 24]);
    // Without the token its row has no place.
    let without = [
        "shards",
        "--model",
        "base",
        "--template",
        "raw",
        "--adapter",
        "first",
        "--out",
        "none",
    ];
    fit(&scratch, &[&without[..], &["--special-token"]].concat())
        .fails(1, &["trainable_tokens_delta", "--special-token"]);
    // Beside another base nothing fits, and what the adapter says of itself cannot be set.
    let before = hashes(&scratch.path().join("first"));
    let bundled = ["shards", "--adapter", "first", "--out", "none", "--fresh"];
    fit(&scratch, &bundled).fails(
        1,
        &[
            "first/run.toml`: ",
            "trained beside other weights",
            "--adapter",
        ],
    );
    fit(&scratch, &[&bundled[..], &["--rank", "8"]].concat()).fails(2, &["--adapter", "--rank"]);
    assert_eq!(hashes(&scratch.path().join("first")), before);
}

#[test]
fn an_adapter_of_other_weights_of_the_same_shapes_is_refused() {
    let scratch = with_shards();
    let base = golden_base(&scratch, "gqa_tied", 67);
    go_on(&scratch, "first", &["--rank", "3", "--max-steps", "1"]);
    let path = base.join("model.safetensors");
    let mut bytes = fs::read(&path).expect("weights");
    *bytes.last_mut().expect("a number") ^= 1;
    fs::write(&path, bytes).expect("written");
    let shared = ["shards", "--model", "base", "--template", "raw"];
    let on = |adapter| {
        let more = ["--max-steps", "1", "--out", adapter, "--adapter", "first"];
        fit(&scratch, &[&shared[..], &more].concat())
    };
    on("none").fails(1, &["first/run.toml`: ", "trained beside other weights"]);
    // One that does not say so is taken at its word.
    fs::remove_file(scratch.path().join("first/run.toml")).expect("removed");
    let ran = on("second");
    assert!(
        ran.stderr().contains("taken for granted"),
        "{}",
        ran.stderr()
    );
    ran.ok();
}
