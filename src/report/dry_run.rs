//! What a build would read, and the mix it would write.

use std::fmt;

use serde::Serialize;

use crate::shards::{Plan, RatioRows, SourceRows};

use super::build::grouped;
use super::table::{Style, render};

/// Characters of a hash that are shown.
const HASH_SHOWN: usize = 12;

/// A build that was not made.
#[derive(Clone, Debug, Serialize)]
pub struct DryRun {
    /// The order of the stream.
    pub order: String,
    /// What would be read, in the order of `sources`.
    pub read: Vec<SourceRead>,
    /// The ratio, requested and achieved.
    pub ratio: RatioRows,
    /// The shards there would be.
    pub plan: Plan,
    /// What would become of every source's rows.
    pub sources: Vec<SourceRows>,
}

/// A source as it stands.
#[derive(Clone, Debug, Serialize)]
pub struct SourceRead {
    /// As typed, or the file a pattern matched.
    pub path: String,
    /// How its records are written.
    pub format: String,
    /// Bytes of the file; none for a generator.
    pub bytes: Option<u64>,
}

impl fmt::Display for DryRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = |cells: &[&str]| cells.iter().map(|&cell| cell.to_owned()).collect();
        let header: Vec<String> = texts(&[
            "source", "kind", "path", "format", "bytes", "BLAKE3", "rows in", "dropped",
            "held out", "used", "repeats",
        ]);
        let is_number = header
            .iter()
            .map(|name| !["source", "kind", "path", "format", "BLAKE3"].contains(&name.as_str()));
        let rows: Vec<Vec<String>> = self
            .sources
            .iter()
            .zip(&self.read)
            .map(|(source, read)| {
                let hash = source.blake3.as_deref().unwrap_or_default();
                vec![
                    source.source.clone(),
                    source.kind.name().to_owned(),
                    read.path.clone(),
                    read.format.clone(),
                    read.bytes.map(grouped).unwrap_or_default(),
                    hash.chars().take(HASH_SHOWN).collect(),
                    grouped(source.rows_in),
                    grouped(source.dropped),
                    grouped(source.held_out),
                    grouped(source.used),
                    grouped(source.repeats),
                ]
            })
            .collect();
        let is_number: Vec<bool> = is_number.collect();
        writeln!(
            f,
            "{}\n",
            render(Style::Terminal, &header, &is_number, &rows)
        )?;
        for source in &self.sources {
            for (reason, &rows) in &source.dropped_by_reason {
                let reason = reason.replace('_', " ");
                writeln!(
                    f,
                    "drops   {} of `{}`: {reason}",
                    grouped(rows),
                    source.source
                )?;
            }
        }
        let ratio = &self.ratio;
        writeln!(
            f,
            "mix     {} task rows and {} diverse rows, {}{}",
            grouped(ratio.task_rows),
            grouped(ratio.achieved_rows),
            // A ratio of tokens asks for no number of rows.
            ratio.requested_rows.map_or(String::new(), |rows| {
                format!("{} asked for, ", grouped(rows))
            }),
            self.order,
        )?;
        for source in self.sources.iter().filter(|source| source.weight.is_some()) {
            writeln!(
                f,
                "share   {} of the diverse rows are from `{}`",
                grouped(source.used + source.repeats),
                source.source
            )?;
        }
        writeln!(
            f,
            "shards  {} of {} rows",
            grouped(self.plan.shards),
            grouped(self.plan.rows_per_shard)
        )?;
        write!(f, "note    nothing was written")
    }
}
