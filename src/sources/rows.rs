//! Records become rows of Arrow batches, and a source's complaints are collected.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, RecordBatch, StringBuilder, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use serde_json::Value as Json;

use crate::config::{Reading, Role};
use crate::error::{Cause, Error, Result};

use super::chat;
use super::columns::{Columns, described};
use super::marks::Marks;

/// Rows in a batch …
const ROWS_PER_BATCH: usize = 1_024;
/// … unless their texts reach this size first.
const BYTES_PER_BATCH: usize = 1 << 20;

/// What a source yields: texts as they stand in it, or the problem that makes a record unusable; and the names of what is
/// counted of it.
pub fn raw_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let text = |name| Field::new(name, DataType::Utf8, true);
        Arc::new(Schema::new(vec![
            Field::new("source_row", DataType::UInt64, false),
            text("instruction"),
            text("input"),
            text("output"),
            text("marks"),
            text("problem"),
        ]))
    });
    Arc::clone(&SCHEMA)
}

/// One record on its way to a row: the text of each role, from the column of the lowest rank.
#[derive(Debug, Default)]
pub(super) struct Record {
    cells: [Option<Cell>; 3],
    /// Self-Instruct: further records that share this one's instruction.
    pub(super) instances: Option<Vec<Record>>,
    /// A list of messages.
    pub(super) conversation: Option<Json>,
    /// The system message beside it.
    pub(super) system: Option<String>,
    pub(super) marks: Marks,
}

#[derive(Debug)]
struct Cell {
    rank: usize,
    value: Value,
}

/// What a column of a record holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Null,
    /// Something that is not text, by its name: `a number`.
    Other(&'static str),
}

impl Record {
    /// Sets the value of a role, unless a column of a lower rank has set it already; null never stands in the way of a value.
    pub(super) fn set(&mut self, (role, rank): (Role, usize), value: Value) {
        let cell = &mut self.cells[role as usize];
        let is_better = cell
            .as_ref()
            .is_none_or(|cell| match (&cell.value, &value) {
                (Value::Null, _) => true,
                (_, Value::Null) => false,
                _ => rank < cell.rank,
            });
        if is_better {
            *cell = Some(Cell { rank, value });
        }
    }

    /// Whether it holds what a sample has to: then its conversation, if any, only repeats it.
    fn is_sample(&self, columns: &Columns) -> bool {
        Role::ALL
            .into_iter()
            .filter(|&role| columns.is_required(role))
            .all(|role| self.value(role).is_some_and(|value| *value != Value::Null))
    }

    fn value(&self, role: Role) -> Option<&Value> {
        self.cells[role as usize].as_ref().map(|cell| &cell.value)
    }
}

/// Collects rows into batches and hands them on.
pub(super) struct Rows<'a> {
    path: &'a str,
    pub(super) columns: &'a Columns,
    pub(super) reading: Reading,
    emit: &'a mut dyn FnMut(RecordBatch) -> bool,
    wanted: bool,
    texts: [StringBuilder; 3],
    marks: StringBuilder,
    problems: StringBuilder,
    n_waiting: usize,
    n_records: u64,
    n_rows: u64,
    n_unusable: u64,
    first_problem: Option<Problem>,
}

/// Why a record cannot be used.
enum Problem {
    Missing { role: Role, found: Vec<String> },
    Other(String),
}

