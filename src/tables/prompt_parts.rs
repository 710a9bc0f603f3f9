//! `prompt_parts(instruction, input, prefix, suffix, pattern)`: what of a prompt is the instruction that may be reworded, as
//! `{head, instruction, tail, has_input}`; the three texts one after the other are the first argument.
//!
//! Where there is an input, all of the first argument is instruction. A prompt without one may hold both: what `pattern`, a
//! regular expression, finds (its first group, where it has one) is the data, or else what stands between `prefix` and `suffix`.
//! Of what stands before and behind the data the longer part is reworded. White space around the instruction is not.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::ScalarValue;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use regex::Regex;

use super::is_blank::is_blank;

pub(super) fn function() -> ScalarUDF {
    create_udf(
        "prompt_parts",
        vec![DataType::Utf8; 5],
        DataType::Struct(fields()),
        Volatility::Immutable,
        Arc::new(|arguments| {
            let pattern = match &arguments[4] {
                ColumnarValue::Scalar(ScalarValue::Utf8(None)) => None,
                ColumnarValue::Scalar(ScalarValue::Utf8(Some(pattern))) => {
                    let pattern = Regex::new(pattern);
                    Some(pattern.map_err(|problem| DataFusionError::External(problem.into()))?)
                }
                _ => {
                    return Err(DataFusionError::Plan(
                        "the pattern of `prompt_parts` is one text".to_owned(),
                    ));
                }
            };
            let columns = ColumnarValue::values_to_arrays(&arguments[..4])?;
            let texts: Vec<_> = columns
                .iter()
                .map(|column| column.as_string::<i32>())
                .collect();
            let text = |nth: usize, row: usize| match texts[nth].is_valid(row) {
                true => texts[nth].value(row),
                false => "",
            };
            let parts: Vec<Parts> = (0..texts[0].len())
                .map(|row| {
                    parts(
                        text(0, row),
                        text(1, row),
                        text(2, row),
                        text(3, row),
                        pattern.as_ref(),
                    )
                })
                .collect();
            let of = |part: fn(&Parts<'_>) -> String| -> ArrayRef {
                Arc::new(StringArray::from_iter_values(parts.iter().map(part)))
            };
            let columns = vec![
                of(|parts| parts.text[..parts.instruction.start].to_owned()),
                of(|parts| parts.text[parts.instruction.clone()].to_owned()),
                of(|parts| parts.text[parts.instruction.end..].to_owned()),
                Arc::new(
                    parts
                        .iter()
                        .map(|parts| Some(parts.has_input))
                        .collect::<BooleanArray>(),
                ),
            ];
            Ok(ColumnarValue::Array(Arc::new(StructArray::try_new(
                fields(),
                columns,
                None,
            )?)))
        }),
    )
}

fn fields() -> Fields {
    let text = |name| Field::new(name, DataType::Utf8, false);
    Fields::from(vec![
        text("head"),
        text("instruction"),
        text("tail"),
        Field::new("has_input", DataType::Boolean, false),
    ])
}

struct Parts<'a> {
    text: &'a str,
    instruction: Range<usize>,
    has_input: bool,
}

fn parts<'a>(
    text: &'a str,
    input: &str,
    prefix: &str,
    suffix: &str,
    pattern: Option<&Regex>,
) -> Parts<'a> {
    let data = match pattern {
        _ if !is_blank(input) => None,
        Some(pattern) => pattern
            .captures(text)
            .and_then(|found| Some(found.get(1).or(found.get(0))?.range())),
        None if prefix.len() + suffix.len() > 0 => Some(prefix.len()..text.len() - suffix.len()),
        None => None,
    };
    let whole = || trimmed(text, 0..text.len());
    let split = data.filter(|data| !is_blank(&text[data.clone()]));
    let longer = split.clone().map(|data| {
        let sides = [0..data.start, data.end..text.len()].map(|side| trimmed(text, side));
        let [before, behind] = sides;
        if behind.len() > before.len() {
            behind
        } else {
            before
        }
    });
    let longer = longer.filter(|instruction| !instruction.is_empty());
    Parts {
        text,
        has_input: !is_blank(input) || longer.is_some(),
        instruction: longer.unwrap_or_else(whole),
    }
}

/// A stretch without the white space around it.
fn trimmed(text: &str, stretch: Range<usize>) -> Range<usize> {
    let part = &text[stretch.clone()];
    let n_front = part.len() - part.trim_start().len();
    let inside = part.trim();
    stretch.start + n_front..stretch.start + n_front + inside.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(
        text: &'a str,
        input: &str,
        prefix: &str,
        suffix: &str,
        pattern: Option<&str>,
    ) -> (&'a str, bool) {
        let pattern = pattern.map(|pattern| Regex::new(pattern).expect("a pattern"));
        let parts = parts(text, input, prefix, suffix, pattern.as_ref());
        (&parts.text[parts.instruction.clone()], parts.has_input)
    }

    #[test]
    fn the_instruction_is_what_is_not_data() {
        let prompt = "Translate this:\n\nA dog\nAnswer:";
        assert_eq!(
            found(prompt, "", "Translate this:\n\n", "Answer:", None),
            ("Translate this:", true)
        );
        assert_eq!(found(prompt, "", "", "", None), (prompt, false));
        assert_eq!(
            found(prompt, "", "", "", Some("\n\n(.*)\n")),
            ("Translate this:", true)
        );
        assert_eq!(
            found("A dog\nTranslate that!", "", "", "", Some("^.*\n")),
            ("Translate that!", true)
        );
        assert_eq!(found(prompt, "", "", "", Some("nowhere")), (prompt, false));
        // Everything is data: then it is an instruction of its own.
        assert_eq!(found("A dog", "", "", "", Some(".*")), ("A dog", false));
        assert_eq!(
            found(" Say it. \n", "a dog", "x", "y", None),
            ("Say it.", true)
        );
        assert_eq!(found("", "a dog", "", "", None), ("", true));
        assert_eq!(found("Só:\n", "", "Só:\n", "", None), ("Só:", false));
    }
}
