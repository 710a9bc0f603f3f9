//! The summary of a build.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use polars::frame::PivotColumnNaming;
use polars::prelude::*;
use serde::{Deserialize, Serialize};

use crate::config::{Reword, Unit};
use crate::sample::Kind;
use crate::shards::{Manifest, SourceRows, Spread, StageEntry};

use super::table::{Style, render};

/// Stages that a summary names.
const MOST_STAGES: usize = 6;

/// Directions that it names.
const MOST_DIRECTIONS: usize = 5;

/// What a build did.
#[derive(Clone, Debug, Serialize)]
pub struct BuildReport {
    /// Where the shards are.
    pub out: PathBuf,
    /// Whether there was anything to do.
    pub outcome: Outcome,
    /// How long it took.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub elapsed: Duration,
    /// What this run did besides, a sentence each.
    pub notes: Vec<String>,
    /// What was written.
    pub manifest: Manifest,
}

/// Whether there was anything to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The shards were written.
    Built,
    /// They were there already, and every file is as it was written.
    UpToDate,
}

impl fmt::Display for BuildReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.outcome == Outcome::UpToDate {
            return write!(
                f,
                "`{}` is up to date: every file is as this recipe built it",
                self.out.display()
            );
        }
        let (manifest, ratio) = (&self.manifest, &self.manifest.ratio);
        let table = sources_table(manifest).map_err(|_| fmt::Error)?;
        writeln!(f, "{table}\n")?;
        let iterations = if ratio.iterations == 1 {
            String::new()
        } else {
            format!(" × {} iterations", ratio.iterations)
        };
        let passes = match ratio.passes {
            1 => String::new(),
            passes => format!(" in {passes} passes"),
        };
        writeln!(
            f,
            "ratio   {}{} requested, {} achieved: {} task rows{iterations}, {} diverse rows{passes}",
            ratio.requested,
            match ratio.unit {
                Unit::Rows => "",
                Unit::Tokens => " in tokens",
            },
            rounded(ratio.achieved),
            grouped(ratio.task_rows),
            grouped(ratio.achieved_rows),
        )?;
        self.write_tokens(f)?;
        self.write_rewording(f)?;
        self.write_stages(f)?;
        let bytes: u64 = (0..manifest.plan.shards)
            .filter_map(|shard_idx| manifest.files.get(&crate::shards::shard_name(shard_idx)))
            .map(|shard| shard.bytes)
            .sum();
        writeln!(
            f,
            "shards  {} in `{}`: {} rows, {:.1} MB",
            manifest.plan.shards,
            self.out.display(),
            grouped(manifest.plan.rows),
            bytes as f64 / 1e6
        )?;
        let repeats = |source: &&SourceRows| source.kind == Kind::Diverse && source.repeats > 0;
        for source in manifest.sources.iter().filter(repeats) {
            let times = (source.used + source.repeats) as f64 / source.used as f64;
            writeln!(
                f,
                "note    `{}` has fewer rows than the ratio asks of it: each is used {times:.2} times on average",
                source.source
            )?;
        }
        for source in manifest.sources.iter().filter(|source| source.overlaps > 0) {
            writeln!(
                f,
                "note    task rows of `{}` that share words with rows measured on and ask about something else: {}, kept",
                source.source,
                grouped(source.overlaps),
            )?;
        }
        for source in &manifest.sources {
            for note in marked(&source.marks) {
                writeln!(f, "note    `{}`: {note}", source.source)?;
            }
        }
        if !manifest
            .sources
            .iter()
            .any(|source| source.kind == Kind::HeldOut)
        {
            writeln!(
                f,
                "note    no task rows are held out: `--held-out` names some to measure on"
            )?;
        }
        for note in &self.notes {
            writeln!(f, "note    {note}")?;
        }
        write!(f, "time    {:.1} s", self.elapsed.as_secs_f64())
    }
}

impl BuildReport {
    /// The ratio in tokens, where they were counted.
    fn write_tokens(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(tokens) = &self.manifest.ratio.tokens else {
            return Ok(());
        };
        writeln!(
            f,
            "tokens  {} diverse tokens for {} task tokens: {} achieved{}",
            grouped(tokens.achieved_tokens),
            grouped(tokens.task_tokens),
            tokens.achieved.map_or("nothing".to_owned(), rounded),
            match self.manifest.ratio.unit {
                Unit::Rows => String::new(),
                Unit::Tokens => format!(", {} asked for", grouped(tokens.requested_tokens)),
            }
        )
    }

