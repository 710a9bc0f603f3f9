//! `distinct_ngrams(words, n)`: an aggregate, distinct-n (Li et al. 2016): of all runs of `n` words in a row, the share that is
//! different from each other. `words` is what the function of that name returns; a run does not cross texts.
//!
//! Memory is bounded by adaptive sampling (Flajolet 1990): when more than [`MOST_MEMBERS`] different runs have been seen, only
//! those whose hash ends in a zero bit are counted from then on, then in two, and so on. Up to that many the result is exact;
//! above it the standard error is 0.2 to 0.3 % of the value, and two texts are compared by the same runs. What is counted is a function of
//! the set alone, so neither the order of the rows nor the number of threads changes it.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray};
use arrow::datatypes::{DataType, Int64Type, UInt64Type};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Accumulator, AggregateUDF, Volatility, create_udaf};

use super::shingles::{members, set_type};

/// Runs held at a time: 4 MiB for each group and `n`.
const MOST_MEMBERS: usize = 1 << 18;

pub(super) fn function() -> AggregateUDF {
    create_udaf(
        "distinct_ngrams",
        vec![set_type(), DataType::Int64],
        Arc::new(DataType::Float64),
        Volatility::Immutable,
        Arc::new(|_| Ok(Box::new(Distinct::new(MOST_MEMBERS)))),
        Arc::new(vec![DataType::UInt64, DataType::UInt64, set_type()]),
    )
}

/// The different numbers among many.
#[derive(Debug)]
struct Distinct {
    /// Numbers seen.
    n_seen: u64,
    /// Only numbers that end in so many zero bits are held.
    level: u32,
    members: HashSet<u64, BuildHasherDefault<AsIs>>,
    most_members: usize,
}

impl Distinct {
    fn new(most_members: usize) -> Distinct {
        Distinct {
            n_seen: 0,
            level: 0,
            members: HashSet::default(),
            most_members,
        }
    }

    /// Takes the runs of `n` words of one text.
    fn text(&mut self, words: &[u64], n: usize) {
        for run in words.windows(n) {
            self.n_seen += 1;
            self.insert(hash(run));
        }
    }

    fn insert(&mut self, member: u64) {
        if member.trailing_zeros() < self.level {
            return;
        }
        self.members.insert(member);
        while self.members.len() > self.most_members {
            self.raise(self.level + 1);
        }
    }

    fn raise(&mut self, level: u32) {
        self.level = level;
        self.members
            .retain(|member| member.trailing_zeros() >= level);
    }

    /// How many different ones there are for each one seen.
    fn share(&self) -> Option<f64> {
        let n_distinct = self.members.len() as f64 * f64::from(self.level).exp2();
        (self.n_seen > 0).then(|| (n_distinct / self.n_seen as f64).min(1.0))
    }
}

/// A number of a run's words and their order.
fn hash(run: &[u64]) -> u64 {
    let folded = run.iter().fold(0_u64, |folded, word| {
        folded
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(*word)
    });
    // The last mixing step of MurmurHash3: every bit of the sum moves the bits that decide what is counted.
    let mut mixed = folded;
    mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

/// The members are hashes already. Those held end in zeros, so the set must look at their other end.
#[derive(Debug, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn write(&mut self, _: &[u8]) {
        unreachable!("members are numbers")
    }

    fn write_u64(&mut self, member: u64) {
        self.0 = member.rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let sizes = values[1].as_primitive::<Int64Type>();
        for row in 0..values[0].len() {
            let Some(words) = members(&values[0], row) else {
                continue;
            };
            let n = usize::try_from(sizes.value(row)).ok().filter(|&n| n > 0);
            let n = n.ok_or_else(|| {
                DataFusionError::Execution("distinct_ngrams: `n` must be 1 or more".to_owned())
            })?;
            self.text(words, n);
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let (n_seen, levels) = (
            states[0].as_primitive::<UInt64Type>(),
            states[1].as_primitive::<UInt64Type>(),
        );
        for row in 0..states[0].len() {
            self.n_seen += n_seen.value(row);
            self.raise(self.level.max(levels.value(row) as u32));
            for &member in members(&states[2], row).unwrap_or_default() {
                self.insert(member);
            }
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let members = [Some(self.members.iter().copied().map(Some))];
        let members = ListArray::from_iter_primitive::<UInt64Type, _, _>(members);
        Ok(vec![
            ScalarValue::from(self.n_seen),
            ScalarValue::from(u64::from(self.level)),
            ScalarValue::List(Arc::new(members)),
        ])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.share()))
    }

    fn size(&self) -> usize {
        // A place of the table is the number and one byte.
        size_of_val(self) + self.members.capacity() * (size_of::<u64>() + 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn share(texts: &[Vec<u64>], n: usize, most: usize) -> Distinct {
        let mut distinct = Distinct::new(most);
        for text in texts {
            distinct.text(text, n);
        }
        distinct
    }

    #[test]
    fn known_texts() {
        // a b a b | a b: 6 words, 2 of them different; 4 pairs: ab ba ab | ab.
        let texts = [vec![1, 2, 1, 2], vec![1, 2]];
        assert_eq!(share(&texts, 1, 9).share(), Some(2.0 / 6.0));
        assert_eq!(share(&texts, 2, 9).share(), Some(2.0 / 4.0));
        assert_eq!(share(&texts, 3, 9).share(), Some(1.0));
        assert_eq!(share(&texts, 5, 9).share(), None, "no text is so long");
    }

    #[test]
    fn order_within_a_run_counts() {
        assert_ne!(hash(&[1, 2]), hash(&[2, 1]));
        assert_ne!(hash(&[1, 2]), hash(&[1, 3]));
    }

    #[test]
    fn above_the_limit_it_is_an_estimate_within_its_error() {
        let words: Vec<u64> = (0..400_000_u64).map(|nth| hash(&[nth % 100_000])).collect();
        let distinct = share(&[words], 1, 4_096);
        assert!(distinct.members.len() <= 4_096 && distinct.level > 0);
        let error = 1.0 / 2_048_f64.sqrt();
        let found = distinct.share().expect("words");
        assert!((found / 0.25 - 1.0).abs() < 4.0 * error, "{found}");
    }

    proptest! {
        #[test]
        fn it_is_the_definition(texts in prop::collection::vec(prop::collection::vec(0_u64..6, 0..12), 1..12), n in 1_usize..4) {
            let runs: Vec<_> = texts.iter().flat_map(|text| text.windows(n)).collect();
            let expected = runs.iter().collect::<BTreeSet<_>>().len() as f64 / runs.len() as f64;
            prop_assert_eq!(share(&texts, n, 10_000).share(), (!runs.is_empty()).then_some(expected));
        }

        #[test]
        fn neither_order_nor_division_changes_what_is_counted(words in prop::collection::vec(0_u64..500, 2..600), at in 0.0..1.0, most in 8_usize..64) {
            let whole = share(std::slice::from_ref(&words), 1, most);
            let (left, right) = words.split_at((at * words.len() as f64) as usize);
            let mut merged = share(&[right.to_vec()], 1, most);
            let mut other = share(&[left.to_vec()], 1, most);
            let states = other.state().expect("a state");
            let states: Vec<_> = states.iter().map(|state| state.to_array().expect("a column")).collect();
            merged.merge_batch(&states).expect("merged");
            prop_assert_eq!((whole.n_seen, whole.level, whole.members), (merged.n_seen, merged.level, merged.members));
        }
    }
}
