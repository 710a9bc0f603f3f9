use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Tensor};
use burn_flex::FlexDevice;
use delia::base_model::BaseModel;
use delia::error::Error;
use delia::lora;
use delia::model::config::DecoderConfig;
use delia::model::{Decoder, NewRows, TokenTable, Weights, numbers};
use delia::tokenizer::ChatTokenizer;
use serde_json::{Value, json};

use crate::delia::Scratch;
use crate::export::folder;
use crate::fit::{fit, with_shards};
use crate::golden_models::{self, Cpu};

/// A file with this header, and `n_data` bytes behind it.
fn file(header: &str, n_data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + n_data, 0);
    bytes
}

/// What is said of a model; every such error has a hint.
#[track_caller]
fn said<T>(found: Result<T, Error>) -> String {
    let error = found.err().expect("refused");
    assert!(error.hint().is_some(), "{error}");
    error.to_string()
}

#[track_caller]
fn holds(said: &str, texts: &[&str]) {
    for text in texts {
        assert!(said.contains(text), "`{text}` is not in: {said}");
    }
}

/// A tensor of a header.
fn tensor(name: &str, shape: &str, from: u64, to: u64) -> String {
    format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[{from},{to}]}}"#)
}

fn header(tensors: &[String]) -> String {
    format!("{{{}}}", tensors.join(","))
}

#[test]
fn a_file_that_is_not_what_its_header_says_is_refused_by_name() {
    let scratch = Scratch::new();
    let max = u64::MAX;
    let two = |second: String| file(&header(&[tensor("a", "[2]", 0, 8), second]), 16);
    let length = |length: u64| [&length.to_le_bytes()[..], b"{}"].concat();
    let cases: [(Vec<u8>, &[&str]); 18] = [
        (vec![], &["it has 0 bytes"]),
        (
            vec![1, 2, 3],
            &["it has 3 bytes, the length of its header alone takes 8"],
        ),
        (length(3), &["its header is 3 bytes long, 2 follow"]),
        (
            length(1 << 60),
            &["its header is 1152921504606846976 bytes long, 2 follow"],
        ),
        (
            length(max),
            &["its header is 18446744073709551615 bytes long"],
        ),
        (
            file(&" ".repeat(110_000_000), 0),
            &["its header is 110000000 bytes long, at most 16777216 are read"],
        ),
        (file("[1, 2]", 0), &["its header: ", "tensors by name"]),
        (file("{\"a\"", 0), &["its header: EOF"]),
        (file(&"[".repeat(100_000), 0), &["its header: "]),
        (
            file(&header(&[tensor("a", "[2]", 0, 8)]), 7),
            &["promises 8 bytes of tensors, it has 7"],
        ),
        (
            file(&header(&[tensor("a", "[2]", 0, 8)]), 9),
            &["promises 8 bytes of tensors, it has 9"],
        ),
        (
            file(&header(&[tensor("a", "[3]", 0, 8)]), 8),
            &["tensor `a` of the shape [3] takes 12 bytes of type F32, not those from 0 to 8"],
        ),
        (
            file(&header(&[tensor("a", "[2]", 8, 0)]), 8),
            &["tensor `a`", "not those from 8 to 0"],
        ),
        (
            file(&header(&[tensor("a", &format!("[{max},{max}]"), 0, 8)]), 8),
            &["tensor `a`", "is larger than any file"],
        ),
        (
            two(tensor("b", "[2]", 4, 12)),
            &["tensor `b` begins at byte 4, the one before it ends at 8"],
        ),
        (
            two(tensor("b", "[1]", 12, 16)),
            &["tensor `b` begins at byte 12, the one before it ends at 8"],
        ),
        (
            two(tensor("a", "[2]", 8, 16)),
            &["its header: tensor `a` stands there twice"],
        ),
        (
            file(
                r#"{"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}}"#,
                8,
            ),
            &["its header: ", "F33"],
        ),
    ];
    for (bytes, texts) in cases {
        scratch.file("model/model.safetensors", bytes);
        let said = said(Weights::open(&folder(&scratch.path().join("model"))));
        holds(
            &said,
            &["model/model.safetensors` holds no readable weights: "],
        );
        holds(&said, texts);
    }
    // Millions of tensors without a byte: a header may not be longer than theirs would be.
    let many = (0..300_000).map(|nth| tensor(&nth.to_string(), "[0]", 0, 0));
    scratch.file(
        "model/model.safetensors",
        file(&header(&many.collect::<Vec<_>>()), 0),
    );
    holds(
        &said(Weights::open(&folder(&scratch.path().join("model")))),
        &["at most 16777216 are read"],
    );
    // What is odd and whole is read.
    let whole = r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[0,7],"data_offsets":[4,4]}}   "#;
    scratch.file("model/model.safetensors", file(whole, 4));
    let weights = Weights::open(&folder(&scratch.path().join("model"))).expect("weights");
    assert_eq!(weights.values("b", &[]).expect("a number"), [0.0]);
    assert_eq!(weights.values("a", &[0, 7]).expect("no numbers"), [0.0; 0]);
}

