use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use burn::tensor::DType;
use burn_flex::FlexDevice;
use delia::base_model::BaseModel;
use delia::config::Init;
use delia::lora::{self, Merge};
use delia::model::config::DecoderConfig;
use delia::model::{Decoder, Packing, Sequences, Weights};
use delia::tokenizer::ChatTokenizer;
use serde_json::{Value, json};

use crate::delia::{Scratch, hashes};
use crate::fit::{fit, own_model, with_shards};
use crate::golden_models::{self, Cpu, host};

/// The new tokens of most fits here.
pub(crate) const TOKENS: [&str; 2] = ["<sep>", "<end>"];

/// A copy of a golden checkpoint with a tokenizer of `n_tokens` words.
pub(crate) fn golden_base(scratch: &Scratch, name: &str, n_tokens: usize) -> PathBuf {
    let base = scratch.path().join("base");
    fs::create_dir_all(&base).expect("a folder");
    for entry in fs::read_dir(golden_models::folder(name)).expect("a golden checkpoint") {
        let path = entry.expect("an entry").path();
        let file = path.file_name().expect("a name");
        if path.is_file() && file != "golden.safetensors" {
            fs::copy(&path, base.join(file)).expect("copied");
        }
    }
    let words = [
        "<unk>", "<s>", "</s>", "Repeat", "the", "task", "diverse", "word", "-",
    ];
    let words = words.map(str::to_owned).into_iter();
    let words = words.chain((0..).map(|n: u32| n.to_string()));
    let vocabulary: BTreeMap<String, usize> = words.zip(0..n_tokens).collect();
    let special = |id: u32, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true})
    };
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")],
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"},
    });
    fs::write(base.join("tokenizer.json"), tokenizer.to_string()).expect("written");
    let config = json!({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "unk_token": "<unk>"});
    fs::write(base.join("tokenizer_config.json"), config.to_string()).expect("written");
    base
}

/// Words that each have a token.
fn n_tokens(name: &str) -> usize {
    let model = golden_models::model(name);
    DecoderConfig::read(&model)
        .expect("a configuration")
        .vocab_size
}

/// Three steps beside `base` with two new tokens, and more arguments.
fn train(scratch: &Scratch, more: &[&str]) -> String {
    let arguments = [
        "shards",
        "--model",
        "base",
        "--out",
        "out",
        "--template",
        "raw",
        "--rank",
        "3",
        "--lr",
        "3e-2",
        "--warmup",
        "0",
        "--batch-size",
        "4",
        "--max-steps",
        "3",
    ];
    let tokens = TOKENS.map(|token| ["--special-token", token]);
    fit(scratch, &[&arguments, tokens.as_flattened(), more].concat()).ok()
}

const BOTH: [&str; 2] = ["--export", "base-with-tokens,merged"];

pub(crate) fn folder(path: &Path) -> BaseModel {
    BaseModel::named(path).expect("a folder")
}

fn load(path: &Path) -> Decoder<Cpu> {
    let model = folder(path);
    let config = DecoderConfig::read(&model).expect("a configuration");
    let weights = Weights::open(&model).expect("weights");
    Decoder::load(&config, &weights, 48, DType::F32, &FlexDevice).expect("a decoder")
}

/// The scores of some tokens, the last of the vocabulary among them.
pub(crate) fn logits(decoder: &Decoder<Cpu>) -> Vec<f32> {
    let n_tokens = decoder.scoring_table().n_tokens() as u32;
    let ids: Vec<u32> = (0..24)
        .map(|nth| (n_tokens - 1).saturating_sub(nth * 5 % n_tokens))
        .collect();
    let sequences = Sequences {
        ids: &ids,
        packing: &Packing::of(vec![ids.len()]),
    };
    let decoder = decoder.inner();
    host(decoder.logits(decoder.forward(sequences, None)))
}

