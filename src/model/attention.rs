//! Attention in terms of the tensor library: rows of sequences, a block of queries at a time.

use std::ops::Range;

use burn::tensor::activation::softmax;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, DType, Int, Tensor, TensorData};

use super::kernels::AttentionKind;
use super::packing::Packing;

/// Queries of a row whose scores are held at a time; unmeasured.
pub const QUERIES_IN_FLIGHT: usize = 512;

/// [`super::Kernels::packed_attention`]
pub(super) fn forward<B: Backend>(
    q: Tensor<B, 3>,
    k: Tensor<B, 3>,
    v: Tensor<B, 3>,
    packing: &Packing,
    kind: AttentionKind,
) -> Tensor<B, 3> {
    let kv = k.dims()[1];
    let rows = Rows::new(packing, kind, &q.device());
    let (q, k, v) = (rows.queries(q, kv), rows.keys(k), rows.keys(v));
    let blocks = rows.blocks().map(|(queries, keys)| {
        let (k, v) = (part(&k, 2, &keys), part(&v, 2, &keys));
        let q = part(&q, 3, &queries);
        let (probabilities, _) = rows.probabilities(q, k, &queries, &keys);
        rows.product(probabilities, v) // [rows, kv, h/kv, queries, hd]
    });
    rows.tokens(Tensor::cat(blocks.collect(), 3))
}

/// [`super::Kernels::packed_attention_backward`]
pub(super) fn backward<B: Backend>(
    q: Tensor<B, 3>,
    k: Tensor<B, 3>,
    v: Tensor<B, 3>,
    packing: &Packing,
    kind: AttentionKind,
    grad: Tensor<B, 3>,
) -> [Tensor<B, 3>; 3] {
    let kv = k.dims()[1];
    let rows = Rows::new(packing, kind, &q.device());
    let (q, k, v) = (rows.queries(q, kv), rows.keys(k), rows.keys(v));
    let grad = rows.queries(grad, kv);
    let mut of_q = Vec::new();
    let (mut of_k, mut of_v) = (k.zeros_like(), v.zeros_like());
    for (queries, keys) in rows.blocks() {
        let (q, grad) = (part(&q, 3, &queries), part(&grad, 3, &queries));
        let (k, v) = (part(&k, 2, &keys), part(&v, 2, &keys));
        let (probabilities, slope) = rows.probabilities(q.clone(), k.clone(), &queries, &keys);
        let of_probabilities = rows.product(grad.clone(), v.swap_dims(2, 3));
        let along = (probabilities.clone() * of_probabilities.clone()).sum_dim(4);
        let mut of_scores = probabilities.clone() * (of_probabilities - along) * kind.scale;
        if let Some(slope) = slope {
            of_scores = of_scores * slope;
        }
        of_q.push(rows.product(of_scores.clone(), k));
        add(&mut of_k, &keys, rows.transposed_product(of_scores, q));
        add(
            &mut of_v,
            &keys,
            rows.transposed_product(probabilities, grad),
        );
    }
    let of_q = rows.tokens(Tensor::cat(of_q, 3));
    [of_q, rows.of_keys(of_k), rows.of_keys(of_v)]
}

/// Tokens as rows, and who sees whom.
struct Rows<B: Backend> {
    n: usize,
    len: usize,
    kind: AttentionKind,
    /// The sequence of each token, `[rows, len]`.
    sequences: Tensor<B, 2, Int>,
}

impl<B: Backend> Rows<B> {
    fn new(packing: &Packing, kind: AttentionKind, device: &B::Device) -> Rows<B> {
        let len = packing.row_len();
        let n = packing.n_tokens() / len;
        let sequences: Vec<i32> = packing.sequence_of_tokens().map(|nth| nth as i32).collect();
        Rows {
            n,
            len,
            kind,
            sequences: Tensor::from_data(TensorData::new(sequences, [n, len]), device),
        }
    }

    /// `[t, h, hd]` → `[rows, kv, h/kv, len, hd]`
    fn queries(&self, x: Tensor<B, 3>, kv: usize) -> Tensor<B, 5> {
        let [_, h, hd] = x.dims();
        x.reshape([self.n, self.len, kv, h / kv, hd])
            .permute([0, 2, 3, 1, 4])
    }

    /// The inverse of [`Rows::queries`].
    fn tokens(&self, x: Tensor<B, 5>) -> Tensor<B, 3> {
        let [_, kv, group, _, hd] = x.dims();
        x.permute([0, 3, 1, 2, 4])
            .reshape([self.n * self.len, kv * group, hd])
    }

    /// `[t, kv, hd]` → `[rows, kv, len, hd]`
    fn keys(&self, x: Tensor<B, 3>) -> Tensor<B, 4> {
        let [_, kv, hd] = x.dims();
        x.reshape([self.n, self.len, kv, hd]).swap_dims(1, 2)
    }

