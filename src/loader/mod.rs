//! From shards to micro-batches: reads the stream in order, tokenises ahead of the trainer.

mod micro;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

use rayon::prelude::*;

use crate::config::{LossOn, TooLong};
use crate::error::{Error, Result};
use crate::sample::Kind;
use crate::shards::{Plan, StreamReader, StreamSample};
use crate::tokenizer::ChatTokenizer;

pub use micro::{ByKind, Example, GlobalBatch, MicroBatch, micro_batches};

/// Steps tokenised ahead of the trainer.
const STEPS_AHEAD: usize = 4;

/// Rows whose lengths are checked at a time.
const ROWS_PER_CHECK: usize = 4_096;

/// The share of the task rows that may be too long.
const TOO_LONG_TASK_SHARE: f64 = 0.1;

/// What a step is made of.
#[derive(Clone, Debug)]
pub struct LoaderConfig {
    /// The build.
    pub folder: PathBuf,
    /// Its plan.
    pub plan: Plan,
    /// Samples in a step, before any is left out.
    pub batch_size: u64,
    /// Tokens in a sample.
    pub max_length: usize,
    /// What becomes of a sample with more.
    pub too_long: TooLong,
    /// Which tokens the loss counts.
    pub loss_on: LossOn,
    /// Tokens computed at a time.
    pub micro_tokens: usize,
}

impl LoaderConfig {
    /// Steps in a pass over the stream.
    pub fn steps_per_epoch(&self) -> u64 {
        self.plan.rows.div_ceil(self.batch_size)
    }

    /// The positions a step is formed from: every pass begins with position 0.
    pub fn positions(&self, step: u64) -> Range<u64> {
        let start = step % self.steps_per_epoch() * self.batch_size;
        start..(start + self.batch_size).min(self.plan.rows)
    }

    /// Tokenises ahead, in the order of the steps, on a thread of its own.
    pub fn start(
        self,
        tokenizer: Arc<ChatTokenizer>,
        steps: Range<u64>,
    ) -> (Receiver<Result<GlobalBatch>>, JoinHandle<()>) {
        let (sender, batches) = sync_channel(STEPS_AHEAD);
        let worker = thread::spawn(move || {
            for batch in Batches::new(self, tokenizer, steps) {
                let failed = batch.is_err();
                // The trainer has stopped, or will.
                if sender.send(batch).is_err() || failed {
                    break;
                }
            }
        });
        (batches, worker)
    }

    /// Refuses a fit that would leave out more than a tenth of the task.
    ///
    /// # Errors
    /// [`Error::TooLong`], and what reading the shards meets.
    pub fn check_lengths(&self, tokenizer: &ChatTokenizer) -> Result<()> {
        if self.too_long != TooLong::Drop {
            return Ok(());
        }
        let (mut n_tasks, mut n_long) = (0, 0);
        let mut samples = StreamReader::new(&self.folder, &self.plan, 0..self.plan.rows);
        while n_tasks < self.plan.task_rows {
            let block = samples
                .by_ref()
                .take(ROWS_PER_CHECK)
                .collect::<Result<Vec<_>>>()?;
            if block.is_empty() {
                break;
            }
            let tasks = block
                .into_par_iter()
                .filter(|sample| sample.kind == Kind::Task);
            let is_long = tasks
                .map(|sample| Ok(example(tokenizer, &sample)?.encoded.ids.len() > self.max_length));
            let is_long = is_long.collect::<Result<Vec<bool>>>()?;
            n_tasks += is_long.len() as u64;
            n_long += is_long.into_iter().filter(|&is_long| is_long).count() as u64;
        }
        if n_long as f64 > TOO_LONG_TASK_SHARE * n_tasks as f64 {
            let problem = format!(
                "{n_long} of {n_tasks} task samples have more than {} tokens and would be left out",
                self.max_length
            );
            return Err(Error::TooLong { problem });
        }
        Ok(())
    }
}

/// The steps of a fit, one after the other.
struct Batches {
    config: LoaderConfig,
    tokenizer: Arc<ChatTokenizer>,
    steps: Range<u64>,
    reader: Option<StreamReader>,
}

impl Batches {
    fn new(config: LoaderConfig, tokenizer: Arc<ChatTokenizer>, steps: Range<u64>) -> Batches {
        Batches {
            config,
            tokenizer,
            steps,
            reader: None,
        }
    }

    fn batch(&mut self, step: u64) -> Result<GlobalBatch> {
        let positions = self.config.positions(step);
        if positions.start == 0 {
            self.reader = None;
        }
        let reader = self.reader.get_or_insert_with(|| {
            let rest = positions.start..self.config.plan.rows;
            StreamReader::new(&self.config.folder, &self.config.plan, rest)
        });
        let n_rows = (positions.end - positions.start) as usize;
        let samples = reader.take(n_rows).collect::<Result<Vec<_>>>()?;
        let tokenizer = &*self.tokenizer;
        let examples = samples
            .into_par_iter()
            .map(|sample| example(tokenizer, &sample))
            .collect::<Result<Vec<_>>>()?;

        let mut batch = GlobalBatch {
            step,
            positions,
            micro_batches: Vec::new(),
            n_samples: 0,
            n_tokens: 0,
            n_targets: 0,
            too_long: ByKind::default(),
            no_target: ByKind::default(),
        };
        let mut kept = Vec::with_capacity(examples.len());
        for mut example in examples {
            if example.encoded.ids.len() > self.config.max_length {
                match self.config.too_long {
                    TooLong::Truncate => example.encoded.ids.truncate(self.config.max_length),
                    TooLong::Drop => {
                        batch.too_long.count(example.kind);
                        continue;
                    }
                    TooLong::Error => return Err(self.too_long(&example)),
                }
            }
            let n_targets = micro::supervised(&example.encoded, self.config.loss_on).len();
            if n_targets == 0 {
                batch.no_target.count(example.kind);
                continue;
            }
            batch.n_targets += n_targets;
            batch.n_tokens += example.encoded.ids.len();
            kept.push(example);
        }
        batch.n_samples = kept.len();
        batch.micro_batches = micro_batches(kept, self.config.micro_tokens, self.config.loss_on);
        Ok(batch)
    }

    fn too_long(&self, example: &Example) -> Error {
        Error::TooLong {
            problem: format!(
                "the sample at position {} has {} tokens, {} are allowed",
                example.position,
                example.encoded.ids.len(),
                self.config.max_length
            ),
        }
    }
}

fn example(tokenizer: &ChatTokenizer, sample: &StreamSample) -> Result<Example> {
    Ok(Example {
        position: sample.position,
        kind: sample.kind,
        encoded: tokenizer.sample(sample.prompt(), &sample.output)?,
    })
}

impl Iterator for Batches {
    type Item = Result<GlobalBatch>;

    fn next(&mut self) -> Option<Result<GlobalBatch>> {
        let step = self.steps.next()?;
        Some(self.batch(step))
    }
}
