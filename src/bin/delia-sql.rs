//! Queries a finished build: parses arguments, calls [`sql::open`], prints rows.

#![expect(clippy::print_stderr, reason = "a binary talks to its user")]

mod engine;
mod talk;

use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Parser;
use delia::commands::sql;
use delia::report::{Format, RowPrinter};
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

    /// The same as `--format json`
    #[arg(long, conflicts_with = "format")]
    json: bool,

    #[command(flatten)]
    flags: engine::EngineFlags,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.flags.general.completions {
        Some(shell) => talk::complete::<Arguments>(shell),
        None => engine::run(arguments.flags.general.threads(), "interrupted", || {
            query(arguments)
        }),
    }
}

async fn query(arguments: Arguments) -> anyhow::Result<()> {
    let folder = arguments.folder.expect("clap requires it");
    let format = if arguments.json {
        Format::Json
    } else {
        arguments.format
    };
    let sql = statements(arguments.sql, arguments.file.as_deref())?;
    let tables = sql::open(&folder, &arguments.flags.engine(), &std::env::temp_dir()).await?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    for plan in tables.plan(&sql).await? {
        let mut rows = sql::run(plan).await?;
        let mut printer = RowPrinter::new(format, &rows.schema(), &mut out)?;
        while let Some(batch) = rows
            .next()
            .await
            .transpose()
            .map_err(|error| sql::in_words(&error))?
        {
            printer.push(&batch)?;
        }
        printer.finish()?;
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
