//! The loss over supervised tokens, and its gradient, a block of tokens at a time.
//!
//! Scores of all tokens over the whole vocabulary would be the largest tensor of a step. They are computed for a block of
//! supervised tokens, turned into a gradient with respect to the states at once, and forgotten; what the graph sees is a
//! product with that gradient, whose own gradient it is.

use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, Tensor};

use super::decoder::Decoder;
use super::kernels::Kernels;
use super::tokens::{NewRows, TokenTable, indices};

/// Scores of tokens over the vocabulary held at a time: 32 MiB in 32 bits; unmeasured.
pub const SCORES_IN_FLIGHT: usize = 1 << 23;

/// A token that the loss counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The row of the state it is scored from: the token before it.
    pub row: u32,
    /// The token.
    pub token: u32,
}

/// The loss of a micro-batch.
#[derive(Debug)]
pub struct Loss<B: AutodiffBackend> {
    /// A number whose gradient is that of the weighted loss; its own value means nothing.
    pub surrogate: Tensor<B, 1>,
    /// The negative log-likelihood of every target, in nats.
    pub of_targets: Vec<f32>,
}

/// The negative log-likelihood of `targets` from `states` `[tokens, hidden]`, each weighted by `weight`.
pub fn supervised_loss<B>(
    decoder: &Decoder<B>,
    states: Tensor<B, 2>,
    targets: &[Target],
    weight: f64,
) -> Loss<B>
where
    B: AutodiffBackend + Kernels,
    B::InnerBackend: Kernels,
{
    let device = states.device();
    let rows = indices(targets.iter().map(|target| target.row), &device);
    let states = states.select(0, rows); // [targets, hidden]
    let inner = states.clone().inner();
    let table = decoder.scoring_table();
    let trains_base = table.base.is_require_grad();
    let frozen = inner_table(table);

    let d = inner.dims()[1];
    let block = (SCORES_IN_FLIGHT / frozen.n_tokens()).max(1);
    let mut losses = Vec::new();
    let mut of_states = Vec::new();
    let mut of_base: Option<Tensor<B::InnerBackend, 2>> = None;
    let mut of_new: Option<Tensor<B::InnerBackend, 2>> = None;
    for (nth, targets) in targets.chunks(block).enumerate() {
        let states = inner
            .clone()
            .slice([nth * block..nth * block + targets.len(), 0..d]);
        let tokens = indices(targets.iter().map(|target| target.token), &device);
        let scores = frozen.scores(states.clone());
        let dtype = scores.dtype();
        let (scores, slope) = capped(scores, decoder.config().final_softcap);
        let (loss, gradient) = B::InnerBackend::cross_entropy(scores, tokens, weight);
        let gradient = match slope {
            Some(slope) => gradient * slope,
            None => gradient,
        };
        let gradient = frozen.scores_backward(&states, &gradient.cast(dtype), trains_base);
        losses.push(loss);
        of_states.push(gradient.hidden);
        of_base = sum(of_base, gradient.base);
        of_new = sum(of_new, gradient.new);
    }
    let mut surrogate = product(states, Tensor::cat(of_states, 0));
    if let Some(gradient) = of_base {
        surrogate = surrogate + product(table.base.clone(), gradient);
    }
    if let (Some(new), Some(gradient)) = (&table.new, of_new) {
        surrogate = surrogate + product(new.rows.clone(), gradient);
    }
    let of_targets = Tensor::cat(losses, 0).into_data();
    Loss {
        surrogate,
        of_targets: of_targets.into_vec().expect("a loss is in 32 bits"),
    }
}

/// The negative log-likelihood of every target from `states` `[tokens, hidden]`, in nats, without a gradient.
pub fn losses<B: Kernels>(
    decoder: &Decoder<B>,
    states: &Tensor<B, 2>,
    targets: &[Target],
) -> Vec<f32> {
    let device = states.device();
    let block = (SCORES_IN_FLIGHT / decoder.scoring_table().n_tokens()).max(1);
    let losses = targets.chunks(block).flat_map(|targets| {
        let rows = indices(targets.iter().map(|target| target.row), &device);
        let tokens = indices(targets.iter().map(|target| target.token), &device);
        let scores = decoder.logits(states.clone().select(0, rows));
        let (losses, _) = B::cross_entropy(scores, tokens, 1.0);
        losses
            .into_data()
            .into_vec::<f32>()
            .expect("a loss is in 32 bits")
    });
    losses.collect()
}

/// Scores with their cap, and the slope of that in 32 bits.
fn capped<B: Backend>(
    scores: Tensor<B, 2>,
    cap: Option<f64>,
) -> (Tensor<B, 2>, Option<Tensor<B, 2>>) {
    let Some(cap) = cap else {
        return (scores, None);
    };
    let tanh = (scores / cap).tanh();
    let slope = tanh.clone().cast(DType::F32).powi_scalar(2).neg() + 1.0;
    (tanh * cap, Some(slope))
}

/// A number whose gradient with respect to `x` is `gradient`.
fn product<B: AutodiffBackend>(
    x: Tensor<B, 2>,
    gradient: Tensor<B::InnerBackend, 2>,
) -> Tensor<B, 1> {
    let gradient = Tensor::<B, 2>::from_inner(gradient).cast(x.dtype());
    (x * gradient).sum().cast(DType::F32)
}

fn sum<B: Backend>(
    so_far: Option<Tensor<B, 2>>,
    next: Option<Tensor<B, 2>>,
) -> Option<Tensor<B, 2>> {
    match (so_far, next) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

fn inner_table<B: AutodiffBackend>(table: &TokenTable<B>) -> TokenTable<B::InnerBackend> {
    TokenTable {
        base: table.base.clone().inner(),
        new: table.new.as_ref().map(|new| NewRows {
            ids: new.ids.clone(),
            rows: new.rows.clone().inner(),
        }),
    }
}
