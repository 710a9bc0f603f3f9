//! `word_hashes(text)`: the words of a text in their order, each as its 64-bit xxHash.
//!
//! NFKC, lower case, split on white space, without what is neither letter nor digit at a word's ends: "Hello," and "hello" are
//! the same word, "—" is none. A text without spaces between its words, as Chinese is, counts as one.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, ListBuilder, UInt64Builder};
use arrow::datatypes::DataType;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use icu_normalizer::ComposingNormalizerBorrowed;
use xxhash_rust::xxh3::xxh3_64;

use super::shingles::set_type;

pub(super) fn function() -> ScalarUDF {
    create_udf(
        "word_hashes",
        vec![DataType::Utf8],
        set_type(),
        Volatility::Immutable,
        Arc::new(|arguments| {
            let texts = arguments[0].to_array(1)?;
            let mut lists = ListBuilder::new(UInt64Builder::new());
            let mut hashes = Vec::new();
            for text in texts.as_string::<i32>() {
                let Some(text) = text else {
                    lists.append_null();
                    continue;
                };
                hashes.clear();
                each_word(text, |word| hashes.push(xxh3_64(word.as_bytes())));
                lists.values().append_slice(&hashes);
                lists.append(true);
            }
            Ok(ColumnarValue::Array(Arc::new(lists.finish()) as ArrayRef))
        }),
    )
}

/// Calls `receive` with every word.
fn each_word(text: &str, mut receive: impl FnMut(&str)) {
    let composed = ComposingNormalizerBorrowed::new_nfkc().normalize(text);
    for word in composed.to_lowercase().split_whitespace() {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        if !word.is_empty() {
            receive(word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        each_word(text, |word| words.push(word.to_owned()));
        words
    }

    #[test]
    fn words_are_lower_case_and_without_punctuation_around_them() {
        assert_eq!(
            of("“Hello,” she said — it's 3.5\tkm (well-known)."),
            ["hello", "she", "said", "it's", "3.5", "km", "well-known"]
        );
        assert_eq!(of(" … "), [""; 0]);
        assert_eq!(of("ＦＵＬＬ width"), ["full", "width"]);
    }
}
