//! `may_share(instruction, input, output, n)`: whether the prompt, or n words in a row of one of the texts, may be among those of
//! the rows measured on.
//!
//! All of those pass and about one in ten thousand others, so what passes is few samples, to be compared as texts; the others
//! cost a pass over their bytes. A prompt is the words of instruction and input, or those of the input alone.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use datafusion::prelude::SessionContext;

use super::ngrams::firsts;
use super::words::{Words, add_word_hashes, word_hash};

/// Blocks of 64 bits for each member of a filter, at the most, and half as many at the least.
const BLOCKS_PER_MEMBER: u64 = 4;

/// An odd number with its bits well mixed: 2⁶⁴ over the golden ratio.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

/// From now on `may_share` compares with these.
pub fn register_may_share(session: &SessionContext, measured_on: MeasuredOn) {
    session.register_udf(function(measured_on));
}

pub(super) fn function(measured_on: MeasuredOn) -> ScalarUDF {
    create_udf(
        "may_share",
        [vec![DataType::Utf8; 3], vec![DataType::Int64]].concat(),
        DataType::Boolean,
        Volatility::Immutable,
        Arc::new(move |arguments| {
            let columns = ColumnarValue::values_to_arrays(arguments)?;
            let [instruction, input, output] = [0, 1, 2].map(|nth| columns[nth].as_string::<i32>());
            let sizes = columns[3].as_primitive::<Int64Type>();
            let mut scratch = Scratch::default();
            let texts = instruction.iter().zip(input).zip(output).zip(sizes);
            let answers: BooleanArray = texts
                .map(|(((instruction, input), output), size)| {
                    let size = usize::try_from(size?).unwrap_or(0);
                    let texts = [instruction?, input?, output?];
                    Some(measured_on.may_share(texts, size, &mut scratch))
                })
                .collect();
            Ok(ColumnarValue::Array(Arc::new(answers) as ArrayRef))
        }),
    )
}

/// Memory that is used again for the next texts.
#[derive(Default)]
struct Scratch {
    words: Words,
    hashes: Vec<u64>,
}

/// A filter that the prompts and n-grams of the rows measured on pass (Bloom 1970; in blocks of one word: Putze, Sanders and
/// Singler 2007). Of none, it is empty, and nothing passes.
#[derive(Default)]
pub struct MeasuredOn {
    blocks: Vec<u64>,
}

impl MeasuredOn {
    /// Room for so many prompts and n-grams, in at most so many bytes, and at least in those of a block: with less room, more
    /// others pass.
    pub fn for_members(n_members: u64, bytes_max: usize) -> MeasuredOn {
        let blocks_max = (bytes_max / size_of::<u64>()).max(1);
        let wanted = usize::try_from(n_members.saturating_mul(BLOCKS_PER_MEMBER));
        let n_blocks = wanted.map_or(blocks_max, |wanted| wanted.min(blocks_max));
        let n_blocks = match n_members {
            0 => 0,
            // Rounded down.
            _ => (n_blocks / 2 + 1).next_power_of_two(),
        };
        MeasuredOn {
            blocks: vec![0; n_blocks],
        }
    }

    /// One of them: words joined by single spaces.
    pub fn add(&mut self, member: &str) {
        let words: Vec<u64> = member.split(' ').map(word_hash).collect();
        for hash in ngram_hashes(&words, words.len()) {
            let (block, bits) = place(self.blocks.len(), hash);
            self.blocks[block] |= bits;
        }
    }

    fn may_share(&self, texts: [&str; 3], size: usize, scratch: &mut Scratch) -> bool {
        let Scratch { words, hashes } = scratch;
        hashes.clear();
        let [instruction, input, output] = texts.map(|text| {
            let first = hashes.len();
            add_word_hashes(text, words, hashes);
            first..hashes.len()
        });
        let prompts = [instruction.start..input.end, input.clone()];
        let prompts = prompts.map(|words| ngram_hashes(&hashes[words.clone()], words.len()));
        let of_each = [instruction, input, output].map(|words| ngram_hashes(&hashes[words], size));
        (prompts.into_iter().flatten())
            .chain(of_each.into_iter().flatten())
            .any(|hash| self.may_hold(hash))
    }

