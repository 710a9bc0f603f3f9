//! Queries a finished build: parses arguments, calls [`sql::open`], prints rows and reports.

#![expect(clippy::print_stderr, reason = "a binary talks to its user")]

mod answers;
mod asked;
mod engine;
mod repl;
mod talk;
mod typist;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Parser;
use delia::commands::inspect::Choice;
use delia::commands::page::write_page;
use delia::commands::sql;
use delia::error::Error;
use delia::report::Format;

use answers::{Printed, print_report, print_rows};
use asked::Asked;

/// Query the shards of a build with SQL, or read a report on it
///
/// Tables: `shards` (one row a sample, with the name of its file in `shard`), `dropped` (what is not in them, and why),
/// `sources`, `held_out`, `build`, `stages`. Nothing is ever written.
#[derive(Parser)]
#[command(version, after_help = asked::HELP)]
struct Arguments {
    /// Folder of a finished build
    #[arg(required_unless_present = "completions")]
    folder: Option<PathBuf>,

    /// Statements to run; without any they are read from stdin, or typed at a prompt where that is a terminal
    #[arg(conflicts_with = "report")]
    sql: Option<String>,

    /// Read the statements from this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sql", "report"])]
    file: Option<PathBuf>,

    /// Print a ready-made report
    #[arg(long, value_name = "NAME", value_parser = asked::parser())]
    report: Option<Asked>,

    /// Where the page of `--report html` goes
    #[arg(
        long,
        value_name = "FILE",
        requires = "report",
        required_if_eq("report", "html")
    )]
    out: Option<PathBuf>,

    /// Samples of each kind in a report
    #[arg(long, value_name = "N", default_value_t = 5)]
    samples: u32,

    /// Chooses the samples in a report; the same seed shows the same ones
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,

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
    if let Some(shell) = arguments.flags.general.completions {
        return talk::complete::<Arguments>(shell);
    }
    let threads = arguments.flags.general.threads();
    if arguments.is_conversation() {
        engine::run(threads, std::future::pending(), "", || query(arguments))
    } else {
        let ctrl_c = async { drop(tokio::signal::ctrl_c().await) };
        engine::run(threads, ctrl_c, "interrupted", || query(arguments))
    }
}

impl Arguments {
    fn is_conversation(&self) -> bool {
        let is_asked = self.sql.is_some() || self.file.is_some() || self.report.is_some();
        !is_asked && io::stdin().is_terminal() && io::stdout().is_terminal()
    }
}

async fn query(arguments: Arguments) -> anyhow::Result<()> {
    let is_conversation = arguments.is_conversation();
    let folder = arguments.folder.expect("clap requires it");
    let format = if arguments.json {
        Format::Json
    } else {
        arguments.format
    };
    let choice = Choice {
        n_samples: arguments.samples.into(),
        seed: arguments.seed,
    };
    let printed = Printed { format, choice };
    let quiet = arguments.flags.general.quiet;
    if arguments.out.is_some() && arguments.report != Some(Asked::Html) {
        return Err(no_page().into());
    }
    let engine = arguments.flags.engine();
    let open = async || sql::open(&folder, &engine, &std::env::temp_dir()).await;
    match arguments.report {
        Some(Asked::Html) => {
            let out = arguments.out.expect("clap requires it");
            let page = open().await?.page(&folder, choice).await?;
            write_page(&folder, &out, &page)?;
            if !quiet {
                eprintln!("wrote `{}`", out.display());
            }
            Ok(())
        }
        Some(Asked::Ready(report)) => print_report(&open().await?, report, printed).await,
        None if is_conversation => repl::converse(&open().await?, printed, quiet).await,
        None => {
            let sql = statements(arguments.sql, arguments.file.as_deref())?;
            print_rows(&open().await?, &sql, printed).await
        }
    }
}

fn no_page() -> Error {
    Error::Setting {
        key: "--out",
        problem: "only `--report html` writes a file".to_owned(),
        hint: "other reports go to stdout: `> FILE` puts them into one".to_owned(),
    }
}

fn statements(sql: Option<String>, file: Option<&Path>) -> anyhow::Result<String> {
    match (sql, file) {
        (Some(sql), _) => Ok(sql),
        (None, Some(file)) => std::fs::read_to_string(file)
            .with_context(|| format!("could not read `{}`", file.display())),
        (None, None) if io::stdin().is_terminal() => {
            bail!("no statement is given; put one behind the folder, in quotes")
        }
        (None, None) => io::read_to_string(io::stdin()).context("could not read stdin"),
    }
}
