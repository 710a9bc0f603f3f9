//! The Llama decoder.

use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, Distribution, Tensor, TensorData};

use crate::error::Result;

use super::config::DecoderConfig;
use super::kernels::Kernels;
use super::random::random;
use super::rope::Rope;
use super::tokens::{NewRows, TokenTable};
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
    rope: Rope<B>,
}

#[derive(Clone, Debug)]
struct Block<B: Backend> {
    attention_norm: Tensor<B, 2>,
    q: Projection<B>,
    k: Projection<B>,
    v: Projection<B>,
    o: Projection<B>,
    mlp_norm: Tensor<B, 2>,
    gate: Projection<B>,
    up: Projection<B>,
    down: Projection<B>,
}

/// A linear map, with a trained branch of low rank beside it: `x·Wᵀ + bias + scale·(x·Aᵀ)·Bᵀ`.
#[derive(Clone, Debug)]
pub struct Projection<B: Backend> {
    /// `[out, in]`
    pub weight: Tensor<B, 2>,
    /// `[1, out]`
    pub bias: Option<Tensor<B, 2>>,
    /// The branch (Hu et al. 2021).
    pub adapter: Option<Adapter<B>>,
}

/// A branch of low rank, in 32 bits.
#[derive(Clone, Debug)]
pub struct Adapter<B: Backend> {
    /// `[rank, in]`
    pub a: Tensor<B, 2>,
    /// `[out, rank]`
    pub b: Tensor<B, 2>,
    /// `alpha / rank`
    pub scale: f64,
}

/// Sequences of one length, padded behind their ends.
#[derive(Clone, Copy, Debug)]
pub struct Sequences<'a> {
    /// Token ids, sequence after sequence.
    pub ids: &'a [u32],
    /// Tokens in each.
    pub seq_len: usize,
}

/// Dropout before the adapters: a function of its key and of the place in the model, so that nothing has to be remembered.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// The probability that a value is dropped.
    pub probability: f64,
    /// Differs for every micro-batch of a run.
    pub key: u64,
}

impl Dropout {
    /// `x` with values dropped and the others scaled up; a draw of its own for every `site`.
    fn apply<B: Kernels>(self, x: Tensor<B, 2>, site: u64) -> Tensor<B, 2> {
        let mut hasher = blake3::Hasher::new_derive_key("delia dropout mask v1");
        hasher
            .update(&self.key.to_le_bytes())
            .update(&site.to_le_bytes());
        let hash = hasher.finalize();
        let seed = hash.as_bytes().first_chunk().expect("32 bytes");
        B::dropout(x, self.probability, u64::from_le_bytes(*seed))
    }
}

/// Where a projection stands; names are Hugging Face's.
pub const PROJECTIONS: [&str; 7] = [
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
];

/// The name of the embedding's module.
pub const EMBEDDING: &str = "model.embed_tokens";
/// The name of the output head's module.
pub const HEAD: &str = "lm_head";

/// Where the weights of a new decoder come from: the tensor of this name and shape.
type Source<'a, B> = dyn FnMut(&str, [usize; 2], Role) -> Result<Tensor<B, 2>> + 'a;

