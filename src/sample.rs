//! The sample and its Arrow schema: the one thing both halves of Delia agree on.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use serde::{Deserialize, Serialize};

/// Bytes of a [`sample_id`].
pub const SAMPLE_ID_BYTES: usize = 16;

/// Whether a row teaches the task or surrounds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One of the few samples of the task.
    Task,
    /// One of the many samples around them.
    Diverse,
    /// A task sample kept away from training.
    HeldOut,
    /// A sample of a benchmark, only compared with.
    Eval,
}

impl Kind {
    /// The value of the `kind` column.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Task => "task",
            Kind::Diverse => "diverse",
            Kind::HeldOut => "held_out",
            Kind::Eval => "eval",
        }
    }
}

/// What a model is asked: the instruction, and what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prompt<'a> {
    /// What is asked for.
    pub instruction: &'a str,
    /// What it is asked about, or empty.
    pub input: &'a str,
}

impl<'a> Prompt<'a> {
    /// Instruction and input as one text, with a line break between them where there are both.
    pub fn text(self) -> Cow<'a, str> {
        match (self.instruction, self.input) {
            (instruction, "") => Cow::Borrowed(instruction),
            ("", input) => Cow::Borrowed(input),
            (instruction, input) => Cow::Owned(format!("{instruction}\n{input}")),
        }
    }
}

/// The schema of every shard. README lists what each column means.
pub fn shard_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let required = |name, data_type| Field::new(name, data_type, false);
        let optional = |name, data_type| Field::new(name, data_type, true);
        Arc::new(Schema::new(vec![
            required("position", DataType::UInt64),
            required("kind", DataType::Utf8),
            required("source", DataType::Utf8),
            required("source_row", DataType::UInt64),
            required("sample_id", sample_id_type()),
            optional("task_row", DataType::UInt64),
            optional("direction", DataType::Utf8),
            required("repeat", DataType::UInt32),
            required("instruction", DataType::Utf8),
            required("input", DataType::Utf8),
            required("output", DataType::Utf8),
        ]))
    });
    Arc::clone(&SCHEMA)
}

/// The Arrow type of a sample's identity.
pub fn sample_id_type() -> DataType {
    DataType::FixedSizeBinary(SAMPLE_ID_BYTES as i32)
}

/// The identity of a sample: the first 16 bytes of BLAKE3 over its three texts, each preceded by its length in bytes as a
/// little-endian u64. Two samples are equal exactly when all three texts are, byte for byte.
pub fn sample_id(instruction: &str, input: &str, output: &str) -> [u8; SAMPLE_ID_BYTES] {
    let texts = [instruction, input, output];
    // In one piece: short ones are hashed faster than through a hasher's buffer.
    let n_bytes = texts.iter().map(|text| size_of::<u64>() + text.len()).sum();
    let mut bytes = Vec::with_capacity(n_bytes);
    for text in texts {
        bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    let mut id = [0; SAMPLE_ID_BYTES];
    id.copy_from_slice(&blake3::hash(&bytes).as_bytes()[..SAMPLE_ID_BYTES]);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_text_between_columns_changes_the_identity() {
        assert_ne!(sample_id("ab", "c", "d"), sample_id("a", "bc", "d"));
        assert_ne!(sample_id("a", "", "b"), sample_id("a", "b", ""));
        assert_eq!(sample_id("a", "b", "c"), sample_id("a", "b", "c"));
    }

    #[test]
    fn the_identity_is_the_documented_hash() {
        let mut bytes = Vec::new();
        for text in ["Add.", "1 2", "3"] {
            bytes.extend((text.len() as u64).to_le_bytes());
            bytes.extend(text.as_bytes());
        }
        assert_eq!(
            sample_id("Add.", "1 2", "3")[..],
            blake3::hash(&bytes).as_bytes()[..16]
        );
    }
}