    /// In which directions the task rows are worded, and how far apart.
    fn write_rewording(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(rewording) = self.manifest.rewording.as_ref() else {
            return Ok(());
        };
        if rewording.missing > 0 {
            writeln!(
                f,
                "note    wordings that were asked for and could not be made: {}",
                grouped(rewording.missing)
            )?;
        }
        let reworded: u64 = rewording.directions.values().sum();
        if reworded == 0 {
            return Ok(());
        }
        let all = reworded + rewording.original_rows;
        let mut directions: Vec<_> = rewording.directions.iter().collect();
        directions.sort_by_key(|(_, rows)| std::cmp::Reverse(**rows));
        let share = |(name, rows): &(&String, &u64)| {
            format!("{name} {:.0} %", 100.0 * **rows as f64 / all as f64)
        };
        let shown: Vec<String> = directions.iter().take(MOST_DIRECTIONS).map(share).collect();
        let rest = match directions.len().saturating_sub(MOST_DIRECTIONS) {
            0 => String::new(),
            rest => format!(", and {rest} more"),
        };
        let replaced: u64 = rewording.replaced.values().sum();
        let by = match (rewording.method, replaced) {
            (Reword::Llm, 1..) => format!("llm, with rules for {}", grouped(replaced)),
            (method, _) => method.name().to_owned(),
        };
        writeln!(
            f,
            "reword  {} of {} task rows, by {by}, in {}: {}{rest}",
            grouped(reworded),
            grouped(all),
            match directions.len() {
                1 => "one direction".to_owned(),
                n => format!("{n} directions"),
            },
            shown.join(", "),
        )?;
        let (Some(before), Some(after)) = (rewording.original, rewording.stream) else {
            return Ok(());
        };
        let pair = |of: fn(&Spread) -> Option<f64>| {
            let text = |spread| of(spread).map_or("none".to_owned(), |value| format!("{value:.2}"));
            format!("{} (was {})", text(&after), text(&before))
        };
        writeln!(
            f,
            "spread  {} different instructions (was {}), distinct-2 {}, mean distance {}",
            grouped(after.instructions),
            grouped(before.instructions),
            pair(|spread| spread.distinct_2),
            pair(|spread| spread.mean_distance),
        )
    }

    /// Where each stage begins, where there is more than one.
    fn write_stages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages = &self.manifest.plan.stages;
        if stages.len() < 2 {
            return Ok(());
        }
        let begins =
            |stage: &StageEntry| format!("{} from {}", stage.name, grouped(stage.first_position));
        let shown: Vec<String> = stages.iter().take(MOST_STAGES).map(begins).collect();
        let rest = match stages.len().saturating_sub(MOST_STAGES) {
            0 => String::new(),
            rest => format!(", and {rest} more"),
        };
        writeln!(f, "stages  {}{rest}", shown.join(", "))
    }
}

/// What is to be said of a source's rows besides what became of them.
fn marked(marks: &BTreeMap<String, u64>) -> Vec<String> {
    let said = |mark: &str, words: &str| {
        let n_rows = marks.get(mark).filter(|&&n_rows| n_rows > 0)?;
        Some(format!("{} {words}", grouped(*n_rows)))
    };
    let rows = |mark: &str, words: &str| said(mark, &format!("rows {words}"));
    let notes = [
        rows(
            "system_message",
            "with a system message before the instruction",
        ),
        rows("tool_message", "from conversations with a tool"),
        rows(
            "repaired_encoding",
            "in which bytes were not UTF-8 and were read as Windows-1252",
        ),
        rows("repaired_mojibake", "in which misread UTF-8 was put right"),
        match marks.contains_key("turns_left_out") {
            true => None,
            false => rows("multi_turn", "from conversations of several turns"),
        },
        said(
            "turns_left_out",
            "conversations have several turns, of which only the first is used; `--turns all` uses every one",
        ),
    ];
    notes.into_iter().flatten().collect()
}

