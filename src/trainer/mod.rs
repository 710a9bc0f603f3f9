//! One step: micro-batches → summed gradient → clipped → AdamW.

mod evaluate;
mod schedule;

use std::collections::BTreeMap;

use burn::optim::{AdamW, AdamWConfig, AdamWState, AdaptiveMomentumState, SimpleOptimizer as _};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, Tensor, TensorData};

use crate::checkpoint::{Moments, Saved};
use crate::config::{LossNorm, Recompute};
use crate::error::{Error, Result};
use crate::loader::GlobalBatch;
use crate::model::numbers::host;
use crate::model::{Decoder, Gradients, Kernels, Noise, Sequences, is_vector};
use crate::sample::Kind;

pub use schedule::{Schedule, Schedules};

/// PyTorch's, and with it what PEFT users have: burn's own default is 1e-5.
const ADAM_EPSILON: f32 = 1e-8;
/// How names of an adapter's second matrix end.
const LORA_B: &str = "lora_B.weight";
/// Added to the norm a gradient is divided by, as `torch.nn.utils.clip_grad_norm_` does.
const CLIP_EPSILON: f64 = 1e-6;

/// How a decoder is trained.
#[derive(Clone, Debug)]
pub struct TrainerConfig {
    /// The learning rate of every step.
    pub schedule: Schedules,
    /// AdamW's decay of weights towards 0; norms and biases do not decay.
    pub weight_decay: f64,
    /// The largest norm of a step's gradient.
    pub clip: f64,
    /// Dropout before the adapters.
    pub dropout: f64,
    /// NEFTune's noise on embeddings.
    pub neftune: f64,
    /// How much faster the B of an adapter learns than the rest (LoRA+, Hayou et al. 2024).
    pub lora_plus_ratio: f64,
    /// What a step's loss is a mean of.
    pub loss_norm: LossNorm,
    /// What is computed again instead of kept.
    pub recompute: Recompute,
    /// Seed of dropout and noise.
    pub seed: u64,
}

/// A decoder in training.
pub struct Trainer<B: AutodiffBackend> {
    decoder: Decoder<B>,
    config: TrainerConfig,
    moments: BTreeMap<String, AdaptiveMomentumState<B::InnerBackend, 2>>,
}

/// What a step found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepLoss {
    /// The learning rate.
    pub lr: f64,
    /// The mean negative log-likelihood of the supervised tokens, in nats.
    pub loss: f64,
    /// The same over the task's samples, where the step has some.
    pub task: Option<f64>,
    /// The same over the others.
    pub diverse: Option<f64>,
    /// The norm of the gradient before it was clipped.
    pub grad_norm: f64,
}

