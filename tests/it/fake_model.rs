use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::delia::{Ran, Scratch, hashes, samples};
use crate::server::{Asked, Reply};

/// The words of the fake model.
pub(crate) const WORDS: [&str; 64] = [
    "anchor", "basket", "candle", "desert", "engine", "forest", "garden", "hammer", "island",
    "jacket", "kettle", "ladder", "market", "needle", "orange", "pepper", "quarry", "ribbon",
    "saddle", "temple", "useful", "valley", "window", "yellow", "zipper", "butter", "copper",
    "dinner", "eleven", "feather", "gravel", "harbour", "insect", "jungle", "kitten", "lumber",
    "meadow", "nephew", "oyster", "pillow", "quiver", "rocket", "silver", "timber", "umpire",
    "velvet", "walnut", "yogurt", "zenith", "acorn", "bridge", "circus", "donkey", "easel",
    "fiddle", "goblet", "hazel", "igloo", "jigsaw", "kernel", "lentil", "mirror", "napkin",
    "otter",
];

pub(crate) fn prompt_of(asked: &Asked) -> String {
    let body: Value = serde_json::from_slice(&asked.body).expect("a body of JSON");
    let content = body.pointer("/messages/0/content").and_then(Value::as_str);
    content.expect("a message").to_owned()
}

/// A completion as servers send it.
pub(crate) fn completion(text: &str) -> Reply {
    let body = json!({
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 400, "completion_tokens": 100, "total_tokens": 500},
    });
    Reply::new(200, body.to_string()).header("Content-Type", "application/json")
}

/// What a model would write for this prompt: five pairs that depend on nothing else.
pub(crate) fn pairs_for(prompt: &str) -> String {
    let mut reader = blake3::Hasher::new()
        .update(prompt.as_bytes())
        .finalize_xof();
    let mut sentence = |n: usize| {
        let mut bytes = vec![0; n];
        reader.fill(&mut bytes);
        let words = bytes.iter().map(|byte| WORDS[usize::from(byte % 64)]);
        words.collect::<Vec<_>>().join(" ")
    };
    let mut pairs: Vec<_> = (0..4)
        .map(|_| json!({"instruction": sentence(9), "input": "", "output": sentence(5)}))
        .collect();
    // Of five one does not stay.
    pairs.push(json!({"instruction": sentence(9), "output": "I'm sorry, but I can't."}));
    format!("Here they are:\n```json\n{}\n```", Value::from(pairs))
}

pub(crate) fn model(asked: &Asked, _: usize) -> Reply {
    completion(&pairs_for(&prompt_of(asked)))
}

/// What can go wrong, in turn.
pub(crate) fn fault(nth: usize, good: &Reply) -> Reply {
    match nth % 8 {
        0 => Reply::new(429, r#"{"error": {"message": "slow down"}}"#).header("Retry-After", "0"),
        1 => Reply::new(429, ""),
        2 => Reply::new(500, "oops"),
        3 => Reply::new(503, r#"{"error": "loading"}"#),
        4 => good.clone().cut_after(30),
        5 if nth % 16 == 5 => good.clone().cut_after(30).stalls(Duration::from_secs(3)),
        6 => Reply::new(200, good.body[..good.body.len() / 2].to_vec())
            .header("Content-Type", "application/json"),
        _ => Reply::new(200, "<html>").header("Content-Type", "text/html"),
    }
}

pub(crate) fn command(scratch: &Scratch, endpoint: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_delia-build"));
    for name in [
        "OPENAI_API_KEY",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
    ] {
        command.env_remove(name);
    }
    scratch.file("task.jsonl", samples("task", 3));
    command
        .current_dir(scratch.path())
        .args([
            "--task",
            "task.jsonl",
            "--ratio",
            "10",
            "--endpoint",
            endpoint,
            "--llm-model",
            "tiny",
        ])
        .args(arguments);
    command
}

pub(crate) fn build(scratch: &Scratch, endpoint: &str, arguments: &[&str]) -> Ran {
    let usual = ["--cache", "cache"];
    scratch.run(&mut command(
        scratch,
        endpoint,
        &[&usual[..], arguments].concat(),
    ))
}

/// The shards, by name.
pub(crate) fn shards(folder: &Path) -> Vec<String> {
    let of_shards = |(name, hash): (String, String)| name.starts_with('0').then_some(hash);
    hashes(folder).into_iter().filter_map(of_shards).collect()
}
