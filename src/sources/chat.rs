//! Conversations become samples: what was asked, what was said before, what was answered.
//!
//! Chat records hold their turns in a list, `messages` of `{role, content}` or, as ShareGPT has it, `conversations` of
//! `{from, value}`. A sample's output is an answer, its instruction the question before it, and its input whatever was said
//! otherwise, as lines `role: text`. An answer that calls a tool is not learned from, since the call is no text of it: like
//! what the tool says, it is context of the answer that follows.

use serde_json::Value;

use crate::config::Turns;

use super::marks::Marks;

/// Columns that hold a conversation.
const COLUMNS: [&str; 2] = ["messages", "conversations"];

/// The column beside it that may hold a system message.
pub(super) const SYSTEM_COLUMN: &str = "system";

/// Between a system message and the instruction, and between two system messages that other turns part.
const PARAGRAPH: &str = "\n\n";

/// Whether a column of this name holds conversations.
pub(super) fn is_conversation(column: &str) -> bool {
    COLUMNS.iter().any(|name| name.eq_ignore_ascii_case(column))
}

/// A sample of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChatSample {
    pub(super) instruction: String,
    pub(super) input: String,
    pub(super) output: String,
    pub(super) marks: Marks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaker {
    System,
    User,
    Assistant,
    Tool,
}

/// What one speaker said without another's word in between.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Turn {
    speaker: Speaker,
    /// As it is written in the input.
    role: String,
    text: String,
    calls_tool: bool,
}

/// The samples of a conversation as it stands in a record, with the system message that stands beside it. Where no answer is
/// needed, a last question without one is a sample too.
///
/// # Errors
/// A sentence on why there is none.
pub(super) fn samples(
    conversation: &Value,
    system: Option<&str>,
    turns: Turns,
    needs_answer: bool,
) -> Result<Vec<ChatSample>, String> {
    let conversation = parse(conversation)?;
    let is_of_tool = |turn: &Turn| turn.speaker == Speaker::Tool || turn.calls_tool;
    let tool_message = conversation.iter().any(is_of_tool);
    let mut systems: Vec<&str> = system.filter(|text| !text.is_empty()).into_iter().collect();
    let (mut question, mut found) = (None, Vec::new());
    for (place, turn) in conversation.iter().enumerate() {
        match (turn.speaker, question) {
            (Speaker::System, _) if !turn.text.is_empty() => systems.push(&turn.text),
            (Speaker::User, _) => question = Some(place),
            (Speaker::Assistant, Some(question)) if !turn.calls_tool => {
                found.push(sample(&conversation[..=place], question, &systems));
            }
            _ => {}
        }
    }
    if let Some(last) = question.filter(|_| !needs_answer)
        && last + 1 == conversation.len()
    {
        let mut asked = conversation.clone();
        asked.push(Turn {
            speaker: Speaker::Assistant,
            role: "assistant".to_owned(),
            text: String::new(),
            calls_tool: false,
        });
        found.push(sample(&asked, last, &systems));
    }
    if found.is_empty() {
        return Err("no message of a user is followed by an answer in words".to_owned());
    }
    let multi_turn = found.len() > 1;
    if turns == Turns::Single {
        found.truncate(1);
    }
    for sample in &mut found {
        sample.marks.tool_message = tool_message;
        sample.marks.multi_turn = multi_turn;
        sample.marks.turns_left_out = multi_turn && turns == Turns::Single;
    }
    Ok(found)
}

/// The sample whose answer is the last of `turns`.
fn sample(turns: &[Turn], question: usize, systems: &[&str]) -> ChatSample {
    let (answer, before) = turns.split_last().expect("it holds the answer");
    let context: Vec<_> = before
        .iter()
        .enumerate()
        .filter(|(place, turn)| {
            *place != question && turn.speaker != Speaker::System && !turn.text.is_empty()
        })
        .map(|(_, turn)| format!("{}: {}", turn.role, turn.text))
        .collect();
    let asked = turns[question].text.as_str();
    let instruction = match asked.trim() {
        // A system message alone asks for nothing.
        "" => String::new(),
        _ => [systems, &[asked]].concat().join(PARAGRAPH),
    };
    ChatSample {
        instruction,
        input: context.join("\n"),
        output: answer.text.clone(),
        marks: Marks {
            system_message: !systems.is_empty(),
            ..Marks::default()
        },
    }
}

