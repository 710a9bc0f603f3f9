//! `config.json`: what a decoder looks like, and the refusal of everything that would change its numbers unseen.

use serde_json::{Map, Value};

use crate::base_model::BaseModel;
use crate::error::{Error, Result};

/// The file.
pub const CONFIG_FILE: &str = "config.json";

/// Fields that change no number of a forward pass, or only where another field, checked below, says so.
const HARMLESS: &[&str] = &[
    "_attn_implementation_autoset",
    "_name_or_path",
    "architectures",
    "bos_token_id",
    "do_sample",
    "dtype",
    "eos_token_id",
    "initializer_range",
    "is_llama_config",
    "max_length",
    "max_position_embeddings",
    "max_sequence_length",
    "model_type",
    "pad_token_id",
    "pretraining_tp",
    "temperature",
    "top_k",
    "top_p",
    "torch_dtype",
    "transformers.js_config",
    "transformers_version",
    "unsloth_version",
    "use_cache",
];

/// The shape of a Llama decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderConfig {
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the feed-forward network.
    pub intermediate_size: usize,
    /// Blocks.
    pub n_layers: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads; each serves `n_heads / n_kv_heads` query heads.
    pub n_kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Added to the mean square inside RMSNorm.
    pub norm_eps: f64,
    /// Rotary position embedding.
    pub rope: RopeConfig,
    /// Tokens the model was made for.
    pub max_positions: usize,
    /// Whether the output head is the embedding.
    pub is_tied: bool,
    /// Whether the projections of the attention have a bias.
    pub attention_bias: bool,
    /// Whether the projections of the feed-forward network have a bias.
    pub mlp_bias: bool,
    /// Standard deviation of fresh weights.
    pub initializer_range: f64,
    /// The type its weights are saved in.
    pub dtype: SavedType,
}

/// The type weights are saved in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SavedType {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits with the exponent of 32.
    Bf16,
    /// 16 bits.
    F16,
}

/// Rotary position embedding: the base of the frequencies, and how they are stretched for longer texts.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeConfig {
    /// Base of the geometric series of wavelengths.
    pub theta: f64,
    /// How frequencies are changed.
    pub scaling: RopeScaling,
}

/// Changes to the frequencies of a rotary embedding.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// None.
    Default,
    /// Every frequency divided by the factor.
    Linear {
        /// The factor.
        factor: f64,
    },
    /// Llama 3.1: long wavelengths divided by the factor, short ones kept, those between interpolated.
    Llama3 {
        /// The factor.
        factor: f64,
        /// Wavelengths above `original_max_positions / low_freq_factor` are long.
        low_freq_factor: f64,
        /// Wavelengths below `original_max_positions / high_freq_factor` are short.
        high_freq_factor: f64,
        /// Tokens the model was first made for.
        original_max_positions: f64,
    },
}

impl DecoderConfig {
    /// Reads and checks `config.json`.
    ///
    /// # Errors
    /// [`Error::ModelFile`] where it is missing, [`Error::ModelConfig`] for a model type or field this crate does not compute.
    pub fn read(model: &BaseModel) -> Result<DecoderConfig> {
        model.required(CONFIG_FILE)?;
        let fields: Map<String, Value> = model.json(CONFIG_FILE)?.unwrap_or_default();
        DecoderConfig::from_fields(fields).map_err(|problem| Error::ModelConfig {
            path: model.path(CONFIG_FILE),
            problem,
        })
    }

    /// Checks the fields of a `config.json`.
    ///
    /// # Errors
    /// A sentence naming the field.
    pub fn from_fields(fields: Map<String, Value>) -> std::result::Result<DecoderConfig, String> {
        let mut fields = Fields(fields);
        match fields.text("model_type")?.as_deref() {
            Some("llama") => {}
            Some(other) => {
                return Err(format!("model_type `{other}` is not supported; `llama` is"));
            }
            None => return Err("`model_type` is missing".to_owned()),
        }
        fields.only("hidden_act", "silu")?;
        if fields.number("attention_dropout")?.unwrap_or(0.0) != 0.0 {
            return Err("`attention_dropout` above 0 is not supported".to_owned());
        }
        let hidden_size = fields.size("hidden_size")?;
        let n_heads = fields.size("num_attention_heads")?;
        let n_kv_heads = fields.size_or("num_key_value_heads", n_heads)?;
        let head_dim = match fields.size_or("head_dim", 0)? {
            0 => hidden_size / n_heads,
            given => given,
        };
        if n_heads % n_kv_heads != 0 {
            return Err(format!(
                "`num_attention_heads` {n_heads} is no multiple of `num_key_value_heads` {n_kv_heads}"
            ));
        }
        if head_dim % 2 != 0 {
            return Err(format!(
                "`head_dim` {head_dim} is odd, so it cannot be rotated"
            ));
        }
        let config = DecoderConfig {
            vocab_size: fields.size("vocab_size")?,
            hidden_size,
            intermediate_size: fields.size("intermediate_size")?,
            n_layers: fields.size("num_hidden_layers")?,
            n_heads,
            n_kv_heads,
            head_dim,
            norm_eps: fields.number("rms_norm_eps")?.unwrap_or(1e-6),
            rope: fields.rope()?,
            max_positions: fields.size_or("max_position_embeddings", 2_048)?,
            is_tied: fields.flag("tie_word_embeddings")?,
            attention_bias: fields.flag("attention_bias")?,
            mlp_bias: fields.flag("mlp_bias")?,
            initializer_range: fields.number("initializer_range")?.unwrap_or(0.02),
            dtype: fields.saved_type()?,
        };
        fields.refuse_others()?;
        Ok(config)
    }