/// The base beside the adapter in `out`, as `delia-fit` puts them together.
fn adapted(base: &Path, out: &Path, tokens: &[&str]) -> Decoder<Cpu> {
    let tokens: Vec<String> = tokens.iter().map(|&token| token.to_owned()).collect();
    let tokenizer = ChatTokenizer::read(&folder(base), &tokens).expect("a tokenizer");
    let mut decoder = load(base);
    lora::add_tokens(&mut decoder, &tokenizer, &Init::Zeros, 0).expect("new tokens");
    lora::load(&mut decoder, &folder(out)).expect("an adapter");
    decoder
}

#[track_caller]
pub(crate) fn near(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    let off = off.fold(0.0, f32::max);
    assert!(off < tolerance, "{what}: the logits are {off} apart");
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}

/// What the folders of both exports score, beside what adapter and base do.
fn check_logits(scratch: &Scratch, tolerance: f32, what: &str) {
    let (base, out) = (scratch.path().join("base"), scratch.path().join("out"));
    let ours = logits(&adapted(&base, &out, &TOKENS));
    let untrained = logits(&load(&out.join("base_with_tokens")));
    let off = ours.iter().zip(&untrained).map(|(a, b)| (a - b).abs());
    assert!(
        off.fold(0.0, f32::max) > 1e-2,
        "{what}: something was learned"
    );
    near(&logits(&load(&out.join("merged"))), &ours, tolerance, what);
    let mut beside = load(&out.join("base_with_tokens"));
    lora::load(&mut beside, &folder(&out.join("base_with_tokens/adapter"))).expect("plain");
    near(&logits(&beside), &ours, tolerance, what);
}

#[test]
fn exports_score_what_base_and_adapter_do() {
    for (name, more) in [
        ("gqa_tied", &[][..]),
        ("gqa_tied", &["--rslora"]),
        ("gqa_tied", &["--dora"]),
        ("mha_untied", &["--dora", "--targets", "q_proj,down_proj"]),
        ("gemma2", &[]),
        ("qwen3", &[]),
    ] {
        let scratch = with_shards();
        golden_base(&scratch, name, n_tokens(name));
        train(&scratch, &[&BOTH[..], more].concat());
        check_logits(&scratch, 1e-4, &format!("{name} {more:?}"));
    }
}

/// Values of a tensor in a folder of weights.
fn values(weights: &Weights, name: &str) -> Vec<f32> {
    let stored = weights.stored(name).unwrap_or_else(|| panic!("{name}"));
    weights.values(name, stored.shape).expect("numbers")
}

#[test]
fn a_merged_matrix_is_rounded_once() {
    let scratch = with_shards();
    golden_base(&scratch, "sharded_bf16", n_tokens("sharded_bf16"));
    train(
        &scratch,
        &[&BOTH[..], &["--export-shard-size", "9KB"]].concat(),
    );
    let [base, out] = ["base", "out"].map(|name| scratch.path().join(name));
    let before = Weights::open(&folder(&base)).expect("weights");
    let after = Weights::open(&folder(&out.join("merged"))).expect("weights");
    let adapter = Weights::of_adapter(&folder(&out)).expect("an adapter");
    let module = "model.layers.1.mlp.up_proj";
    let part = |part: &str| {
        values(
            &adapter,
            &format!("base_model.model.{module}.{part}.weight"),
        )
    };
    let (a, b) = (part("lora_A"), part("lora_B"));
    let name = format!("{module}.weight");
    let pairs = values(&before, &name)
        .into_iter()
        .zip(values(&after, &name));
    for (nth, (before, after)) in pairs.enumerate() {
        let (row, column) = (nth / 24, nth % 24);
        let sum: f32 = (0..3).map(|k| b[row * 3 + k] * a[k * 24 + column]).sum();
        let exact = before + 32.0 / 3.0 * sum;
        // Half of the last of eight bits.
        let off = (after - exact).abs();
        assert!(
            off <= exact.abs() / 256.0 + 1e-9,
            "{row}, {column}: {after} is not {exact}"
        );
    }
    let norm = "model.layers.1.input_layernorm.weight";
    assert_eq!(values(&before, norm), values(&after, norm));
    assert_eq!(
        after.stored(&name).expect("a matrix").dtype,
        safetensors::Dtype::BF16
    );

    // The index and its files say the same, and no file is larger than it may be.
    let index = read_json(&out.join("merged/model.safetensors.index.json"));
    let map = index["weight_map"].as_object().expect("a map");
    let names: BTreeSet<&str> = map.keys().map(String::as_str).collect();
    assert_eq!(names, before.names().into_iter().collect());
    let mut total = 0;
    for (file, path, tensors) in after.files() {
        let sizes = tensors
            .iter()
            .map(|name| after.stored(name).expect("a tensor").bytes.len());
        let size: usize = sizes.sum();
        assert!(
            size <= 9_000 && tensors.iter().all(|name| map[name] == file),
            "{}",
            path.display()
        );
        total += size;
    }
    assert!(after.files().count() > 3);
    assert_eq!(index["metadata"]["total_size"], total);
    let config = read_json(&out.join("merged/config.json"));
    assert_eq!(
        (&config["vocab_size"], &config["dtype"]),
        (&63.into(), &"bfloat16".into())
    );
    check_logits(&scratch, 0.3, "16 bits");
}

