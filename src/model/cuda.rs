//! The operations of a decoder on an NVIDIA GPU: those of the tensor library, whose kernels are tuned at run time.

use burn_cuda::Cuda;

use super::kernels::Kernels;

impl Kernels for Cuda {}
