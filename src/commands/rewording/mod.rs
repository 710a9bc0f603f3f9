//! The task rows of the stream: every task sample in as many wordings as were asked for.
//!
//! ```text
//!   firsts            56, 57   which part of a prompt is the instruction
//!     │               58       every instruction once
//!     │ wordings               by our rules, or by a language model
//!     ▼               60, 64   who has which wording
//!   tasks             66, 67   how far they lie apart
//! ```

mod ask;
mod reflect;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, SchemaRef, UInt64Type};

use crate::config::{BuildConfig, Reword, RewordConfig, SplitPrompt};
use crate::error::{Error, Result};
use crate::llm::{Asked, Ended};
use crate::queries::{self, Query};
use crate::reword::{Original, Wording, Wordings};
use crate::shards::{FileWriter, Rewording, Spread};
use crate::tables::lift;

use super::build::Progress;
use super::model::{BUDGET_SPENT, Goal, LARGER_BUDGET, Model};
use super::stages::{Stage, Stages, each_batch};

/// Wordings of a batch.
const WORDINGS_AT_ONCE: usize = 1_024;

/// Characters of a text that a note shows.
const SHOWN_CHARS: usize = 100;

/// What became of the task samples.
pub(super) struct Reworded {
    /// The table `tasks`, and before that `worded`.
    pub(super) stage: Stage,
    /// What is to be said, a sentence each.
    pub(super) notes: Vec<String>,
    /// Wordings of a language model that our rules had to replace, by reason.
    pub(super) replaced: BTreeMap<String, u64>,
}

/// An instruction of the table `instructions`.
struct Instruction {
    idx: i64,
    original: Original,
    /// Wordings wanted.
    n_wanted: usize,
}

/// Makes the table `tasks` of the task rows in `firsts`, which `copies` decides. Without a model every wording is by our rules.
///
/// # Errors
/// When a query fails, the model gives no answers, or its budget ends.
pub(super) async fn reword(
    stages: &Stages<'_>,
    config: &BuildConfig,
    copies: &Stage,
    model: Option<&Model<'_>>,
    progress: &dyn Fn(Progress),
) -> Result<Reworded> {
    progress(Progress::Query(Query::Reword.file()));
    let worded = match (config.rewording.method, model) {
        (Reword::Reflect, Some(model)) => reflect::reflect(stages, config, copies, model).await?,
        _ => in_other_words(stages, config, copies, model).await?,
    };
    register(stages, "worded", &worded.stage).await?;
    let query = queries::tasks(config.rewording.anchor.as_deref());
    let stage = stages.run(&query, &[&worded.stage.key]).await?;
    register(stages, "tasks", &stage).await?;
    Ok(Reworded { stage, ..worded })
}

/// The task samples in their wordings.
async fn in_other_words(
    stages: &Stages<'_>,
    config: &BuildConfig,
    copies: &Stage,
    model: Option<&Model<'_>>,
) -> Result<Reworded> {
    let rewording = &config.rewording;
    let (mut notes, mut replaced) = (Vec::new(), BTreeMap::new());
    let parts = parts(stages, rewording, copies, &mut notes).await?;
    let instructions = instructions(stages, rewording, &parts, &mut notes).await?;
    let wordings = match (rewording.variants, model) {
        (0, _) => empty(stages, "wordings", &schema()).await?,
        (variants, Some(model)) if rewording.method == Reword::Llm => {
            let asked = ask::wordings(stages, config, &instructions, variants, model).await?;
            notes.push(asked.note);
            replaced = asked.replaced;
            let inputs = [instructions.key.as_str(), asked.key.as_str()];
            let (schema, wordings) = (schema(), asked.wordings);
            let fill = async |file: &mut FileWriter| {
                for (idx, wordings) in &wordings {
                    for (nth, part) in wordings.chunks(WORDINGS_AT_ONCE).enumerate() {
                        push(file, *idx, nth * WORDINGS_AT_ONCE, part)?;
                    }
                }
                Ok(())
            };
            stages.make("wordings", &inputs, &schema, fill).await?
        }
        (variants, _) => by_rules(stages, config, &instructions, variants).await?,
    };
    register(stages, "wordings", &wordings).await?;
    let query = queries::reword(rewording, config.seed);
    let inputs = [parts.as_str(), &instructions.key, &wordings.key];
    Ok(Reworded {
        stage: stages.run(&query, &inputs).await?,
        notes,
        replaced,
    })
}

/// Leaves the table `prompt_parts`; returns what decides it.
async fn parts(
    stages: &Stages<'_>,
    rewording: &RewordConfig,
    copies: &Stage,
    notes: &mut Vec<String>,
) -> Result<String> {
    let is_shared = rewording.variants > 0 && rewording.split_prompt == SplitPrompt::Auto;
    let shared = match is_shared {
        true => {
            let query = queries::shared_prompts();
            stages.run(&query, &[&copies.key]).await?
        }
        false => empty(stages, "shared_prompts", &shared_schema()).await?,
    };
    register(stages, "shared_prompts", &shared).await?;
    if is_shared {
        notes.extend(split_notes(stages, &shared)?);
    }
    let parts = queries::prompt_parts(pattern(rewording));
    stages.view("prompt_parts", &parts).await?;
    Ok([copies.key.as_str(), &shared.key, &parts.fingerprint()].join(" "))
}

