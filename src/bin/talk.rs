//! How every binary talks: errors with their hint, exit codes, completions. stdout is data, stderr is talk.

use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;

use clap::CommandFactory;
use clap_complete::Shell;
use delia::error::Error;
use delia::tables::Engine;

/// The exit code of a command that met a bug of ours, as Rust has it.
const PANICKED: u8 = 101;

/// The exit code of a command that was interrupted.
const INTERRUPTED: u8 = 130;

/// The stack of a worker: deep query plans are walked recursively.
const STACK_BYTES: usize = 8 << 20;

/// Flags that every binary has.
#[derive(clap::Args)]
#[command(next_help_heading = "General")]
pub(crate) struct General {
    /// Threads to use; they change the speed, never the result [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,

    /// Rows in a batch of the engine; they change memory and speed, never the result
    #[arg(long, value_name = "ROWS", hide = true, value_parser = clap::value_parser!(u32).range(1..))]
    batch_rows: Option<u32>,

    /// Say nothing but errors
    #[arg(long, short)]
    pub(crate) quiet: bool,

    /// Print a completion script for this shell and stop
    #[arg(long, value_name = "SHELL")]
    pub(crate) completions: Option<Shell>,
}

impl General {
    /// How much of the machine to use.
    pub(crate) fn engine(&self) -> Engine {
        let machine = Engine::of_machine();
        Engine {
            threads: self.threads.map_or(machine.threads, usize::from),
            batch_rows: self
                .batch_rows
                .map_or(machine.batch_rows, |rows| rows as usize),
        }
    }
}

/// Runs a command to its end, or to Ctrl-C, and says how it ended.
///
/// The command has a thread of its own: however long it computes without a pause, Ctrl-C is heard.
pub(crate) fn run<F>(
    engine: Engine,
    interrupted: &str,
    command: impl FnOnce() -> F + Send + 'static,
) -> ExitCode
where
    F: Future<Output = anyhow::Result<()>>,
{
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(engine.threads)
        .build_global();
    pool.expect("this is the first use of the pool");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(engine.threads)
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let handle = runtime.handle().clone();
    let (done, finished) = tokio::sync::oneshot::channel();
    let outcome = runtime.block_on(async {
        let ctrl_c = tokio::signal::ctrl_c();
        tokio::pin!(ctrl_c);
        // Polled once before the command begins, so that no Ctrl-C is missed.
        if futures::poll!(&mut ctrl_c).is_pending() {
            let body = move || drop(done.send(handle.block_on(command())));
            if let Err(error) = thread::Builder::new().stack_size(STACK_BYTES).spawn(body) {
                return fail(&error.into());
            }
        }
        tokio::select! {
            outcome = finished => match outcome {
                Ok(outcome) => outcome.map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS),
                // The thread panicked, and has said so.
                Err(_) => ExitCode::from(PANICKED),
            },
            _ = &mut ctrl_c => {
                eprintln!("{interrupted}");
                ExitCode::from(INTERRUPTED)
            }
        }
    });
    // Threads still at work have nothing left to say.
    runtime.shutdown_background();
    outcome
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

fn fail(error: &anyhow::Error) -> ExitCode {
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
