//! Seeded numbers for fresh weights: a function of seed, tensor name and place, on every machine the same.

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Normal, Uniform};

/// The generator of one tensor.
fn generator(seed: u64, name: &str) -> ChaCha8Rng {
    let mut hasher = blake3::Hasher::new_derive_key("delia fresh weights v1");
    hasher.update(&seed.to_le_bytes()).update(name.as_bytes());
    ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
}

/// `n` values with mean 0.
pub fn normal(seed: u64, name: &str, n: usize, deviation: f64) -> Vec<f32> {
    let normal = Normal::new(0.0, deviation as f32).expect("a deviation from 0 on");
    normal.sample_iter(generator(seed, name)).take(n).collect()
}

/// `n` values between `-bound` and `bound`.
pub fn uniform(seed: u64, name: &str, n: usize, bound: f64) -> Vec<f32> {
    let uniform = Uniform::new_inclusive(-bound as f32, bound as f32).expect("a bound from 0 on");
    uniform.sample_iter(generator(seed, name)).take(n).collect()
}
