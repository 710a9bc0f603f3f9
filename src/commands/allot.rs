//! How much each diverse source gives to each pass, in rows or in tokens.

use crate::config::{Exhausted, Mix, Unit, largest_remainder, largest_remainder_within};
use crate::error::{Error, Result};

use super::pools::{by_size, in_turn};

/// A diverse source, as far as its part of the draw is concerned.
#[derive(Debug)]
pub(super) struct Supply {
    /// Its name, for messages.
    pub(super) name: String,
    /// What its pool holds.
    pub(super) pool: u64,
    pub(super) mix: Mix,
}

/// What each source gives.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts {
    /// What its weight asks of each source, over all passes, were there neither caps nor ends of pools.
    pub(super) requested: Vec<u64>,
    /// What it gives, by pass.
    pub(super) passes: Vec<Vec<u64>>,
}

/// Splits `wanted` over the sources, once a pass.
///
/// With weights the sources give their parts to the row; without, every sample is equally likely, so the parts are those of
/// the pools. [`Exhausted::TopUp`] without weights empties the pools one after the other. A pass goes on where the one
/// before ended: without weights nothing is used again while any pool has something unused.
///
/// # Errors
/// [`Error::Exhausted`] and [`Error::SourceExhausted`] when the pools hold too little and the policy does not repeat them,
/// [`Error::Capped`] when the caps leave no room.
pub(super) fn allot(
    wanted: u64,
    supplies: &[Supply],
    on_exhausted: Exhausted,
    n_passes: u32,
    unit: Unit,
) -> Result<Parts> {
    let mut draw = Draw {
        wanted,
        groups: groups(supplies),
        supplies,
        on_exhausted,
        n_passes,
        unit,
        used: vec![0; supplies.len()],
    };
    let passes = (0..n_passes)
        .map(|_| draw.next_pass())
        .collect::<Result<Vec<_>>>()?;
    let requested = if on_exhausted == Exhausted::TopUp && !draw.has_weights() {
        draw.used
    } else {
        let asked = draw.asked();
        asked
            .into_iter()
            .map(|part| part * u64::from(n_passes))
            .collect()
    };
    Ok(Parts { requested, passes })
}

/// Sources with one weight and one cap together.
struct Group {
    members: Vec<usize>,
    mix: Mix,
}

fn groups(supplies: &[Supply]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (idx, supply) in supplies.iter().enumerate() {
        let same =
            |group: &&mut Group| supply.mix.group.is_some() && group.mix.group == supply.mix.group;
        match groups.iter_mut().find(same) {
            Some(group) => group.members.push(idx),
            None => groups.push(Group {
                members: vec![idx],
                mix: supply.mix,
            }),
        }
    }
    groups
}

struct Draw<'a> {
    wanted: u64,
    groups: Vec<Group>,
    supplies: &'a [Supply],
    on_exhausted: Exhausted,
    n_passes: u32,
    unit: Unit,
    /// What each source gave to the passes before.
    used: Vec<u64>,
}

