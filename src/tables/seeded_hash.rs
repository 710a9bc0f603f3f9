//! `seeded_hash(id, purpose, occurrence, seed)`: a random-looking 64-bit number that is the same wherever it is computed.
//!
//! Sorting by it shuffles: every worker agrees on the order without talking, and neither threads nor batches can change it.

use std::sync::Arc;

use arrow::array::{AsArray, UInt64Array};
use arrow::datatypes::{DataType, Int64Type, UInt64Type};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use crate::sample::{SAMPLE_ID_BYTES, sample_id_type};

pub(super) fn function() -> ScalarUDF {
    let arguments = vec![
        sample_id_type(),
        DataType::Utf8,
        DataType::Int64,
        DataType::UInt64,
    ];
    create_udf(
        "seeded_hash",
        arguments,
        DataType::UInt64,
        Volatility::Immutable,
        Arc::new(|arguments| {
            let columns = ColumnarValue::values_to_arrays(arguments)?;
            let (ids, purposes) = (
                columns[0].as_fixed_size_binary(),
                columns[1].as_string::<i32>(),
            );
            let (occurrences, seeds) = (
                columns[2].as_primitive::<Int64Type>(),
                columns[3].as_primitive::<UInt64Type>(),
            );
            let rows = ids.iter().zip(purposes).zip(occurrences.iter().zip(seeds));
            let hashes: UInt64Array = rows
                .map(|((id, purpose), (occurrence, seed))| {
                    Some(seeded_hash(id?, purpose?, occurrence?, seed?))
                })
                .collect();
            Ok(ColumnarValue::Array(Arc::new(hashes)))
        }),
    )
}

/// The upper half of what [`seeded`] gives.
fn seeded_hash(id: &[u8], purpose: &str, occurrence: i64, seed: u64) -> u64 {
    (seeded(id, purpose, occurrence, seed) >> u64::BITS) as u64
}

/// The 128-bit xxHash (XXH3) of the occurrence, as a little-endian i64, and the id; its seed is the 64-bit xxHash of the purpose,
/// seeded with `seed`. An id is a cryptographic hash already: it only has to be stirred.
pub(super) fn seeded(id: &[u8], purpose: &str, occurrence: i64, seed: u64) -> u128 {
    let mut bytes = [0; 8 + SAMPLE_ID_BYTES];
    bytes[..8].copy_from_slice(&occurrence.to_le_bytes());
    bytes[8..].copy_from_slice(id);
    xxh3_128_with_seed(&bytes, xxh3_64_with_seed(purpose.as_bytes(), seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_argument_changes_the_hash() {
        let base = seeded_hash(&[1; 16], "draw", 0, 0);
        assert_eq!(base, seeded_hash(&[1; 16], "draw", 0, 0));
        assert_ne!(base, seeded_hash(&[2; 16], "draw", 0, 0));
        assert_ne!(base, seeded_hash(&[1; 16], "shuffle", 0, 0));
        assert_ne!(base, seeded_hash(&[1; 16], "draw", 1, 0));
        assert_ne!(base, seeded_hash(&[1; 16], "draw", 0, 1));
    }

    /// Chi-squared over the 24 orders of 4 rows: sorting by the hash is a uniform permutation.
    #[test]
    fn sorting_by_the_hash_shuffles_uniformly() {
        let n_seeds = 24_000;
        let mut counts = std::collections::BTreeMap::new();
        for seed in 0..n_seeds {
            let mut order = [0_u8, 1, 2, 3];
            order.sort_by_key(|&row| seeded_hash(&[row; 16], "shuffle", 0, seed));
            *counts.entry(order).or_insert(0_u64) += 1;
        }
        assert_eq!(counts.len(), 24);
        let expected = n_seeds as f64 / 24.0;
        let chi_squared: f64 = counts
            .values()
            .map(|&count| (count as f64 - expected).powi(2) / expected)
            .sum();
        // 23 degrees of freedom: 49.7 is exceeded once in a thousand by chance; the seeds are fixed, so this does not flicker.
        assert!(chi_squared < 49.7, "{chi_squared}");
    }
}
