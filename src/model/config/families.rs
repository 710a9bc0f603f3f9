//! What each family of decoders computes, and how its configuration says so.

use std::fmt;

use serde_json::{Map, Value};

use super::fields::{Fields, Read};
use super::{Activation, DecoderConfig, LayerConfig, Norm};

/// How configurations name blocks that see everything before a token.
pub(super) const FULL: &str = "full_attention";
/// And those that see a window.
pub(super) const SLIDING: &str = "sliding_attention";

/// The most rows of a vocabulary: 128 times those of Gemma 3.
const MAX_VOCABULARY: usize = 1 << 25;
/// The widest state: 19 times what the largest Llama has inside its feed-forward network.
const MAX_WIDTH: usize = 1 << 20;
/// The most blocks: 32 times those of the largest Llama.
const MAX_LAYERS: usize = 1 << 12;

/// A family of decoders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Llama 2 and 3.
    Llama,
    /// Mistral: every block may have a window.
    Mistral,
    /// Gemma: scaled embeddings, offset norms, GELU.
    Gemma,
    /// Gemma 2: also normalises what it adds, caps scores, every second block has a window.
    Gemma2,
    /// The text part of Gemma 3: also normalises heads, five of six blocks have a window and a rotary embedding of their own.
    Gemma3,
    /// Qwen 2 and 2.5: queries, keys and values have a bias.
    Qwen2,
    /// Qwen 3: normalises heads.
    Qwen3,
}

/// The families by the `model_type` of their configurations.
const FAMILIES: [(&str, Family); 7] = [
    ("llama", Family::Llama),
    ("mistral", Family::Mistral),
    ("gemma", Family::Gemma),
    ("gemma2", Family::Gemma2),
    ("gemma3_text", Family::Gemma3),
    ("qwen2", Family::Qwen2),
    ("qwen3", Family::Qwen3),
];

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = FAMILIES.iter().find(|(_, family)| family == self);
        f.write_str(named.expect("every family has a name").0)
    }
}

impl Family {
    fn is_gemma(self) -> bool {
        matches!(self, Family::Gemma | Family::Gemma2 | Family::Gemma3)
    }

    fn is_qwen(self) -> bool {
        matches!(self, Family::Qwen2 | Family::Qwen3)
    }

    fn read(name: Option<String>) -> Read<Family> {
        let name = name.ok_or("`model_type` is missing")?;
        let known = FAMILIES.iter().find(|(known, _)| *known == name);
        known.map(|(_, family)| *family).ok_or_else(|| {
            let names = FAMILIES.map(|(name, _)| format!("`{name}`")).join(", ");
            format!("model_type `{name}` is not supported; these are: {names}")
        })
    }

    /// The width of a head where the configuration does not say: a constant of the family, or the hidden size shared out.
    fn default_head_dim(self, shared: usize) -> usize {
        match self {
            Family::Gemma | Family::Gemma2 | Family::Gemma3 => 256,
            Family::Qwen3 => 128,
            Family::Llama | Family::Mistral | Family::Qwen2 => shared,
        }
    }
}

/// Reads a configuration of any family.
pub(super) fn read(fields: Map<String, Value>) -> Read<DecoderConfig> {
    let mut fields = Fields(fields);
    let family = Family::read(fields.text("model_type")?)?;
    for name in ["attention_dropout", "attn_pdrop", "hidden_dropout"] {
        if fields.number(name)?.unwrap_or(0.0) != 0.0 {
            return Err(format!("`{name}` above 0 is not supported"));
        }
    }
    let hidden_size = fields.size("hidden_size")?;
    let n_heads = fields.size("num_attention_heads")?;
    let n_kv_heads = match family {
        Family::Llama => fields.size_or("num_key_value_heads", n_heads)?,
        // Their defaults are numbers of one model.
        _ => fields.size("num_key_value_heads")?,
    };
    let head_dim = match fields.size_or("head_dim", 0)? {
        0 => family.default_head_dim(hidden_size / n_heads),
        given => given,
    };
    if n_heads % n_kv_heads != 0 {
        return Err(format!(
            "`num_attention_heads` {n_heads} is no multiple of `num_key_value_heads` {n_kv_heads}"
        ));
    }
    if head_dim == 0 || head_dim % 2 != 0 {
        return Err(format!(
            "`head_dim` is {head_dim}, an even number above 0 is expected"
        ));
    }
    let ropes = match family {
        Family::Gemma3 => fields.ropes_by_attention()?.to_vec(),
        _ => vec![fields.rope()?],
    };
    let windows = windows(&mut fields, family)?;
    let has_own_rope = |window: &Option<usize>| usize::from(ropes.len() > 1 && window.is_some());
    let layers = windows.iter().map(|window| LayerConfig {
        window: *window,
        rope: has_own_rope(window),
    });
    let layers = layers.collect();
    let has_caps = matches!(family, Family::Gemma2 | Family::Gemma3);
    let query_size = match has_caps {
        true => fields.number("query_pre_attn_scalar")?.unwrap_or(256.0),
        false => head_dim as f64,
    };
    let attention_bias = match family {
        Family::Mistral | Family::Qwen2 => false,
        _ => fields.flag("attention_bias", false)?,
    };
    let config = DecoderConfig {
        family,
        vocab_size: fields.size("vocab_size")?,
        hidden_size,
        intermediate_size: fields.size("intermediate_size")?,
        layers,
        n_heads,
        n_kv_heads,
        head_dim,
        norm: Norm {
            eps: fields.number("rms_norm_eps")?.unwrap_or(1e-6),
            is_offset: family.is_gemma(),
        },
        norms_outputs: has_caps,
        norms_heads: matches!(family, Family::Qwen3 | Family::Gemma3),
        activation: activation(&mut fields, family)?,
        embedding_scale: match family.is_gemma() {
            true => (hidden_size as f64).sqrt(),
            false => 1.0,
        },
        query_scale: query_size.powf(-0.5),
        attention_softcap: cap(&mut fields, family, "attn_logit_softcapping", 50.0)?,
        final_softcap: cap(&mut fields, family, "final_logit_softcapping", 30.0)?,
        ropes,
        max_positions: fields.size_or("max_position_embeddings", 2_048)?,
        is_tied: fields.flag("tie_word_embeddings", family.is_gemma())?,
        qkv_bias: attention_bias || family == Family::Qwen2,
        output_bias: attention_bias,
        mlp_bias: family == Family::Llama && fields.flag("mlp_bias", false)?,
        initializer_range: fields.number("initializer_range")?.unwrap_or(0.02),
        dtype: fields.saved_type()?,
    };
    fields.refuse_others()?;
    check_sizes(&config)?;
    Ok(config)
}

