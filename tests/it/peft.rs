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
fn python() -> Option<String> {
    let python = std::env::var("DELIA_PEFT_PYTHON").ok();
    if python.is_none() {
        let why = "DELIA_PEFT_PYTHON names no Python with torch, transformers and peft";
        skipped("peft_gives_the_logits_delia_gives", why);
    }
    python
}

/// The scores PEFT finds for `ids`, as it loads the adapter by itself and beside a base resized by hand.
fn of_peft(scratch: &Scratch, python: &str, adapter: &str, ids: &[u32]) -> [Vec<Vec<f32>>; 2] {
    let ids = scratch.file("ids.json", serde_json::to_string(ids).expect("JSON"));
    let logits = scratch.path().join("logits.json");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/peft_adapter.py");
    let mut command = Command::new(python);
    scratch
        .run(command.arg(script).arg(adapter).arg(ids).arg(&logits))
        .ok();
    let text = std::fs::read(logits).expect("logits");
    let found: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    ["auto", "by_hand"]
        .map(|way| serde_json::from_value(found[way].clone()).expect("rows of numbers"))
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
    let Some(python) = python() else { return };
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
