use std::sync::Arc;

use arrow::json::ReaderBuilder;
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use crate::delia::{Row, Scratch, source_of, stream};

/// Builds from one task file and returns its rows in the order of the source.
pub(crate) fn built_from(scratch: &Scratch, name: &str, more: &[&str]) -> Vec<Row> {
    let arguments = [
        "--task", name, "--ratio", "0", "--reword", "off", "--out", "shards", "--force",
    ];
    scratch.build(&[&arguments[..], more].concat()).ok();
    let mut rows = stream(&scratch.path().join("shards"));
    rows.sort_by_key(|row| row.source_row);
    rows
}

fn texts(rows: &[Row]) -> Vec<(u64, &str, &str, &str)> {
    rows.iter()
        .map(|row| (row.source_row, &*row.instruction, &*row.input, &*row.output))
        .collect()
}

fn lines(records: &[Value]) -> String {
    records.iter().map(|record| format!("{record}\n")).collect()
}

/// The same records as a Parquet file, the columns being those of the records.
fn parquet(records: &[Value]) -> Vec<u8> {
    let text = lines(records);
    let (schema, _) = arrow::json::reader::infer_json_schema(text.as_bytes(), None).expect("JSON");
    let schema = Arc::new(schema);
    let batches = ReaderBuilder::new(Arc::clone(&schema)).build(text.as_bytes());
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, None).expect("Parquet");
    for batch in batches.expect("JSON") {
        writer.write(&batch.expect("rows")).expect("Parquet");
    }
    writer.close().expect("Parquet");
    bytes
}

/// Two conversations, one of several turns behind a system message, and one that is none.
fn openai() -> Vec<Value> {
    vec![
        json!({"id": "a", "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "2+2?"},
            {"role": "assistant", "content": "4"},
            {"role": "user", "content": "Twice that?"},
            {"role": "assistant", "content": "8"},
        ]}),
        json!({"id": "b", "messages": [{"role": "user", "content": "Are you there?"}]}),
        json!({"id": "c", "messages": [
            {"role": "user", "content": "Name the colour"},
            {"role": "assistant", "content": "grün"},
        ]}),
    ]
}

#[test]
fn a_conversation_is_its_first_question_and_answer() {
    let scratch = Scratch::new();
    scratch.file("chats.jsonl", lines(&openai()));
    scratch.file("chats.json", Value::from(openai()).to_string());
    scratch.file("chats.parquet", parquet(&openai()));
    for name in ["chats.jsonl", "chats.json", "chats.parquet"] {
        let rows = built_from(&scratch, name, &[]);
        let expected = [
            (0, "Be brief.\n\n2+2?", "", "4"),
            (2, "Name the colour", "", "grün"),
        ];
        assert_eq!(texts(&rows), expected, "{name}");
        let source = source_of(&scratch.path().join("shards"), "chats");
        assert_eq!(source["rows_in"], 3);
        assert_eq!(
            source["dropped_by_reason"],
            json!({"unreadable": 1}),
            "{name}"
        );
        assert_eq!(
            source["marks"],
            json!({"multi_turn": 1, "system_message": 1, "turns_left_out": 1})
        );
    }
    let dropped = "SELECT matched FROM dropped";
    let dropped = scratch.sql(&["shards", dropped, "--format", "csv"]).ok();
    assert!(dropped.contains("record 1: no message of a user is followed by an answer in words"));
}

#[test]
fn every_answer_can_be_a_sample() {
    let scratch = Scratch::new();
    scratch.file("chats.jsonl", lines(&openai()));
    scratch.file("chats.parquet", parquet(&openai()));
    for name in ["chats.jsonl", "chats.parquet"] {
        let rows = built_from(&scratch, name, &["--turns", "all"]);
        let expected = [
            (0, "Be brief.\n\n2+2?", "", "4"),
            (
                1,
                "Be brief.\n\nTwice that?",
                "user: 2+2?\nassistant: 4",
                "8",
            ),
            (3, "Name the colour", "", "grün"),
        ];
        assert_eq!(texts(&rows), expected, "{name}");
        let source = source_of(&scratch.path().join("shards"), "chats");
        assert_eq!(source["rows_in"], 4);
        assert_eq!(
            source["marks"],
            json!({"multi_turn": 2, "system_message": 2})
        );
    }
}

