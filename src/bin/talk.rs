//! How every binary talks: errors with their hint, exit codes, completions. stdout is data, stderr is talk.

use std::io::{self, Write};
use std::process::ExitCode;
use std::thread::available_parallelism;

use clap::CommandFactory;
use clap_complete::Shell;
use delia::error::Error;

/// Flags that every binary has.
#[derive(clap::Args)]
#[command(next_help_heading = "General")]
pub(crate) struct General {
    /// Threads to use; they change the speed, never the result [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,

    /// Say nothing but errors
    #[arg(long, short)]
    pub(crate) quiet: bool,

    /// Print a completion script for this shell and stop
    #[arg(long, value_name = "SHELL")]
    pub(crate) completions: Option<Shell>,
}

impl General {
    /// Threads to use.
    pub(crate) fn threads(&self) -> usize {
        let of_machine = || available_parallelism().map_or(1, usize::from);
        self.threads.map_or_else(of_machine, usize::from)
    }
}

/// Gives the libraries that compute in parallel so many threads.
pub(crate) fn use_threads(threads: usize) {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global();
    pool.expect("this is the first use of the pool");
}

/// Prints a completion script.
pub(crate) fn complete<C: CommandFactory>(shell: Shell) -> ExitCode {
    let mut command = C::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    match io::stdout().write_all(&script) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.into()),
    }
}

/// Whether the reader of our output has gone, as `head` does when it has seen enough.
fn reader_is_gone(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
    })
}

pub(crate) fn fail(error: &anyhow::Error) -> ExitCode {
    if reader_is_gone(error) {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: {error:#}");
    let own = error.downcast_ref::<Error>();
    if let Some(hint) = own.and_then(Error::hint) {
        eprintln!("\nhint: {hint}");
    }
    ExitCode::from(own.map_or(1, Error::exit_code))
}