#[test]
fn files_of_the_base_are_linked_but_for_rows_of_tokens() {
    let scratch = with_shards();
    let base = golden_base(&scratch, "sharded_bf16", n_tokens("sharded_bf16"));
    // As in a cache of downloads.
    fs::create_dir(scratch.path().join("blobs")).expect("a folder");
    for nth in 1..5 {
        let file = base.join(format!("model-0000{nth}-of-00004.safetensors"));
        fs::rename(&file, scratch.path().join(format!("blobs/{nth}"))).expect("moved");
        symlink(format!("../blobs/{nth}"), file).expect("a link");
    }
    train(&scratch, &BOTH);
    let folder_out = scratch.path().join("out/base_with_tokens");
    let inode = |path: &Path| fs::symlink_metadata(path).expect("a file").ino();
    for nth in [2, 3] {
        let file = folder_out.join(format!("model-0000{nth}-of-00004.safetensors"));
        assert_eq!(
            inode(&file),
            inode(&scratch.path().join(format!("blobs/{nth}")))
        );
    }
    let weights = Weights::open(&folder(&folder_out)).expect("each tensor once");
    let of_base = Weights::open(&folder(&base)).expect("weights");
    assert_eq!(weights.names(), of_base.names());
    for table in ["model.embed_tokens.weight", "lm_head.weight"] {
        assert_eq!(weights.stored(table).expect("a table").shape, [63, 24]);
        assert_eq!(values(&weights, table)[..61 * 24], values(&of_base, table));
    }
    let (_, _, of_tokens) = weights
        .files()
        .find(|(name, _, _)| *name == "model-tokens.safetensors")
        .expect("a file of its own");
    assert_eq!(of_tokens.len(), 2);
    let adapter = read_json(&folder_out.join("adapter/adapter_config.json"));
    assert_eq!(adapter["trainable_token_indices"], Value::Null);
    let named = Path::new(adapter["base_model_name_or_path"].as_str().expect("a path"));
    assert_eq!(named, fs::canonicalize(&folder_out).expect("a folder"));
    for file in [
        "tokenizer.json",
        "tokenizer_config.json",
        "generation_config.json",
    ] {
        assert!(folder_out.join(file).exists(), "{file}");
    }
    let report = read_json(&scratch.path().join("out/report.json"));
    let written = hashes(&scratch.path().join("out"));
    for (name, hash) in written.iter().filter(|(name, _)| name.contains('/')) {
        assert_eq!(report["files"][name]["blake3"], **hash, "{name}");
    }
}

