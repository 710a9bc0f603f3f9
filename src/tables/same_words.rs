//! `words_hash(text)`: a number that is equal for texts of the same words, as `words(text)` has them, and seldom for others;
//! `same_words(a, b)`: whether two texts have the same words. Joined by the one and filtered by the other, long texts are
//! compared at the cost of a pass over their bytes.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, UInt64Array};
use arrow::datatypes::DataType;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

use super::words::{Words, word_hashes};

/// An odd number with its bits well mixed: the square root of 2 without its first bit.
const BASE: u64 = 0x6a09_e667_f3bc_c909;

pub(super) fn hash_function() -> ScalarUDF {
    create_udf(
        "words_hash",
        vec![DataType::Utf8],
        DataType::UInt64,
        Volatility::Immutable,
        Arc::new(|arguments| {
            let columns = ColumnarValue::values_to_arrays(arguments)?;
            let (mut words, mut hashes) = (Words::default(), Vec::new());
            let texts = columns[0].as_string::<i32>().iter();
            let of_texts: UInt64Array = texts
                .map(|text| text.map(|text| words_hash(text, &mut words, &mut hashes)))
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

fn words_hash(text: &str, words: &mut Words, hashes: &mut Vec<u64>) -> u64 {
    word_hashes(text, words, hashes);
    let add = |hash: u64, word: &u64| hash.wrapping_mul(BASE).wrapping_add(*word);
    hashes.iter().fold(hashes.len() as u64, add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_same_words_have_the_same_number() {
        let of = |text: &str| words_hash(text, &mut Words::default(), &mut Vec::new());
        assert_eq!(of("Say  ﬁne\n"), of("say fine"));
        for other in ["fine say", "sayfine", "say", "say fine fine", ""] {
            assert_ne!(of("say fine"), of(other), "{other}");
        }
    }
}
