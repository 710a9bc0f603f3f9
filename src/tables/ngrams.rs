//! `ngrams(text, n)`: every n words that follow each other in a text, joined by single spaces, each once, in their order.
//!
//! A text of fewer words has none. Words are those of `words(text)`.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

use super::words::Words;

/// The type of a list of n-grams.
fn ngrams_type() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))
}

pub(super) fn function() -> ScalarUDF {
    create_udf(
        "ngrams",
        vec![DataType::Utf8, DataType::Int64],
        ngrams_type(),
        Volatility::Immutable,
        Arc::new(|arguments| {
            let columns = ColumnarValue::values_to_arrays(arguments)?;
            let (texts, sizes) = (
                columns[0].as_string::<i32>(),
                columns[1].as_primitive::<Int64Type>(),
            );
            let mut lists = ListBuilder::new(StringBuilder::new());
            let mut words = Words::default();
            for (text, size) in texts.iter().zip(sizes) {
                let (Some(text), Some(size)) = (text, size) else {
                    lists.append_null();
                    continue;
                };
                words.read(text);
                for ngram in distinct_ngrams(&words, size.max(0) as usize) {
                    lists.values().append_value(ngram);
                }
                lists.append(true);
            }
            Ok(ColumnarValue::Array(Arc::new(lists.finish()) as ArrayRef))
        }),
    )
}

fn distinct_ngrams(words: &Words, size: usize) -> impl Iterator<Item = &str> {
    let mut seen = HashSet::new();
    firsts(words.len(), size)
        .map(move |first| words.slice(first..first + size))
        .filter(move |ngram| seen.insert(*ngram))
}

/// The words with which the n-grams of a text of so many words begin.
pub(super) fn firsts(n_words: usize, size: usize) -> std::ops::Range<usize> {
    match size {
        0 => 0..0,
        _ => 0..(n_words + 1).saturating_sub(size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, size: usize) -> Vec<String> {
        let mut words = Words::default();
        words.read(text);
        distinct_ngrams(&words, size).map(str::to_owned).collect()
    }

    #[test]
    fn they_overlap_and_stand_once_each() {
        assert_eq!(of("A b\nc  a B d", 2), ["a b", "b c", "c a", "b d"]);
        assert_eq!(of("a b", 2), ["a b"]);
    }

    #[test]
    fn a_shorter_text_has_none() {
        assert!(of("a b", 3).is_empty());
        assert!(of("", 1).is_empty());
        assert!(of("a b", 0).is_empty());
    }
}