/// Refuses sizes that no decoder has, before memory is taken for them and while their products are still numbers.
fn check_sizes(config: &DecoderConfig) -> Read<()> {
    let heads = config.n_heads.saturating_mul(config.head_dim);
    let sizes = [
        ("vocab_size", config.vocab_size, MAX_VOCABULARY),
        ("hidden_size", config.hidden_size, MAX_WIDTH),
        ("intermediate_size", config.intermediate_size, MAX_WIDTH),
        ("num_attention_heads` times `head_dim", heads, MAX_WIDTH),
    ];
    let too_large = sizes.into_iter().find(|(_, size, limit)| size > limit);
    too_large.map_or(Ok(()), |(name, size, limit)| {
        Err(format!("`{name}` is {size}, at most {limit} are read"))
    })
}

/// The window of every block.
fn windows(fields: &mut Fields, family: Family) -> Read<Vec<Option<usize>>> {
    let n_layers = fields.size("num_hidden_layers")?;
    if n_layers > MAX_LAYERS {
        return Err(format!(
            "`num_hidden_layers` is {n_layers}, at most {MAX_LAYERS} are read"
        ));
    }
    let kinds = fields.texts("layer_types")?;
    let given = match family {
        Family::Llama | Family::Gemma => None,
        _ => fields.window("sliding_window")?,
    };
    let pattern = fields.size_or("sliding_window_pattern", 6)?;
    let private = fields.size_or("_sliding_window_pattern", pattern)?;
    let first_window = match family.is_qwen() {
        true => fields.size_or_zero("max_window_layers", 28)?,
        false => 0,
    };
    let is_off = family.is_qwen() && !fields.flag("use_sliding_window", false)?;
    let window = match (given, family) {
        (None, Family::Llama | Family::Gemma) => None,
        // What transformers takes where none is named.
        (None, _) => Some(4_096),
        (Some(given), _) => given,
    };
    let has_window = |layer: usize| match family {
        Family::Llama | Family::Gemma => false,
        Family::Mistral => true,
        Family::Gemma2 => layer.is_multiple_of(2),
        Family::Gemma3 => !(layer + 1).is_multiple_of(private),
        Family::Qwen2 | Family::Qwen3 => layer >= first_window,
    };
    let kinds = match kinds {
        Some(kinds) if kinds.len() != n_layers => {
            return Err(format!(
                "`layer_types` has {} entries, `num_hidden_layers` is {n_layers}",
                kinds.len()
            ));
        }
        Some(kinds) => kinds
            .iter()
            .map(|kind| match kind.as_str() {
                SLIDING => Ok(true),
                FULL => Ok(false),
                other => Err(format!("`layer_types`: `{other}` is not supported")),
            })
            .collect::<Read<Vec<bool>>>()?,
        None => (0..n_layers).map(has_window).collect(),
    };
    let windows = kinds
        .iter()
        .map(|&slides| window.filter(|_| slides && !is_off));
    Ok(windows.collect())
}

fn activation(fields: &mut Fields, family: Family) -> Read<Activation> {
    let hidden_act = fields.text("hidden_act")?;
    let hidden_activation = fields.text("hidden_activation")?;
    let given = hidden_activation.or(hidden_act);
    // Gemma's first checkpoints say `gelu` and mean the approximation.
    let (known, activation): (&[&str], _) = match family.is_gemma() {
        true => (&["gelu_pytorch_tanh", "gelu"], Activation::Gelu),
        false => (&["silu"], Activation::Silu),
    };
    match given {
        Some(other) if !known.contains(&other.as_str()) => Err(format!(
            "`hidden_act` = `{other}` is not supported for {family}; `{}` is",
            known[0]
        )),
        _ => Ok(activation),
    }
}

/// A cap that the second Gemma has unless it says otherwise, the third where it says so, and the others never.
fn cap(fields: &mut Fields, family: Family, name: &str, of_gemma_2: f64) -> Read<Option<f64>> {
    let is_named = fields.0.contains_key(name);
    match family {
        Family::Gemma2 if !is_named => Ok(Some(of_gemma_2)),
        Family::Gemma2 | Family::Gemma3 => fields.number(name),
        _ => Ok(None),
    }
}
