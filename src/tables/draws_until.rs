//! `draws_until(ratio, n_tasks)`: diverse samples due after the first `n_tasks` task samples, in exact decimal arithmetic.

use std::sync::Arc;

use arrow::array::{AsArray, Int64Array};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

use crate::config::Ratio;

pub(super) fn function() -> ScalarUDF {
    of_ratio("draws_until", Ratio::draws)
}

/// A function of a ratio, written as a decimal number, and a count. Null where the ratio has no answer.
pub(super) fn of_ratio(name: &'static str, count: fn(Ratio, u64) -> Option<u64>) -> ScalarUDF {
    let arguments = vec![DataType::Utf8, DataType::Int64];
    create_udf(
        name,
        arguments,
        DataType::Int64,
        Volatility::Immutable,
        Arc::new(move |arguments| {
            let columns = ColumnarValue::values_to_arrays(arguments)?;
            let (ratios, counts) = (
                columns[0].as_string::<i32>(),
                columns[1].as_primitive::<Int64Type>(),
            );
            let mut parsed: Option<(&str, Ratio)> = None;
            let mut answers = Vec::with_capacity(counts.len());
            for (ratio, n) in ratios.iter().zip(counts) {
                let (Some(ratio), Some(n)) = (ratio, n) else {
                    answers.push(None);
                    continue;
                };
                // The ratio is the same for a whole column: it is parsed once.
                let exact = match parsed {
                    Some((text, exact)) if text == ratio => exact,
                    _ => ratio
                        .parse()
                        .map_err(|error| DataFusionError::Execution(format!("{name}: {error}")))?,
                };
                parsed = Some((ratio, exact));
                let answer = u64::try_from(n).ok().and_then(|n| count(exact, n));
                answers.push(answer.and_then(|answer| i64::try_from(answer).ok()));
            }
            Ok(ColumnarValue::Array(Arc::new(Int64Array::from(answers))))
        }),
    )
}
