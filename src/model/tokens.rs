//! A row for every token, as the embedding and as the output head have it, with a few rows that are trained.

use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Bool, DType, Int, Tensor, TensorData};

/// Rows of the vocabulary, `[vocabulary, hidden]`.
#[derive(Clone, Debug)]
pub struct TokenTable<B: Backend> {
    /// The base model's rows.
    pub base: Tensor<B, 2>,
    /// Rows put in place of some, or appended.
    pub new: Option<NewRows<B>>,
}

/// Rows of their own for special tokens.
#[derive(Clone, Debug)]
pub struct NewRows<B: Backend> {
    /// Token ids, ascending; those beyond the base's rows follow them without a gap.
    pub ids: Vec<u32>,
    /// `[ids, hidden]`, in 32 bits.
    pub rows: Tensor<B, 2>,
}

impl<B: Backend> TokenTable<B> {
    /// A table without new rows.
    pub fn new(base: Tensor<B, 2>) -> TokenTable<B> {
        TokenTable { base, new: None }
    }

    /// Whether any of its rows is trained.
    pub fn trains(&self) -> bool
    where
        B: AutodiffBackend,
    {
        let new = self.new.as_ref();
        self.base.is_require_grad() || new.is_some_and(|new| new.rows.is_require_grad())
    }

    /// The same rows as one table, in which new ones are as the others.
    #[must_use]
    pub fn merged(self) -> TokenTable<B> {
        let n_replacing = self.n_replacing();
        let Some(new) = self.new else {
            return self;
        };
        let [_, d] = self.base.dims();
        let rows = new.rows.cast(self.base.dtype());
        let mut base = self.base;
        for (place, &id) in new.ids[..n_replacing].iter().enumerate() {
            let id = id as usize;
            base = base.slice_assign([id..id + 1, 0..d], rows.clone().narrow(0, place, 1));
        }
        if n_replacing < new.ids.len() {
            let appended = rows.narrow(0, n_replacing, new.ids.len() - n_replacing);
            base = Tensor::cat(vec![base, appended], 0);
        }
        TokenTable::new(base)
    }

    /// Tokens with a row.
    pub fn n_tokens(&self) -> usize {
        let n_new = self.new.as_ref().map_or(0, |new| new.ids.len());
        self.base.dims()[0] + n_new - self.n_replacing()
    }

    /// The rows of these tokens, `[ids, hidden]`.
    pub fn lookup(&self, ids: &[u32]) -> Tensor<B, 2> {
        let device = self.base.device();
        let n_base = self.base.dims()[0];
        let in_base = ids
            .iter()
            .map(|&id| if (id as usize) < n_base { id } else { 0 });
        let rows = self.base.clone().select(0, indices(in_base, &device));
        let Some(new) = &self.new else {
            return rows;
        };
        let places: Vec<Option<usize>> = ids
            .iter()
            .map(|id| new.ids.binary_search(id).ok())
            .collect();
        if places.iter().all(Option::is_none) {
            return rows;
        }
        let [n, d] = rows.dims();
        let in_new = places.iter().map(|place| place.unwrap_or(0) as u32);
        let own = new
            .rows
            .clone()
            .select(0, indices(in_new, &device))
            .cast(rows.dtype());
        let is_new: Vec<bool> = places.iter().map(Option::is_some).collect();
        let is_new = Tensor::<B, 2, Bool>::from_data(TensorData::new(is_new, [n, 1]), &device);
        rows.mask_where(is_new.expand([n, d]), own)
    }

    /// The scores of all tokens: `hidden` `[n, hidden]` times every row, `[n, vocabulary]`.
    pub fn scores(&self, hidden: Tensor<B, 2>) -> Tensor<B, 2> {
        let [n, _] = hidden.dims();
        let n_base = self.base.dims()[0];
        let mut scores = hidden.clone().matmul(self.base.clone().transpose());
        let Some(new) = &self.new else {
            return scores;
        };
        let own = hidden.matmul(new.rows.clone().cast(scores.dtype()).transpose());
        let n_replacing = self.n_replacing();
        for (place, &id) in new.ids[..n_replacing].iter().enumerate() {
            let id = id as usize;
            let column = own.clone().narrow(1, place, 1);
            scores = scores.slice_assign([0..n, id..id + 1], column);
        }
        let n_appended = new.ids.len() - n_replacing;
        if n_appended == 0 {
            return scores;
        }
        debug_assert_eq!(
            new.ids[n_replacing] as usize, n_base,
            "no gap before the new rows"
        );
        Tensor::cat(vec![scores, own.narrow(1, n_replacing, n_appended)], 1)
    }

