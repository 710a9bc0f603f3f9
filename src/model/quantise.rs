//! Frozen projections held in few bits, as QLoRA does (Dettmers et al. 2023), with the tensor library's symmetric block quantisation.

use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::quantization::{BlockSize, QuantLevel, QuantScheme, QuantValue};

use crate::config::QuantizeBase;
use crate::error::{Error, Result};

use super::decoder::Decoder;

/// Numbers that share a scale.
pub const NUMBERS_A_SCALE: usize = 32;

impl<B: AutodiffBackend> Decoder<B> {
    /// Holds the matrices of all projections in fewer bits from now on.
    ///
    /// # Errors
    /// [`Error::Setting`] for one whose rows are no whole number of blocks.
    pub fn quantise(&mut self, bits: QuantizeBase) -> Result<()> {
        let value = match bits {
            QuantizeBase::Q8 => QuantValue::Q8S,
            QuantizeBase::Q4 => QuantValue::Q4S,
        };
        let scheme = QuantScheme::default()
            .with_value(value)
            .with_level(QuantLevel::Block(BlockSize::new([NUMBERS_A_SCALE as u8])));
        for (module, projection) in self.projections_mut() {
            let [_, columns] = projection.weight.dims();
            if !columns.is_multiple_of(NUMBERS_A_SCALE) {
                return Err(Error::Setting {
                    key: "quantize-base",
                    problem: format!(
                        "rows of `{module}` have {columns} numbers, which are no whole blocks of {NUMBERS_A_SCALE}"
                    ),
                    hint: "leave it out for this model".to_owned(),
                });
            }
            let held = projection.weight.clone().inner().quantize_dynamic(&scheme);
            projection.weight = Tensor::from_inner(held);
        }
        Ok(())
    }
}
