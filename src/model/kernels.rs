//! The operations of a decoder that are more than a matrix product, each with its gradient written by hand.
//!
//! Every operation has a default in terms of the tensor library, which is what it means; a backend may replace it by a
//! faster one, and [`Autodiff`] records it as one node of the graph instead of the ten it is made of.

use std::fmt;
use std::sync::Arc;

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::backend::Backend;
use burn::tensor::ops::FloatTensor;
use burn::tensor::{Int, Tensor, TensorPrimitive};

use super::plain;

/// A backend with the operations of a decoder.
///
/// Shapes: `tokens` rows of a batch in order; `b` sequences of `s` tokens; `h` query heads, `kv` key and value heads, `hd`
/// values a head.
pub trait Kernels: Backend {
    /// RMSNorm (Zhang and Sennrich 2019): `x / sqrt(mean(x²) + eps) · weight`, row by row, computed in 32 bits.
    /// `x` is `[tokens, d]`, `weight` `[1, d]`.
    fn rms_norm(x: Tensor<Self, 2>, weight: Tensor<Self, 2>, eps: f64) -> Tensor<Self, 2> {
        plain::rms_norm(x, weight, eps)
    }

    /// Gradients of [`Kernels::rms_norm`] with respect to `x` and `weight`.
    fn rms_norm_backward(
        x: Tensor<Self, 2>,
        weight: Tensor<Self, 2>,
        eps: f64,
        grad: Tensor<Self, 2>,
    ) -> (Tensor<Self, 2>, Tensor<Self, 2>) {
        plain::rms_norm_backward(x, weight, eps, grad)
    }

    /// The gated activation of a feed-forward network (Shazeer 2020): `silu(gate) · up`, both `[tokens, width]`.
    fn swiglu(gate: Tensor<Self, 2>, up: Tensor<Self, 2>) -> Tensor<Self, 2> {
        plain::swiglu(gate, up)
    }

    /// Gradients of [`Kernels::swiglu`] with respect to `gate` and `up`.
    fn swiglu_backward(
        gate: Tensor<Self, 2>,
        up: Tensor<Self, 2>,
        grad: Tensor<Self, 2>,
    ) -> (Tensor<Self, 2>, Tensor<Self, 2>) {
        plain::swiglu_backward(gate, up, grad)
    }

    /// Dropout (Srivastava et al. 2014): every number of `x` is dropped with a probability, what stays is scaled up so that the
    /// mean stays. Which are dropped depends on `seed` and the number's place alone, so the gradient is the same operation.
    fn dropout(x: Tensor<Self, 2>, probability: f64, seed: u64) -> Tensor<Self, 2> {
        plain::dropout(x, probability, seed)
    }

    /// Rotary position embedding (Su et al. 2021) in the half-split layout of Hugging Face: value i of a head turns with value
    /// i + hd/2. `x` is `[b, s, heads, hd]`, `cos` and `sin` `[s, hd/2]`.
    fn rotate(x: Tensor<Self, 4>, cos: Tensor<Self, 2>, sin: Tensor<Self, 2>) -> Tensor<Self, 4> {
        plain::rotate(x, cos, sin)
    }

    /// Softmax over the keys a query may see. `scores` is `[b, kv, n·s, s]`: `n` blocks of `s` queries, of which query `i` sees
    /// the keys up to `i`. Computed in 32 bits.
    fn causal_softmax(scores: Tensor<Self, 4>) -> Tensor<Self, 4> {
        plain::causal_softmax(scores)
    }

    /// The gradient of a softmax with respect to its scores, from its result and the gradient of that.
    fn softmax_backward(probabilities: Tensor<Self, 4>, grad: Tensor<Self, 4>) -> Tensor<Self, 4> {
        plain::softmax_backward(probabilities, grad)
    }

    /// Causal attention with fewer key than query heads: `q` is `[b, s, h, hd]`, `k` and `v` `[b, s, kv, hd]`, the result is as
    /// `q`. Scores are scaled by `1/sqrt(hd)`.
    fn causal_attention(
        q: Tensor<Self, 4>,
        k: Tensor<Self, 4>,
        v: Tensor<Self, 4>,
    ) -> Tensor<Self, 4> {
        let [_, s, _, hd] = q.dims();
        let kv = k.dims()[2];
        let q = by_kv_head(q, kv) * scale(hd);
        let probabilities = Self::causal_softmax(q.matmul(k.permute([0, 2, 3, 1])));
        by_token(probabilities.matmul(v.swap_dims(1, 2)), s)
    }

