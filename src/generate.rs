//! Greedy decoding, to look at what a model has learned.

use burn::tensor::Tensor;

use crate::error::{Error, Result};
use crate::model::{Decoder, Kernels, Packing, Sequences};
use crate::sample::Prompt;
use crate::tokenizer::ChatTokenizer;

/// The most likely response: always the token with the highest score, the first of equals, until one that ends a response or
/// `max_tokens`. The whole text is computed again for every token.
///
/// # Errors
/// When the chat template refuses the prompt; [`Error::Setting`] for a prompt without a token.
pub fn generate<B: Kernels>(
    decoder: &Decoder<B>,
    tokenizer: &ChatTokenizer,
    prompt: Prompt<'_>,
    max_tokens: usize,
) -> Result<String> {
    let mut ids = tokenizer.prompt(prompt)?;
    let n_prompt = ids.len();
    if n_prompt == 0 {
        return Err(Error::Setting {
            key: "try",
            problem: "laid out by the chat template, the prompt has no token".to_owned(),
            hint: "give it a text".to_owned(),
        });
    }
    let n_allowed = max_tokens.min(decoder.n_positions().saturating_sub(n_prompt));
    for _ in 0..n_allowed {
        let next = best_token(decoder, &ids);
        if tokenizer.eos_ids().contains(&next) {
            break;
        }
        ids.push(next);
    }
    tokenizer.decode(&ids[n_prompt..])
}

fn best_token<B: Kernels>(decoder: &Decoder<B>, ids: &[u32]) -> u32 {
    let sequences = Sequences {
        ids,
        packing: &Packing::of(vec![ids.len()]),
    };
    let states: Tensor<B, 2> = decoder.forward(sequences, None);
    let scores = decoder.logits(states.narrow(0, ids.len() - 1, 1));
    let best = scores.argmax(1).into_data().convert::<i64>();
    best.to_vec::<i64>().expect("converted above")[0] as u32
}
