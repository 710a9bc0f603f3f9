//! The decoder.

use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, Distribution, Tensor, TensorData};
use half::bf16;

use crate::error::Result;

use super::block::{Block, Pass, fresh_norm};
use super::config::{DecoderConfig, Norm};
use super::kernels::Kernels;
use super::noise::Noise;
use super::packing::Packing;
use super::projection::Projection;
use super::random::random;
use super::rope::Rope;
use super::tokens::{NewRows, TokenTable, indices};
use super::weights::Weights;

/// A decoder with its weights.
#[derive(Clone, Debug)]
pub struct Decoder<B: Backend> {
    config: DecoderConfig,
    /// Token rows the text is read with.
    pub embedding: TokenTable<B>,
    blocks: Vec<Block<B>>,
    norm: Tensor<B, 2>,
    /// Token rows the next token is scored with; none for a tied model, which scores with those it reads with.
    pub head: Option<TokenTable<B>>,
    ropes: Vec<Rope<B>>,
}

/// Tokens, sequence behind sequence.
#[derive(Clone, Copy, Debug)]
pub struct Sequences<'a> {
    /// Token ids.
    pub ids: &'a [u32],
    /// Where each sequence begins and ends.
    pub packing: &'a Packing,
}

/// The name of the embedding's module.
pub const EMBEDDING: &str = "model.embed_tokens";
/// The name of the output head's module.
pub const HEAD: &str = "lm_head";

/// Whether the tensor of this name is a vector: of a norm, or added. It is stored without the first dimension, and does not decay.
pub fn is_vector(name: &str) -> bool {
    name.ends_with("norm.weight") || name.ends_with(".bias")
}

/// Where the weights of a new decoder come from: the tensor of this name and shape.
pub(super) type Source<'a, B> = dyn FnMut(&str, [usize; 2], Role) -> Result<Tensor<B, 2>> + 'a;

/// What a tensor is, as far as its fresh value and its stored shape depend on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Role {
    Matrix,
    /// Stored without the first dimension, which is 1.
    Norm(Norm),
    /// As a norm.
    Bias,
}

impl<B: Kernels> Decoder<B> {
    /// Reads a decoder's weights onto a device, as numbers of type `dtype`, with angles for `positions` tokens.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::error::Error::Tensor) for a tensor that is missing, has another shape, or has no place here.
    pub fn load(
        config: &DecoderConfig,
        weights: &Weights,
        positions: usize,
        dtype: DType,
        device: &B::Device,
    ) -> Result<Decoder<B>> {
        let mut used = Vec::new();
        let decoder = Decoder::build(config, positions, device, &mut |name, shape, role| {
            let stored = match role {
                Role::Matrix => &shape[..],
                Role::Norm(_) | Role::Bias => &shape[1..],
            };
            let values = weights.values(name, stored)?;
            used.push(name.to_owned());
            let read =
                Tensor::<B, 2>::from_data(TensorData::new(values, shape), (device, DType::F32));
            Ok(read.cast(dtype))
        })?;
        let is_ignored = |name: &str| {
            // Old checkpoints carry the frequencies; tied ones sometimes a copy of the embedding.
            name.ends_with("rotary_emb.inv_freq") || (config.is_tied && name == "lm_head.weight")
        };
        let unused = weights
            .names()
            .into_iter()
            .find(|name| !used.iter().any(|known| known == name) && !is_ignored(name));
        match unused {
            None => Ok(decoder),
            Some(name) => Err(weights.tensor_error(name, "has no place in this model".to_owned())),
        }
    }

    /// A decoder with fresh weights: normal with the configuration's deviation, norms 1, biases 0. They are made on the device.
    pub fn fresh(
        config: &DecoderConfig,
        positions: usize,
        seed: u64,
        dtype: DType,
        device: &B::Device,
    ) -> Decoder<B> {
        let normal = Distribution::Normal(0.0, config.initializer_range);
        let built = Decoder::build(config, positions, device, &mut |name, shape, role| {
            let tensor = match role {
                Role::Matrix => random(shape, normal, seed, name, device),
                Role::Norm(norm) => Tensor::<B, 2>::full(shape, fresh_norm(norm), device),
                Role::Bias => Tensor::<B, 2>::zeros(shape, device),
            };
            Ok(tensor.cast(dtype))
        });
        built.expect("fresh weights cannot be missing")
    }

