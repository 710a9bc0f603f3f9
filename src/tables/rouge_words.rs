//! `rouge_words(text)`: the words ROUGE compares, joined by single spaces: those of the default tokenizer of Google's
//! `rouge_score`, which Self-Instruct and Alpaca filtered with. Lower case; every run of the letters a to z and the digits 0
//! to 9 is a word, everything else stands between words, letters of other alphabets and accented ones too.

use std::sync::Arc;

use arrow::array::{Array, AsArray, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};

pub(super) fn function() -> ScalarUDF {
    create_udf(
        "rouge_words",
        vec![DataType::Utf8],
        DataType::Utf8,
        Volatility::Immutable,
        Arc::new(|arguments| {
            let columns = ColumnarValue::values_to_arrays(arguments)?;
            let texts = columns[0].as_string::<i32>();
            let mut joined = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
            for text in texts {
                joined.append_option(text.map(rouge_words));
            }
            Ok(ColumnarValue::Array(Arc::new(joined.finish())))
        }),
    )
}

/// The words of a text, joined by single spaces.
pub(crate) fn rouge_words(text: &str) -> String {
    let lower = if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        // Not letter by letter: some letters outside become a to z, such as the sign for kelvin.
        text.to_lowercase()
    };
    let mut joined = String::with_capacity(lower.len());
    let is_between = |c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit();
    for word in lower.split(is_between).filter(|word| !word.is_empty()) {
        if !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(word);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_letters_and_digits() {
        assert_eq!(rouge_words("It's 3.5 °C, isn't it?"), "it s 3 5 c isn t it");
        assert_eq!(rouge_words("snake_case\nÉtude café"), "snake case tude caf");
        assert_eq!(rouge_words("300 \u{212a}"), "300 k");
        assert_eq!(rouge_words("日本語"), "");
    }
}
