//! The rarest members of a set, so many that another set with none of them is less similar than a threshold (prefix filter:
//! Chaudhuri, Ganti and Kaushik 2006; for Jaccard, Xiao et al. 2008).

use std::collections::HashMap;

use foldhash::fast::FixedState;

/// Chooses the rarest members of sets.
#[derive(Debug)]
pub struct RarePrefix {
    threshold: f64,
    /// How frequent a member is; one that is not here is rarer than all of them.
    ranks: HashMap<u64, u32, FixedState>,
}

impl RarePrefix {
    /// `frequent` lists frequent members, the most frequent last. Any list gives the same pairs in the end; a good one makes
    /// fewer candidates.
    pub fn new(threshold: f64, frequent: impl IntoIterator<Item = u64>) -> RarePrefix {
        let ranks = frequent.into_iter().zip(1..).collect();
        RarePrefix { threshold, ranks }
    }

    /// Puts the rarest members into `prefix`, in no order.
    ///
    /// Two sets as similar as the threshold share at least `t · max(|a|, |b|)` members, so of each set all but that many, and
    /// one more, hold a shared one if both are ordered alike.
    pub(super) fn of(&self, set: &[u64], prefix: &mut Vec<u64>) {
        prefix.clear();
        prefix.extend_from_slice(set);
        // A product that should be whole may come out a little above.
        let shared = (self.threshold * set.len() as f64 - 1e-9).ceil().max(1.0) as usize;
        let n = set.len() - shared.min(set.len()) + 1;
        if n < set.len() {
            let rank = |member: &u64| (self.ranks.get(member).copied().unwrap_or(0), *member);
            prefix.select_nth_unstable_by_key(n - 1, rank);
            prefix.truncate(n);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::jaccard::jaccard;
    use super::*;

    fn prefix(set: &[u64], prefix: &RarePrefix) -> Vec<u64> {
        let mut found = Vec::new();
        prefix.of(set, &mut found);
        found.sort_unstable();
        found
    }

    #[test]
    fn the_rarest_members_are_chosen() {
        let of = |threshold| RarePrefix::new(threshold, [3, 2]);
        assert_eq!(prefix(&[1, 2, 3, 4, 5], &of(0.8)), [1, 4]);
        assert_eq!(prefix(&[2, 3], &of(0.5)), [2, 3]);
        assert_eq!(prefix(&[2, 3], &of(1.0)), [3]);
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
            let rarest = RarePrefix::new(threshold, frequent);
            let of = |set: &BTreeSet<u64>| set.iter().copied().collect::<Vec<_>>();
            let (a, b) = (of(&a), of(&b));
            if jaccard(&a, &b) >= threshold {
                let other = prefix(&b, &rarest);
                prop_assert!(prefix(&a, &rarest).iter().any(|member| other.contains(member)));
            }
        }
    }
}
