//! Token rows of their own for special tokens.

use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{DType, Distribution, Tensor};

use crate::config::Init;
use crate::error::{Error, Result};
use crate::model::{Decoder, EMBEDDING, HEAD, NewRows, TokenTable, random};
use crate::tokenizer::ChatTokenizer;

/// Rows of a table that are in 32 bits at a time: vocabularies have up to 262,144, of up to 5,376 numbers.
const ROWS_AT_ONCE: usize = 8_192;

/// Gives special tokens rows of their own to be trained, in the embedding and in an untied head. One that the model knows
/// starts from the row it has, any other from `init`.
///
/// # Errors
/// [`Error::Vocabulary`] where the tokenizer has other tokens without a row, [`Error::TokenGap`] where it leaves a gap before the
/// new ones; [`Error::Setting`] for an `init` that names what the tokenizer does not know.
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
    let n_tokens = tokenizer.n_rows_without(&ids);
    if n_tokens > n_rows {
        return Err(Error::Vocabulary {
            n_tokens,
            vocab_size: n_rows,
        });
    }
    let appended = ids.iter().filter(|&&id| id as usize >= n_rows);
    let mut gaps = (n_rows..).zip(appended);
    if let Some((_, &first)) = gaps.find(|&(row, &id)| id as usize != row) {
        return Err(Error::TokenGap {
            first,
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
            Init::MeanCov => mean_cov(table, ids.len(), seed, module),
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
        let rows = ids.iter().enumerate().map(|(place, &id)| {
            match tokenizer.is_known(id) && (id as usize) < n_rows {
                true => table.lookup(&[id]).cast(DType::F32),
                false => fresh.clone().narrow(0, place, 1),
            }
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

/// Rows from the normal distribution with the mean and the covariance of a table's rows (Hewitt 2021). With the rows X, their
/// mean m and n independent standard normal numbers z, `m + (X - m)ᵀ·z / √(n - 1)` is a draw from it, so that no covariance is
/// formed. transformers takes a billionth of the covariance when it resizes, and so nearly the mean.
fn mean_cov<B: AutodiffBackend>(
    table: &TokenTable<B>,
    n_new: usize,
    seed: u64,
    module: &str,
) -> Tensor<B, 2> {
    let [n, d] = table.base.dims();
    let device = table.base.device();
    let name = format!("{module}.mean_cov");
    let normal = Distribution::Normal(0.0, 1.0);
    let z = random([n_new, n], normal, seed, &name, &device).cast(DType::F32);
    let mut sum = Tensor::<B, 2>::zeros([1, d], (&device, DType::F32));
    let mut drawn = Tensor::<B, 2>::zeros([n_new, d], (&device, DType::F32));
    for start in (0..n).step_by(ROWS_AT_ONCE) {
        let n_rows = ROWS_AT_ONCE.min(n - start);
        let rows = table.base.clone().narrow(0, start, n_rows).cast(DType::F32);
        sum = sum + rows.clone().sum_dim(0);
        drawn = drawn + z.clone().narrow(1, start, n_rows).matmul(rows);
    }
    let mean = sum / n as f64;
    let centred = drawn - z.sum_dim(1).matmul(mean.clone());
    centred / (n.max(2) as f64 - 1.0).sqrt() + mean
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

#[cfg(test)]
mod tests {
    use burn::backend::Autodiff;
    use burn_flex::{Flex, FlexDevice};

    use super::*;

    /// The mean of every column, and the covariance of every two.
    fn moments(rows: &[f32], d: usize) -> (Vec<f64>, Vec<f64>) {
        let n = (rows.len() / d) as f64;
        let rows: Vec<&[f32]> = rows.chunks(d).collect();
        let mean_of =
            |column: usize| rows.iter().map(|row| f64::from(row[column])).sum::<f64>() / n;
        let mean: Vec<f64> = (0..d).map(mean_of).collect();
        let pairs = (0..d).flat_map(|a| (0..d).map(move |b| (a, b)));
        let covariance = pairs.map(|(a, b)| {
            let products = rows
                .iter()
                .map(|row| (f64::from(row[a]) - mean[a]) * (f64::from(row[b]) - mean[b]));
            products.sum::<f64>() / (n - 1.0)
        });
        let covariance = covariance.collect();
        (mean, covariance)
    }

    #[test]
    fn rows_are_drawn_with_mean_and_covariance_of_the_table() {
        // More rows than are taken at once, and columns that depend on each other.
        let n = ROWS_AT_ONCE + 100;
        let of_row = |nth: usize| {
            let x = (nth % 17) as f32 / 8.0 - 1.0;
            let y = (nth % 5) as f32 - 2.0;
            [3.0 + x, 2.0 * x + 0.1 * y, -1.0 + 0.5 * y]
        };
        let values: Vec<f32> = (0..n).flat_map(of_row).collect();
        let data = burn::tensor::TensorData::new(values.clone(), [n, 3]);
        let table = TokenTable::<Autodiff<Flex>>::new(Tensor::from_data(data, &FlexDevice));
        let draw = |seed| -> Vec<f32> {
            let rows = mean_cov(&table, 3_000, seed, EMBEDDING).into_data();
            rows.into_vec().expect("32 bits")
        };
        let drawn = draw(1);
        assert_eq!(drawn, draw(1));
        assert_ne!(drawn, draw(2));
        let ((mean, covariance), (drawn_mean, drawn_covariance)) =
            (moments(&values, 3), moments(&drawn, 3));
        let pairs = mean.iter().zip(&drawn_mean);
        for (expected, found) in pairs.chain(covariance.iter().zip(&drawn_covariance)) {
            assert!((expected - found).abs() < 0.1, "{found} is not {expected}");
        }
    }
}
