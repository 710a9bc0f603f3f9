//! Builds shards: parses arguments, calls [`build::build`], prints its report.

#![expect(clippy::print_stderr, reason = "a binary talks to its user")]

mod access;
mod build_progress;
mod engine;
mod network;
mod talk;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};
use delia::commands::build::{self, Permissions};
use delia::commands::explain;
use delia::config::{BuildConfig, BuildTable, MixFlags, Recipe};
use delia::llm::Interrupt;
use serde::Serialize;

/// What Ctrl-C means for a build.
const INTERRUPTED: &str = "interrupted; repeating the command goes on where it stopped";

/// Build Parquet shards from a few task samples and many diverse ones
///
/// Without arguments the bundled task is mixed with 520 times as many generated samples into the folder `shards`. The same
/// recipe and seed always give the same bytes; an interrupted build goes on when its command is repeated.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    build: BuildTable,

    #[command(flatten)]
    mix: MixFlags,

    /// Folder for the shards
    #[arg(long, value_name = "DIR", default_value = "shards")]
    out: PathBuf,

    /// Start from a recipe: a bundled one by its name, another by its path; flags win over it
    #[arg(long, value_name = "NAME|FILE")]
    recipe: Option<PathBuf>,

    /// Replace the build that is in the folder, and only its files
    #[arg(long)]
    force: bool,

    /// Build although a source is not the file the recipe was frozen with
    #[arg(long)]
    accept_changed: bool,

    /// Print every query that would run, with its parameters and DataFusion's plan, and write nothing but the cache
    ///
    /// The draw is made in a temporary folder, so that parameters which the data decide are those of the build.
    #[arg(long)]
    explain: bool,

    /// Print what would be read and the mix that would come of it, to the row, and write nothing but the cache
    ///
    /// No language model is asked: task rows are counted as if reworded by rules.
    #[arg(long, conflicts_with = "explain")]
    dry_run: bool,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    access: access::AccessFlags,

    #[command(flatten)]
    flags: engine::EngineFlags,
}

fn main() -> ExitCode {
    let typed = Arguments::command().get_matches();
    let arguments = Arguments::from_arg_matches(&typed).unwrap_or_else(|error| error.exit());
    match arguments.flags.general.completions {
        Some(shell) => talk::complete::<Arguments>(shell),
        None => {
            let (threads, interrupt) = (arguments.flags.general.threads(), Interrupt::default());
            let ctrl_c = access::ctrl_c(interrupt.clone());
            engine::run(threads, ctrl_c, INTERRUPTED, || {
                build(arguments, typed, interrupt)
            })
        }
    }
}

async fn build(
    arguments: Arguments,
    typed: ArgMatches,
    interrupt: Interrupt,
) -> anyhow::Result<()> {
    let mut recipe = arguments
        .recipe
        .as_deref()
        .map(Recipe::read)
        .transpose()?
        .unwrap_or_default();
    recipe.build = Some(
        recipe
            .build
            .unwrap_or_default()
            .overridden_by(arguments.build.with_mix(&arguments.mix, &typed)?),
    );
    let config = BuildConfig::from_recipe(recipe)?;
    let permissions = Permissions {
        force: arguments.force,
        accept_changed: arguments.accept_changed,
    };
    let bar = build_progress::bar(arguments.flags.general.quiet);
    let engine = arguments.flags.engine();
    let access = arguments
        .access
        .access(interrupt, arguments.flags.general.quiet)?;
    let show = |progress| build_progress::show(&bar, &progress);
    if arguments.explain || arguments.dry_run {
        let scratch = tempfile::tempdir()?;
        let (scratch, accept) = (scratch.path(), arguments.accept_changed);
        if arguments.explain {
            let explanation =
                explain::explain(&config, accept, &engine, &access, scratch, &show).await;
            bar.finish_and_clear();
            return print(&explanation?, arguments.json, false);
        }
        let dry_run = explain::dry_run(&config, accept, &engine, &access, scratch, &show).await;
        bar.finish_and_clear();
        return print(&dry_run?, arguments.json, false);
    }
    let report = build::build(
        &config,
        &arguments.out,
        permissions,
        &engine,
        &access,
        &show,
    )
    .await;
    bar.finish_and_clear();
    print(&report?, arguments.json, arguments.flags.general.quiet)
}

fn print(report: &(impl Display + Serialize), json: bool, quiet: bool) -> anyhow::Result<()> {
    if json {
        writeln!(io::stdout(), "{}", serde_json::to_string_pretty(report)?)?;
    } else if !quiet {
        writeln!(io::stdout(), "{report}")?;
    }
    Ok(())
}