fn pattern(rewording: &RewordConfig) -> Option<&str> {
    match &rewording.split_prompt {
        SplitPrompt::Pattern(pattern) => Some(pattern),
        SplitPrompt::Auto | SplitPrompt::None => None,
    }
}

/// Leaves the table `instructions`.
async fn instructions(
    stages: &Stages<'_>,
    rewording: &RewordConfig,
    parts: &str,
    notes: &mut Vec<String>,
) -> Result<Stage> {
    let is_reworded = rewording.variants > 0;
    let instructions = match is_reworded {
        true => stages.run(&queries::instructions(), &[parts]).await?,
        false => empty(stages, "instructions", &instructions_schema()).await?,
    };
    register(stages, "instructions", &instructions).await?;
    if let (Some(pattern), true) = (pattern(rewording), is_reworded) {
        let first = read(stages, &instructions, 1)?.next().transpose()?;
        if let Some(first) = first.and_then(|first| first.into_iter().next()) {
            notes.push(format!(
                "what `{pattern}` does not find is reworded, such as: {}",
                shown(&first.original.text)
            ));
        }
    }
    Ok(instructions)
}

async fn register(stages: &Stages<'_>, table: &'static str, stage: &Stage) -> Result<()> {
    stages.register(table, std::slice::from_ref(stage)).await
}

/// As many wordings of each instruction as its samples need, by our rules.
async fn by_rules(
    stages: &Stages<'_>,
    config: &BuildConfig,
    instructions: &Stage,
    variants: u32,
) -> Result<Stage> {
    let decides = format!(
        "rules {variants} {} {:?}",
        config.seed, config.special_tokens
    );
    let (schema, inputs) = (schema(), [instructions.key.as_str(), &decides]);
    let fill = async |file: &mut FileWriter| {
        for batch in read(stages, instructions, variants)? {
            for Instruction {
                idx,
                original,
                n_wanted,
            } in batch?
            {
                let mut wordings = Wordings::new(&original, &config.special_tokens, config.seed);
                let mut n_pushed = 0;
                // In parts: a million samples may share one instruction.
                while n_pushed < n_wanted {
                    let n = WORDINGS_AT_ONCE.min(n_wanted - n_pushed);
                    let new = wordings.next(n);
                    push(file, idx, n_pushed, &new)?;
                    n_pushed += new.len();
                    if new.len() < n {
                        break;
                    }
                }
            }
        }
        Ok(())
    };
    stages.make("wordings", &inputs, &schema, fill).await
}

/// The instructions, a batch at a time.
fn read(
    stages: &Stages<'_>,
    instructions: &Stage,
    variants: u32,
) -> Result<impl Iterator<Item = Result<Vec<Instruction>>>> {
    Ok(stages.read(instructions)?.map(move |batch| {
        let batch = batch?;
        let number = |column: &str| batch[column].as_primitive::<Int64Type>();
        let (places, counts) = (number("instruction_idx"), number("n_rows"));
        let (texts, keys) = (
            batch["instruction"].as_string::<i32>(),
            batch["keys"].as_list::<i32>(),
        );
        let of_row = |row: usize| Instruction {
            idx: places.value(row),
            n_wanted: counts.value(row) as usize * variants as usize,
            original: Original {
                text: texts.value(row).to_owned(),
                has_input: batch["has_input"].as_boolean().value(row),
                keys: keys
                    .value(row)
                    .as_string::<i32>()
                    .iter()
                    .flatten()
                    .map(str::to_owned)
                    .collect(),
            },
        };
        Ok((0..batch.num_rows()).map(of_row).collect())
    }))
}

/// The table `wordings`.
fn schema() -> SchemaRef {
    let field = |name: &str, data_type| Field::new(name, data_type, false);
    Arc::new(Schema::new(vec![
        field("instruction_idx", DataType::Int64),
        field("place", DataType::Int64),
        field("direction", DataType::Utf8),
        field("wording", DataType::Utf8),
    ]))
}

/// The table `shared_prompts`, so far as it is read.
fn shared_schema() -> SchemaRef {
    nullable([
        ("source_idx", DataType::Int64),
        ("prefix", DataType::Utf8),
        ("suffix", DataType::Utf8),
    ])
}

/// The table `instructions`, so far as it is read where it is empty.
fn instructions_schema() -> SchemaRef {
    nullable([
        ("instruction_idx", DataType::Int64),
        ("instruction", DataType::Utf8),
        ("has_input", DataType::Boolean),
    ])
}

fn nullable<const N: usize>(columns: [(&str, DataType); N]) -> SchemaRef {
    let fields = columns.map(|(name, data_type)| Field::new(name, data_type, true));
    Arc::new(Schema::new(fields.to_vec()))
}

async fn empty(stages: &Stages<'_>, name: &str, schema: &SchemaRef) -> Result<Stage> {
    stages.make(name, &["none"], schema, async |_| Ok(())).await
}

