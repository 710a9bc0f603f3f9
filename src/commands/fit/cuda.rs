//! A fit on an NVIDIA GPU.

use burn::backend::Autodiff;
use burn::tensor::DType;
use burn_cuda::{Cuda, CudaDevice};

use crate::error::Result;
use crate::report::{FitPlan, FitReport};

use super::folder::FitFolder;
use super::{FitEvent, Plan};

/// The type of the frozen weights.
const DTYPE: DType = DType::BF16;

/// Runs the fit on the GPU of this index, with the frozen weights in 16 bits.
pub(super) fn run(
    plan: &Plan<'_>,
    folder: &FitFolder,
    finished: Option<FitReport>,
    index: usize,
    watch: &dyn Fn(FitEvent<'_>),
) -> Result<FitReport> {
    let device = CudaDevice::new(index);
    plan.run::<Autodiff<Cuda>>(folder, finished, DTYPE, &device, watch)
}

/// Says what the fit would do there.
pub(super) fn describe(
    plan: &Plan<'_>,
    index: usize,
    watch: &dyn Fn(FitEvent<'_>),
) -> Result<FitPlan> {
    plan.describe::<Cuda>(DTYPE, &CudaDevice::new(index), 0, watch)
}