/// What a tensor is, as far as its fresh value and its stored shape depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Matrix,
    /// Stored without the first dimension, which is 1.
    Norm,
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
                Role::Norm | Role::Bias => &shape[1..],
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
                Role::Norm => Tensor::<B, 2>::ones(shape, device),
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
        let of_head = |heads: usize| heads * config.head_dim;
        let (queries, keys) = (of_head(config.n_heads), of_head(config.n_kv_heads));
        let vocabulary = [config.vocab_size, d];
        let embedding = source("model.embed_tokens.weight", vocabulary, Role::Matrix)?;
        let mut blocks = Vec::with_capacity(config.n_layers);
        for layer in 0..config.n_layers {
            let mut tensor = |name: &str, shape, role| {
                source(&format!("model.layers.{layer}.{name}"), shape, role)
            };
            let mut projection = |name: &str, rows, columns, has_bias| -> Result<Projection<B>> {
                let weight = tensor(&format!("{name}.weight"), [rows, columns], Role::Matrix)?;
                let bias = if has_bias {
                    Some(tensor(&format!("{name}.bias"), [1, rows], Role::Bias)?)
                } else {
                    None
                };
                Ok(Projection {
                    weight,
                    bias,
                    adapter: None,
                })
            };
            let wide = config.intermediate_size;
            let [q, k, v, o] = [(0, queries, d), (1, keys, d), (2, keys, d), (3, d, queries)].map(
                |(place, rows, columns)| {
                    projection(PROJECTIONS[place], rows, columns, config.attention_bias)
                },
            );
            let [gate, up, down] =
                [(4, wide, d), (5, wide, d), (6, d, wide)].map(|(place, rows, columns)| {
                    projection(PROJECTIONS[place], rows, columns, config.mlp_bias)
                });
            blocks.push(Block {
                q: q?,
                k: k?,
                v: v?,
                o: o?,
                gate: gate?,
                up: up?,
                down: down?,
                attention_norm: tensor("input_layernorm.weight", [1, d], Role::Norm)?,
                mlp_norm: tensor("post_attention_layernorm.weight", [1, d], Role::Norm)?,
            });
        }
        let norm = source("model.norm.weight", [1, d], Role::Norm)?;
        let head = if config.is_tied {
            None
        } else {
            Some(TokenTable::new(source(
                "lm_head.weight",
                vocabulary,
                Role::Matrix,
            )?))
        };
        Ok(Decoder {
            config: config.clone(),
            embedding: TokenTable::new(embedding),
            blocks,
            norm,
            head,
            rope: Rope::new(config, positions, device),
        })
    }

    /// The state every token is scored from, `[tokens, hidden]`: the last block's, normalised.
    pub fn forward(&self, sequences: Sequences<'_>, dropout: Option<Dropout>) -> Tensor<B, 2> {
        let mut x = self.embedding.lookup(sequences.ids);
        for (layer, block) in (0..).zip(&self.blocks) {
            x = self.block(block, x, sequences, dropout, layer);
        }
        B::rms_norm(x, self.norm.clone(), self.config.norm_eps)
    }

    /// The states between the blocks as `transformers` returns them: the embeddings, the output of every block but the last,
    /// and that of the last after the final norm.
    pub fn hidden_states(&self, sequences: Sequences<'_>) -> Vec<Tensor<B, 2>> {
        let mut states = vec![self.embedding.lookup(sequences.ids)];
        for (layer, block) in (0..).zip(&self.blocks) {
            let before = states[states.len() - 1].clone();
            states.push(self.block(block, before, sequences, None, layer));
        }
        let last = states.pop().expect("the embeddings at least");
        states.push(B::rms_norm(last, self.norm.clone(), self.config.norm_eps));
        states
    }

    /// Scores of the next token, `[n, vocabulary]`, from states `[n, hidden]`.
    pub fn logits(&self, states: Tensor<B, 2>) -> Tensor<B, 2> {
        self.scoring_table().scores(states)
    }

    fn block(
        &self,
        block: &Block<B>,
        x: Tensor<B, 2>, // [tokens, d]
        sequences: Sequences<'_>,
        dropout: Option<Dropout>,
        layer: u64,
    ) -> Tensor<B, 2> {
        let eps = self.config.norm_eps;
        let mut sites = layer * 4..;
        // The projections that read the same values share the dropped ones.
        let mut thinned = |x: &Tensor<B, 2>| {
            let site = sites.next().expect("an endless range");
            dropout.map_or_else(|| x.clone(), |dropout| dropout.apply(x.clone(), site))
        };

        let normed = B::rms_norm(x.clone(), block.attention_norm.clone(), eps);
        let thin = thinned(&normed);
        let q = block.q.forward(&normed, &thin); // [tokens, h·hd]
        let k = block.k.forward(&normed, &thin); // [tokens, kv·hd]
        let v = block.v.forward(&normed, &thin);
        let attended = self.attend(q, k, v, sequences.seq_len); // [tokens, h·hd]
        let thin = thinned(&attended);
        let x = x + block.o.forward(&attended, &thin);

        let normed = B::rms_norm(x.clone(), block.mlp_norm.clone(), eps);
        let thin = thinned(&normed);
        let gate = block.gate.forward(&normed, &thin); // [tokens, intermediate]
        let up = block.up.forward(&normed, &thin);
        let gated = B::swiglu(gate, up);
        let thin = thinned(&gated);
        x + block.down.forward(&gated, &thin)
    }

    fn attend(
        &self,
        q: Tensor<B, 2>,
        k: Tensor<B, 2>,
        v: Tensor<B, 2>,
        seq_len: usize,
    ) -> Tensor<B, 2> {
        let [tokens, width] = q.dims();
        let (n, hd) = (tokens / seq_len, self.config.head_dim);
        let by_head = |x: Tensor<B, 2>, heads| x.reshape([n, seq_len, heads, hd]);
        let cos = self.rope.cos.clone().narrow(0, 0, seq_len);
        let sin = self.rope.sin.clone().narrow(0, 0, seq_len);
        let q = B::rotate(by_head(q, self.config.n_heads), cos.clone(), sin.clone());
        let k = B::rotate(by_head(k, self.config.n_kv_heads), cos, sin);
        let v = by_head(v, self.config.n_kv_heads);
        B::causal_attention(q, k, v).reshape([tokens, width])
    }
}

