//! Low-rank adapters (Hu et al. 2021) and trained token rows: put onto a decoder, and written and read in PEFT's format.

use std::collections::BTreeMap;

use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, Distribution, Tensor, TensorData};
use serde_json::{Value, json};

use crate::base_model::BaseModel;
use crate::config::Init;
use crate::error::{Error, Result};
use crate::model::{
    Adapter, Decoder, EMBEDDING, HEAD, Kernels, NewRows, PROJECTIONS, TokenTable, Weights, random,
};
use crate::tokenizer::ChatTokenizer;

/// What PEFT puts before the names of the base model's modules.
const PREFIX: &str = "base_model.model.";

/// The file that describes an adapter.
pub const ADAPTER_CONFIG: &str = "adapter_config.json";

/// Puts a fresh adapter beside every projection: A uniform within `1/sqrt(in)`, which is what PEFT's Kaiming draw with
/// a = √5 comes to, B zero, so that nothing changes yet.
pub fn attach<B: AutodiffBackend>(decoder: &mut Decoder<B>, rank: usize, alpha: f64, seed: u64) {
    for (module, projection) in decoder.projections_mut() {
        let [rows, columns] = projection.weight.dims();
        let device = projection.weight.device();
        let bound = 1.0 / (columns as f64).sqrt();
        let a = random(
            [rank, columns],
            Distribution::Uniform(-bound, bound),
            seed,
            &format!("{module}.lora_A"),
            &device,
        );
        let b = Tensor::zeros([rows, rank], (&device, DType::F32));
        projection.adapter = Some(Adapter {
            a: a.require_grad(),
            b: b.require_grad(),
            scale: alpha / rank as f64,
        });
    }
}

/// Gives special tokens rows of their own to be trained, in the embedding and in an untied head. One that the model knows
/// starts from the row it has, any other from `init`.
///
/// # Errors
/// [`Error::Vocabulary`] where the tokenizer had more tokens than the model before these were added; [`Error::Setting`]
/// for an `init` that names what the tokenizer does not know.
pub fn add_tokens<B: AutodiffBackend>(
    decoder: &mut Decoder<B>,
    tokenizer: &ChatTokenizer,
    init: &Init,
    seed: u64,
) -> Result<()> {
    let mut ids = tokenizer.special_ids().to_vec();
    ids.sort_unstable();
    ids.dedup();
    let n_rows = decoder.config().vocab_size;
    let n_appended = ids.iter().filter(|&&id| id as usize >= n_rows).count();
    if tokenizer.n_tokens() - n_appended > n_rows {
        return Err(Error::Vocabulary {
            n_tokens: tokenizer.n_tokens() - n_appended,
            vocab_size: n_rows,
        });
    }
    if ids.is_empty() {
        return Ok(());
    }
    let deviation = decoder.config().initializer_range;
    let start = |module: &str, table: &TokenTable<B>| -> Result<Tensor<B, 2>> {
        let device = table.base.device();
        let d = table.base.dims()[1];
        let of_tokens = |tokens: &[u32]| table.lookup(tokens).cast(DType::F32).mean_dim(0);
        Ok(match init {
            Init::Zeros => Tensor::zeros([ids.len(), d], (&device, DType::F32)),
            Init::Random => {
                let normal = Distribution::Normal(0.0, deviation);
                random([ids.len(), d], normal, seed, module, &device)
            }
            Init::Mean(text) => of_tokens(&known(tokenizer, text, &ids)?).repeat_dim(0, ids.len()),
            Init::Copy(token) => {
                let id = tokenizer.id(token).filter(|id| !ids.contains(id));
                let id = id.ok_or_else(|| Error::Setting {
                    key: "init",
                    problem: format!("the tokenizer has no token `{token}` to copy"),
                    hint: "`mean:TEXT` takes any text".to_owned(),
                })?;
                of_tokens(&[id]).repeat_dim(0, ids.len())
            }
        })
    };
    // A token the model knows goes on from what it knows of it.
    let start = |module: &str, table: &TokenTable<B>| -> Result<Tensor<B, 2>> {
        let fresh = start(module, table)?;
        let rows = ids
            .iter()
            .enumerate()
            .map(|(place, &id)| match tokenizer.is_known(id) {
                true => table.lookup(&[id]).cast(DType::F32),
                false => fresh.clone().narrow(0, place, 1),
            });
        Ok(Tensor::cat(rows.collect(), 0))
    };
    let rows = start(EMBEDDING, &decoder.embedding)?;
    let new_rows = |rows: Tensor<B, 2>| NewRows {
        ids: ids.clone(),
        rows: rows.detach().require_grad(),
    };
    decoder.embedding.new = Some(new_rows(rows));
    if let Some(head) = &mut decoder.head {
        let rows = start(HEAD, head)?;
        head.new = Some(new_rows(rows));
    }
    Ok(())
}

