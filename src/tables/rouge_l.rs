//! `rouge_l(a, b)`: how alike two texts are by their longest common subsequence of words (Lin 2004): the harmonic mean of its
//! shares in both, 2 · |lcs| / (|a| + |b|). Words are those of `rouge_words(text)`; a text without any is like no other.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{AsArray, Float64Array};
use arrow::datatypes::DataType;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

use super::rouge_words::rouge_words;

pub(super) fn function() -> ScalarUDF {
    create_udf(
        "rouge_l",
        vec![DataType::Utf8, DataType::Utf8],
        DataType::Float64,
        Volatility::Immutable,
        Arc::new(|arguments| {
            let columns = ColumnarValue::values_to_arrays(arguments)?;
            let (a, b) = (columns[0].as_string::<i32>(), columns[1].as_string::<i32>());
            let pairs = a.iter().zip(b);
            let similarities: Float64Array = pairs.map(|(a, b)| Some(rouge_l(a?, b?))).collect();
            Ok(ColumnarValue::Array(Arc::new(similarities)))
        }),
    )
}

fn rouge_l(a: &str, b: &str) -> f64 {
    let (a, b) = (rouge_words(a), rouge_words(b));
    let mut known = HashMap::new();
    let [a, b] = [&a, &b].map(|words| {
        let mut numbers = Vec::new();
        for word in words.split_terminator(' ') {
            let next = known.len() as u32;
            numbers.push(*known.entry(word).or_insert(next));
        }
        numbers
    });
    let mut lcs = Lcs::default();
    lcs.set_first(&a);
    f_measure(lcs.length(&b), a.len() + b.len())
}

/// The F measure of so many common words among so many of both texts together. A quotient of whole numbers is as near to the
/// true one as a number can be, so it is not below a threshold that it equals.
pub fn f_measure(n_common: usize, n_both: usize) -> f64 {
    match n_both {
        0 => 0.0,
        _ => (2 * n_common) as f64 / n_both as f64,
    }
}

/// The length of the longest common subsequence with a fixed first sequence, 64 places of it at a time (Hyyrö 2004, after
/// Crochemore et al. 2001). Its memory is used again.
#[derive(Debug, Default)]
pub struct Lcs {
    first: Vec<u32>,
    /// For every member of the alphabet the number of its masks, from 1; 0 where the first sequence does not have it.
    slots: Vec<u32>,
    /// Where in the first sequence each of its members stands, in `n_blocks` words of 64 places.
    masks: Vec<u64>,
    n_blocks: usize,
    /// A place is 0 where the length grows.
    row: Vec<u64>,
}

impl Lcs {
    /// Fixes the first sequence.
    pub fn set_first(&mut self, first: &[u32]) {
        for &member in &self.first {
            self.slots[member as usize] = 0;
        }
        self.first.clear();
        self.first.extend_from_slice(first);
        self.masks.clear();
        self.n_blocks = first.len().div_ceil(64);
        for (place, &member) in first.iter().enumerate() {
            let member = member as usize;
            if member >= self.slots.len() {
                self.slots.resize(member + 1, 0);
            }
            if self.slots[member] == 0 {
                self.masks.resize(self.masks.len() + self.n_blocks, 0);
                self.slots[member] = (self.masks.len() / self.n_blocks) as u32;
            }
            let masks = (self.slots[member] - 1) as usize * self.n_blocks;
            self.masks[masks + place / 64] |= 1 << (place % 64);
        }
    }

    /// The length of the longest common subsequence of the first sequence and this one.
    pub fn length(&mut self, second: &[u32]) -> usize {
        let Lcs {
            slots,
            masks,
            n_blocks,
            row,
            ..
        } = self;
        row.clear();
        row.resize(*n_blocks, u64::MAX);
        for &member in second {
            let slot = slots.get(member as usize).copied().unwrap_or(0);
            if slot == 0 {
                continue;
            }
            let masks = &masks[(slot - 1) as usize * *n_blocks..][..*n_blocks];
            let mut carry = false;
            for (places, mask) in row.iter_mut().zip(masks) {
                let matches = *places & mask;
                let (sum, over) = places.overflowing_add(matches);
                let (sum, over_again) = sum.overflowing_add(u64::from(carry));
                carry = over || over_again;
                *places = sum | (*places & !matches);
            }
        }
        row.iter().map(|places| places.count_zeros() as usize).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_definition(a: &[u32], b: &[u32]) -> usize {
        let mut lengths = vec![vec![0; b.len() + 1]; a.len() + 1];
        for i in 0..a.len() {
            for j in 0..b.len() {
                lengths[i + 1][j + 1] = if a[i] == b[j] {
                    lengths[i][j] + 1
                } else {
                    lengths[i][j + 1].max(lengths[i + 1][j])
                };
            }
        }
        lengths[a.len()][b.len()]
    }

    #[test]
    fn known_texts() {
        assert_eq!(
            rouge_l("police killed the gunman", "Police kill the gunman!"),
            0.75
        );
        assert_eq!(
            rouge_l("police killed the gunman", "the gunman kill police"),
            0.5
        );
        assert_eq!(rouge_l("a", "a"), 1.0);
        assert_eq!(rouge_l("", ""), 0.0);
        assert_eq!(rouge_l("日本", "日本"), 0.0);
        // 7 of 10 on both sides is not below 0.7.
        assert!(rouge_l("a b c d e f g h i j", "a b c d e f g x y z") >= 0.7);
    }

    proptest! {
        #[test]
        fn it_is_the_length_of_the_definition(
            sequences in prop::collection::vec(prop::collection::vec(0_u32..12, 0..200), 2..5),
        ) {
            // One object for all, as it is used.
            let mut lcs = Lcs::default();
            for first in &sequences {
                lcs.set_first(first);
                for second in &sequences {
                    prop_assert_eq!(lcs.length(second), by_definition(first, second));
                }
            }
        }
    }
}
