//! What has to be there before a CUDA device is opened: the libraries below panic where any of it is missing.

use std::env;
use std::path::{Path, PathBuf};

use cubecl_runtime::config::cache::CacheConfig;
use cubecl_runtime::config::{CubeClRuntimeConfig, RuntimeConfig as _};
use cudarc::{driver, nvrtc};

/// A header that every kernel needs.
const HEADER: &str = "include/cuda_runtime.h";

/// Where CUDA is installed when `CUDA_PATH` does not say: each with a file that shows it. The compiler of the kernels
/// looks in the same places, and reads the same variable.
const USUAL_PLACES: [(&str, &str); 3] = [
    ("/usr/local/cuda", "/usr/local/cuda"),
    ("/opt/cuda", "/opt/cuda"),
    ("/usr", "/usr/bin/nvcc"),
];

/// What was found of CUDA.
#[derive(Clone, Debug)]
struct Found {
    /// Whether the driver can be loaded.
    driver: bool,
    /// GPUs the driver counts, or why it does not.
    n_gpus: Result<usize, String>,
    /// Whether the run-time compiler can be loaded.
    compiler: bool,
    /// Where the toolkit should be.
    toolkit: PathBuf,
    /// Whether its headers are there.
    headers: bool,
}

/// Keeps compiled kernels, and which of them were fastest for which shapes, in this folder: a machine finds that out once. What a
/// `cubecl.toml` says goes before. To be called before the first device is opened, and only then.
pub fn keep_kernels(folder: &Path) {
    let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
    if matches!(config.autotune.cache, CacheConfig::Target) {
        config.autotune.cache = CacheConfig::File(folder.to_owned());
    }
    let compiled = &mut config.compilation.cache;
    compiled.get_or_insert_with(|| CacheConfig::File(folder.to_owned()));
    CubeClRuntimeConfig::set(config);
}

/// The first thing that is missing to compute on the GPU of this index, or `None` where nothing is.
pub fn missing(index: usize) -> Option<String> {
    first_missing(&find(), index)
}

/// Bytes that can still be taken on the GPU of this index, or `None` where its driver does not say.
pub(super) fn free_memory(index: usize) -> Option<u64> {
    if missing(index).is_some() {
        return None;
    }
    let ask = || driver::CudaContext::new(index).and_then(|gpu| gpu.mem_get_info());
    // A driver without the function panics.
    let (free, _) = std::panic::catch_unwind(ask).ok()?.ok()?;
    u64::try_from(free).ok()
}

fn first_missing(found: &Found, index: usize) -> Option<String> {
    if !found.driver {
        return Some("there is no NVIDIA driver (libcuda)".to_owned());
    }
    match &found.n_gpus {
        Err(problem) => return Some(format!("the NVIDIA driver does not start ({problem})")),
        Ok(0) => return Some("the NVIDIA driver finds no GPU".to_owned()),
        Ok(1) if index > 0 => return Some("there is one GPU, cuda:0".to_owned()),
        Ok(n) if index >= *n => {
            return Some(format!("there are {n} GPUs, the last is cuda:{}", n - 1));
        }
        Ok(_) => {}
    }
    if !found.compiler {
        return Some("NVIDIA's run-time compiler (libnvrtc) is missing".to_owned());
    }
    (!found.headers).then(|| {
        format!(
            "CUDA's headers are missing: there is no `{}`; `CUDA_PATH` may name another place",
            found.toolkit.join(HEADER).display()
        )
    })
}

#[expect(
    unsafe_code,
    reason = "loading a library runs its initialisers; these two are NVIDIA's own"
)]
fn find() -> Found {
    // SAFETY: nothing is called, the libraries are only opened.
    let (driver, compiler) = unsafe {
        (
            driver::sys::is_culib_present(),
            nvrtc::sys::is_culib_present(),
        )
    };
    let toolkit = toolkit();
    Found {
        driver,
        n_gpus: if driver { n_gpus() } else { Ok(0) },
        compiler,
        headers: toolkit.join(HEADER).exists(),
        toolkit,
    }
}

fn n_gpus() -> Result<usize, String> {
    // A driver without a GPU, or older than the kernel module, says so here.
    let count = std::panic::catch_unwind(driver::CudaContext::device_count);
    match count {
        Ok(Ok(count)) => Ok(usize::try_from(count).unwrap_or(0)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("it lacks a function this program needs".to_owned()),
    }
}

fn toolkit() -> PathBuf {
    if let Some(path) = env::var_os("CUDA_PATH") {
        return path.into();
    }
    let is_there = |(_, sign): &&(&str, &str)| Path::new(sign).exists();
    let place = USUAL_PLACES.iter().find(is_there);
    place.unwrap_or(&USUAL_PLACES[0]).0.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_missing_thing_is_named() {
        let whole = Found {
            driver: true,
            n_gpus: Ok(2),
            compiler: true,
            toolkit: "/usr/local/cuda".into(),
            headers: true,
        };
        assert_eq!(first_missing(&whole, 1), None);
        let missing = |change: fn(&mut Found), index| {
            let mut found = whole.clone();
            change(&mut found);
            first_missing(&found, index).expect("something is missing")
        };
        let cases = [
            (missing(|found| found.driver = false, 0), "no NVIDIA driver"),
            (missing(|found| found.n_gpus = Ok(0), 0), "finds no GPU"),
            (
                missing(|found| found.n_gpus = Err("no device".to_owned()), 0),
                "does not start (no device)",
            ),
            (missing(|_| {}, 2), "there are 2 GPUs, the last is cuda:1"),
            (
                missing(|found| found.n_gpus = Ok(1), 1),
                "there is one GPU, cuda:0",
            ),
            (missing(|found| found.compiler = false, 0), "libnvrtc"),
            (
                missing(|found| found.headers = false, 0),
                "no `/usr/local/cuda/include/cuda_runtime.h`",
            ),
        ];
        for (said, text) in cases {
            assert!(said.contains(text), "{said}");
        }
    }
}
