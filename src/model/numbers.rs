//! Numbers as checkpoints store them, and as they are on a device.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};
use half::{bf16, f16};
use rayon::prelude::*;
use safetensors::tensor::Dtype;

/// Elements a thread converts at a time.
const BLOCK: usize = 1 << 16;

/// Stored numbers in 32 bits; `None` for a type that is not `F32`, `BF16` or `F16`.
pub fn decode(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    match dtype {
        Dtype::F32 => Some(decode_each(bytes, f32::from_le_bytes)),
        Dtype::BF16 => Some(decode_each(bytes, |two| bf16::from_le_bytes(two).to_f32())),
        Dtype::F16 => Some(decode_each(bytes, |two| f16::from_le_bytes(two).to_f32())),
        _ => None,
    }
}

/// Numbers rounded to the nearest of a type; `None` for one that is not `F32`, `BF16` or `F16`.
pub fn encode(dtype: Dtype, values: &[f32]) -> Option<Vec<u8>> {
    match dtype {
        Dtype::F32 => Some(encode_each(values, f32::to_le_bytes)),
        Dtype::BF16 => Some(encode_each(values, |value| {
            bf16::from_f32(value).to_le_bytes()
        })),
        Dtype::F16 => Some(encode_each(values, |value| {
            f16::from_f32(value).to_le_bytes()
        })),
        _ => None,
    }
}

/// The values of a tensor in 32 bits, row by row, read from its device.
pub fn host<B: Backend>(tensor: Tensor<B, 2>) -> Vec<f32> {
    let data = tensor.cast(DType::F32).into_data();
    data.into_vec().expect("cast to 32 bits above")
}

/// How configurations name a type; `None` for one that is not `F32`, `BF16` or `F16`.
pub fn name(dtype: Dtype) -> Option<&'static str> {
    match dtype {
        Dtype::F32 => Some("float32"),
        Dtype::BF16 => Some("bfloat16"),
        Dtype::F16 => Some("float16"),
        _ => None,
    }
}

fn decode_each<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> f32 + Sync) -> Vec<f32> {
    let mut values = vec![0.0; bytes.len() / N];
    values
        .par_chunks_mut(BLOCK)
        .zip(bytes.par_chunks(BLOCK * N))
        .for_each(|(values, bytes)| {
            for (to, from) in values.iter_mut().zip(bytes.as_chunks::<N>().0) {
                *to = value(*from);
            }
        });
    values
}

fn encode_each<const N: usize>(values: &[f32], bytes: impl Fn(f32) -> [u8; N] + Sync) -> Vec<u8> {
    let mut encoded = vec![0; values.len() * N];
    encoded
        .par_chunks_mut(BLOCK * N)
        .zip(values.par_chunks(BLOCK))
        .for_each(|(encoded, values)| {
            for (to, from) in encoded.as_chunks_mut::<N>().0.iter_mut().zip(values) {
                *to = bytes(*from);
            }
        });
    encoded
}