#[test]
fn an_index_names_files_of_its_folder_that_hold_each_tensor_once() {
    let scratch = Scratch::new();
    let whole = |name: &str| file(&header(&[tensor(name, "[2]", 0, 8)]), 8);
    scratch.file("elsewhere.safetensors", whole("b"));
    let refused = |map: Value, texts: &[&str]| {
        let index = json!({"metadata": {}, "weight_map": map});
        scratch.file("model/model.safetensors.index.json", index.to_string());
        holds(
            &said(Weights::open(&folder(&scratch.path().join("model")))),
            texts,
        );
    };
    scratch.file("model/1.safetensors", whole("a"));
    scratch.file("model/2.safetensors", whole("b"));
    let absolute = scratch.path().join("elsewhere.safetensors");
    for outside in [
        "../elsewhere.safetensors",
        "sub/../../elsewhere.safetensors",
        "..",
        "",
        "sub/1.safetensors",
    ] {
        refused(
            json!({"a": "1.safetensors", "b": outside}),
            &["index.json`", &format!("it names the file `{outside}`")],
        );
    }
    refused(
        json!({"b": absolute}),
        &["it names the file `/", "which is not one of its folder"],
    );
    refused(
        json!({"a": "1.safetensors", "b": "3.safetensors"}),
        &[
            "model/3.safetensors` holds no readable weights",
            "`model.safetensors.index.json` names it, and it is not there",
        ],
    );
    refused(
        json!({"a": "1.safetensors", "b": "2.safetensors", "c": "2.safetensors"}),
        &["model/2.safetensors`: tensor `c` is missing"],
    );
    refused(
        json!({"a": "2.safetensors", "b": "1.safetensors"}),
        &["tensor `a` is missing"],
    );
    scratch.file("model/2.safetensors", whole("a"));
    refused(
        json!({"a": "1.safetensors", "b": "2.safetensors"}),
        &["model/2.safetensors`: tensor `a` is in `1.safetensors` too"],
    );
    scratch.file(
        "model/model.safetensors.index.json",
        "{\"weight_map\": [1]}",
    );
    holds(&said_by_json(&scratch), &["index.json` cannot be used"]);
}

/// Errors of JSON say where in the file; they need no hint.
fn said_by_json(scratch: &Scratch) -> String {
    let found = Weights::open(&folder(&scratch.path().join("model")));
    found.expect_err("refused").to_string()
}

#[test]
fn weights_of_other_formats_are_named() {
    let scratch = Scratch::new();
    let model = scratch.path().join("model");
    scratch.file("model/config.json", "{}");
    holds(
        &said(Weights::open(&folder(&model))),
        &["model/` has no `model.safetensors`"],
    );
    for other in ["pytorch_model.bin", "consolidated.00.pth", "model-q4.gguf"] {
        let path = scratch.file(&format!("model/{other}"), "a pickle");
        let weights = said(Weights::open(&folder(&model)));
        holds(
            &weights,
            &[&format!(
                "model/{other}` is not read: weights are read from `model.safetensors`"
            )],
        );
        fs::remove_file(path).expect("removed");
    }
    scratch.file("model/adapter_model.bin", "a pickle");
    let adapter = said(Weights::of_adapter(&folder(&model)));
    holds(
        &adapter,
        &[
            "adapter_model.bin` is not read",
            "`adapter_model.safetensors`",
        ],
    );
}