impl<B: Backend> Projection<B> {
    /// `x` and `thin` are `[tokens, in]`; the adapter reads `thin`, which is `x` after dropout.
    fn forward(&self, x: &Tensor<B, 2>, thin: &Tensor<B, 2>) -> Tensor<B, 2> {
        let mut y = x.clone().matmul(self.weight.clone().transpose());
        if let Some(bias) = &self.bias {
            y = y + bias.clone();
        }
        let Some(adapter) = &self.adapter else {
            return y;
        };
        let dtype = y.dtype();
        let a = adapter.a.clone().cast(dtype).transpose();
        let b = adapter.b.clone().cast(dtype).transpose();
        let inner = thin.clone().matmul(a) * adapter.scale; // [tokens, rank]
        y + inner.matmul(b)
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
        self.rope.cos.dims()[0]
    }

    /// Every projection with the name of its module, in the order of the model.
    pub fn projections_mut(&mut self) -> impl Iterator<Item = (String, &mut Projection<B>)> {
        self.blocks
            .iter_mut()
            .enumerate()
            .flat_map(|(layer, block)| {
                let Block {
                    q,
                    k,
                    v,
                    o,
                    gate,
                    up,
                    down,
                    ..
                } = block;
                let name = move |module| format!("model.layers.{layer}.{module}");
                PROJECTIONS
                    .map(name)
                    .into_iter()
                    .zip([q, k, v, o, gate, up, down])
            })
    }

    /// Every tensor with its name, in the order of the model: Hugging Face's names for the base, PEFT's for what an adapter adds.
    pub fn tensors_mut(&mut self) -> Vec<(String, &mut Tensor<B, 2>)> {
        let mut tensors = Vec::new();
        table_tensors(EMBEDDING, &mut self.embedding, &mut tensors);
        for (layer, block) in self.blocks.iter_mut().enumerate() {
            let Block {
                attention_norm,
                q,
                k,
                v,
                o,
                mlp_norm,
                gate,
                up,
                down,
            } = block;
            for (module, projection) in PROJECTIONS.into_iter().zip([q, k, v, o, gate, up, down]) {
                let module = format!("model.layers.{layer}.{module}");
                tensors.push((format!("{module}.weight"), &mut projection.weight));
                if let Some(bias) = &mut projection.bias {
                    tensors.push((format!("{module}.bias"), bias));
                }
                if let Some(adapter) = &mut projection.adapter {
                    tensors.push((format!("{module}.lora_A.weight"), &mut adapter.a));
                    tensors.push((format!("{module}.lora_B.weight"), &mut adapter.b));
                }
            }
            let norms = [
                ("input_layernorm", attention_norm),
                ("post_attention_layernorm", mlp_norm),
            ];
            for (module, norm) in norms {
                tensors.push((format!("model.layers.{layer}.{module}.weight"), norm));
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
        let projection = |projection: Projection<B>| Projection {
            weight: f(projection.weight),
            bias: projection.bias.map(f),
            adapter: projection.adapter.map(|adapter| Adapter {
                a: f(adapter.a),
                b: f(adapter.b),
                scale: adapter.scale,
            }),
        };
        let block = |block: Block<B>| Block {
            attention_norm: f(block.attention_norm),
            q: projection(block.q),
            k: projection(block.k),
            v: projection(block.v),
            o: projection(block.o),
            mlp_norm: f(block.mlp_norm),
            gate: projection(block.gate),
            up: projection(block.up),
            down: projection(block.down),
        };
        Decoder {
            config: self.config,
            embedding: table(self.embedding),
            blocks: self.blocks.into_iter().map(block).collect(),
            norm: f(self.norm),
            head: self.head.map(table),
            rope: Rope {
                cos: f(self.rope.cos),
                sin: f(self.rope.sin),
            },
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
