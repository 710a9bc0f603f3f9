//! `shared_ngrams(instruction, input, output, n, filter)`: the n-grams of three texts that may be among those a filter was made
//! of, in their order; none reaches from one text into the next.
//!
//! The filter lets all of its own n-grams pass and about one in a thousand others, so what passes is few texts, to be
//! compared as such; most texts have none, and cost a pass over their bytes.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

use super::ngrams::{firsts, ngrams_type};
use super::shingles::{members, set_type};
use super::words::{Words, word_hash, word_hashes};

/// Members of a filter for each of its blocks of 64 bits.
const MEMBERS_PER_BLOCK: usize = 2;

/// An odd number with its bits well mixed: 2⁶⁴ over the golden ratio.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

pub(super) fn function() -> ScalarUDF {
    create_udf(
        "shared_ngrams",
        [vec![DataType::Utf8; 3], vec![DataType::Int64, set_type()]].concat(),
        ngrams_type(),
        Volatility::Immutable,
        Arc::new(|arguments| {
            let columns = ColumnarValue::values_to_arrays(&arguments[..4])?;
            let [instruction, input, output] = [0, 1, 2].map(|nth| columns[nth].as_string::<i32>());
            let sizes = columns[3].as_primitive::<Int64Type>();
            // The filter is a constant; as an array it would be as long as the batch.
            let filter = arguments[4].to_array(1)?;
            let filter = members(&filter, 0).unwrap_or_default();
            let mut lists = ListBuilder::new(StringBuilder::new());
            let (mut words, mut hashes) = (Words::default(), Vec::new());
            let texts = instruction.iter().zip(input).zip(output);
            for (((instruction, input), output), size) in texts.zip(sizes) {
                let size = size.map_or(0, |size| size.max(0) as usize);
                for text in [instruction, input, output].into_iter().flatten() {
                    word_hashes(text, &mut words, &mut hashes);
                    let firsts = passing(&hashes, size, filter);
                    if !firsts.is_empty() {
                        words.read(text);
                    }
                    for first in firsts {
                        lists
                            .values()
                            .append_value(words.slice(first..first + size));
                    }
                }
                lists.append(true);
            }
            Ok(ColumnarValue::Array(Arc::new(lists.finish()) as ArrayRef))
        }),
    )
}

/// The start of a filter that lets these n-grams pass (Bloom 1970; in blocks of one word: Putze, Sanders and Singler 2007).
pub fn ngram_filter<'a>(ngrams: impl IntoIterator<Item = &'a str>) -> NgramFilter {
    let hash = |ngram: &str| {
        let words: Vec<u64> = ngram.split(' ').map(word_hash).collect();
        ngram_hashes(&words, words.len()).next()
    };
    NgramFilter {
        hashes: ngrams.into_iter().filter_map(hash).collect(),
    }
}

/// The hashes of n-grams, to make a filter of.
#[derive(Debug, Default)]
pub struct NgramFilter {
    hashes: Vec<u64>,
}

impl NgramFilter {
    /// Adds those of another.
    pub fn extend(&mut self, other: NgramFilter) {
        self.hashes.extend(other.hashes);
    }

    /// The filter as `shared_ngrams` takes it; without any n-gram it is empty, and nothing passes.
    pub fn into_blocks(self) -> Vec<u64> {
        let n_blocks = match self.hashes.len() {
            0 => return Vec::new(),
            n => n.div_ceil(MEMBERS_PER_BLOCK).next_power_of_two(),
        };
        let mut blocks = vec![0; n_blocks];
        for hash in self.hashes {
            let (block, bits) = place(n_blocks, hash);
            blocks[block] |= bits;
        }
        blocks
    }
}

/// The first words of the n-grams that pass.
fn passing(hashes: &[u64], size: usize, filter: &[u64]) -> Vec<usize> {
    let ngrams = ngram_hashes(hashes, size).enumerate();
    ngrams
        .filter(|&(_, hash)| may_hold(filter, hash))
        .map(|(first, _)| first)
        .collect()
}

fn may_hold(blocks: &[u64], hash: u64) -> bool {
    if blocks.is_empty() {
        return false;
    }
    let (block, bits) = place(blocks.len(), hash);
    blocks[block] & bits == bits
}

/// The block of a member and its three bits there.
fn place(n_blocks: usize, hash: u64) -> (usize, u64) {
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(BASE);
    let bit = |shift: u32| 1_u64 << ((mixed >> shift) & 63);
    // The lowest bits of a product depend on few others, so the block is made of the middle ones.
    let block = (mixed.rotate_right(20) as usize) & (n_blocks - 1);
    (block, bit(58) | bit(52) | bit(46))
}

/// The hashes of the n-grams of a text, from those of its words: a polynomial in them, so that each follows from the one
/// before (Karp and Rabin 1987).
fn ngram_hashes(words: &[u64], size: usize) -> impl Iterator<Item = u64> {
    let leaving = BASE.wrapping_pow(size.saturating_sub(1) as u32);
    let add = |hash: u64, word: &u64| hash.wrapping_mul(BASE).wrapping_add(*word);
    let mut hash = 0;
    firsts(words.len(), size).map(move |first| {
        if first == 0 {
            hash = words[..size].iter().fold(0, add);
        } else {
            let rest = hash.wrapping_sub(words[first - 1].wrapping_mul(leaving));
            hash = add(rest, &words[first + size - 1]);
        }
        hash
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str, size: usize, filter: &[u64]) -> Vec<String> {
        let (mut words, mut hashes) = (Words::default(), Vec::new());
        word_hashes(text, &mut words, &mut hashes);
        words.read(text);
        passing(&hashes, size, filter)
            .into_iter()
            .map(|first| words.slice(first..first + size).to_owned())
            .collect()
    }

    #[test]
    fn an_empty_filter_lets_nothing_pass() {
        assert!(ngram_filter([]).into_blocks().is_empty());
        assert!(of("a b c", 2, &[]).is_empty());
    }

    #[test]
    fn few_others_pass() {
        let text = |stem: &str| {
            let words: Vec<_> = (0..4_000).map(|nth| format!("{stem}{nth}")).collect();
            words.join(" ")
        };
        let mut words = Words::default();
        words.read(&text("in"));
        let members: Vec<_> = (0..3_993)
            .map(|first| words.slice(first..first + 8))
            .collect();
        let filter = ngram_filter(members).into_blocks();
        assert_eq!(of(&text("in"), 8, &filter).len(), 3_993);
        let n_others = of(&text("out"), 8, &filter).len();
        assert!(n_others < 20, "{n_others} of 3,993");
    }

    proptest! {
        /// No n-gram is missed, wherever it stands.
        #[test]
        fn its_own_pass(
            members in prop::collection::vec(prop::collection::vec("[a-c]{1,2}", 3), 1..8),
            before in prop::collection::vec("[a-c]{1,2}", 0..6),
            after in prop::collection::vec("[a-c]{1,2}", 0..6),
        ) {
            let members: Vec<_> = members.iter().map(|words| words.join(" ")).collect();
            let filter = ngram_filter(members.iter().map(String::as_str)).into_blocks();
            for member in &members {
                let text = format!("{} {member} {}", before.join(" "), after.join(" "));
                prop_assert!(of(&text, 3, &filter).contains(member));
            }
        }
    }
}
