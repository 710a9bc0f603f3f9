//! A block: attention, then a feed-forward network, each normalised before, and added to what it read.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::error::Result;

use super::config::{DecoderConfig, Norm};
use super::decoder::{Role, Source};
use super::kernels::{AttentionKind, Dropout, Kernels};
use super::noise::Noise;
use super::packing::Packing;
use super::projection::{Input, Projection};

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

/// Inputs of projections in a block: those that read the same values share one dropout.
const SITES: u64 = 4;

/// A block with its weights.
#[derive(Clone, Debug)]
pub(super) struct Block<B: Backend> {
    q: Projection<B>,
    k: Projection<B>,
    v: Projection<B>,
    o: Projection<B>,
    gate: Projection<B>,
    up: Projection<B>,
    down: Projection<B>,
    before_attention: Tensor<B, 2>,
    after_attention: Option<Tensor<B, 2>>,
    before_mlp: Tensor<B, 2>,
    after_mlp: Option<Tensor<B, 2>>,
    q_norm: Option<Tensor<B, 2>>,
    k_norm: Option<Tensor<B, 2>>,
}

/// What all blocks of a forward pass are computed with.
pub(super) struct Pass<'a, B: Backend> {
    pub(super) config: &'a DecoderConfig,
    pub(super) packing: &'a Packing,
    /// Cosines and sines of every token's position, for each rotary embedding; `[t, head_dim/2]`.
    pub(super) angles: Vec<[Tensor<B, 2>; 2]>,
    pub(super) noise: Option<Noise>,
}

impl<B: Kernels> Pass<'_, B> {
    fn dropout(&self, layer: usize, site: u64) -> Option<Dropout> {
        self.noise
            .and_then(|noise| noise.dropout_at(layer as u64 * SITES + site))
    }

    fn norm(&self, x: Tensor<B, 2>, weight: &Tensor<B, 2>) -> Tensor<B, 2> {
        B::rms_norm(x, weight.clone(), self.config.norm)
    }

    fn norm_if(&self, x: Tensor<B, 2>, weight: Option<&Tensor<B, 2>>) -> Tensor<B, 2> {
        match weight {
            Some(weight) => self.norm(x, weight),
            None => x,
        }
    }
}

impl<B: Kernels> Block<B> {
    /// The first half: `x` `[t, d]` and what attention adds to it.
    pub(super) fn attend(&self, x: Tensor<B, 2>, layer: usize, pass: &Pass<'_, B>) -> Tensor<B, 2> {
        let normed = pass.norm(x.clone(), &self.before_attention);
        let input = Input::shared(normed, pass.dropout(layer, 0));
        let q = self.q.forward(&input); // [t, h·hd]
        let k = self.k.forward(&input); // [t, kv·hd]
        let v = self.v.forward(&input);
        let attended = self.attention(q, k, v, layer, pass); // [t, h·hd]
        let added = self
            .o
            .forward(&Input::new(attended, pass.dropout(layer, 1)));
        x + pass.norm_if(added, self.after_attention.as_ref())
    }

    /// The second half: `x` `[t, d]` and what the feed-forward network adds to it.
    pub(super) fn feed(&self, x: Tensor<B, 2>, layer: usize, pass: &Pass<'_, B>) -> Tensor<B, 2> {
        let normed = pass.norm(x.clone(), &self.before_mlp);
        let input = Input::shared(normed, pass.dropout(layer, 2));
        let gate = self.gate.forward(&input); // [t, intermediate]
        let up = self.up.forward(&input);
        let gated = B::gated(gate, up, pass.config.activation);
        let added = self
            .down
            .forward(&Input::new(gated, pass.dropout(layer, 3)));
        x + pass.norm_if(added, self.after_mlp.as_ref())
    }

    fn attention(
        &self,
        q: Tensor<B, 2>,
        k: Tensor<B, 2>,
        v: Tensor<B, 2>,
        layer: usize,
        pass: &Pass<'_, B>,
    ) -> Tensor<B, 2> {
        let config = pass.config;
        let [t, width] = q.dims();
        let hd = config.head_dim;
        let kind = config.layers[layer];
        let [cos, sin] = &pass.angles[kind.rope];
        let turned = |x: Tensor<B, 2>, heads, norm: Option<&Tensor<B, 2>>| {
            let x = match norm {
                Some(_) => pass.norm_if(x.reshape([t * heads, hd]), norm),
                None => x,
            };
            B::rotate(x.reshape([t, heads, hd]), cos.clone(), sin.clone())
        };
        let q = turned(q, config.n_heads, self.q_norm.as_ref());
        let k = turned(k, config.n_kv_heads, self.k_norm.as_ref());
        let v = v.reshape([t, config.n_kv_heads, hd]);
        let kind = AttentionKind {
            scale: config.query_scale,
            softcap: config.attention_softcap,
            window: kind.window,
        };
        B::packed_attention(q, k, v, pass.packing, kind).reshape([t, width])
    }
}