    /// Weights of the decoder.
    pub fn n_parameters(&self) -> usize {
        let attention = self.hidden_size * self.head_dim * 2 * (self.n_heads + self.n_kv_heads);
        let mlp = 3 * self.hidden_size * self.intermediate_size;
        let attention_bias =
            self.head_dim * (self.n_heads + 2 * self.n_kv_heads) + self.hidden_size;
        let mlp_bias = 2 * self.intermediate_size + self.hidden_size;
        let biases = usize::from(self.attention_bias) * attention_bias
            + usize::from(self.mlp_bias) * mlp_bias;
        let embeddings = self.vocab_size * self.hidden_size * if self.is_tied { 1 } else { 2 };
        let block = attention + mlp + biases + 2 * self.hidden_size;
        self.n_layers * block + embeddings + self.hidden_size
    }
}

/// Fields not yet read; what is left at the end is unknown.
struct Fields(Map<String, Value>);

type Read<T> = std::result::Result<T, String>;

impl Fields {
    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    fn text(&mut self, name: &str) -> Read<Option<String>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(format!("`{name}` is {other}, a text is expected")),
        }
    }

    fn number(&mut self, name: &str) -> Read<Option<f64>> {
        self.take(name)
            .map(|value| {
                value
                    .as_f64()
                    .ok_or_else(|| format!("`{name}` is {value}, a number is expected"))
            })
            .transpose()
    }

    fn flag(&mut self, name: &str) -> Read<bool> {
        self.take(name).map_or(Ok(false), |value| {
            value
                .as_bool()
                .ok_or_else(|| format!("`{name}` is {value}, true or false is expected"))
        })
    }

    fn size_or(&mut self, name: &str, default: usize) -> Read<usize> {
        self.take(name).map_or(Ok(default), |value| {
            let size = value.as_u64().filter(|&size| size > 0);
            size.and_then(|size| usize::try_from(size).ok())
                .ok_or_else(|| format!("`{name}` is {value}, a number above 0 is expected"))
        })
    }

    fn size(&mut self, name: &str) -> Read<usize> {
        match self.size_or(name, 0)? {
            0 => Err(format!("`{name}` is missing")),
            size => Ok(size),
        }
    }

    fn only(&mut self, name: &str, supported: &str) -> Read<()> {
        match self.text(name)? {
            Some(other) if other != supported => Err(format!(
                "`{name}` = `{other}` is not supported; `{supported}` is"
            )),
            _ => Ok(()),
        }
    }

    fn saved_type(&mut self) -> Read<SavedType> {
        let old = self.text("torch_dtype")?;
        match self.text("dtype")?.or(old).as_deref() {
            None | Some("float32") => Ok(SavedType::F32),
            Some("bfloat16") => Ok(SavedType::Bf16),
            Some("float16") => Ok(SavedType::F16),
            Some(other) => Err(format!("`dtype` = `{other}` is not supported")),
        }
    }

    /// `rope_theta` and `rope_scaling`, which transformers 5 writes as one `rope_parameters`.
    fn rope(&mut self) -> Read<RopeConfig> {
        let theta = self.number("rope_theta")?;
        let scaling = self.take("rope_scaling");
        let parameters = self.take("rope_parameters");
        if let (Some(scaling), Some(parameters)) = (&scaling, &parameters) {
            let says_else = |(key, value): (&String, &Value)| parameters.get(key) != Some(value);
            if scaling
                .as_object()
                .is_none_or(|map| map.iter().any(says_else))
            {
                return Err(format!(
                    "`rope_scaling` {scaling} and `rope_parameters` {parameters} say different things"
                ));
            }
        }
        let parameters = parameters.or(scaling);
        let mut inside = match parameters {
            None => Fields(Map::new()),
            Some(Value::Object(map)) => Fields(map),
            Some(other) => {
                return Err(format!(
                    "`rope_parameters` is {other}, an object is expected"
                ));
            }
        };
        let theta_inside = inside.number("rope_theta")?;
        if let (Some(outside), Some(inside)) = (theta, theta_inside)
            && outside != inside
        {
            return Err(format!(
                "`rope_theta` is {outside}, `rope_parameters.rope_theta` {inside}"
            ));
        }
        let theta = theta_inside.or(theta).unwrap_or(10_000.0);
        let old_name = inside.text("type")?;
        let name = inside.text("rope_type")?.or(old_name);
        let mut needed = |field: &str| {
            inside
                .number(field)?
                .ok_or_else(|| format!("`rope_parameters.{field}` is missing"))
        };
        let scaling = match name.as_deref() {
            None | Some("default") => RopeScaling::Default,
            Some("linear") => RopeScaling::Linear {
                factor: needed("factor")?,
            },
            Some("llama3") => RopeScaling::Llama3 {
                factor: needed("factor")?,
                low_freq_factor: needed("low_freq_factor")?,
                high_freq_factor: needed("high_freq_factor")?,
                original_max_positions: needed("original_max_position_embeddings")?,
            },
            Some(other) => {
                return Err(format!(
                    "rope_type `{other}` is not supported; `default`, `linear` and `llama3` are"
                ));
            }
        };
        match inside.0.keys().next() {
            Some(field) => Err(format!("`rope_parameters.{field}` is not supported")),
            None => Ok(RopeConfig { theta, scaling }),
        }
    }

    /// A field nobody knows may change numbers, unless it is off.
    fn refuse_others(self) -> Read<()> {
        let is_off = |value: &Value| matches!(value, Value::Null | Value::Bool(false));
        let mut others = self.0.iter();
        match others.find(|(name, value)| !is_off(value) && !HARMLESS.contains(&name.as_str())) {
            Some((name, value)) => Err(format!(
                "field `{name}` = {value} is not supported: it may change the model's numbers"
            )),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(changes: &Value) -> Read<DecoderConfig> {
        let mut fields = serde_json::json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": 48,
            "intermediate_size": 80, "num_hidden_layers": 2, "num_attention_heads": 6, "num_key_value_heads": 2,
            "vocab_size": 101, "rms_norm_eps": 1e-5, "tie_word_embeddings": true, "torch_dtype": "bfloat16",
        });
        let fields = fields.as_object_mut().expect("an object");
        fields.extend(changes.as_object().expect("an object").clone());
        DecoderConfig::from_fields(fields.clone())
    }

    #[test]
    fn old_and_new_configurations_say_the_same() {
        let scaling = serde_json::json!({
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        });
        let mut parameters = scaling.clone();
        parameters["rope_theta"] = 5e5.into();
        let old = read(&serde_json::json!({"rope_theta": 5e5, "rope_scaling": scaling}));
        let new = read(
            &serde_json::json!({"rope_parameters": parameters, "torch_dtype": null, "dtype": "bfloat16"}),
        );
        assert_eq!(old, new);
        let config = old.expect("a configuration");
        assert_eq!((config.head_dim, config.rope.theta), (8, 5e5));
        assert_eq!(config.dtype, SavedType::Bf16);
    }

    #[test]
    fn what_would_change_numbers_is_refused_by_name() {
        for (changes, named) in [
            (serde_json::json!({"model_type": "qwen2"}), "`qwen2`"),
            (serde_json::json!({"hidden_act": "gelu"}), "`hidden_act`"),
            (
                serde_json::json!({"sliding_window": 4096}),
                "`sliding_window`",
            ),
            (
                serde_json::json!({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}),
                "`yarn`",
            ),
            (
                serde_json::json!({"num_key_value_heads": 4}),
                "`num_key_value_heads`",
            ),
            (
                serde_json::json!({"attention_dropout": 0.1}),
                "`attention_dropout`",
            ),
            (serde_json::json!({"hidden_size": null}), "`hidden_size`"),
            (
                serde_json::json!({"rope_scaling": {"rope_type": "linear", "factor": 2.0}, "rope_parameters": {"rope_type": "default"}}),
                "different things",
            ),
            (
                serde_json::json!({"rope_theta": 1e4, "rope_parameters": {"rope_theta": 5e5}}),
                "`rope_parameters.rope_theta` 500000",
            ),
            (
                serde_json::json!({"quantization_config": {"bits": 4}}),
                "`quantization_config`",
            ),
        ] {
            let problem = read(&changes).expect_err("refused");
            assert!(problem.contains(named), "{changes}: {problem}");
        }
        read(&serde_json::json!({"sliding_window": null, "use_sliding_window": false}))
            .expect("off is harmless");
        read(&serde_json::json!({"is_llama_config": true, "transformers.js_config": {"dtype": "q4"}, "temperature": 0.6}))
            .expect("what is no part of the forward pass is harmless");
    }

    #[test]
    fn every_weight_is_counted() {
        let without = read(&serde_json::json!({}))
            .expect("a configuration")
            .n_parameters();
        assert_eq!(
            without,
            101 * 48 + 48 + 2 * (48 * 8 * 16 + 3 * 48 * 80 + 2 * 48)
        );
        let biases = serde_json::json!({"attention_bias": true, "mlp_bias": true});
        let with = read(&biases).expect("a configuration").n_parameters();
        assert_eq!(with - without, 2 * (48 + 16 + 16 + 48 + 80 + 80 + 48));
    }
}
