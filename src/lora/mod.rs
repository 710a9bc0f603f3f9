//! Low-rank adapters (Hu et al. 2021) and trained token rows: put onto a decoder, and written and read in PEFT's format.

mod config;
mod merge;
mod new_tokens;
mod saved_tables;

use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{DType, Distribution, Tensor, TensorData};

use crate::base_model::BaseModel;
use crate::error::{Error, Result};
use crate::model::numbers::host;
use crate::model::{Adapter, Decoder, Kernels, Weights, random};

pub use config::{ADAPTER_CONFIG, AdapterConfig};
pub use merge::Merge;
pub use new_tokens::add_tokens;
pub use saved_tables::take_saved_rows;

use config::TokenIds;

/// What PEFT puts before the names of the base model's modules.
const PREFIX: &str = "base_model.model.";

/// How names of token rows end.
const TOKEN_ROWS: &str = "trainable_tokens_delta";

/// Puts a fresh adapter beside every projection that is a target: A uniform within `1/sqrt(in)`, which is what PEFT's Kaiming draw
/// with a = √5 comes to, B zero, so that nothing changes yet.
///
/// # Errors
/// [`Error::Setting`] for a target that no projection of the model has.
pub fn attach<B: AutodiffBackend + Kernels>(
    decoder: &mut Decoder<B>,
    config: &AdapterConfig,
    seed: u64,
) -> Result<()> {
    let modules: Vec<String> = decoder
        .projections_mut()
        .map(|(module, _)| module)
        .collect();
    if let Some(unmet) = config.targets.unmet(&modules) {
        return Err(Error::Setting {
            key: "targets",
            problem: format!("no projection of the model is called `{unmet}`"),
            hint: format!("the projections of a block are {}", names(&modules)),
        });
    }
    for (module, projection) in decoder.projections_mut() {
        if !config.targets.hold(&module) {
            continue;
        }
        let [rows, columns] = projection.weight.dims();
        let device = projection.weight.device();
        let bound = 1.0 / (columns as f64).sqrt();
        let a = random(
            [config.rank, columns],
            Distribution::Uniform(-bound, bound),
            seed,
            &format!("{module}.lora_A"),
            &device,
        );
        let b = Tensor::zeros([rows, config.rank], (&device, DType::F32));
        let magnitude = config
            .use_dora
            .then(|| projection.row_lengths().detach().require_grad());
        projection.adapter = Some(Adapter {
            a: a.require_grad(),
            b: b.require_grad(),
            scale: config.scale(),
            magnitude,
        });
    }
    Ok(())
}

/// The last parts of modules' names, each once.
fn names(modules: &[String]) -> String {
    let last = modules
        .iter()
        .filter_map(|module| module.rsplit('.').next());
    let mut names: Vec<_> = last.map(|name| format!("`{name}`")).collect();
    names.sort();
    names.dedup();
    names.join(", ")
}

/// Reads adapters and token rows from a PEFT folder in place of fresh ones. Token rows that it lacks stay as they are.
///
/// # Errors
/// When the folder is no LoRA adapter of this model.
pub fn load<B: AutodiffBackend + Kernels>(
    decoder: &mut Decoder<B>,
    folder: &BaseModel,
) -> Result<AdapterConfig> {
    let config = AdapterConfig::read(folder)?;
    let weights = Weights::of_adapter(folder)?;
    check_rank(&config, &weights)?;
    let token_ids = TokenIds::read(folder)?;
    let new = decoder.embedding.new.as_ref();
    let new_ids = new.map(|new| new.ids.clone()).unwrap_or_default();
    for (_, projection) in decoder.projections_mut() {
        projection.adapter = None;
    }
    attach(decoder, &config, 0).map_err(|error| match error {
        Error::Setting { problem, .. } => Error::AdapterConfig {
            path: folder.path(ADAPTER_CONFIG),
            problem: format!("it is the adapter of another model: {problem}"),
        },
        other => other,
    })?;
    let mut used = Vec::new();
    let mut trained = decoder.trained_mut();
    // Matrices first: of an adapter of another model their shapes say more than ids of tokens.
    trained.sort_by_key(|(name, _)| name.ends_with(TOKEN_ROWS));
    for (name, tensor) in trained {
        let name = format!("{PREFIX}{name}");
        let is_rows = name.ends_with(TOKEN_ROWS);
        if is_rows && !weights.has(&name) {
            continue;
        }
        let shape = tensor.dims();
        let values = match is_rows {
            true => token_rows(&weights, &name, &token_ids, &new_ids, tensor)?,
            false => weights.values(&name, stored_shape(&name, &shape))?,
        };
        let read = Tensor::from_data(
            TensorData::new(values, shape),
            (&tensor.device(), DType::F32),
        );
        *tensor = read.require_grad();
        used.push(name);
    }
    used.extend(saved_tables::check(decoder, &weights)?);
    let unused = weights
        .names()
        .into_iter()
        .find(|name| !used.iter().any(|known| known == name));
    match unused {
        None => Ok(config),
        Some(name) if name.ends_with(TOKEN_ROWS) => Err(weights.tensor_error(
            name,
            "holds rows of new tokens, and none was asked for: name them with `--special-token`"
                .to_owned(),
        )),
        Some(name) => Err(weights.tensor_error(name, "has no place beside this model".to_owned())),
    }
}