/// A copy of a golden folder, to be spoiled.
fn copy(scratch: &Scratch, name: &str) -> PathBuf {
    let to = scratch.path().join(name.replace('/', "_"));
    fs::create_dir_all(&to).expect("a folder");
    for entry in fs::read_dir(golden_models::folder(name)).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("copied");
        }
    }
    to
}

/// Tensors of a file by name: their types, shapes and bytes.
type Tensors = Vec<(String, safetensors::Dtype, Vec<usize>, Vec<u8>)>;

/// A file of tensors written again after a change.
fn change(path: &Path, change: impl FnOnce(&mut Tensors)) {
    let bytes = fs::read(path).expect("a file");
    let read = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let mut tensors: Tensors = read
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            (
                name,
                view.dtype(),
                view.shape().to_vec(),
                view.data().to_vec(),
            )
        })
        .collect();
    change(&mut tensors);
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        let view = safetensors::tensor::TensorView::new(*dtype, shape.clone(), bytes);
        (name.clone(), view.expect("a view"))
    });
    fs::write(path, safetensors::serialize(views, None).expect("bytes")).expect("written");
}

fn load(model: &Path) -> Result<Decoder<Cpu>, Error> {
    let model = folder(model);
    let config = DecoderConfig::read(&model)?;
    Decoder::load(
        &config,
        &Weights::open(&model)?,
        16,
        DType::F32,
        &FlexDevice,
    )
}

#[test]
fn a_model_has_the_tensors_its_configuration_says() {
    let scratch = Scratch::new();
    let model = copy(&scratch, "qwen3");
    let path = model.join("model.safetensors");
    let whole = fs::read(&path).expect("weights");
    let norm = "model.layers.1.self_attn.q_norm.weight";
    let refused = |spoil: &dyn Fn(&mut Tensors), texts: &[&str]| {
        fs::write(&path, &whole).expect("restored");
        change(&path, spoil);
        let said = said(load(&model));
        holds(&said, &["qwen3/model.safetensors`: tensor `"]);
        holds(&said, texts);
    };
    refused(
        &|tensors| tensors.retain(|tensor| tensor.0 != norm),
        &[norm, "is missing"],
    );
    refused(
        &|tensors| {
            tensors
                .iter_mut()
                .find(|tensor| tensor.0 == norm)
                .expect("there")
                .2 = vec![2, 5]
        },
        &[norm, "has the shape [2, 5], [10] is expected"],
    );
    refused(
        &|tensors| {
            tensors
                .iter_mut()
                .find(|tensor| tensor.0 == norm)
                .expect("there")
                .1 = safetensors::Dtype::I32
        },
        &[norm, "holds I32, F32, BF16 or F16 is expected"],
    );
    refused(
        &|tensors| {
            tensors.push((
                "model.extra.weight".to_owned(),
                safetensors::Dtype::F32,
                vec![1],
                vec![0; 4],
            ))
        },
        &["`model.extra.weight` has no place in this model"],
    );

    // Sizes that no memory holds are refused before any is taken.
    fs::write(&path, &whole).expect("restored");
    let config = model.join("config.json");
    let fields: Value = serde_json::from_slice(&fs::read(&config).expect("a file")).expect("JSON");
    for (field, size) in [
        ("num_hidden_layers", 1_u64 << 50),
        ("vocab_size", 1 << 50),
        ("hidden_size", 1 << 62),
        ("intermediate_size", 1 << 40),
        ("head_dim", 1 << 40),
    ] {
        let mut fields = fields.clone();
        fields[field] = size.into();
        fs::write(&config, fields.to_string()).expect("written");
        let said = said(load(&model));
        holds(&said, &["config.json`", field, "at most"]);
    }
}

/// A golden checkpoint with rows for `new`, and the adapter in `folder` beside it.
fn load_adapter(base: &str, new: &[u32], adapter: &Path) -> Result<Decoder<Cpu>, Error> {
    let mut decoder = golden_models::decoder::<Cpu>(base, DType::F32, &FlexDevice);
    let d = decoder.config().hidden_size;
    if !new.is_empty() {
        let rows = |table: &mut TokenTable<Cpu>| {
            table.new = Some(NewRows {
                ids: new.to_vec(),
                rows: Tensor::zeros([new.len(), d], &FlexDevice).require_grad(),
            });
        };
        rows(&mut decoder.embedding);
        decoder.head.as_mut().map(rows);
    }
    lora::load(&mut decoder, &folder(adapter)).map(|_| decoder)
}

