//! `count_words(text)`: how many runs of characters stand between white space.

use std::sync::Arc;

use arrow::array::{AsArray, Int64Array};
use arrow::datatypes::DataType;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

pub(super) fn function() -> ScalarUDF {
    create_udf(
        "count_words",
        vec![DataType::Utf8],
        DataType::Int64,
        Volatility::Immutable,
        Arc::new(|arguments| {
            let columns = ColumnarValue::values_to_arrays(arguments)?;
            let texts = columns[0].as_string::<i32>();
            let counts: Int64Array = texts.iter().map(|text| text.map(count_words)).collect();
            Ok(ColumnarValue::Array(Arc::new(counts)))
        }),
    )
}

fn count_words(text: &str) -> i64 {
    text.split_whitespace().count() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_white_space_separates() {
        for (text, expected) in [
            ("", 0),
            (" \t\n", 0),
            ("one", 1),
            ("don't stop\u{a0}now\n", 3),
            ("1 + 1", 3),
        ] {
            assert_eq!(count_words(text), expected, "{text:?}");
        }
    }
}