/// Refuses a rank that the tensors do not have, before memory is taken for it.
fn check_rank(config: &AdapterConfig, weights: &Weights) -> Result<()> {
    let names = weights.names().into_iter();
    let mut ranks = names.filter(|name| name.ends_with("lora_A.weight"));
    let rank_of = |name: &str| weights.stored(name).and_then(|a| a.shape.first().copied());
    let problem = match ranks.next().map(|name| (name, rank_of(name))) {
        Some((_, Some(rank))) if rank == config.rank => return Ok(()),
        Some((name, rank)) => {
            let rank = rank.unwrap_or_default();
            let problem = format!(
                "has {rank} rows, `r` in `{ADAPTER_CONFIG}` is {}",
                config.rank
            );
            return Err(weights.tensor_error(name, problem));
        }
        None => "is missing: no tensor of a LoRA adapter is there".to_owned(),
    };
    Err(weights.tensor_error("lora_A.weight", problem))
}

/// Rows of new tokens with those that the file has put over them, each in the place of its id.
fn token_rows<B: AutodiffBackend>(
    weights: &Weights,
    name: &str,
    ids: &TokenIds,
    new_ids: &[u32],
    rows: &Tensor<B, 2>,
) -> Result<Vec<f32>> {
    let module = name.trim_start_matches(PREFIX);
    let module = module.split(".token_adapter").next().unwrap_or(module);
    let d = rows.dims()[1];
    let ids = ids.of(module);
    let stored = weights.values(name, &[ids.len(), d])?;
    let mut values = host(rows.clone().inner());
    for (&id, row) in ids.iter().zip(stored.chunks(d)) {
        let Ok(place) = new_ids.binary_search(&id) else {
            let problem = format!(
                "has a row for token {id}, which is none of the new tokens: name it with `--special-token`"
            );
            return Err(weights.tensor_error(name, problem));
        };
        values[place * d..][..d].copy_from_slice(row);
    }
    Ok(values)
}

/// PEFT stores what is a row to us as a vector.
fn stored_shape<'a>(name: &str, shape: &'a [usize; 2]) -> &'a [usize] {
    match name.ends_with("lora_magnitude_vector") {
        true => &shape[1..],
        false => shape,
    }
}

/// A tensor of an adapter: PEFT's name, the shape it is stored in, and its values.
pub type StoredTensor<B> = (String, Vec<usize>, Tensor<B, 2>);

/// The tensors of an adapter.
pub fn tensors<B: AutodiffBackend>(decoder: &mut Decoder<B>) -> Vec<StoredTensor<B::InnerBackend>> {
    let trained = decoder.trained_mut().into_iter();
    let stored = trained.map(|(name, tensor)| {
        let name = format!("{PREFIX}{name}");
        let shape = stored_shape(&name, &tensor.dims()).to_vec();
        (name, shape, tensor.clone().inner())
    });
    stored.collect()
}
