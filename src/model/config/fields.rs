//! The fields of a `config.json`, each read once and with its type; what is left over is refused.

use serde_json::{Map, Value};

use super::SavedType;

/// Fields that change no number of a forward pass, or only where another field, checked below, says so.
const HARMLESS: &[&str] = &[
    "_attn_implementation_autoset",
    "_name_or_path",
    "architectures",
    "bos_token_id",
    "cache_implementation",
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

/// Fields not yet read; what is left at the end is unknown.
pub(super) struct Fields(pub(super) Map<String, Value>);

pub(super) type Read<T> = Result<T, String>;

impl Fields {
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, name: &str) -> Read<Option<String>> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(format!("`{name}` is {other}, a text is expected")),
        }
    }

    pub(super) fn number(&mut self, name: &str) -> Read<Option<f64>> {
        self.take(name)
            .map(|value| {
                value
                    .as_f64()
                    .ok_or_else(|| format!("`{name}` is {value}, a number is expected"))
            })
            .transpose()
    }

    pub(super) fn flag(&mut self, name: &str, default: bool) -> Read<bool> {
        self.take(name).map_or(Ok(default), |value| {
            value
                .as_bool()
                .ok_or_else(|| format!("`{name}` is {value}, true or false is expected"))
        })
    }

    pub(super) fn size_or(&mut self, name: &str, default: usize) -> Read<usize> {
        self.take(name).map_or(Ok(default), |value| {
            let size = value.as_u64().filter(|&size| size > 0);
            size.and_then(|size| usize::try_from(size).ok())
                .ok_or_else(|| format!("`{name}` is {value}, a number above 0 is expected"))
        })
    }

    pub(super) fn size(&mut self, name: &str) -> Read<usize> {
        match self.size_or(name, 0)? {
            0 => Err(format!("`{name}` is missing")),
            size => Ok(size),
        }
    }

    pub(super) fn size_or_zero(&mut self, name: &str, default: usize) -> Read<usize> {
        match self.0.get(name).and_then(Value::as_u64) {
            Some(0) => self.take(name).map_or(Ok(0), |_| Ok(0)),
            _ => self.size_or(name, default),
        }
    }

    /// A window: `None` where it is not named, `Some(None)` where it is named as none.
    pub(super) fn window(&mut self, name: &str) -> Read<Option<Option<usize>>> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::Null) => Ok(Some(None)),
            Some(_) => self.size(name).map(|window| Some(Some(window))),
        }
    }

    pub(super) fn texts(&mut self, name: &str) -> Read<Option<Vec<String>>> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        serde_json::from_value(value.clone())
            .map(Some)
            .map_err(|_| format!("`{name}` is {value}, a list of texts is expected"))
    }

    pub(super) fn saved_type(&mut self) -> Read<SavedType> {
        let old = self.text("torch_dtype")?;
        match self.text("dtype")?.or(old).as_deref() {
            None | Some("float32") => Ok(SavedType::F32),
            Some("bfloat16") => Ok(SavedType::Bf16),
            Some("float16") => Ok(SavedType::F16),
            Some(other) => Err(format!("`dtype` = `{other}` is not supported")),
        }
    }

    /// A field nobody knows may change numbers, unless it is off.
    pub(super) fn refuse_others(self) -> Read<()> {
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
