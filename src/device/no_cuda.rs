//! A program built without CUDA.

/// Why no GPU can be used.
pub fn missing(_index: usize) -> Option<String> {
    Some("this program was built without the feature `cuda`".to_owned())
}
