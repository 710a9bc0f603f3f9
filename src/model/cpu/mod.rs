//! The operations of a decoder on the CPU, in 32 bits: each a loop over rows, in parallel, in the widest vectors there are.
//!
//! The tensor library would run each as ten passes over memory. `pulp` compiles the loops once for every vector width and
//! chooses when the program runs.

mod attention;
mod branch;
mod gemm;

use burn::tensor::{Int, Tensor, TensorData, TensorPrimitive};
use burn_flex::{Flex, FlexTensor};
use pulp::Arch;
use rayon::prelude::*;

use super::config::{Activation, Norm};
use super::kernels::{AttentionKind, Branch, Kernels};
use super::packing::Packing;
use super::plain::{GELU_CUBE, GELU_SCALE};
use attention::Heads;

/// Numbers a task works on at a time, so that handing it out costs little and its rows stay in the cache.
const NUMBERS_PER_TASK: usize = 1 << 14;

/// Sums are kept in so many parts, which vectors of any width can hold.
const LANES: usize = 16;

impl Kernels for Flex {
    const NEEDS_ROWS: bool = false;

    fn rms_norm(x: Tensor<Self, 2>, weight: Tensor<Self, 2>, norm: Norm) -> Tensor<Self, 2> {
        let [n, d] = x.dims();
        let (x, weight) = (flat(x), flat(whole(weight, norm)));
        let (x, weight) = (numbers(&x), numbers(&weight));
        let mut y = vec![0.0; n * d];
        by_rows(&mut y, d, |first, y| {
            for (nth, y) in y.chunks_exact_mut(d).enumerate() {
                let x = &x[(first + nth) * d..][..d];
                let inverse = inverse_rms(x, norm.eps);
                for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
                    *y = x * inverse * weight;
                }
            }
        });
        tensor(y, [n, d])
    }

    fn rms_norm_backward(
        x: Tensor<Self, 2>,
        weight: Tensor<Self, 2>,
        norm: Norm,
        grad: Tensor<Self, 2>,
    ) -> (Tensor<Self, 2>, Tensor<Self, 2>) {
        let [_, d] = x.dims();
        let (x, weight, mut grad) = (flat(x), flat(whole(weight, norm)), flat(grad));
        let (x, weight) = (numbers(&x), numbers(&weight));
        let parts = by_rows(numbers_mut(&mut grad), d, |first, grad| {
            let mut of_weight = vec![0.0; d];
            for (nth, grad) in grad.chunks_exact_mut(d).enumerate() {
                let x = &x[(first + nth) * d..][..d];
                let inverse = inverse_rms(x, norm.eps);
                for (((sum, grad), x), weight) in
                    of_weight.iter_mut().zip(&mut *grad).zip(x).zip(weight)
                {
                    *sum += *grad * x * inverse;
                    *grad *= weight;
                }
                // As in the default: r·(g - n·mean(g·n)).
                let along = dot(grad, x) * inverse * inverse / d as f32;
                for (grad, x) in grad.iter_mut().zip(x) {
                    *grad = inverse * (*grad - x * along);
                }
            }
            of_weight
        });
        // In the order of the rows, so that the number of threads changes no bit.
        let of_weight = parts.into_iter().reduce(|mut sum, part| {
            sum.iter_mut()
                .zip(part)
                .for_each(|(sum, part)| *sum += part);
            sum
        });
        (
            wrap(grad),
            tensor(of_weight.unwrap_or_else(|| vec![0.0; d]), [1, d]),
        )
    }

    fn gated(
        gate: Tensor<Self, 2>,
        up: Tensor<Self, 2>,
        activation: Activation,
    ) -> Tensor<Self, 2> {
        let shape = gate.dims();
        let (gate, up) = (flat(gate), flat(up));
        let (gate, up) = (numbers(&gate), numbers(&up));
        let mut y = vec![0.0; gate.len()];
        by_rows(&mut y, 1, |first, y| {
            let numbers = y.iter_mut().zip(&gate[first..]).zip(&up[first..]);
            match activation {
                Activation::Silu => numbers.for_each(|((y, &gate), up)| *y = silu(gate).0 * up),
                Activation::Gelu => numbers.for_each(|((y, &gate), up)| *y = gelu(gate).0 * up),
            }
        });
        tensor(y, shape)
    }

    fn gated_backward(
        gate: Tensor<Self, 2>,
        up: Tensor<Self, 2>,
        activation: Activation,
        grad: Tensor<Self, 2>,
    ) -> (Tensor<Self, 2>, Tensor<Self, 2>) {
        let shape = gate.dims();
        let (gate, up, mut grad) = (flat(gate), flat(up), flat(grad));
        let (gate, up) = (numbers(&gate), numbers(&up));
        let mut of_up = vec![0.0; gate.len()];
        let of_gate = numbers_mut(&mut grad);
        // Two results at once: the gradient becomes that of the gate in its place.
        of_gate
            .par_chunks_mut(NUMBERS_PER_TASK)
            .zip(of_up.par_chunks_mut(NUMBERS_PER_TASK))
            .zip(
                gate.par_chunks(NUMBERS_PER_TASK)
                    .zip(up.par_chunks(NUMBERS_PER_TASK)),
            )
            .for_each(|((of_gate, of_up), (gate, up))| {
                Arch::new().dispatch(|| {
                    let numbers = of_gate.iter_mut().zip(of_up).zip(gate).zip(up);
                    let through = |of_gate: &mut f32, of_up: &mut f32, up: f32, (y, slope)| {
                        *of_up = *of_gate * y;
                        *of_gate *= up * slope;
                    };
                    match activation {
                        Activation::Silu => numbers.for_each(|(((of_gate, of_up), &gate), &up)| {
                            through(of_gate, of_up, up, silu(gate));
                        }),
                        Activation::Gelu => numbers.for_each(|(((of_gate, of_up), &gate), &up)| {
                            through(of_gate, of_up, up, gelu(gate));
                        }),
                    }
                });
            });
        (wrap(grad), tensor(of_up, shape))
    }

    fn dropout(x: Tensor<Self, 2>, probability: f64, seed: u64) -> Tensor<Self, 2> {
        let mut x = flat(x);
        let scale = (1.0 / (1.0 - probability)) as f32;
        let threshold = (probability * f64::from(u32::MAX)) as u32;
        by_rows(numbers_mut(&mut x), 1, |first, x| {
            // 32 bits do for the places within a block; the block's own number goes into its key.
            let key = mixed((seed as u32) ^ mixed((seed >> 32) as u32 ^ mixed(first as u32)));
            for (place, x) in (0_u32..).zip(x) {
                *x *= if mixed(place ^ key) < threshold {
                    0.0
                } else {
                    scale
                };
            }
        });
        wrap(x)
    }

    fn adapted(
        x: Tensor<Self, 2>,
        weight: &Tensor<Self, 2>,
        branch: Branch<Self>,
    ) -> Tensor<Self, 2> {
        branch::forward(x, weight, branch)
    }

    fn adapted_backward(
        x: Tensor<Self, 2>,
        weight: &Tensor<Self, 2>,
        branch: &Branch<Self>,
        grad: Tensor<Self, 2>,
        needs_x: bool,
    ) -> (Option<Tensor<Self, 2>>, [Tensor<Self, 2>; 2]) {
        branch::backward(x, weight, branch, grad, needs_x)
    }

    fn rotate(x: Tensor<Self, 3>, cos: Tensor<Self, 2>, sin: Tensor<Self, 2>) -> Tensor<Self, 3> {
        let [_, heads, hd] = x.dims();
        let half = hd / 2;
        let (mut x, cos, sin) = (flat(x), flat(cos), flat(sin));
        let (cos, sin) = (numbers(&cos), numbers(&sin));
        by_rows(numbers_mut(&mut x), heads * hd, |first, x| {
            for (nth, token) in x.chunks_exact_mut(heads * hd).enumerate() {
                let angles = (first + nth) * half;
                let (cos, sin) = (&cos[angles..][..half], &sin[angles..][..half]);
                for head in token.chunks_exact_mut(hd) {
                    let (a, b) = head.split_at_mut(half);
                    for (((a, b), cos), sin) in a.iter_mut().zip(b).zip(cos).zip(sin) {
                        (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
                    }
                }
            }
        });
        wrap(x)
    }

    fn packed_attention(
        q: Tensor<Self, 3>,
        k: Tensor<Self, 3>,
        v: Tensor<Self, 3>,
        packing: &Packing,
        kind: AttentionKind,
    ) -> Tensor<Self, 3> {
        let shape = q.dims();
        let inputs = [q, k, v].map(flat);
        tensor(
            attention::forward(inputs.each_ref().map(heads), packing, kind),
            shape,
        )
    }

    fn packed_attention_backward(
        q: Tensor<Self, 3>,
        k: Tensor<Self, 3>,
        v: Tensor<Self, 3>,
        packing: &Packing,
        kind: AttentionKind,
        grad: Tensor<Self, 3>,
    ) -> [Tensor<Self, 3>; 3] {
        let shapes = [q.dims(), k.dims(), v.dims()];
        let [q, k, v, grad] = [q, k, v, grad].map(flat);
        let inputs = [heads(&q), heads(&k), heads(&v)];
        let [of_q, of_k, of_v] = attention::backward(inputs, packing, kind, heads(&grad));
        [
            tensor(of_q, shapes[0]),
            tensor(of_k, shapes[1]),
            tensor(of_v, shapes[2]),
        ]
    }

    fn cross_entropy(
        logits: Tensor<Self, 2>,
        targets: Tensor<Self, 1, Int>,
        weight: f64,
    ) -> (Tensor<Self, 1>, Tensor<Self, 2>) {
        let [n, vocabulary] = logits.dims();
        let targets = targets.into_primitive();
        let targets: &[i32] = targets.as_slice().expect("indices that were just made");
        let weight = weight as f32;
        let mut logits = flat(logits);
        let losses = by_rows(numbers_mut(&mut logits), vocabulary, |first, logits| {
            let rows = logits.chunks_exact_mut(vocabulary).enumerate();
            let losses = rows.map(|(nth, row)| {
                let target = targets[first + nth] as usize;
                let of_target = row[target];
                let (sum, largest) = exp_from_largest(row);
                row.iter_mut().for_each(|value| *value *= weight / sum);
                row[target] -= weight;
                sum.ln() + largest - of_target
            });
            losses.collect::<Vec<f32>>()
        });
        let losses = TensorData::new(losses.concat(), [n]);
        (Tensor::from_data(losses, &Default::default()), wrap(logits))
    }
}

