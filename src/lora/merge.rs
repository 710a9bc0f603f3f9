//! What an adapter on disk makes of its base on disk, tensor by tensor and block of rows by block of rows: neither is ever
//! whole in memory.

use std::collections::BTreeMap;
use std::io::{self, Write};

use rayon::prelude::*;

use crate::base_model::BaseModel;
use crate::error::Result;
use crate::model::numbers::{decode, encode};
use crate::model::save::NewTensor;
use crate::model::{EMBEDDING, HEAD, Weights};

use super::config::{AdapterConfig, TokenIds};
use super::{PREFIX, TOKEN_ROWS};

/// Numbers of a matrix that are in memory at a time, in 32 bits: 4 MiB.
const BLOCK: usize = 1 << 20;

/// An adapter beside its base, both on disk.
#[derive(Debug)]
pub struct Merge {
    base: Weights,
    adapter: Weights,
    config: AdapterConfig,
    /// The rows of new tokens by the tensor of the base they belong to.
    rows: BTreeMap<String, NewRows>,
    /// Whether a head in the base's files is only a copy of its embedding.
    is_tied: bool,
}

/// Rows of new tokens by their ids.
type NewRows = BTreeMap<u32, Vec<f32>>;

/// The adapter of one projection.
#[derive(Debug)]
struct Branch {
    rank: usize,
    columns: usize,
    /// `[rank, columns]`
    a: Vec<f32>,
    /// `[rows, rank]`
    b: Vec<f32>,
    scale: f32,
    /// With DoRA the length of every row.
    magnitude: Option<Vec<f32>>,
}

impl Merge {
    /// Opens the adapter in a PEFT folder beside its base.
    ///
    /// # Errors
    /// When the folder is no LoRA adapter of this base.
    pub fn open(base: &BaseModel, folder: &BaseModel, is_tied: bool) -> Result<Merge> {
        let merge = Merge {
            base: Weights::open(base)?,
            adapter: Weights::of_adapter(folder)?,
            config: AdapterConfig::read(folder)?,
            rows: BTreeMap::new(),
            is_tied,
        };
        let ids = TokenIds::read(folder)?;
        for name in merge.adapter.names() {
            let module = name.strip_prefix(PREFIX).and_then(module_of);
            if module.is_none_or(|module| !merge.base.has(&format!("{module}.weight"))) {
                let problem = "has no place beside this model".to_owned();
                return Err(merge.adapter.tensor_error(name, problem));
            }
        }
        let rows = [EMBEDDING, HEAD].into_iter().filter_map(|module| {
            let rows = merge.read_rows(module, &ids).transpose()?;
            Some(rows.map(|rows| (format!("{module}.weight"), rows)))
        });
        let rows = rows.collect::<Result<_>>()?;
        Ok(Merge { rows, ..merge })
    }

    /// The weights of the base.
    pub fn base(&self) -> &Weights {
        &self.base
    }

    /// Whether a tensor has rows of new tokens.
    pub fn has_new_rows(&self, name: &str) -> bool {
        self.rows.contains_key(name)
    }

    /// Whether a tensor of the base is nothing of its own: the head of a model whose head is its embedding.
    pub fn is_copy(&self, name: &str) -> bool {
        self.is_tied && name.strip_suffix(".weight") == Some(HEAD)
    }

    /// Rows of the vocabulary, those of new tokens included.
    pub fn vocab_size(&self) -> Option<usize> {
        let embedding = self.new_tensor(&format!("{EMBEDDING}.weight"))?;
        embedding.shape.first().copied()
    }

    /// What a tensor of the base is written as.
    pub fn new_tensor(&self, name: &str) -> Option<NewTensor> {
        let stored = self.base.stored(name)?;
        let mut shape = stored.shape.to_vec();
        if let Some(rows) = self.rows.get(name) {
            let n_rows = rows.keys().last().map_or(0, |&id| id as usize + 1);
            shape[0] = shape[0].max(n_rows);
        }
        Some(NewTensor {
            name: name.to_owned(),
            dtype: stored.dtype,
            shape,
        })
    }

    /// Writes a tensor of the base with the rows of new tokens.
    ///
    /// # Errors
    /// When it cannot be written.
    ///
    /// # Panics
    /// Where the base has no such tensor.
    pub fn write_base(&self, name: &str, out: &mut dyn Write) -> io::Result<()> {
        let stored = self.base.stored(name).expect("one of its names");
        let Some(rows) = self.rows.get(name) else {
            return out.write_all(stored.bytes);
        };
        let row_bytes = stored.bytes.len() / stored.shape[0];
        let mut written = 0;
        for (&id, row) in rows {
            let row = encode(stored.dtype, row).ok_or_else(|| self.no_numbers(name))?;
            // The rows up to this one as they are; what it replaces is left out.
            let end = (id as usize * row_bytes).min(stored.bytes.len());
            out.write_all(&stored.bytes[written..end])?;
            out.write_all(&row)?;
            written = (end + row_bytes).min(stored.bytes.len());
        }
        out.write_all(&stored.bytes[written..])
    }

