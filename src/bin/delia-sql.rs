//! Queries a finished build: parses arguments, calls [`commands::open`], prints rows.

#![expect(clippy::print_stderr, reason = "a binary talks to its user")]

mod talk;

use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use arrow::array::RecordBatch;
use arrow::json::WriterBuilder;
use arrow::json::writer::JsonArray;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use clap::{Parser, ValueEnum};
use datafusion::execution::SendableRecordBatchStream;
use delia::commands;
use delia::report::{Style, render};
use futures::StreamExt;

/// Query the shards of a build with SQL
///
/// Tables: `shards` (one row a sample, with the name of its file in `shard`), `dropped` (what is not in them, and why),
/// `sources`, `held_out`. Nothing is ever written.
#[derive(Parser)]
#[command(
    version,
    after_help = "Example: delia-sql shards \"SELECT kind, count(*) FROM shards GROUP BY kind\""
)]
struct Arguments {
    /// Folder of a finished build
    #[arg(required_unless_present = "completions")]
    folder: Option<PathBuf>,

    /// Statements to run; without any they are read from stdin
    sql: Option<String>,

    /// Read the statements from this file
    #[arg(long, value_name = "FILE", conflicts_with = "sql")]
    file: Option<PathBuf>,

    /// How rows are printed
    #[arg(long, value_enum, default_value = "table")]
    format: Format,

    #[command(flatten)]
    general: talk::General,
}

/// How rows are printed.
#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// For a terminal; long cells are cut
    Table,
    /// RFC 4180, with a header
    Csv,
    /// An array of objects
    Json,
    /// A Markdown table
    Markdown,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.general.completions {
        Some(shell) => talk::complete::<Arguments>(shell),
        None => talk::run(arguments.general.engine(), query(arguments)),
    }
}

async fn query(arguments: Arguments) -> anyhow::Result<()> {
    let folder = arguments.folder.expect("clap requires it");
    let sql = statements(arguments.sql, arguments.file.as_deref())?;
    let tables = commands::open(&folder, arguments.general.engine()).await?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    for plan in tables.plan(&sql).await? {
        print(commands::run(plan).await?, arguments.format, &mut out).await?;
    }
    Ok(out.flush()?)
}

fn statements(sql: Option<String>, file: Option<&Path>) -> anyhow::Result<String> {
    match (sql, file) {
        (Some(sql), _) => Ok(sql),
        (None, Some(file)) => std::fs::read_to_string(file)
            .with_context(|| format!("could not read `{}`", file.display())),
        (None, None) if io::stdin().is_terminal() => {
            bail!("no statement is given; put one behind the folder, in quotes")
        }
        (None, None) => {
            let mut sql = String::new();
            io::stdin()
                .read_to_string(&mut sql)
                .context("could not read stdin")?;
            Ok(sql)
        }
    }
}

async fn print(
    mut rows: SendableRecordBatchStream,
    format: Format,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let schema = rows.schema();
    let mut next = async || rows.next().await.transpose().map_err(commands::in_words);
    match format {
        Format::Csv => {
            let mut writer = arrow::csv::Writer::new(out);
            writer.write(&RecordBatch::new_empty(schema))?;
            while let Some(batch) = next().await? {
                writer.write(&batch)?;
            }
        }
        Format::Json => {
            let mut writer = WriterBuilder::new()
                .with_explicit_nulls(true)
                .build::<_, JsonArray>(&mut *out);
            while let Some(batch) = next().await? {
                writer.write(&batch)?;
            }
            writer.finish()?;
            writeln!(out)?;
        }
        Format::Table | Format::Markdown => {
            let mut cells = Vec::new();
            while let Some(batch) = next().await? {
                cells.extend(texts(&batch)?);
            }
            let style = if matches!(format, Format::Table) {
                Style::Terminal
            } else {
                Style::Markdown
            };
            let header: Vec<_> = schema
                .fields()
                .iter()
                .map(|field| field.name().clone())
                .collect();
            let is_number: Vec<_> = schema
                .fields()
                .iter()
                .map(|field| field.data_type().is_numeric())
                .collect();
            writeln!(out, "{}", render(style, &header, &is_number, &cells))?;
        }
    }
    Ok(())
}

fn texts(batch: &RecordBatch) -> anyhow::Result<Vec<Vec<String>>> {
    let options = FormatOptions::default();
    let columns = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    Ok((0..batch.num_rows())
        .map(|row| {
            columns
                .iter()
                .map(|column| column.value(row).to_string())
                .collect()
        })
        .collect())
}
