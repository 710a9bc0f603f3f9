//! A linear map with a trained branch of low rank beside it.

use std::cell::OnceCell;

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};

use super::kernels::{Branch, Dropout, Kernels};

/// A linear map, with a trained branch of low rank beside it: `x·Wᵀ + bias + scale·(x·Aᵀ)·Bᵀ`.
#[derive(Clone, Debug)]
pub struct Projection<B: Backend> {
    /// `[out, in]`, in floating point or quantised.
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
    /// `alpha / rank`, or with rsLoRA `alpha / sqrt(rank)`.
    pub scale: f64,
    /// With DoRA the length of every row of the adapted matrix, `[1, out]`, trained apart from its direction (Liu et al. 2024).
    pub magnitude: Option<Tensor<B, 2>>,
}

/// What projections read.
pub(super) struct Input<B: Backend> {
    values: Tensor<B, 2>,
    dropout: Option<Dropout>,
    /// The values after dropout, once one of several readers wanted them; none where there is only one.
    thin: Option<OnceCell<Tensor<B, 2>>>,
}

impl<B: Kernels> Input<B> {
    /// What one projection reads.
    pub(super) fn new(values: Tensor<B, 2>, dropout: Option<Dropout>) -> Input<B> {
        Input {
            values,
            dropout,
            thin: None,
        }
    }

    /// What several read: dropout is computed once for all of them.
    pub(super) fn shared(values: Tensor<B, 2>, dropout: Option<Dropout>) -> Input<B> {
        Input {
            values,
            dropout,
            thin: Some(OnceCell::new()),
        }
    }

    /// The values after dropout, where several read them. Without a gradient: that of the branches goes to the values.
    fn thin(&self) -> Option<Tensor<B, 2>> {
        let dropout = self.dropout?;
        let thin = self.thin.as_ref()?.get_or_init(|| {
            let values = self.values.clone().detach();
            B::dropout(values, dropout.probability, dropout.seed)
        });
        Some(thin.clone())
    }
}

impl<B: Kernels> Projection<B> {
    /// `x` is `[t, in]`, the result `[t, out]`; the branch reads `x` after dropout.
    pub(super) fn forward(&self, x: &Input<B>) -> Tensor<B, 2> {
        let y = match &self.adapter {
            None => {
                let weight = B::dequantised(&self.weight).cast(x.values.dtype());
                x.values.clone().matmul(weight.transpose())
            }
            Some(adapter) => match &adapter.magnitude {
                None => B::adapted(x.values.clone(), &self.weight, adapter.branch(x)),
                Some(magnitude) => self.with_magnitude(&x.values, adapter, magnitude, x.dropout),
            },
        };
        match &self.bias {
            None => y,
            Some(bias) => y + bias.clone(),
        }
    }

    /// DoRA as PEFT computes it: where there is dropout, the part of the base that the magnitude changes goes through it too.
    fn with_magnitude(
        &self,
        x: &Tensor<B, 2>,
        adapter: &Adapter<B>,
        magnitude: &Tensor<B, 2>,
        dropout: Option<Dropout>,
    ) -> Tensor<B, 2> {
        let dtype = x.dtype();
        let lengths = self
            .adapted_weight(adapter)
            .powi_scalar(2)
            .sum_dim(1)
            .sqrt();
        // No gradient goes through the lengths (Liu et al. 2024, §4.3).
        let factor = magnitude.clone() / lengths.detach().transpose();
        let factor = factor.cast(dtype);
        let thin = match dropout {
            None => x.clone(),
            Some(dropout) => B::dropout(x.clone(), dropout.probability, dropout.seed),
        };
        let weight = B::dequantised(&self.weight).cast(dtype).transpose();
        let [a, b] = [&adapter.a, &adapter.b].map(|matrix| matrix.clone().cast(dtype).transpose());
        let branch = (thin.clone().matmul(a) * adapter.scale).matmul(b);
        match dropout {
            None => (x.clone().matmul(weight) + branch) * factor,
            Some(_) => {
                let of_thin = thin.matmul(weight.clone());
                x.clone().matmul(weight) + of_thin * (factor.clone() - 1.0) + branch * factor
            }
        }
    }

    /// `W + scale·B·A` in 32 bits, without a gradient.
    fn adapted_weight(&self, adapter: &Adapter<B>) -> Tensor<B, 2> {
        let weight = B::dequantised(&self.weight).cast(DType::F32);
        let branch = adapter
            .b
            .clone()
            .detach()
            .matmul(adapter.a.clone().detach());
        weight + branch * adapter.scale
    }

    /// The length of every row of the adapted matrix, `[1, out]`: where DoRA starts.
    pub fn row_lengths(&self) -> Tensor<B, 2> {
        let weight = match &self.adapter {
            Some(adapter) => self.adapted_weight(adapter),
            None => B::dequantised(&self.weight).cast(DType::F32),
        };
        weight.powi_scalar(2).sum_dim(1).sqrt().transpose()
    }
}

impl<B: Kernels> Adapter<B> {
    fn branch(&self, x: &Input<B>) -> Branch<B> {
        Branch {
            a: self.a.clone(),
            b: self.b.clone(),
            scale: self.scale,
            dropout: x.dropout,
            thin: x.thin(),
        }
    }
}

impl<B: Backend> Projection<B> {
    /// Its tensors with their names behind that of its module: Hugging Face's for the base, PEFT's for what an adapter adds.
    pub(super) fn tensors_mut(&mut self) -> Vec<(&'static str, &mut Tensor<B, 2>)> {
        let mut tensors = vec![("weight", &mut self.weight)];
        if let Some(bias) = &mut self.bias {
            tensors.push(("bias", bias));
        }
        if let Some(adapter) = &mut self.adapter {
            tensors.push(("lora_A.weight", &mut adapter.a));
            tensors.push(("lora_B.weight", &mut adapter.b));
            if let Some(magnitude) = &mut adapter.magnitude {
                tensors.push(("lora_magnitude_vector", magnitude));
            }
        }
        tensors
    }

    /// The same with every tensor turned into one of another backend.
    pub(super) fn map<C: Backend>(
        self,
        f: &impl Fn(Tensor<B, 2>) -> Tensor<C, 2>,
    ) -> Projection<C> {
        Projection {
            weight: f(self.weight),
            bias: self.bias.map(f),
            adapter: self.adapter.map(|adapter| Adapter {
                a: f(adapter.a),
                b: f(adapter.b),
                scale: adapter.scale,
                magnitude: adapter.magnitude.map(f),
            }),
        }
    }
}
