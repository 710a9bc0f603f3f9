//! The held-out loss: on which rows, and after which steps.

use burn::tensor::backend::AutodiffBackend;

use crate::config::{EvalEvery, Keep};
use crate::error::{Error, Result};
use crate::loader::{HeldOut, HeldOutRows};
use crate::model::Kernels;
use crate::report::{HeldOutLosses, grouped};
use crate::trainer::Trainer;

use super::Plan;

/// What a fit is measured on; nothing, until it is read.
#[derive(Debug, Default)]
pub(super) struct Evaluation {
    held_out: HeldOut,
    /// Steps between two measurements; `None` for never.
    every: Option<u64>,
    n_steps: u64,
}

impl Evaluation {
    /// Reads the held-out rows, where any are to be measured on.
    pub(super) fn read(plan: &Plan<'_>) -> Result<Evaluation> {
        let config = plan.config;
        if config.eval_every == EvalEvery::Off {
            return Ok(Evaluation::default());
        }
        let held_out = HeldOut::read(
            &plan.loader,
            &plan.tokenizer,
            &|kind| plan.stream.held_out(kind, plan.request),
            config.eval_rows,
        )?;
        if config.keep == Keep::Best && held_out.task.n_rows == 0 {
            return Err(Error::Setting {
                key: "keep",
                problem: format!(
                    "`best` is told by the held-out task loss, and {}",
                    match held_out.task.n_left_out {
                        0 if plan.stream.is_followed() => {
                            "those of a build that is followed are not read".to_owned()
                        }
                        0 => "the build holds out no task row".to_owned(),
                        n => format!("of {n} held-out task rows none can be used"),
                    }
                ),
                hint: "`delia-build --held-out FILE` sets task rows aside".to_owned(),
            });
        }
        let n_samples = (plan.n_steps * plan.loader.steps.batch_size())
            .min(plan.loader.plan.rows * u64::from(config.epochs));
        let every = config
            .eval_every
            .resolve(held_out.n_rows(), plan.n_steps, n_samples);
        Ok(Evaluation {
            held_out,
            every,
            n_steps: plan.n_steps,
        })
    }

    /// Whether anything is ever measured.
    pub(super) fn is_on(&self) -> bool {
        self.every.is_some()
    }

    /// Whether it is time to measure after so many steps: also after the last.
    pub(super) fn is_due(&self, steps: u64) -> bool {
        self.every
            .is_some_and(|every| steps.is_multiple_of(every) || steps == self.n_steps)
    }

    /// The losses of the decoder as it is now.
    pub(super) fn measure<B>(&self, trainer: &Trainer<B>) -> HeldOutLosses
    where
        B: AutodiffBackend + Kernels,
        B::InnerBackend: Kernels,
    {
        // JSON has no number for a loss that is none.
        let loss = |rows: &HeldOutRows| {
            let loss = trainer.evaluate(&rows.micro_batches)?;
            Some(loss as f32).filter(|loss| loss.is_finite())
        };
        HeldOutLosses {
            task: loss(&self.held_out.task),
            diverse: loss(&self.held_out.diverse),
        }
    }

    /// What the user should know of it, if anything.
    pub(super) fn note(&self, plan: &Plan<'_>) -> Option<String> {
        let asked = plan.config.eval_every;
        let Some(every) = self.every else {
            if plan.stream.is_followed() && asked != EvalEvery::Off {
                let note = "no held-out loss is measured while a build is followed";
                return Some(note.to_owned());
            }
            let is_asked = matches!(asked, EvalEvery::Steps(_));
            return is_asked
                .then(|| "the build holds out no row: no held-out loss is measured".to_owned());
        };
        let rows = |what: &str, rows: &HeldOutRows| {
            let left_out = match rows.n_left_out {
                0 => String::new(),
                n => format!(
                    " ({} left out: too long, or without a supervised token)",
                    grouped(n)
                ),
            };
            (rows.n_in_build > 0).then(|| {
                format!(
                    "{} of {} {what} rows{left_out}",
                    grouped(rows.n_rows),
                    grouped(rows.n_in_build)
                )
            })
        };
        let (task, diverse) = (&self.held_out.task, &self.held_out.diverse);
        let rows: Vec<_> = [rows("task", task), rows("diverse", diverse)]
            .into_iter()
            .flatten()
            .collect();
        let when = match every {
            every if every < self.n_steps => format!("every {} steps and ", grouped(every)),
            _ => String::new(),
        };
        Some(format!(
            "held-out loss on {}: before the first step, {when}after the last",
            rows.join(" and ")
        ))
    }
}