    /// The inverse of [`Rows::keys`].
    fn of_keys(&self, x: Tensor<B, 4>) -> Tensor<B, 3> {
        let [_, kv, _, hd] = x.dims();
        x.swap_dims(1, 2).reshape([self.n * self.len, kv, hd])
    }

    /// Blocks of queries, each with the keys any of them may see.
    fn blocks(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let (len, window) = (self.len, self.kind.window);
        (0..len).step_by(QUERIES_IN_FLIGHT).map(move |start| {
            let end = (start + QUERIES_IN_FLIGHT).min(len);
            let first = window.map_or(0, |window| (start + 1).saturating_sub(window));
            (start..end, first..end)
        })
    }

    /// The probabilities of `keys` for `queries`, `[rows, kv, h/kv, queries, keys]`; where scores are capped, with the slope of the cap.
    fn probabilities(
        &self,
        q: Tensor<B, 5>,
        k: Tensor<B, 4>,
        queries: &Range<usize>,
        keys: &Range<usize>,
    ) -> (Tensor<B, 5>, Option<Tensor<B, 5>>) {
        let dtype = q.dtype();
        let scores = self.product(q, k.swap_dims(2, 3)).cast(DType::F32) * self.kind.scale;
        let (scores, slope) = match self.kind.softcap {
            None => (scores, None),
            Some(cap) => {
                let tanh = (scores / cap).tanh();
                let slope = (tanh.clone().powi_scalar(2).neg() + 1.0).cast(dtype);
                (tanh * cap, Some(slope))
            }
        };
        let hidden = self.hidden(queries, keys).expand(scores.shape());
        let probabilities = softmax(scores.mask_fill(hidden, f32::NEG_INFINITY), 4);
        (probabilities.cast(dtype), slope)
    }

    /// Which of `keys` each of `queries` does not see, `[rows, 1, 1, queries, keys]`.
    fn hidden(&self, queries: &Range<usize>, keys: &Range<usize>) -> Tensor<B, 5, Bool> {
        let device = self.sequences.device();
        let of = |places: &Range<usize>| {
            let sequences = self.sequences.clone().slice([0..self.n, places.clone()]);
            let places =
                Tensor::<B, 1, Int>::arange(places.start as i64..places.end as i64, &device);
            (sequences, places)
        };
        let ((of_queries, q), (of_keys, k)) = (of(queries), of(keys));
        let (n_queries, n_keys) = (queries.len(), keys.len());
        let back = q.reshape([n_queries, 1]) - k.reshape([1, n_keys]);
        let mut unseen = back.clone().lower_elem(0);
        if let Some(window) = self.kind.window {
            unseen = unseen.bool_or(back.greater_equal_elem(window as i64));
        }
        let shape = [self.n, n_queries, n_keys];
        let others = of_queries
            .reshape([self.n, n_queries, 1])
            .expand(shape)
            .not_equal(of_keys.reshape([self.n, 1, n_keys]).expand(shape));
        let hidden = others.bool_or(unseen.reshape([1, n_queries, n_keys]).expand(shape));
        hidden.reshape([self.n, 1, 1, n_queries, n_keys])
    }

    /// `a` `[rows, kv, g, m, n]` times `b` `[rows, kv, n, o]`, which all of a group share.
    fn product(&self, a: Tensor<B, 5>, b: Tensor<B, 4>) -> Tensor<B, 5> {
        let [n, kv, group, m, inner] = a.dims();
        let o = b.dims()[3];
        a.reshape([n, kv, group * m, inner])
            .matmul(b)
            .reshape([n, kv, group, m, o])
    }

    /// The sum over a group of `aᵀ·b`: `a` is `[rows, kv, g, m, n]`, `b` `[rows, kv, g, m, o]`.
    fn transposed_product(&self, a: Tensor<B, 5>, b: Tensor<B, 5>) -> Tensor<B, 4> {
        let [n, kv, group, m, inner] = a.dims();
        let o = b.dims()[4];
        let a = a.reshape([n, kv, group * m, inner]).swap_dims(2, 3);
        a.matmul(b.reshape([n, kv, group * m, o]))
    }
}

/// A part of a dimension.
fn part<B: Backend, const D: usize>(
    x: &Tensor<B, D>,
    dim: usize,
    range: &Range<usize>,
) -> Tensor<B, D> {
    x.clone().narrow(dim, range.start, range.len())
}

/// Adds to the keys `range` of `sum`.
fn add<B: Backend>(sum: &mut Tensor<B, 4>, range: &Range<usize>, part: Tensor<B, 4>) {
    let [n, kv, _, hd] = sum.dims();
    let place = [0..n, 0..kv, range.clone(), 0..hd];
    let so_far = sum.clone().slice(place.clone());
    *sum = sum.clone().slice_assign(place, so_far + part);
}
