//! The loss of a micro-batch and the gradients of what is trained, with as much kept between forward and backward pass as there
//! is memory for.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;

use crate::config::Recompute;

use super::decoder::{Decoder, Sequences};
use super::kernels::Kernels;
use super::loss::{Target, supervised_loss};
use super::noise::Noise;

/// Gradients by the names of their tensors.
#[derive(Clone, Debug)]
pub struct Gradients<B: AutodiffBackend>(BTreeMap<String, Tensor<B::InnerBackend, 2>>);

impl<B: AutodiffBackend> Default for Gradients<B> {
    fn default() -> Gradients<B> {
        Gradients(BTreeMap::new())
    }
}

impl<B: AutodiffBackend> Gradients<B> {
    /// Adds gradients of other samples.
    pub fn add(&mut self, others: Gradients<B>) {
        for (name, gradient) in others.0 {
            self.add_one(name, gradient);
        }
    }

    /// The gradient of a tensor; none where nothing depended on it.
    pub fn get(&self, name: &str) -> Option<&Tensor<B::InnerBackend, 2>> {
        self.0.get(name)
    }

    /// All of them.
    pub fn values(&self) -> impl Iterator<Item = &Tensor<B::InnerBackend, 2>> {
        self.0.values()
    }

    fn add_one(&mut self, name: String, gradient: Tensor<B::InnerBackend, 2>) {
        let sum = match self.0.remove(&name) {
            Some(so_far) => so_far + gradient,
            None => gradient,
        };
        self.0.insert(name, sum);
    }
}

/// What is kept of a part of the forward pass: what went in, and unless it is computed again, what came out with the record of how.
enum Part<B: AutodiffBackend> {
    Kept {
        input: Tensor<B, 2>,
        output: Tensor<B, 2>,
    },
    Again {
        input: Tensor<B::InnerBackend, 2>,
    },
}

/// Parts of a decoder that can be computed again.
#[derive(Clone, Copy)]
enum Half {
    Attention,
    Mlp,
    Both,
}

impl<B> Decoder<B>
where
    B: AutodiffBackend + Kernels,
    B::InnerBackend: Kernels,
{
    /// The negative log-likelihood of every target, in nats, and the gradients of their sum times `weight`.
    pub fn gradients(
        &mut self,
        sequences: Sequences<'_>,
        noise: Option<Noise>,
        targets: &[Target],
        weight: f64,
        recompute: Recompute,
    ) -> (Vec<f32>, Gradients<B>) {
        let mut gradients = Gradients::default();
        if recompute == Recompute::None {
            let states = self.forward(sequences, noise);
            let loss = supervised_loss(self, states, targets, weight);
            self.collect(&loss.surrogate.backward(), &mut gradients);
            return (loss.of_targets, gradients);
        }
        let embeddings = self.embeddings(sequences, noise);
        let (parts, last) = self.in_parts(embeddings.clone().inner(), sequences, noise, recompute);

        let last = Tensor::<B, 2>::from_inner(last).require_grad();
        let states = self.last_norm(last.clone());
        let loss = supervised_loss(self, states, targets, weight);
        let found = loss.surrogate.backward();
        let mut grad = last.grad(&found).expect("the loss depends on the states");
        self.collect(&found, &mut gradients);

        for (layer, half, part) in parts.into_iter().rev() {
            let (input, output) = match part {
                Part::Kept { input, output } => (input, output),
                Part::Again { input } => {
                    let input = Tensor::from_inner(input).require_grad();
                    let output = self.half(layer, half, input.clone(), sequences, noise);
                    (input, output)
                }
            };
            let found = through(output, grad);
            grad = input.grad(&found).expect("a block depends on its input");
            self.collect(&found, &mut gradients);
        }
        if embeddings.is_require_grad() || self.embedding.trains() {
            self.collect(&through(embeddings, grad), &mut gradients);
        }
        (loss.of_targets, gradients)
    }

    /// The forward pass through all blocks, and what is kept of it, in order.
    #[expect(
        clippy::type_complexity,
        reason = "three things of every part, used next door"
    )]
    fn in_parts(
        &self,
        mut x: Tensor<B::InnerBackend, 2>,
        sequences: Sequences<'_>,
        noise: Option<Noise>,
        recompute: Recompute,
    ) -> (Vec<(usize, Half, Part<B>)>, Tensor<B::InnerBackend, 2>) {
        let halves = match recompute {
            Recompute::Block => &[(Half::Both, true)][..],
            Recompute::None | Recompute::Attention => {
                &[(Half::Attention, true), (Half::Mlp, false)]
            }
        };
        let plain = self.inner();
        let mut parts = Vec::new();
        for layer in 0..self.config().n_layers() {
            for &(half, again) in halves {
                let part = if again {
                    let input = x.clone();
                    x = plain.half(layer, half, x, sequences, noise);
                    Part::Again { input }
                } else {
                    let input = Tensor::from_inner(x).require_grad();
                    let output = self.half(layer, half, input.clone(), sequences, noise);
                    x = output.clone().inner();
                    Part::Kept { input, output }
                };
                parts.push((layer, half, part));
            }
        }
        (parts, x)
    }

    fn collect(&mut self, found: &B::Gradients, gradients: &mut Gradients<B>) {
        for (name, tensor) in self.trained_mut() {
            if let Some(gradient) = tensor.grad(found) {
                gradients.add_one(name, gradient);
            }
        }
    }
}

impl<B: Kernels> Decoder<B> {
    fn half(
        &self,
        layer: usize,
        half: Half,
        x: Tensor<B, 2>,
        sequences: Sequences<'_>,
        noise: Option<Noise>,
    ) -> Tensor<B, 2> {
        let pass = self.pass(sequences, noise);
        let block = self.block(layer);
        match half {
            Half::Attention => block.attend(x, layer, &pass),
            Half::Mlp => block.feed(x, layer, &pass),
            Half::Both => block.feed(block.attend(x, layer, &pass), layer, &pass),
        }
    }
}

/// The gradients of what `output` was computed from, given its own.
fn through<B: AutodiffBackend>(
    output: Tensor<B, 2>,
    grad: Tensor<B::InnerBackend, 2>,
) -> B::Gradients {
    (output * Tensor::from_inner(grad)).sum().backward()
}