    /// Gradients of [`Kernels::causal_attention`] with respect to `q`, `k` and `v`. The probabilities are computed again, so that none
    /// has to be kept.
    fn causal_attention_backward(
        q: Tensor<Self, 4>,
        k: Tensor<Self, 4>,
        v: Tensor<Self, 4>,
        grad: Tensor<Self, 4>,
    ) -> [Tensor<Self, 4>; 3] {
        let [_, s, _, hd] = q.dims();
        let kv = k.dims()[2];
        let q = by_kv_head(q, kv) * scale(hd);
        let k = k.swap_dims(1, 2);
        let grad = by_kv_head(grad, kv);
        let probabilities = Self::causal_softmax(q.clone().matmul(k.clone().swap_dims(2, 3)));
        let of_v = probabilities.clone().swap_dims(2, 3).matmul(grad.clone());
        let of_probabilities = grad.matmul(v.permute([0, 2, 3, 1]));
        let of_scores = Self::softmax_backward(probabilities, of_probabilities);
        let of_q = of_scores.clone().matmul(k) * scale(hd);
        let of_k = of_scores.swap_dims(2, 3).matmul(q);
        [
            by_token(of_q, s),
            of_k.swap_dims(1, 2),
            of_v.swap_dims(1, 2),
        ]
    }

    /// The negative log-likelihood of `targets` under each row of `logits` `[n, vocabulary]`, in 32 bits, and `weight` times its
    /// gradient with respect to the logits.
    fn cross_entropy(
        logits: Tensor<Self, 2>,
        targets: Tensor<Self, 1, Int>,
        weight: f64,
    ) -> (Tensor<Self, 1>, Tensor<Self, 2>) {
        plain::cross_entropy(logits, targets, weight)
    }
}

/// `1/sqrt(hd)` (Vaswani et al. 2017).
fn scale(hd: usize) -> f64 {
    1.0 / (hd as f64).sqrt()
}

/// `[b, s, h, hd]` → `[b, kv, h/kv·s, hd]`: the queries of all heads that share a key head, head after head.
fn by_kv_head<B: Backend>(x: Tensor<B, 4>, kv: usize) -> Tensor<B, 4> {
    let [b, s, h, hd] = x.dims();
    x.swap_dims(1, 2).reshape([b, kv, h / kv * s, hd])
}

/// The inverse of [`by_kv_head`] for sequences of `s` tokens.
fn by_token<B: Backend>(x: Tensor<B, 4>, s: usize) -> Tensor<B, 4> {
    let [b, kv, queries, hd] = x.dims();
    x.reshape([b, kv * queries / s, s, hd]).swap_dims(1, 2)
}

/// Computes the gradients of an operation's inputs from that of its output; those nobody asks for may be left out.
type Gradient<B, const N: usize> =
    Arc<dyn Fn(FloatTensor<B>) -> [Option<FloatTensor<B>>; N] + Send + Sync>;

/// What a node of the graph keeps.
#[derive(Clone)]
struct Saved<B: Backend, const N: usize>(Gradient<B, N>);

impl<B: Backend, const N: usize> fmt::Debug for Saved<B, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Saved")
    }
}

/// A node of the graph whose gradient is written by hand.
#[derive(Debug)]
struct ByHand;

impl<B: Backend, const N: usize> Backward<B, N> for ByHand {
    type State = Saved<B, N>;