impl<B> Trainer<B>
where
    B: AutodiffBackend + Kernels,
    B::InnerBackend: Kernels,
{
    /// Begins with the decoder as it is; its tensors that require a gradient are trained.
    pub fn new(decoder: Decoder<B>, config: TrainerConfig) -> Trainer<B> {
        Trainer {
            decoder,
            config,
            moments: BTreeMap::new(),
        }
    }

    /// The decoder.
    pub fn decoder(&self) -> &Decoder<B> {
        &self.decoder
    }

    /// The decoder, to list its tensors.
    pub fn decoder_mut(&mut self) -> &mut Decoder<B> {
        &mut self.decoder
    }

    /// Trains on the samples of a step. A step without a target changes nothing and returns `None`.
    ///
    /// # Errors
    /// [`Error::NotANumber`] for a loss, gradient or weight that is not finite; nothing has changed then.
    pub fn step(&mut self, batch: &GlobalBatch) -> Result<Option<StepLoss>> {
        // Also where the first step of a stage has nothing to learn.
        if self.config.schedule.begin_anew_at(batch.step) {
            self.moments.clear();
        }
        if batch.n_targets == 0 {
            return Ok(None);
        }
        let (gradients, sums) = self.gradients(batch)?;
        let grad_norm = norm(gradients.values());
        let positions: Vec<u64> = batch.positions.clone().collect();
        self.check(grad_norm, "gradient", batch.step, &positions)?;
        let lr = self.config.schedule.at(batch.step);
        self.update(&gradients, grad_norm, lr)
            .or_else(|NotFinite| self.check(f64::NAN, "updated weight", batch.step, &positions))?;
        Ok(Some(sums.mean(lr, grad_norm)))
    }

    /// The gradients of the mean loss of a step, of those of its micro-batches that are in `batch`: where several processes share a
    /// step, they add up to the step's, with the same dropout and noise as in one process. `batch.n_targets` is of the whole step.
    ///
    /// # Errors
    /// [`Error::NotANumber`] for a loss that is not finite.
    pub fn gradients(&mut self, batch: &GlobalBatch) -> Result<(Gradients<B>, LossSums)> {
        let mut sums = LossSums::default();
        let mut gradients = Gradients::default();
        for micro in &batch.micro_batches {
            let sequences = Sequences {
                ids: &micro.ids,
                packing: &micro.packing,
            };
            let noise = Noise {
                dropout: self.config.dropout,
                neftune: self.config.neftune,
                key: noise_key(self.config.seed, batch.step, micro.nth as u64),
            };
            let weight = match self.config.loss_norm {
                // Every target counts the same, in whichever micro-batch it is.
                LossNorm::Token => 1.0 / batch.n_targets as f64,
                LossNorm::Microbatch => 1.0 / (micro.n_of_step * micro.targets.len()) as f64,
            };
            let recompute = self.config.recompute;
            let (losses, found) =
                self.decoder
                    .gradients(sequences, Some(noise), &micro.targets, weight, recompute);
            sums.add(&losses, &micro.kinds);
            self.check(sums.total, "loss", batch.step, &micro.positions)?;
            gradients.add(found);
        }
        Ok((gradients, sums))
    }

    /// The optimiser's step; weights that are not finite after it are not taken over.
    fn update(
        &mut self,
        gradients: &Gradients<B>,
        grad_norm: f64,
        lr: f64,
    ) -> std::result::Result<(), NotFinite> {
        let shrink = (self.config.clip / (grad_norm + CLIP_EPSILON)).min(1.0);
        let decaying = adamw(self.config.weight_decay);
        let steady = adamw(0.0);
        let mut updated = Vec::new();
        for (name, tensor) in self.decoder.trained_mut() {
            let value = tensor.clone().inner();
            // A token that did not occur has a gradient of 0, and moments that fade.
            let gradient = gradients.get(&name).cloned();
            let gradient = gradient.unwrap_or_else(|| value.zeros_like());
            let lr = match name.ends_with(LORA_B) {
                true => lr * self.config.lora_plus_ratio,
                false => lr,
            };
            let optimizer = if is_vector(&name) { &steady } else { &decaying };
            let momentum = self.moments.get(&name).cloned();
            let before = momentum.map(|momentum| AdamWState { momentum });
            let (value, after) = optimizer.step(lr, value, gradient * shrink, before);
            updated.push((name, value, after));
        }
        if !norm(updated.iter().map(|(_, value, _)| value)).is_finite() {
            return Err(NotFinite);
        }
        let trained = self.decoder.trained_mut();
        for ((_, tensor), (name, value, after)) in trained.into_iter().zip(updated) {
            *tensor = Tensor::from_inner(value).require_grad();
            if let Some(state) = after {
                self.moments.insert(name, state.momentum);
            }
        }
        Ok(())
    }

    /// The state of the training: what [`Trainer::restore`] needs to go on as if nothing had happened.
    pub fn save(&mut self) -> BTreeMap<String, Saved> {
        let moments = &self.moments;
        let saved = self
            .decoder
            .trained_mut()
            .into_iter()
            .map(|(name, tensor)| {
                let moments = moments.get(&name).map(|state| Moments {
                    n_steps: state.time as u64,
                    first: host(state.moment_1.clone()),
                    second: host(state.moment_2.clone()),
                });
                let saved = Saved {
                    shape: tensor.dims(),
                    values: host(tensor.clone().inner()),
                    moments,
                };
                (name, saved)
            });
        saved.collect()
    }

    /// Goes on from a saved state.
    ///
    /// # Errors
    /// The name of a tensor that is missing or of another shape.
    pub fn restore(
        &mut self,
        mut saved: BTreeMap<String, Saved>,
    ) -> std::result::Result<(), String> {
        for (name, tensor) in self.decoder.trained_mut() {
            let shape = tensor.dims();
            let saved = saved
                .remove(&name)
                .filter(|saved| saved.shape == shape)
                .ok_or_else(|| name.clone())?;
            let device = tensor.device();
            let read = |values: Vec<f32>| {
                Tensor::<B::InnerBackend, 2>::from_data(
                    TensorData::new(values, shape),
                    (&device, DType::F32),
                )
            };
            *tensor = Tensor::from_inner(read(saved.values)).require_grad();
            if let Some(moments) = saved.moments {
                let state = AdaptiveMomentumState {
                    time: moments.n_steps as usize,
                    moment_1: read(moments.first),
                    moment_2: read(moments.second),
                    max_moment_2: None,
                };
                self.moments.insert(name, state);
            }
        }
        Ok(())
    }

    fn check(&self, number: f64, what: &'static str, step: u64, positions: &[u64]) -> Result<()> {
        if number.is_finite() {
            return Ok(());
        }
        let mut positions = positions.to_vec();
        positions.sort_unstable();
        let positions: Vec<_> = positions.iter().map(u64::to_string).collect();
        Err(Error::NotANumber {
            what,
            step,
            positions: positions.join(", "),
        })
    }
}

