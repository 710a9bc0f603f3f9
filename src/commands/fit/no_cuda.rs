//! A program built without CUDA never gets here: no GPU is found.

use crate::error::{Error, Result};
use crate::report::{FitPlan, FitReport};

use super::folder::FitFolder;
use super::{FitEvent, Plan};

/// Refuses.
pub(super) fn run(
    _plan: &Plan<'_>,
    _folder: &FitFolder,
    _finished: Option<FitReport>,
    index: usize,
    _watch: &dyn Fn(FitEvent<'_>),
) -> Result<FitReport> {
    Err(refused(index))
}

/// Refuses too.
pub(super) fn describe(
    _plan: &Plan<'_>,
    index: usize,
    _watch: &dyn Fn(FitEvent<'_>),
) -> Result<FitPlan> {
    Err(refused(index))
}

fn refused(index: usize) -> Error {
    Error::Device {
        device: format!("cuda:{index}"),
        missing: crate::device::missing(index).unwrap_or_default(),
    }
}