#[test]
fn a_finished_fit_is_exported_without_training() {
    let scratch = with_shards();
    golden_base(&scratch, "gqa_tied", 67);
    train(&scratch, &[]);
    let out = scratch.path().join("out");
    let before = hashes(&out);
    assert!(!before.keys().any(|name| name.starts_with("merged")));
    let said = train(&scratch, &["--export", "adapter", "--export", "merged"]);
    assert!(
        said.contains("export  `out/merged`: ") && said.contains("up to date"),
        "{said}"
    );
    let after = hashes(&out);
    for (name, hash) in &before {
        assert!(
            name == "report.json" || after[name] == *hash,
            "{name} is as it was"
        );
    }
    assert!(after.contains_key("merged/model.safetensors"));
    assert!(train(&scratch, &BOTH).contains("export  `out/base_with_tokens`: "));
    let all = hashes(&out);
    train(&scratch, &BOTH);
    train(&scratch, &[]);
    assert_eq!(hashes(&out), all, "there is nothing left to do");
    check_logits(&scratch, 1e-4, "exported later");

    // The same as at the end of the training.
    train(&scratch, &[&BOTH[..], &["--fresh"]].concat());
    let changing = |name: &&String| name.contains('/') || name.ends_with(".safetensors");
    let again = hashes(&out);
    assert_eq!(
        again
            .iter()
            .filter(|(name, _)| changing(name))
            .collect::<Vec<_>>(),
        all.iter()
            .filter(|(name, _)| changing(name))
            .collect::<Vec<_>>()
    );
    train(&scratch, &["--fresh"]);
    assert!(!out.join("merged").exists() && !out.join("base_with_tokens").exists());
}

#[test]
fn folders_of_exports_are_looked_at_file_by_file() {
    let scratch = with_shards();
    golden_base(&scratch, "gqa_tied", 67);
    train(&scratch, &BOTH);
    let arguments = [
        "shards",
        "--model",
        "base",
        "--out",
        "out",
        "--template",
        "raw",
        "--rank",
        "3",
        "--lr",
        "3e-2",
        "--warmup",
        "0",
        "--batch-size",
        "4",
        "--max-steps",
        "3",
        "--special-token",
        "<sep>",
        "--special-token",
        "<end>",
    ];
    let file = scratch.file("out/merged/model-q8.gguf", "another tool's");
    let refused = |more: &[&str]| {
        let arguments = [&arguments[..], more].concat();
        fit(&scratch, &arguments).fails(1, &["holds `merged/model-q8.gguf`", "--out"]);
        assert!(file.exists());
    };
    refused(&[]);
    refused(&["--fresh"]);
    fs::remove_file(&file).expect("removed");
    // What a kill leaves: a folder that is not whole, and one that the report does not know.
    scratch.file("out/merged.tmp/model.safetensors", "half");
    train(&scratch, &[]);
    let report = scratch.path().join("out/report.json");
    let mut without = read_json(&report);
    let files = without["files"].as_object_mut().expect("a map");
    files.retain(|name, _| !name.starts_with("merged/"));
    fs::write(&report, without.to_string()).expect("written");
    train(&scratch, &BOTH);
    assert!(!scratch.path().join("out/merged.tmp").exists());
    check_logits(&scratch, 1e-4, "written again");
    let weights = scratch.path().join("out/merged/model.safetensors");
    let mut bytes = fs::read(&weights).expect("weights");
    *bytes.last_mut().expect("bytes") ^= 1;
    fs::write(&weights, bytes).expect("written");
    fit(&scratch, &arguments).fails(1, &["merged/model.safetensors` is damaged"]);
}