/// A weight that is not a number.
struct NotFinite;

/// Sums of losses by kind, and how many.
#[derive(Clone, Copy, Debug, Default)]
pub struct LossSums {
    /// The sum of all, in nats.
    pub total: f64,
    /// Tokens it is of.
    pub n: u64,
    /// The part of the task's samples.
    pub task: f64,
    /// Tokens of those.
    pub n_task: u64,
}

impl LossSums {
    fn add(&mut self, losses: &[f32], kinds: &[Kind]) {
        for (&loss, kind) in losses.iter().zip(kinds) {
            self.total += f64::from(loss);
            self.n += 1;
            if *kind == Kind::Task {
                self.task += f64::from(loss);
                self.n_task += 1;
            }
        }
    }

    fn mean(&self, lr: f64, grad_norm: f64) -> StepLoss {
        let mean = |sum: f64, n: u64| (n > 0).then(|| sum / n as f64);
        StepLoss {
            lr,
            loss: self.total / self.n as f64,
            task: mean(self.task, self.n_task),
            diverse: mean(self.total - self.task, self.n - self.n_task),
            grad_norm,
        }
    }
}

fn adamw(weight_decay: f64) -> AdamW {
    AdamWConfig::new()
        .with_epsilon(ADAM_EPSILON)
        .with_weight_decay(weight_decay as f32)
        .build()
}

fn norm<'a, B: Backend>(gradients: impl Iterator<Item = &'a Tensor<B, 2>>) -> f64 {
    let squares: Vec<Tensor<B, 1>> = gradients
        // Row by row first: a long sum is split among threads as they come, and its last bit with it.
        .map(|gradient| {
            let squares = gradient.clone().cast(DType::F32).powi_scalar(2);
            squares.sum_dim(1).sum()
        })
        .collect();
    if squares.is_empty() {
        return 0.0;
    }
    f64::from(
        Tensor::cat(squares, 0)
            .sum()
            .into_data()
            .to_vec::<f32>()
            .expect("32 bits")[0],
    )
    .sqrt()
}

fn noise_key(seed: u64, step: u64, micro: u64) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("delia dropout key v1");
    for number in [seed, step, micro] {
        hasher.update(&number.to_le_bytes());
    }
    let hash = hasher.finalize();
    u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_norm_has_the_same_bits_at_any_number_of_threads() {
        use burn_flex::{Flex, FlexDevice};
        // Large enough that a sum over all of it is split among threads.
        let values = (0..4_200 * 1_024).map(|nth| (nth as f32 * 0.37).sin());
        let data = TensorData::new(values.collect::<Vec<f32>>(), [4_200, 1_024]);
        let tensor = Tensor::<Flex, 2>::from_data(data, &FlexDevice);
        let of_threads = |n_threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(n_threads)
                .build();
            pool.expect("a pool")
                .install(|| norm([&tensor].into_iter()).to_bits())
        };
        let one = of_threads(1);
        for n_threads in [2, 3, 5, 8] {
            assert_eq!(of_threads(n_threads), one, "{n_threads} threads");
        }
    }
}