    fn backward(
        self,
        ops: Ops<Self::State, N>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let of_inputs = (ops.state.0)(grads.consume::<B>(&ops.node));
        for (parent, gradient) in ops.parents.into_iter().zip(of_inputs) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

/// Records an operation on `inputs` with its result and gradient.
fn record<B: Backend, C: CheckpointStrategy, const N: usize>(
    inputs: [FloatTensor<Autodiff<B, C>>; N],
    output: FloatTensor<B>,
    gradient: Gradient<B, N>,
) -> FloatTensor<Autodiff<B, C>> {
    let nodes = inputs.map(|input| input.node);
    match ByHand.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(node) => node.finish(Saved(gradient), output),
        OpsKind::UnTracked(node) => node.finish(output),
    }
}

/// A tensor as its backend has it.
fn raw<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatTensor<B> {
    tensor.into_primitive().tensor()
}

/// The inverse of [`raw`].
fn cooked<B: Backend, const D: usize>(tensor: FloatTensor<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(tensor))
}

impl<B: Kernels, C: CheckpointStrategy> Kernels for Autodiff<B, C> {
    fn rms_norm(x: Tensor<Self, 2>, weight: Tensor<Self, 2>, eps: f64) -> Tensor<Self, 2> {
        let (x, weight) = (raw(x), raw(weight));
        let saved = (x.primitive.clone(), weight.primitive.clone());
        let output = B::rms_norm(cooked(saved.0.clone()), cooked(saved.1.clone()), eps);
        let gradient = move |grad| {
            let (x, weight) = saved.clone();
            let (of_x, of_weight) =
                B::rms_norm_backward(cooked(x), cooked(weight), eps, cooked(grad));
            [Some(raw(of_x)), Some(raw(of_weight))]
        };
        cooked(record::<B, C, _>(
            [x, weight],
            raw(output),
            Arc::new(gradient),
        ))
    }

    fn swiglu(gate: Tensor<Self, 2>, up: Tensor<Self, 2>) -> Tensor<Self, 2> {
        let (gate, up) = (raw(gate), raw(up));
        let saved = (gate.primitive.clone(), up.primitive.clone());
        let output = B::swiglu(cooked(saved.0.clone()), cooked(saved.1.clone()));
        let gradient = move |grad| {
            let (gate, up) = saved.clone();
            let (of_gate, of_up) = B::swiglu_backward(cooked(gate), cooked(up), cooked(grad));
            [Some(raw(of_gate)), Some(raw(of_up))]
        };
        cooked(record::<B, C, _>(
            [gate, up],
            raw(output),
            Arc::new(gradient),
        ))
    }

    fn dropout(x: Tensor<Self, 2>, probability: f64, seed: u64) -> Tensor<Self, 2> {
        let x = raw(x);
        let output = B::dropout(cooked(x.primitive.clone()), probability, seed);
        let gradient = move |grad| {
            [Some(raw::<B, 2>(B::dropout(
                cooked(grad),
                probability,
                seed,
            )))]
        };
        cooked(record::<B, C, _>([x], raw(output), Arc::new(gradient)))
    }

    fn rotate(x: Tensor<Self, 4>, cos: Tensor<Self, 2>, sin: Tensor<Self, 2>) -> Tensor<Self, 4> {
        let x = raw(x);
        let (cos, sin) = (raw(cos).primitive, raw(sin).primitive);
        let output = B::rotate(
            cooked(x.primitive.clone()),
            cooked(cos.clone()),
            cooked(sin.clone()),
        );
        let gradient = move |grad| {
            // A rotation's gradient turns the other way.
            let back = cooked::<B, 2>(sin.clone()).neg();
            [Some(raw(B::rotate(
                cooked(grad),
                cooked(cos.clone()),
                back,
            )))]
        };
        cooked(record::<B, C, _>([x], raw(output), Arc::new(gradient)))
    }

    fn causal_attention(
        q: Tensor<Self, 4>,
        k: Tensor<Self, 4>,
        v: Tensor<Self, 4>,
    ) -> Tensor<Self, 4> {
        let inputs = [raw(q), raw(k), raw(v)];
        let saved = inputs.clone().map(|input| input.primitive);
        let [q, k, v] = saved.clone();
        let output = B::causal_attention(cooked(q), cooked(k), cooked(v));
        let gradient = move |grad| {
            let [q, k, v] = saved.clone();
            B::causal_attention_backward(cooked(q), cooked(k), cooked(v), cooked(grad))
                .map(|gradient| Some(raw(gradient)))
        };
        cooked(record::<B, C, _>(inputs, raw(output), Arc::new(gradient)))
    }
}
