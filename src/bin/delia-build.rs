//! Builds shards: parses arguments, calls [`build::build`], prints its report.

#![expect(clippy::print_stderr, reason = "a binary talks to its user")]

mod access;
mod build_progress;
mod engine;
mod talk;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use delia::commands::build::{self, Permissions};
use delia::config::{BuildConfig, BuildTable, Recipe};

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

    /// Print the report as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    access: access::AccessFlags,

    #[command(flatten)]
    flags: engine::EngineFlags,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.flags.general.completions {
        Some(shell) => talk::complete::<Arguments>(shell),
        None => engine::run(arguments.flags.engine(), INTERRUPTED, || build(arguments)),
    }
}

async fn build(arguments: Arguments) -> anyhow::Result<()> {
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
            .overridden_by(arguments.build),
    );
    let config = BuildConfig::from_recipe(recipe)?;
    let permissions = Permissions {
        force: arguments.force,
        accept_changed: arguments.accept_changed,
    };
    let bar = build_progress::bar(arguments.flags.general.quiet);
    let engine = arguments.flags.engine();
    let access = arguments.access.access()?;
    let show = |progress| build_progress::show(&bar, &progress);
    let report = build::build(&config, &arguments.out, permissions, engine, &access, &show).await;
    bar.finish_and_clear();
    let report = report?;
    if arguments.json {
        writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&report)?)?;
    } else if !arguments.flags.general.quiet {
        writeln!(io::stdout(), "{report}")?;
    }
    Ok(())
}
