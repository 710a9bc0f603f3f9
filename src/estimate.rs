//! What a fit will take: the weights it trains, memory, and arithmetic, from the shape of the model and of the batches.
//!
//! These are estimates. They count the large tensors by formulas that stand beside them, and nothing else: no working space
//! of single operations, no fragmentation, nothing of the libraries. `benches/RESULTS.md` has them beside measured peaks.

use serde::Serialize;

use crate::config::Recompute;
use crate::lora::AdapterConfig;
use crate::model::config::DecoderConfig;
use crate::model::{NUMBERS_A_SCALE, PROJECTIONS, QUERIES_IN_FLIGHT, SCORES_IN_FLIGHT};

/// Bytes of a number in 32 bits, in which everything trained is kept.
const F32: u64 = 4;

/// Bytes an optimiser takes for a trained weight beside its value: two moments, the sum of its gradients, and while a step is
/// made, the new value and the new moments beside the old, so that a weight that is no number changes nothing.
const OPTIMIZER_BYTES: u64 = 6 * F32;

/// Copies of the attention's scores while a block's gradient is computed: the probabilities, their gradient, and that of the
/// scores.
const COPIES_OF_SCORES: u64 = 3;

/// Scores of tokens over the vocabulary that the loss holds at a time, and their gradient.
const LOSS_SCORES: u64 = 2 * SCORES_IN_FLIGHT as u64;

