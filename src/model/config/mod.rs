//! `config.json`: what a decoder looks like, and the refusal of everything that would change its numbers unseen.
//!
//! All families are one decoder; where they differ is a field of [`DecoderConfig`], and which family has what is said in
//! `families.rs`.

mod families;
mod fields;
mod rope;

use serde_json::{Map, Value};

use crate::base_model::BaseModel;
use crate::error::{Error, Result};

pub use families::Family;
pub use rope::{RopeConfig, RopeScaling};

/// The file.
pub const CONFIG_FILE: &str = "config.json";

/// The shape of a decoder, and what its family computes.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderConfig {
    /// The family it belongs to.
    pub family: Family,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the feed-forward network.
    pub intermediate_size: usize,
    /// Its blocks.
    pub layers: Vec<LayerConfig>,
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads; each serves `n_heads / n_kv_heads` query heads.
    pub n_kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// How states are normalised.
    pub norm: Norm,
    /// Whether the outputs of attention and feed-forward network are normalised too, before they are added (Gemma 2 and 3).
    pub norms_outputs: bool,
    /// Whether queries and keys are normalised, head by head (Qwen 3, Gemma 3).
    pub norms_heads: bool,
    /// The activation of the feed-forward network's gate.
    pub activation: Activation,
    /// What token rows are multiplied by when they are read: `sqrt(hidden_size)` for Gemma.
    pub embedding_scale: f64,
    /// What products of queries and keys are multiplied by.
    pub query_scale: f64,
    /// `cap · tanh(score / cap)` of the scores of the attention (Gemma 2).
    pub attention_softcap: Option<f64>,
    /// The same of the scores of tokens.
    pub final_softcap: Option<f64>,
    /// Rotary position embeddings, of which each block has one.
    pub ropes: Vec<RopeConfig>,
    /// Tokens the model was made for.
    pub max_positions: usize,
    /// Whether the output head is the embedding.
    pub is_tied: bool,
    /// Whether the projections of queries, keys and values have a bias.
    pub qkv_bias: bool,
    /// Whether the projection of the attention's output has one.
    pub output_bias: bool,
    /// Whether the projections of the feed-forward network have one.
    pub mlp_bias: bool,
    /// Standard deviation of fresh weights.
    pub initializer_range: f64,
    /// The type its weights are saved in.
    pub dtype: SavedType,
}

/// What is particular to a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerConfig {
    /// Tokens a query sees, itself included; all before it where there is no window.
    pub window: Option<usize>,
    /// Which of the rotary embeddings it has.
    pub rope: usize,
}

/// RMSNorm (Zhang and Sennrich 2019): `x / sqrt(mean(x²) + eps) · weight`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm {
    /// Added to the mean square.
    pub eps: f64,
    /// Whether weights are stored less 1, as Gemma's are; these are also multiplied in 32 bits, before rounding.
    pub is_offset: bool,
}

/// The activation of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x · sigmoid(x)`
    Silu,
    /// GELU in its approximation with tanh (Hendrycks and Gimpel 2016).
    Gelu,
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
        families::read(fields)
    }

    /// Blocks.
    pub fn n_layers(&self) -> usize {
        self.layers.len()
    }

    /// Weights of the decoder.
    pub fn n_parameters(&self) -> usize {
        let d = self.hidden_size;
        let (queries, keys) = (
            self.n_heads * self.head_dim,
            self.n_kv_heads * self.head_dim,
        );
        let attention = 2 * d * (queries + keys);
        let mlp = 3 * d * self.intermediate_size;
        let biases = usize::from(self.qkv_bias) * (queries + 2 * keys)
            + usize::from(self.output_bias) * d
            + usize::from(self.mlp_bias) * (2 * self.intermediate_size + d);
        let norms = d * if self.norms_outputs { 4 } else { 2 }
            + usize::from(self.norms_heads) * 2 * self.head_dim;
        let embeddings = self.vocab_size * d * if self.is_tied { 1 } else { 2 };
        self.n_layers() * (attention + mlp + biases + norms) + embeddings + d
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(changes: &Value) -> std::result::Result<DecoderConfig, String> {
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
        assert_eq!((config.head_dim, config.ropes[0].theta), (8, 5e5));
        assert_eq!(config.dtype, SavedType::Bf16);
    }

    #[test]
    fn what_would_change_numbers_is_refused_by_name() {
        for (changes, named) in [
            (serde_json::json!({"model_type": "mamba"}), "`mamba`"),
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
    fn families_are_told_apart_by_old_and_new_configurations() {
        // As published: names and defaults of transformers 4.
        let old = read(&serde_json::json!({
            "model_type": "gemma3_text", "hidden_act": null, "hidden_activation": "gelu_pytorch_tanh", "num_hidden_layers": 7,
            "head_dim": 16, "sliding_window": 512, "sliding_window_pattern": 6, "rope_theta": 1e6, "rope_local_base_freq": 1e4,
            "rope_scaling": {"rope_type": "linear", "factor": 8.0}, "query_pre_attn_scalar": 64, "tie_word_embeddings": null,
            "attn_logit_softcapping": null, "final_logit_softcapping": null, "use_bidirectional_attention": false,
        }));
        let new = read(&serde_json::json!({
            "model_type": "gemma3_text", "hidden_act": null, "hidden_activation": "gelu_pytorch_tanh", "num_hidden_layers": 7,
            "head_dim": 16, "sliding_window": 512, "_sliding_window_pattern": 6, "query_pre_attn_scalar": 64,
            "layer_types": ["sliding_attention", "sliding_attention", "sliding_attention", "sliding_attention",
                "sliding_attention", "full_attention", "sliding_attention"],
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            },
        }));
        assert_eq!(old, new);
        let config = old.expect("a configuration");
        let windows: Vec<_> = config.layers.iter().map(|layer| layer.window).collect();
        let window = Some(512);
        assert_eq!(
            windows,
            [window, window, window, window, window, None, window]
        );
        assert_eq!((config.query_scale, config.is_tied), (0.125, true));
        assert_eq!((config.layers[5].rope, config.layers[6].rope), (0, 1));

        let gemma = serde_json::json!({"model_type": "gemma", "hidden_act": "gelu", "hidden_activation": null});
        let gemma = read(&gemma).expect("a configuration");
        assert_eq!((gemma.activation, gemma.head_dim), (Activation::Gelu, 256));
        assert_eq!(gemma.embedding_scale, 48_f64.sqrt());
        let gemma2 = serde_json::json!({"model_type": "gemma2", "hidden_act": null});
        let gemma2 = read(&gemma2).expect("a configuration");
        assert_eq!(
            (gemma2.attention_softcap, gemma2.final_softcap),
            (Some(50.0), Some(30.0))
        );
        assert_eq!(
            (gemma2.layers[0].window, gemma2.layers[1].window),
            (Some(4096), None)
        );

        // Off unless it is switched on, and then from a layer on.
        let qwen = |on: bool| {
            let qwen = serde_json::json!({
                "model_type": "qwen2", "use_sliding_window": on, "sliding_window": 128, "max_window_layers": 1,
            });
            read(&qwen).expect("a configuration")
        };
        assert!(
            qwen(false)
                .layers
                .iter()
                .all(|layer| layer.window.is_none())
        );
        assert_eq!(
            (qwen(true).layers[0].window, qwen(true).layers[1].window),
            (None, Some(128))
        );
        assert!(qwen(true).qkv_bias && !qwen(true).output_bias);
        let named = read(&serde_json::json!({"model_type": "gemma3"})).expect_err("refused");
        assert!(
            named.contains("`gemma3`") && named.contains("`gemma3_text`"),
            "{named}"
        );
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
