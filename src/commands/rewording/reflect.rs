//! Reflection-tuning (Li et al. 2023, arXiv 2310.11716) of the task rows: a language model looks at an instruction by criteria and
//! betters it, then at the response to the better instruction.
//!
//! What breaks a rule stays as it was: an instruction must keep what every wording keeps, a response its keys and tokens.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, UInt64Type};
use arrow::error::ArrowError;
use serde_json::Value;

use crate::config::BuildConfig;
use crate::error::Result;
use crate::llm::{Asked, Outcome};
use crate::queries;
use crate::reword::{Original, Wordings};
use crate::shards::FileWriter;
use crate::tables::lift;

use super::super::model::{Goal, Model, said, unfenced};
use super::super::stages::{Stage, Stages};
use super::{Reworded, parts, short_of_budget};

/// Rows of a batch.
const ROWS_AT_ONCE: usize = 1_024;

/// A better response is at the most so many times as long, give or take the characters.
const LONGER: usize = 4;
const SPARE_CHARS: usize = 400;

struct Row {
    source_idx: i64,
    source_row: u64,
    /// What stands before the instruction and behind it.
    head: String,
    original: Original,
    tail: String,
    input: String,
    output: String,
    /// What the model made of both.
    instruction: Option<String>,
    response: Option<String>,
}

/// The task samples as the model has bettered them.
///
/// # Errors
/// When the model gives no answers or its budget ends.
pub(super) async fn reflect(
    stages: &Stages<'_>,
    config: &BuildConfig,
    copies: &Stage,
    model: &Model<'_>,
) -> Result<Reworded> {
    let mut notes = Vec::new();
    let decided = parts(stages, &config.rewording, copies, &mut notes).await?;
    let rows = stages.run(&queries::task_rows(), &[&decided]).await?;
    let mut rows = read(stages, &rows)?;
    let before = model.asked();
    let mut replaced = BTreeMap::new();
    let mut count = |why: &str| *replaced.entry(why.to_owned()).or_insert(0_u64) += 1;

    let plan = |row: &Row| ask_for_instruction(row, config);
    let answers = ask(model, &rows, "instruction", plan, before).await?;
    for (row, outcome) in rows.iter_mut().zip(answers) {
        let mut wordings = Wordings::new(&row.original, &config.special_tokens, config.seed);
        match said(outcome).and_then(|text| wordings.accept(&text).map(|()| text)) {
            Ok(text) => row.instruction = Some(text),
            Err(why) => count(why),
        }
    }
    let answers = ask(model, &rows, "response", ask_for_response, before).await?;
    for (row, outcome) in rows.iter_mut().zip(answers) {
        match said(outcome).and_then(|text| response(&row.output, text, &config.special_tokens)) {
            Ok(text) => row.response = Some(text),
            Err(why) => count(why),
        }
    }
    let n_rows = rows.len();
    let bettered: Vec<Row> = rows
        .into_iter()
        .filter(|row| row.instruction.is_some() || row.response.is_some())
        .collect();
    let mut note = format!(
        "reflection: {}; {} of {n_rows} rows bettered",
        model.spent(before),
        bettered.len()
    );
    for (why, n) in &replaced {
        note.push_str(&format!(", {n} × {why}"));
    }
    notes.push(note);
    let (schema, key) = (schema(), digest(&bettered));
    let fill = async |file: &mut FileWriter| {
        for rows in bettered.chunks(ROWS_AT_ONCE) {
            let batch = table(rows).map_err(|error| lift("reflected")(error.into()))?;
            file.push(batch)?;
        }
        Ok(())
    };
    let inputs = [copies.key.as_str(), &key];
    let stage = stages.make("reflected", &inputs, &schema, fill).await?;
    stages
        .register("reflected", std::slice::from_ref(&stage))
        .await?;
    let query = queries::reflected(config.rewording.keep_original);
    Ok(Reworded {
        stage: stages.run(&query, &[&copies.key, &stage.key]).await?,
        notes,
        replaced,
    })
}

