//! The training: from the first step, or that after the last checkpoint, to what it leaves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use burn::tensor::backend::AutodiffBackend;

use crate::checkpoint::{Checkpoint, Progress, Saved};
use crate::config::Keep;
use crate::error::{Error, Result};
use crate::loader::GlobalBatch;
use crate::model::{Decoder, Kernels};
use crate::report::tensorboard::EventLog;
use crate::report::{
    BestStep, FitReport, HeldOutLosses, Metrics, MetricsLog, Outcome, Tried, best_step, grouped,
    held_out_points, held_out_rows, loss_chart, loss_rows,
};
use crate::trainer::{StepLoss, Trainer};

use super::checkpoints::Checkpoints;
use super::folder::{Files, FitFolder, LOSS_CHART, METRICS, METRICS_PARQUET, checkpoint_name};
use super::stream::Next;
use super::{FitEvent, Plan};
use super::{exports, result};

/// A fit under way.
pub(super) struct Run<'a, B: AutodiffBackend> {
    plan: &'a Plan<'a>,
    folder: &'a FitFolder,
    checkpoints: Checkpoints<'a>,
    trainer: Trainer<B>,
    progress: Progress,
    log: MetricsLog,
    events: Option<EventLog>,
}

impl<'a, B> Run<'a, B>
where
    B: AutodiffBackend + Kernels,
    B::InnerBackend: Kernels,
{
    /// Begins with the decoder as it is, or goes on from the checkpoint in the folder.
    pub(super) fn begin(
        plan: &'a Plan<'a>,
        folder: &'a FitFolder,
        decoder: Decoder<B>,
        watch: &dyn Fn(FitEvent<'_>),
    ) -> Result<Run<'a, B>> {
        let checkpoints = Checkpoints::of(folder, plan.config.keep)?;
        let (tensors, progress) = match checkpoints.newest()? {
            Some(saved) => (Some(saved.tensors), saved.progress),
            None => (None, Progress::default()),
        };
        let events = plan.request.log_tensorboard;
        let events = events.map(|events| EventLog::start(events, progress.steps));
        let mut run = Run {
            plan,
            folder,
            checkpoints,
            trainer: Trainer::new(decoder, plan.trainer_config()),
            progress,
            log: MetricsLog::resume(&folder.file(METRICS), progress.steps)?,
            events: events.transpose()?,
        };
        if let Some(tensors) = tensors {
            run.restore(tensors, progress.steps)?;
            if let Some(best) = run.best().filter(|best| best.steps < progress.steps) {
                // Whether the fit can end is not to be found out in the end.
                run.checkpoints.read(best.steps)?;
            }
            let note = format!("going on after {} steps", grouped(progress.steps));
            watch(FitEvent::Note(note));
        }
        if let Some(note) = plan.evaluation.note(plan) {
            watch(FitEvent::Note(note));
        }
        Ok(run)
    }

    /// Takes over the tensors of the state after so many steps.
    fn restore(&mut self, tensors: BTreeMap<String, Saved>, steps: u64) -> Result<()> {
        let restored = self.trainer.restore(tensors);
        restored.map_err(|tensor| Error::Checkpoint {
            path: self.folder.file(&checkpoint_name(steps)),
            problem: format!("tensor `{tensor}` is missing or has another shape"),
            older: None,
        })
    }

    /// The decoder.
    pub(super) fn decoder(&self) -> &Decoder<B> {
        self.trainer.decoder()
    }

    /// All steps that are left; leaves the decoder as the fit ends with it.
    pub(super) fn train(&mut self, watch: &dyn Fn(FitEvent<'_>)) -> Result<()> {
        let plan = self.plan;
        let (batches, worker) = plan.loader.clone().start(
            Arc::clone(&plan.tokenizer),
            self.progress.steps..plan.n_steps,
        );
        watch(FitEvent::Started {
            done: self.progress.steps,
            total: plan.n_steps,
        });
        if self.progress.steps == 0 && plan.evaluation.is_on() {
            self.progress.held_out_before = self.measure();
        }
        let mut clock = Instant::now();
        loop {
            let since = Instant::now();
            let batch = match plan.next(&batches, watch) {
                Ok(Next::Step(batch)) => batch,
                Ok(Next::End) => break,
                Ok(Next::Stop) => return self.stop(),
                // What was made of the shards before this one is kept: fetching it may work the next time.
                Err(error) => {
                    self.save()?;
                    return Err(error);
                }
            };
            self.progress.waiting_seconds += since.elapsed().as_secs_f64();
            plan.check_so_far(&self.progress, &batch)?;
            let loss = self.step(&batch)?;
            // Waiting for the batch and saving the step before are part of a step's time.
            let seconds = clock.elapsed().as_secs_f64();
            let held_out = match plan.evaluation.is_due(batch.step + 1) {
                true => self.measure(),
                false => HeldOutLosses::default(),
            };
            clock = Instant::now();
            let metrics = metrics(&batch, loss, held_out, seconds);
            self.log.push(&metrics)?;
            if let Some(events) = &mut self.events {
                events.push(&metrics)?;
            }
            count(&mut self.progress, &batch, seconds);
            watch(FitEvent::Step {
                done: self.progress.steps,
                metrics: &metrics,
            });
            let steps = self.progress.steps;
            let stop = plan.request.stop.load(Ordering::Relaxed) && steps < plan.n_steps;
            let is_best = self.best().is_some_and(|best| best.steps == steps);
            if stop || is_best || steps.is_multiple_of(plan.config.save_every) {
                self.save()?;
            }
            if stop {
                return Err(Error::Interrupted {
                    n_done: steps,
                    what: "steps",
                });
            }
        }
        if self.progress.steps < plan.n_steps {
            // The worker ended before its work did: it panicked, and has said so.
            let panic = worker.join().expect_err("it sends every batch or an error");
            std::panic::resume_unwind(panic);
        }
        // The last steps are kept until everything that is made of them is written.
        self.save()?;
        match self.best().filter(|best| best.steps < plan.n_steps) {
            None => Ok(()),
            Some(best) => self.restore(self.checkpoints.read(best.steps)?.tensors, best.steps),
        }
    }

    /// Ends the fit between two steps.
    fn stop(&mut self) -> Result<()> {
        self.save()?;
        Err(Error::Interrupted {
            n_done: self.progress.steps,
            what: "steps",
        })
    }

    /// A step. One that fails has changed nothing: what came before it is saved.
    fn step(&mut self, batch: &GlobalBatch) -> Result<Option<StepLoss>> {
        let (what, step, positions) = match self.trainer.step(batch) {
            Err(Error::NotANumber {
                what,
                step,
                positions,
            }) => (what, step, positions),
            other => return other,
        };
        self.save()?;
        let name = checkpoint_name(self.progress.steps);
        Err(Error::Diverged {
            what,
            step,
            positions,
            checkpoint: (self.progress.steps > 0).then(|| self.folder.file(&name)),
        })
    }

    /// The losses on held-out rows now.
    fn measure(&mut self) -> HeldOutLosses {
        let clock = Instant::now();
        let losses = self.plan.evaluation.measure(&self.trainer);
        let seconds = clock.elapsed().as_secs_f64();
        self.progress.seconds += seconds;
        self.progress.evaluation_seconds += seconds;
        losses
    }

    /// The best step so far, where the fit is to end with that.
    fn best(&self) -> Option<BestStep> {
        match self.plan.config.keep {
            Keep::Last(_) => None,
            Keep::Best => best_step(self.log.steps()),
        }
    }

    /// Keeps the state as it is now. Before the first step there is nothing to keep: settings can still be mended.
    fn save(&mut self) -> Result<()> {
        if self.progress.steps == 0 {
            return Ok(());
        }
        // The log first: a checkpoint never knows of a step that the log has lost.
        self.log.sync()?;
        let checkpoint = Checkpoint {
            run: self.checkpoints.run().to_owned(),
            progress: self.progress,
            tensors: self.trainer.save(),
        };
        let best = self.best().map(|best| best.steps);
        self.checkpoints.write(&checkpoint, best)?;
        self.log.to_parquet(&self.folder.file(METRICS_PARQUET))?;
        self.write_chart(&mut Files::new())
    }

    /// Writes what the training has led to, the report last.
    pub(super) fn finish(
        mut self,
        tried: Option<Tried>,
        watch: &dyn Fn(FitEvent<'_>),
    ) -> Result<FitReport> {
        let (plan, progress) = (self.plan, self.progress);
        if progress.targets == 0 {
            // Nothing is lost: who mends a setting begins anew.
            self.folder.remove_checkpoints_but(&[])?;
            return Err(Error::TooLong {
                problem: format!(
                    "nothing was trained: no sample of the {} steps has a supervised token within {} tokens",
                    progress.steps, plan.loader.max_length
                ),
            });
        }
        let decoder = self.trainer.decoder_mut();
        let trained = decoder.trained_mut();
        let n_trained = trained
            .iter()
            .map(|(_, tensor)| tensor.shape().num_elements() as u64)
            .sum();
        let mut files = if plan.config.full {
            result::model(self.folder, plan, decoder)?
        } else {
            result::adapter(self.folder, plan, decoder)?
        };
        exports::write(plan, self.folder, &mut files, watch)?;
        self.write_metrics(&mut files)?;
        let mut losses = loss_rows(self.log.steps());
        losses.extend(held_out_rows(progress.held_out_before, self.log.steps()));
        let report = FitReport {
            out: plan.request.out.to_owned(),
            outcome: Outcome::Built,
            device: plan.device.device.to_string(),
            parameters: plan.decoder.n_parameters() as u64,
            trained_parameters: n_trained,
            steps: progress.steps,
            samples: progress.samples,
            too_long: progress.too_long.total(),
            no_target: progress.no_target.total(),
            tokens: progress.tokens,
            padding: 1.0 - progress.tokens as f64 / progress.padded_tokens as f64,
            tokens_per_second: progress.tokens as f64
                / (progress.seconds - progress.evaluation_seconds).max(f64::MIN_POSITIVE),
            seconds: progress.seconds,
            evaluation_seconds: progress.evaluation_seconds,
            waiting_seconds: progress.waiting_seconds,
            losses,
            best: self.best(),
            tried,
            files,
        };
        self.folder.finish(&report)?;
        Ok(report)
    }

    fn write_metrics(&self, files: &mut Files) -> Result<()> {
        let parquet = self.log.to_parquet(&self.folder.file(METRICS_PARQUET))?;
        files.insert(METRICS_PARQUET.to_owned(), parquet);
        files.insert(METRICS.to_owned(), self.log.entry()?);
        self.write_chart(files)
    }

    fn write_chart(&self, files: &mut Files) -> Result<()> {
        let steps = self.log.steps();
        let held_out = held_out_points(self.progress.held_out_before, steps);
        let chart = loss_chart(steps, &held_out);
        self.folder.write(files, LOSS_CHART, chart.as_bytes())
    }
}

fn metrics(
    batch: &GlobalBatch,
    loss: Option<StepLoss>,
    held_out: HeldOutLosses,
    seconds: f64,
) -> Metrics {
    Metrics {
        step: batch.step,
        loss: loss.map(|loss| loss.loss),
        task_loss: loss.and_then(|loss| loss.task),
        diverse_loss: loss.and_then(|loss| loss.diverse),
        lr: loss.map(|loss| loss.lr),
        grad_norm: loss.map(|loss| loss.grad_norm),
        samples: batch.n_samples as u64,
        tokens: batch.n_tokens as u64,
        targets: batch.n_targets as u64,
        tokens_per_second: batch.n_tokens as f64 / seconds.max(f64::MIN_POSITIVE),
        held_out_task_loss: held_out.task.map(f64::from),
        held_out_diverse_loss: held_out.diverse.map(f64::from),
    }
}

fn count(progress: &mut Progress, batch: &GlobalBatch, seconds: f64) {
    progress.steps = batch.step + 1;
    progress.samples += batch.n_samples as u64;
    progress.tokens += batch.n_tokens as u64;
    progress.padded_tokens += batch
        .micro_batches
        .iter()
        .map(|micro| micro.ids.len() as u64)
        .sum::<u64>();
    progress.targets += batch.n_targets as u64;
    progress.too_long += batch.too_long;
    progress.no_target += batch.no_target;
    progress.seconds += seconds;
}