#[test]
fn the_bundled_and_a_quantised_base_are_exported() {
    let scratch = with_shards();
    let run = |more: &[&str]| {
        let arguments = [
            "shards",
            "--max-steps",
            "2",
            "--lr",
            "1e-2",
            "--batch-size",
            "4",
        ];
        fit(&scratch, &[&arguments[..], &BOTH, more].concat())
    };
    run(&["--out", "out"]).ok();
    let out = scratch.path().join("out");
    let merged = load(&out.join("merged"));
    assert_eq!(merged.embedding.n_tokens(), 2049);
    let mut beside = load(&out.join("base_with_tokens"));
    lora::load(&mut beside, &folder(&out.join("base_with_tokens/adapter"))).expect("plain");
    near(&logits(&beside), &logits(&merged), 0.2, "bundled");
    // What was exported is a base to start from.
    fit(
        &scratch,
        &[
            "shards",
            "--model",
            "out/merged",
            "--out",
            "next",
            "--max-steps",
            "1",
        ],
    )
    .ok();

    let model = own_model(&scratch);
    let ran = run(&[
        "--out",
        "quantised",
        "--model",
        "model",
        "--quantize-base",
        "q8",
    ]);
    ran.ok();
    assert!(
        ran.stderr().contains("merged into the base's own weights"),
        "{}",
        ran.stderr()
    );
    let [before, after] = [model, scratch.path().join("quantised/merged")]
        .map(|path| Weights::open(&folder(&path)).expect("weights"));
    let norm = "model.layers.0.input_layernorm.weight";
    assert_eq!(values(&before, norm), values(&after, norm));
}

#[test]
fn what_cannot_be_exported_is_refused() {
    let scratch = with_shards();
    let arguments = ["shards", "--export", "merged"];
    fit(&scratch, &[&arguments[..], &["--full"]].concat()).fails(2, &["--export", "--full"]);
    scratch.file("full.toml", "[fit]\nfull = true\n");
    fit(
        &scratch,
        &[&arguments[..], &["--recipe", "full.toml"]].concat(),
    )
    .fails(2, &["export: `--full` leaves a whole model already"]);
    let config = own_model(&scratch).join("config.json");
    let fresh = ["--init-model", config.to_str().expect("UTF-8")];
    fit(&scratch, &[&arguments[..], &fresh].concat())
        .fails(2, &["export: the base of `--init-model`"]);
    fit(&scratch, &["shards", "--export", "gguf"]).fails(2, &["base-with-tokens", "merged"]);
    let size = ["--export-shard-size", "many"];
    fit(&scratch, &[&arguments[..], &size].concat()).fails(2, &["`many` is no size such as `5GB`"]);
    assert!(!scratch.path().join("adapter").exists());
}

#[test]
fn new_tokens_start_where_they_are_told_to() {
    let (n, d) = (61, 24);
    for table in ["model.embed_tokens.weight", "lm_head.weight"] {
        let scratch = with_shards();
        let base = golden_base(&scratch, "mha_untied", n);
        let before = values(&Weights::open(&folder(&base)).expect("weights"), table);
        let row = |id: usize| &before[id * d..][..d];
        let rows = |init: &str| -> Vec<f32> {
            let more = ["--init", init, "--lr", "0", "--max-steps", "1", "--fresh"];
            let arguments = [
                "shards",
                "--model",
                "base",
                "--out",
                "out",
                "--template",
                "raw",
                "--batch-size",
                "4",
                "--special-token",
                "<sep>",
                "--special-token",
                "word",
                "--special-token",
                "<end>",
                "--export",
                "base-with-tokens",
            ];
            fit(&scratch, &[&arguments[..], &more].concat()).ok();
            let out = folder(&scratch.path().join("out/base_with_tokens"));
            let after = values(&Weights::open(&out).expect("weights"), table);
            assert_eq!(
                after[..n * d],
                before,
                "`word` goes on from its row, the others are as they were"
            );
            after[n * d..].to_vec()
        };
        assert_eq!(rows("zeros"), vec![0.0; 2 * d]);
        assert_eq!(rows("copy:task"), [row(5), row(5)].concat());
        let mean: Vec<f32> = row(3)
            .iter()
            .zip(row(4))
            .map(|(a, b)| (a + b) / 2.0)
            .collect();
        near(
            &rows("mean:Repeat the"),
            &[&mean[..], &mean].concat(),
            1e-6,
            "mean",
        );
        let spread =
            |rows: &[f32]| (rows.iter().map(|x| x * x).sum::<f32>() / rows.len() as f32).sqrt();
        for init in ["random", "mean-cov"] {
            let drawn = rows(init);
            assert_ne!(drawn[..d], drawn[d..], "{init}: each is drawn for itself");
            // Rows of this checkpoint are drawn with a deviation of 0.3.
            assert!(
                (0.15..0.6).contains(&spread(&drawn)),
                "{init}: {}",
                spread(&drawn)
            );
            assert_eq!(rows(init), drawn, "{init}: from the seed");
        }
    }
}

