//! The angles of the rotary position embedding.

use std::f64::consts::TAU;

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Int, Tensor, TensorData};

use super::config::{RopeConfig, RopeScaling};

/// Cosines and sines for the first positions, each `[positions, head_dim/2]` in 32 bits.
#[derive(Clone, Debug)]
pub(super) struct Rope<B: Backend> {
    cos: Tensor<B, 2>,
    sin: Tensor<B, 2>,
}

impl<B: Backend> Rope<B> {
    /// The angles of `positions` positions from 0 on.
    pub(super) fn new(
        rope: &RopeConfig,
        head_dim: usize,
        positions: usize,
        device: &B::Device,
    ) -> Rope<B> {
        let frequencies = frequencies(rope, head_dim);
        let table = |f: fn(f32) -> f32| {
            // As transformers: frequencies and angles are rounded to 32 bits before the cosine.
            let values: Vec<f32> = (0..positions)
                .flat_map(|position| {
                    let angles = frequencies.iter().map(move |&each| position as f32 * each);
                    angles.map(f)
                })
                .collect();
            let data = TensorData::new(values, [positions, frequencies.len()]);
            Tensor::from_data(data, (device, DType::F32))
        };
        Rope {
            cos: table(f32::cos),
            sin: table(f32::sin),
        }
    }

    /// Positions it has angles for.
    pub(super) fn n_positions(&self) -> usize {
        self.cos.dims()[0]
    }

    /// Cosines and sines of these positions, each `[positions, head_dim/2]`.
    pub(super) fn at(&self, positions: &Tensor<B, 1, Int>) -> [Tensor<B, 2>; 2] {
        [&self.cos, &self.sin].map(|table| table.clone().select(0, positions.clone()))
    }

    /// The same on another backend.
    pub(super) fn map<C: Backend>(self, f: &impl Fn(Tensor<B, 2>) -> Tensor<C, 2>) -> Rope<C> {
        Rope {
            cos: f(self.cos),
            sin: f(self.sin),
        }
    }
}

/// Radians a position turns each pair of values: `theta^(-2i/head_dim)`, then scaled.
fn frequencies(rope: &RopeConfig, head_dim: usize) -> Vec<f32> {
    (0..head_dim / 2)
        .map(|i| {
            let exponent = (2 * i) as f32 / head_dim as f32;
            let frequency = 1.0 / (rope.theta as f32).powf(exponent);
            scaled(&rope.scaling, f64::from(frequency)) as f32
        })
        .collect()
}

fn scaled(scaling: &RopeScaling, frequency: f64) -> f64 {
    match *scaling {
        RopeScaling::Default => frequency,
        RopeScaling::Linear { factor } => frequency / factor,
        RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_positions,
        } => {
            let wavelength = TAU / frequency;
            if wavelength > original_max_positions / low_freq_factor {
                frequency / factor
            } else if wavelength < original_max_positions / high_freq_factor {
                frequency
            } else {
                let smooth = (original_max_positions / wavelength - low_freq_factor)
                    / (high_freq_factor - low_freq_factor);
                (1.0 - smooth) * frequency / factor + smooth * frequency
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama3_scaling_keeps_short_wavelengths_and_stretches_long_ones() {
        let scaling = RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_positions: 64.0,
        };
        let of_wavelength = |wavelength: f64| TAU / scaled(&scaling, TAU / wavelength);
        assert!((of_wavelength(15.0) - 15.0).abs() < 1e-9);
        assert!((of_wavelength(65.0) - 520.0).abs() < 1e-9);
        let between = of_wavelength(32.0);
        assert!(32.0 < between && between < 256.0, "{between}");
    }
}
