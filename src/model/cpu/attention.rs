//! Attention on the CPU: every sequence and key head by itself, a block of queries at a time, read where it lies.

use std::ops::Range;

use pulp::Arch;
use rayon::prelude::*;

use super::gemm::{Matrix, MatrixMut};
use super::{dot, exp_from_largest, tanh};
use crate::model::kernels::AttentionKind;
use crate::model::packing::Packing;

/// Queries whose scores are held at a time: with a few hundred keys they stay in the cache.
const QUERIES: usize = 64;

/// Numbers of all tokens, `[t, heads, hd]`.
#[derive(Clone, Copy)]
pub(super) struct Heads<'a> {
    pub(super) numbers: &'a [f32],
    pub(super) n_heads: usize,
    pub(super) hd: usize,
}

impl<'a> Heads<'a> {
    /// One head of these tokens, `[tokens, hd]`.
    fn head(self, tokens: &Range<usize>, head: usize) -> Matrix<'a> {
        let width = self.n_heads * self.hd;
        let start = tokens.start * width + head * self.hd;
        Matrix::new(&self.numbers[start..], [tokens.len(), self.hd], width)
    }
}

/// Rows of a task's own result, `[tokens, heads, hd]`.
struct Own {
    numbers: Vec<f32>,
    n_heads: usize,
    hd: usize,
}

impl Own {
    fn zeros(n_tokens: usize, n_heads: usize, hd: usize) -> Own {
        Own {
            numbers: vec![0.0; n_tokens * n_heads * hd],
            n_heads,
            hd,
        }
    }

    fn head_mut(&mut self, tokens: Range<usize>, head: usize) -> MatrixMut<'_> {
        let width = self.n_heads * self.hd;
        let start = tokens.start * width + head * self.hd;
        MatrixMut::new(&mut self.numbers[start..], [tokens.len(), self.hd], width)
    }
}