#[test]
fn an_adapter_of_another_base_is_refused() {
    let scratch = Scratch::new();
    let adapter = copy(&scratch, "gqa_tied/lora");
    load_adapter("gqa_tied", &[67], &adapter).expect("its own base");
    let refused = |base: &str, new: &[u32], texts: &[&str]| {
        holds(&said(load_adapter(base, new, &adapter)), texts);
    };
    refused(
        "mha_untied",
        &[67],
        &[
            "gqa_tied_lora/adapter_model.safetensors`: tensor `",
            "q_proj",
            "has the shape",
            "is expected",
        ],
    );
    refused(
        "gqa_tied",
        &[],
        &["trainable_tokens_delta`", "--special-token"],
    );
    refused(
        "gqa_tied",
        &[66],
        &["has a row for token 67, which is none of the new tokens"],
    );

    let weights = adapter.join("adapter_model.safetensors");
    let whole = fs::read(&weights).expect("weights");
    change(&weights, |tensors| {
        for tensor in tensors {
            tensor.0 = tensor.0.replace("layers.2.", "layers.7.");
        }
    });
    refused("gqa_tied", &[67], &["layers.2.", "is missing"]);
    fs::write(&weights, &whole).expect("restored");
    change(&weights, |tensors| {
        let mut more = tensors.clone();
        more.retain(|tensor| tensor.0.contains("layers.2."));
        for tensor in &mut more {
            tensor.0 = tensor.0.replace("layers.2.", "layers.3.");
        }
        tensors.extend(more);
    });
    refused(
        "gqa_tied",
        &[67],
        &["layers.3.", "has no place beside this model"],
    );
    change(&weights, |tensors| tensors.clear());
    refused("gqa_tied", &[67], &["no tensor of a LoRA adapter is there"]);
    fs::write(&weights, &whole[..whole.len() - 5]).expect("torn");
    refused(
        "gqa_tied",
        &[67],
        &["adapter_model.safetensors` holds no readable weights"],
    );
}

#[test]
fn rows_of_tokens_are_put_where_their_ids_say() {
    let scratch = Scratch::new();
    let adapter = copy(&scratch, "gqa_tied/lora");
    let rows = |decoder: Decoder<Cpu>| {
        let new = decoder.embedding.new.expect("new rows");
        golden_models::host(new.rows)
    };
    let one = rows(load_adapter("gqa_tied", &[67], &adapter).expect("its own token"));
    let two = rows(load_adapter("gqa_tied", &[66, 67], &adapter).expect("one token more"));
    assert_eq!(two, [&[0.0; 24][..], &one].concat());
    // Two rows, the second first.
    change(&adapter.join("adapter_model.safetensors"), |tensors| {
        let rows = tensors
            .iter_mut()
            .find(|tensor| tensor.0.ends_with("trainable_tokens_delta"));
        let (_, _, shape, bytes) = rows.expect("rows");
        shape[0] = 2;
        bytes.extend(1.5_f32.to_le_bytes().repeat(24));
    });
    let path = adapter.join("adapter_config.json");
    let mut config: Value =
        serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
    config["trainable_token_indices"]["embed_tokens"] = json!([67, 66]);
    fs::write(&path, config.to_string()).expect("written");
    let turned = rows(load_adapter("gqa_tied", &[66, 67], &adapter).expect("both tokens"));
    assert_eq!(turned, [&[1.5; 24][..], &one].concat());
}

