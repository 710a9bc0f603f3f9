//! Where a fit computes: which device was asked for, what is there, and why another is not.

#[cfg(feature = "cuda")]
mod cuda;
#[cfg(not(feature = "cuda"))]
#[path = "no_cuda.rs"]
mod cuda;
mod memory;

use std::fmt;

use crate::config::DeviceChoice;
use crate::error::{Error, Result};

pub use cuda::{keep_kernels, missing};
pub use memory::free_memory;

/// A device that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The CPU.
    Cpu,
    /// The NVIDIA GPU of this index.
    Cuda(usize),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

/// A device, and what there is to say about the choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The device.
    pub device: Device,
    /// Why it is not a GPU, where none was found and one would have been taken.
    pub reason: Option<String>,
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.device)?;
        match &self.reason {
            Some(reason) => write!(f, " ({reason})"),
            None => Ok(()),
        }
    }
}

/// Finds the device that was asked for; `auto` takes the first GPU that can be used, else the CPU.
///
/// # Errors
/// [`Error::Device`] for a GPU that was asked for and cannot be used, naming what is missing.
pub fn choose(choice: DeviceChoice) -> Result<Chosen> {
    let of = |device| Chosen {
        device,
        reason: None,
    };
    match choice {
        DeviceChoice::Cpu => Ok(of(Device::Cpu)),
        DeviceChoice::Cuda(index) => match missing(index) {
            None => Ok(of(Device::Cuda(index))),
            Some(missing) => Err(Error::Device {
                device: choice.to_string(),
                missing,
            }),
        },
        DeviceChoice::Auto => Ok(match missing(0) {
            None => of(Device::Cuda(0)),
            Some(missing) => Chosen {
                device: Device::Cpu,
                reason: Some(format!("no GPU: {missing}")),
            },
        }),
    }
}
