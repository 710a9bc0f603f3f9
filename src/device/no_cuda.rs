//! A program built without CUDA.

use std::path::Path;

/// There are no kernels to keep.
pub fn keep_kernels(_folder: &Path) {}

/// Why no GPU can be used.
pub fn missing(_index: usize) -> Option<String> {
    Some("this program was built without the feature `cuda`".to_owned())
}

/// What no GPU can hold.
pub(super) fn free_memory(_index: usize) -> Option<u64> {
    None
}