/// What PEFT saves of the tables of tokens by itself, once the vocabulary was resized.
#[test]
fn tables_beside_an_adapter_are_read_where_they_are_the_bases() {
    let scratch = Scratch::new();
    let d = 24;
    let base = Weights::open(&golden_models::model("gqa_tied")).expect("weights");
    let table = base.values("model.embed_tokens.weight", &[67, d]);
    // A token behind the vocabulary, and one row of filling.
    let table = [&table.expect("a table")[..], &[7.0; 24], &[0.0; 24]].concat();
    let bytes = |values: &[f32]| -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    };
    let put = |adapter: &Path, name: &str, values: &[f32]| {
        let shape = vec![values.len() / d, d];
        let tensor = (
            name.to_owned(),
            safetensors::Dtype::F32,
            shape,
            bytes(values),
        );
        change(&adapter.join("adapter_model.safetensors"), |tensors| {
            tensors.retain(|(there, ..)| there != name);
            tensors.push(tensor);
        });
    };
    let rows = |decoder: Decoder<Cpu>| {
        let new = decoder.embedding.new.expect("new rows");
        golden_models::host(new.rows)
    };
    let (embedding, head) = (
        "base_model.model.model.embed_tokens",
        "base_model.model.lm_head",
    );
    let adapter = copy(&scratch, "gqa_tied/lora");
    let trained = rows(load_adapter("gqa_tied", &[67], &adapter).expect("its own token"));
    // Beside rows that are trained, which count.
    for module in [embedding, head] {
        put(
            &adapter,
            &format!("{module}.token_adapter.base_layer.weight"),
            &table,
        );
    }
    let found = rows(load_adapter("gqa_tied", &[67], &adapter).expect("the base's rows"));
    assert_eq!(found, trained);
    // Without any, and in another type than the base's.
    let config = adapter.join("adapter_config.json");
    let text = fs::read_to_string(&config).expect("a file");
    let mut fields: Value = serde_json::from_str(&text).expect("JSON");
    fields["trainable_token_indices"] = json!(null);
    fs::write(&config, fields.to_string()).expect("written");
    change(&adapter.join("adapter_model.safetensors"), |tensors| {
        tensors.retain(|(name, ..)| !name.contains("token_adapter"));
        for module in [embedding, head] {
            let values = numbers::encode(safetensors::Dtype::BF16, &table).expect("numbers");
            let name = format!("{module}.weight");
            tensors.push((name, safetensors::Dtype::BF16, vec![69, d], values));
        }
    });
    load_adapter("gqa_tied", &[67], &adapter).expect("the base's rows, rounded");
    for module in [embedding, head] {
        put(&adapter, &format!("{module}.weight"), &table);
    }
    // Their row is the token's where their tokenizer has that token in its place, and only there.
    let tokenizer = |text: &str| {
        let model = crate::fit::own_model(&scratch);
        ChatTokenizer::read(&folder(&model), &[text.to_owned()]).expect("a tokenizer")
    };
    let ours = tokenizer("<sep>");
    let id = ours.special_ids()[0];
    for (theirs, expected) in [(None, 0.0), (Some("<other>"), 0.0), (Some("<sep>"), 7.0)] {
        if let Some(content) = theirs {
            let text = json!({ "added_tokens": [{ "id": id, "content": content }] });
            fs::write(adapter.join("tokenizer.json"), text.to_string()).expect("written");
        }
        let rows_of = vec![vec![7.0; 24]; id as usize + 1].concat();
        let mut decoder = load_adapter("gqa_tied", &[67], &adapter).expect("an adapter");
        decoder.embedding.new.as_mut().expect("rows").ids = vec![id];
        change(&adapter.join("adapter_model.safetensors"), |tensors| {
            let table = tensors
                .iter_mut()
                .find(|tensor| tensor.0.ends_with("embed_tokens.weight"));
            let table = table.expect("a table");
            (table.2, table.3) = (vec![id as usize + 1, d], bytes(&rows_of));
        });
        lora::take_saved_rows(&mut decoder, &folder(&adapter), &ours).expect("read");
        assert_eq!(rows(decoder), [expected; 24], "{theirs:?}");
        put(&adapter, &format!("{embedding}.weight"), &table);
    }
    // What was trained as a whole is not what the base has.
    let mut other = table.clone();
    other[30] += 0.5;
    put(&adapter, &format!("{head}.weight"), &other);
    let said_head = said(load_adapter("gqa_tied", &[67], &adapter));
    holds(&said_head, &["lm_head.weight", "one table for both"]);
    put(&adapter, &format!("{embedding}.weight"), &other);
    let said = said(load_adapter("gqa_tied", &[67], &adapter));
    holds(
        &said,
        &["embed_tokens.weight", "another row 1 than the base"],
    );
}