/// Runs `work` over blocks of whole rows with the number of their first row, and returns what it found, in order.
fn by_rows<T: Send>(
    numbers: &mut [f32],
    row_len: usize,
    work: impl Fn(usize, &mut [f32]) -> T + Sync,
) -> Vec<T> {
    let rows = (NUMBERS_PER_TASK / row_len).max(1);
    numbers
        .par_chunks_mut(rows * row_len)
        .enumerate()
        .map(|(nth, block)| Arch::new().dispatch(|| work(nth * rows, block)))
        .collect()
}

/// Every bit of the result depends on every bit of `x`: the finaliser of MurmurHash3 (Appleby 2011).
#[inline(always)]
fn mixed(x: u32) -> u32 {
    let x = (x ^ (x >> 16)).wrapping_mul(0x85eb_ca6b);
    let x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
    x ^ (x >> 16)
}

/// What rows are multiplied by.
fn whole(weight: Tensor<Flex, 2>, norm: Norm) -> Tensor<Flex, 2> {
    match norm.is_offset {
        true => weight + 1.0,
        false => weight,
    }
}

/// `x · sigmoid(x)` and its slope.
#[inline(always)]
fn silu(x: f32) -> (f32, f32) {
    let sigmoid = 1.0 / (1.0 + exp(-x));
    let silu = x * sigmoid;
    (silu, sigmoid + silu * (1.0 - sigmoid))
}

