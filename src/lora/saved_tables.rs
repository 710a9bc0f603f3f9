//! The tables of tokens that PEFT saves beside an adapter once the vocabulary was resized: they hold the base's rows, and those of
//! the tokens that were added.

use std::collections::BTreeMap;

use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, Tensor, TensorData};
use serde_json::Value;

use crate::base_model::BaseModel;
use crate::error::{Error, Result};
use crate::model::numbers::{decode, encode, host};
use crate::model::{Decoder, EMBEDDING, HEAD, TokenTable, Weights};
use crate::tokenizer::{ChatTokenizer, TOKENIZER_FILE};

use super::config::TokenIds;
use super::{PREFIX, TOKEN_ROWS};

/// How PEFT calls a table beside which some rows are trained, and one that is as it was.
const NAMES: [&str; 2] = ["token_adapter.base_layer.weight", "weight"];

/// Rows compared at a time.
const ROWS: usize = 4_096;

/// Compares the saved tables with the base's rows. Returns the names of the tensors that were looked at.
///
/// # Errors
/// [`Error::AdapterConfig`] for a table with other rows than the base, which was trained with the adapter.
pub(super) fn check<B: AutodiffBackend>(
    decoder: &Decoder<B>,
    weights: &Weights,
) -> Result<Vec<String>> {
    let mut met = Vec::new();
    let tables = [
        (EMBEDDING, Some(&decoder.embedding)),
        (HEAD, decoder.head.as_ref()),
    ];
    for (module, table) in tables {
        let Some(table) = table else { continue };
        for name in NAMES.map(|name| format!("{PREFIX}{module}.{name}")) {
            if weights.has(&name) {
                let base = table.base.clone().inner();
                let new = table.new.as_ref().map_or(&[][..], |new| &new.ids);
                compare(weights, &name, &base, new).map_err(refused)?;
                met.push(name);
            }
        }
    }
    if decoder.head.is_none() {
        met.extend(copies_of_embedding(weights).map_err(refused)?);
    }
    Ok(met)
}

/// What is wrong with a table is wrong with the adapter: no other download would mend it.
fn refused(error: Error) -> Error {
    match error {
        Error::Tensor {
            path,
            tensor,
            problem,
        } => Error::AdapterConfig {
            path,
            problem: format!("tensor `{tensor}` {problem}"),
        },
        other => other,
    }
}

/// Rows that are the base's are so in the type of either: PEFT may have read the base in another type than it is stored in.
fn compare<B: Backend>(
    weights: &Weights,
    name: &str,
    base: &Tensor<B, 2>,
    new: &[u32],
) -> Result<()> {
    let [n_base, d] = base.dims();
    let Some(stored) = weights.stored(name) else {
        return Ok(());
    };
    let n_stored = stored.shape.first().copied().unwrap_or_default();
    let saved = weights.values(name, &[n_stored, d])?;
    let n_known = n_stored.min(n_base);
    let other = (0..n_known).step_by(ROWS).find_map(|first| {
        let n_rows = ROWS.min(n_known - first);
        let saved = &saved[first * d..][..n_rows * d];
        let of_base = base.clone().narrow(0, first, n_rows);
        let rounded = TensorData::new(saved.to_vec(), [n_rows, d]);
        let rounded = Tensor::<B, 2>::from_data(rounded, (&base.device(), DType::F32));
        let rounded = host(rounded.cast(base.dtype()));
        let of_base = host(of_base);
        let stored_base = encode(stored.dtype, &of_base).and_then(|it| decode(stored.dtype, &it));
        let stored_base = stored_base.expect("a type that was just read");
        (0..n_rows).map(|row| first + row).find(|&row| {
            let place = (row - first) * d..(row - first + 1) * d;
            new.binary_search(&(row as u32)).is_err()
                && rounded[place.clone()] != of_base[place.clone()]
                && saved[place.clone()] != stored_base[place]
        })
    });
    other.map_or(Ok(()), |row| {
        let problem = format!(
            "has another row {row} than the base: an embedding that was trained as a whole is not read; `trainable_token_indices` of PEFT trains rows of new tokens alone"
        );
        Err(weights.tensor_error(name, problem))
    })
}