#[test]
fn new_tokens_take_the_rows_of_a_padded_vocabulary_first() {
    let scratch = with_shards();
    // One row is left for two tokens.
    golden_base(&scratch, "gqa_tied", 66);
    train(&scratch, &BOTH);
    let config = read_json(&scratch.path().join("out/merged/config.json"));
    assert_eq!(config["vocab_size"], 68);
    check_logits(&scratch, 1e-4, "one row replaced, one appended");

    let scratch = with_shards();
    let base = golden_base(&scratch, "gqa_tied", 62);
    train(&scratch, &BOTH);
    check_logits(&scratch, 1e-4, "two rows replaced");
    let table = "model.embed_tokens.weight";
    let open = |path: &Path| Weights::open(&folder(path)).expect("weights");
    let [before, after] = [base, scratch.path().join("out/base_with_tokens")].map(|path| {
        let weights = open(&path);
        (
            weights.stored(table).expect("a table").shape.to_vec(),
            values(&weights, table),
        )
    });
    assert_eq!((before.0, &after.0), (vec![67, 24], &vec![67, 24]));
    let differs = |id: usize| before.1[id * 24..][..24] != after.1[id * 24..][..24];
    let differing: Vec<usize> = (0..67).filter(|&id| differs(id)).collect();
    assert_eq!(differing, [62, 63]);
}

/// Takes what is written, and remembers the longest piece.
struct Pieces(Vec<u8>, usize);

impl Write for Pieces {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.1 = self.1.max(buffer.len());
        self.0.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_matrix_is_merged_in_blocks_of_rows() {
    let scratch = Scratch::new();
    let (rows, columns) = (3_000, 1_100);
    let name = "model.layers.0.mlp.up_proj";
    let write = |file: &str, tensors: &[(String, Vec<usize>, f32)]| {
        let bytes = tensors
            .iter()
            .map(|(_, shape, value)| value.to_le_bytes().repeat(shape.iter().product()));
        let bytes: Vec<_> = bytes.collect();
        let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
            let view =
                safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes);
            (name.clone(), view.expect("a view"))
        });
        scratch.file(file, safetensors::serialize(views, None).expect("bytes"));
    };
    write(
        "base/model.safetensors",
        &[(format!("{name}.weight"), vec![rows, columns], 0.5)],
    );
    let part = |part: &str| format!("base_model.model.{name}.{part}.weight");
    let adapter = [
        (part("lora_A"), vec![2, columns], 3.0),
        (part("lora_B"), vec![rows, 2], 0.25),
    ];
    write("out/adapter_model.safetensors", &adapter);
    let config =
        json!({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["up_proj"]});
    scratch.file("out/adapter_config.json", config.to_string());
    let [base, out] = ["base", "out"].map(|name| folder(&scratch.path().join(name)));
    let merge = Merge::open(&base, &out, false).expect("an adapter beside its base");
    let mut pieces = Pieces(Vec::new(), 0);
    merge
        .write_merged(&format!("{name}.weight"), &mut pieces)
        .expect("written");
    assert_eq!(pieces.0, 3.5_f32.to_le_bytes().repeat(rows * columns));
    assert!(pieces.1 <= 4 << 20, "{} bytes at a time", pieces.1);
}