/// Writes wordings of an instruction, of which so many are written already.
fn push(file: &mut FileWriter, idx: i64, n_before: usize, wordings: &[Wording]) -> Result<()> {
    let texts = |text: fn(&Wording) -> &str| {
        Arc::new(StringArray::from_iter_values(wordings.iter().map(text)))
    };
    let batch = RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(Int64Array::from(vec![idx; wordings.len()])),
            Arc::new(Int64Array::from_iter_values(
                (n_before..n_before + wordings.len()).map(|place| place as i64),
            )),
            texts(|wording| wording.direction),
            texts(|wording| &wording.text),
        ],
    );
    file.push(batch.map_err(|error| lift("wordings")(error.into()))?)
}

/// What is said of sources that have nothing but prompts.
fn split_notes(stages: &Stages<'_>, shared: &Stage) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    for batch in stages.read(shared)? {
        let batch = batch?;
        let text =
            |column: &str, row: usize| batch[column].as_string::<i32>().value(row).to_owned();
        for row in 0..batch.num_rows() {
            let n_rows = batch["n_rows"].as_primitive::<Int64Type>().value(row);
            let name = text("name", row);
            let (prefix, suffix) = (text("prefix", row), text("suffix", row));
            let longer = if suffix.trim().len() > prefix.trim().len() {
                &suffix
            } else {
                &prefix
            };
            notes.push(match longer.trim() {
                "" => format!(
                    "`{name}`: prompts without an input that have no line in common; each is reworded as a whole, such as {}",
                    shown(&text("sample", row))
                ),
                same => format!(
                    "`{name}`: what {n_rows} prompts without an input have in common is reworded, the rest is their input: {}",
                    shown(same)
                ),
            });
        }
    }
    Ok(notes)
}

/// Refuses a plan that the budget ended.
fn short_of_budget(
    ended: Ended,
    goal: Goal,
    n_answered: u64,
    model: &Model<'_>,
    before: Asked,
) -> Result<()> {
    match ended {
        Ended::Whole => Ok(()),
        Ended::OverBudget => Err(Error::SampledShort {
            wanted: goal.wanted,
            what: goal.what,
            kept: n_answered,
            why: BUDGET_SPENT.to_owned(),
            counts: model.spent(before),
            hint: LARGER_BUDGET.to_owned(),
        }),
    }
}

/// A text on one line, as far as it is shown.
fn shown(text: &str) -> String {
    let line = text.trim().replace('\n', "⏎");
    let short: String = line.chars().take(SHOWN_CHARS).collect();
    let mark = if short.len() < line.len() { "…" } else { "" };
    format!("`{short}{mark}`")
}

/// In which directions the rows of the table `tasks` are worded, and how far apart.
///
/// # Errors
/// When a query fails.
pub(super) async fn measured(
    stages: &Stages<'_>,
    config: &BuildConfig,
    reworded: &Reworded,
) -> Result<Rewording> {
    let mut rewording = Rewording {
        method: config.rewording.method,
        variants: config.rewording.variants,
        keep_original: config.rewording.keep_original,
        original_rows: 0,
        missing: 0,
        replaced: reworded.replaced.clone(),
        directions: BTreeMap::new(),
        original: None,
        stream: None,
    };
    let number = |batch: &RecordBatch, column: &str, row: usize| {
        batch[column].as_primitive::<UInt64Type>().value(row)
    };
    let query = queries::directions();
    each_batch(
        stages.session,
        query.plan(stages.session).await?,
        &query,
        |batch| {
            for row in 0..batch.num_rows() {
                let names = batch["direction"].as_string::<i32>();
                let n_rows = number(&batch, "rows", row);
                match names.is_valid(row) {
                    true => drop(
                        rewording
                            .directions
                            .insert(names.value(row).to_owned(), n_rows),
                    ),
                    false => rewording.original_rows = n_rows,
                }
            }
            Ok(())
        },
    )
    .await?;
    let query = queries::spread(config.seed);
    each_batch(
        stages.session,
        query.plan(stages.session).await?,
        &query,
        |batch| {
            for row in 0..batch.num_rows() {
                let float = |column: &str| {
                    let values = batch[column].as_primitive::<Float64Type>();
                    values.is_valid(row).then(|| values.value(row))
                };
                let spread = Spread {
                    rows: number(&batch, "rows", row),
                    instructions: number(&batch, "instructions", row),
                    distinct_1: float("distinct_1"),
                    distinct_2: float("distinct_2"),
                    mean_distance: float("mean_distance"),
                    pairs: number(&batch, "pairs", row),
                };
                match batch["wording"].as_string::<i32>().value(row) {
                    "original" => rewording.original = Some(spread),
                    _ => rewording.stream = Some(spread),
                }
            }
            Ok(())
        },
    )
    .await?;
    // What cannot be bettered is right as it is.
    if config.rewording.method == Reword::Reflect {
        return Ok(rewording);
    }
    let wanted = rewording.original.map_or(0, |spread| spread.rows) * u64::from(rewording.variants);
    rewording.missing = wanted.saturating_sub(rewording.directions.values().sum());
    Ok(rewording)
}
