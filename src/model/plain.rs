//! What the operations of a decoder mean, in terms of the tensor library.

use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, DType, Distribution, IndexingUpdateOp, Int, Tensor};

/// [`super::Kernels::rms_norm`]
pub(super) fn rms_norm<B: Backend>(
    x: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    eps: f64,
) -> Tensor<B, 2> {
    let dtype = x.dtype();
    let normed = normalised(x.cast(DType::F32), eps).0.cast(dtype);
    normed * weight.cast(dtype)
}

/// [`super::Kernels::rms_norm_backward`]
pub(super) fn rms_norm_backward<B: Backend>(
    x: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    eps: f64,
    grad: Tensor<B, 2>,
) -> (Tensor<B, 2>, Tensor<B, 2>) {
    let dtype = x.dtype();
    let weight_dtype = weight.dtype();
    let grad = grad.cast(DType::F32);
    let (normed, inverse) = normalised(x.cast(DType::F32), eps);
    let of_weight = (grad.clone() * normed.clone()).sum_dim(0);
    let scaled = grad * weight.cast(DType::F32);
    // d/dx of x·r with r = (mean(x²) + eps)^-½ is r·(g - n·mean(g·n)), n being the normalised row.
    let along = (scaled.clone() * normed.clone()).mean_dim(1);
    let of_x = (scaled - normed * along) * inverse;
    (of_x.cast(dtype), of_weight.cast(weight_dtype))
}

/// [`super::Kernels::swiglu`]
pub(super) fn swiglu<B: Backend>(gate: Tensor<B, 2>, up: Tensor<B, 2>) -> Tensor<B, 2> {
    gate.clone() * sigmoid(gate) * up
}

/// [`super::Kernels::swiglu_backward`]
pub(super) fn swiglu_backward<B: Backend>(
    gate: Tensor<B, 2>,
    up: Tensor<B, 2>,
    grad: Tensor<B, 2>,
) -> (Tensor<B, 2>, Tensor<B, 2>) {
    let sigmoid = sigmoid(gate.clone());
    let silu = gate * sigmoid.clone();
    // silu' = σ + silu·(1 - σ)
    let slope = sigmoid.clone() + silu.clone() * (sigmoid.neg() + 1.0);
    (grad.clone() * up * slope, grad * silu)
}

/// [`super::Kernels::dropout`]
pub(super) fn dropout<B: Backend>(x: Tensor<B, 2>, probability: f64, seed: u64) -> Tensor<B, 2> {
    let device = x.device();
    B::seed(&device, seed);
    let kept = 1.0 - probability;
    let mask = Tensor::<B, 2>::random(x.dims(), Distribution::Bernoulli(kept), &device);
    let dtype = x.dtype();
    x * (mask / kept).cast(dtype)
}

/// [`super::Kernels::rotate`]
pub(super) fn rotate<B: Backend>(
    x: Tensor<B, 4>,
    cos: Tensor<B, 2>,
    sin: Tensor<B, 2>,
) -> Tensor<B, 4> {
    let [_, s, _, hd] = x.dims();
    let half = hd / 2;
    let dtype = x.dtype();
    let cos = cos.cast(dtype).reshape([1, s, 1, half]);
    let sin = sin.cast(dtype).reshape([1, s, 1, half]);
    let first = x.clone().narrow(3, 0, half);
    let second = x.narrow(3, half, half);
    Tensor::cat(
        vec![
            first.clone() * cos.clone() - second.clone() * sin.clone(),
            second * cos + first * sin,
        ],
        3,
    )
}

/// [`super::Kernels::causal_softmax`]
pub(super) fn causal_softmax<B: Backend>(scores: Tensor<B, 4>) -> Tensor<B, 4> {
    let [_, _, queries, s] = scores.dims();
    let hidden = Tensor::<B, 2, Bool>::tril_mask([s, s], 0, &scores.device())
        .repeat_dim(0, queries / s)
        .unsqueeze::<4>();
    let dtype = scores.dtype();
    let scores = scores.cast(DType::F32).mask_fill(hidden, f32::NEG_INFINITY);
    softmax(scores, 3).cast(dtype)
}

/// [`super::Kernels::softmax_backward`]
pub(super) fn softmax_backward<B: Backend>(
    probabilities: Tensor<B, 4>,
    grad: Tensor<B, 4>,
) -> Tensor<B, 4> {
    let along = (probabilities.clone() * grad.clone()).sum_dim(3);
    probabilities * (grad - along)
}

/// [`super::Kernels::cross_entropy`]
pub(super) fn cross_entropy<B: Backend>(
    logits: Tensor<B, 2>,
    targets: Tensor<B, 1, Int>,
    weight: f64,
) -> (Tensor<B, 1>, Tensor<B, 2>) {
    let [n, _] = logits.dims();
    let targets = targets.reshape([n, 1]);
    let logits = logits.cast(DType::F32);
    let shifted = logits.clone() - logits.max_dim(1);
    let exp = shifted.clone().exp();
    let sum = exp.clone().sum_dim(1);
    let losses = sum.clone().log() - shifted.gather(1, targets.clone());
    let minus = Tensor::full([n, 1], -weight, &exp.device());
    let gradient = (exp / sum * weight).scatter(1, targets, minus, IndexingUpdateOp::Add);
    (losses.reshape([n]), gradient)
}

/// The rows divided by their root mean square, and one over it.
fn normalised<B: Backend>(x: Tensor<B, 2>, eps: f64) -> (Tensor<B, 2>, Tensor<B, 2>) {
    let inverse = (x.clone().powi_scalar(2).mean_dim(1) + eps).sqrt().recip();
    (x * inverse.clone(), inverse)
}
