//! `adapter_config.json`: what PEFT writes about an adapter.

use std::collections::BTreeMap;

use burn::tensor::backend::Backend;
use serde_json::{Value, json};

use crate::base_model::BaseModel;
use crate::config::{FitConfig, Targets};
use crate::error::{Error, Result};
use crate::model::{Decoder, PROJECTIONS};

/// The file that describes an adapter.
pub const ADAPTER_CONFIG: &str = "adapter_config.json";

/// Fields that are read.
const READ: [&str; 9] = [
    "init_lora_weights",
    "lora_alpha",
    "lora_dropout",
    "peft_type",
    "r",
    "target_modules",
    "trainable_token_indices",
    "use_dora",
    "use_rslora",
];

/// Fields that change no number of a trained adapter, or only where another field says so that is read or refused.
const HARMLESS: [&str; 16] = [
    "auto_mapping",
    "base_model_name_or_path",
    "corda_config",
    "ensure_weight_tying",
    "eva_config",
    "inference_mode",
    "layers_pattern",
    "loftq_config",
    "lora_ga_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "task_type",
    "velora_config",
];

/// Ways to begin an adapter that leave its base as it is. The others of PEFT take something out of it, so that the adapter
/// belongs to a base that is saved nowhere.
const INITS: [&str; 3] = ["eva", "gaussian", "orthogonal"];

/// What an adapter is.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterConfig {
    /// Its inner size.
    pub rank: usize,
    /// Its outputs are scaled by alpha / rank.
    pub alpha: f64,
    /// Dropout before it.
    pub dropout: f64,
    /// Whether outputs are scaled by alpha / sqrt(rank) instead (Kalajdzievski 2023).
    pub use_rslora: bool,
    /// Whether lengths of rows are trained apart (Liu et al. 2024).
    pub use_dora: bool,
    /// Which projections have one.
    pub targets: Targets,
}

impl AdapterConfig {
    /// What a fit asks for.
    pub fn of_fit(config: &FitConfig) -> AdapterConfig {
        AdapterConfig {
            rank: config.rank,
            alpha: config.alpha,
            dropout: config.dropout,
            use_rslora: config.rslora,
            use_dora: config.dora,
            targets: config.targets.clone(),
        }
    }

    /// What the output of an adapter is multiplied by.
    pub fn scale(&self) -> f64 {
        let rank = self.rank as f64;
        self.alpha / if self.use_rslora { rank.sqrt() } else { rank }
    }

    /// Reads the configuration of an adapter, PEFT's or ours.
    ///
    /// # Errors
    /// [`Error::ModelFile`] where there is none, [`Error::AdapterConfig`] for one that asks for what is not computed here.
    pub fn read(folder: &BaseModel) -> Result<AdapterConfig> {
        AdapterConfig::parse(&read_json(folder)?).map_err(|problem| Error::AdapterConfig {
            path: folder.path(ADAPTER_CONFIG),
            problem,
        })
    }

    fn parse(config: &Value) -> std::result::Result<AdapterConfig, String> {
        if config["peft_type"] != "LORA" {
            let kind = &config["peft_type"];
            return Err(format!("`peft_type` is {kind}, \"LORA\" is expected"));
        }
        let number = |field: &str| {
            let number = config[field].as_f64().filter(|&number| number > 0.0);
            number.ok_or_else(|| {
                format!(
                    "`{field}` is {}, a number above 0 is expected",
                    config[field]
                )
            })
        };
        let alpha = number("lora_alpha")?;
        let rank = config["r"].as_u64().filter(|&rank| rank > 0);
        let rank = rank.and_then(|rank| usize::try_from(rank).ok());
        let rank = rank.ok_or_else(|| {
            let found = &config["r"];
            format!("`r` is {found}, a whole number above 0 is expected")
        })?;
        // A field nobody knows may change numbers.
        let fields = config.as_object().into_iter().flatten();
        let is_known = |name: &str| READ.contains(&name) || HARMLESS.contains(&name);
        let mut unknown = fields.filter(|(name, value)| is_set(value) && !is_known(name));
        if let Some((name, value)) = unknown.next() {
            return Err(format!("`{name}` = {value} is not supported"));
        }
        if let Value::String(init) = &config["init_lora_weights"]
            && !INITS.contains(&init.as_str())
        {
            let problem = "it changes the base, and has to be converted to a plain adapter";
            return Err(format!("`init_lora_weights` = \"{init}\": {problem}"));
        }
        let targets = match &config["target_modules"] {
            Value::String(pattern) if pattern == "all-linear" => Targets::All,
            Value::String(pattern) => format!("re:{pattern}").parse()?,
            names => serde_json::from_value(names.clone())
                .map_err(|_| format!("`target_modules` is {names}, a list of names is expected"))?,
        };
        Ok(AdapterConfig {
            rank,
            alpha,
            dropout: config["lora_dropout"].as_f64().unwrap_or(0.0),
            use_rslora: config["use_rslora"] == true,
            use_dora: config["use_dora"] == true,
            targets,
        })
    }

    /// The `adapter_config.json` PEFT reads, of an adapter beside the model at `base`.
    pub fn to_peft<B: Backend>(&self, decoder: &Decoder<B>, base: &str) -> Value {
        let all = PROJECTIONS.map(|name| name.rsplit_once('.').map_or(name, |(_, module)| module));
        let targets = match &self.targets {
            Targets::All => json!(all),
            Targets::Names(names) => json!(names),
            Targets::Pattern(pattern) => json!(pattern),
        };
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
            "r": self.rank,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            "bias": "none",
            "fan_in_fan_out": false,
            "init_lora_weights": true,
            "target_modules": targets,
            "modules_to_save": null,
            "use_rslora": self.use_rslora,
            "use_dora": self.use_dora,
            "trainable_token_indices": new_tokens,
        })
    }
}

/// Which tokens an adapter has rows for.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenIds(BTreeMap<String, Vec<u32>>);

impl TokenIds {
    /// Reads them from the configuration of an adapter.
    pub(super) fn read(folder: &BaseModel) -> Result<TokenIds> {
        let ids = read_json(folder)?["trainable_token_indices"].take();
        let parsed = match &ids {
            Value::Null => Ok(BTreeMap::new()),
            // A bare list is of the embedding.
            Value::Array(_) => serde_json::from_value(ids.clone())
                .map(|ids| BTreeMap::from([("embed_tokens".to_owned(), ids)])),
            _ => serde_json::from_value(ids.clone()),
        };
        parsed.map(TokenIds).map_err(|_| Error::AdapterConfig {
            path: folder.path(ADAPTER_CONFIG),
            problem: format!(
                "`trainable_token_indices` is {ids}, token ids by module are expected"
            ),
        })
    }

    /// Those of a module, such as `model.embed_tokens`, in the order of its rows.
    pub(super) fn of(&self, module: &str) -> &[u32] {
        let name = module.rsplit('.').next().unwrap_or(module);
        let ids = self.0.get(name).or_else(|| self.0.get(module));
        ids.map_or(&[], Vec::as_slice)
    }
}

fn read_json(folder: &BaseModel) -> Result<Value> {
    let config = folder.json(ADAPTER_CONFIG)?;
    config.ok_or_else(|| Error::ModelFile {
        path: folder.path(""),
        file: ADAPTER_CONFIG,
    })
}

/// Whether a field says anything: PEFT writes all of them, most as nothing.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => text != "none",
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}
