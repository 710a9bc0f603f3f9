//! `jaccard(a, b)`: how much of two sets together they have in common (Jaccard 1901): |a ∩ b| / |a ∪ b|.

use std::sync::Arc;

use arrow::array::{Array, Float64Array};
use arrow::datatypes::DataType;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

use super::shingles::{members, set_type};

pub(super) fn function() -> ScalarUDF {
    create_udf(
        "jaccard",
        vec![set_type(), set_type()],
        DataType::Float64,
        Volatility::Immutable,
        Arc::new(|arguments| {
            let columns = ColumnarValue::values_to_arrays(arguments)?;
            let similarities: Float64Array = (0..columns[0].len())
                .map(|row| {
                    let (a, b) = (members(&columns[0], row)?, members(&columns[1], row)?);
                    Some(jaccard(a, b))
                })
                .collect();
            Ok(ColumnarValue::Array(Arc::new(similarities)))
        }),
    )
}

/// Of two ascending sets; two empty ones are equal.
pub(super) fn jaccard(a: &[u64], b: &[u64]) -> f64 {
    let (mut i, mut j, mut common) = (0, 0, 0_usize);
    while i < a.len() && j < b.len() {
        let (x, y) = (a[i], b[j]);
        common += usize::from(x == y);
        i += usize::from(x <= y);
        j += usize::from(y <= x);
    }
    match a.len() + b.len() - common {
        0 => 1.0,
        all => common as f64 / all as f64,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_sets() {
        assert_eq!(jaccard(&[1, 2, 3, 4], &[2, 3, 4, 5]), 0.6);
        assert_eq!(jaccard(&[1], &[2]), 0.0);
        assert_eq!(jaccard(&[7], &[7]), 1.0);
        assert_eq!(jaccard(&[], &[]), 1.0);
        assert_eq!(jaccard(&[], &[1]), 0.0);
        // A quotient that is as near to 4/5 as a number can be is not below it.
        assert!(jaccard(&[1, 2, 3, 4], &[1, 2, 3, 4, 5]) >= 0.8);
    }

    proptest! {
        #[test]
        fn it_is_the_definition(a in prop::collection::btree_set(0_u64..40, 0..30), b in prop::collection::btree_set(0_u64..40, 1..30)) {
            let of = |set: &BTreeSet<u64>| set.iter().copied().collect::<Vec<_>>();
            let expected = a.intersection(&b).count() as f64 / a.union(&b).count() as f64;
            prop_assert_eq!(jaccard(&of(&a), &of(&b)), expected);
        }
    }
}
