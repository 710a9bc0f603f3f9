//! `is_blank(text)`: whether there is nothing to read, whatever kind of white space it is.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray};
use arrow::datatypes::DataType;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

pub(super) fn function() -> ScalarUDF {
    predicate("is_blank", is_blank)
}

/// A function of one text that is true or false, and null for null.
pub(super) fn predicate(name: &str, holds: fn(&str) -> bool) -> ScalarUDF {
    create_udf(
        name,
        vec![DataType::Utf8],
        DataType::Boolean,
        Volatility::Immutable,
        Arc::new(move |arguments| {
            let columns = ColumnarValue::values_to_arrays(arguments)?;
            let answers: BooleanArray = columns[0]
                .as_string::<i32>()
                .iter()
                .map(|text| text.map(holds))
                .collect();
            Ok(ColumnarValue::Array(Arc::new(answers)))
        }),
    )
}

pub(crate) fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_of_any_kind_is_blank() {
        for text in ["", " ", "\t\r\n", "\u{a0}\u{2003}"] {
            assert!(is_blank(text), "{text:?}");
        }
        assert!(!is_blank(" 0 "));
    }
}