    fn may_hold(&self, hash: u64) -> bool {
        if self.blocks.is_empty() {
            return false;
        }
        let (block, bits) = place(self.blocks.len(), hash);
        self.blocks[block] & bits == bits
    }
}

impl fmt::Debug for MeasuredOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MeasuredOn of {} blocks", self.blocks.len())
    }
}

/// The block of a member and its four bits there.
fn place(n_blocks: usize, hash: u64) -> (usize, u64) {
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(BASE);
    let bit = |shift: u32| 1_u64 << ((mixed >> shift) & 63);
    // The lowest bits of a product depend on few others, so the block is made of the middle ones.
    let block = (mixed.rotate_right(20) as usize) & (n_blocks - 1);
    (block, bit(58) | bit(52) | bit(46) | bit(40))
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

    fn measured_on<'a>(members: impl IntoIterator<Item = &'a str>) -> MeasuredOn {
        let members: Vec<_> = members.into_iter().collect();
        let mut filter = MeasuredOn::for_members(members.len() as u64, usize::MAX);
        members.into_iter().for_each(|member| filter.add(member));
        filter
    }

    #[test]
    fn with_little_room_its_own_still_pass() {
        let members: Vec<_> = (0..1_000).map(|nth| format!("all of {nth}")).collect();
        let mut filter = MeasuredOn::for_members(1_000, 100);
        members.iter().for_each(|member| filter.add(member));
        assert_eq!(filter.blocks.len(), 8);
        assert!(members.iter().all(|text| passes(text, 3, &filter)));
    }

    fn passes(text: &str, size: usize, filter: &MeasuredOn) -> bool {
        // As an output, which is no prompt.
        filter.may_share(["", "", text], size, &mut Scratch::default())
    }

    #[test]
    fn an_empty_filter_lets_nothing_pass() {
        assert!(!passes("a b c", 2, &measured_on([])));
    }

    #[test]
    fn few_others_pass() {
        let texts = |stem| (0..4_000).map(move |nth| format!("{stem}{nth} and {nth}"));
        let members: Vec<_> = texts("in").collect();
        let filter = measured_on(members.iter().map(String::as_str));
        assert!(members.iter().all(|text| passes(text, 3, &filter)));
        let n_others = texts("out").filter(|text| passes(text, 3, &filter)).count();
        assert!(n_others < 5, "{n_others} of 4,000");
    }

    #[test]
    fn a_prompt_passes_as_a_whole_and_so_does_its_input() {
        let filter = measured_on(["say it in french", "it"]);
        let of = |instruction, input| {
            filter.may_share([instruction, input, "no"], 8, &mut Scratch::default())
        };
        assert!(of("Say  it", "in French"));
        assert!(of("Say it in French", ""));
        assert!(of("Translate", "It"));
        assert!(!of("Translate", "it in French"));
        assert!(!of("it", "in French"));
    }

    proptest! {
        /// No n-gram is missed, wherever it stands.
        #[test]
        fn its_own_pass(
            members in prop::collection::vec(prop::collection::vec("[a-c]{1,2}", 3), 1..8),
            before in prop::collection::vec("[a-cà]{1,2}", 0..6),
            after in prop::collection::vec("[A-C]{1,2}", 0..6),
        ) {
            let members: Vec<_> = members.iter().map(|words| words.join(" ")).collect();
            let filter = measured_on(members.iter().map(String::as_str));
            for member in &members {
                let text = format!("{} {member} {}", before.join(" "), after.join(" "));
                prop_assert!(passes(&text, 3, &filter));
            }
        }
    }
}
