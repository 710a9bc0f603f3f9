//! What every step of a fit measured: a line of JSON as it happens, a Parquet file at every checkpoint.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::shards::{FileEntry, FileWriter, Use};

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// The step, from 0.
    pub step: u64,
    /// The mean loss of the supervised tokens, in nats; none for a step without one.
    pub loss: Option<f64>,
    /// The same over the task's samples.
    pub task_loss: Option<f64>,
    /// The same over the others.
    pub diverse_loss: Option<f64>,
    /// The learning rate.
    pub lr: Option<f64>,
    /// The norm of the gradient before it was clipped.
    pub grad_norm: Option<f64>,
    /// Samples trained on.
    pub samples: u64,
    /// Tokens computed, padding left out.
    pub tokens: u64,
    /// Tokens the loss counted.
    pub targets: u64,
    /// Tokens a second, padding left out.
    pub tokens_per_second: f64,
    /// The loss on held-out task rows after the step, where it was measured.
    pub held_out_task_loss: Option<f64>,
    /// The same on held-out diverse rows.
    pub held_out_diverse_loss: Option<f64>,
}

/// Losses on held-out rows: the mean over their supervised tokens, in nats. They have 32 bits, which JSON gives back as they
/// were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeldOutLosses {
    /// Of the task.
    pub task: Option<f32>,
    /// Of the others.
    pub diverse: Option<f32>,
}

/// The step with the lowest held-out task loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestStep {
    /// Steps made until then.
    pub steps: u64,
    /// The loss.
    pub held_out_task_loss: f64,
    /// Steps after which it was measured.
    pub n_measured: u64,
}

/// The step with the lowest held-out task loss, the first of equal ones.
pub fn best_step(steps: &[Metrics]) -> Option<BestStep> {
    let measured = steps
        .iter()
        .filter_map(|step| Some((step.step + 1, step.held_out_task_loss?)));
    let n_measured = measured.clone().count() as u64;
    let (steps, held_out_task_loss) =
        measured.min_by(|(_, one), (_, other)| one.total_cmp(other))?;
    Some(BestStep {
        steps,
        held_out_task_loss,
        n_measured,
    })
}

/// The metrics of a fit, a line a step.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    file: File,
    steps: Vec<Metrics>,
}

