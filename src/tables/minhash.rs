//! Keys that similar sets are likely to share (MinHash: Broder 1997; bands: Indyk and Motwani 1998).
//!
//! A set's signature holds, for each of so many seeded hash functions, the least hash of its members; two signatures agree in
//! a place with the probability of the sets' Jaccard similarity. The signature is cut into bands of `rows` places; the hash
//! of a band and its number is a key. A rest that fills no band is left out.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Makes the keys of sets.
#[derive(Debug)]
pub struct Bands {
    hashes: Permutations,
    rows: usize,
}

impl Bands {
    /// Signatures of `permutations` places, bands of `rows`.
    pub fn new(permutations: usize, rows: usize, seed: u64) -> Bands {
        Bands {
            hashes: Permutations::new(permutations, seed),
            rows,
        }
    }

    /// Puts the keys of a set into `keys`.
    pub(super) fn of(&self, set: &[u64], keys: &mut Vec<u64>) {
        keys.clear();
        keys.extend(band_keys(&self.hashes.signature(set), self.rows));
    }
}

/// Seeded hash functions `x ↦ (a·x + b) >> 32` with odd `a` (multiply-shift: Dietzfelbinger et al. 1997).
#[derive(Debug)]
struct Permutations {
    factors: Vec<u64>,
    summands: Vec<u64>,
}

impl Permutations {
    fn new(n: usize, seed: u64) -> Permutations {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        Permutations {
            factors: (0..n).map(|_| random.next_u64() | 1).collect(),
            summands: (0..n).map(|_| random.next_u64()).collect(),
        }
    }

    /// The least hash of the members under each function.
    fn signature(&self, set: &[u64]) -> Vec<u32> {
        let mut signature = vec![u32::MAX; self.factors.len()];
        for member in set {
            let functions = self.factors.iter().zip(&self.summands);
            for (least, (factor, summand)) in signature.iter_mut().zip(functions) {
                let hash = factor.wrapping_mul(*member).wrapping_add(*summand) >> 32;
                *least = (*least).min(hash as u32);
            }
        }
        signature
    }
}

fn band_keys(signature: &[u32], rows: usize) -> impl Iterator<Item = u64> + '_ {
    (0_u64..)
        .zip(signature.chunks_exact(rows))
        .map(move |(nth, band)| {
            let mut bytes = Vec::with_capacity(4 * rows);
            bytes.extend(band.iter().flat_map(|least| least.to_le_bytes()));
            xxh3_64_with_seed(&bytes, nth)
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::jaccard::jaccard;
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The share of equal places estimates the similarity: its standard error is √(J(1 − J)/n), and 6 of them are left
        /// by chance once in a hundred million.
        #[test]
        fn equal_places_estimate_the_similarity(n_shared in 0_u64..60, n_own in 0_u64..60, seed in any::<u64>()) {
            let n = 2_048;
            let member = |nth: u64| xxh3_64_with_seed(&nth.to_le_bytes(), seed);
            let sets = [0, 1].map(|which| {
                let own = (0..=n_own).map(|nth| member(1_000 + 2 * nth + which));
                let mut set: Vec<u64> = (0..n_shared).map(member).chain(own).collect();
                set.sort_unstable();
                set
            });
            let hashes = Permutations::new(n, seed);
            let [a, b] = sets.each_ref().map(|set| hashes.signature(set));
            let equal = a.iter().zip(&b).filter(|(a, b)| a == b).count() as f64 / n as f64;
            let expected = jaccard(&sets[0], &sets[1]);
            let error = (expected * (1.0 - expected) / n as f64).sqrt();
            prop_assert!((equal - expected).abs() <= 6.0 * error + 1e-3, "{equal} estimates {expected}");
        }
    }

    #[test]
    fn a_band_is_a_key_of_its_own() {
        let keys = |signature: &[u32]| band_keys(signature, 2).collect::<Vec<_>>();
        assert_eq!(keys(&[1, 2, 1, 2, 9]).len(), 2, "the rest fills no band");
        assert_ne!(
            keys(&[1, 2, 1, 2])[0],
            keys(&[1, 2, 1, 2])[1],
            "the same values elsewhere"
        );
        assert_eq!(keys(&[1, 2, 3, 4])[1], keys(&[8, 8, 3, 4])[1]);
    }
}
