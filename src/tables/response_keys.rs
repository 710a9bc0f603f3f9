//! `response_keys(output)`: an aggregate, the keys of all JSON objects that are responses, in ascending order.
//!
//! Keys of objects inside count too; a response that is no JSON has none. A response may stand in a block of code.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use datafusion::common::ScalarValue;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::error::Result;
use datafusion::logical_expr::{Accumulator, AggregateUDF, Volatility, create_udaf};
use serde_json::Value;

use super::shared_ends::list_of_texts;

/// So many keys are a vocabulary, and no format any more.
const MOST_KEYS: usize = 256;

pub(super) fn function() -> AggregateUDF {
    create_udaf(
        "response_keys",
        vec![arrow::datatypes::DataType::Utf8],
        Arc::new(list_of_texts()),
        Volatility::Immutable,
        Arc::new(|_| Ok(Box::new(Keys::default()))),
        Arc::new(vec![list_of_texts()]),
    )
}

#[derive(Debug, Default)]
struct Keys(BTreeSet<String>);

impl Keys {
    fn push(&mut self, output: &str) {
        let output = output.trim();
        let inside = output
            .strip_prefix("```")
            .and_then(|rest| rest.strip_suffix("```"));
        let text = inside.map_or(output, |text| {
            text.split_once('\n').map_or(text, |(_, rest)| rest).trim()
        });
        if text.starts_with(['{', '['])
            && let Ok(value) = serde_json::from_str(text)
        {
            self.value(&value);
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    // Which ones are left out must not depend on the order of the rows: the greatest.
                    self.0.insert(key.clone());
                    if self.0.len() > MOST_KEYS {
                        self.0.pop_last();
                    }
                    self.value(value);
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.value(value)),
            _ => {}
        }
    }
}

impl Accumulator for Keys {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let outputs = values[0].as_string::<i32>();
        outputs
            .iter()
            .flatten()
            .for_each(|output| self.push(output));
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for keys in states[0].as_list::<i32>().iter().flatten() {
            self.0
                .extend(keys.as_string::<i32>().iter().flatten().map(str::to_owned));
        }
        while self.0.len() > MOST_KEYS {
            self.0.pop_last();
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let keys: ArrayRef = Arc::new(StringArray::from_iter_values(&self.0));
        Ok(SingleRowListArrayBuilder::new(keys).build_list_scalar())
    }

    fn size(&self) -> usize {
        size_of_val(self)
            + self
                .0
                .iter()
                .map(|key| key.capacity() + size_of::<String>())
                .sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_wherever_an_object_stands() {
        let mut keys = Keys::default();
        for output in [
            r#"{"thought": "a {b}", "hallucination": "yes"}"#,
            "```json\n[{\"a\": {\"b\": [{\"c\": 1}]}}]\n```",
            "no {\"x\": 1}",
            "{broken",
            "",
        ] {
            keys.push(output);
        }
        assert_eq!(
            keys.0.iter().collect::<Vec<_>>(),
            ["a", "b", "c", "hallucination", "thought"]
        );
        let state = keys.state().expect("a state")[0]
            .to_array()
            .expect("an array");
        let mut merged = Keys::default();
        merged.merge_batch(&[state]).expect("merges");
        assert_eq!(merged.0, keys.0);
        for n in 0..1_000 {
            keys.push(&format!("{{\"k{n:03}\": 0}}"));
        }
        assert_eq!(keys.0.len(), MOST_KEYS);
    }
}
