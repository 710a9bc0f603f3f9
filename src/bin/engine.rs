//! How the binaries that query run: on an engine with so many threads, to the end or to Ctrl-C.

use std::process::ExitCode;
use std::thread;

use delia::tables::Engine;

use crate::talk::{General, fail, use_threads};

/// The exit code of a command that met a bug of ours, as Rust has it.
const PANICKED: u8 = 101;

/// The exit code of a command that was interrupted.
const INTERRUPTED: u8 = 130;

/// The stack of a worker: deep query plans are walked recursively.
const STACK_BYTES: usize = 8 << 20;

/// Flags of the engine, beside the general ones.
#[derive(clap::Args)]
pub(crate) struct EngineFlags {
    #[command(flatten)]
    pub(crate) general: General,

    /// Rows in a batch of the engine; they change memory and speed, never the result
    #[arg(long, value_name = "ROWS", hide = true, value_parser = clap::value_parser!(u32).range(1..))]
    batch_rows: Option<u32>,
}

impl EngineFlags {
    /// How much of the machine to use.
    pub(crate) fn engine(&self) -> Engine {
        let machine = Engine::of_machine();
        Engine {
            threads: self.general.threads(),
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
    let ctrl_c = async { drop(tokio::signal::ctrl_c().await) };
    run_until(engine, ctrl_c, interrupted, command)
}

/// Runs a command to its end, or until `ctrl_c` is done: never, for a command that hears Ctrl-C itself.
pub(crate) fn run_until<F>(
    engine: Engine,
    ctrl_c: impl Future<Output = ()>,
    interrupted: &str,
    command: impl FnOnce() -> F + Send + 'static,
) -> ExitCode
where
    F: Future<Output = anyhow::Result<()>>,
{
    use_threads(engine.threads);
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
            () = &mut ctrl_c => {
                eprintln!("{interrupted}");
                ExitCode::from(INTERRUPTED)
            }
        }
    });
    // Threads still at work have nothing left to say.
    runtime.shutdown_background();
    outcome
}
