//! `adapter_config.json`: what PEFT writes about an adapter.

use burn::tensor::backend::Backend;
use serde_json::{Value, json};

use crate::base_model::BaseModel;
use crate::config::{FitConfig, Targets};
use crate::error::{Error, Result};
use crate::model::{Decoder, PROJECTIONS};

/// The file that describes an adapter.
pub const ADAPTER_CONFIG: &str = "adapter_config.json";

/// Fields of PEFT that change an adapter's numbers where they say anything.
const UNSUPPORTED: [&str; 13] = [
    "alora_invocation_tokens",
    "alpha_pattern",
    "arrow_config",
    "bias",
    "exclude_modules",
    "fan_in_fan_out",
    "layer_replication",
    "layers_to_transform",
    "lora_bias",
    "modules_to_save",
    "rank_pattern",
    "target_parameters",
    "use_qalora",
];

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
    /// [`Error::ModelFile`] where there is none, [`Error::ModelConfig`] for one that asks for what is not computed here.
    pub fn read(folder: &BaseModel) -> Result<AdapterConfig> {
        let config: Value = folder
            .json(ADAPTER_CONFIG)?
            .ok_or_else(|| Error::ModelFile {
                path: folder.path(""),
                file: ADAPTER_CONFIG,
            })?;
        AdapterConfig::parse(&config).map_err(|problem| Error::ModelConfig {
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
        let (rank, alpha) = (number("r")?, number("lora_alpha")?);
        if let Some(field) = UNSUPPORTED.iter().find(|field| is_set(&config[**field])) {
            return Err(format!("`{field}` = {} is not supported", config[*field]));
        }
        let targets = match &config["target_modules"] {
            Value::String(pattern) if pattern == "all-linear" => Targets::All,
            Value::String(pattern) => format!("re:{pattern}").parse()?,
            names => serde_json::from_value(names.clone())
                .map_err(|_| format!("`target_modules` is {names}, a list of names is expected"))?,
        };
        Ok(AdapterConfig {
            rank: rank as usize,
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