fn parse(conversation: &Value) -> Result<Vec<Turn>, String> {
    let Value::Array(messages) = conversation else {
        return Err(format!(
            "its conversation is {}, not a list",
            described(conversation)
        ));
    };
    let mut turns: Vec<Turn> = Vec::with_capacity(messages.len());
    for (nth, message) in (1..).zip(messages) {
        let turn = turn(message).map_err(|problem| format!("message {nth} {problem}"))?;
        match turns.last_mut() {
            // Whoever speaks twice in a row has said it in two parts.
            Some(last) if last.role == turn.role && last.calls_tool == turn.calls_tool => {
                if !last.text.is_empty() && !turn.text.is_empty() {
                    last.text.push('\n');
                }
                last.text.push_str(&turn.text);
            }
            _ => turns.push(turn),
        }
    }
    Ok(turns)
}

fn turn(message: &Value) -> Result<Turn, String> {
    let Value::Object(message) = message else {
        return Err(format!("is {}, not an object", described(message)));
    };
    let either = |names: [&str; 2]| {
        let found = names.iter().filter_map(|name| message.get(*name));
        found.into_iter().find(|value| !value.is_null())
    };
    let role = match either(["role", "from"]) {
        Some(Value::String(role)) => role.trim().to_lowercase(),
        Some(other) => return Err(format!("has {} for a role", described(other))),
        None => return Err("has no role".to_owned()),
    };
    let (speaker, role) = match role.as_str() {
        "system" | "developer" => (Speaker::System, "system"),
        "user" | "human" | "prompter" => (Speaker::User, "user"),
        "assistant" | "gpt" | "chatgpt" | "model" | "bot" | "ai" | "bard" | "bing" => {
            (Speaker::Assistant, "assistant")
        }
        "tool" | "function" | "observation" | "function_call" | "function_response"
        | "tool_call" | "tool_response" | "ipython" => (Speaker::Tool, role.as_str()),
        _ => return Err(format!("has the role `{role}`, which is not known")),
    };
    let is_there = |name: &str| match message.get(name) {
        None | Some(Value::Null) => false,
        Some(Value::Array(calls)) => !calls.is_empty(),
        Some(_) => true,
    };
    Ok(Turn {
        speaker,
        role: role.to_owned(),
        text: content(either(["content", "value"]))?,
        calls_tool: is_there("tool_calls") || is_there("function_call"),
    })
}

/// The text of a message: a string, or a list of parts that are text.
fn content(content: Option<&Value>) -> Result<String, String> {
    match content {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(parts)) => {
            let texts = parts.iter().map(part).collect::<Result<Vec<_>, _>>()?;
            Ok(texts.join("\n"))
        }
        Some(other) => Err(format!("holds {}, not text", described(other))),
    }
}

fn part(part: &Value) -> Result<&str, String> {
    match part {
        Value::String(text) => return Ok(text),
        Value::Object(fields) => {
            if let Some(Value::String(text)) = fields.get("text") {
                return Ok(text);
            }
            if let Some(Value::String(kind)) = fields.get("type") {
                return Err(format!("holds a part of type `{kind}`, not text"));
            }
        }
        _ => {}
    }
    Err(format!("holds {} as a part, not text", described(part)))
}

