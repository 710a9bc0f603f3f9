//! What has to be there before a CUDA device is opened: the libraries below panic where any of it is missing.

use std::env;
use std::path::{Path, PathBuf};

use cudarc::{driver, nvrtc};

/// A header that every kernel needs.
const HEADER: &str = "include/cuda_runtime.h";

/// Where CUDA is installed when `CUDA_PATH` does not say.
const USUAL_PLACES: [&str; 2] = ["/usr/local/cuda", "/opt/cuda"];

/// The first thing that is missing to compute on the GPU of this index, or `None` where nothing is.
pub fn missing(index: usize) -> Option<String> {
    let (driver, compiler) = libraries();
    if !driver {
        return Some("there is no NVIDIA driver (libcuda)".to_owned());
    }
    match device_count() {
        Err(problem) => return Some(format!("the NVIDIA driver does not start ({problem})")),
        Ok(0) => return Some("the NVIDIA driver finds no GPU".to_owned()),
        Ok(n) if index >= n => {
            return Some(format!("there are {n} GPUs, the first is cuda:0"));
        }
        Ok(_) => {}
    }
    if !compiler {
        return Some("NVIDIA's run-time compiler (libnvrtc) is missing".to_owned());
    }
    let place = toolkit();
    if !place.join(HEADER).exists() {
        return Some(format!(
            "CUDA's headers are missing: there is no `{}`, and `CUDA_PATH` names no other place",
            place.join(HEADER).display()
        ));
    }
    None
}

/// Whether the driver and the run-time compiler can be loaded.
#[expect(
    unsafe_code,
    reason = "loading a library runs its initialisers; these two are NVIDIA's own"
)]
fn libraries() -> (bool, bool) {
    // SAFETY: nothing is called, the libraries are only opened.
    unsafe {
        (
            driver::sys::is_culib_present(),
            nvrtc::sys::is_culib_present(),
        )
    }
}

fn device_count() -> Result<usize, String> {
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
    let usual = USUAL_PLACES.iter().map(Path::new);
    usual
        .clone()
        .find(|place| place.exists())
        .or(usual.clone().next())
        .expect("a list that is not empty")
        .to_owned()
}
