//! The curves of a fit as TensorBoard reads them: event files of framed protocol buffers.
//!
//! A run that goes on writes a file of its own, whose session start makes TensorBoard forget what the one before wrote
//! beyond the checkpoint.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message as _;

use crate::error::{Error, Result};

use super::Metrics;

/// What the name of every event file begins with.
const PREFIX: &str = "events.out.tfevents.";

/// The first event of every file.
const VERSION: &str = "brain.Event:2";

/// The status of a session that starts.
const START: i32 = 1;

/// Where a curve takes its value at a step from.
type Of = fn(&Metrics) -> Option<f64>;

/// What is drawn: the tag of every curve, and its values.
const SCALARS: [(&str, Of); 8] = [
    ("loss/all", |step| step.loss),
    ("loss/task", |step| step.task_loss),
    ("loss/diverse", |step| step.diverse_loss),
    ("lr", |step| step.lr),
    ("grad_norm", |step| step.grad_norm),
    ("tokens_per_second", |step| Some(step.tokens_per_second)),
    ("held_out/task", |step| step.held_out_task_loss),
    ("held_out/diverse", |step| step.held_out_diverse_loss),
];

/// An event: the part of TensorFlow's `event.proto` that is written here.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub wall_time: f64,
    /// The step.
    #[prost(int64, tag = "2")]
    pub step: i64,
    /// `brain.Event:2`, in the first event of a file.
    #[prost(string, optional, tag = "3")]
    pub file_version: Option<String>,
    /// Values measured at the step.
    #[prost(message, optional, tag = "5")]
    pub summary: Option<Summary>,
    /// The start of a run.
    #[prost(message, optional, tag = "7")]
    pub session_log: Option<SessionLog>,
}

/// Values of a step.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Summary {
    /// One for every curve that has a point here.
    #[prost(message, repeated, tag = "1")]
    pub value: Vec<Scalar>,
}

/// A value.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Scalar {
    /// The curve.
    #[prost(string, tag = "1")]
    pub tag: String,
    /// The number, written also where it is 0: a value that is not there would be no point.
    #[prost(float, optional, tag = "2")]
    pub simple_value: Option<f32>,
}

/// The state of a run.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SessionLog {
    /// 1 for its start.
    #[prost(int32, tag = "1")]
    pub status: i32,
}

/// An event file that is written.
#[derive(Debug)]
pub struct EventLog {
    path: PathBuf,
    file: File,
}

impl EventLog {
    /// Starts a file in `folder`, for steps from `next_step` on; later steps in the files that are there no longer count.
    ///
    /// # Errors
    /// When the folder or file cannot be written.
    pub fn start(folder: &Path, next_step: u64) -> Result<EventLog> {
        fs::create_dir_all(folder).map_err(Error::write(folder))?;
        let now = seconds();
        // Files are read in the order of their names: this one comes last, whatever the clock says.
        let second = (now as u64).max(last_second(folder)? + 1);
        let name = format!("{PREFIX}{second:010}.delia.{}", std::process::id());
        let path = folder.join(name);
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(Error::write(&path))?;
        let mut log = EventLog { path, file };
        log.write(&Event {
            wall_time: now,
            file_version: Some(VERSION.to_owned()),
            ..Event::default()
        })?;
        log.write(&Event {
            wall_time: now,
            step: next_step as i64,
            session_log: Some(SessionLog { status: START }),
            ..Event::default()
        })?;
        Ok(log)
    }

    /// Appends a step.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn push(&mut self, metrics: &Metrics) -> Result<()> {
        let values = SCALARS.iter().filter_map(|(tag, of)| {
            Some(Scalar {
                tag: (*tag).to_owned(),
                simple_value: Some(of(metrics)? as f32),
            })
        });
        self.write(&Event {
            wall_time: seconds(),
            step: metrics.step as i64,
            summary: Some(Summary {
                value: values.collect(),
            }),
            ..Event::default()
        })
    }

    fn write(&mut self, event: &Event) -> Result<()> {
        let record = framed(&event.encode_to_vec());
        // At once, so that whoever watches sees every step.
        self.file
            .write_all(&record)
            .map_err(Error::write(&self.path))
    }
}

/// A record of TFRecord: its length, the checksum of that, the bytes, their checksum; all numbers little-endian.
fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(bytes.len() + 16);
    record.extend(length);
    record.extend(masked_crc(&length).to_le_bytes());
    record.extend(bytes);
    record.extend(masked_crc(bytes).to_le_bytes());
    record
}

/// CRC-32C, turned and shifted: a checksum of bytes that hold checksums says little.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

fn seconds() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

/// The second in the name of the last event file of a folder.
fn last_second(folder: &Path) -> Result<u64> {
    let entries = fs::read_dir(folder).map_err(Error::read(folder))?;
    let seconds = entries.filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        let second = name.strip_prefix(PREFIX)?.split('.').next()?;
        second.parse::<u64>().ok()
    });
    Ok(seconds.max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_tensorboard() {
        // crc32c("123456789") is the published check value, 0xe3069283; the others are of
        // tensorboard.compat.tensorflow_stub.pywrap_tensorflow.masked_crc32c.
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        for (bytes, expected) in [
            (&b""[..], 0xa282_ead8),
            (b"123456789", 0xc78a_b0e5),
            (&18_u64.to_le_bytes(), 0x2564_1f24),
        ] {
            assert_eq!(masked_crc(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_file_is_the_last_by_name_even_within_a_second() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut names = Vec::new();
        for step in 0..3 {
            EventLog::start(folder.path(), step).expect("started");
            let there = fs::read_dir(folder.path()).expect("a folder");
            let mut there: Vec<_> = there
                .map(|entry| entry.expect("an entry").file_name())
                .collect();
            there.sort();
            assert!(there.starts_with(&names), "{there:?}");
            names = there;
            assert_eq!(names.len() as u64, step + 1);
        }
    }
}