#[test]
fn fields_of_an_adapter_that_are_not_computed_are_refused_by_name() {
    let scratch = Scratch::new();
    let adapter = copy(&scratch, "gqa_tied/lora");
    let path = adapter.join("adapter_config.json");
    let whole: Value = serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
    for (field, value) in [
        ("peft_type", json!("LOHA")),
        ("r", json!(0)),
        ("r", json!(1e18)),
        ("r", json!(2.5)),
        ("lora_alpha", json!(null)),
        ("alora_invocation_tokens", json!([1])),
        ("alpha_pattern", json!({"q_proj": 3})),
        ("arrow_config", json!({"top_k": 2})),
        ("bias", json!("all")),
        ("exclude_modules", json!(["q_proj"])),
        ("fan_in_fan_out", json!(true)),
        ("init_lora_weights", json!("pissa")),
        ("init_lora_weights", json!("loftq")),
        ("kasa_config", json!({"beta": 1.0})),
        ("layer_replication", json!([[0, 2]])),
        ("layers_to_transform", json!([0])),
        ("lora_bias", json!(true)),
        ("megatron_config", json!({"size": 2})),
        ("modules_to_save", json!(["lm_head"])),
        ("monteclora_config", json!({"samples": 2})),
        ("rank_pattern", json!({"q_proj": 3})),
        ("target_modules", json!(7)),
        ("target_parameters", json!(["x"])),
        ("trainable_token_indices", json!("all")),
        ("use_bdlora", json!({"blocks": 2})),
        ("use_qalora", json!(true)),
        ("a_field_of_next_year", json!(3)),
    ] {
        let mut config = whole.clone();
        config[field] = value;
        fs::write(&path, config.to_string()).expect("written");
        let said = said(load_adapter("gqa_tied", &[67], &adapter));
        holds(
            &said,
            &[
                "gqa_tied_lora/adapter_config.json`: ",
                &format!("`{field}`"),
            ],
        );
    }
    // A rank that only the configuration has is found before memory is taken for it.
    let mut config = whole;
    config["r"] = json!(1_u64 << 50);
    fs::write(&path, config.to_string()).expect("written");
    let said = said(load_adapter("gqa_tied", &[67], &adapter));
    holds(
        &said,
        &["has 3 rows, `r` in `adapter_config.json` is 1125899906842624"],
    );
}

#[test]
fn a_fit_says_where_weights_are_wrong_and_what_to_do() {
    let scratch = with_shards();
    let model = crate::fit::own_model(&scratch);
    let path = model.join("model.safetensors");
    let whole = fs::read(&path).expect("weights");
    let run = || fit(&scratch, &["shards", "--model", "model", "--out", "out"]);
    fs::write(&path, &whole[..1 << 20]).expect("cut off");
    run().fails(
        1,
        &[
            "model/model.safetensors` holds no readable weights",
            "bytes of tensors, it has",
            "hint: a download",
        ],
    );
    fs::rename(&path, model.join("pytorch_model.bin")).expect("renamed");
    run().fails(
        1,
        &[
            "pytorch_model.bin` is not read",
            "hint: ",
            "save_pretrained",
        ],
    );
    fs::write(&path, &whole).expect("restored");
    // A tokenizer that was saved with more tokens than the model has rows for.
    let tokenizer = model.join("tokenizer.json");
    let mut json: Value =
        serde_json::from_slice(&fs::read(&tokenizer).expect("a file")).expect("JSON");
    let token = |id: u32, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true})
    };
    json["added_tokens"]
        .as_array_mut()
        .expect("a list")
        .push(token(2048, "<other>"));
    fs::write(&tokenizer, json.to_string()).expect("written");
    run().fails(
        1,
        &[
            "the tokenizer has 2049 tokens, the model's vocabulary 2048",
            "hint: ",
        ],
    );
    // A new token whose row would leave a gap.
    json["added_tokens"].as_array_mut().expect("a list").pop();
    json["model"]["vocab"]["<sep>"] = json!(2050);
    fs::write(&tokenizer, json.to_string()).expect("written");
    run().fails(
        1,
        &[
            "the new tokens would begin at id 2050, the model's rows end before 2048",
            "resize_token_embeddings",
        ],
    );
    assert!(!scratch.path().join("out/metrics.jsonl").exists());
}

#[test]
fn a_base_without_a_folder_of_its_own_has_no_adapter_files() {
    let found = Weights::of_adapter(&BaseModel::Bundled);
    holds(&said(found), &["has no `adapter_model.safetensors`"]);
}
