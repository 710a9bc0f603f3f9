//! How the binaries that query run: on so many threads, to the end or to Ctrl-C.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use bytesize::ByteSize;
use delia::tables::Engine;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use crate::talk::{General, fail, use_threads};

/// The exit code of a command that met a bug of ours, as Rust has it.
const PANICKED: u8 = 101;

/// The exit code of a command that was interrupted.
const INTERRUPTED: u8 = 130;

/// Rows in a batch: where there is little memory, few enough that a sort can spill in many steps.
const BATCH_ROWS: RangeInclusive<usize> = 1_024..=8_192;

/// Memory for each row of a batch.
const BYTES_PER_BATCH_ROW: usize = 250_000;

/// The stack of a worker: deep query plans are walked recursively.
const STACK_BYTES: usize = 8 << 20;

/// Flags of the engine, beside the general ones.
#[derive(clap::Args)]
pub(crate) struct EngineFlags {
    #[command(flatten)]
    pub(crate) general: General,

    /// Memory for rows that are sorted, joined or compared; what needs more goes to disk [default: half of the machine's]
    ///
    /// Such as `4GB` or `512MiB`. The process needs up to 300 MB besides. It changes the speed, never the result.
    #[arg(long, value_name = "SIZE", value_parser = memory_limit)]
    memory_limit: Option<usize>,

    /// Folder for what does not fit in memory [default: one of the command's own]
    ///
    /// It may need as much room as the texts of the stream.
    #[arg(long, value_name = "DIR")]
    temp_dir: Option<PathBuf>,

    /// Rows in a batch of the engine; they change memory and speed, never the result
    #[arg(long, value_name = "ROWS", hide = true, value_parser = clap::value_parser!(u32).range(1..))]
    batch_rows: Option<u32>,
}

impl EngineFlags {
    /// How much of the machine to use.
    pub(crate) fn engine(&self) -> Engine {
        let memory_bytes = self.memory_limit.unwrap_or_else(half_of_memory);
        let batch_rows = match self.batch_rows {
            Some(rows) => rows as usize,
            None => {
                (memory_bytes / BYTES_PER_BATCH_ROW).clamp(*BATCH_ROWS.start(), *BATCH_ROWS.end())
            }
        };
        Engine {
            threads: self.general.threads(),
            batch_rows,
            memory_bytes,
            temp_dir: self.temp_dir.clone(),
        }
    }
}

fn memory_limit(text: &str) -> Result<usize, String> {
    let size: ByteSize = text
        .parse()
        .map_err(|_| format!("`{text}` is no size such as 4GB or 512MiB"))?;
    let bytes = usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
    if bytes < Engine::MIN_MEMORY_BYTES {
        let least = ByteSize(Engine::MIN_MEMORY_BYTES as u64);
        return Err(format!("the least is {least}, got `{text}`"));
    }
    Ok(bytes)
}

/// Half of what the machine has, or the container.
fn half_of_memory() -> usize {
    let memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(memory);
    let total = system
        .cgroup_limits()
        .map_or(system.total_memory(), |limits| limits.total_memory);
    let half = usize::try_from(total / 2).unwrap_or(usize::MAX);
    half.max(Engine::MIN_MEMORY_BYTES)
}

/// Runs a command to its end, or until `ctrl_c` is done, and says how it ended. For a command that hears Ctrl-C itself it never is.
///
/// The command has a thread of its own: however long it computes without a pause, Ctrl-C is heard.
pub(crate) fn run<F>(
    threads: usize,
    ctrl_c: impl Future<Output = ()>,
    interrupted: &str,
    command: impl FnOnce() -> F + Send + 'static,
) -> ExitCode
where
    F: Future<Output = anyhow::Result<()>>,
{
    use_threads(threads);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
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
