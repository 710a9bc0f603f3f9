//! Rotary position embeddings as configurations describe them.

use serde_json::{Map, Value};

use super::families::{FULL, SLIDING};
use super::fields::{Fields, Read};

/// The base of the wavelengths where a configuration names none.
const DEFAULT_THETA: f64 = 10_000.0;
/// The same of Gemma 3's blocks without a window.
const GLOBAL_THETA: f64 = 1_000_000.0;

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

impl Fields {
    /// The one rotary embedding of a model: `rope_theta` and `rope_scaling`, which transformers 5 writes as one
    /// `rope_parameters`.
    pub(super) fn rope(&mut self) -> Read<RopeConfig> {
        let theta = self.number("rope_theta")?;
        let parameters = self.rope_parameters()?;
        one_rope(theta, parameters, "rope_parameters", DEFAULT_THETA)
    }

    /// The two of Gemma 3: of the blocks that see everything, and of those with a window, which are never scaled.
    pub(super) fn ropes_by_attention(&mut self) -> Read<[RopeConfig; 2]> {
        let theta = self.number("rope_theta")?;
        let local_theta = self.number("rope_local_base_freq")?;
        let mut parameters = self.rope_parameters()?;
        let of_kind = |parameters: &mut Map<String, Value>, kind: &str| {
            let part = parameters.remove(kind);
            part.map(|part| object(part, kind)).transpose()
        };
        let local = of_kind(&mut parameters, SLIDING)?.unwrap_or_default();
        let global = match of_kind(&mut parameters, FULL)? {
            Some(global) => match parameters.keys().next() {
                Some(field) => return Err(format!("`rope_parameters.{field}` is not supported")),
                None => global,
            },
            None => parameters,
        };
        Ok([
            one_rope(theta, global, FULL, GLOBAL_THETA)?,
            one_rope(local_theta, local, SLIDING, DEFAULT_THETA)?,
        ])
    }

    fn rope_parameters(&mut self) -> Read<Map<String, Value>> {
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
        parameters.map_or(Ok(Map::new()), |value| object(value, "rope_parameters"))
    }
}

/// A rotary embedding from its parameters; `theta` is what stands beside them.
fn one_rope(
    theta: Option<f64>,
    parameters: Map<String, Value>,
    name: &str,
    default_theta: f64,
) -> Read<RopeConfig> {
    let mut inside = Fields(parameters);
    let theta_inside = inside.number("rope_theta")?;
    if let (Some(outside), Some(inside)) = (theta, theta_inside)
        && outside != inside
    {
        return Err(format!(
            "`rope_theta` is {outside}, `{name}.rope_theta` {inside}"
        ));
    }
    let theta = theta_inside.or(theta).unwrap_or(default_theta);
    if inside.number("partial_rotary_factor")?.unwrap_or(1.0) != 1.0 {
        return Err(format!(
            "`{name}.partial_rotary_factor` other than 1 is not supported"
        ));
    }
    let old_kind = inside.text("type")?;
    let kind = inside.text("rope_type")?.or(old_kind);
    let mut needed = |field: &str| {
        inside
            .number(field)?
            .ok_or_else(|| format!("`{name}.{field}` is missing"))
    };
    let scaling = match kind.as_deref() {
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
        Some(field) => Err(format!("`{name}.{field}` is not supported")),
        None => Ok(RopeConfig { theta, scaling }),
    }
}

fn object(value: Value, name: &str) -> Read<Map<String, Value>> {
    match value {
        Value::Object(map) => Ok(map),
        other => Err(format!("`{name}` is {other}, an object is expected")),
    }
}