/// One line a source: rows in, what each reason took, rows kept and used.
fn sources_table(manifest: &Manifest) -> PolarsResult<String> {
    let sources = &manifest.sources;
    let texts = |name: &str, text: fn(&SourceRows) -> String| {
        Column::new(name.into(), sources.iter().map(text).collect::<Vec<_>>())
    };
    let counts = |name: &str, count: fn(&SourceRows) -> u64| {
        Column::new(name.into(), sources.iter().map(count).collect::<Vec<_>>())
    };
    let before = DataFrame::new_infer_height(vec![
        texts("source", |source| source.source.clone()),
        texts("kind", |source| source.kind.name().to_owned()),
        counts("rows in", |source| source.rows_in),
    ])?;
    let after = DataFrame::new_infer_height(vec![
        texts("source", |source| source.source.clone()),
        counts("kept", |source| source.kept),
        counts("held out", |source| source.held_out),
        counts("used", |source| source.used),
        counts("repeats", |source| source.repeats),
    ])?;
    // Most builds have one wording of a row.
    let after = match sources.iter().any(|source| source.variants > 0) {
        true => after.hstack(&[counts("variants", |source| source.variants)])?,
        false => after,
    };
    let by_source = || [col("source")];
    let keep_order = || JoinArgs {
        maintain_order: MaintainOrderJoin::Left,
        ..JoinArgs::new(JoinType::Left)
    };
    let mut frame = before.lazy();
    if let Some(dropped) = dropped_by_reason(manifest)? {
        frame = frame.join(dropped.lazy(), by_source(), by_source(), keep_order());
    }
    let frame = frame
        .join(after.lazy(), by_source(), by_source(), keep_order())
        .collect()?;
    let header: Vec<String> = frame
        .get_column_names()
        .iter()
        .map(|name| name.replace('_', " "))
        .collect();
    let is_number: Vec<bool> = frame
        .columns()
        .iter()
        .map(|column| column.dtype().is_primitive_numeric())
        .collect();
    let mut rows = Vec::with_capacity(frame.height());
    for row in 0..frame.height() {
        rows.push(
            frame
                .columns()
                .iter()
                .map(|column| column.get(row).map(shown))
                .collect::<PolarsResult<Vec<_>>>()?,
        );
    }
    Ok(render(Style::Terminal, &header, &is_number, &rows))
}

/// A column for every reason that took a row, a row for every source that lost one; `None` where nothing was dropped.
fn dropped_by_reason(manifest: &Manifest) -> PolarsResult<Option<DataFrame>> {
    let (mut names, mut reasons, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    for source in &manifest.sources {
        for (reason, &count) in &source.dropped_by_reason {
            names.push(source.source.clone());
            reasons.push(reason.clone());
            counts.push(count);
        }
    }
    if names.is_empty() {
        return Ok(None);
    }
    let tall = DataFrame::new_infer_height(vec![
        Column::new("source".into(), names),
        Column::new("reason".into(), reasons),
        Column::new("rows".into(), counts),
    ])?;
    let headings = tall
        .select(["reason"])?
        .unique_stable(None, UniqueKeepStrategy::First, None)?;
    let column = |name: &str| by_name([name], true, false);
    let wide = tall.lazy().pivot(
        column("reason"),
        Arc::new(headings),
        column("source"),
        column("rows"),
        element().sum(),
        true,
        "_".into(),
        PivotColumnNaming::Auto,
    );
    wide.collect().map(Some)
}

fn shown(value: AnyValue<'_>) -> String {
    match value {
        AnyValue::Null => "0".to_owned(),
        AnyValue::UInt64(count) => grouped(count),
        AnyValue::String(text) => text.to_owned(),
        other => other.to_string(),
    }
}

/// `52100` → `52,100`.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// At most four decimals, none that say nothing.
pub(super) fn rounded(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn seconds<S: serde::Serializer>(elapsed: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((elapsed.as_secs_f64() * 1_000.0).round() / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_as_people_write_them() {
        assert_eq!(
            [0, 999, 1_000, 52_100, 1_234_567].map(grouped),
            ["0", "999", "1,000", "52,100", "1,234,567"]
        );
        assert_eq!(
            [520.0, 0.5, 1.0 / 3.0, 0.0].map(rounded),
            ["520", "0.5", "0.3333", "0"]
        );
    }
}