    fn build(
        config: &DecoderConfig,
        positions: usize,
        device: &B::Device,
        source: &mut Source<'_, B>,
    ) -> Result<Decoder<B>> {
        let d = config.hidden_size;
        let vocabulary = [config.vocab_size, d];
        let embedding = source("model.embed_tokens.weight", vocabulary, Role::Matrix)?;
        let mut blocks = Vec::with_capacity(config.n_layers());
        for layer in 0..config.n_layers() {
            blocks.push(Block::build(config, &mut |name, shape, role| {
                source(&format!("model.layers.{layer}.{name}"), shape, role)
            })?);
        }
        let norm = source("model.norm.weight", [1, d], Role::Norm(config.norm))?;
        let head = match config.is_tied {
            true => None,
            false => Some(source("lm_head.weight", vocabulary, Role::Matrix)?),
        };
        let ropes = config.ropes.iter();
        Ok(Decoder {
            embedding: TokenTable::new(embedding),
            blocks,
            norm,
            head: head.map(TokenTable::new),
            ropes: ropes
                .map(|rope| Rope::new(rope, config.head_dim, positions, device))
                .collect(),
            config: config.clone(),
        })
    }

    /// The state every token is scored from, `[t, hidden]`: the last block's, normalised.
    pub fn forward(&self, sequences: Sequences<'_>, noise: Option<Noise>) -> Tensor<B, 2> {
        let pass = self.pass(sequences, noise);
        let mut x = self.embeddings(sequences, noise);
        for (layer, block) in self.blocks.iter().enumerate() {
            x = block.feed(block.attend(x, layer, &pass), layer, &pass);
        }
        self.last_norm(x)
    }

    /// The states between the blocks as `transformers` returns them: the embeddings, the output of every block but the last,
    /// and that of the last after the final norm.
    pub fn hidden_states(&self, sequences: Sequences<'_>) -> Vec<Tensor<B, 2>> {
        let pass = self.pass(sequences, None);
        let mut states = vec![self.embeddings(sequences, None)];
        for (layer, block) in self.blocks.iter().enumerate() {
            let before = states[states.len() - 1].clone();
            states.push(block.feed(block.attend(before, layer, &pass), layer, &pass));
        }
        let last = states.pop().expect("the embeddings at least");
        states.push(self.last_norm(last));
        states
    }

    /// The embeddings of tokens, `[t, hidden]`, as the first block reads them.
    pub fn embeddings(&self, sequences: Sequences<'_>, noise: Option<Noise>) -> Tensor<B, 2> {
        let mut x = self.embedding.lookup(sequences.ids);
        let scale = self.config.embedding_scale;
        if scale != 1.0 {
            // As transformers: the factor is rounded to the type it multiplies.
            let rounded = match x.dtype() {
                DType::BF16 => bf16::from_f64(scale).to_f64(),
                _ => scale,
            };
            x = x * rounded;
        }
        match noise {
            Some(noise) => noise.on_embeddings(x, sequences.packing),
            None => x,
        }
    }

    pub(super) fn block(&self, layer: usize) -> &Block<B> {
        &self.blocks[layer]
    }

    pub(super) fn last_norm(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        B::rms_norm(x, self.norm.clone(), self.config.norm)
    }

    pub(super) fn pass<'a>(
        &'a self,
        sequences: Sequences<'a>,
        noise: Option<Noise>,
    ) -> Pass<'a, B> {
        let device = self.norm.device();
        let positions: Tensor<B, 1, burn::tensor::Int> =
            indices(sequences.packing.positions(), &device);
        let angles = self.ropes.iter().map(|rope| rope.at(&positions));
        Pass {
            config: &self.config,
            packing: sequences.packing,
            angles: angles.collect(),
            noise,
        }
    }

    /// Scores of the next token, `[n, vocabulary]`, from states `[n, hidden]`.
    pub fn logits(&self, states: Tensor<B, 2>) -> Tensor<B, 2> {
        let scores = self.scoring_table().scores(states);
        match self.config.final_softcap {
            None => scores,
            Some(cap) => (scores / cap).tanh() * cap,
        }
    }
}

