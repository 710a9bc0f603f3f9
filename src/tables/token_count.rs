//! `token_count(text)`: how many tokens a text has for the tokenizer of this build.

use std::sync::Arc;

use arrow::array::{AsArray, Int64Array};
use arrow::datatypes::DataType;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
use datafusion::prelude::SessionContext;

use crate::tokenizer::TokenCounter;

/// Makes `token_count` known to a session.
pub fn register_token_count(session: &SessionContext, counter: Arc<TokenCounter>) {
    session.register_udf(create_udf(
        "token_count",
        vec![DataType::Utf8],
        DataType::Int64,
        Volatility::Immutable,
        Arc::new(move |arguments| {
            let texts = ColumnarValue::values_to_arrays(arguments)?;
            let mut counts = Vec::with_capacity(texts[0].len());
            for text in texts[0].as_string::<i32>() {
                let counted = text.map(|text| counter.count(text)).transpose();
                let counted =
                    counted.map_err(|error| DataFusionError::External(Box::new(error)))?;
                counts.push(counted.map(|n| n as i64));
            }
            Ok(ColumnarValue::Array(Arc::new(Int64Array::from(counts))))
        }),
    ));
}
