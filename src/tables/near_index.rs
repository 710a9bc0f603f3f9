//! First come, first kept: sets are offered in order, and each that is similar enough to an earlier one that stays is told so.
//!
//! Those that stay are in an index by [`Keys`] that similar sets share; every candidate is verified by the true Jaccard
//! similarity. The index may hold only so many bytes. When it is full, the sets behind are only looked up, and all are offered
//! again: another pass, with an index that goes on where the last one stopped. What is found depends on none of that.

use std::ops::RangeInclusive;

use super::jaccard::jaccard;
use super::minhash::Bands;
use super::postings::{List, Postings};
use super::rare_prefix::RarePrefix;

/// A product or quotient that should be whole may come out a little beside it.
const ROUNDING: f64 = 1e-9;

/// What sets are found by.
#[derive(Debug)]
pub enum Keys {
    /// Their rarest members: misses no similar set.
    Rarest(RarePrefix),
    /// Bands of their signatures: misses a few.
    Bands(Bands),
}

impl Keys {
    fn of(&self, set: &[u64], keys: &mut Vec<u64>) {
        match self {
            Keys::Rarest(prefix) => prefix.of(set, keys),
            Keys::Bands(bands) => bands.of(set, keys),
        }
    }
}

/// Decides which sets go, over as many passes as the index needs. `N` is what a set is called.
#[derive(Debug)]
pub struct FirstCome<N> {
    keys: Keys,
    index: Index<N>,
    bytes_max: usize,
    /// Whether a set is gone, by its number.
    gone: Vec<bool>,
    /// The first set that this pass puts into the index; those before it have been.
    first: usize,
    /// The set that comes next.
    next: usize,
    /// The first set that the index had no room for.
    full_at: Option<usize>,
    scratch: Vec<u64>,
}

/// Why a set goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similar<N> {
    /// The first set that stays and is similar enough.
    pub kept: N,
    /// Their Jaccard similarity.
    pub similarity: f64,
}

impl<N: Copy> FirstCome<N> {
    /// An index of at most `bytes_max`, though always of one set at least.
    pub fn new(threshold: f64, keys: Keys, bytes_max: usize) -> FirstCome<N> {
        FirstCome {
            keys,
            index: Index::new(threshold),
            bytes_max,
            gone: Vec::new(),
            first: 0,
            next: 0,
            full_at: None,
            scratch: Vec::new(),
        }
    }

    /// Offers the next set, a sorted slice; one that `always_stays` is not compared with those before it.
    pub fn offer(&mut self, name: N, set: &[u64], always_stays: bool) -> Option<Similar<N>> {
        let nth = self.next;
        self.next += 1;
        if nth == self.gone.len() {
            self.gone.push(false);
        }
        if nth < self.first || self.gone[nth] {
            return None;
        }
        let mut keys = std::mem::take(&mut self.scratch);
        self.keys.of(set, &mut keys);
        let similar = match always_stays {
            true => None,
            false => self.index.first_similar(set, &keys),
        };
        self.gone[nth] = similar.is_some();
        if similar.is_none() && self.full_at.is_none() {
            if self.index.is_empty() || self.index.bytes_with(set, &keys) <= self.bytes_max {
                self.index.insert(name, set, &keys);
            } else {
                self.full_at = Some(nth);
            }
        }
        self.scratch = keys;
        similar
    }

    /// Ends a pass, in which every set was offered. Returns whether all must be offered again.
    pub fn another_pass(&mut self) -> bool {
        self.next = 0;
        let Some(first) = self.full_at.take() else {
            return false;
        };
        self.first = first;
        self.index = Index::new(self.index.threshold);
        true
    }
}

/// Sets that stay, by their keys.
#[derive(Debug)]
struct Index<N> {
    threshold: f64,
    /// The members of all sets, one set behind the other.
    members: Vec<u64>,
    sets: Vec<Indexed<N>>,
    postings: Postings<Entry>,
    /// Memory that is used again for the lists of the next set.
    lists: Vec<List>,
}

/// A set in the index.
#[derive(Clone, Copy, Debug)]
struct Indexed<N> {
    name: N,
    /// Where its members end.
    end: usize,
}

