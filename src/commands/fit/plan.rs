//! What a fit is going to do and take, found out without doing it.

use std::ops::Range;
use std::time::{Duration, Instant};

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Distribution};

use crate::config::QuantizeBase;
use crate::device::{Device, free_memory};
use crate::error::Result;
use crate::estimate::{Fitted, Together, Work};
use crate::model::random;
use crate::report::{
    AdaptersPlan, FitPlan, MemoryPlan, SamplesPlan, StepsPlan, TimePlan, TrainedPlan,
};

use super::{FitEvent, Plan};

/// How long the device's speed is measured.
const MEASURED: Duration = Duration::from_millis(100);

/// Rows of a product that is measured: more take longer, and memory, and are no faster.
const ROWS_MEASURED_MAX: usize = 8_192;

/// Products between two looks at the clock.
const PRODUCTS_AT_A_TIME: u32 = 4;

/// The share of the speed of a matrix product, measured for a moment, that a whole fit is taken to reach: on the CPU models of 1 to
/// 110 million weights reached 0.8 to 1.1 (`benches/RESULTS.md`). Unmeasured on GPUs.
const EFFICIENCY: f64 = 0.9;

impl Plan<'_> {
    /// Everything that can be said before the step that begins at position `from`; computes a few matrix products to know how fast
    /// the device is.
    pub(super) fn describe<B: Backend>(
        &self,
        dtype: DType,
        device: &B::Device,
        from: u64,
        watch: &dyn Fn(FitEvent<'_>),
    ) -> Result<FitPlan> {
        let config = self.config;
        let dtype = if config.full { DType::F32 } else { dtype };
        let fitted = Fitted {
            decoder: &self.decoder,
            number_bytes: dtype.size() as u64,
            quantized_bits: config.quantize_base.map(|bits| match bits {
                // The CPU holds every quantised number in a byte.
                QuantizeBase::Q4 if self.device.device != Device::Cpu => 4,
                QuantizeBase::Q4 | QuantizeBase::Q8 => 8,
            }),
            adapters: (!config.full).then_some(&self.adapter_config),
            new_tokens: self.tokenizer.special_ids().len() as u64,
            recompute: config.recompute,
        };
        let model = config.init_model.as_ref().unwrap_or(&config.model);
        let adapters = fitted.adapters.map(|adapters| AdaptersPlan {
            rank: adapters.rank as u64,
            alpha: adapters.alpha,
            is_rslora: adapters.use_rslora,
            is_dora: adapters.use_dora,
            scale: adapters.scale(),
            matrices: fitted.adapted().len() as u64,
            weights: fitted.adapter_weights(),
        });
        let trained = TrainedPlan {
            adapters,
            new_tokens: fitted.new_tokens,
            row_weights: self.decoder.hidden_size as u64,
            tables: fitted.tables(),
            weights: fitted.trained_weights(),
        };
        let steps = self.steps();
        let (samples, memory, work) = self.amounts(&fitted, from, watch)?;
        let operations = fitted.operations(work);
        // A sample is computed as a whole.
        let n_tokens = (samples.mean_tokens as usize).max(self.loader.micro_shape.max_tokens);
        let speed = self.speed::<B>(n_tokens.clamp(1, ROWS_MEASURED_MAX), dtype, device);
        Ok(FitPlan {
            model: model.display().to_string(),
            device: self.device.device.to_string(),
            parameters: self.decoder.n_parameters() as u64,
            blocks: self.decoder.n_layers() as u64,
            trained,
            samples,
            steps,
            memory,
            time: TimePlan {
                tokens: work.tokens,
                operations,
                operations_per_second: speed,
                efficiency: EFFICIENCY,
                seconds: operations / (speed * EFFICIENCY),
            },
        })
    }

    fn steps(&self) -> StepsPlan {
        let config = self.config;
        let steps = &self.loader.steps;
        let stretches = steps.stretches();
        let n_of = |stretch: &Range<u64>| stretch.end - stretch.start;
        let stretches: Vec<u64> = stretches.iter().map(n_of).collect();
        StepsPlan {
            batch_size: steps.batch_size(),
            micro_tokens: self.loader.micro_shape.max_tokens as u64,
            per_epoch: steps.per_epoch(),
            epochs: config.epochs.into(),
            steps: self.n_steps,
            warmup: config.warmup,
            rising: stretches.iter().map(|&n| config.warmup.steps(n)).collect(),
            stretches,
            schedule: config.schedule,
            lr: config.lr,
        }
    }

    /// What passes through the model, all of it and at a time, judged by some of the samples.
    fn amounts(
        &self,
        fitted: &Fitted<'_>,
        from: u64,
        watch: &dyn Fn(FitEvent<'_>),
    ) -> Result<(SamplesPlan, MemoryPlan, Work)> {
        let (loader, rows) = (&self.loader, self.loader.plan.rows);
        let tokenizer = &*self.tokenizer;
        let is_at_hand = self.stream.is_at_hand();
        // Elsewhere is fetched, or still to come, what the next step does not need.
        let lengths = self.waiting(watch, || match is_at_hand {
            true => loader.lengths(tokenizer),
            false => loader.lengths_at(tokenizer, from),
        })?;
        let mean = lengths.tokens as f64 / lengths.samples.max(1) as f64;
        let samples = SamplesPlan {
            rows,
            max_length: loader.max_length as u64,
            looked_at: lengths.rows,
            used: lengths.samples,
            mean_tokens: mean,
            longest: lengths.longest,
        };
        // The longest samples are computed together, or one of them alone.
        let most = loader.steps.batch_size().min(rows) * lengths.longest;
        let shape = loader.micro_shape;
        let row = match shape.row_multiple {
            Some(multiple) => lengths.longest.next_multiple_of(multiple as u64),
            None => lengths.longest,
        };
        let tokens = (shape.max_tokens as u64).min(most).max(row);
        let share = lengths.targets as f64 / lengths.tokens.max(1) as f64;
        let memory = fitted.memory(Together {
            tokens,
            longest: row,
            targets: (tokens as f64 * share) as u64,
            in_rows: shape.row_multiple.is_some(),
        });
        let memory = MemoryPlan {
            weights: memory.weights,
            training: memory.training,
            activations: memory.activations,
            scores: memory.scores,
            total: memory.total(),
            free: free_memory(self.device.device),
            recompute: fitted.recompute,
            is_quantized: fitted.quantized_bits.is_some(),
        };
        let per_epoch = loader.steps.per_epoch();
        let (passes, left) = (self.n_steps / per_epoch, self.n_steps % per_epoch);
        let n_rows = passes * rows + left * loader.steps.batch_size();
        let of_stream = n_rows as f64 / lengths.rows.max(1) as f64;
        let work = Work {
            tokens: lengths.tokens as f64 * of_stream,
            attended: lengths.squares as f64 * of_stream,
            targets: lengths.targets as f64 * of_stream,
        };
        Ok((samples, memory, work))
    }

    /// Multiplications and additions a second, in products as the feed-forward network of the model makes them, of so many rows.
    fn speed<B: Backend>(&self, rows: usize, dtype: DType, device: &B::Device) -> f64 {
        let (d, wide) = (self.decoder.hidden_size, self.decoder.intermediate_size);
        let tensor =
            |shape, name| random::<B>(shape, Distribution::Default, 0, name, device).cast(dtype);
        let (states, weights) = (tensor([rows, d], "states"), tensor([wide, d], "weights"));
        let products = |n: u32| {
            for _ in 0..n {
                drop(states.clone().matmul(weights.clone().transpose()));
            }
            // A device that failed here fails again where it matters, and says so.
            B::sync(device).unwrap_or_default();
        };
        // The first one may choose, or even make, the program for it.
        products(1);
        let clock = Instant::now();
        let mut n_products = 0;
        while clock.elapsed() < MEASURED {
            products(PRODUCTS_AT_A_TIME);
            n_products += PRODUCTS_AT_A_TIME;
        }
        let of_product = 2.0 * rows as f64 * d as f64 * wide as f64;
        f64::from(n_products) * of_product / clock.elapsed().as_secs_f64()
    }
}