/// Where output and embedding are one table, PEFT saves it under both names.
fn copies_of_embedding(weights: &Weights) -> Result<Vec<String>> {
    let rows = format!("token_adapter.{TOKEN_ROWS}");
    let mut met = Vec::new();
    for name in NAMES.into_iter().chain([&*rows]) {
        let [embedding, head] = [EMBEDDING, HEAD].map(|module| format!("{PREFIX}{module}.{name}"));
        let Some(copy) = weights.stored(&head) else {
            continue;
        };
        let original = weights.stored(&embedding);
        if original.is_none_or(|original| original.bytes != copy.bytes) {
            let problem = format!("is not `{embedding}`, and the model has one table for both");
            return Err(weights.tensor_error(&head, problem));
        }
        met.push(head);
    }
    Ok(met)
}

/// Takes the rows of tokens that the adapter's tokenizer knows by the same ids, and that were not trained, from the saved tables:
/// the adapter was trained beside them. Any other token keeps the row it has.
///
/// # Errors
/// What reading the adapter's files meets.
pub fn take_saved_rows<B: AutodiffBackend>(
    decoder: &mut Decoder<B>,
    folder: &BaseModel,
    tokenizer: &ChatTokenizer,
) -> Result<()> {
    let weights = Weights::of_adapter(folder)?;
    let trained = TokenIds::read(folder)?;
    let theirs = added_tokens(folder)?;
    let is_same = |id: &u32| {
        let text = theirs.get(id);
        text.and_then(|text| tokenizer.id(text)) == Some(*id)
    };
    let head = decoder.head.as_mut();
    let tables = [(EMBEDDING, Some(&mut decoder.embedding)), (HEAD, head)];
    for (module, table) in tables {
        let mut names = NAMES
            .map(|name| format!("{PREFIX}{module}.{name}"))
            .into_iter();
        let (Some(table), Some(name)) = (table, names.find(|name| weights.has(name))) else {
            continue;
        };
        let trained = trained.of(module);
        let is_taken = |id: &u32| is_same(id) && !trained.contains(id);
        take_rows(table, &weights, &name, &is_taken)?;
    }
    Ok(())
}

fn take_rows<B: AutodiffBackend>(
    table: &mut TokenTable<B>,
    weights: &Weights,
    name: &str,
    is_taken: &dyn Fn(&u32) -> bool,
) -> Result<()> {
    let d = table.base.dims()[1];
    let Some(new) = &mut table.new else {
        return Ok(());
    };
    let stored = weights.stored(name).map(|stored| stored.shape);
    let n_stored = stored.and_then(|shape| shape.first()).copied();
    let n_stored = n_stored.unwrap_or_default();
    let saved = weights.values(name, &[n_stored, d])?;
    let mut rows = host(new.rows.clone().inner());
    for (place, id) in new.ids.iter().enumerate() {
        let row = *id as usize;
        if row < n_stored && is_taken(id) {
            rows[place * d..][..d].copy_from_slice(&saved[row * d..][..d]);
        }
    }
    let data = TensorData::new(rows, new.rows.dims());
    let device = new.rows.device();
    new.rows = Tensor::from_data(data, (&device, DType::F32)).require_grad();
    Ok(())
}

/// The tokens that were added to the adapter's vocabulary, by id; none where it brings no tokenizer.
fn added_tokens(folder: &BaseModel) -> Result<BTreeMap<u32, String>> {
    let tokenizer: Option<Value> = folder.json(TOKENIZER_FILE)?;
    let tokens = tokenizer.unwrap_or_default()["added_tokens"].take();
    let tokens = tokens.as_array().into_iter().flatten();
    let tokens = tokens.filter_map(|token| {
        let id = u32::try_from(token["id"].as_u64()?).ok()?;
        Some((id, token["content"].as_str()?.to_owned()))
    });
    Ok(tokens.collect())
}
