//! Token rows of their own for special tokens.

use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{DType, Distribution, Tensor};

use crate::config::Init;
use crate::error::{Error, Result};
use crate::model::{Decoder, EMBEDDING, HEAD, NewRows, TokenTable, random};
use crate::tokenizer::ChatTokenizer;

/// Gives special tokens rows of their own to be trained, in the embedding and in an untied head. One that the model knows
/// starts from the row it has, any other from `init`.
///
/// # Errors
/// [`Error::Vocabulary`] where the tokenizer had more tokens than the model before these were added; [`Error::Setting`]
/// for an `init` that names what the tokenizer does not know.
pub fn add_tokens<B: AutodiffBackend>(
    decoder: &mut Decoder<B>,
    tokenizer: &ChatTokenizer,
    init: &Init,
    seed: u64,
) -> Result<()> {
    let mut ids = tokenizer.special_ids().to_vec();
    ids.sort_unstable();
    ids.dedup();
    let n_rows = decoder.config().vocab_size;
    let n_appended = ids.iter().filter(|&&id| id as usize >= n_rows).count();
    if tokenizer.n_tokens() - n_appended > n_rows {
        return Err(Error::Vocabulary {
            n_tokens: tokenizer.n_tokens() - n_appended,
            vocab_size: n_rows,
        });
    }
    if ids.is_empty() {
        return Ok(());
    }
    let deviation = decoder.config().initializer_range;
    let start = |module: &str, table: &TokenTable<B>| -> Result<Tensor<B, 2>> {
        let device = table.base.device();
        let d = table.base.dims()[1];
        let of_tokens = |tokens: &[u32]| table.lookup(tokens).cast(DType::F32).mean_dim(0);
        Ok(match init {
            Init::Zeros => Tensor::zeros([ids.len(), d], (&device, DType::F32)),
            Init::Random => {
                let normal = Distribution::Normal(0.0, deviation);
                random([ids.len(), d], normal, seed, module, &device)
            }
            Init::Mean(text) => of_tokens(&known(tokenizer, text, &ids)?).repeat_dim(0, ids.len()),
            Init::Copy(token) => {
                let id = tokenizer.id(token).filter(|id| !ids.contains(id));
                let id = id.ok_or_else(|| Error::Setting {
                    key: "init",
                    problem: format!("the tokenizer has no token `{token}` to copy"),
                    hint: "`mean:TEXT` takes any text".to_owned(),
                })?;
                of_tokens(&[id]).repeat_dim(0, ids.len())
            }
        })
    };
    // A token the model knows goes on from what it knows of it.
    let start = |module: &str, table: &TokenTable<B>| -> Result<Tensor<B, 2>> {
        let fresh = start(module, table)?;
        let rows = ids
            .iter()
            .enumerate()
            .map(|(place, &id)| match tokenizer.is_known(id) {
                true => table.lookup(&[id]).cast(DType::F32),
                false => fresh.clone().narrow(0, place, 1),
            });
        Ok(Tensor::cat(rows.collect(), 0))
    };
    let rows = start(EMBEDDING, &decoder.embedding)?;
    let new_rows = |rows: Tensor<B, 2>| NewRows {
        ids: ids.clone(),
        rows: rows.detach().require_grad(),
    };
    decoder.embedding.new = Some(new_rows(rows));
    if let Some(head) = &mut decoder.head {
        let rows = start(HEAD, head)?;
        head.new = Some(new_rows(rows));
    }
    Ok(())
}

/// The tokens of a text, which must be of the base model.
fn known(tokenizer: &ChatTokenizer, text: &str, new: &[u32]) -> Result<Vec<u32>> {
    let tokens = tokenizer.text(text)?;
    if tokens.is_empty() || tokens.iter().any(|token| new.contains(token)) {
        return Err(Error::Setting {
            key: "init",
            problem: format!("`{text}` holds no tokens of the base model alone"),
            hint: "describe in other words what the new token means".to_owned(),
        });
    }
    Ok(tokens)
}
