//! What the operations of a decoder mean, in terms of the tensor library.

use burn::tensor::activation::sigmoid;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Distribution, IndexingUpdateOp, Int, Tensor};

use super::config::{Activation, Norm};
use super::kernels::{Branch, Kernels};
use super::random::seeded;

/// [`super::Kernels::rms_norm`]
pub(super) fn rms_norm<B: Backend>(
    x: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    norm: Norm,
) -> Tensor<B, 2> {
    let dtype = x.dtype();
    let normed = normalised(x.cast(DType::F32), norm.eps).0;
    match norm.is_offset {
        false => normed.cast(dtype) * weight.cast(dtype),
        true => (normed * whole(weight, norm)).cast(dtype),
    }
}

/// [`super::Kernels::rms_norm_backward`]
pub(super) fn rms_norm_backward<B: Backend>(
    x: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    norm: Norm,
    grad: Tensor<B, 2>,
) -> (Tensor<B, 2>, Tensor<B, 2>) {
    let dtype = x.dtype();
    let weight_dtype = weight.dtype();
    let grad = grad.cast(DType::F32);
    let (normed, inverse) = normalised(x.cast(DType::F32), norm.eps);
    let of_weight = (grad.clone() * normed.clone()).sum_dim(0);
    let scaled = grad * whole(weight, norm);
    // d/dx of x·r with r = (mean(x²) + eps)^-½ is r·(g - n·mean(g·n)), n being the normalised row.
    let along = (scaled.clone() * normed.clone()).mean_dim(1);
    let of_x = (scaled - normed * along) * inverse;
    (of_x.cast(dtype), of_weight.cast(weight_dtype))
}

/// What rows are multiplied by, in 32 bits.
fn whole<B: Backend>(weight: Tensor<B, 2>, norm: Norm) -> Tensor<B, 2> {
    weight.cast(DType::F32) + f64::from(u8::from(norm.is_offset))
}

/// [`super::Kernels::gated`]
pub(super) fn gated<B: Backend>(
    gate: Tensor<B, 2>,
    up: Tensor<B, 2>,
    activation: Activation,
) -> Tensor<B, 2> {
    match activation {
        Activation::Silu => gate.clone() * sigmoid(gate) * up,
        Activation::Gelu => gate.clone() * (inner_tanh(gate) + 1.0) * 0.5 * up,
    }
}

/// [`super::Kernels::gated_backward`]
pub(super) fn gated_backward<B: Backend>(
    gate: Tensor<B, 2>,
    up: Tensor<B, 2>,
    activation: Activation,
    grad: Tensor<B, 2>,
) -> (Tensor<B, 2>, Tensor<B, 2>) {
    let (activated, slope) = match activation {
        Activation::Silu => {
            let sigmoid = sigmoid(gate.clone());
            let silu = gate * sigmoid.clone();
            // silu' = σ + silu·(1 - σ)
            let slope = sigmoid.clone() + silu.clone() * (sigmoid.neg() + 1.0);
            (silu, slope)
        }
        Activation::Gelu => {
            let tanh = inner_tanh(gate.clone());
            // gelu = x·(1 + t)/2, t' = (1 - t²)·√(2/π)·(1 + 3·c·x²)
            let inner_slope = (gate.clone().powi_scalar(2) * (3.0 * GELU_CUBE) + 1.0) * GELU_SCALE;
            let slope = (tanh.clone().powi_scalar(2).neg() + 1.0) * inner_slope * gate.clone();
            let half = (tanh + 1.0) * 0.5;
            (gate * half.clone(), half + slope * 0.5)
        }
    };
    (grad.clone() * up * slope, grad * activated)
}

/// `√(2/π)`
pub(super) const GELU_SCALE: f64 = 0.797_884_560_802_865_4;
/// The weight of the cube in the approximation of GELU.
pub(super) const GELU_CUBE: f64 = 0.044_715;

fn inner_tanh<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 2> {
    ((x.clone().powi_scalar(3) * GELU_CUBE + x) * GELU_SCALE).tanh()
}

/// [`super::Kernels::dropout`]
pub(super) fn dropout<B: Backend>(x: Tensor<B, 2>, probability: f64, seed: u64) -> Tensor<B, 2> {
    let kept = 1.0 - probability;
    let mask: Tensor<B, 2> = seeded(x.dims(), Distribution::Bernoulli(kept), seed, &x.device());
    let dtype = x.dtype();
    x * (mask / kept).cast(dtype)
}

/// [`super::Kernels::adapted`]
pub(super) fn adapted<B: Kernels>(
    x: Tensor<B, 2>,
    weight: &Tensor<B, 2>,
    branch: Branch<B>,
) -> Tensor<B, 2> {
    let dtype = x.dtype();
    let thin = branch.thinned(x.clone());
    let [a, b] = [branch.a, branch.b].map(|matrix| matrix.cast(dtype).transpose());
    x.matmul(B::dequantised(weight).cast(dtype).transpose())
        + (thin.matmul(a) * branch.scale).matmul(b)
}

/// [`super::Kernels::adapted_backward`]
pub(super) fn adapted_backward<B: Kernels>(
    x: Tensor<B, 2>,
    weight: &Tensor<B, 2>,
    branch: &Branch<B>,
    grad: Tensor<B, 2>,
    needs_x: bool,
) -> (Option<Tensor<B, 2>>, [Tensor<B, 2>; 2]) {
    let dtype = x.dtype();
    let thin = branch.thinned(x);
    let [a, b] = [&branch.a, &branch.b].map(|matrix| matrix.clone().cast(dtype));
    let inner = thin.clone().matmul(a.clone().transpose()) * branch.scale; // [t, rank]
    let of_inner = grad.clone().matmul(b) * branch.scale;
    let of_b = grad.clone().transpose().matmul(inner).cast(DType::F32);
    let of_a = of_inner.clone().transpose().matmul(thin).cast(DType::F32);
    let of_x = needs_x.then(|| {
        let through_branch = branch.dropped(of_inner.matmul(a));
        grad.matmul(B::dequantised(weight).cast(dtype)) + through_branch
    });
    (of_x, [of_a, of_b])
}

/// [`super::Kernels::rotate`]
pub(super) fn rotate<B: Backend>(
    x: Tensor<B, 3>,
    cos: Tensor<B, 2>,
    sin: Tensor<B, 2>,
) -> Tensor<B, 3> {
    let half = x.dims()[2] / 2;
    let dtype = x.dtype();
    let cos = cos.cast(dtype).unsqueeze_dim(1);
    let sin = sin.cast(dtype).unsqueeze_dim(1);
    let first = x.clone().narrow(2, 0, half);
    let second = x.narrow(2, half, half);
    Tensor::cat(
        vec![
            first.clone() * cos.clone() - second.clone() * sin.clone(),
            second * cos + first * sin,
        ],
        2,
    )
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