fn described(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(conversation: &Value, turns: Turns) -> Vec<[String; 3]> {
        let samples = samples(conversation, None, turns, true).expect("samples");
        samples
            .into_iter()
            .map(|sample| [sample.instruction, sample.input, sample.output])
            .collect()
    }

    #[test]
    fn a_question_and_its_answer_are_a_sample_in_either_notation() {
        let openai =
            json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]);
        let share_gpt =
            json!([{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]);
        for turns in [Turns::Single, Turns::All] {
            assert_eq!(texts(&openai, turns), [["Hi", "", "Hello"]]);
            assert_eq!(texts(&share_gpt, turns), [["Hi", "", "Hello"]]);
        }
    }

    #[test]
    fn every_answer_becomes_a_sample_with_what_was_said_before() {
        let conversation = json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "2+2?"},
            {"role": "assistant", "content": "4"},
            {"role": "user", "content": "Twice that?"},
            {"role": "assistant", "content": "8"},
            {"role": "user", "content": "And"},
        ]);
        assert_eq!(
            texts(&conversation, Turns::All),
            [
                ["Be brief.\n\n2+2?", "", "4"],
                ["Be brief.\n\nTwice that?", "user: 2+2?\nassistant: 4", "8"],
            ]
        );
        assert_eq!(
            texts(&conversation, Turns::Single),
            [["Be brief.\n\n2+2?", "", "4"]]
        );
        let marks = |turns| samples(&conversation, None, turns, true).expect("samples")[0].marks;
        let expected = |turns_left_out| Marks {
            system_message: true,
            multi_turn: true,
            turns_left_out,
            ..Marks::default()
        };
        assert_eq!(marks(Turns::Single), expected(true));
        assert_eq!(marks(Turns::All), expected(false));
    }

    #[test]
    fn an_answer_that_calls_a_tool_is_context_of_the_one_that_follows() {
        let conversation = json!([
            {"role": "user", "content": "Weather in Vík?"},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "1"}]},
            {"role": "tool", "content": "4 °C, rain"},
            {"role": "assistant", "content": "Wet, 4 °C.", "tool_calls": []},
        ]);
        assert_eq!(
            texts(&conversation, Turns::All),
            [["Weather in Vík?", "tool: 4 °C, rain", "Wet, 4 °C."]]
        );
        let share_gpt = json!([
            {"from": "human", "value": "Weather?"},
            {"from": "function_call", "value": "{\"name\": \"w\"}"},
            {"from": "observation", "value": "rain"},
            {"from": "gpt", "value": "Wet."},
        ]);
        assert_eq!(
            texts(&share_gpt, Turns::Single),
            [[
                "Weather?",
                "function_call: {\"name\": \"w\"}\nobservation: rain",
                "Wet."
            ]]
        );
        let sample = &samples(&share_gpt, None, Turns::Single, true).expect("a sample")[0];
        assert!(sample.marks.tool_message && !sample.marks.multi_turn);
    }

    #[test]
    fn parts_and_repeated_speakers_are_joined() {
        let conversation = json!([
            {"role": "assistant", "content": "How can I help?"},
            {"role": "user", "content": [{"type": "text", "text": "Sum up:"}, {"type": "text", "text": "A tale."}]},
            {"role": "user", "content": "Thanks"},
            {"role": "assistant", "content": ["It is", "a tale."]},
        ]);
        assert_eq!(
            texts(&conversation, Turns::Single),
            [[
                "Sum up:\nA tale.\nThanks",
                "assistant: How can I help?",
                "It is\na tale."
            ]]
        );
    }

    #[test]
    fn a_system_column_comes_first() {
        let conversation = json!([{"from": "system", "value": "B"}, {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]);
        let samples = samples(&conversation, Some("A"), Turns::Single, true).expect("a sample");
        assert_eq!(samples[0].instruction, "A\n\nB\n\nq");
    }

    #[test]
    fn what_is_no_conversation_is_said() {
        for (conversation, problem) in [
            (json!("Hi"), "its conversation is text, not a list"),
            (json!([]), "no message of a user is followed by an answer"),
            (
                json!([{"role": "assistant", "content": "Hi"}]),
                "no message of a user",
            ),
            (json!(["Hi"]), "message 1 is text, not an object"),
            (json!([{"content": "Hi"}]), "message 1 has no role"),
            (
                json!([{"role": 7, "content": "Hi"}]),
                "message 1 has a number for a role",
            ),
            (
                json!([{"role": "Critic", "content": "Hi"}]),
                "message 1 has the role `critic`",
            ),
            (
                json!([{"role": "user", "content": 7}]),
                "message 1 holds a number, not text",
            ),
            (
                json!([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]),
                "message 1 holds a part of type `image_url`",
            ),
        ] {
            let refused = samples(&conversation, None, Turns::All, true).unwrap_err();
            assert!(refused.contains(problem), "{refused}");
        }
    }
}
