//! The pairs in an answer, however a model wraps them.
//!
//! Asked for is a JSON array of objects. What comes may have words around it, stand in a code block, be one object a line, or
//! break off in the middle: every object that is whole counts, wherever it stands.

use serde::Serialize;
use serde_json::{Map, Value};

/// An instruction with what it is about and its response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Pair {
    pub(super) instruction: String,
    pub(super) input: String,
    pub(super) output: String,
}

impl Pair {
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts are JSON")
    }
}

/// Why an object is no pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NoPair(pub(super) &'static str);

/// What the parts are called, by models that do not heed what they were told too.
const INSTRUCTION: [&str; 5] = ["instruction", "prompt", "question", "task", "query"];
const INPUT: [&str; 2] = ["input", "context"];
const OUTPUT: [&str; 5] = ["output", "response", "answer", "completion", "result"];

/// The pairs of an answer in their order, and in place of an object that is none, why.
pub(super) fn pairs(answer: &str) -> Vec<Result<Pair, NoPair>> {
    let mut found = Vec::new();
    let mut rest = answer;
    let mut n_broken = 0;
    // An object that does not parse may hold ones that do.
    while let Some(start) = rest.find('{') {
        rest = &rest[start..];
        let mut objects =
            serde_json::Deserializer::from_str(rest).into_iter::<Map<String, Value>>();
        match objects.next() {
            Some(Ok(object)) => {
                rest = &rest[objects.byte_offset()..];
                unwrap(&object, &mut found);
            }
            _ => {
                rest = &rest[1..];
                n_broken += 1;
            }
        }
    }
    if n_broken > 0 {
        found.push(Err(NoPair("broken JSON")));
    }
    found
}

/// An object is a pair, or holds a list of them.
fn unwrap(object: &Map<String, Value>, found: &mut Vec<Result<Pair, NoPair>>) {
    let lists = object.values().filter_map(Value::as_array);
    let inside: Vec<_> = lists.flatten().filter_map(Value::as_object).collect();
    match pair(object) {
        Err(_) if !inside.is_empty() => found.extend(inside.into_iter().map(pair)),
        pair => found.push(pair),
    }
}

fn pair(object: &Map<String, Value>) -> Result<Pair, NoPair> {
    let text = |names: &[&str]| names.iter().find_map(|name| object.get(*name)).map(text_of);
    Ok(Pair {
        instruction: text(&INSTRUCTION).ok_or(NoPair("no instruction"))?,
        input: text(&INPUT).unwrap_or_default(),
        output: text(&OUTPUT).ok_or(NoPair("no output"))?,
    })
}

/// A number is as good as its text; so is an object where JSON was asked for.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Null => String::new(),
        Value::Number(_) | Value::Bool(_) | Value::Object(_) => value.to_string(),
        Value::Array(items) => {
            let lines: Option<Vec<_>> = items.iter().map(Value::as_str).collect();
            lines.map_or_else(|| value.to_string(), |lines| lines.join("\n"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(instruction: &str, input: &str, output: &str) -> Result<Pair, NoPair> {
        Ok(Pair {
            instruction: instruction.to_owned(),
            input: input.to_owned(),
            output: output.to_owned(),
        })
    }

    #[test]
    fn pairs_are_found_however_they_are_wrapped() {
        let one = r#"{"instruction": "Add.", "input": "1, 2", "output": 3}"#;
        let two = r#"{"question": "Who?", "answer": " You. "}"#;
        let both = [of("Add.", "1, 2", "3"), of("Who?", "", "You.")];
        for answer in [
            format!("[{one}, {two}]"),
            format!("Sure! Here you are:\n```json\n[{one},\n{two}]\n```\nAnything {{else}}?"),
            format!("{one}\n{two}"),
            format!(r#"{{"pairs": [{one}, {two}]}}"#),
        ] {
            let found: Vec<_> = pairs(&answer).into_iter().filter(Result::is_ok).collect();
            assert_eq!(found, both, "{answer}");
        }
        let broken_off = format!("[{one}, {two}, {{\"instruction\": \"Broken o");
        assert_eq!(pairs(&broken_off)[..2], both);
        assert_eq!(pairs(&broken_off)[2..], [Err(NoPair("broken JSON"))]);
    }

    #[test]
    fn what_is_no_pair_says_why() {
        assert_eq!(pairs("I cannot do that."), []);
        assert_eq!(
            pairs(r#"[{"instruction": "a"}]"#),
            [Err(NoPair("no output"))]
        );
        assert_eq!(pairs(r#"{"output": "a"}"#), [Err(NoPair("no instruction"))]);
        assert_eq!(
            pairs(r#"{"task": "a", "output": ["b", "c"]}"#),
            [of("a", "", "b\nc")]
        );
    }
}
