//! How many rows each diverse source gives.

use crate::config::{Exhausted, largest_remainder};
use crate::error::{Error, Result};

/// Splits `wanted` draws over pools of the given sizes.
///
/// Every sample is equally likely, so the shares are those of the pools, by largest remainder. Under
/// [`Exhausted::TopUp`] the pools are emptied one after the other instead.
///
/// # Errors
/// [`Error::Exhausted`] when the pools hold too few rows and the policy does not repeat them.
pub(super) fn allot(wanted: u64, pools: &[u64], on_exhausted: Exhausted) -> Result<Vec<u64>> {
    let available: u64 = pools.iter().sum();
    let may_repeat = on_exhausted == Exhausted::Repeat && available > 0;
    if wanted > available && !may_repeat {
        return Err(Error::Exhausted { wanted, available });
    }
    Ok(match on_exhausted {
        Exhausted::TopUp => in_turn(wanted, pools),
        Exhausted::Repeat | Exhausted::Error => largest_remainder(wanted, pools),
    })
}

fn in_turn(wanted: u64, pools: &[u64]) -> Vec<u64> {
    let mut missing = wanted;
    pools
        .iter()
        .map(|&pool| {
            let taken = pool.min(missing);
            missing -= taken;
            taken
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_policy_says_what_happens_when_the_pool_is_too_small() {
        assert_eq!(
            allot(30, &[10, 5], Exhausted::Repeat).expect("repeats"),
            [20, 10]
        );
        assert!(matches!(
            allot(30, &[10, 5], Exhausted::Error),
            Err(Error::Exhausted {
                wanted: 30,
                available: 15
            })
        ));
        assert_eq!(
            allot(12, &[10, 5], Exhausted::TopUp).expect("enough"),
            [10, 2]
        );
        assert!(matches!(
            allot(16, &[10, 5], Exhausted::TopUp),
            Err(Error::Exhausted {
                wanted: 16,
                available: 15
            })
        ));
        assert!(matches!(
            allot(1, &[0], Exhausted::Repeat),
            Err(Error::Exhausted {
                wanted: 1,
                available: 0
            })
        ));
        assert_eq!(
            allot(0, &[], Exhausted::Error).expect("nothing is wanted"),
            [] as [u64; 0]
        );
    }

    proptest! {
        #[test]
        fn no_row_is_lost_and_none_drawn_twice_while_the_pool_lasts(
            wanted in 0_u64..10_000,
            pools in prop::collection::vec(0_u64..3_000, 1..6),
        ) {
            for policy in [Exhausted::Repeat, Exhausted::Error, Exhausted::TopUp] {
                let Ok(draws) = allot(wanted, &pools, policy) else { continue };
                prop_assert_eq!(draws.iter().sum::<u64>(), wanted);
                if wanted <= pools.iter().sum() {
                    prop_assert!(draws.iter().zip(&pools).all(|(draws, pool)| draws <= pool));
                }
            }
        }
    }
}
