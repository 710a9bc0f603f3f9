use std::path::Path;
use std::process::Command;

use burn::tensor::DType;
use burn_flex::{Flex, FlexDevice};
use delia::base_model::BaseModel;
use delia::config::Init;
use delia::lora;
use delia::model::config::DecoderConfig;
use delia::model::{Decoder, Packing, Sequences, Weights};
use delia::sample::Prompt;
use delia::tokenizer::ChatTokenizer;

use crate::delia::{Scratch, skipped};
use crate::fit::{fit, own_model, with_shards};
use crate::golden_models::{Cpu, host};

/// A Python with torch, transformers and peft, where these are at hand.
fn python(test: &str) -> Option<String> {
    let python = std::env::var("DELIA_PEFT_PYTHON").ok();
    if python.is_none() {
        let why = "DELIA_PEFT_PYTHON names no Python with torch, transformers and peft";
        skipped(test, why);
    }
    python
}

/// The scores PEFT finds for `ids`, as it loads the adapter by itself and beside a base resized by hand.
fn of_peft(scratch: &Scratch, python: &str, adapter: &str, ids: &[u32]) -> [Vec<Vec<f32>>; 2] {
    let found = scores(scratch, python, "peft_adapter.py", adapter, ids);
    ["auto", "by_hand"]
        .map(|way| serde_json::from_value(found[way].clone()).expect("rows of numbers"))
}

/// What a script finds for `ids`.
fn scores(
    scratch: &Scratch,
    python: &str,
    script: &str,
    folder: &str,
    ids: &[u32],
) -> serde_json::Value {
    let ids = scratch.file("ids.json", serde_json::to_string(ids).expect("JSON"));
    let logits = scratch.path().join("logits.json");
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers");
    let mut command = Command::new(python);
    command.arg(peers.join(script)).arg(folder);
    scratch.run(command.arg(ids).arg(&logits)).ok();
    let text = std::fs::read(logits).expect("logits");
    serde_json::from_slice(&text).expect("JSON")
}

/// A model with its head apart from its embedding, beside the bundled one, which ties them.
fn untie(folder: &Path) {
    let path = folder.join("config.json");
    let mut config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("JSON");
    config["tie_word_embeddings"] = false.into();
    std::fs::write(path, config.to_string()).expect("written");
}

#[test]
fn peft_gives_the_logits_delia_gives() {
    let Some(python) = python("peft_gives_the_logits_delia_gives") else {
        return;
    };
    let scratch = with_shards();
    let untied = own_model(&scratch);
    untie(&untied);
    let config = "model/config.json";
    let train = [
        "shards",
        "--full",
        "--model",
        "model",
        "--init-model",
        config,
        "--out",
        "untied",
        "--special-token",
        "--max-steps",
        "2",
    ];
    fit(&scratch, &train).ok();
    for (base, out) in [("bundled:tiny", "of_bundled"), ("untied", "of_untied")] {
        fit(
            &scratch,
            &[
                "shards",
                "--model",
                base,
                "--out",
                out,
                "--lr",
                "1e-2",
                "--batch-size",
                "4",
            ],
        )
        .ok();
        let model = BaseModel::named(&scratch.path().join(base))
            .or_else(|_| BaseModel::named(Path::new(base)));
        let model = model.expect("a model");
        let tokenizer = ChatTokenizer::read(&model, &["<sep>".to_owned()]).expect("a tokenizer");
        let prompt = Prompt {
            instruction: "Repeat the <sep> word: 12 trees",
            input: "",
        };
        let ids = tokenizer.prompt(prompt).expect("ids");
        assert!(ids.contains(&2048), "the new token is among them");

        let config = DecoderConfig::read(&model).expect("a configuration");
        let weights = Weights::open(&model).expect("weights");
        let mut decoder = Decoder::<Cpu>::load(&config, &weights, 64, DType::F32, &FlexDevice)
            .expect("a decoder");
        lora::add_tokens(&mut decoder, &tokenizer, &Init::Zeros, 0).expect("a new token");
        let adapter = BaseModel::named(&scratch.path().join(out)).expect("an adapter");
        lora::load(&mut decoder, &adapter).expect("an adapter");
        let decoder: Decoder<Flex> = decoder.inner();
        let sequences = Sequences {
            ids: &ids,
            packing: &Packing::of(vec![ids.len()]),
        };
        let ours = host(decoder.logits(decoder.forward(sequences, None)));
        for theirs in of_peft(&scratch, &python, out, &ids) {
            let theirs = theirs.concat();
            assert_eq!(theirs.len(), ours.len());
            let off = ours
                .iter()
                .zip(theirs)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(off < 1e-4, "{out}: the logits are {off} apart");
        }
    }
}

