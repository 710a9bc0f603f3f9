//! The loss of the decoder as it is: without dropout, without a gradient.

use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Int, Tensor, TensorData};

use crate::loader::MicroBatch;
use crate::model::{Kernels, Sequences};

use super::Trainer;

/// Scores held at a time: 32 MiB in 32 bits; unmeasured.
const SCORES_IN_FLIGHT: usize = 1 << 23;

impl<B> Trainer<B>
where
    B: AutodiffBackend + Kernels,
    B::InnerBackend: Kernels,
{
    /// The mean negative log-likelihood of the supervised tokens of all micro-batches, in nats; `None` where there are none.
    pub fn evaluate(&self, micro_batches: &[MicroBatch]) -> Option<f64> {
        let decoder = self.decoder.inner();
        let block = (SCORES_IN_FLIGHT / decoder.scoring_table().n_tokens()).max(1);
        let (mut sum, mut n) = (0.0, 0_u64);
        for micro in micro_batches {
            let sequences = Sequences {
                ids: &micro.ids,
                packing: &micro.packing,
            };
            let states = decoder.forward(sequences, None);
            let device = states.device();
            for targets in micro.targets.chunks(block) {
                let rows = indices(targets.iter().map(|target| target.row), &device);
                let tokens = indices(targets.iter().map(|target| target.token), &device);
                let scores = decoder.logits(states.clone().select(0, rows));
                let (losses, _) = B::InnerBackend::cross_entropy(scores, tokens, 1.0);
                let losses = losses.into_data();
                let losses = losses.as_slice::<f32>().expect("a loss is in 32 bits");
                sum += losses.iter().copied().map(f64::from).sum::<f64>();
                n += losses.len() as u64;
            }
        }
        (n > 0).then(|| sum / n as f64)
    }
}

fn indices<B: Backend>(
    ids: impl ExactSizeIterator<Item = u32>,
    device: &B::Device,
) -> Tensor<B, 1, Int> {
    let shape = [ids.len()];
    let ids: Vec<i32> = ids.map(|id| id as i32).collect();
    Tensor::from_data(TensorData::new(ids, shape), device)
}
