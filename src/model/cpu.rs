//! The operations of a decoder on the CPU.

use burn_flex::Flex;

use super::kernels::Kernels;

impl Kernels for Flex {}
