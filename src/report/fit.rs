//! The summary of a fit.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::config::Export;
use crate::shards::FileEntry;

use super::build::grouped;
use super::table::{Style, render};
use super::{BestStep, HeldOutLosses, Metrics, Outcome};

/// Steps whose losses are averaged for the summary.
const STEPS_AVERAGED: usize = 20;

/// What a fit did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FitReport {
    /// Where the adapter or model is.
    pub out: PathBuf,
    /// Whether there was anything to do.
    pub outcome: Outcome,
    /// The device it ran on.
    pub device: String,
    /// Weights of the model.
    pub parameters: u64,
    /// Those of them that were trained, and those that were added.
    pub trained_parameters: u64,
    /// Steps.
    pub steps: u64,
    /// Samples trained on.
    pub samples: u64,
    /// Samples left out because they have too many tokens.
    pub too_long: u64,
    /// Samples left out because none of their tokens would be counted.
    pub no_target: u64,
    /// Tokens computed, padding left out.
    pub tokens: u64,
    /// The share of padding in everything computed.
    pub padding: f64,
    /// Tokens a second over all runs, padding and measuring on held-out rows left out.
    pub tokens_per_second: f64,
    /// Seconds from the first step on over all runs, waiting, measuring and saving included.
    pub seconds: f64,
    /// Those of them that measuring on held-out rows took.
    #[serde(default)]
    pub evaluation_seconds: f64,
    /// Those of them in which the next samples were waited for.
    #[serde(default)]
    pub waiting_seconds: f64,
    /// Losses over the first steps and over the last.
    pub losses: Vec<LossRow>,
    /// The step the fit ends with, where that is not the last but the best.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<BestStep>,
    /// What the model answered before and after, where a prompt was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tried: Option<Tried>,
    /// The files it wrote.
    pub files: BTreeMap<String, FileEntry>,
}

/// A loss at the beginning and at the end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LossRow {
    /// What it was measured on.
    pub on: String,
    /// Mean over the first steps; for held-out rows, before the first.
    pub first: f64,
    /// Mean over the last steps; for held-out rows, after the last.
    pub last: f64,
}

/// A prompt and its responses.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tried {
    /// The prompt.
    pub prompt: String,
    /// The base model's response.
    pub before: String,
    /// The trained model's.
    pub after: String,
}

/// Means over the first and the last steps, of all samples, the task's, and the others.
pub fn loss_rows(steps: &[Metrics]) -> Vec<LossRow> {
    type Of = fn(&Metrics) -> Option<f64>;
    let kinds: [(&'static str, Of); 3] = [
        ("all", |step| step.loss),
        ("task", |step| step.task_loss),
        ("diverse", |step| step.diverse_loss),
    ];
    let rows = kinds.into_iter().filter_map(|(on, of)| {
        let losses: Vec<f64> = steps.iter().filter_map(of).collect();
        let n = STEPS_AVERAGED.min(losses.len().div_ceil(2)).max(1);
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        Some(LossRow {
            on: on.to_owned(),
            first: mean(losses.get(..n)?),
            last: mean(&losses[losses.len() - n..]),
        })
    });
    rows.collect()
}

/// Losses on held-out rows before the first step and after the last, where they were measured.
pub fn held_out_rows(before: HeldOutLosses, steps: &[Metrics]) -> Vec<LossRow> {
    let last = steps.last();
    let kinds = [
        (
            "held-out task",
            before.task,
            last.and_then(|step| step.held_out_task_loss),
        ),
        (
            "held-out diverse",
            before.diverse,
            last.and_then(|step| step.held_out_diverse_loss),
        ),
    ];
    let rows = kinds.into_iter().filter_map(|(on, first, last)| {
        Some(LossRow {
            on: on.to_owned(),
            first: first?.into(),
            last: last?,
        })
    });
    rows.collect()
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "prompt  {}\nbefore  {}\nafter   {}",
            self.prompt, self.before, self.after
        )
    }
}

impl FitReport {
    /// A line for every export: its folder, and how much it holds.
    fn exports(&self) -> String {
        let folders = Export::WITH_FOLDER.into_iter().filter_map(Export::folder);
        let lines = folders.filter_map(|folder| {
            let files = self.files.iter();
            let of_folder = files.filter(|(name, _)| {
                let rest = name.strip_prefix(folder);
                rest.is_some_and(|rest| rest.starts_with('/'))
            });
            let sizes: Vec<u64> = of_folder.map(|(_, entry)| entry.bytes).collect();
            let (out, n_files) = (self.out.join(folder), sizes.len());
            let size = ByteSize::b(sizes.iter().sum()).display().si();
            (n_files > 0).then(|| format!("export  `{}`: {n_files} files, {size}\n", out.display()))
        });
        lines.collect()
    }
}

impl fmt::Display for FitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.outcome == Outcome::UpToDate {
            if let Some(tried) = &self.tried {
                writeln!(f, "{tried}\n")?;
            }
            return write!(
                f,
                "{}`{}` is up to date: every file is as this fit wrote it",
                self.exports(),
                self.out.display()
            );
        }
        let header = ["loss on", "first steps", "last steps"].map(str::to_owned);
        let rows: Vec<_> = self
            .losses
            .iter()
            .map(|row| {
                vec![
                    row.on.clone(),
                    format!("{:.4}", row.first),
                    format!("{:.4}", row.last),
                ]
            })
            .collect();
        if !rows.is_empty() {
            writeln!(
                f,
                "{}\n",
                render(Style::Terminal, &header, &[false, true, true], &rows)
            )?;
        }
        if let Some(tried) = &self.tried {
            writeln!(f, "{tried}\n")?;
        }
        let share = 100.0 * self.trained_parameters as f64 / self.parameters as f64;
        writeln!(
            f,
            "fit     `{}`: {} weights trained, {share:.1} % of the {} of the model",
            self.out.display(),
            grouped(self.trained_parameters),
            grouped(self.parameters),
        )?;
        f.write_str(&self.exports())?;
        writeln!(
            f,
            "steps   {}: {} samples, {} tokens, {:.0} % padding",
            grouped(self.steps),
            grouped(self.samples),
            grouped(self.tokens),
            100.0 * self.padding,
        )?;
        for (n, why) in [
            (self.too_long, "too long"),
            (self.no_target, "without a supervised token"),
        ] {
            if n > 0 {
                writeln!(f, "note    {} samples left out: {why}", grouped(n))?;
            }
        }
        if let Some(best) = self.best {
            writeln!(
                f,
                "kept    the state after {} of {} steps: its held-out task loss, {:.4}, is the lowest of {}",
                grouped(best.steps),
                grouped(self.steps),
                best.held_out_task_loss,
                grouped(best.n_measured),
            )?;
        }
        let measuring = match self.evaluation_seconds {
            0.0 => String::new(),
            seconds => format!(", {seconds:.1} s of them measuring on held-out rows"),
        };
        write!(
            f,
            "time    {:.1} s on {}{measuring}, {:.1} s waiting for samples, {} tokens/s",
            self.seconds,
            self.device,
            self.waiting_seconds,
            grouped(self.tokens_per_second as u64)
        )
    }
}
