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
use burn::tensor::{DType, Int, Tensor, TensorPrimitive};

use super::config::{Activation, Norm};
use super::packing::Packing;
use super::{attention, plain};

/// How the queries of an attention are compared with its keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionKind {
    /// What products are multiplied by.
    pub scale: f64,
    /// `cap · tanh(product / cap)` of them, before the softmax.
    pub softcap: Option<f64>,
    /// Tokens a query sees, itself included; all before it where there is no window.
    pub window: Option<usize>,
}

/// A branch of low rank beside a matrix (Hu et al. 2021).
#[derive(Clone, Debug)]
pub struct Branch<B: Backend> {
    /// `[rank, in]`
    pub a: Tensor<B, 2>,
    /// `[out, rank]`
    pub b: Tensor<B, 2>,
    /// What its output is multiplied by.
    pub scale: f64,
    /// Dropout of what it reads.
    pub dropout: Option<Dropout>,
    /// What it reads, after dropout, where several branches share that; else it is computed whenever it is needed.
    pub thin: Option<Tensor<B, 2>>,
}

impl<B: Kernels> Branch<B> {
    /// What the branch reads of `x`.
    pub fn thinned(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        self.thin.clone().unwrap_or_else(|| self.dropped(x))
    }

    /// `x` after dropout: of what the branch reads, and of its gradient.
    pub fn dropped(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        match self.dropout {
            None => x,
            Some(dropout) => B::dropout(x, dropout.probability, dropout.seed),
        }
    }
}

/// Dropout: see [`Kernels::dropout`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// The probability that a number is dropped.
    pub probability: f64,
    /// Which are dropped.
    pub seed: u64,
}

/// A backend with the operations of a decoder.
///
/// Shapes: `t` tokens of a micro-batch, sequence behind sequence; `h` query heads, `kv` key and value heads, `hd` values a head.
pub trait Kernels: Backend {
    /// Whether sequences must fill rows of one length, because attention is computed row by row.
    const NEEDS_ROWS: bool = true;

    /// A frozen matrix in floating point, whatever it is held as.
    fn dequantised(weight: &Tensor<Self, 2>) -> Tensor<Self, 2> {
        match weight.dtype() {
            DType::QFloat(_) => weight.clone().dequantize(),
            _ => weight.clone(),
        }
    }

    /// RMSNorm (Zhang and Sennrich 2019), row by row, computed in 32 bits. `x` is `[t, d]`, `weight` `[1, d]`.
    fn rms_norm(x: Tensor<Self, 2>, weight: Tensor<Self, 2>, norm: Norm) -> Tensor<Self, 2> {
        plain::rms_norm(x, weight, norm)
    }

    /// Gradients of [`Kernels::rms_norm`] with respect to `x` and `weight`.
    fn rms_norm_backward(
        x: Tensor<Self, 2>,
        weight: Tensor<Self, 2>,
        norm: Norm,
        grad: Tensor<Self, 2>,
    ) -> (Tensor<Self, 2>, Tensor<Self, 2>) {
        plain::rms_norm_backward(x, weight, norm, grad)
    }

    /// The gated activation of a feed-forward network (Shazeer 2020): `activation(gate) · up`, both `[t, width]`.
    fn gated(
        gate: Tensor<Self, 2>,
        up: Tensor<Self, 2>,
        activation: Activation,
    ) -> Tensor<Self, 2> {
        plain::gated(gate, up, activation)
    }

    /// Gradients of [`Kernels::gated`] with respect to `gate` and `up`.
    fn gated_backward(
        gate: Tensor<Self, 2>,
        up: Tensor<Self, 2>,
        activation: Activation,
        grad: Tensor<Self, 2>,
    ) -> (Tensor<Self, 2>, Tensor<Self, 2>) {
        plain::gated_backward(gate, up, activation, grad)
    }

