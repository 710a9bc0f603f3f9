//! `sample_id(instruction, input, output)`: the identity of a sample, 16 bytes.

use std::sync::Arc;

use arrow::array::{Array, AsArray, FixedSizeBinaryBuilder};
use arrow::datatypes::DataType;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

use crate::sample::{SAMPLE_ID_BYTES, sample_id, sample_id_type};

pub(super) fn function() -> ScalarUDF {
    let texts = vec![DataType::Utf8; 3];
    create_udf(
        "sample_id",
        texts,
        sample_id_type(),
        Volatility::Immutable,
        Arc::new(|arguments| {
            let columns = ColumnarValue::values_to_arrays(arguments)?;
            let [instruction, input, output] = [0, 1, 2].map(|nth| columns[nth].as_string::<i32>());
            let mut ids =
                FixedSizeBinaryBuilder::with_capacity(instruction.len(), SAMPLE_ID_BYTES as i32);
            for row in 0..instruction.len() {
                if instruction.is_null(row) || input.is_null(row) || output.is_null(row) {
                    ids.append_null();
                } else {
                    ids.append_value(sample_id(
                        instruction.value(row),
                        input.value(row),
                        output.value(row),
                    ))?;
                }
            }
            Ok(ColumnarValue::Array(Arc::new(ids.finish())))
        }),
    )
}