impl<B: Backend> Block<B> {
    /// A block whose tensors `source` gives by their names within it.
    pub(super) fn build(config: &DecoderConfig, source: &mut Source<'_, B>) -> Result<Block<B>> {
        let d = config.hidden_size;
        let of_heads = |heads: usize| heads * config.head_dim;
        let (queries, keys) = (of_heads(config.n_heads), of_heads(config.n_kv_heads));
        let wide = config.intermediate_size;
        let mut projection = |place: usize, rows, columns, has_bias| -> Result<Projection<B>> {
            let name = PROJECTIONS[place];
            let weight = source(&format!("{name}.weight"), [rows, columns], Role::Matrix)?;
            let bias = match has_bias {
                true => Some(source(&format!("{name}.bias"), [1, rows], Role::Bias)?),
                false => None,
            };
            Ok(Projection {
                weight,
                bias,
                adapter: None,
            })
        };
        let q = projection(0, queries, d, config.qkv_bias)?;
        let k = projection(1, keys, d, config.qkv_bias)?;
        let v = projection(2, keys, d, config.qkv_bias)?;
        let o = projection(3, d, queries, config.output_bias)?;
        let gate = projection(4, wide, d, config.mlp_bias)?;
        let up = projection(5, wide, d, config.mlp_bias)?;
        let down = projection(6, d, wide, config.mlp_bias)?;
        let role = Role::Norm(config.norm);
        let names = norm_names(config);
        let mut norm = |name: Option<&str>, width| -> Result<Option<Tensor<B, 2>>> {
            name.map(|name| source(&format!("{name}.weight"), [1, width], role))
                .transpose()
        };
        let always = "both families have it";
        Ok(Block {
            q,
            k,
            v,
            o,
            gate,
            up,
            down,
            before_attention: norm(names[0], d)?.expect(always),
            after_attention: norm(names[1], d)?,
            before_mlp: norm(names[2], d)?.expect(always),
            after_mlp: norm(names[3], d)?,
            q_norm: norm(names[4], config.head_dim)?,
            k_norm: norm(names[5], config.head_dim)?,
        })
    }

    /// Its projections with the names of their modules.
    pub(super) fn projections_mut(&mut self) -> [(&'static str, &mut Projection<B>); 7] {
        let Block {
            q,
            k,
            v,
            o,
            gate,
            up,
            down,
            ..
        } = self;
        let [n0, n1, n2, n3, n4, n5, n6] = PROJECTIONS;
        [
            (n0, q),
            (n1, k),
            (n2, v),
            (n3, o),
            (n4, gate),
            (n5, up),
            (n6, down),
        ]
    }

    /// Its tensors with their names within it.
    pub(super) fn tensors_mut(
        &mut self,
        config: &DecoderConfig,
    ) -> Vec<(String, &mut Tensor<B, 2>)> {
        let Block {
            q,
            k,
            v,
            o,
            gate,
            up,
            down,
            before_attention,
            after_attention,
            before_mlp,
            after_mlp,
            q_norm,
            k_norm,
        } = self;
        let mut tensors = Vec::new();
        for (module, projection) in PROJECTIONS.into_iter().zip([q, k, v, o, gate, up, down]) {
            for (name, tensor) in projection.tensors_mut() {
                tensors.push((format!("{module}.{name}"), tensor));
            }
        }
        let norms = [
            Some(before_attention),
            after_attention.as_mut(),
            Some(before_mlp),
            after_mlp.as_mut(),
            q_norm.as_mut(),
            k_norm.as_mut(),
        ];
        for (name, norm) in norm_names(config).into_iter().zip(norms) {
            if let (Some(name), Some(norm)) = (name, norm) {
                tensors.push((format!("{name}.weight"), norm));
            }
        }
        tensors
    }

    /// The same with every tensor turned into one of another backend.
    pub(super) fn map<C: Backend>(self, f: &impl Fn(Tensor<B, 2>) -> Tensor<C, 2>) -> Block<C> {
        Block {
            q: self.q.map(f),
            k: self.k.map(f),
            v: self.v.map(f),
            o: self.o.map(f),
            gate: self.gate.map(f),
            up: self.up.map(f),
            down: self.down.map(f),
            before_attention: f(self.before_attention),
            after_attention: self.after_attention.map(f),
            before_mlp: f(self.before_mlp),
            after_mlp: self.after_mlp.map(f),
            q_norm: self.q_norm.map(f),
            k_norm: self.k_norm.map(f),
        }
    }
}

/// Hugging Face's names of a block's norms: before and after the attention, before and after the feed-forward network, of queries and
/// of keys. `post_attention_layernorm` is the third where outputs are not normalised, and the second where they are.
fn norm_names(config: &DecoderConfig) -> [Option<&'static str>; 6] {
    let heads = match config.norms_heads {
        true => [Some("self_attn.q_norm"), Some("self_attn.k_norm")],
        false => [None; 2],
    };
    let rest = match config.norms_outputs {
        true => [
            Some("post_attention_layernorm"),
            Some("pre_feedforward_layernorm"),
            Some("post_feedforward_layernorm"),
        ],
        false => [None, Some("post_attention_layernorm"), None],
    };
    let [after_attention, before_mlp, after_mlp] = rest;
    let [q, k] = heads;
    let before_attention = Some("input_layernorm");
    [
        before_attention,
        after_attention,
        before_mlp,
        after_mlp,
        q,
        k,
    ]
}

/// The fresh value of a norm's weight.
pub(super) fn fresh_norm(norm: Norm) -> f64 {
    if norm.is_offset { 0.0 } else { 1.0 }
}
