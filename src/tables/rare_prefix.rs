//! `rare_prefix(set, frequent, threshold)`: so many of a set's rarest members that another set with none of them is less
//! similar than the threshold (prefix filter: Chaudhuri, Ganti and Kaushik 2006; for Jaccard, Xiao et al. 2008).
//!
//! `frequent` lists frequent members, the most frequent last; a member that is not in it is rarer than all of them. Any list
//! gives the same pairs in the end; a good one makes fewer candidates.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListBuilder, UInt64Builder};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

use super::shingles::{set_type, slices};

pub(super) fn function() -> ScalarUDF {
    create_udf(
        "rare_prefix",
        vec![set_type(), set_type(), DataType::Float64],
        set_type(),
        Volatility::Immutable,
        Arc::new(|arguments| {
            // The list is a constant; as an array it would be as long as the batch.
            let frequent = arguments[1].to_array(1)?;
            let ranks: HashMap<u64, usize> = slices(&frequent, 0)
                .unwrap_or_default()
                .iter()
                .enumerate()
                .map(|(rank, &member)| (member, rank + 1))
                .collect();
            let sets = arguments[0].to_array(1)?;
            let thresholds = arguments[2].to_array(sets.len())?;
            let thresholds = thresholds.as_primitive::<Float64Type>();
            let mut prefixes = ListBuilder::new(UInt64Builder::new());
            for row in 0..sets.len() {
                let Some(set) = slices(&sets, row) else {
                    prefixes.append_null();
                    continue;
                };
                let prefix = rare_prefix(set, &ranks, thresholds.value(row));
                prefixes.values().append_slice(&prefix);
                prefixes.append(true);
            }
            Ok(ColumnarValue::Array(Arc::new(prefixes.finish()) as ArrayRef))
        }),
    )
}

/// Two sets as similar as the threshold share at least `t · max(|a|, |b|)` members, so of each set all but that many, and one
/// more, hold a shared one if both are ordered alike.
fn rare_prefix(set: &[u64], ranks: &HashMap<u64, usize>, threshold: f64) -> Vec<u64> {
    // A product that should be whole may come out a little above.
    let shared = (threshold * set.len() as f64 - 1e-9).ceil().max(1.0) as usize;
    let n = set.len() - shared.min(set.len()) + 1;
    let mut ranked: Vec<(usize, u64)> = set
        .iter()
        .map(|member| (ranks.get(member).copied().unwrap_or(0), *member))
        .collect();
    ranked.sort_unstable();
    ranked.truncate(n);
    ranked.into_iter().map(|(_, member)| member).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::jaccard::jaccard;
    use super::*;

    #[test]
    fn the_rarest_members_come_first() {
        let ranks = HashMap::from([(2, 2), (3, 1)]);
        assert_eq!(rare_prefix(&[1, 2, 3, 4, 5], &ranks, 0.8), [1, 4]);
        assert_eq!(rare_prefix(&[2, 3], &ranks, 0.5), [3, 2]);
        assert_eq!(rare_prefix(&[2, 3], &ranks, 1.0), [3]);
    }

    proptest! {
        /// What the filter is for: no pair at the threshold or above is lost, whatever is thought to be frequent.
        #[test]
        fn similar_sets_share_a_member_of_their_prefixes(
            a in prop::collection::btree_set(0_u64..24, 1..20),
            changes in prop::collection::btree_set(0_u64..24, 0..6),
            frequent in prop::collection::vec(0_u64..24, 0..12),
            threshold in 0.05_f64..1.0,
        ) {
            let b: BTreeSet<u64> = a.symmetric_difference(&changes).copied().collect();
            prop_assume!(!b.is_empty());
            let ranks = frequent.into_iter().enumerate().map(|(rank, member)| (member, rank + 1)).collect();
            let of = |set: &BTreeSet<u64>| set.iter().copied().collect::<Vec<_>>();
            let (a, b) = (of(&a), of(&b));
            let prefix = |set: &[u64]| rare_prefix(set, &ranks, threshold);
            if jaccard(&a, &b) >= threshold {
                let other = prefix(&b);
                prop_assert!(prefix(&a).iter().any(|member| other.contains(member)));
            }
        }
    }
}
