//! What a fit will take: the weights it trains, memory, and arithmetic, from the shape of the model and of the batches.
//!
//! These are estimates. They count the large tensors by formulas that stand beside them, and nothing else: no working space
//! of single operations, no fragmentation, nothing of the libraries. `benches/RESULTS.md` has them beside measured peaks.

use serde::Serialize;

use crate::model::PROJECTIONS;
use crate::model::config::DecoderConfig;

/// Bytes of a number in 32 bits, in which everything trained is kept.
const F32: u64 = 4;

/// Bytes an optimiser takes for a trained weight beside its value: two moments, the sum of its gradients, and while a step is
/// made, the new value and the new moments beside the old, so that a weight that is no number changes nothing.
const OPTIMIZER_BYTES: u64 = 6 * F32;

/// Copies of the attention's scores while a block's gradient is computed: the probabilities, their gradient, and that of the
/// scores.
const COPIES_OF_SCORES: u64 = 3;

/// Scores of tokens over the vocabulary that the loss holds at a time, and their gradient.
const LOSS_SCORES: u64 = 2 << 23;

/// What is fitted.
#[derive(Clone, Copy, Debug)]
pub struct Fitted<'a> {
    /// The decoder.
    pub decoder: &'a DecoderConfig,
    /// Bytes of a number of the frozen weights, and of what passes between the blocks.
    pub number_bytes: u64,
    /// Inner size of the adapters; none where every weight is trained.
    pub rank: Option<u64>,
    /// Tokens with trained rows of their own.
    pub new_tokens: u64,
}

/// Samples computed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Together {
    /// Their tokens, padding included.
    pub tokens: u64,
    /// Tokens of the longest of them.
    pub longest: u64,
    /// Tokens that the loss counts.
    pub targets: u64,
}

/// What passes through the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work {
    /// Tokens.
    pub tokens: f64,
    /// The sum over them of how many tokens their sample has.
    pub attended: f64,
    /// Tokens that the loss counts.
    pub targets: f64,
}

/// Bytes of memory, by what they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// The model's weights.
    pub weights: u64,
    /// What is trained beside them, and the optimiser.
    pub training: u64,
    /// What the gradient of a micro-batch needs of its way forward.
    pub activations: u64,
    /// Scores: the attention's of one block, and those over the vocabulary.
    pub scores: u64,
}

impl Memory {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights + self.training + self.activations + self.scores
    }
}

