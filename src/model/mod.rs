//! The decoder: from token ids to scores of the next token. It knows no data.
//!
//! ```text
//!   config.json ─ config      refuses what would change numbers unseen
//!   *.safetensors ─ weights
//!        │
//!        ▼
//!   decoder                    tokens, rope, kernels
//!        ▼
//!   loss                       over supervised tokens only
//! ```

pub mod config;
mod cpu;
mod decoder;
mod kernels;
mod loss;
mod plain;
mod random;
mod rope;
mod tokens;
mod weights;

#[cfg(feature = "cuda")]
mod cuda;

pub use decoder::{Adapter, Decoder, Dropout, EMBEDDING, HEAD, PROJECTIONS, Projection, Sequences};
pub use kernels::Kernels;
pub use loss::{Loss, Target, supervised_loss};
pub use random::random;
pub use tokens::{NewRows, TokenTable};
pub use weights::{ADAPTER_FILE, Weights};
