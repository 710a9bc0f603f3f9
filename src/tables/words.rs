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

/// Stands for white space among the lower-case bytes; no byte of a plain text has this value.
const SPACE: u8 = u8::MAX;

/// For every byte of a plain text its lower case, or [`SPACE`].
const LOWER: [u8; 128] = {
    let mut lower = [0; 128];
    let mut byte = 0;
    while byte < 128 {
        lower[byte] = match byte as u8 {
            b'\t'..=b'\r' | b' ' => SPACE,
            letter => letter.to_ascii_lowercase(),
        };
        byte += 1;
    }
    lower
};

/// What a hash of a word begins with, and what it is multiplied with at every byte (Fowler, Noll and Vo: FNV-1a).
const START: u64 = 0xcbf2_9ce4_8422_2325;
const STEP: u64 = 0x0100_0000_01b3;

fn add(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(STEP)
}

/// The hash of one of the words of a text.
pub(super) fn word_hash(word: &str) -> u64 {
    word.bytes().fold(START, add)
}

/// The hashes of the words of a text, without the words where the text is plain: what is compared is mostly different.
pub(super) fn word_hashes(text: &str, words: &mut Words, hashes: &mut Vec<u64>) {
    hashes.clear();
    if !text.is_ascii() {
        words.read(text);
        hashes.extend((0..words.len()).map(|nth| word_hash(words.slice(nth..nth + 1))));
        return;
    }
    let mut hash = START;
    let mut is_in_word = false;
    for &byte in text.as_bytes() {
        let lower = LOWER[usize::from(byte & 127)];
        if lower != SPACE {
            hash = add(hash, lower);
            is_in_word = true;
        } else if is_in_word {
            hashes.push(hash);
            hash = START;
            is_in_word = false;
        }
    }
    if is_in_word {
        hashes.push(hash);
    }
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
        fn hashes_are_those_of_the_words(text in prop_oneof!["[ -~\\t\\n\\x00\\x0b\\x1f]{0,40}", any::<String>()]) {
            let mut words = Words::default();
            let mut hashes = vec![1];
            word_hashes(&text, &mut words, &mut hashes);
            words.read(&text);
            let expected: Vec<_> = words.text().split_terminator(' ').map(word_hash).collect();
            prop_assert_eq!(hashes, expected);
        }
    }
}