impl Draw<'_> {
    fn has_weights(&self) -> bool {
        self.groups.iter().any(|group| group.mix.weight.is_some())
    }

    /// What each source gives to the next pass.
    fn next_pass(&mut self) -> Result<Vec<u64>> {
        let by_group = if self.has_weights() {
            self.by_weight()?
        } else {
            self.by_pool()?
        };
        let mut parts = vec![0; self.supplies.len()];
        for (group, due) in self.groups.iter().zip(by_group) {
            let member = |of: &dyn Fn(usize) -> u64| -> Vec<u64> {
                group.members.iter().map(|&idx| of(idx)).collect()
            };
            let left = member(&|idx| self.left(idx));
            let pools = member(&|idx| self.supplies[idx].pool);
            let shares = if self.on_exhausted == Exhausted::TopUp {
                in_turn(due, &left)
            } else {
                by_size(due, &left, &pools, &vec![u64::MAX; pools.len()])
                    .expect("a group with a part has a pool")
            };
            for (&idx, share) in group.members.iter().zip(shares) {
                parts[idx] = share;
                self.used[idx] += share;
            }
        }
        Ok(parts)
    }

    /// Each group's part by its weight, to the row.
    fn by_weight(&self) -> Result<Vec<u64>> {
        let (caps, left) = (self.caps(), self.sums(|idx| self.left(idx)));
        let pools = self.sums(|idx| self.supplies[idx].pool);
        let due = largest_remainder_within(self.wanted, &self.weights(), &caps);
        let mut due = due.ok_or_else(|| self.capped(&caps))?;
        for group in 0..due.len() {
            let is_short = match self.on_exhausted {
                Exhausted::Repeat => due[group] > 0 && pools[group] == 0,
                Exhausted::Error => due[group] > left[group],
                Exhausted::TopUp => false,
            };
            if is_short {
                let members = &self.groups[group].members;
                let names = members.iter().map(|&idx| self.supplies[idx].name.clone());
                return Err(Error::SourceExhausted {
                    source_name: names.collect::<Vec<_>>().join("`, `"),
                    wanted: due[group] + pools[group] - left[group],
                    available: pools[group],
                    unit: self.unit.name(),
                });
            }
        }
        if self.on_exhausted == Exhausted::TopUp {
            for group in 0..due.len() {
                let mut missing = due[group].saturating_sub(left[group]);
                due[group] -= missing;
                // The next source first, around to those before.
                for next in (group + 1..due.len()).chain(0..group) {
                    let taken = missing.min(left[next].min(caps[next]).saturating_sub(due[next]));
                    due[next] += taken;
                    missing -= taken;
                }
                if missing > 0 {
                    return Err(self.exhausted());
                }
            }
        }
        Ok(due)
    }

    /// Each group's part by what is left of its pool.
    fn by_pool(&self) -> Result<Vec<u64>> {
        let (caps, left) = (self.caps(), self.sums(|idx| self.left(idx)));
        let pools = self.sums(|idx| self.supplies[idx].pool);
        let free: Vec<u64> = left
            .iter()
            .zip(&caps)
            .map(|(left, cap)| *left.min(cap))
            .collect();
        if self.on_exhausted == Exhausted::Repeat {
            return by_size(self.wanted, &left, &pools, &caps).ok_or_else(|| {
                if pools.iter().all(|&pool| pool == 0) {
                    self.exhausted()
                } else {
                    self.capped(&caps)
                }
            });
        }
        if free.iter().sum::<u64>() < self.wanted {
            return Err(if left.iter().sum::<u64>() < self.wanted {
                self.exhausted()
            } else {
                self.capped(&free)
            });
        }
        Ok(if self.on_exhausted == Exhausted::TopUp {
            in_turn(self.wanted, &free)
        } else {
            by_size(self.wanted, &left, &pools, &caps).expect("there is room")
        })
    }

    /// What the weights ask of each source in a pass.
    fn asked(&self) -> Vec<u64> {
        let weights = if self.has_weights() {
            self.weights()
        } else {
            let pools = self.sums(|idx| self.supplies[idx].pool);
            pools.into_iter().map(u128::from).collect()
        };
        let mut asked = vec![0; self.supplies.len()];
        for (group, part) in self
            .groups
            .iter()
            .zip(largest_remainder(self.wanted, &weights))
        {
            let pools: Vec<u128> = group
                .members
                .iter()
                .map(|&idx| self.supplies[idx].pool.into())
                .collect();
            for (&idx, share) in group.members.iter().zip(largest_remainder(part, &pools)) {
                asked[idx] = share;
            }
        }
        asked
    }

    fn weights(&self) -> Vec<u128> {
        let weight = |group: &Group| group.mix.weight.map_or(0, |weight| weight.scaled());
        self.groups.iter().map(weight).collect()
    }

    fn caps(&self) -> Vec<u64> {
        let cap = |group: &Group| group.mix.cap.unwrap_or(u64::MAX);
        self.groups.iter().map(cap).collect()
    }

    fn sums(&self, of: impl Fn(usize) -> u64) -> Vec<u64> {
        let sum = |group: &Group| group.members.iter().map(|&idx| of(idx)).sum();
        self.groups.iter().map(sum).collect()
    }

    /// What of a source's pool has been used less often than the rest of it.
    fn left(&self, idx: usize) -> u64 {
        let (pool, used) = (self.supplies[idx].pool, self.used[idx]);
        match used.checked_rem(pool) {
            None => 0,
            Some(0) if used > 0 => 0,
            Some(used) => pool - used,
        }
    }

    fn exhausted(&self) -> Error {
        Error::Exhausted {
            wanted: self.wanted * u64::from(self.n_passes),
            available: self.supplies.iter().map(|supply| supply.pool).sum(),
            unit: self.unit.name(),
        }
    }

    fn capped(&self, limits: &[u64]) -> Error {
        let weights = self.weights();
        let counts = |group: &usize| !self.has_weights() || weights[*group] > 0;
        Error::Capped {
            wanted: self.wanted,
            available: (0..limits.len())
                .filter(counts)
                .map(|group| limits[group])
                .fold(0, u64::saturating_add),
            unit: self.unit.name(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn supply(pool: u64, weight: Option<&str>, cap: Option<u64>, group: Option<u32>) -> Supply {
        Supply {
            name: format!("pool of {pool}"),
            pool,
            mix: Mix {
                weight: weight.map(|weight| weight.parse().expect("a weight")),
                cap,
                group,
            },
        }
    }

    fn plain(pools: &[u64]) -> Vec<Supply> {
        pools
            .iter()
            .map(|&pool| supply(pool, None, None, None))
            .collect()
    }

    fn one_pass(wanted: u64, supplies: &[Supply], policy: Exhausted) -> Result<Vec<u64>> {
        let parts = allot(wanted, supplies, policy, 1, Unit::Rows)?;
        Ok(parts.passes.into_iter().next().expect("a pass"))
    }

    #[test]
    fn each_policy_says_what_happens_when_the_pool_is_too_small() {
        let pools = plain(&[10, 5]);
        assert_eq!(
            one_pass(30, &pools, Exhausted::Repeat).expect("repeats"),
            [20, 10]
        );
        assert!(matches!(
            one_pass(30, &pools, Exhausted::Error),
            Err(Error::Exhausted {
                wanted: 30,
                available: 15,
                ..
            })
        ));
        assert_eq!(
            one_pass(12, &pools, Exhausted::TopUp).expect("enough"),
            [10, 2]
        );
        assert!(matches!(
            one_pass(16, &pools, Exhausted::TopUp),
            Err(Error::Exhausted {
                wanted: 16,
                available: 15,
                ..
            })
        ));
        assert!(matches!(
            one_pass(1, &plain(&[0]), Exhausted::Repeat),
            Err(Error::Exhausted {
                wanted: 1,
                available: 0,
                ..
            })
        ));
        assert_eq!(
            one_pass(0, &[], Exhausted::Error).expect("nothing is wanted"),
            [] as [u64; 0]
        );
    }

    #[test]
    fn weights_hold_to_the_row_whatever_the_pools() {
        let supplies = [
            supply(10, Some("0.7"), None, None),
            supply(1_000, Some("0.3"), None, None),
        ];
        assert_eq!(
            one_pass(101, &supplies, Exhausted::Repeat).expect("repeats"),
            [71, 30]
        );
        assert_eq!(
            one_pass(101, &supplies, Exhausted::TopUp).expect("tops up"),
            [10, 91]
        );
        let error = one_pass(101, &supplies, Exhausted::Error).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("71 rows of `pool of 10`, 10 are left"),
            "{error}"
        );
    }

    #[test]
    fn a_group_has_one_weight_and_shares_it_by_size() {
        let supplies = [
            supply(30, Some("1"), None, Some(7)),
            supply(40, Some("1"), None, None),
            supply(10, Some("1"), None, Some(7)),
        ];
        assert_eq!(
            one_pass(40, &supplies, Exhausted::Repeat).expect("enough"),
            [15, 20, 5]
        );
    }

    #[test]
    fn what_a_cap_keeps_back_the_others_give_by_their_weights() {
        let supplies = [
            supply(100, Some("6"), Some(10), None),
            supply(100, Some("3"), None, None),
            supply(100, Some("1"), None, None),
        ];
        assert_eq!(
            one_pass(50, &supplies, Exhausted::Error).expect("enough"),
            [10, 30, 10]
        );
        let parts = allot(50, &supplies, Exhausted::Error, 2, Unit::Rows).expect("enough");
        assert_eq!(parts.requested, [60, 30, 10]);
        let capped = [
            supply(100, None, Some(10), None),
            supply(100, None, Some(20), None),
        ];
        assert_eq!(
            one_pass(29, &capped, Exhausted::Repeat).expect("enough"),
            [10, 19]
        );
        let error = one_pass(31, &capped, Exhausted::Repeat).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("at most 30 of the 31 diverse rows"),
            "{error}"
        );
    }

    #[test]
    fn a_pass_goes_on_where_the_one_before_ended() {
        let parts = allot(4, &plain(&[5, 2, 2]), Exhausted::Repeat, 3, Unit::Rows).expect("parts");
        let two_passes: Vec<u64> = (0..3)
            .map(|idx| parts.passes[0][idx] + parts.passes[1][idx])
            .collect();
        assert!(
            two_passes
                .iter()
                .zip([5, 2, 2])
                .all(|(used, pool)| *used <= pool),
            "{parts:?}"
        );
        let error = allot(4, &plain(&[5, 2]), Exhausted::Error, 2, Unit::Tokens).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("asks for 8 tokens of diverse samples, 7 are left"),
            "{error}"
        );
    }

    fn any_supplies() -> impl Strategy<Value = Vec<Supply>> {
        let parts = (
            0_u64..300,
            0_u32..400,
            prop::option::of(0_u64..200),
            prop::option::of(0_u32..2),
        );
        (prop::collection::vec(parts, 1..6), any::<bool>()).prop_map(|(parts, weighted)| {
            let mut mixes: Vec<Mix> = Vec::new();
            let supplies = parts.into_iter().map(|(pool, weight, cap, group)| {
                let weight = format!("{weight}e-2");
                let mut supply = supply(pool, weighted.then_some(&weight), cap, group);
                match mixes
                    .iter()
                    .find(|mix| group.is_some() && mix.group == group)
                {
                    Some(mix) => supply.mix = *mix,
                    None => mixes.push(supply.mix),
                }
                supply
            });
            supplies.collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn no_row_is_lost_or_invented(
            wanted in 0_u64..2_000,
            supplies in any_supplies(),
            n_passes in 1_u32..5,
        ) {
            for policy in [Exhausted::Repeat, Exhausted::Error, Exhausted::TopUp] {
                let Ok(parts) = allot(wanted, &supplies, policy, n_passes, Unit::Rows) else { continue };
                prop_assert_eq!(parts.passes.len(), n_passes as usize);
                let mut totals = vec![0; supplies.len()];
                for pass in &parts.passes {
                    prop_assert_eq!(pass.iter().sum::<u64>(), wanted);
                    for group in groups(&supplies) {
                        let given: u64 = group.members.iter().map(|&idx| pass[idx]).sum();
                        prop_assert!(given <= group.mix.cap.unwrap_or(u64::MAX));
                    }
                    for (idx, part) in pass.iter().enumerate() {
                        prop_assert!(*part == 0 || supplies[idx].pool > 0);
                        totals[idx] += part;
                    }
                }
                let repeats = totals.iter().zip(&supplies).any(|(used, supply)| *used > supply.pool);
                prop_assert!(!repeats || policy == Exhausted::Repeat);
                let is_plain = supplies.iter().all(|supply| !supply.mix.is_given());
                let n_pool: u64 = supplies.iter().map(|supply| supply.pool).sum();
                if is_plain && wanted * u64::from(n_passes) <= n_pool {
                    prop_assert!(!repeats, "nothing repeats while there is something unused");
                }
            }
        }

        /// Weights are exact to the row where nothing is in their way.
        #[test]
        fn each_source_gives_its_weight(wanted in 0_u64..100_000, weights in prop::collection::vec(0_u32..1_000, 1..6)) {
            let total: u64 = weights.iter().map(|&weight| u64::from(weight)).sum();
            prop_assume!(total > 0);
            let supplies: Vec<_> = weights.iter().map(|weight| supply(7, Some(&format!("{weight}e-3")), None, None)).collect();
            let parts = one_pass(wanted, &supplies, Exhausted::Repeat).expect("repeats");
            prop_assert_eq!(parts.iter().sum::<u64>(), wanted);
            for (part, weight) in parts.iter().zip(&weights) {
                let exact = wanted as f64 * f64::from(*weight) / total as f64;
                prop_assert!((*part as f64 - exact).abs() < 1.0);
            }
        }
    }
}
