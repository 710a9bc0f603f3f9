//! What chance adds in training: a function of a key and of the place in the model, so that nothing has to be remembered.

use burn::tensor::{DType, Distribution, Tensor, TensorData};

use super::kernels::{Dropout, Kernels};
use super::packing::Packing;
use super::random::random;

/// The noise of a micro-batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// The probability that a value is dropped before the adapters.
    pub dropout: f64,
    /// NEFTune's alpha (Jain et al. 2023): uniform noise within `alpha / sqrt(tokens · hidden)` on the embeddings of each sequence.
    pub neftune: f64,
    /// Differs for every micro-batch of a run.
    pub key: u64,
}

impl Noise {
    /// A draw of its own for every `site`.
    pub(super) fn dropout_at(self, site: u64) -> Option<Dropout> {
        if self.dropout == 0.0 {
            return None;
        }
        let mut hasher = blake3::Hasher::new_derive_key("delia dropout mask v1");
        hasher
            .update(&self.key.to_le_bytes())
            .update(&site.to_le_bytes());
        let hash = hasher.finalize();
        let seed = hash.as_bytes().first_chunk().expect("32 bytes");
        Some(Dropout {
            probability: self.dropout,
            seed: u64::from_le_bytes(*seed),
        })
    }

    /// Embeddings `[t, d]` with their noise.
    pub(super) fn on_embeddings<B: Kernels>(
        self,
        x: Tensor<B, 2>,
        packing: &Packing,
    ) -> Tensor<B, 2> {
        if self.neftune == 0.0 {
            return x;
        }
        let [t, d] = x.dims();
        let device = x.device();
        let lengths = packing.lengths().iter();
        let bounds = lengths.flat_map(|&length| {
            let bound = self.neftune / ((length * d) as f64).sqrt();
            std::iter::repeat_n(bound as f32, length)
        });
        let bounds = TensorData::new(bounds.collect::<Vec<f32>>(), [t, 1]);
        let bounds = Tensor::<B, 2>::from_data(bounds, (&device, DType::F32));
        let uniform = Distribution::Uniform(-1.0, 1.0);
        let noise = random::<B>([t, d], uniform, self.key, "neftune", &device);
        let dtype = x.dtype();
        x + (noise * bounds).cast(dtype)
    }
}