impl<'a> Rows<'a> {
    pub(super) fn new(
        path: &'a str,
        columns: &'a Columns,
        reading: Reading,
        emit: &'a mut dyn FnMut(RecordBatch) -> bool,
    ) -> Rows<'a> {
        Rows {
            path,
            columns,
            reading,
            emit,
            wanted: true,
            texts: Default::default(),
            marks: StringBuilder::new(),
            problems: StringBuilder::new(),
            n_waiting: 0,
            n_records: 0,
            n_rows: 0,
            n_unusable: 0,
            first_problem: None,
        }
    }

    /// Records so far, which is the number of the next one; one may be several rows.
    pub(super) fn n_records(&self) -> u64 {
        self.n_records
    }

    /// Whether anybody still wants rows.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// A record that could be parsed; `found` names its columns and `place` its line, for a complaint.
    pub(super) fn push(
        &mut self,
        record: &Record,
        found: impl Fn() -> Vec<String>,
        place: impl Fn() -> String,
    ) {
        self.n_records += 1;
        if let Some(conversation) = &record.conversation
            && !record.is_sample(self.columns)
        {
            return self.push_conversation(conversation, record, place);
        }
        match &record.instances {
            None => self.push_one(record, None, found, place),
            Some(instances) if instances.is_empty() => {
                self.reject(format!("{}: it has no instances", place()))
            }
            Some(instances) => {
                for instance in instances {
                    self.push_one(instance, Some(record), &found, &place);
                }
            }
        }
    }

    /// The same for a record whose place is its number.
    pub(super) fn push_numbered(&mut self, record: &Record, found: &[String]) {
        let number = self.n_records;
        self.push(record, || found.to_vec(), || format!("record {number}"));
    }

    fn push_conversation(
        &mut self,
        conversation: &Json,
        record: &Record,
        place: impl Fn() -> String,
    ) {
        let system = record.system.as_deref();
        let needs_answer = self.columns.is_required(Role::Output);
        match chat::samples(conversation, system, self.reading.turns, needs_answer) {
            Err(problem) => self.reject(format!("{}: {problem}", place())),
            Ok(samples) => {
                for sample in samples {
                    let texts = [&sample.instruction, &sample.input, &sample.output];
                    let marks = Marks {
                        repaired_encoding: record.marks.repaired_encoding,
                        ..sample.marks
                    };
                    self.append(texts.map(|text| Some(text.as_str())), marks, None);
                }
            }
        }
    }

    /// A record that cannot be used.
    pub(super) fn push_unreadable(&mut self, problem: String) {
        self.n_records += 1;
        self.reject(problem);
    }

    fn reject(&mut self, problem: String) {
        self.append([None; 3], Marks::default(), Some(&problem));
        self.complain(|| Problem::Other(problem));
    }

    /// A generated row. Returns whether to go on.
    pub(super) fn push_pair(&mut self, instruction: &str, input: &str, output: &str) -> bool {
        self.append(
            [Some(instruction), Some(input), Some(output)],
            Marks::default(),
            None,
        );
        self.wanted
    }

    /// Hands on the last rows of a file.
    ///
    /// # Errors
    /// When the file had no usable record.
    pub(super) fn finish(mut self) -> Result<()> {
        self.flush();
        let path = self.path.to_owned();
        if !self.wanted || self.n_unusable < self.n_rows {
            return Ok(());
        }
        Err(match self.first_problem {
            None => Error::SourceEmpty { path },
            Some(Problem::Missing { role, found }) => Error::NoColumns {
                path,
                missing: described(role),
                found,
            },
            Some(Problem::Other(first)) => Error::NothingReadable {
                path,
                n_records: self.n_records,
                first,
            },
        })
    }

    /// Hands on the last rows of a generator, which may have been asked for none.
    pub(super) fn finish_generated(mut self) -> Result<()> {
        self.flush();
        Ok(())
    }

    /// The error for a source that cannot be read on.
    pub(super) fn broken(&self, place: &str, source: impl Into<Cause>) -> Error {
        let place = format!("{place}, after {} records", self.n_records);
        Error::SourceBroken {
            path: self.path.to_owned(),
            place,
            source: source.into(),
        }
    }

    /// The error for a file that is not what it began like.
    pub(super) fn no_format(&self) -> Error {
        Error::SourceFormat {
            path: self.path.to_owned(),
        }
    }

    /// The error for a column that holds no text.
    pub(super) fn column_type(&self, column: &str, found: String) -> Error {
        Error::ColumnType {
            path: self.path.to_owned(),
            column: column.to_owned(),
            found,
        }
    }

    /// The error for a file without a column of this role.
    pub(super) fn no_column(&self, role: Role, found: Vec<String>) -> Error {
        Error::NoColumns {
            path: self.path.to_owned(),
            missing: described(role),
            found,
        }
    }

    fn push_one(
        &mut self,
        record: &Record,
        parent: Option<&Record>,
        found: impl Fn() -> Vec<String>,
        place: impl Fn() -> String,
    ) {
        let value = |role| {
            record
                .value(role)
                .or_else(|| parent.and_then(|parent| parent.value(role)))
        };
        let missing = Role::ALL
            .into_iter()
            .find(|&role| self.columns.is_required(role) && value(role).is_none());
        if let Some(role) = missing {
            self.append(
                [None; 3],
                Marks::default(),
                Some(&format!(
                    "{}: it has no column for the {}",
                    place(),
                    described(role)
                )),
            );
            self.complain(|| Problem::Missing {
                role,
                found: found(),
            });
            return;
        }
        let no_text = Role::ALL.into_iter().find_map(|role| match value(role) {
            Some(Value::Other(found)) if self.columns.needs_text(role) => Some((role, found)),
            _ => None,
        });
        if let Some((role, found)) = no_text {
            self.reject(format!(
                "{}: its {} is {found}, not text",
                place(),
                described(role)
            ));
            return;
        }
        let text = |role| match value(role) {
            Some(Value::Text(text)) => Some(text.as_str()),
            _ => None,
        };
        self.append(
            [
                text(Role::Instruction),
                text(Role::Input),
                text(Role::Output),
            ],
            parent.unwrap_or(record).marks,
            None,
        );
    }

    fn append(&mut self, texts: [Option<&str>; 3], marks: Marks, problem: Option<&str>) {
        for (builder, text) in self.texts.iter_mut().zip(texts) {
            builder.append_option(text);
        }
        self.marks.append_option(marks.text());
        self.problems.append_option(problem);
        self.n_waiting += 1;
        self.n_rows += 1;
        let n_bytes: usize = self
            .texts
            .iter()
            .map(|builder| builder.values_slice().len())
            .sum();
        if self.n_waiting == ROWS_PER_BATCH || n_bytes >= BYTES_PER_BATCH {
            self.flush();
        }
    }

    /// Only the first is kept.
    fn complain(&mut self, problem: impl FnOnce() -> Problem) {
        self.n_unusable += 1;
        self.first_problem.get_or_insert_with(problem);
    }

    fn flush(&mut self) {
        if self.n_waiting == 0 {
            return;
        }
        let first = self.n_rows - self.n_waiting as u64;
        let [instruction, input, output] = &mut self.texts;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from_iter_values(first..self.n_rows)),
            Arc::new(instruction.finish()),
            Arc::new(input.finish()),
            Arc::new(output.finish()),
            Arc::new(self.marks.finish()),
            Arc::new(self.problems.finish()),
        ];
        self.n_waiting = 0;
        let batch = RecordBatch::try_new(raw_schema(), columns)
            .expect("the columns are those of the schema");
        self.wanted = self.wanted && (self.emit)(batch);
    }
}