impl MetricsLog {
    /// Continues the log after its first `n_steps` steps; what an interrupted run wrote beyond them is cut off.
    ///
    /// # Errors
    /// When the file cannot be read or written; [`Error::FitDamaged`] where a step is missing.
    pub fn resume(path: &Path, n_steps: u64) -> Result<MetricsLog> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            text => text.map_err(Error::read(path))?,
        };
        let mut lines = text.split_inclusive('\n');
        let mut n_bytes = 0;
        let mut steps = Vec::new();
        for step in 0..n_steps {
            let line = lines.next().unwrap_or_default();
            let metrics = serde_json::from_str(line).ok();
            let metrics = metrics.filter(|metrics: &Metrics| metrics.step == step);
            steps.push(metrics.ok_or_else(|| Error::FitDamaged {
                path: path.to_owned(),
                problem: format!("line {} is not that of step {step}", step + 1),
            })?);
            n_bytes += line.len() as u64;
        }
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).open(path);
        let file = file.map_err(Error::write(path))?;
        file.set_len(n_bytes).map_err(Error::write(path))?;
        Ok(MetricsLog {
            path: path.to_owned(),
            file,
            steps,
        })
    }

    /// All steps so far.
    pub fn steps(&self) -> &[Metrics] {
        &self.steps
    }

    /// Appends a step.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn push(&mut self, metrics: &Metrics) -> Result<()> {
        let mut line = serde_json::to_string(metrics).expect("numbers");
        // As a later run will read them: a number read from JSON may differ from the one written in its last bit.
        let read_back = serde_json::from_str(&line).expect("what was just written");
        self.steps.push(read_back);
        line.push('\n');
        self.file
            .write_all(line.as_bytes())
            .map_err(Error::write(&self.path))
    }

    /// Makes sure that a power cut loses none of them.
    ///
    /// # Errors
    /// When the disk does not take them.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(Error::write(&self.path))
    }

    /// The log as it is now, for the list of files.
    ///
    /// # Errors
    /// When it cannot be read back.
    pub fn entry(&self) -> Result<FileEntry> {
        let bytes = fs::read(&self.path).map_err(Error::read(&self.path))?;
        Ok(FileEntry::of_bytes(&bytes))
    }

    /// Writes all steps as a Parquet file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn to_parquet(&self, path: &Path) -> Result<FileEntry> {
        let steps = &self.steps;
        let number = |name: &'static str, of: fn(&Metrics) -> u64| -> (&'static str, ArrayRef) {
            (
                name,
                Arc::new(UInt64Array::from_iter_values(steps.iter().map(of))),
            )
        };
        let measure =
            |name: &'static str, of: fn(&Metrics) -> Option<f64>| -> (&'static str, ArrayRef) {
                (
                    name,
                    Arc::new(steps.iter().map(of).collect::<Float64Array>()),
                )
            };
        let columns = [
            number("step", |step| step.step),
            measure("loss", |step| step.loss),
            measure("task_loss", |step| step.task_loss),
            measure("diverse_loss", |step| step.diverse_loss),
            measure("lr", |step| step.lr),
            measure("grad_norm", |step| step.grad_norm),
            number("samples", |step| step.samples),
            number("tokens", |step| step.tokens),
            number("targets", |step| step.targets),
            measure("tokens_per_second", |step| Some(step.tokens_per_second)),
            measure("held_out_task_loss", |step| step.held_out_task_loss),
            measure("held_out_diverse_loss", |step| step.held_out_diverse_loss),
        ];
        let fields = columns.iter().map(|(name, column)| {
            let is_measure = column.data_type() == &DataType::Float64;
            Field::new(*name, column.data_type().clone(), is_measure)
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let columns = columns.into_iter().map(|(_, column)| column).collect();
        let batch =
            RecordBatch::try_new(Arc::clone(&schema), columns).expect("columns of one length");
        let mut writer = FileWriter::create(path, &schema, Use::Artefact)?;
        writer.push(batch)?;
        writer.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_step_is_the_first_with_the_lowest_loss() {
        let step = |step, held_out_task_loss| Metrics {
            step,
            loss: None,
            task_loss: None,
            diverse_loss: None,
            lr: None,
            grad_norm: None,
            samples: 0,
            tokens: 0,
            targets: 0,
            tokens_per_second: 0.0,
            held_out_task_loss,
            held_out_diverse_loss: Some(0.1),
        };
        let losses = [None, Some(2.0), Some(1.5), None, Some(1.5), Some(3.0)];
        let steps: Vec<_> = (0..)
            .zip(losses)
            .map(|(nth, loss)| step(nth, loss))
            .collect();
        let best = best_step(&steps).expect("a best step");
        assert_eq!(
            (best.steps, best.held_out_task_loss, best.n_measured),
            (3, 1.5, 4)
        );
        assert_eq!(best_step(&steps[..1]), None);
    }

    #[test]
    fn a_log_that_is_resumed_holds_the_same_bits() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("metrics.jsonl");
        let mut log = MetricsLog::resume(&path, 0).expect("an empty log");
        for step in 0..500 {
            // Numbers with all their digits.
            let number = Some((step as f64 * 0.37).sin() * 3.0);
            let metrics = Metrics {
                step,
                loss: number,
                task_loss: number,
                diverse_loss: None,
                lr: number.map(|number| number * 1e-7),
                grad_norm: number,
                samples: 3,
                tokens: 40,
                targets: 10,
                tokens_per_second: 1e5 / (step as f64 + 0.3),
                held_out_task_loss: number,
                held_out_diverse_loss: None,
            };
            log.push(&metrics).expect("written");
        }
        let resumed = MetricsLog::resume(&path, 500).expect("the same log");
        assert_eq!(resumed.steps(), log.steps());
    }
}