/// What is fitted.
#[derive(Clone, Copy, Debug)]
pub struct Fitted<'a> {
    /// The decoder.
    pub decoder: &'a DecoderConfig,
    /// Bytes of a number of the frozen weights, and of what passes between the blocks.
    pub number_bytes: u64,
    /// Bits of a number of the frozen projections, where they are quantised.
    pub quantized_bits: Option<u64>,
    /// The adapters; none where every weight is trained.
    pub adapters: Option<&'a AdapterConfig>,
    /// Tokens with trained rows of their own.
    pub new_tokens: u64,
    /// What is computed again instead of kept.
    pub recompute: Recompute,
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
    /// Whether the attention is computed over rows of samples at once, not sample by sample.
    pub in_rows: bool,
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
    /// The matrices with an adapter beside them, over all blocks, each by its outputs and inputs.
    pub fn adapted(&self) -> Vec<[u64; 2]> {
        let Some(adapters) = self.adapters else {
            return Vec::new();
        };
        let layers = 0..self.decoder.n_layers();
        layers
            .flat_map(|layer| self.adapted_of(layer, adapters).into_iter().flatten())
            .collect()
    }

    /// The matrices of a block, those without an adapter left out.
    fn adapted_of(&self, layer: usize, adapters: &AdapterConfig) -> [Option<[u64; 2]>; 7] {
        let mut adapted = self.matrices().map(Some);
        for (name, matrix) in PROJECTIONS.into_iter().zip(&mut adapted) {
            if !adapters
                .targets
                .hold(&format!("model.layers.{layer}.{name}"))
            {
                *matrix = None;
            }
        }
        adapted
    }

    /// Weights of the adapters: `rank · (in + out)` a matrix, and with DoRA the lengths of its rows.
    pub fn adapter_weights(&self) -> u64 {
        let Some(adapters) = self.adapters else {
            return 0;
        };
        let lengths = u64::from(adapters.use_dora);
        let rank = adapters.rank as u64;
        let of_matrix = |[out, inputs]: [u64; 2]| rank * (out + inputs) + lengths * out;
        self.adapted().into_iter().map(of_matrix).sum()
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
        let base = match self.adapters {
            Some(_) => self.adapter_weights(),
            None => self.decoder.n_parameters() as u64,
        };
        base + self.new_weights()
    }

    /// Memory of a fit.
    ///
    /// A token keeps of every block, in numbers: of the attention what it read, that normalised, queries, keys and values, and what
    /// was attended, `2d + 2q + 2kv`; of the feed-forward network what it read, that normalised, and three widths,
    /// `2d + 3·intermediate`; and what else a family normalises. Adapters with dropout keep what several of them read of it, `d`
    /// of each half, and those of DoRA, each for itself, what they read and two outputs; one output where there is no dropout.
    /// What is computed again is there for one block at a time, and what it read for all. The scores of the attention are of one
    /// block at a time: `heads · tokens` for each of [`QUERIES_IN_FLIGHT`] queries where it is computed over rows of samples, and
    /// too few to count where not.
    pub fn memory(&self, together: Together) -> Memory {
        let config = self.decoder;
        let number = match self.adapters {
            Some(_) => self.number_bytes,
            None => F32,
        };
        let beside = match self.adapters {
            Some(_) => self.trained_weights(),
            None => self.new_weights(),
        };
        let of_token = self.kept_of_token();
        let seen = match together.in_rows {
            true => together.longest.min(QUERIES_IN_FLIGHT as u64),
            false => 0,
        };
        let attention = COPIES_OF_SCORES * config.n_heads as u64 * together.tokens * seen;
        let vocabulary = config.vocab_size as u64 + self.new_tokens;
        let loss = (2 * together.targets * vocabulary).min(LOSS_SCORES);
        Memory {
            weights: self.frozen_bytes(number),
            training: beside * F32 + self.trained_weights() * OPTIMIZER_BYTES,
            activations: together.tokens * of_token * number,
            scores: (attention + loss) * F32,
        }
    }

    /// Multiplications and additions of a fit.
    ///
    /// A weight takes 2 for every token forward, 2 for the gradient of what it was multiplied with, and 2 for its own where it
    /// is trained: `4N` a token of a frozen weight, `6N` of a trained one; and 2 more where the way forward is gone twice.
    /// The table of the output is met by counted tokens alone. The attention makes two products forward, and five for its gradient,
    /// which computes the probabilities again: `14 · width` for every pair of tokens of a sample.
    pub fn operations(&self, work: Work) -> f64 {
        let config = self.decoder;
        let layers = config.n_layers() as f64;
        let weights = |matrices: &[[u64; 2]]| {
            let sum: u64 = matrices.iter().map(|[out, inputs]| out * inputs).sum();
            sum as f64
        };
        let block = self.matrices();
        let table = (config.vocab_size * config.hidden_size) as f64;
        let of_weight = match self.adapters {
            Some(_) => 4.0,
            None => 6.0,
        };
        let again = match self.recompute {
            Recompute::None => 0.0,
            // The attention's four come first.
            Recompute::Attention => weights(&block[..4]),
            Recompute::Block => weights(&block),
        };
        let of_block = of_weight * weights(&block) + 2.0 * again;
        let adapters = 6.0 * self.adapter_weights() as f64;
        let attention = 14.0 * self.widths()[0] as f64 * layers;
        work.tokens * (of_block * layers + adapters)
            + work.targets * of_weight * table
            + work.attended * attention
    }

    /// Outputs and inputs of the matrices of a block, in the order of [`PROJECTIONS`].
    fn matrices(&self) -> [[u64; 2]; 7] {
        let config = self.decoder;
        let d = config.hidden_size as u64;
        let wide = config.intermediate_size as u64;
        let [queries, keys] = self.widths();
        [
            [queries, d],
            [keys, d],
            [keys, d],
            [d, queries],
            [wide, d],
            [wide, d],
            [d, wide],
        ]
    }

    /// Values of the queries and of the keys of a token.
    fn widths(&self) -> [u64; 2] {
        let config = self.decoder;
        [config.n_heads, config.n_kv_heads].map(|heads| (heads * config.head_dim) as u64)
    }

    /// Numbers kept of a token over all blocks.
    fn kept_of_token(&self) -> u64 {
        let config = self.decoder;
        let [queries, keys] = self.widths();
        let (d, wide) = (config.hidden_size as u64, config.intermediate_size as u64);
        let heads = u64::from(config.norms_heads) * (queries + keys);
        let output = u64::from(config.norms_outputs) * d;
        let attention = 2 * d + 2 * queries + 2 * keys + heads + output;
        let mlp = 2 * d + 3 * wide + output;
        let halves: Vec<[u64; 2]> = (0..config.n_layers())
            .map(|layer| {
                let [beside_attention, beside_mlp] = self.kept_beside(layer);
                [attention + beside_attention, mlp + beside_mlp]
            })
            .collect();
        let sum = |of: fn(&[u64; 2]) -> u64| halves.iter().map(of).sum::<u64>();
        let largest = |of: fn(&[u64; 2]) -> u64| halves.iter().map(of).max().unwrap_or_default();
        let inputs = d * halves.len() as u64;
        match self.recompute {
            Recompute::None => sum(|[attention, mlp]| attention + mlp),
            Recompute::Attention => {
                inputs + sum(|[_, mlp]| *mlp) + largest(|[attention, _]| *attention)
            }
            Recompute::Block => inputs + largest(|[attention, mlp]| attention + mlp),
        }
    }

    /// Numbers that the adapters of the two halves of a block keep of a token.
    fn kept_beside(&self, layer: usize) -> [u64; 2] {
        let Some(adapters) = self.adapters else {
            return [0, 0];
        };
        let has_dropout = adapters.dropout > 0.0;
        let adapted = self.adapted_of(layer, adapters);
        let (attention, mlp) = adapted.split_at(4);
        [attention, mlp].map(|matrices| {
            let of_matrix = |[out, inputs]: [u64; 2]| match has_dropout {
                true => inputs + 2 * out,
                false => out,
            };
            // The last one of a half reads alone.
            let shared = matrices[..matrices.len() - 1].iter().flatten();
            match (adapters.use_dora, has_dropout) {
                (true, _) => matrices.iter().copied().flatten().map(of_matrix).sum(),
                (false, true) => shared.map(|[_, inputs]| *inputs).max().unwrap_or_default(),
                (false, false) => 0,
            }
        })
    }

    /// Bytes of the model's weights, as numbers of so many bytes but for what is held in few bits.
    fn frozen_bytes(&self, number: u64) -> u64 {
        let all = self.decoder.n_parameters() as u64;
        let Some(bits) = self.quantized_bits else {
            return all * number;
        };
        let of_block: u64 = self
            .matrices()
            .iter()
            .map(|[out, inputs]| out * inputs)
            .sum();
        let held = of_block * self.decoder.n_layers() as u64;
        (all - held) * number + held * bits / 8 + held / NUMBERS_A_SCALE as u64 * F32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Targets;

    fn llama_2_7b() -> DecoderConfig {
        let fields = serde_json::json!({
            "model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
            "num_attention_heads": 32, "vocab_size": 32000, "max_position_embeddings": 4096,
        });
        DecoderConfig::from_fields(fields.as_object().expect("an object").clone())
            .expect("a configuration")
    }

    fn rank_16(targets: Targets) -> AdapterConfig {
        AdapterConfig {
            rank: 16,
            alpha: 32.0,
            dropout: 0.0,
            use_rslora: false,
            use_dora: false,
            targets,
        }
    }

    fn fitted<'a>(decoder: &'a DecoderConfig, adapters: Option<&'a AdapterConfig>) -> Fitted<'a> {
        Fitted {
            decoder,
            number_bytes: 2,
            quantized_bits: None,
            adapters,
            new_tokens: 1,
            recompute: Recompute::None,
        }
    }

    #[test]
    fn weights_are_counted_as_peft_counts_them() {
        let config = llama_2_7b();
        let adapters = rank_16(Targets::All);
        let lora = fitted(&config, Some(&adapters));
        // `print_trainable_parameters` of PEFT for rank 16 beside all seven projections.
        assert_eq!(lora.adapter_weights(), 39_976_960);
        assert_eq!(lora.adapted().len(), 224);
        assert_eq!(lora.new_weights(), 2 * 4_096);
        // And beside queries and values alone, with the lengths of their rows.
        let adapters = AdapterConfig {
            use_dora: true,
            ..rank_16(Targets::Names(vec![
                "q_proj".to_owned(),
                "v_proj".to_owned(),
            ]))
        };
        let dora = fitted(&config, Some(&adapters));
        assert_eq!(dora.adapter_weights(), 8_388_608 + 64 * 4_096);
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
            in_rows: true,
        };
        let adapters = rank_16(Targets::All);
        let lora = fitted(&config, Some(&adapters));
        let memory = lora.memory(together);
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

        let by_sample = Together {
            in_rows: false,
            ..together
        };
        assert_eq!(lora.memory(by_sample).scores, 4 * (2 << 23));
        let again = |recompute| Fitted { recompute, ..lora }.memory(together).activations;
        let (attention, block) = (again(Recompute::Attention), again(Recompute::Block));
        assert!(block < attention && attention < memory.activations);
        // 4,096 numbers before each of 32 blocks, and one block's worth.
        let one_block = memory.activations / 32;
        assert_eq!(block, 2 * 8_192 * 4_096 * 32 + one_block);
        let kept = |use_dora, dropout| {
            let adapters = AdapterConfig {
                use_dora,
                dropout,
                ..rank_16(Targets::All)
            };
            let memory = fitted(&config, Some(&adapters)).memory(together);
            memory.activations / together.tokens / 2 / 32
        };
        let plain = kept(false, 0.0);
        let (d, wide) = (4_096, 11_008);
        assert_eq!(kept(false, 0.05), plain + 2 * d);
        // Outputs of four matrices as wide as the model, and of three of the network.
        assert_eq!(kept(true, 0.0), plain + 5 * d + 2 * wide);
        assert_eq!(
            kept(true, 0.05),
            plain + 2 * (5 * d + 2 * wide) + 6 * d + wide
        );
        let held = |bits| {
            let held = Fitted {
                quantized_bits: Some(bits),
                ..lora
            };
            held.memory(together).weights as f64 / 6.74e9
        };
        assert!((1.15..1.25).contains(&held(8)), "a byte and a scale");
        assert!((0.65..0.75).contains(&held(4)), "half a byte");
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
        let adapters = rank_16(Targets::All);
        let lora = fitted(&config, Some(&adapters));
        let once = 4.0 * weights + 6.0 * 39_976_960.0;
        assert_eq!(lora.operations(work), once);
        let again = Fitted {
            recompute: Recompute::Block,
            ..lora
        };
        let blocks = weights - 32_000.0 * 4_096.0;
        assert_eq!(again.operations(work), once + 2.0 * blocks);
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
