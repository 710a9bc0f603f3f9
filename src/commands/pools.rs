//! Splitting a draw by what pools hold.

use crate::config::largest_remainder_within as within;

/// Parts by what is left of the pools; what that does not cover is split by their sizes, for use again.
pub(super) fn by_size(wanted: u64, left: &[u64], pools: &[u64], caps: &[u64]) -> Option<Vec<u64>> {
    let wide = |numbers: &[u64]| -> Vec<u128> { numbers.iter().map(|&n| n.into()).collect() };
    let free: Vec<u64> = left
        .iter()
        .zip(caps)
        .map(|(left, cap)| *left.min(cap))
        .collect();
    let n_free: u64 = free.iter().sum();
    if wanted <= n_free {
        return within(wanted, &wide(left), &free);
    }
    let room: Vec<u64> = caps
        .iter()
        .zip(&free)
        .map(|(cap, free)| cap - free)
        .collect();
    let again = within(wanted - n_free, &wide(pools), &room)?;
    Some(
        free.iter()
            .zip(again)
            .map(|(free, again)| free + again)
            .collect(),
    )
}

/// Parts that empty what there is, one after the other.
pub(super) fn in_turn(wanted: u64, free: &[u64]) -> Vec<u64> {
    let mut missing = wanted;
    free.iter()
        .map(|&free| {
            let taken = free.min(missing);
            missing -= taken;
            taken
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_goes_before_anything_is_used_again() {
        let no_caps = [u64::MAX; 2];
        assert_eq!(by_size(4, &[3, 1], &[9, 9], &no_caps), Some(vec![3, 1]));
        assert_eq!(by_size(8, &[3, 1], &[6, 2], &no_caps), Some(vec![6, 2]));
        assert_eq!(by_size(8, &[3, 1], &[6, 2], &[4, 9]), Some(vec![4, 4]));
        assert_eq!(by_size(1, &[0, 0], &[0, 0], &no_caps), None);
        assert_eq!(by_size(3, &[3, 1], &[6, 2], &[1, 1]), None);
    }

    #[test]
    fn pools_are_emptied_in_turn() {
        assert_eq!(in_turn(4, &[3, 2, 2]), [3, 1, 0]);
        assert_eq!(in_turn(0, &[3]), [0]);
    }
}
