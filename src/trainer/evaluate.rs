//! The loss of the decoder as it is: without dropout, without a gradient.

use burn::tensor::backend::AutodiffBackend;

use crate::loader::MicroBatch;
use crate::model::{Kernels, Sequences, losses};

use super::Trainer;

impl<B> Trainer<B>
where
    B: AutodiffBackend + Kernels,
    B::InnerBackend: Kernels,
{
    /// The mean negative log-likelihood of the supervised tokens of all micro-batches, in nats; `None` where there are none.
    pub fn evaluate(&self, micro_batches: &[MicroBatch]) -> Option<f64> {
        let decoder = self.decoder.inner();
        let (mut sum, mut n) = (0.0, 0_u64);
        for micro in micro_batches {
            let sequences = Sequences {
                ids: &micro.ids,
                packing: &micro.packing,
            };
            let states = decoder.forward(sequences, None);
            let losses = losses(&decoder, &states, &micro.targets);
            sum += losses.iter().copied().map(f64::from).sum::<f64>();
            n += losses.len() as u64;
        }
        (n > 0).then(|| sum / n as f64)
    }
}