    /// Gradients of [`TokenTable::scores`] with respect to `hidden`, and to the base's and the new rows where asked for.
    pub fn scores_backward(
        &self,
        hidden: &Tensor<B, 2>,
        grad: &Tensor<B, 2>,
        needs_base: bool,
    ) -> ScoresGradient<B> {
        let n_base = self.base.dims()[0];
        let n = hidden.dims()[0];
        let mut of_base_scores = grad.clone().narrow(1, 0, n_base);
        let mut of_new = None;
        let mut of_hidden = None;
        if let Some(new) = &self.new {
            let columns = new
                .ids
                .iter()
                .map(|&id| grad.clone().narrow(1, id as usize, 1));
            let columns = Tensor::cat(columns.collect(), 1);
            for &id in &new.ids[..self.n_replacing()] {
                let id = id as usize;
                of_base_scores = of_base_scores.slice_fill([0..n, id..id + 1], 0.0);
            }
            of_new = Some(
                columns
                    .clone()
                    .cast(DType::F32)
                    .transpose()
                    .matmul(hidden.clone().cast(DType::F32)),
            );
            of_hidden = Some(
                columns
                    .clone()
                    .matmul(new.rows.clone().cast(columns.dtype())),
            );
        }
        let of_base = needs_base.then(|| of_base_scores.clone().transpose().matmul(hidden.clone()));
        let through_base = of_base_scores.matmul(self.base.clone());
        ScoresGradient {
            hidden: match of_hidden {
                Some(through_new) => through_base + through_new,
                None => through_base,
            },
            base: of_base,
            new: of_new,
        }
    }

    /// New ids that take the place of a row of the base.
    fn n_replacing(&self) -> usize {
        let n_base = self.base.dims()[0];
        let ids = self.new.as_ref().map_or(&[][..], |new| &new.ids);
        ids.partition_point(|&id| (id as usize) < n_base)
    }
}

/// What [`TokenTable::scores_backward`] finds.
#[derive(Debug)]
pub struct ScoresGradient<B: Backend> {
    /// `[n, hidden]`
    pub hidden: Tensor<B, 2>,
    /// `[vocabulary of the base, hidden]`
    pub base: Option<Tensor<B, 2>>,
    /// `[new ids, hidden]`, in 32 bits.
    pub new: Option<Tensor<B, 2>>,
}

/// Token ids or places as a tensor of indices.
pub(super) fn indices<B: Backend>(
    ids: impl Iterator<Item = u32>,
    device: &B::Device,
) -> Tensor<B, 1, Int> {
    let ids: Vec<i32> = ids.map(|id| id as i32).collect();
    let n = ids.len();
    Tensor::from_data(TensorData::new(ids, [n]), device)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;
    use burn_flex::Flex;

    use super::super::random::tests::drawn;
    use super::*;

    fn random(shape: [usize; 2]) -> Tensor<Flex, 2> {
        drawn(shape, Distribution::Default)
    }

    fn host<const D: usize>(tensor: &Tensor<Flex, D>) -> Vec<f32> {
        tensor.clone().into_data().to_vec().expect("32 bits")
    }

    /// A table of eight tokens: two of the base's six rows are replaced, as where a vocabulary was padded, two appended.
    fn table() -> TokenTable<Flex> {
        TokenTable {
            base: random([6, 3]),
            new: Some(NewRows {
                ids: vec![2, 5, 6, 7],
                rows: random([4, 3]),
            }),
        }
    }

    #[test]
    fn new_rows_count_as_if_they_were_in_the_table() {
        let table = table();
        let merged = table.clone().merged();
        assert_eq!((table.n_tokens(), merged.base.dims()), (8, [8, 3]));
        assert!(merged.new.is_none());
        let ids = [7, 0, 2, 5, 5, 1, 6];
        assert_eq!(host(&table.lookup(&ids)), host(&merged.lookup(&ids)));
        let hidden = random([5, 3]);
        assert_eq!(
            host(&table.scores(hidden.clone())),
            host(&merged.scores(hidden))
        );
    }

    #[test]
    fn gradients_are_those_of_the_whole_table() {
        let table = table();
        let (hidden, grad) = (random([5, 3]), random([5, 8]));
        let found = table.scores_backward(&hidden, &grad, true);
        let whole = table.merged().scores_backward(&hidden, &grad, true);
        let near = |a: Vec<f32>, b: Vec<f32>| {
            assert_eq!(a.len(), b.len());
            let off = a.iter().zip(b).map(|(a, b)| (a - b).abs());
            assert!(off.fold(0.0, f32::max) < 1e-6);
        };
        near(host(&found.hidden), host(&whole.hidden));
        let rows = host(&whole.base.expect("asked for"));
        let rows: Vec<&[f32]> = rows.chunks(3).collect();
        let new = [2, 5, 6, 7].map(|id| rows[id]).concat();
        near(host(&found.new.expect("there are new rows")), new);
        // A row that is not used has no gradient.
        let none = &[0.0; 3][..];
        let base = [rows[0], rows[1], none, rows[3], rows[4], none].concat();
        near(host(&found.base.expect("asked for")), base);
    }
}
