//! Sequences laid one behind the other.

use std::ops::Range;

/// Sequences one behind the other, as the tokens of a micro-batch lie: each begins at position 0 and sees no other.
///
/// A device that computes attention row by row needs them in rows of one length, of which no sequence crosses an end; what is
/// left of a row is a sequence of padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packing {
    /// Tokens of every sequence; those of padding count as sequences too.
    lengths: Vec<usize>,
    /// Tokens of a row; all of them where rows do not matter.
    row_len: usize,
}

impl Packing {
    /// Sequences of these lengths in a single row.
    pub fn of(lengths: Vec<usize>) -> Packing {
        let row_len = lengths.iter().sum();
        Packing { lengths, row_len }
    }

    /// Sequences that fill rows of `row_len` tokens.
    ///
    /// # Panics
    /// Where one crosses the end of a row.
    pub fn in_rows(lengths: Vec<usize>, row_len: usize) -> Packing {
        let mut end = 0;
        for length in &lengths {
            assert!(
                end % row_len + length <= row_len,
                "a sequence crosses the end of a row"
            );
            end += length;
        }
        assert_eq!(end % row_len, 0, "the last row is filled");
        Packing { lengths, row_len }
    }

    /// Tokens in all.
    pub fn n_tokens(&self) -> usize {
        self.lengths.iter().sum()
    }

    /// Tokens of a row.
    pub fn row_len(&self) -> usize {
        self.row_len
    }

    /// Tokens of the longest sequence.
    pub fn longest(&self) -> usize {
        self.lengths.iter().copied().max().unwrap_or(0)
    }

    /// Tokens of every sequence.
    pub fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    /// The tokens of every sequence.
    pub fn sequences(&self) -> impl Iterator<Item = Range<usize>> {
        let mut end = 0;
        self.lengths.iter().map(move |length| {
            end += length;
            end - length..end
        })
    }

    /// The place of every token in its sequence.
    pub fn positions(&self) -> impl Iterator<Item = u32> {
        self.lengths.iter().flat_map(|&length| 0..length as u32)
    }

    /// The number of the sequence of every token.
    pub fn sequence_of_tokens(&self) -> impl Iterator<Item = u32> {
        let numbered = (0..).zip(&self.lengths);
        numbered.flat_map(|(nth, &length)| std::iter::repeat_n(nth, length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_know_their_sequence_and_their_place_in_it() {
        let packing = Packing::in_rows(vec![3, 1, 2, 2], 4);
        assert_eq!((packing.n_tokens(), packing.row_len()), (8, 4));
        let positions: Vec<_> = packing.positions().collect();
        assert_eq!(positions, [0, 1, 2, 0, 0, 1, 0, 1]);
        let sequences: Vec<_> = packing.sequence_of_tokens().collect();
        assert_eq!(sequences, [0, 0, 0, 1, 2, 2, 3, 3]);
        let ranges: Vec<_> = packing.sequences().collect();
        assert_eq!(ranges, [0..3, 3..4, 4..6, 6..8]);
    }

    #[test]
    #[should_panic(expected = "crosses the end of a row")]
    fn no_sequence_crosses_the_end_of_a_row() {
        Packing::in_rows(vec![3, 2, 3], 4);
    }
}
