//! Fits an adapter: parses arguments, calls [`fit::fit`], prints its report.

#![expect(clippy::print_stderr, reason = "a binary talks to its user")]

mod fit_progress;
mod network;
mod talk;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use bytesize::ByteSize;
use clap::Parser;
use delia::commands::fit::{self, FitRequest};
use delia::config::{DeviceChoice, FitConfig, FitTable, Recipe, ShardsAt};
use delia::device::keep_kernels;
use delia::error::Error;
use delia::shards::remote::{DEFAULT_CACHE_BYTES, Downloads};
use serde::Serialize;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use fit_progress::FitProgress;

/// The exit code of a command that was interrupted.
const INTERRUPTED: i32 = 130;

/// Fit a LoRA adapter to the shards of a build
///
/// Streams the shards in order into a low-rank adapter beside a frozen model, and writes it in PEFT's format. An interrupted
/// fit goes on when its command is repeated, and ends with the same adapter.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// A build: its folder, or the address of one, `https://…` or `http://…`
    ///
    /// Behind an address, each shard is fetched when its turn comes, a few ahead of the training, and compared with the
    /// manifest before it is used.
    #[arg(required_unless_present = "completions", value_name = "DIR|URL")]
    shards: Option<PathBuf>,

    /// Begin while the build is still writing into the folder, and take its shards as they come
    ///
    /// The fit waits for each shard, and is finished when the manifest says that the shards were those of the build. Its
    /// adapter is the one that a fit of the finished build would have made.
    #[arg(help_heading = "What to do", long, conflicts_with = "plan")]
    follow: bool,

    #[command(flatten)]
    fit: FitTable,

    /// Folder for the adapter
    #[arg(
        help_heading = "What to do",
        long,
        value_name = "DIR",
        default_value = "adapter"
    )]
    out: PathBuf,

    /// Start from a recipe: a bundled one by its name, another by its path; flags win over it
    #[arg(help_heading = "What to do", long, value_name = "NAME|FILE")]
    recipe: Option<PathBuf>,

    /// Where to compute: `auto`, `cpu`, `cuda` or `cuda:N`
    #[arg(
        help_heading = "What to do",
        long,
        value_name = "DEVICE",
        default_value = "auto"
    )]
    device: DeviceChoice,

    /// Answer this prompt before and after, to look at what was learned
    #[arg(help_heading = "What to do", long = "try", value_name = "PROMPT")]
    prompt: Option<String>,

    /// Say what the fit would do and take, with the arithmetic, and write nothing but the cache
    #[arg(help_heading = "What to do", long, conflicts_with_all = ["fresh", "prompt"])]
    plan: bool,

    /// Write event files for TensorBoard into this folder
    #[arg(help_heading = "What to do", long, value_name = "DIR")]
    log_tensorboard: Option<PathBuf>,

    /// Start over instead of going on where the fit in the folder stopped
    #[arg(help_heading = "What to do", long)]
    fresh: bool,

    /// Print the report as JSON
    #[arg(help_heading = "What to do", long)]
    json: bool,

    #[command(flatten)]
    elsewhere: Elsewhere,

    #[command(flatten)]
    general: talk::General,
}

/// Flags for shards behind an address.
#[derive(clap::Args)]
#[command(next_help_heading = "Shards elsewhere")]
struct Elsewhere {
    /// Folder for shards that are fetched and for what a GPU's kernels are tuned to [default: the user's cache folder]
    ///
    /// The default is `$XDG_CACHE_HOME/delia`, or `~/.cache/delia`. It may be removed at any time.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,

    /// Shards that stay there take at most this; the least recently used go first [default: 8GB]
    #[arg(long, value_name = "SIZE")]
    cache_limit: Option<ByteSize>,

    /// How often a request that brings nothing new is repeated [default: 4]
    #[arg(long, value_name = "N")]
    retries: Option<u32>,
}

impl Elsewhere {
    fn cache(&self) -> Option<PathBuf> {
        self.cache.clone().or_else(network::cache_folder)
    }

    fn downloads(&self, quiet: bool) -> Result<Downloads, Error> {
        Ok(Downloads {
            cache: self.cache(),
            cache_bytes: self
                .cache_limit
                .map_or(DEFAULT_CACHE_BYTES, |limit| limit.0),
            network: network::network(None, self.retries, quiet)?,
        })
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(shell) = arguments.general.completions {
        return talk::complete::<Arguments>(shell);
    }
    match fit(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => talk::fail(&error),
    }
}

fn fit(arguments: Arguments) -> anyhow::Result<()> {
    talk::use_threads(arguments.general.threads());
    let stop = stop_on_signals().context("could not listen for Ctrl-C")?;
    let recipe = arguments.recipe.as_deref().map(Recipe::read).transpose()?;
    let table = recipe.and_then(|recipe| recipe.fit).unwrap_or_default();
    let config = FitConfig::from_table(table.overridden_by(arguments.fit))?;
    let shards = arguments.shards.expect("clap requires it");
    let shards = ShardsAt::parse(&shards, arguments.follow)?;
    // Only where they are asked for, so that no other fit is told about tokens.
    let downloads = match &shards {
        ShardsAt::Web(_) => arguments.elsewhere.downloads(arguments.general.quiet)?,
        _ => Downloads::default(),
    };
    if let Some(cache) = arguments.elsewhere.cache() {
        keep_kernels(&cache.join("kernels"));
    }
    let request = FitRequest {
        shards: &shards,
        downloads: &downloads,
        out: &arguments.out,
        device: arguments.device,
        fresh: arguments.fresh,
        prompt: arguments.prompt.as_deref(),
        log_tensorboard: arguments.log_tensorboard.as_deref(),
        stop: &stop,
    };
    let progress = FitProgress::new(arguments.general.quiet);
    if arguments.plan {
        let plan = fit::plan(&config, &request, &|event| progress.show(&event))?;
        return print(&plan, arguments.json, arguments.general.quiet);
    }
    let report = fit::fit(&config, &request, &|event| progress.show(&event));
    progress.finish();
    print(&report?, arguments.json, arguments.general.quiet)
}

/// Prints a report on stdout.
fn print<R: Serialize + Display>(report: &R, json: bool, quiet: bool) -> anyhow::Result<()> {
    if json {
        writeln!(io::stdout(), "{}", serde_json::to_string_pretty(report)?)?;
    } else if !quiet {
        writeln!(io::stdout(), "{report}")?;
    }
    Ok(())
}

/// Set by the first Ctrl-C, SIGTERM or SIGHUP, which lets the step at hand end and be saved; the second does not wait.
fn stop_on_signals() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register_conditional_shutdown(signal, INTERRUPTED, Arc::clone(&stop))?;
        flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}
