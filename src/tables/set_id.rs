//! `set_id(set)`: 16 bytes that are equal for equal sets; 128-bit xxHash of their members.

use std::sync::Arc;

use arrow::array::{Array, FixedSizeBinaryBuilder};
use arrow::datatypes::DataType;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use xxhash_rust::xxh3::Xxh3;

use super::shingles::{set_type, slices};

/// Bytes of an id.
const BYTES: i32 = 16;

pub(super) fn function() -> ScalarUDF {
    create_udf(
        "set_id",
        vec![set_type()],
        DataType::FixedSizeBinary(BYTES),
        Volatility::Immutable,
        Arc::new(|arguments| {
            let sets = arguments[0].to_array(1)?;
            let mut ids = FixedSizeBinaryBuilder::with_capacity(sets.len(), BYTES);
            let mut hasher = Xxh3::new();
            for row in 0..sets.len() {
                let Some(set) = slices(&sets, row) else {
                    ids.append_null();
                    continue;
                };
                hasher.reset();
                for member in set {
                    hasher.update(&member.to_le_bytes());
                }
                ids.append_value(hasher.digest128().to_le_bytes())?;
            }
            Ok(ColumnarValue::Array(Arc::new(ids.finish())))
        }),
    )
}