    /// Dropout (Srivastava et al. 2014): every number of `x` is dropped with a probability, what stays is scaled up so that the
    /// mean stays. Which are dropped depends on `seed` and the number's place alone, so the gradient is the same operation.
    fn dropout(x: Tensor<Self, 2>, probability: f64, seed: u64) -> Tensor<Self, 2> {
        plain::dropout(x, probability, seed)
    }

    /// A frozen matrix with a trained branch beside it: `x·Wᵀ + scale · (dropout(x)·Aᵀ)·Bᵀ`. `x` is `[t, in]`, `weight` `[out, in]`, in
    /// floating point or quantised.
    fn adapted(
        x: Tensor<Self, 2>,
        weight: &Tensor<Self, 2>,
        branch: Branch<Self>,
    ) -> Tensor<Self, 2> {
        plain::adapted(x, weight, branch)
    }

    /// Gradients of [`Kernels::adapted`] with respect to `x`, where that is asked for, and to A and B.
    fn adapted_backward(
        x: Tensor<Self, 2>,
        weight: &Tensor<Self, 2>,
        branch: &Branch<Self>,
        grad: Tensor<Self, 2>,
        needs_x: bool,
    ) -> (Option<Tensor<Self, 2>>, [Tensor<Self, 2>; 2]) {
        plain::adapted_backward(x, weight, branch, grad, needs_x)
    }

    /// Rotary position embedding (Su et al. 2021) in the half-split layout of Hugging Face: value i of a head turns with value
    /// i + hd/2. `x` is `[t, heads, hd]`, `cos` and `sin` are those of each token's position, `[t, hd/2]`.
    fn rotate(x: Tensor<Self, 3>, cos: Tensor<Self, 2>, sin: Tensor<Self, 2>) -> Tensor<Self, 3> {
        plain::rotate(x, cos, sin)
    }

    /// Causal attention (Vaswani et al. 2017) within each sequence, with fewer key than query heads: `q` is `[t, h, hd]`, `k` and
    /// `v` `[t, kv, hd]`, the result is as `q`. Scores are held for a block of queries at a time.
    fn packed_attention(
        q: Tensor<Self, 3>,
        k: Tensor<Self, 3>,
        v: Tensor<Self, 3>,
        packing: &Packing,
        kind: AttentionKind,
    ) -> Tensor<Self, 3> {
        attention::forward(q, k, v, packing, kind)
    }

