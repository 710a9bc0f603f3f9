//! `spread(n, seed)`: places for 0, 1, 2, … such that numbers that follow each other stand far apart, and every stretch of them
//! lies evenly (multiples of the golden ratio: the three-distance theorem). The seed turns the circle.

use std::sync::Arc;

use arrow::array::{AsArray, UInt64Array};
use arrow::datatypes::{DataType, Int64Type, UInt64Type};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use xxhash_rust::xxh3::xxh3_64;

/// 2⁶⁴ divided by the golden ratio, made odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

pub(super) fn function() -> ScalarUDF {
    create_udf(
        "spread",
        vec![DataType::Int64, DataType::UInt64],
        DataType::UInt64,
        Volatility::Immutable,
        Arc::new(|arguments| {
            let columns = ColumnarValue::values_to_arrays(arguments)?;
            let (numbers, seeds) = (
                columns[0].as_primitive::<Int64Type>(),
                columns[1].as_primitive::<UInt64Type>(),
            );
            let places: UInt64Array = numbers
                .iter()
                .zip(seeds)
                .map(|(n, seed)| Some(spread(n? as u64, seed?)))
                .collect();
            Ok(ColumnarValue::Array(Arc::new(places)))
        }),
    )
}

fn spread(n: u64, seed: u64) -> u64 {
    n.wrapping_mul(GOLDEN)
        .wrapping_add(xxh3_64(&seed.to_le_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Of `n` places, those of any `k` numbers in a row leave no gap of more than a few times n/k.
        #[test]
        fn numbers_in_a_row_lie_evenly(n in 2_u64..2_000, k in 1_u64..200, first in 0_u64..2_000, seed in any::<u64>()) {
            let k = k.min(n);
            let first = first % (n - k + 1);
            let mut all: Vec<(u64, u64)> = (0..n).map(|number| (spread(number, seed), number)).collect();
            all.sort_unstable();
            let chosen: Vec<usize> = (0..all.len()).filter(|&place| (first..first + k).contains(&all[place].1)).collect();
            prop_assert_eq!(chosen.len() as u64, k, "no two numbers have one place");
            let gaps = chosen.windows(2).map(|pair| pair[1] - pair[0]);
            let round = chosen[0] + all.len() - chosen[chosen.len() - 1];
            let widest = gaps.chain([round]).max().expect("a gap") as f64;
            prop_assert!(widest <= 3.0 * n as f64 / k as f64 + 2.0, "{widest} of {n}/{k}");
        }
    }
}