/// The output, `[t, h, hd]`.
pub(super) fn forward(
    [q, k, v]: [Heads<'_>; 3],
    packing: &Packing,
    kind: AttentionKind,
) -> Vec<f32> {
    let (kv, hd) = (k.n_heads, k.hd);
    let group = q.n_heads / kv;
    let outputs = by_head(packing, kv, |sequence, head| {
        let mut output = Own::zeros(sequence.len(), group, hd);
        let mut scores = Scores::default();
        for (member, block) in blocks(sequence.len(), group, kind) {
            let queries = q.head(&block.queries_in(sequence), head * group + member);
            let keys = block.keys_in(sequence);
            scores.probabilities(queries, k.head(&keys, head), &block, kind);
            let to = output.head_mut(block.queries.clone(), member);
            to.set(1.0, scores.matrix(&block), v.head(&keys, head));
        }
        [output]
    });
    let [output] = assembled(packing, kv, &outputs);
    output
}

/// The gradients of `q`, `k` and `v`.
pub(super) fn backward(
    [q, k, v]: [Heads<'_>; 3],
    packing: &Packing,
    kind: AttentionKind,
    grad: Heads<'_>,
) -> [Vec<f32>; 3] {
    let (kv, hd) = (k.n_heads, k.hd);
    let group = q.n_heads / kv;
    let scale = kind.scale as f32;
    let gradients = by_head(packing, kv, |sequence, head| {
        let mut of_q = Own::zeros(sequence.len(), group, hd);
        let mut of_k = Own::zeros(sequence.len(), 1, hd);
        let mut of_v = Own::zeros(sequence.len(), 1, hd);
        let mut scores = Scores::default();
        for (member, block) in blocks(sequence.len(), group, kind) {
            let place = head * group + member;
            let queries = q.head(&block.queries_in(sequence), place);
            let grad = grad.head(&block.queries_in(sequence), place);
            let keys = block.keys_in(sequence);
            let (k, v) = (k.head(&keys, head), v.head(&keys, head));
            scores.probabilities(queries, k, &block, kind);
            let of_value = of_v.head_mut(block.keys.clone(), 0);
            of_value.add(1.0, scores.matrix(&block).transposed(), grad);
            scores.backward(grad, v, &block, kind);
            let of_scores = scores.matrix_of_gradient(&block);
            let of_query = of_q.head_mut(block.queries.clone(), member);
            of_query.set(scale, of_scores, k);
            let of_key = of_k.head_mut(block.keys.clone(), 0);
            of_key.add(scale, of_scores.transposed(), queries);
        }
        [of_q, of_k, of_v]
    });
    assembled(packing, kv, &gradients)
}

/// Queries of a sequence, and the keys that any of them sees; places within the sequence.
struct Block {
    queries: Range<usize>,
    keys: Range<usize>,
}

impl Block {
    fn queries_in(&self, sequence: &Range<usize>) -> Range<usize> {
        sequence.start + self.queries.start..sequence.start + self.queries.end
    }

    fn keys_in(&self, sequence: &Range<usize>) -> Range<usize> {
        sequence.start + self.keys.start..sequence.start + self.keys.end
    }

    fn shape(&self) -> [usize; 2] {
        [self.queries.len(), self.keys.len()]
    }

    /// The keys that a query of the block sees, as places among the block's keys.
    fn seen(&self, nth: usize, kind: AttentionKind) -> Range<usize> {
        let query = self.queries.start + nth;
        let first = kind
            .window
            .map_or(0, |window| (query + 1).saturating_sub(window));
        first - self.keys.start..query + 1 - self.keys.start
    }
}

/// The blocks of every query head that shares a key head, in order.
fn blocks(len: usize, group: usize, kind: AttentionKind) -> impl Iterator<Item = (usize, Block)> {
    (0..group).flat_map(move |member| {
        (0..len).step_by(QUERIES).map(move |start| {
            let end = (start + QUERIES).min(len);
            let first = kind
                .window
                .map_or(0, |window| (start + 1).saturating_sub(window));
            let block = Block {
                queries: start..end,
                keys: first..end,
            };
            (member, block)
        })
    })
}

/// Scores of a block, row by row; the memory is used again for the next.
#[derive(Default)]
struct Scores {
    numbers: Vec<f32>,
    /// The tanh of capped scores.
    capped: Vec<f32>,
    gradient: Vec<f32>,
}

impl Scores {
    fn matrix(&self, block: &Block) -> Matrix<'_> {
        Matrix::new(&self.numbers, block.shape(), block.keys.len())
    }

    fn matrix_of_gradient(&self, block: &Block) -> Matrix<'_> {
        Matrix::new(&self.gradient, block.shape(), block.keys.len())
    }

    /// Fills in what each query gives to each key.
    fn probabilities(&mut self, q: Matrix<'_>, k: Matrix<'_>, block: &Block, kind: AttentionKind) {
        let [n, width] = block.shape();
        self.numbers.resize(n * width, 0.0);
        let to = MatrixMut::new(&mut self.numbers, [n, width], width);
        to.set(kind.scale as f32, q, k.transposed());
        if kind.softcap.is_some() {
            self.capped.resize(n * width, 0.0);
        }
        Arch::new().dispatch(|| {
            for (nth, row) in self.numbers.chunks_exact_mut(width).enumerate() {
                let seen = block.seen(nth, kind);
                if let Some(cap) = kind.softcap {
                    let cap = cap as f32;
                    let tanhs = &mut self.capped[nth * width..][..width];
                    for (score, to) in row[seen.clone()].iter_mut().zip(&mut tanhs[seen.clone()]) {
                        *to = tanh(*score / cap);
                        *score = cap * *to;
                    }
                }
                row[..seen.start].fill(0.0);
                row[seen.end..].fill(0.0);
                let sum = exp_from_largest(&mut row[seen.clone()]).0;
                let share = 1.0 / sum;
                row[seen].iter_mut().for_each(|value| *value *= share);
            }
        });
    }

    /// Fills in the gradient of the scores, before they are scaled, from that of the block's output.
    fn backward(&mut self, grad: Matrix<'_>, v: Matrix<'_>, block: &Block, kind: AttentionKind) {
        let [n, width] = block.shape();
        self.gradient.resize(n * width, 0.0);
        let to = MatrixMut::new(&mut self.gradient, [n, width], width);
        to.set(1.0, grad, v.transposed());
        Arch::new().dispatch(|| {
            let rows = self.gradient.chunks_exact_mut(width);
            for (nth, (row, probabilities)) in
                rows.zip(self.numbers.chunks_exact(width)).enumerate()
            {
                let seen = block.seen(nth, kind);
                let along = dot(&row[seen.clone()], &probabilities[seen.clone()]);
                // What is not seen has the probability 0.
                for (grad, probability) in row.iter_mut().zip(probabilities) {
                    *grad = probability * (*grad - along);
                }
                if kind.softcap.is_some() {
                    let tanhs = &self.capped[nth * width..][..width];
                    for (grad, tanh) in row[seen.clone()].iter_mut().zip(&tanhs[seen]) {
                        *grad *= 1.0 - tanh * tanh;
                    }
                }
            }
        });
    }
}

/// What `work` makes of every sequence and key head, in parallel; in order.
fn by_head<const N: usize>(
    packing: &Packing,
    kv: usize,
    work: impl Fn(&Range<usize>, usize) -> [Own; N] + Sync,
) -> Vec<[Own; N]> {
    let sequences = packing.sequences();
    let tasks: Vec<_> = sequences
        .flat_map(|sequence| (0..kv).map(move |head| (sequence.clone(), head)))
        .collect();
    tasks
        .into_par_iter()
        .map(|(sequence, head)| work(&sequence, head))
        .collect()
}

/// The results of all tasks put together, `[t, heads, hd]`.
fn assembled<const N: usize>(packing: &Packing, kv: usize, parts: &[[Own; N]]) -> [Vec<f32>; N] {
    std::array::from_fn(|which| {
        let width = parts
            .first()
            .map_or(0, |part| part[which].n_heads * part[which].hd);
        let mut whole = vec![0.0; packing.n_tokens() * kv * width];
        let mut rest = &mut whole[..];
        let mut rows = Vec::new();
        for length in packing.lengths() {
            let (rows_of_one, others) = rest.split_at_mut(length * kv * width);
            rows.push(rows_of_one);
            rest = others;
        }
        rows.into_par_iter()
            .zip(parts.par_chunks(kv))
            .for_each(|(rows, heads)| {
                for (place, row) in rows.chunks_exact_mut(kv * width).enumerate() {
                    for (to, head) in row.chunks_exact_mut(width).zip(heads) {
                        to.copy_from_slice(&head[which].numbers[place * width..][..width]);
                    }
                }
            });
        whole
    })
}