    /// Gradients of [`Kernels::packed_attention`] with respect to `q`, `k` and `v`. The scores are computed again, block by block, so that
    /// none has to be kept.
    fn packed_attention_backward(
        q: Tensor<Self, 3>,
        k: Tensor<Self, 3>,
        v: Tensor<Self, 3>,
        packing: &Packing,
        kind: AttentionKind,
        grad: Tensor<Self, 3>,
    ) -> [Tensor<Self, 3>; 3] {
        attention::backward(q, k, v, packing, kind, grad)
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
    inputs: &[FloatTensor<Autodiff<B, C>>; N],
    output: FloatTensor<B>,
    gradient: Gradient<B, N>,
) -> FloatTensor<Autodiff<B, C>> {
    // The inputs outlive the recording: another thread's backward pass forgets graphs that no tensor refers to.
    let nodes = inputs.each_ref().map(|input| input.node.clone());
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
    const NEEDS_ROWS: bool = B::NEEDS_ROWS;

    fn dequantised(weight: &Tensor<Self, 2>) -> Tensor<Self, 2> {
        match weight.dtype() {
            DType::QFloat(_) => Tensor::from_inner(B::dequantised(&weight.clone().inner())),
            _ => weight.clone(),
        }
    }

    fn rms_norm(x: Tensor<Self, 2>, weight: Tensor<Self, 2>, norm: Norm) -> Tensor<Self, 2> {
        let (x, weight) = (raw(x), raw(weight));
        let saved = (x.primitive.clone(), weight.primitive.clone());
        let output = B::rms_norm(cooked(saved.0.clone()), cooked(saved.1.clone()), norm);
        let gradient = move |grad| {
            let (x, weight) = saved.clone();
            let (of_x, of_weight) =
                B::rms_norm_backward(cooked(x), cooked(weight), norm, cooked(grad));
            [Some(raw(of_x)), Some(raw(of_weight))]
        };
        cooked(record::<B, C, _>(
            &[x, weight],
            raw(output),
            Arc::new(gradient),
        ))
    }

    fn gated(
        gate: Tensor<Self, 2>,
        up: Tensor<Self, 2>,
        activation: Activation,
    ) -> Tensor<Self, 2> {
        let (gate, up) = (raw(gate), raw(up));
        let saved = (gate.primitive.clone(), up.primitive.clone());
        let output = B::gated(cooked(saved.0.clone()), cooked(saved.1.clone()), activation);
        let gradient = move |grad| {
            let (gate, up) = saved.clone();
            let (of_gate, of_up) =
                B::gated_backward(cooked(gate), cooked(up), activation, cooked(grad));
            [Some(raw(of_gate)), Some(raw(of_up))]
        };
        cooked(record::<B, C, _>(
            &[gate, up],
            raw(output),
            Arc::new(gradient),
        ))
    }

    fn dropout(x: Tensor<Self, 2>, probability: f64, seed: u64) -> Tensor<Self, 2> {
        let x = raw(x);
        let output = B::dropout(cooked(x.primitive.clone()), probability, seed);
        let gradient = move |grad| {
            let of_x = B::dropout(cooked(grad), probability, seed);
            [Some(raw::<B, 2>(of_x))]
        };
        cooked(record::<B, C, _>(&[x], raw(output), Arc::new(gradient)))
    }

    fn adapted(
        x: Tensor<Self, 2>,
        weight: &Tensor<Self, 2>,
        branch: Branch<Self>,
    ) -> Tensor<Self, 2> {
        let inputs = [raw(x), raw(branch.a), raw(branch.b)];
        let needs_x = !inputs[0].node.requirement.is_none();
        let [x, a, b] = inputs.clone().map(|input| cooked::<B, 2>(input.primitive));
        let branch = Branch {
            a,
            b,
            scale: branch.scale,
            dropout: branch.dropout,
            thin: branch.thin.map(Tensor::inner),
        };
        let weight = weight.clone().inner();
        let output = B::adapted(x.clone(), &weight, branch.clone());
        let gradient = move |grad| {
            let (of_x, [of_a, of_b]) =
                B::adapted_backward(x.clone(), &weight, &branch, cooked(grad), needs_x);
            [of_x.map(raw), Some(raw(of_a)), Some(raw(of_b))]
        };
        cooked(record::<B, C, _>(&inputs, raw(output), Arc::new(gradient)))
    }

    fn rotate(x: Tensor<Self, 3>, cos: Tensor<Self, 2>, sin: Tensor<Self, 2>) -> Tensor<Self, 3> {
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
        cooked(record::<B, C, _>(&[x], raw(output), Arc::new(gradient)))
    }

    fn packed_attention(
        q: Tensor<Self, 3>,
        k: Tensor<Self, 3>,
        v: Tensor<Self, 3>,
        packing: &Packing,
        kind: AttentionKind,
    ) -> Tensor<Self, 3> {
        let inputs = [raw(q), raw(k), raw(v)];
        let saved = inputs.clone().map(|input| input.primitive);
        let [q, k, v] = saved.clone();
        let output = B::packed_attention(cooked(q), cooked(k), cooked(v), packing, kind);
        let packing = packing.clone();
        let gradient = move |grad| {
            let [q, k, v] = saved.clone().map(cooked);
            B::packed_attention_backward(q, k, v, &packing, kind, cooked(grad))
                .map(|gradient| Some(raw(gradient)))
        };
        cooked(record::<B, C, _>(&inputs, raw(output), Arc::new(gradient)))
    }
}