/// The answers to what is asked of each row, in the order of the rows.
async fn ask(
    model: &Model<'_>,
    rows: &[Row],
    what: &'static str,
    message: impl Fn(&Row) -> String,
    before: Asked,
) -> Result<Vec<Outcome>> {
    let goal = Goal {
        what: "answers",
        kept: 0,
        wanted: rows.len() as u64,
    };
    let plan = rows.iter().map(|row| (ordinal(what, row), message(row)));
    let (mut answers, ended) = model.ask(plan, goal, |_| true).await?;
    short_of_budget(ended, goal, answers.len() as u64, model, before)?;
    let missing = || Outcome::Refused("no answer".to_owned());
    Ok(rows
        .iter()
        .map(|row| answers.remove(&ordinal(what, row)).unwrap_or_else(missing))
        .collect())
}

impl Row {
    /// What the instruction is about.
    fn material(&self) -> &str {
        match self.input.as_str() {
            "" => self.tail.trim(),
            input => input,
        }
    }
}

fn ask_for_instruction(row: &Row, config: &BuildConfig) -> String {
    let tokens: Vec<_> = config
        .special_tokens
        .iter()
        .map(|token| format!("`{token}`"))
        .collect();
    let keep = match tokens.is_empty() {
        true => String::new(),
        false => format!(" Keep {} as often as it stands there.", tokens.join(", ")),
    };
    format!(
        "Below stand an instruction, the material it is about, and a response.\n\nInstruction:\n{}\n\nMaterial:\n{}\n\nResponse:\n{}\n\n\
         First judge the instruction for yourself: is it clear, is it complete, does it ask for enough thought, can it be \
         misunderstood, does it know its subject? Then write a better instruction for the same material, to which a response of \
         the same form is the right answer. Say nothing of that form which is not said already.{keep}\n\nAnswer with the better \
         instruction and nothing else.",
        row.original.text,
        row.material(),
        row.output
    )
}

fn ask_for_response(row: &Row) -> String {
    let instruction = row.instruction.as_ref().unwrap_or(&row.original.text);
    format!(
        "Below stand an instruction, the material it is about, and a response.\n\nInstruction:\n{instruction}\n\nMaterial:\n{}\n\n\
         Response:\n{}\n\nFirst judge the response for yourself: is it right, is it helpful, is it complete, does it go into \
         what matters, is it well put? Then write a better response, in exactly the same form, with the same verdict and with \
         the same keys where it has keys.\n\nAnswer with the better response and nothing else.",
        row.material(),
        row.output
    )
}

/// Where a request stands in the plan: the same wherever its row comes among others.
fn ordinal(what: &str, row: &Row) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("delia reflection plan v1");
    for part in [
        what,
        &row.source_idx.to_string(),
        &row.source_row.to_string(),
    ] {
        hasher.update(part.as_bytes()).update(&[0]);
    }
    u64::from_le_bytes(
        *hasher
            .finalize()
            .as_bytes()
            .first_chunk()
            .expect("a hash is longer"),
    )
}

/// A response that may stand in the place of another.
fn response(
    old: &str,
    new: String,
    special_tokens: &[String],
) -> std::result::Result<String, &'static str> {
    let n_chars = |text: &str| text.chars().count();
    let new = match old.starts_with("```") {
        true => new,
        false => unfenced(&new).to_owned(),
    };
    let keeps =
        |token: &String| old.matches(token.as_str()).count() == new.matches(token.as_str()).count();
    if new == old {
        return Err("the same response");
    }
    if n_chars(&new) > LONGER * n_chars(old) + SPARE_CHARS {
        return Err("a response that is too long");
    }
    if !special_tokens.iter().all(keeps) {
        return Err("a special token lost or added");
    }
    match (
        serde_json::from_str::<Value>(old),
        serde_json::from_str::<Value>(&new),
    ) {
        (Ok(Value::Object(old)), Ok(Value::Object(new))) if old.keys().eq(new.keys()) => {}
        (Ok(Value::Object(_)), _) => return Err("a response with other keys"),
        _ => {}
    }
    Ok(new)
}

