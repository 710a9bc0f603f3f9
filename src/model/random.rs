//! Seeded numbers, made on the device that needs them: a function of the seed, a name and the backend. The backend's one
//! generator is seeded anew for every tensor, so two tensors must not be drawn at the same time.

use burn::tensor::backend::Backend;
use burn::tensor::{Distribution, Tensor};

/// Numbers for the tensor called `name`.
pub fn random<B: Backend>(
    shape: [usize; 2],
    distribution: Distribution,
    seed: u64,
    name: &str,
    device: &B::Device,
) -> Tensor<B, 2> {
    let mut hasher = blake3::Hasher::new_derive_key("delia random tensor v1");
    hasher.update(&seed.to_le_bytes()).update(name.as_bytes());
    let hash = hasher.finalize();
    let seed = hash.as_bytes().first_chunk().expect("32 bytes");
    B::seed(device, u64::from_le_bytes(*seed));
    Tensor::random(shape, distribution, device)
}
