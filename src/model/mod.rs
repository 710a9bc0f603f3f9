//! The decoder: from token ids to scores of the next token. It knows no data.
//!
//! ```text
//!   config.json ─ config      refuses what would change numbers unseen
//!   *.safetensors ─ weights
//!        │
//!        ▼
//!   decoder ─ block            tokens, rope, projection, attention, kernels
//!        ▼
//!   loss                       over supervised tokens only
//! ```

mod attention;
mod block;
pub mod config;
mod cpu;
mod decoder;
mod gradients;
mod header;
mod kernels;
mod loss;
mod noise;
pub mod numbers;
mod packing;
mod plain;
mod projection;
mod quantise;
mod random;
mod rope;
pub mod save;
mod tokens;
mod weights;

#[cfg(feature = "cuda")]
mod cuda;

pub use attention::QUERIES_IN_FLIGHT;
pub use block::PROJECTIONS;
pub use decoder::{Decoder, EMBEDDING, HEAD, Sequences, is_vector};
pub use gradients::Gradients;
pub use kernels::{AttentionKind, Branch, Dropout, Kernels};
pub use loss::{Loss, SCORES_IN_FLIGHT, Target, losses, supervised_loss};
pub use noise::Noise;
pub use packing::Packing;
pub use projection::{Adapter, Projection};
pub use quantise::NUMBERS_A_SCALE;
pub use random::random;
pub use tokens::{NewRows, TokenTable};
pub use weights::{ADAPTER_FILE, INDEX_FILE, RawTensor, SINGLE_FILE, Weights};