    /// Writes a tensor of the base with the rows of new tokens and with what its adapter adds, computed in 32 bits and rounded
    /// once to the type the base has.
    ///
    /// # Errors
    /// When it cannot be written, or an adapter does not fit it.
    ///
    /// # Panics
    /// Where the base has no such tensor.
    pub fn write_merged(&self, name: &str, out: &mut dyn Write) -> io::Result<()> {
        let branch = name.strip_suffix(".weight");
        let branch = branch.map(|module| self.branch(module)).transpose();
        let Some(branch) = branch.map_err(io::Error::other)?.flatten() else {
            return self.write_base(name, out);
        };
        let stored = self.base.stored(name).expect("one of its names");
        let rows_at_once = (BLOCK / branch.columns).max(1);
        let block_bytes = rows_at_once * branch.columns * stored.dtype.bitsize() / 8;
        for (nth, block) in stored.bytes.chunks(block_bytes).enumerate() {
            let no_numbers = || self.no_numbers(name);
            let mut rows = decode(stored.dtype, block).ok_or_else(no_numbers)?;
            branch.add_to(&mut rows, nth * rows_at_once);
            out.write_all(&encode(stored.dtype, &rows).ok_or_else(no_numbers)?)?;
        }
        Ok(())
    }

    /// The tensors of the adapter that are no rows of tokens.
    pub fn plain_adapter(&self) -> Vec<NewTensor> {
        let names = self.adapter.names().into_iter();
        let plain = names.filter(|name| !name.ends_with(TOKEN_ROWS));
        let tensors = plain.filter_map(|name| {
            let stored = self.adapter.stored(name)?;
            Some(NewTensor {
                name: name.to_owned(),
                dtype: stored.dtype,
                shape: stored.shape.to_vec(),
            })
        });
        tensors.collect()
    }

    /// Writes a tensor of the adapter as it is.
    ///
    /// # Errors
    /// When it cannot be written.
    ///
    /// # Panics
    /// Where the adapter has no such tensor.
    pub fn write_adapter(&self, name: &str, out: &mut dyn Write) -> io::Result<()> {
        let stored = self.adapter.stored(name).expect("one of its names");
        out.write_all(stored.bytes)
    }

    fn read_rows(&self, module: &str, ids: &TokenIds) -> Result<Option<NewRows>> {
        let name = format!("{PREFIX}{module}.token_adapter.{TOKEN_ROWS}");
        if !self.adapter.has(&name) {
            return Ok(None);
        }
        let table = format!("{module}.weight");
        let [_, columns] = self.matrix_shape(&table)?;
        let ids = ids.of(module);
        let values = self.adapter.values(&name, &[ids.len(), columns])?;
        let rows = ids.iter().zip(values.chunks(columns));
        Ok(Some(rows.map(|(&id, row)| (id, row.to_vec())).collect()))
    }

    /// The adapter of a module, where it has one.
    fn branch(&self, module: &str) -> Result<Option<Branch>> {
        let named = |part: &str| format!("{PREFIX}{module}.{part}");
        if !self.adapter.has(&named("lora_A.weight")) {
            return Ok(None);
        }
        let [rows, columns] = self.matrix_shape(&format!("{module}.weight"))?;
        let values = |part: &str, shape: &[usize]| self.adapter.values(&named(part), shape);
        let rank = self.config.rank;
        let magnitude = self.config.use_dora;
        let magnitude = magnitude.then(|| values("lora_magnitude_vector", &[rows]));
        Ok(Some(Branch {
            rank,
            columns,
            a: values("lora_A.weight", &[rank, columns])?,
            b: values("lora_B.weight", &[rows, rank])?,
            scale: self.config.scale() as f32,
            magnitude: magnitude.transpose()?,
        }))
    }

    fn matrix_shape(&self, name: &str) -> Result<[usize; 2]> {
        let shape = self.base.stored(name).map(|stored| stored.shape);
        shape
            .and_then(|shape| shape.try_into().ok())
            .ok_or_else(|| {
                let problem = "is no matrix, and the adapter has one for it".to_owned();
                self.base.tensor_error(name, problem)
            })
    }

    fn no_numbers(&self, name: &str) -> io::Error {
        let problem = "holds no F32, BF16 or F16".to_owned();
        io::Error::other(self.base.tensor_error(name, problem))
    }
}

/// The module a tensor of an adapter belongs to.
fn module_of(name: &str) -> Option<&str> {
    let parts = [
        ".lora_A.weight",
        ".lora_B.weight",
        ".lora_magnitude_vector",
        ".token_adapter.trainable_tokens_delta",
    ];
    parts.into_iter().find_map(|part| name.strip_suffix(part))
}

impl Branch {
    /// Adds the branch to whole rows of the matrix, of which the first is the matrix's row `first`: `W + scale·B·A`, with DoRA
    /// scaled to its length (Liu et al. 2024).
    fn add_to(&self, rows: &mut [f32], first: usize) {
        let rows = rows.par_chunks_exact_mut(self.columns).enumerate();
        rows.for_each_init(
            || vec![0.0; self.columns],
            |sum, (nth, row)| {
                let row_idx = first + nth;
                sum.fill(0.0);
                let b = &self.b[row_idx * self.rank..][..self.rank];
                for (a, &b) in self.a.chunks_exact(self.columns).zip(b) {
                    for (sum, a) in sum.iter_mut().zip(a) {
                        *sum += b * a;
                    }
                }
                for (weight, sum) in row.iter_mut().zip(sum) {
                    *weight += self.scale * *sum;
                }
                if let Some(magnitude) = &self.magnitude {
                    let squares = row.iter().map(|&weight| f64::from(weight).powi(2));
                    let factor = f64::from(magnitude[row_idx]) / squares.sum::<f64>().sqrt();
                    for weight in row {
                        *weight *= factor as f32;
                    }
                }
            },
        );
    }
}