/// The tokens of a text, which must be of the base model.
fn known(tokenizer: &ChatTokenizer, text: &str, new: &[u32]) -> Result<Vec<u32>> {
    let tokens = tokenizer.text(text)?;
    if tokens.is_empty() || tokens.iter().any(|token| new.contains(token)) {
        return Err(Error::Setting {
            key: "init",
            problem: format!("`{text}` holds no tokens of the base model alone"),
            hint: "describe in other words what the new token means".to_owned(),
        });
    }
    Ok(tokens)
}

/// Reads adapters and token rows from a PEFT folder in place of fresh ones.
///
/// # Errors
/// When the folder is no LoRA adapter of this model.
pub fn load<B: AutodiffBackend + Kernels>(
    decoder: &mut Decoder<B>,
    folder: &BaseModel,
) -> Result<()> {
    let config: Value = folder
        .json(ADAPTER_CONFIG)?
        .ok_or_else(|| Error::ModelFile {
            path: folder.path(""),
            file: ADAPTER_CONFIG,
        })?;
    let number = |field: &str| {
        config[field]
            .as_f64()
            .filter(|&number| number > 0.0)
            .ok_or_else(|| Error::ModelConfig {
                path: folder.path(ADAPTER_CONFIG),
                problem: format!(
                    "`{field}` is {}, a number above 0 is expected",
                    config[field]
                ),
            })
    };
    let (rank, alpha) = (number("r")?, number("lora_alpha")?);
    for field in ["use_dora", "use_rslora"] {
        if config[field] == Value::Bool(true) {
            return Err(Error::ModelConfig {
                path: folder.path(ADAPTER_CONFIG),
                problem: format!("`{field}` is not supported"),
            });
        }
    }
    let weights = Weights::of_adapter(folder)?;
    attach(decoder, rank as usize, alpha, 0);
    for (name, tensor) in decoder.trained_mut() {
        let name = format!("{PREFIX}{name}");
        let shape = tensor.dims();
        let values = weights.values(&name, &shape)?;
        let read = Tensor::from_data(
            TensorData::new(values, shape),
            (&tensor.device(), DType::F32),
        );
        *tensor = read.require_grad();
    }
    Ok(())
}

/// The tensors of an adapter, by PEFT's names.
pub fn tensors<B: AutodiffBackend>(
    decoder: &mut Decoder<B>,
) -> BTreeMap<String, Tensor<B::InnerBackend, 2>> {
    decoder
        .trained_mut()
        .into_iter()
        .map(|(name, tensor)| (format!("{PREFIX}{name}"), tensor.clone().inner()))
        .collect()
}

/// The `adapter_config.json` PEFT reads.
pub fn peft_config<B: Backend>(
    decoder: &Decoder<B>,
    base: &str,
    rank: usize,
    alpha: f64,
    dropout: f64,
) -> Value {
    let modules = PROJECTIONS.map(|name| name.rsplit_once('.').map_or(name, |(_, module)| module));
    let new_tokens = decoder.embedding.new.as_ref().map(|new| {
        let mut indices = json!({ "embed_tokens": new.ids });
        if decoder.head.is_some() {
            indices["lm_head"] = json!(new.ids);
        }
        indices
    });
    json!({
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "inference_mode": true,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": dropout,
        "bias": "none",
        "fan_in_fan_out": false,
        "init_lora_weights": true,
        "target_modules": modules,
        "modules_to_save": null,
        "use_rslora": false,
        "use_dora": false,
        "trainable_token_indices": new_tokens,
    })
}