/// A set under one of its keys, with what tells most sets apart without a look at their members.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    set: u32,
    outline: Outline,
}

/// A set's size, and for each of 64 classes of members whether it has an odd number of them (bitmap filter: Sandes, Teodoro
/// and Melo 2017): two sets differ in at least one member for every class in which that differs.
#[derive(Clone, Copy, Debug, Default)]
struct Outline {
    n: u32,
    odd: u64,
}

impl Outline {
    fn of(set: &[u64]) -> Outline {
        Outline {
            n: u32::try_from(set.len()).unwrap_or(u32::MAX),
            // The upper bits of a hash are as good as any.
            odd: set
                .iter()
                .fold(0, |odd, member| odd ^ (1 << (member >> 58))),
        }
    }

    /// The least number of members that two sets of these outlines share if they are as similar as the threshold; `None` where
    /// they cannot be.
    fn least_common(self, other: Outline, threshold: f64) -> Option<usize> {
        let together = f64::from(self.n) + f64::from(other.n);
        // From |a ∩ b| ≥ t · |a ∪ b| and |a ∪ b| = |a| + |b| − |a ∩ b|.
        let least = threshold / (1.0 + threshold) * together - ROUNDING;
        let differing = f64::from((self.odd ^ other.odd).count_ones());
        (2.0 * least + differing <= together).then(|| least.ceil() as usize)
    }

    /// The sizes of sets that may be as similar as the threshold: the smaller set is the most two can share, the larger the
    /// least they have together.
    fn sizes(self, threshold: f64) -> RangeInclusive<u32> {
        let n = f64::from(self.n);
        // A cast ends at the largest there is.
        (threshold * n - ROUNDING).ceil() as u32..=((n + ROUNDING) / threshold) as u32
    }
}

impl<N: Copy> Index<N> {
    fn new(threshold: f64) -> Index<N> {
        Index {
            threshold,
            members: Vec::new(),
            sets: Vec::new(),
            postings: Postings::new(),
            lists: Vec::new(),
        }
    }

    fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// Bytes it will hold with this set.
    fn bytes_with(&self, set: &[u64], keys: &[u64]) -> usize {
        let members = (self.members.len() + set.len()) * size_of::<u64>();
        let sets = (self.sets.len() + 1) * size_of::<Indexed<N>>();
        (members + sets).saturating_add(self.postings.bytes_with(keys))
    }

    fn insert(&mut self, name: N, set: &[u64], keys: &[u64]) {
        let number = u32::try_from(self.sets.len()).expect("a full index takes no more");
        self.members.extend_from_slice(set);
        self.sets.push(Indexed {
            name,
            end: self.members.len(),
        });
        let outline = Outline::of(set);
        for &key in keys {
            self.postings.push(
                key,
                Entry {
                    set: number,
                    outline,
                },
            );
        }
    }

    fn set(&self, number: u32) -> &[u64] {
        let number = number as usize;
        let before = number.checked_sub(1);
        let start = before.map_or(0, |before| self.sets[before].end);
        &self.members[start..self.sets[number].end]
    }

    /// The first set in the index that is similar enough, which is the one with the least number.
    fn first_similar(&mut self, set: &[u64], keys: &[u64]) -> Option<Similar<N>> {
        let mut lists = std::mem::take(&mut self.lists);
        lists.clear();
        // In a loop of their own the accesses to memory overlap: of a large index next to nothing is in the processor's caches.
        lists.extend(keys.iter().map(|&key| self.postings.list(key)));
        let outline = Outline::of(set);
        let sizes = outline.sizes(self.threshold);
        let mut first = NONE;
        let mut similarity = 0.0;
        for &list in &lists {
            for entry in self.postings.entries(list) {
                // They ascend.
                if entry.set >= first {
                    break;
                }
                if !sizes.contains(&entry.outline.n) {
                    continue;
                }
                let Some(least_common) = outline.least_common(entry.outline, self.threshold) else {
                    continue;
                };
                let other = self.set(entry.set);
                if !share(set, other, least_common) {
                    continue;
                }
                let found = jaccard(set, other);
                if found >= self.threshold {
                    (first, similarity) = (entry.set, found);
                    break;
                }
            }
        }
        self.lists = lists;
        (first != NONE).then(|| Similar {
            kept: self.sets[first as usize].name,
            similarity,
        })
    }
}

