//! From shards to micro-batches: reads the stream in order, tokenises ahead of the trainer.

mod held_out;
mod lengths;
mod micro;
mod steps;

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

use rayon::prelude::*;

use crate::config::{LossOn, TooLong};
use crate::error::{Error, Result};
use crate::sample::Kind;
use crate::shards::{Plan, StreamReader, StreamSample, Supply};
use crate::tokenizer::ChatTokenizer;

pub use held_out::{HeldOut, HeldOutFiles, HeldOutRows};
pub use lengths::Lengths;
pub use micro::{ByKind, Example, GlobalBatch, MicroBatch, MicroShape, micro_batches};
pub use steps::Steps;

/// Steps tokenised ahead of the trainer.
const STEPS_AHEAD: usize = 4;

/// Rows whose lengths are checked at a time.
const ROWS_PER_CHECK: usize = 4_096;

/// The share of the task samples that may be left out.
const LEFT_OUT_TASK_SHARE: f64 = 0.1;

/// What a step is made of.
#[derive(Clone, Debug)]
pub struct LoaderConfig {
    /// Where the shards come from.
    pub supply: Arc<dyn Supply>,
    /// The plan of their build.
    pub plan: Plan,
    /// Which samples a step is formed from, before any is left out.
    pub steps: Steps,
    /// Tokens in a sample.
    pub max_length: usize,
    /// What becomes of a sample with more.
    pub too_long: TooLong,
    /// Which tokens the loss counts.
    pub loss_on: LossOn,
    /// What is computed at a time.
    pub micro_shape: MicroShape,
}

impl LoaderConfig {
    /// The samples at these positions.
    fn reader(&self, positions: Range<u64>) -> StreamReader {
        StreamReader::new(Arc::clone(&self.supply), &self.plan, positions)
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

    /// Refuses, before the first step, a fit that would leave out more than a tenth of the task; with [`TooLong::Error`],
    /// one that would meet a sample that is too long. Reads the stream, so all of it has to be there.
    ///
    /// # Errors
    /// [`Error::TooLong`], and what reading the shards meets.
    pub fn check(&self, tokenizer: &ChatTokenizer) -> Result<()> {
        let (mut n_tasks, mut too_long, mut no_target) = (0, 0, 0);
        let mut samples = self.reader(0..self.plan.rows);
        // Behind the last task sample only an error may still be found.
        while n_tasks < self.plan.task_rows || self.too_long == TooLong::Error {
            let block = samples.by_ref().take(ROWS_PER_CHECK);
            let block = block.collect::<Result<Vec<_>>>()?;
            if block.is_empty() {
                break;
            }
            let fates = block
                .into_par_iter()
                .filter(|sample| sample.kind == Kind::Task || self.too_long == TooLong::Error)
                .map(|sample| Ok((sample.kind, self.fate(example(tokenizer, &sample)?)?)));
            // In the order of the stream, so that the first sample that cannot be used is named.
            for fate in fates.collect::<Vec<Result<_>>>() {
                let (Kind::Task, fate) = fate? else { continue };
                n_tasks += 1;
                too_long += u64::from(matches!(fate, Fate::TooLong));
                no_target += u64::from(matches!(fate, Fate::NoTarget));
            }
        }
        self.check_left_out(too_long, no_target)
    }

    /// Refuses a fit that leaves out more than a tenth of the task, of which so many samples of a pass were left out. Where
    /// the stream is still coming, this is asked step by step: it refuses what [`LoaderConfig::check`] would have refused,
    /// and nothing else, but only once too many were met.
    ///
    /// # Errors
    /// [`Error::TooLong`].
    pub fn check_left_out(&self, too_long: u64, no_target: u64) -> Result<()> {
        let n_tasks = self.plan.task_rows;
        if (too_long + no_target) as f64 <= LEFT_OUT_TASK_SHARE * n_tasks as f64 {
            return Ok(());
        }
        let max = self.max_length;
        let problem = match (too_long, no_target) {
            (n, 0) => {
                format!(
                    "{n} of {n_tasks} task samples have more than {max} tokens and would be left out"
                )
            }
            (0, n) => format!(
                "{n} of {n_tasks} task samples have no supervised token among their first {max} and would be left out"
            ),
            (long, empty) => format!(
                "{} of {n_tasks} task samples would be left out: {long} have more than {max} tokens, {empty} no supervised one",
                long + empty
            ),
        };
        Err(Error::TooLong { problem })
    }

    /// What becomes of a sample.
    fn fate(&self, mut example: Example) -> Result<Fate> {
        let n_tokens = example.encoded.ids.len();
        if n_tokens > self.max_length {
            match self.too_long {
                TooLong::Truncate => example.encoded.ids.truncate(self.max_length),
                TooLong::Drop => return Ok(Fate::TooLong),
                TooLong::Error => {
                    return Err(Error::TooLong {
                        problem: format!(
                            "the sample at position {} has {n_tokens} tokens, {} are allowed",
                            example.position, self.max_length
                        ),
                    });
                }
            }
        }
        Ok(
            match micro::supervised(&example.encoded, self.loss_on).len() {
                0 => Fate::NoTarget,
                n_targets => Fate::Used(example, n_targets),
            },
        )
    }
}

/// What becomes of a sample.
enum Fate {
    /// It is trained on, and the loss counts so many of its tokens.
    Used(Example, usize),
    /// It is left out because it has too many tokens.
    TooLong,
    /// It is left out because none of its tokens would be counted.
    NoTarget,
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
        let positions = self.config.steps.positions(step);
        if positions.start == 0 {
            self.reader = None;
        }
        let reader = self
            .reader
            .get_or_insert_with(|| self.config.reader(positions.start..self.config.plan.rows));
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
        for example in examples {
            let kind = example.kind;
            match self.config.fate(example)? {
                Fate::TooLong => batch.too_long.count(kind),
                Fate::NoTarget => batch.no_target.count(kind),
                Fate::Used(example, n_targets) => {
                    batch.n_targets += n_targets;
                    batch.n_tokens += example.encoded.ids.len();
                    kept.push(example);
                }
            }
        }
        batch.n_samples = kept.len();
        batch.micro_batches = micro_batches(kept, self.config.micro_shape, self.config.loss_on);
        Ok(batch)
    }
}

fn example(tokenizer: &ChatTokenizer, sample: &StreamSample) -> Result<Example> {
    let &StreamSample { position, kind, .. } = sample;
    let encoded = tokenizer.sample(sample.prompt(), &sample.output);
    let encoded = encoded.map_err(|error| Error::LaidOut {
        position,
        of: "the stream",
        source: Box::new(error),
    })?;
    Ok(Example {
        position,
        kind,
        encoded,
    })
}

impl Iterator for Batches {
    type Item = Result<GlobalBatch>;

    fn next(&mut self) -> Option<Result<GlobalBatch>> {
        let step = self.steps.next()?;
        Some(self.batch(step))
    }
}
