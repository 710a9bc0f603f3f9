//! `shingles(text, shingle)`: the set of a text's overlapping pieces, by which two texts are compared.
//!
//! The text is normalised first: NFKC, lower case, split on white space. `word:3` makes a piece of every three words that
//! follow each other, `char:5` of every five characters of the words joined by single spaces; a shorter text is one piece.
//! A piece is its 64-bit xxHash; the set is sorted.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListBuilder, UInt64Builder};
use arrow::datatypes::{DataType, Field};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use icu_normalizer::ComposingNormalizerBorrowed;
use xxhash_rust::xxh3::xxh3_64;

use crate::config::Shingle;

/// The type of a set of pieces.
pub(super) fn set_type() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::UInt64, true)))
}

pub(super) fn function() -> ScalarUDF {
    create_udf(
        "shingles",
        vec![DataType::Utf8, DataType::Utf8],
        set_type(),
        Volatility::Immutable,
        Arc::new(|arguments| {
            let columns = ColumnarValue::values_to_arrays(arguments)?;
            let (texts, kinds) = (columns[0].as_string::<i32>(), columns[1].as_string::<i32>());
            let mut sets = ListBuilder::new(UInt64Builder::new());
            let mut scratch = Scratch::default();
            for (text, kind) in texts.iter().zip(kinds) {
                let (Some(text), Some(kind)) = (text, kind) else {
                    sets.append_null();
                    continue;
                };
                let kind: Shingle = kind.parse().map_err(DataFusionError::Execution)?;
                sets.values()
                    .append_slice(shingles_into(text, kind, &mut scratch));
                sets.append(true);
            }
            Ok(ColumnarValue::Array(Arc::new(sets.finish()) as ArrayRef))
        }),
    )
}

/// Memory that is used again for the next text.
#[derive(Default)]
struct Scratch {
    words: String,
    /// Where words or characters start in `words`, and its end.
    starts: Vec<usize>,
    set: Vec<u64>,
}

/// The pieces of a text, ascending, each once.
fn shingles_into<'a>(text: &str, kind: Shingle, scratch: &'a mut Scratch) -> &'a [u64] {
    let Scratch { words, starts, set } = scratch;
    words.clear();
    starts.clear();
    set.clear();
    let of_words = matches!(kind, Shingle::Words(_));
    if text.is_ascii() {
        // Nothing to compose, and letters keep their length: most texts of most sources.
        split_into(
            text,
            |c| matches!(c, '\t'..='\r' | ' '),
            of_words,
            words,
            starts,
        );
        words.make_ascii_lowercase();
    } else {
        let composed = ComposingNormalizerBorrowed::new_nfkc().normalize(text);
        split_into(
            &composed.to_lowercase(),
            char::is_whitespace,
            of_words,
            words,
            starts,
        );
    }
    let size = match kind {
        Shingle::Words(size) => size,
        Shingle::Characters(size) => {
            starts.extend(words.char_indices().map(|(start, _)| start));
            size
        }
    };
    let size = usize::from(size);
    if starts.len() <= size {
        set.push(xxh3_64(words.as_bytes()));
        return set;
    }
    for first in 0..=starts.len() - size {
        let end = match (starts.get(first + size), kind) {
            (None, _) => words.len(),
            // Without the space behind the last word.
            (Some(next), Shingle::Words(_)) => next - 1,
            (Some(next), Shingle::Characters(_)) => *next,
        };
        set.push(xxh3_64(&words.as_bytes()[starts[first]..end]));
    }
    set.sort_unstable();
    set.dedup();
    set
}

/// The pieces of a text, ascending, each once.
pub(crate) fn shingles(text: &str, kind: Shingle) -> Vec<u64> {
    shingles_into(text, kind, &mut Scratch::default()).to_vec()
}

/// Joins the words of a text by single spaces, and notes where they start.
fn split_into(
    text: &str,
    is_space: impl Fn(char) -> bool,
    notes_starts: bool,
    words: &mut String,
    starts: &mut Vec<usize>,
) {
    for word in text.split(is_space).filter(|word| !word.is_empty()) {
        if !words.is_empty() {
            words.push(' ');
        }
        if notes_starts {
            starts.push(words.len());
        }
        words.push_str(word);
    }
}

/// The set in row `row` of a column, or `None` where it is null.
pub fn members(lists: &dyn Array, row: usize) -> Option<&[u64]> {
    let lists = lists.as_list::<i32>();
    if lists.is_null(row) {
        return None;
    }
    let range = lists.value_offsets()[row] as usize..lists.value_offsets()[row + 1] as usize;
    let values = lists
        .values()
        .as_primitive::<arrow::datatypes::UInt64Type>();
    Some(&values.values()[range])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, kind: &str) -> Vec<u64> {
        let kind = kind.parse().expect("a kind of shingle");
        shingles(text, kind)
    }

    fn hashes(pieces: &[&str]) -> Vec<u64> {
        let mut hashes: Vec<u64> = pieces
            .iter()
            .map(|piece| xxh3_64(piece.as_bytes()))
            .collect();
        hashes.sort_unstable();
        hashes
    }

    #[test]
    fn pieces_are_words_or_characters_in_a_row() {
        let text = "Name  three\nCOLOURS, please";
        assert_eq!(
            of(text, "word:3"),
            hashes(&["name three colours,", "three colours, please"])
        );
        assert_eq!(of("abcdef", "char:5"), hashes(&["abcde", "bcdef"]));
        assert_eq!(of("a b c a b c", "word:3").len(), 3, "each piece once");
    }

    #[test]
    fn a_short_text_is_one_piece() {
        assert_eq!(of("Hello", "word:3"), hashes(&["hello"]));
        assert_eq!(of("hé\u{a0}l", "char:5"), hashes(&["hé l"]));
        assert_eq!(of(" ", "word:3").len(), 1);
    }

    #[test]
    fn ascii_is_split_as_any_text() {
        let ascii: String = (0_u8..128).map(char::from).collect();
        let text = format!("{ascii} A\u{b}b {ascii}");
        let words: Vec<_> = text
            .to_lowercase()
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        let pieces: Vec<_> = words.iter().map(String::as_str).collect();
        let mut expected = hashes(&pieces);
        expected.dedup();
        assert_eq!(of(&text, "word:1"), expected);
    }

    #[test]
    fn what_looks_the_same_is_the_same() {
        // Full-width letters, a ligature, a composed and a decomposed accent.
        assert_eq!(
            of("ＡＢＣ ﬁne cafe\u{301} x", "word:3"),
            of("abc fine café x", "word:3")
        );
    }
}
