//! Seeded numbers, made on the device that needs them: a function of the seed and the backend.

use std::sync::{Mutex, PoisonError};

use burn::tensor::backend::Backend;
use burn::tensor::{Distribution, Tensor};

/// Held between seeding a backend's generator, of which a process has one, and drawing from it.
static GENERATOR: Mutex<()> = Mutex::new(());

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
    seeded(shape, distribution, u64::from_le_bytes(*seed), device)
}

/// Numbers of a seed.
pub(super) fn seeded<B: Backend, const D: usize>(
    shape: [usize; D],
    distribution: Distribution,
    seed: u64,
    device: &B::Device,
) -> Tensor<B, D> {
    let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    B::seed(device, seed);
    Tensor::random(shape, distribution, device)
}

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;

    use burn_flex::{Flex, FlexDevice};

    use super::*;

    /// Other numbers each time, the same in every run of a test, which has a thread of its own.
    pub(in super::super) fn drawn<const D: usize>(
        shape: [usize; D],
        distribution: Distribution,
    ) -> Tensor<Flex, D> {
        thread_local! {
            static SEED: Cell<u64> = const { Cell::new(0) };
        }
        SEED.set(SEED.get() + 1);
        seeded(shape, distribution, SEED.get(), &FlexDevice)
    }

    #[test]
    fn draws_of_several_threads_do_not_mix() {
        let draw = |seed| {
            let drawn: Tensor<Flex, 2> = seeded([64, 64], Distribution::Default, seed, &FlexDevice);
            drawn.into_data()
        };
        let alone = [draw(1), draw(2)];
        std::thread::scope(|threads| {
            for (seed, alone) in [1, 2].into_iter().zip(&alone) {
                threads.spawn(move || {
                    for _ in 0..200 {
                        assert_eq!(draw(seed), *alone);
                    }
                });
            }
        });
    }
}
