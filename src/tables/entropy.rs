//! `entropy(n)`: an aggregate over counts, the entropy (Shannon 1948) in bits of drawing one of what they count.
//!
//! Two to the power of it is how many equally frequent kinds would be as mixed. With `N` the sum of all counts it is
//! log₂ N − Σ n·log₂ n / N, and the terms are added as whole numbers: the result does not depend on their order.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{Accumulator, AggregateUDF, Volatility, create_udaf};

/// What a bit is counted in. 10¹² rows at 40 bits each still fit into 63 bits.
const UNITS_PER_BIT: f64 = 65_536.0;

pub(super) fn function() -> AggregateUDF {
    create_udaf(
        "entropy",
        vec![DataType::Int64],
        Arc::new(DataType::Float64),
        Volatility::Immutable,
        Arc::new(|_| Ok(Box::new(Counts::default()))),
        Arc::new(vec![DataType::Int64, DataType::Int64]),
    )
}

#[derive(Debug, Default)]
struct Counts {
    /// Σ n
    total: i64,
    /// Σ n·log₂ n, in units
    units: i64,
}

impl Counts {
    fn push(&mut self, n: i64) {
        if n > 0 {
            self.total += n;
            self.units += (n as f64 * (n as f64).log2() * UNITS_PER_BIT).round() as i64;
        }
    }

    fn bits(&self) -> Option<f64> {
        let total = self.total as f64;
        let bits = total.log2() - self.units as f64 / UNITS_PER_BIT / total;
        // One kind alone has no entropy; rounding must not make it less.
        (self.total > 0).then(|| bits.max(0.0))
    }
}

impl Accumulator for Counts {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let counts = values[0].as_primitive::<Int64Type>();
        counts.iter().flatten().for_each(|n| self.push(n));
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let sum = |column: &ArrayRef| -> i64 {
            let numbers = column.as_primitive::<Int64Type>();
            numbers.iter().flatten().sum()
        };
        self.total += sum(&states[0]);
        self.units += sum(&states[1]);
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.total.into(), self.units.into()])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.bits()))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entropy(counts: &[i64]) -> Option<f64> {
        let mut all = Counts::default();
        counts.iter().for_each(|&n| all.push(n));
        all.bits()
    }

    #[test]
    fn known_counts() {
        assert_eq!(entropy(&[1, 1, 1, 1]), Some(2.0));
        assert_eq!(entropy(&[7]), Some(0.0));
        assert_eq!(entropy(&[2, 1, 1]), Some(1.5));
        assert_eq!(entropy(&[]), None);
    }

    proptest! {
        #[test]
        fn it_is_the_definition(counts in prop::collection::vec(1_i64..10_000, 1..60)) {
            let total: i64 = counts.iter().sum();
            let expected: f64 = counts.iter().map(|&n| n as f64 / total as f64).map(|p| -p * p.log2()).sum();
            let found = entropy(&counts).expect("counts");
            prop_assert!((found - expected).abs() < 1e-4, "{found} is not {expected}");
        }
    }
}