impl<B: Backend> Decoder<B> {
    /// The shape of the model.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// The token rows the next token is scored with.
    pub fn scoring_table(&self) -> &TokenTable<B> {
        self.head.as_ref().unwrap_or(&self.embedding)
    }

    /// Tokens a sequence may have.
    pub fn n_positions(&self) -> usize {
        self.ropes[0].n_positions()
    }

    /// Every projection with the name of its module, in the order of the model.
    pub fn projections_mut(&mut self) -> impl Iterator<Item = (String, &mut Projection<B>)> {
        let blocks = self.blocks.iter_mut().enumerate();
        blocks.flat_map(|(layer, block)| {
            block
                .projections_mut()
                .map(|(module, projection)| (format!("model.layers.{layer}.{module}"), projection))
        })
    }

    /// Every tensor with its name, in the order of the model: Hugging Face's names for the base, PEFT's for what an adapter adds.
    pub fn tensors_mut(&mut self) -> Vec<(String, &mut Tensor<B, 2>)> {
        let mut tensors = Vec::new();
        table_tensors(EMBEDDING, &mut self.embedding, &mut tensors);
        for (layer, block) in self.blocks.iter_mut().enumerate() {
            for (name, tensor) in block.tensors_mut(&self.config) {
                tensors.push((format!("model.layers.{layer}.{name}"), tensor));
            }
        }
        tensors.push(("model.norm.weight".to_owned(), &mut self.norm));
        if let Some(head) = &mut self.head {
            table_tensors(HEAD, head, &mut tensors);
        }
        tensors
    }
}

fn table_tensors<'a, B: Backend>(
    module: &str,
    table: &'a mut TokenTable<B>,
    tensors: &mut Vec<(String, &'a mut Tensor<B, 2>)>,
) {
    tensors.push((format!("{module}.weight"), &mut table.base));
    if let Some(new) = &mut table.new {
        tensors.push((
            format!("{module}.token_adapter.trainable_tokens_delta"),
            &mut new.rows,
        ));
    }
}

impl<B: Backend> Decoder<B> {
    /// The same decoder with every tensor turned into one of another backend.
    pub fn map<C: Backend>(self, f: &impl Fn(Tensor<B, 2>) -> Tensor<C, 2>) -> Decoder<C> {
        let table = |table: TokenTable<B>| TokenTable {
            base: f(table.base),
            new: table.new.map(|new| NewRows {
                ids: new.ids,
                rows: f(new.rows),
            }),
        };
        let ropes = self.ropes.into_iter();
        Decoder {
            config: self.config,
            embedding: table(self.embedding),
            blocks: self.blocks.into_iter().map(|block| block.map(f)).collect(),
            norm: f(self.norm),
            head: self.head.map(table),
            ropes: ropes.map(|rope| rope.map(f)).collect(),
        }
    }
}

impl<B: AutodiffBackend> Decoder<B> {
    /// Has every weight trained, the rows of new tokens among the others.
    pub fn train_all(&mut self) {
        let merge = |table: &mut TokenTable<B>| *table = table.clone().merged();
        merge(&mut self.embedding);
        self.head.as_mut().map(merge);
        for (_, tensor) in self.tensors_mut() {
            *tensor = tensor.clone().detach().require_grad();
        }
    }

    /// The decoder without the record of what was computed, to look at rather than to train.
    pub fn inner(&self) -> Decoder<B::InnerBackend> {
        self.clone().map(&Tensor::inner)
    }

    /// The tensors that are trained, with their names.
    pub fn trained_mut(&mut self) -> Vec<(String, &mut Tensor<B, 2>)> {
        let mut tensors = self.tensors_mut();
        tensors.retain(|(_, tensor)| tensor.is_require_grad());
        tensors
    }
}
