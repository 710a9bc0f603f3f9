//! `words_hash(a, b)`: of two texts, one after the other, a number that is equal for others of the same words, as `words(text)`
//! has them, and seldom for those of other words;
//! `same_words(a, b)`: whether two texts have the same words. Joined by the one and filtered by the other, long texts are
//! compared at the cost of a pass over their bytes.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, UInt64Array};
use arrow::datatypes::DataType;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

use super::words::{Words, add_word_hashes};

/// An odd number with its bits well mixed: the square root of 2 without its first bit.
const BASE: u64 = 0x6a09_e667_f3bc_c909;

pub(super) fn hash_function() -> ScalarUDF {
    create_udf(
        "words_hash",
        vec![DataType::Utf8; 2],
        DataType::UInt64,
        Volatility::Immutable,
        Arc::new(|arguments| {
            let columns = ColumnarValue::values_to_arrays(arguments)?;
            let (mut words, mut hashes) = (Words::default(), Vec::new());
            let (a, b) = (columns[0].as_string::<i32>(), columns[1].as_string::<i32>());
            let of_texts: UInt64Array = a
                .iter()
                .zip(b)
                .map(|(a, b)| Some(words_hash([a?, b?], &mut words, &mut hashes)))
                .collect();
            Ok(ColumnarValue::Array(Arc::new(of_texts)))
        }),
    )
}

pub(super) fn function() -> ScalarUDF {
    create_udf(
        "same_words",
        vec![DataType::Utf8, DataType::Utf8],
        DataType::Boolean,
        Volatility::Immutable,
        Arc::new(|arguments| {
            let columns = ColumnarValue::values_to_arrays(arguments)?;
            let (a, b) = (columns[0].as_string::<i32>(), columns[1].as_string::<i32>());
            let (mut words, mut others) = (Words::default(), Words::default());
            let answers: BooleanArray = a
                .iter()
                .zip(b)
                .map(|(a, b)| {
                    words.read(a?);
                    others.read(b?);
                    Some(words.text() == others.text())
                })
                .collect();
            Ok(ColumnarValue::Array(Arc::new(answers)))
        }),
    )
}

fn words_hash(texts: [&str; 2], words: &mut Words, hashes: &mut Vec<u64>) -> u64 {
    hashes.clear();
    for text in texts {
        add_word_hashes(text, words, hashes);
    }
    let add = |hash: u64, word: &u64| hash.wrapping_mul(BASE).wrapping_add(*word);
    hashes.iter().fold(hashes.len() as u64, add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_same_words_have_the_same_number() {
        let of = |texts| words_hash(texts, &mut Words::default(), &mut Vec::new());
        let fine = of(["say fine", ""]);
        for same in [["Say  ﬁne\n", ""], ["say", "fine"], [" ", "say fine"]] {
            assert_eq!(of(same), fine, "{same:?}");
        }
        for other in ["fine say", "sayfine", "say", "say fine fine", ""] {
            assert_ne!(of([other, ""]), fine, "{other}");
        }
    }
}