/// GELU in its approximation with tanh, and its slope.
#[inline(always)]
fn gelu(x: f32) -> (f32, f32) {
    let (scale, cube) = (GELU_SCALE as f32, GELU_CUBE as f32);
    let tanh = tanh(scale * (x + cube * x * x * x));
    let half = 0.5 * (1.0 + tanh);
    let inner_slope = scale * (1.0 + 3.0 * cube * x * x);
    (x * half, half + 0.5 * x * (1.0 - tanh * tanh) * inner_slope)
}

/// By way of [`exp`], whose error near 0 is of the size of the result's last place.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}

#[inline(always)]
fn inverse_rms(x: &[f32], eps: f64) -> f32 {
    1.0 / (dot(x, x) / x.len() as f32 + eps as f32).sqrt()
}

#[inline(always)]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a_lanes, a_rest) = a.as_chunks::<LANES>();
    let (b_lanes, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (a, b) in a_lanes.iter().zip(b_lanes) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

/// Turns every number into `exp(number - largest)`, and returns the sum of these and the largest.
#[inline(always)]
fn exp_from_largest(numbers: &mut [f32]) -> (f32, f32) {
    let (lanes, rest) = numbers.as_chunks::<LANES>();
    let mut largest = [f32::NEG_INFINITY; LANES];
    for numbers in lanes {
        for lane in 0..LANES {
            largest[lane] = largest[lane].max(numbers[lane]);
        }
    }
    let largest = largest
        .iter()
        .chain(rest)
        .copied()
        .fold(f32::NEG_INFINITY, f32::max);
    let (lanes, rest) = numbers.as_chunks_mut::<LANES>();
    let mut sums = [0.0; LANES];
    for numbers in lanes {
        for lane in 0..LANES {
            numbers[lane] = exp(numbers[lane] - largest);
            sums[lane] += numbers[lane];
        }
    }
    let mut sum = sums.iter().sum::<f32>();
    for number in rest {
        *number = exp(*number - largest);
        sum += *number;
    }
    (sum, largest)
}

/// `e^x` within 2 units in the last place, without a branch: 2ⁿ times a polynomial of what is left of x (the minimax
/// coefficients of Cephes' `expf`, Moshier 1989). Beyond the range of 32 bits it stays at its ends; not a number stays that.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    /// Adding it leaves a whole number in the last bits.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.3, 88.3);
    let n = (clamped * std::f32::consts::LOG2_E + ROUND) - ROUND;
    let r = clamped - n * LN_2_HIGH - n * LN_2_LOW;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 0.166_666_65;
    let p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    p * f32::from_bits(((n as i32 + 127) << 23) as u32)
}