fn read(stages: &Stages<'_>, rows: &Stage) -> Result<Vec<Row>> {
    let mut found = Vec::new();
    for batch in stages.read(rows)? {
        let batch = batch?;
        let text =
            |column: &str, row: usize| batch[column].as_string::<i32>().value(row).to_owned();
        for row in 0..batch.num_rows() {
            let keys = batch["keys"].as_list::<i32>().value(row);
            found.push(Row {
                source_idx: batch["source_idx"].as_primitive::<Int64Type>().value(row),
                source_row: batch["source_row"].as_primitive::<UInt64Type>().value(row),
                head: text("head", row),
                original: Original {
                    text: text("instruction", row),
                    has_input: batch["has_input"].as_boolean().value(row),
                    keys: keys
                        .as_string::<i32>()
                        .iter()
                        .flatten()
                        .map(str::to_owned)
                        .collect(),
                },
                tail: text("tail", row),
                input: text("input", row),
                output: text("output", row),
                instruction: None,
                response: None,
            });
        }
    }
    Ok(found)
}

/// The table `reflected`.
fn schema() -> SchemaRef {
    let field = |name: &str, data_type| Field::new(name, data_type, false);
    Arc::new(Schema::new(vec![
        field("source_idx", DataType::Int64),
        field("source_row", DataType::UInt64),
        field("instruction", DataType::Utf8),
        field("output", DataType::Utf8),
    ]))
}

fn table(rows: &[Row]) -> std::result::Result<RecordBatch, ArrowError> {
    let sources = rows.iter().map(|row| row.source_idx);
    let source_rows = rows.iter().map(|row| row.source_row);
    let instructions = rows.iter().map(|row| {
        let instruction = row.instruction.as_ref().unwrap_or(&row.original.text);
        format!("{}{instruction}{}", row.head, row.tail)
    });
    let outputs = rows
        .iter()
        .map(|row| row.response.as_ref().unwrap_or(&row.output));
    RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(Int64Array::from_iter_values(sources)),
            Arc::new(UInt64Array::from_iter_values(source_rows)),
            Arc::new(StringArray::from_iter_values(instructions)),
            Arc::new(StringArray::from_iter_values(outputs)),
        ],
    )
}

fn digest(rows: &[Row]) -> String {
    let mut hasher = blake3::Hasher::new();
    for row in rows {
        hasher
            .update(&row.source_idx.to_le_bytes())
            .update(&row.source_row.to_le_bytes());
        for text in [&row.instruction, &row.response] {
            hasher
                .update(text.as_deref().unwrap_or_default().as_bytes())
                .update(&[0]);
        }
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_keeps_its_form() {
        let old = r#"{"thought": "short", "hallucination": "no"}"#;
        let of = |new: &str| response(old, new.to_owned(), &["<sep>".to_owned()]);
        assert!(of(r#"{"thought": "a better one", "hallucination": "no"}"#).is_ok());
        assert!(
            of("```json\n{\"thought\": \"a better one\", \"hallucination\": \"no\"}\n```").is_ok()
        );
        assert_eq!(of(old), Err("the same response"));
        assert_eq!(
            of(r#"{"thought": "a", "verdict": "no"}"#),
            Err("a response with other keys")
        );
        assert_eq!(of("No."), Err("a response with other keys"));
        assert_eq!(
            of(r#"{"thought": "<sep>", "hallucination": "no"}"#),
            Err("a special token lost or added")
        );
        assert_eq!(of(&"x".repeat(1_000)), Err("a response that is too long"));
        assert!(response("Yes.", "Yes, it is.".to_owned(), &[]).is_ok());
    }
}