#[test]
fn share_gpt_is_read_with_its_system_column_and_tools() {
    let scratch = Scratch::new();
    let records = vec![
        json!({"system": "You know the weather.", "conversations": [
            {"from": "human", "value": "Weather in Vík?"},
            {"from": "function_call", "value": "{\"name\": \"weather\"}"},
            {"from": "observation", "value": "rain"},
            {"from": "gpt", "value": "Wet."},
        ]}),
        json!({"system": null, "conversations": [
            {"from": "gpt", "value": "How can I help?"},
            {"from": "human", "value": "Thanks"},
            {"from": "gpt", "value": "Bye."},
        ]}),
    ];
    scratch.file("share.jsonl", lines(&records));
    scratch.file("share.parquet", parquet(&records));
    for name in ["share.jsonl", "share.parquet"] {
        let rows = built_from(&scratch, name, &["--turns", "all"]);
        let expected = [
            (
                0,
                "You know the weather.\n\nWeather in Vík?",
                "function_call: {\"name\": \"weather\"}\nobservation: rain",
                "Wet.",
            ),
            (1, "Thanks", "assistant: How can I help?", "Bye."),
        ];
        assert_eq!(texts(&rows), expected, "{name}");
        let source = source_of(&scratch.path().join("shards"), "share");
        assert_eq!(
            source["marks"],
            json!({"system_message": 1, "tool_message": 1})
        );
    }
}

#[test]
fn content_may_be_a_list_of_parts() {
    let scratch = Scratch::new();
    let conversation = |content: Value| json!({"messages": [{"role": "user", "content": content}, {"role": "assistant", "content": [{"type": "text", "text": "ok"}]}]});
    let records = vec![
        conversation(
            json!([{"type": "text", "text": "Sum up:"}, {"type": "text", "text": "A tale."}]),
        ),
        conversation(
            json!([{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": "x"}}]),
        ),
    ];
    scratch.file("parts.jsonl", lines(&records));
    scratch.file("parts.parquet", parquet(&records));
    for name in ["parts.jsonl", "parts.parquet"] {
        let rows = built_from(&scratch, name, &[]);
        assert_eq!(texts(&rows), [(0, "Sum up:\nA tale.", "", "ok")], "{name}");
        let dropped = scratch
            .sql(&["shards", "SELECT matched FROM dropped", "--format", "csv"])
            .ok();
        assert!(
            dropped.contains("message 1 holds a part of type `image_url`, not text"),
            "{dropped}"
        );
    }
}

#[test]
fn columns_that_are_a_prompt_and_a_response_win_over_a_conversation() {
    let scratch = Scratch::new();
    let messages = json!([{"role": "user", "content": "from the list"}, {"role": "assistant", "content": "list"}]);
    let records = vec![
        json!({"prompt": "from the columns", "response": "columns", "messages": messages}),
        json!({"prompt": "half a pair", "response": null, "messages": messages}),
    ];
    scratch.file("both.jsonl", lines(&records));
    assert_eq!(
        texts(&built_from(&scratch, "both.jsonl", &[])),
        [
            (0, "from the columns", "", "columns"),
            (1, "from the list", "", "list")
        ]
    );
}

#[test]
fn what_conversations_lose_is_said_once_in_the_report() {
    let scratch = Scratch::new();
    scratch.file("chats.jsonl", lines(&openai()));
    let report = scratch
        .build(&["--task", "chats.jsonl", "--ratio", "0"])
        .ok();
    for note in [
        "note    `chats`: 1 rows with a system message before the instruction",
        "note    `chats`: 1 conversations have several turns, of which only the first is used; `--turns all` uses every one",
    ] {
        assert_eq!(report.matches(note).count(), 1, "`{note}` in:\n{report}");
    }
    let recipe = std::fs::read_to_string(scratch.path().join("shards/recipe.toml"));
    assert!(recipe.expect("a recipe").contains("turns = \"single\""));
    // Another reading is another build.
    scratch
        .build(&["--task", "chats.jsonl", "--ratio", "0", "--turns", "all"])
        .fails(1, &["`build.turns` is `\"single\"` there, `\"all\"` here"]);
}