/// No set.
const NONE: u32 = u32::MAX;

/// Whether two ascending sets share at least so many members; stops as soon as they cannot.
fn share(a: &[u64], b: &[u64], least_common: usize) -> bool {
    let (mut i, mut j, mut common) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        if common + (a.len() - i).min(b.len() - j) < least_common {
            return false;
        }
        let (x, y) = (a[i], b[j]);
        common += usize::from(x == y);
        i += usize::from(x <= y);
        j += usize::from(y <= x);
    }
    common >= least_common
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(
        sets: &[Vec<u64>],
        threshold: f64,
        keys: Keys,
        bytes_max: usize,
    ) -> Vec<Option<Similar<usize>>> {
        let mut first_come = FirstCome::new(threshold, keys, bytes_max);
        let mut found = vec![None; sets.len()];
        loop {
            for (nth, (set, found)) in sets.iter().zip(&mut found).enumerate() {
                let similar = first_come.offer(nth, set, false);
                assert!(found.is_none() || similar.is_none(), "a set goes once");
                *found = found.or(similar);
            }
            if !first_come.another_pass() {
                return found;
            }
        }
    }

    fn by_definition(sets: &[Vec<u64>], threshold: f64) -> Vec<Option<Similar<usize>>> {
        let mut stays: Vec<usize> = Vec::new();
        let mut found = Vec::new();
        for (nth, set) in sets.iter().enumerate() {
            let similar = stays.iter().find_map(|&kept| {
                let similarity = jaccard(&sets[kept], set);
                (similarity >= threshold).then_some(Similar { kept, similarity })
            });
            if similar.is_none() {
                stays.push(nth);
            }
            found.push(similar);
        }
        found
    }

    fn rarest(threshold: f64) -> Keys {
        Keys::Rarest(RarePrefix::new(threshold, [3, 5, 7]))
    }

    proptest! {
        #[test]
        fn it_is_the_definition_however_little_fits_into_the_index(
            sets in prop::collection::vec(prop::collection::btree_set(0_u64..12, 1..9), 1..60),
            threshold in prop::sample::select(vec![0.2, 0.5, 0.8, 1.0]),
            bytes_max in prop::sample::select(vec![0, 1_500, 6_000, usize::MAX]),
        ) {
            let sets: Vec<Vec<u64>> = sets.into_iter().map(|set| set.into_iter().collect()).collect();
            prop_assert_eq!(
                found(&sets, threshold, rarest(threshold), bytes_max),
                by_definition(&sets, threshold)
            );
        }
    }

    #[test]
    fn only_a_set_that_stays_makes_another_go() {
        // A chain at 0.6: the middle goes, so the end stays.
        let sets = [vec![1, 2, 3, 4], vec![2, 3, 4, 5], vec![3, 4, 5, 6]];
        let found = found(&sets, 0.6, rarest(0.6), usize::MAX);
        assert_eq!(
            found.iter().map(Option::is_some).collect::<Vec<_>>(),
            [false, true, false]
        );
    }

    #[test]
    fn what_always_stays_makes_others_go() {
        let mut first_come = FirstCome::new(1.0, rarest(1.0), usize::MAX);
        assert_eq!(first_come.offer('a', &[1], true), None);
        assert_eq!(first_come.offer('b', &[1], true), None);
        let similar = Similar {
            kept: 'a',
            similarity: 1.0,
        };
        assert_eq!(first_come.offer('c', &[1], false), Some(similar));
    }

    #[test]
    fn equal_sets_have_equal_bands() {
        let sets = [vec![4, 9, 11], vec![5, 6], vec![4, 9, 11]];
        let bands = Keys::Bands(Bands::new(16, 4, 7));
        let found = found(&sets, 0.9, bands, usize::MAX);
        assert_eq!(
            found[2],
            Some(Similar {
                kept: 0,
                similarity: 1.0
            })
        );
        assert_eq!(found[1], None);
    }
}
