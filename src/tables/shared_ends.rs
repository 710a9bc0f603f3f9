//! `shared_ends(text)`: an aggregate, what all texts begin with and what they end with, as a list of the two, cut at line ends.
//!
//! The beginning ends with a line end and the end begins behind one; together they are never longer than the shortest text. Where
//! there is only one text, or all are the same, both are empty: nothing tells what would change.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::error::Result;
use datafusion::logical_expr::{Accumulator, AggregateUDF, Volatility, create_udaf};

pub(super) fn function() -> AggregateUDF {
    create_udaf(
        "shared_ends",
        vec![DataType::Utf8],
        Arc::new(list_of_texts()),
        Volatility::Immutable,
        Arc::new(|_| Ok(Box::new(Ends::default()))),
        Arc::new(vec![DataType::Utf8, DataType::Utf8, DataType::UInt64]),
    )
}

pub(super) fn list_of_texts() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))
}

/// What the texts seen so far share.
#[derive(Debug, Default)]
struct Ends {
    /// `None` before the first text.
    ends: Option<(String, String)>,
    /// Bytes of the shortest text.
    n_bytes_min: usize,
}

impl Ends {
    fn push(&mut self, front: &str, back: &str, n_bytes_min: usize) {
        match &mut self.ends {
            None => {
                self.ends = Some((front.to_owned(), back.to_owned()));
                self.n_bytes_min = n_bytes_min;
            }
            Some((prefix, suffix)) => {
                let same = |(a, b): &(u8, u8)| a == b;
                let n = prefix.bytes().zip(front.bytes()).take_while(same).count();
                prefix.truncate(prefix.floor_char_boundary(n));
                let n = suffix
                    .bytes()
                    .rev()
                    .zip(back.bytes().rev())
                    .take_while(same)
                    .count();
                let from = suffix.ceil_char_boundary(suffix.len() - n);
                suffix.drain(..from);
                self.n_bytes_min = self.n_bytes_min.min(n_bytes_min);
            }
        }
    }

    /// Both ends in whole lines, which do not overlap in any text.
    fn cut(&self) -> (&str, &str) {
        let Some((prefix, suffix)) = &self.ends else {
            return ("", "");
        };
        if prefix.len() >= self.n_bytes_min && suffix.len() >= self.n_bytes_min {
            return ("", "");
        }
        let prefix = &prefix[..prefix.rfind('\n').map_or(0, |at| at + 1)];
        let room = self.n_bytes_min - prefix.len();
        let suffix = &suffix[suffix.ceil_char_boundary(suffix.len().saturating_sub(room))..];
        let suffix = suffix.find('\n').map_or("", |at| &suffix[at + 1..]);
        (prefix, suffix)
    }
}

impl Accumulator for Ends {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let texts = values[0].as_string::<i32>();
        texts
            .iter()
            .flatten()
            .for_each(|text| self.push(text, text, text.len()));
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let (fronts, backs) = (states[0].as_string::<i32>(), states[1].as_string::<i32>());
        let lengths = states[2].as_primitive::<arrow::datatypes::UInt64Type>();
        for row in 0..fronts.len() {
            if fronts.is_valid(row) {
                self.push(
                    fronts.value(row),
                    backs.value(row),
                    lengths.value(row) as usize,
                );
            }
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let (front, back) = self.ends.clone().unzip();
        Ok(vec![
            ScalarValue::Utf8(front),
            ScalarValue::Utf8(back),
            (self.n_bytes_min as u64).into(),
        ])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let (prefix, suffix) = self.cut();
        let ends: ArrayRef = Arc::new(StringArray::from(vec![prefix, suffix]));
        Ok(SingleRowListArrayBuilder::new(ends).build_list_scalar())
    }

    fn size(&self) -> usize {
        let texts = self
            .ends
            .as_ref()
            .map_or(0, |(front, back)| front.capacity() + back.capacity());
        size_of_val(self) + texts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ends(texts: &[&str]) -> (String, String) {
        let mut all = Ends::default();
        texts
            .iter()
            .for_each(|text| all.push(text, text, text.len()));
        let (front, back) = all.cut();
        (front.to_owned(), back.to_owned())
    }

    #[test]
    fn ends_are_whole_lines() {
        let found = ends(&[
            "Translate:\n\nA dog\nAnswer:",
            "Translate:\n\nA donkey\nAnswer:",
        ]);
        assert_eq!(found, ("Translate:\n\n".to_owned(), "Answer:".to_owned()));
        assert_eq!(ends(&["Say a", "Say b"]), (String::new(), String::new()));
        assert_eq!(ends(&["one\ntwo"]), (String::new(), String::new()));
        assert_eq!(
            ends(&["one\ntwo", "one\ntwo"]),
            (String::new(), String::new())
        );
        assert_eq!(ends(&["a\nb\n", "a\n"]), ("a\n".to_owned(), String::new()));
        assert_eq!(
            ends(&["Þý\nö x", "Þý\né x"]),
            ("Þý\n".to_owned(), String::new())
        );
        assert_eq!(ends(&[]), (String::new(), String::new()));
    }

    proptest! {
        #[test]
        fn every_text_is_its_beginning_something_and_its_end(texts in prop::collection::vec("[aé\n]{0,9}", 1..6), split in 0_usize..6) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let (front, back) = ends(&texts);
            for text in &texts {
                prop_assert!(text.len() >= front.len() + back.len());
                prop_assert!(text.starts_with(&front) && text.ends_with(&back));
            }
            // In two parts it is the same.
            let (first, second) = texts.split_at(split.min(texts.len()));
            let mut parts = [first, second].map(|part| {
                let mut ends = Ends::default();
                part.iter().for_each(|text| ends.push(text, text, text.len()));
                ends
            });
            let mut merged = Ends::default();
            for part in &mut parts {
                let state: Vec<ArrayRef> = part.state().expect("a state").iter().map(|value| value.to_array().expect("an array")).collect();
                merged.merge_batch(&state).expect("merges");
            }
            prop_assert_eq!(merged.cut(), (front.as_str(), back.as_str()));
        }
    }
}