impl Fitted<'_> {
    /// The matrices of a block that an adapter stands beside, each with its outputs and inputs; names are Hugging Face's.
    pub fn adapted(&self) -> Vec<(&'static str, [u64; 2])> {
        let config = self.decoder;
        let d = config.hidden_size as u64;
        let wide = config.intermediate_size as u64;
        let [queries, keys] = self.widths();
        let shapes = [
            [queries, d],
            [keys, d],
            [keys, d],
            [d, queries],
            [wide, d],
            [wide, d],
            [d, wide],
        ];
        PROJECTIONS.into_iter().zip(shapes).collect()
    }

    /// The sum of inputs and outputs over all matrices with an adapter, and how many these are.
    pub fn adapted_width(&self) -> (u64, u64) {
        let blocks = self.decoder.n_layers as u64;
        let adapted = self.adapted();
        let width: u64 = adapted.iter().map(|(_, [out, inn])| out + inn).sum();
        (width * blocks, adapted.len() as u64 * blocks)
    }

    /// Weights of the adapters: `rank · (in + out)` a matrix.
    pub fn adapter_weights(&self) -> u64 {
        self.rank.unwrap_or(0) * self.adapted_width().0
    }

    /// Tables of tokens: an untied head has one of its own.
    pub fn tables(&self) -> u64 {
        if self.decoder.is_tied { 1 } else { 2 }
    }

    /// Weights of the rows of new tokens.
    pub fn new_weights(&self) -> u64 {
        self.new_tokens * self.decoder.hidden_size as u64 * self.tables()
    }

    /// All weights that are trained.
    pub fn trained_weights(&self) -> u64 {
        let base = match self.rank {
            Some(_) => self.adapter_weights(),
            None => self.decoder.n_parameters() as u64,
        };
        base + self.new_weights()
    }

    /// Memory of a fit.
    ///
    /// A token keeps of every block, in numbers: the states before and behind the attention and both normalised, queries, keys
    /// and values, what was attended, and three widths of the feed-forward network: `4d + 2q + 2kv + 3·intermediate`. The scores
    /// of the attention are `heads · tokens · longest` numbers in 32 bits, of one block at a time.
    pub fn memory(&self, together: Together) -> Memory {
        let config = self.decoder;
        let number = match self.rank {
            Some(_) => self.number_bytes,
            None => F32,
        };
        let beside = match self.rank {
            Some(_) => self.trained_weights() * F32,
            None => self.new_weights() * F32,
        };
        let [queries, keys] = self.widths();
        let (d, wide) = (config.hidden_size as u64, config.intermediate_size as u64);
        let inner = self.rank.unwrap_or(0) * self.adapted().len() as u64;
        let of_token = 4 * d + 2 * queries + 2 * keys + 3 * wide + inner;
        let heads = config.n_heads as u64;
        let attention = COPIES_OF_SCORES * heads * together.tokens * together.longest;
        let vocabulary = config.vocab_size as u64 + self.new_tokens;
        let loss = (2 * together.targets * vocabulary).min(LOSS_SCORES);
        Memory {
            weights: config.n_parameters() as u64 * number,
            training: beside + self.trained_weights() * OPTIMIZER_BYTES,
            activations: together.tokens * config.n_layers as u64 * of_token * number,
            scores: (attention + loss) * F32,
        }
    }

    /// Multiplications and additions of a fit.
    ///
    /// A weight takes 2 for every token forward, 2 for the gradient of what it was multiplied with, and 2 for its own where it
    /// is trained: `4N` a token of a frozen weight, `6N` of a trained one. The table of the output is met by counted tokens
    /// alone. The attention makes two products forward, and five for its gradient, which computes the probabilities again:
    /// `14 · width` for every pair of tokens of a sample.
    pub fn operations(&self, work: Work) -> f64 {
        let config = self.decoder;
        let of_block: u64 = self.adapted().iter().map(|(_, [out, inn])| out * inn).sum();
        let matrices = (of_block * config.n_layers as u64) as f64;
        let table = (config.vocab_size * config.hidden_size) as f64;
        let of_weight = match self.rank {
            Some(_) => 4.0,
            None => 6.0,
        };
        let adapters = 6.0 * self.adapter_weights() as f64;
        let attention = 14.0 * self.widths()[0] as f64 * config.n_layers as f64;
        work.tokens * (of_weight * matrices + adapters)
            + work.targets * of_weight * table
            + work.attended * attention
    }

    /// Values of the queries and of the keys of a token.
    fn widths(&self) -> [u64; 2] {
        let config = self.decoder;
        [config.n_heads, config.n_kv_heads].map(|heads| (heads * config.head_dim) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn llama_2_7b() -> DecoderConfig {
        let fields = serde_json::json!({
            "model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
            "num_attention_heads": 32, "vocab_size": 32000, "max_position_embeddings": 4096,
        });
        DecoderConfig::from_fields(fields.as_object().expect("an object").clone())
            .expect("a configuration")
    }

    fn fitted(decoder: &DecoderConfig, rank: Option<u64>) -> Fitted<'_> {
        Fitted {
            decoder,
            number_bytes: 2,
            rank,
            new_tokens: 1,
        }
    }

    #[test]
    fn weights_are_counted_as_peft_counts_them() {
        let config = llama_2_7b();
        let lora = fitted(&config, Some(16));
        // `print_trainable_parameters` of PEFT for rank 16 beside all seven projections.
        assert_eq!(lora.adapter_weights(), 39_976_960);
        assert_eq!(lora.adapted_width(), (39_976_960 / 16, 224));
        assert_eq!(lora.new_weights(), 2 * 4_096);
        assert_eq!(
            fitted(&config, None).trained_weights(),
            6_738_415_616 + 8_192
        );
    }

    #[test]
    fn memory_is_what_large_models_are_known_to_take() {
        let config = llama_2_7b();
        let together = Together {
            tokens: 8_192,
            longest: 512,
            targets: 4_096,
        };
        let memory = fitted(&config, Some(16)).memory(together);
        assert_eq!(memory.weights, 2 * 6_738_415_616);
        assert_eq!(memory.training, 28 * (39_976_960 + 8_192));
        // About 4.2 MB a token of a 7B model in 16 bits.
        let of_token = memory.activations / together.tokens;
        assert!((4_000_000..4_500_000).contains(&of_token), "{of_token}");
        // Three times 32 heads over 8,192 × 512 pairs, and 64 MiB for the loss.
        assert_eq!(memory.scores, 4 * (3 * 32 * 8_192 * 512 + (2 << 23)));
        let full = fitted(&config, None).memory(together);
        assert_eq!(full.weights, 4 * 6_738_415_616);
        assert!(full.total() > 7 * full.weights, "moments and gradients");
    }

    #[test]
    fn arithmetic_is_four_a_frozen_weight_and_six_a_trained_one() {
        let config = llama_2_7b();
        let work = Work {
            tokens: 1.0,
            attended: 0.0,
            targets: 1.0,
        };
        // All weights but the embedding and the norms: 6.61 G.
        let weights = (6_738_415_616_u64 - 32_000 * 4_096 - 65 * 4_096) as f64;
        assert_eq!(
            fitted(&config, Some(16)).operations(work),
            4.0 * weights + 6.0 * 39_976_960.0
        );
        assert_eq!(fitted(&config, None).operations(work), 6.0 * weights);
        let attended = Work {
            tokens: 0.0,
            attended: 1.0,
            targets: 0.0,
        };
        assert_eq!(
            fitted(&config, None).operations(attended),
            14.0 * 4_096.0 * 32.0
        );
    }
}
