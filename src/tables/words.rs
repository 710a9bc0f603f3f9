//! `words(text)`: a text as the words it is compared by: NFKC, lower case, split on white space, joined by single spaces.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use icu_normalizer::ComposingNormalizerBorrowed;

pub(super) fn function() -> ScalarUDF {
    create_udf(
        "words",
        vec![DataType::Utf8],
        DataType::Utf8,
        Volatility::Immutable,
        Arc::new(|arguments| {
            let columns = ColumnarValue::values_to_arrays(arguments)?;
            let texts = columns[0].as_string::<i32>();
            let mut joined = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
            let mut words = Words::default();
            for text in texts {
                joined.append_option(text.map(|text| {
                    words.read(text);
                    words.text()
                }));
            }
            Ok(ColumnarValue::Array(Arc::new(joined.finish())))
        }),
    )
}

/// The words of a text. Its memory is used again for the next one.
#[derive(Default)]
pub(super) struct Words {
    joined: String,
    /// Where words start in `joined`.
    starts: Vec<usize>,
}

impl Words {
    /// Takes the words of `text` in place of those it had.
    pub(super) fn read(&mut self, text: &str) {
        self.joined.clear();
        self.starts.clear();
        if text.is_ascii() {
            // Nothing to compose: most texts need one pass.
            self.push_words(text);
            self.joined.make_ascii_lowercase();
        } else {
            let composed = ComposingNormalizerBorrowed::new_nfkc().normalize(text);
            self.push_words(&composed.to_lowercase());
        }
    }

    /// The words, joined by single spaces.
    pub(super) fn text(&self) -> &str {
        &self.joined
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// These words, joined by single spaces.
    pub(super) fn slice(&self, range: Range<usize>) -> &str {
        let end = match self.starts.get(range.end) {
            None => self.joined.len(),
            // Without the space behind the last word.
            Some(next) => next - 1,
        };
        &self.joined[self.starts[range.start]..end]
    }

    fn push_words(&mut self, text: &str) {
        for word in text.split_whitespace() {
            if !self.joined.is_empty() {
                self.joined.push(' ');
            }
            self.starts.push(self.joined.len());
            self.joined.push_str(word);
        }
    }
}

/// What the hash of a word begins with, and what it is multiplied with: odd numbers with their bits well mixed.
const START: u64 = 0x9e37_79b9_7f4a_7c15;
const FACTOR: u64 = 0xd1b5_4a32_d192_ed03;

/// Adds eight bytes of a word, or fewer with zeros behind, to its hash: a product of which both halves count (folded
/// multiplication, as in wyhash).
fn add(hash: u64, bytes: u64) -> u64 {
    let product = u128::from(hash ^ bytes) * u128::from(FACTOR);
    (product as u64) ^ (product >> 64) as u64
}

/// The hash of one of the words of a text.
pub(super) fn word_hash(word: &str) -> u64 {
    let hash = word.as_bytes().chunks(8).fold(START, |hash, chunk| {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        add(hash, u64::from_le_bytes(bytes))
    });
    add(hash, word.len() as u64)
}

/// Adds the hashes of the words of a text, without the words where the text is plain: what is compared is mostly different.
pub(super) fn add_word_hashes(text: &str, words: &mut Words, hashes: &mut Vec<u64>) {
    if text.is_ascii() {
        add_plain_word_hashes(text.as_bytes(), hashes);
    } else {
        words.read(text);
        hashes.extend((0..words.len()).map(|nth| word_hash(words.slice(nth..nth + 1))));
    }
}

/// Of ASCII alone, eight bytes at a time.
fn add_plain_word_hashes(text: &[u8], hashes: &mut Vec<u64>) {
    let (mut hash, mut n_in_word) = (START, 0);
    let mut rest = text;
    while !rest.is_empty() {
        let bytes = match rest.first_chunk() {
            Some(bytes) => *bytes,
            None => {
                let mut bytes = [b' '; 8];
                bytes[..rest.len()].copy_from_slice(rest);
                bytes
            }
        };
        let bytes = u64::from_le_bytes(bytes);
        let n_word = (spaces(bytes).trailing_zeros() / 8) as usize;
        if n_word > 0 {
            let of_word = u64::MAX >> (64 - 8 * n_word);
            hash = add(hash, lower(bytes) & of_word);
            n_in_word += n_word;
        }
        if n_word < 8 {
            if n_in_word > 0 {
                hashes.push(add(hash, n_in_word as u64));
            }
            (hash, n_in_word) = (START, 0);
        }
        // A word that ends among these bytes has a space behind it.
        rest = &rest[(n_word + usize::from(n_word < 8)).min(rest.len())..];
    }
    if n_in_word > 0 {
        hashes.push(add(hash, n_in_word as u64));
    }
}

/// The same byte eight times.
const fn eight(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

const EIGHTH_BITS: u64 = eight(0x80);

/// The eighth bit of each of eight ASCII bytes that is at least `least`.
fn at_least(bytes: u64, least: u8) -> u64 {
    // A byte below 128 and such a number do not carry into the next byte.
    (bytes + eight(0x80 - least)) & EIGHTH_BITS
}

/// The eighth bit of each of eight ASCII bytes that is white space.
fn spaces(bytes: u64) -> u64 {
    let is_control = at_least(bytes, b'\t') & !at_least(bytes, b'\r' + 1);
    let is_space = !at_least(bytes ^ eight(b' '), 1) & EIGHTH_BITS;
    is_control | is_space
}

/// Eight ASCII bytes in lower case.
fn lower(bytes: u64) -> u64 {
    let is_upper = at_least(bytes, b'A') & !at_least(bytes, b'Z' + 1);
    bytes | is_upper >> 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> String {
        let mut words = Words::default();
        words.read(text);
        words.text().to_owned()
    }

    #[test]
    fn what_looks_the_same_is_the_same() {
        assert_eq!(
            of("  Name\tthree\r\nCOLOURS, please "),
            "name three colours, please"
        );
        assert_eq!(of("ＡＢＣ ﬁne cafe\u{301}\u{a0}x"), "abc fine café x");
        assert_eq!(of(" \n"), "");
    }

    #[test]
    fn a_slice_holds_its_words_and_no_space_around_them() {
        let mut words = Words::default();
        words.read("one  two three");
        assert_eq!(words.len(), 3);
        assert_eq!(words.slice(0..2), "one two");
        assert_eq!(words.slice(2..3), "three");
        assert_eq!(words.slice(0..3), "one two three");
    }

    proptest! {
        /// The short way for plain texts is the long way.
        #[test]
        fn plain_texts_are_read_like_all_others(text in "[ -~\\t\\n\\x0b\\x0c\\r\\x1c-\\x1f]{0,40}") {
            let mut words = Words::default();
            words.push_words(&ComposingNormalizerBorrowed::new_nfkc().normalize(&text).to_lowercase());
            prop_assert_eq!(of(&text), words.text());
        }

        #[test]
        fn hashes_are_those_of_the_words(text in prop_oneof!["[ -~\\t\\n\\x00\\x0b\\x1f]{0,40}", "([A-Z@\\[`{a-z]{0,17}[ \\r]{1,9}){0,4}", any::<String>()]) {
            let mut words = Words::default();
            let mut hashes = Vec::new();
            add_word_hashes(&text, &mut words, &mut hashes);
            words.read(&text);
            let expected: Vec<_> = words.text().split_terminator(' ').map(word_hash).collect();
            prop_assert_eq!(hashes, expected);
        }
    }
}