/// A model in 32 bits, so that nothing of a merged one is rounded away.
fn in_32_bits(scratch: &Scratch, is_tied: bool) {
    let source = own_model(scratch);
    let path = source.join("config.json");
    let mut config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("JSON");
    config["tie_word_embeddings"] = is_tied.into();
    config["dtype"] = "float32".into();
    std::fs::write(&path, config.to_string()).expect("written");
    let arguments = [
        "shards",
        "--full",
        "--model",
        "model",
        "--init-model",
        "model/config.json",
        "--out",
        "base",
        "--special-token",
        "--max-steps",
        "2",
        "--lr",
        "1e-3",
    ];
    fit(scratch, &arguments).ok();
}

#[test]
fn exports_give_pefts_logits() {
    let Some(python) = python("exports_give_pefts_logits") else {
        return;
    };
    let tokens = ["<sep>", "<end>"].map(str::to_owned);
    for is_tied in [true, false] {
        let scratch = with_shards();
        in_32_bits(&scratch, is_tied);
        for kind in [&[][..], &["--rslora"], &["--dora"]] {
            let out = format!("out{}", kind.concat());
            let arguments = [
                "shards",
                "--model",
                "base",
                "--out",
                &out,
                "--lr",
                "1e-2",
                "--batch-size",
                "4",
                "--max-steps",
                "6",
                "--special-token",
                "<sep>",
                "--special-token",
                "<end>",
                "--export",
                "base-with-tokens,merged",
            ];
            fit(&scratch, &[&arguments[..], kind].concat()).ok();
            let base = BaseModel::named(&scratch.path().join("base")).expect("a model");
            let tokenizer = ChatTokenizer::read(&base, &tokens).expect("a tokenizer");
            let ids = tokenizer
                .text("Repeat the <sep> word: 12 <end> trees")
                .expect("ids");
            assert!(
                ids.contains(&2048) && ids.contains(&2049),
                "both tokens are among them"
            );
            let config = DecoderConfig::read(&base).expect("a configuration");
            let weights = Weights::open(&base).expect("weights");
            let mut decoder = Decoder::<Cpu>::load(&config, &weights, 64, DType::F32, &FlexDevice)
                .expect("a decoder");
            lora::add_tokens(&mut decoder, &tokenizer, &Init::Zeros, 0).expect("new tokens");
            let adapter = BaseModel::named(&scratch.path().join(&out)).expect("an adapter");
            lora::load(&mut decoder, &adapter).expect("an adapter");
            let decoder: Decoder<Flex> = decoder.inner();
            let sequences = Sequences {
                ids: &ids,
                packing: &Packing::of(vec![ids.len()]),
            };
            let ours = host(decoder.logits(decoder.forward(sequences, None)));
            let found = scores(&scratch, &python, "exports.py", &out, &ids);
            for way in ["adapter", "base_with_tokens", "merged"] {
                let theirs: Vec<Vec<f32>> =
                    serde_json::from_value(found[way].clone()).expect("rows of numbers");
                crate::export::near(
                    &theirs.concat(),
                    &ours,
                    1e-4,
                    &format!("{way}, {kind:?}, tied: {is_tied}"),
                );
            }
        }
    }
}
