//! An answer to a request, as the server gives it and as it is kept.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Answer {
    /// What the model said.
    pub text: String,
    /// Why it stopped: `stop`, `length` and others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// What it cost, if the server says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Outcome {
    /// The answer.
    #[serde(rename = "answer")]
    Answered(Answer),
    /// The server does not answer this request; its words.
    #[serde(rename = "refused")]
    Refused(String),
}

impl Outcome {
    /// What it cost, where `most` is the most it can have: so much it is where the server does not say.
    pub(super) fn cost(&self, most: Usage) -> Usage {
        match self {
            Outcome::Answered(answer) => answer.usage.unwrap_or(most),
            Outcome::Refused(_) => Usage::default(),
        }
    }
}

/// Why a body is no completion.
#[derive(Debug)]
pub(super) enum Unread {
    /// It is nothing that a server of this protocol says.
    NoJson,
    /// It ends in the middle.
    BrokenOff(String),
    /// The server says something else.
    Other(String),
}

/// Tokens of a request and its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Usage {
    /// Tokens that went there.
    pub prompt_tokens: u64,
    /// Tokens that came back.
    pub completion_tokens: u64,
}

impl Usage {
    pub(super) fn plus(self, other: Usage) -> Usage {
        Usage {
            prompt_tokens: self.prompt_tokens.saturating_add(other.prompt_tokens),
            completion_tokens: self
                .completion_tokens
                .saturating_add(other.completion_tokens),
        }
    }
}

impl Answer {
    /// Reads the body of a completion.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn parse(body: &[u8]) -> Result<Answer, Unread> {
        let body: Value = serde_json::from_slice(body).map_err(|error| match error.is_eof() {
            true if !body.is_empty() => Unread::BrokenOff("the answer breaks off".to_owned()),
            _ => Unread::NoJson,
        })?;
        let Some(message) = body.pointer("/choices/0/message") else {
            let said = body.pointer("/error/message").or_else(|| body.get("error"));
            return Err(Unread::Other(match said {
                Some(said) => format!("the server says: {said}"),
                None => "the answer has no `choices` with a `message`".to_owned(),
            }));
        };
        let text = message.get("content").map_or(Some(String::new()), text_of);
        let finish_reason = body
            .pointer("/choices/0/finish_reason")
            .and_then(Value::as_str);
        let usage = body
            .get("usage")
            .and_then(|usage| Usage::deserialize(usage).ok());
        Ok(Answer {
            text: text.ok_or_else(|| {
                Unread::Other("the `content` of the answer is no text".to_owned())
            })?,
            finish_reason: finish_reason.map(str::to_owned),
            // A server that counts nothing says 0.
            usage: usage.filter(|usage| usage.prompt_tokens > 0),
        })
    }
}

/// A text, or parts of one. A model that refuses or calls a tool may say nothing.
fn text_of(content: &Value) -> Option<String> {
    match content {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => parts
            .iter()
            .map(|part| part.get("text")?.as_str())
            .collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_choice_is_the_answer() {
        let body = br#"{"id": "x", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}}"#;
        let answer = Answer::parse(body).expect("an answer");
        assert_eq!(
            (answer.text.as_str(), answer.finish_reason.as_deref()),
            ("Hi", Some("stop"))
        );
        assert_eq!(
            answer.usage,
            Some(Usage {
                prompt_tokens: 9,
                completion_tokens: 1
            })
        );
        let silent = br#"{"choices": [{"message": {"content": null}}]}"#;
        assert_eq!(Answer::parse(silent).expect("an answer").text, "");
    }

    #[test]
    fn parts_are_one_text() {
        let body = br#"{"choices": [{"message": {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}}]}"#;
        assert_eq!(Answer::parse(body).expect("an answer").text, "ab");
    }

    #[test]
    fn what_is_no_completion_is_told_apart() {
        let unread = |body: &[u8]| Answer::parse(body).unwrap_err();
        assert!(matches!(
            unread(br#"{"choices": [{"mess"#),
            Unread::BrokenOff(_)
        ));
        assert!(matches!(unread(b"<html>"), Unread::NoJson));
        assert!(matches!(unread(b""), Unread::NoJson));
        for (body, words) in [
            (&br#"{"choices": []}"#[..], "no `choices`"),
            (br#"{"choices": [{}]}"#, "no `choices`"),
            (br#"{"error": {"message": "overloaded"}}"#, "overloaded"),
            (
                br#"{"choices": [{"message": {"content": [1]}}]}"#,
                "no text",
            ),
        ] {
            let Unread::Other(said) = unread(body) else {
                panic!("it is whole")
            };
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn what_is_not_counted_costs_the_most() {
        let most = Usage {
            prompt_tokens: 50,
            completion_tokens: 70,
        };
        let cost = |usage: &str| {
            let body =
                format!(r#"{{"choices": [{{"message": {{"content": "a"}}}}], "usage": {usage}}}"#);
            let answer = Answer::parse(body.as_bytes()).expect("an answer");
            Outcome::Answered(answer).cost(most)
        };
        assert_eq!(
            cost(r#"{"prompt_tokens": 9, "completion_tokens": 0}"#)
                .plus(most)
                .prompt_tokens,
            59
        );
        for uncounted in [
            "null",
            r#"{"prompt_tokens": 0, "completion_tokens": 0}"#,
            r#"{"prompt_tokens": 9}"#,
        ] {
            assert_eq!(cost(uncounted), most);
        }
        assert_eq!(Outcome::Refused(String::new()).cost(most), Usage::default());
    }
}
