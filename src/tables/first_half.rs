//! `first_half(id)`: the first 8 of an id's 16 bytes as a number, which is grouped faster than the id.

use std::sync::Arc;

use arrow::array::{AsArray, UInt64Array};
use arrow::datatypes::DataType;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

use crate::sample::sample_id_type;

pub(super) fn function() -> ScalarUDF {
    create_udf(
        "first_half",
        vec![sample_id_type()],
        DataType::UInt64,
        Volatility::Immutable,
        Arc::new(|arguments| {
            let columns = ColumnarValue::values_to_arrays(arguments)?;
            let ids = columns[0].as_fixed_size_binary();
            let halves: UInt64Array = ids.iter().map(|id| id.and_then(first_half)).collect();
            Ok(ColumnarValue::Array(Arc::new(halves)))
        }),
    )
}

/// Little-endian, like every number made of a hash here.
fn first_half(id: &[u8]) -> Option<u64> {
    id.first_chunk().map(|half| u64::from_le_bytes(*half))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_half_does_not_count() {
        let mut id = [0; 16];
        id[0] = 7;
        assert_eq!(first_half(&id), Some(7));
        id[15] = 1;
        assert_eq!(first_half(&id), Some(7));
        id[7] = 1;
        assert_eq!(first_half(&id), Some(7 + (1 << 56)));
    }
}
