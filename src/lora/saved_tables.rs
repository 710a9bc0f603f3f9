//! The tables of tokens that PEFT saves beside an adapter once the vocabulary was resized: they hold the base's rows, and those of
//! new tokens.

use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{DType, Tensor, TensorData};

use crate::error::Result;
use crate::model::{Decoder, EMBEDDING, HEAD, TokenTable, Weights};

use super::config::TokenIds;
use super::{PREFIX, TOKEN_ROWS};

/// How PEFT calls a table beside whose rows some are trained, and one that is as it was.
const NAMES: [&str; 2] = ["token_adapter.base_layer.weight", "weight"];

/// Takes the rows of new tokens from the saved tables, but for those that `ids` names: the adapter has these as it trained them.
/// Returns the names of the tensors that were looked at.
///
/// # Errors
/// [`crate::error::Error::Tensor`] for a table with other rows than the base, which was trained with the adapter.
pub(super) fn read<B: AutodiffBackend>(
    decoder: &mut Decoder<B>,
    weights: &Weights,
    ids: &TokenIds,
) -> Result<Vec<String>> {
    let mut met = Vec::new();
    let is_tied = decoder.head.is_none();
    let head = decoder.head.as_mut();
    let tables = [(EMBEDDING, Some(&mut decoder.embedding)), (HEAD, head)];
    for (module, table) in tables {
        let Some(table) = table else { continue };
        for name in NAMES.map(|name| format!("{PREFIX}{module}.{name}")) {
            if weights.has(&name) {
                table_rows(table, weights, &name, ids.of(module))?;
                met.push(name);
            }
        }
    }
    if is_tied {
        met.extend(copies_of_embedding(weights)?);
    }
    Ok(met)
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

fn table_rows<B: AutodiffBackend>(
    table: &mut TokenTable<B>,
    weights: &Weights,
    name: &str,
    trained: &[u32],
) -> Result<()> {
    let [n_base, d] = table.base.dims();
    let stored = weights.stored(name).map(|stored| stored.shape);
    let n_stored = stored.and_then(|shape| shape.first()).copied();
    let n_stored = n_stored.unwrap_or_default();
    let values = weights.values(name, &[n_stored, d])?;
    let n_known = n_stored.min(n_base);
    let device = table.base.device();
    let known = TensorData::new(values[..n_known * d].to_vec(), [n_known, d]);
    let known = Tensor::<B::InnerBackend, 2>::from_data(known, (&device, DType::F32));
    let base = table.base.clone().inner().narrow(0, 0, n_known);
    let is_other = known.cast(base.dtype()).not_equal(base).any();
    if is_other.into_data().iter::<bool>().any(|is_other| is_other) {
        let problem = "holds other rows than the base: an embedding that was trained as a whole is not read; `trainable_token_indices` of PEFT trains rows of new tokens alone";
        return Err(weights.tensor_error(name, problem.to_owned()));
    }
    let Some(new) = &mut table.new else {
        return Ok(());
    };
    let data = new.rows.clone().inner().into_data();
    let mut rows: Vec<f32> = data.into_vec().expect("in 32 bits");
    for (place, &id) in new.ids.iter().enumerate() {
        let id_row = id as usize;
        if (n_base..n_stored).contains(&id_row) && !trained.contains(&id) {
            rows[place * d..][..d].copy_from_slice(&values[id_row * d..][..d]);
        }
    }
    let data = TensorData::new(rows, new.rows.dims());
    new.rows = Tensor::from_data(data, (&device, DType::F32)).require_grad();
    Ok(())
}