fn heads(tensor: &FlexTensor) -> Heads<'_> {
    let shape = tensor.layout().shape();
    Heads {
        numbers: numbers(tensor),
        n_heads: shape[1],
        hd: shape[2],
    }
}

/// A tensor whose numbers lie row after row.
fn flat<const D: usize>(tensor: Tensor<Flex, D>) -> FlexTensor {
    tensor.into_primitive().tensor().to_contiguous()
}

fn numbers(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("32 bits, row after row")
}

/// The numbers to be changed; copied where another tensor has them too.
fn numbers_mut(tensor: &mut FlexTensor) -> &mut [f32] {
    let range = tensor.layout().contiguous_offsets().expect("row after row");
    &mut tensor.storage_mut()[range.0..range.1]
}

fn wrap<const D: usize>(tensor: FlexTensor) -> Tensor<Flex, D> {
    Tensor::from_primitive(TensorPrimitive::Float(tensor))
}

fn tensor<const D: usize>(numbers: Vec<f32>, shape: [usize; D]) -> Tensor<Flex, D> {
    wrap(FlexTensor::from_data(TensorData::new(numbers, shape)))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;
    use burn_flex::FlexDevice;

    use super::super::kernels::Dropout;
    use super::super::random::tests::drawn;
    use super::super::{attention as plain_attention, plain};
    use super::*;

    fn random<const D: usize>(shape: [usize; D]) -> Tensor<Flex, D> {
        drawn(shape, Distribution::Normal(0.0, 2.0))
    }

    #[track_caller]
    fn assert_equal<const D: usize>(found: Tensor<Flex, D>, expected: Tensor<Flex, D>) {
        assert_eq!(found.dims(), expected.dims());
        let largest = expected.clone().abs().max().into_scalar().max(1.0);
        let off = (found - expected).abs().max().into_scalar() / largest;
        assert!(off < 1e-5, "off by {off}");
    }

    #[test]
    fn every_operation_does_what_it_means() {
        // Widths that no vector divides, and more rows than a task takes.
        for is_offset in [false, true] {
            let norm = Norm {
                eps: 1e-3,
                is_offset,
            };
            let (x, weight, grad) = (random([700, 37]), random([1, 37]), random([700, 37]));
            assert_equal(
                Flex::rms_norm(x.clone(), weight.clone(), norm),
                plain::rms_norm(x.clone(), weight.clone(), norm),
            );
            let found = Flex::rms_norm_backward(x.clone(), weight.clone(), norm, grad.clone());
            let expected = plain::rms_norm_backward(x, weight, norm, grad);
            assert_equal(found.0, expected.0);
            assert_equal(found.1 / 100.0, expected.1 / 100.0);
        }

        for activation in [Activation::Silu, Activation::Gelu] {
            let (gate, up, grad) = (random([700, 37]), random([700, 37]), random([700, 37]));
            assert_equal(
                Flex::gated(gate.clone(), up.clone(), activation),
                plain::gated(gate.clone(), up.clone(), activation),
            );
            let found = Flex::gated_backward(gate.clone(), up.clone(), activation, grad.clone());
            let expected = plain::gated_backward(gate, up, activation, grad);
            assert_equal(found.0, expected.0);
            assert_equal(found.1, expected.1);
        }

        let (x, cos, sin) = (random([33, 5, 6]), random([33, 3]), random([33, 3]));
        assert_equal(
            Flex::rotate(x.clone(), cos.clone(), sin.clone()),
            plain::rotate(x, cos, sin),
        );

        let logits = random([50, 61]);
        let targets: Vec<i32> = (0..50).map(|nth| nth * 7 % 61).collect();
        let targets =
            Tensor::<Flex, 1, Int>::from_data(TensorData::new(targets, [50]), &FlexDevice);
        let found = Flex::cross_entropy(logits.clone(), targets.clone(), 0.3);
        let expected = plain::cross_entropy(logits, targets, 0.3);
        assert_equal(found.0, expected.0);
        assert_equal(found.1, expected.1);
    }

    #[test]
    fn a_branch_beside_a_matrix_is_that_of_the_tensor_library() {
        for dropout in [
            None,
            Some(Dropout {
                probability: 0.3,
                seed: 5,
            }),
        ] {
            let (x, weight, grad) = (random([70, 24]), random([40, 24]), random([70, 40]));
            let branch = Branch {
                a: random([3, 24]),
                b: random([40, 3]),
                scale: 0.7,
                dropout,
                thin: None,
            };
            assert_equal(
                Flex::adapted(x.clone(), &weight, branch.clone()) / 10.0,
                plain::adapted(x.clone(), &weight, branch.clone()) / 10.0,
            );
            let of = (x.clone(), branch.clone(), grad.clone());
            let (of_x, found) = Flex::adapted_backward(of.0, &weight, &of.1, of.2, true);
            let (expected_x, expected) = plain::adapted_backward(x, &weight, &branch, grad, true);
            let both = |x: Option<Tensor<Flex, 2>>| x.expect("asked for") / 100.0;
            assert_equal(both(of_x), both(expected_x));
            for (found, expected) in found.into_iter().zip(expected) {
                assert_equal(found / 100.0, expected / 100.0);
            }
        }
    }

    #[test]
    fn attention_is_that_of_the_tensor_library() {
        // More queries than a block has, a sequence of one token, and three query heads a key head.
        let packing = Packing::in_rows(vec![150, 1, 49, 97, 103], 200);
        let kinds = [
            (None, None),
            (Some(1.5), None),
            (None, Some(7)),
            (Some(0.8), Some(70)),
        ];
        for (softcap, window) in kinds {
            let kind = AttentionKind {
                scale: 0.4,
                softcap,
                window,
            };
            let shapes = [[400, 6, 10], [400, 2, 10], [400, 2, 10], [400, 6, 10]];
            let [q, k, v, grad] = shapes.map(random::<3>);
            let found = Flex::packed_attention(q.clone(), k.clone(), v.clone(), &packing, kind);
            let (qs, ks, vs) = (q.clone(), k.clone(), v.clone());
            assert_equal(found, plain_attention::forward(qs, ks, vs, &packing, kind));
            let (qs, ks, vs, grads) = (q.clone(), k.clone(), v.clone(), grad.clone());
            let found = Flex::packed_attention_backward(qs, ks, vs, &packing, kind, grads);
            let expected = plain_attention::backward(q, k, v, &packing, kind, grad);
            for (found, expected) in found.into_iter().zip(expected) {
                assert_equal(found / 10.0, expected / 10.0);
            }
        }
    }

    #[test]
    fn dropout_drops_its_share_anywhere_and_keeps_the_mean() {
        let ones = Tensor::<Flex, 2>::ones([300, 200], &FlexDevice);
        let draw = |seed| {
            let drawn = Flex::dropout(ones.clone(), 0.3, seed);
            drawn.into_data().to_vec::<f32>().expect("32 bits")
        };
        let dropped = |mask: &[f32]| {
            mask.iter().filter(|&&value| value == 0.0).count() as f64 / mask.len() as f64
        };
        let (first, again, other) = (draw(7), draw(7), draw(8 << 32));
        assert_eq!(first, again);
        // Five deviations of 60,000 draws.
        assert!((dropped(&first) - 0.3).abs() < 0.01, "{}", dropped(&first));
        let pairs = first.iter().zip(&other);
        let both = pairs.filter(|(a, b)| **a == 0.0 && **b == 0.0).count();
        assert!(
            (both as f64 / 60_000.0 - 0.09).abs() < 0.007,
            "two draws are independent: {both}"
        );
        for column in 0..200 {
            let of_column: Vec<f32> = first.iter().skip(column).step_by(200).copied().collect();
            assert!((dropped(&of_column) - 0.3).abs() < 0.15, "column {column}");
        }
        let is_scaled = |value: &f32| *value == 0.0 || (value - 1.0 / 0.7).abs() < 1e-6;
        assert!(first.iter().all(is_scaled));
    }

    #[test]
    fn a_view_is_read_as_what_it_shows() {
        let x = random([40, 24]);
        let (weight, part) = (random([1, 10]), x.clone().narrow(1, 3, 10));
        let copied = part.clone().into_data();
        let copied = Tensor::from_data(copied, &FlexDevice);
        let norm = Norm {
            eps: 1e-3,
            is_offset: false,
        };
        assert_equal(
            Flex::rms_norm(part, weight.clone(), norm),
            plain::rms_norm(copied, weight, norm),
        );
        // What is changed in place was nobody else's.
        let before = x.clone().into_data();
        let _ = Flex::gated_backward(x.clone(), x.clone(), Activation::Silu, x.clone());
        assert_eq!(x.into_data(), before);
    }

    #[test]
    fn exp_is_exact_to_two_units_in_the_last_place() {
        for nth in -8_700..8_800 {
            let x = nth as f32 * 0.01 + 0.003;
            let expected = f64::from(x).exp();
            let off = (f64::from(exp(x)) - expected).abs() / expected;
            assert!(off < 2.5e-7, "exp({x}) is off by {off:e}");
        }
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(f32::NEG_INFINITY) < 1e-37);
    }
}
