//! `prompt_parts(instruction, input, prefix, suffix, pattern)`: what of a prompt is the instruction that may be reworded, as
//! `{head, instruction, tail, has_input}`; the three texts one after the other are the first argument.
//!
//! Where there is an input, all of the first argument is instruction. A prompt without one may hold both: what `pattern`, a
//! regular expression, finds (its first group, where it has one) is the data, or else what stands between `prefix` and `suffix`.
//! Of what stands before and behind the data the longer part is reworded, and of that its first paragraph, up to a line with a label.
//! Where nothing tells what is data, it is what a first colon announces. `has_input` is whether data stand behind the instruction.

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
    if !is_blank(input) {
        let instruction = trimmed(text, 0..text.len());
        return Parts {
            text,
            instruction,
            has_input: true,
        };
    }
    let data = match pattern {
        Some(pattern) => pattern
            .captures(text)
            .and_then(|found| Some(found.get(1).or(found.get(0))?.range())),
        None if prefix.len() + suffix.len() > 0 => Some(prefix.len()..text.len() - suffix.len()),
        None => None,
    };
    if let Some(data) = data.filter(|data| !is_blank(&text[data.clone()])) {
        let [before, behind] =
            [0..data.start, data.end..text.len()].map(|side| trimmed(text, side));
        let is_behind = behind.len() > before.len();
        let longer = if is_behind { behind } else { before };
        if !longer.is_empty() {
            let n_bytes = opening(&text[longer.clone()]);
            return Parts {
                text,
                instruction: trimmed(text, longer.start..longer.start + n_bytes),
                has_input: !is_behind,
            };
        }
    }
    // Data may stand in it all the same: "Translate this: …".
    let whole = trimmed(text, 0..text.len());
    let n_bytes = opening(&text[whole.clone()]);
    let n_bytes = announcement(&text[whole.start..whole.start + n_bytes]).unwrap_or(n_bytes);
    let instruction = trimmed(text, whole.start..whole.start + n_bytes);
    Parts {
        text,
        has_input: instruction.end < whole.end,
        instruction,
    }
}

/// Characters of a label, at the most.
const LABEL_CHARS: usize = 32;

/// The bytes of the first paragraph, up to a line that opens with a label: what follows may be examples, or a place for data.
fn opening(text: &str) -> usize {
    let mut at = 0;
    for (nth, line) in text.split_inclusive('\n').enumerate() {
        let label = line.find(':').filter(|colon| *colon <= LABEL_CHARS);
        if line.trim().is_empty() || (nth > 0 && label.is_some()) {
            break;
        }
        at += line.len();
    }
    at
}

/// The bytes up to the first colon, where it announces something.
fn announcement(text: &str) -> Option<usize> {
    let mut colons = text.match_indices(':').map(|(at, _)| at + 1);
    colons.find(|at| text[*at..].starts_with([' ', '\n']))
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
        let split = |prefix, suffix| found(prompt, "", prefix, suffix, None);
        assert_eq!(
            split("Translate this:\n\n", "Answer:"),
            ("Translate this:", true)
        );
        assert_eq!(split("", ""), ("Translate this:", true));
        let by = |text, pattern| found(text, "", "", "", Some(pattern));
        assert_eq!(by(prompt, "\n\n(.*)\n"), ("Translate this:", true));
        assert_eq!(
            by("A dog\nTranslate that!", "^.*\n"),
            ("Translate that!", false)
        );
        assert_eq!(by(prompt, "nowhere"), ("Translate this:", true));
        // Everything is data: then it is an instruction of its own.
        assert_eq!(by("A dog", ".*"), ("A dog", false));
        assert_eq!(
            found(" Say it. \n", "a dog", "x", "y", None),
            ("Say it.", true)
        );
        assert_eq!(found("", "a dog", "", "", None), ("", true));
        assert_eq!(found("Só:\n", "", "Só:\n", "", None), ("Só:", false));
    }

    #[test]
    fn examples_and_data_inside_a_prompt_are_no_instruction() {
        let whole = |text| found(text, "", "", "", None);
        assert_eq!(
            whole("Translate into French: I like apples."),
            ("Translate into French:", true)
        );
        assert_eq!(
            whole("Name three rivers at 10:30"),
            ("Name three rivers at 10:30", false)
        );
        assert_eq!(
            whole("Judge the\ntweet.\nTweet: So nice"),
            ("Judge the\ntweet.", true)
        );
        let shots = "Translate English to French.\n\nEnglish: house\nFrench: maison\n\n";
        let text = format!("{shots}English: dog\nFrench:");
        assert_eq!(
            found(&text, "", shots, "", None),
            ("Translate English to French.", true)
        );
        let roles = "Role: You are a judge.\n\nJudge.\n";
        let text = format!("{roles}It");
        assert_eq!(
            found(&text, "", roles, "", None),
            ("Role: You are a judge.", true)
        );
    }
}
