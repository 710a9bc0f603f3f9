//! What a fit leaves: an adapter in PEFT's format, or a whole model in Hugging Face's.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;

use burn::tensor::backend::AutodiffBackend;
use safetensors::tensor::Dtype;
use serde_json::Value;

use crate::base_model::BaseModel;
use crate::checkpoint::{f32_bytes, safetensors_bytes};
use crate::error::{Error, Result};
use crate::lora;
use crate::model::config::{CONFIG_FILE, SavedType};
use crate::model::numbers::{encode, host};
use crate::model::save::FORMAT;
use crate::model::{ADAPTER_FILE, Decoder, Kernels, SINGLE_FILE, is_vector};
use crate::tokenizer::{COMPANION_FILES, GENERATION_CONFIG, TEMPLATE_FILE, TOKENIZER_FILE};

use super::Plan;
use super::folder::{BASE_FOLDER, Files, FitFolder};

/// Writes the adapter with the tokenizer it was trained with.
pub(super) fn adapter<B: AutodiffBackend + Kernels>(
    folder: &FitFolder,
    plan: &Plan<'_>,
    decoder: &mut Decoder<B>,
) -> Result<Files> {
    let (model, config) = (&plan.model, plan.config);
    let mut files = tokenizer_files(folder, plan)?;
    let base = match model {
        // A base that was only made to measure with is nowhere.
        _ if config.init_model.is_some() => config.init_model.clone().unwrap_or_default(),
        BaseModel::Folder(path) => fs::canonicalize(path).map_err(Error::read(path))?,
        BaseModel::Bundled => {
            // Whoever loads the adapter needs its base on disk.
            let base = folder.file(BASE_FOLDER);
            fs::create_dir_all(&base).map_err(Error::write(&base))?;
            for name in model.file_names()? {
                if let Some(bytes) = model.bytes(&name)? {
                    folder.write(&mut files, &format!("{BASE_FOLDER}/{name}"), &bytes)?;
                }
            }
            fs::canonicalize(&base).map_err(Error::read(&base))?
        }
    };
    let tensors = lora::tensors(decoder).into_iter();
    let arrays = tensors.map(|(name, shape, tensor)| (name, (shape, f32_bytes(&host(tensor)))));
    let bytes = safetensors_bytes(&arrays.collect(), Dtype::F32, FORMAT);
    folder.write(&mut files, ADAPTER_FILE, &bytes)?;
    let peft = plan
        .adapter_config
        .to_peft(decoder, &base.to_string_lossy());
    folder.write(&mut files, lora::ADAPTER_CONFIG, pretty(&peft).as_bytes())?;
    Ok(files)
}

/// Writes the model with its tokenizer, in the type its configuration names.
pub(super) fn model<B: AutodiffBackend + Kernels>(
    folder: &FitFolder,
    plan: &Plan<'_>,
    decoder: &mut Decoder<B>,
) -> Result<Files> {
    let mut files = tokenizer_files(folder, plan)?;
    let mut config = plan.fields.clone();
    let dtype = match decoder.config().dtype {
        SavedType::F32 => Dtype::F32,
        SavedType::Bf16 => Dtype::BF16,
        SavedType::F16 => Dtype::F16,
    };
    config.insert(
        "vocab_size".to_owned(),
        decoder.scoring_table().n_tokens().into(),
    );
    let mut arrays = BTreeMap::new();
    for (name, tensor) in decoder.tensors_mut() {
        let [rows, columns] = tensor.dims();
        let values = host(tensor.clone().inner());
        let bytes = encode(dtype, &values).expect("a type of floating-point numbers");
        let shape = match is_vector(&name) {
            true => vec![columns],
            false => vec![rows, columns],
        };
        arrays.insert(name, (shape, bytes));
    }
    let bytes = safetensors_bytes(&arrays, dtype, FORMAT);
    folder.write(&mut files, SINGLE_FILE, &bytes)?;
    let config = pretty(&Value::Object(config));
    folder.write(&mut files, CONFIG_FILE, config.as_bytes())?;
    if let Some(bytes) = plan.model.bytes(GENERATION_CONFIG)? {
        folder.write(&mut files, GENERATION_CONFIG, &bytes)?;
    }
    Ok(files)
}

fn tokenizer_files(folder: &FitFolder, plan: &Plan<'_>) -> Result<Files> {
    let mut files = Files::new();
    for (name, bytes) in tokenizer_bytes(plan)? {
        folder.write(&mut files, name, &bytes)?;
    }
    Ok(files)
}

/// The files of the tokenizer, new tokens and the layout of samples included.
pub(super) fn tokenizer_bytes(
    plan: &Plan<'_>,
) -> Result<BTreeMap<&'static str, Cow<'static, [u8]>>> {
    let mut files = BTreeMap::new();
    let tokenizer = plan.tokenizer.to_json()?;
    files.insert(TOKENIZER_FILE, tokenizer.into_bytes().into());
    for name in COMPANION_FILES {
        if let Some(bytes) = plan.model.bytes(name)? {
            files.insert(name, bytes);
        }
    }
    let template = plan.tokenizer.template();
    if !template.is_own() {
        // Whoever asks the adapter has to lay prompts out as it learned them.
        let source = template.source().as_bytes().to_owned();
        files.insert(TEMPLATE_FILE, source.into());
    }
    Ok(files)
}

/// JSON as people read it.
pub(super) fn pretty(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("JSON");
    text.push('\n');
    text
}
