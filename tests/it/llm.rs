//! A language model's server that misbehaves on command, and builds that sample from it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use delia::config::Caps;
use delia::http::Token;
use delia::llm::{Asking, Client, Ended, Message, Outcome, Request, Role};
use serde_json::{Value, json};
use url::Url;

use crate::delia::{Ran, Scratch, hashes, samples, stream};
use crate::server::{Asked, Reply, Server, nobody, read};

/// The words of the fake model.
const WORDS: [&str; 64] = [
    "anchor", "basket", "candle", "desert", "engine", "forest", "garden", "hammer", "island",
    "jacket", "kettle", "ladder", "market", "needle", "orange", "pepper", "quarry", "ribbon",
    "saddle", "temple", "useful", "valley", "window", "yellow", "zipper", "butter", "copper",
    "dinner", "eleven", "feather", "gravel", "harbour", "insect", "jungle", "kitten", "lumber",
    "meadow", "nephew", "oyster", "pillow", "quiver", "rocket", "silver", "timber", "umpire",
    "velvet", "walnut", "yogurt", "zenith", "acorn", "bridge", "circus", "donkey", "easel",
    "fiddle", "goblet", "hazel", "igloo", "jigsaw", "kernel", "lentil", "mirror", "napkin",
    "otter",
];

fn prompt_of(asked: &Asked) -> String {
    let body: Value = serde_json::from_slice(&asked.body).expect("a body of JSON");
    let content = body.pointer("/messages/0/content").and_then(Value::as_str);
    content.expect("a message").to_owned()
}

/// A completion as servers send it.
fn completion(text: &str) -> Reply {
    let body = json!({
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 400, "completion_tokens": 100, "total_tokens": 500},
    });
    Reply::new(200, body.to_string()).header("Content-Type", "application/json")
}

/// What a model would write for this prompt: five pairs that depend on nothing else.
fn pairs_for(prompt: &str) -> String {
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

fn model(asked: &Asked, _: usize) -> Reply {
    completion(&pairs_for(&prompt_of(asked)))
}

/// What can go wrong, in turn.
fn fault(nth: usize, good: &Reply) -> Reply {
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

fn command(scratch: &Scratch, endpoint: &str, arguments: &[&str]) -> Command {
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

fn build(scratch: &Scratch, endpoint: &str, arguments: &[&str]) -> Ran {
    let usual = ["--cache", "cache"];
    scratch.run(&mut command(
        scratch,
        endpoint,
        &[&usual[..], arguments].concat(),
    ))
}

/// The shards, by name.
fn shards(folder: &Path) -> Vec<String> {
    let of_shards = |(name, hash): (String, String)| name.starts_with('0').then_some(hash);
    hashes(folder).into_iter().filter_map(of_shards).collect()
}

#[test]
fn samples_are_rows_like_any_other_and_cost_nothing_the_second_time() {
    let scratch = Scratch::new();
    let server = Server::start(model);
    let said = build(&scratch, &server.url("v1"), &["--diverse", "llm:40"]).ok();
    assert!(said.contains("40 kept"), "{said}");
    let rows = stream(&scratch.path().join("shards"));
    assert_eq!(rows.iter().filter(|row| !row.is_task()).count(), 30);
    let n_asked = server.asked().len();
    assert_eq!(n_asked, 10, "40 rows and a quarter more, at five a request");
    let asked = &server.asked()[0];
    assert_eq!(asked.path, "/v1/chat/completions");
    assert_eq!(asked.header("authorization"), None);
    // The same again from the answers; and from the recipe, without a server.
    let again = build(
        &scratch,
        &server.url("v1"),
        &[
            "--diverse",
            "llm:40",
            "--out",
            "again",
            "--concurrency",
            "1",
        ],
    )
    .ok();
    assert!(again.contains("answered earlier"), "{again}");
    assert_eq!(server.asked().len(), n_asked);
    assert_eq!(
        shards(&scratch.path().join("again")),
        shards(&scratch.path().join("shards"))
    );
    drop(server);
    let recipe = [
        "--recipe",
        "shards/recipe.toml",
        "--cache",
        "cache",
        "--out",
        "third",
    ];
    scratch.build(&recipe).ok();
    assert_eq!(
        shards(&scratch.path().join("third")),
        shards(&scratch.path().join("shards"))
    );
}

#[test]
fn rows_do_not_depend_on_what_goes_wrong_or_how_many_are_asked_at_a_time() {
    let scratch = Scratch::new();
    let calm = Server::start(model);
    // Two of five requests go wrong, and answers come out of order.
    let n_asked = AtomicUsize::new(0);
    let stormy = Server::start(move |asked, nth| {
        let good = model(asked, nth);
        thread::sleep(Duration::from_millis((nth * 7 % 5) as u64));
        match nth % 5 {
            1 | 3 => fault(n_asked.fetch_add(1, Ordering::Relaxed), &good),
            _ => good,
        }
    });
    // More than a round, so that requests show what the first one kept.
    let arguments = ["--diverse", "llm:1200", "--llm-timeout", "1"];
    build(
        &scratch,
        &calm.url("v1"),
        &[&arguments[..], &["--concurrency", "1", "--out", "calm"]].concat(),
    )
    .ok();
    let more = ["--concurrency", "32", "--out", "stormy", "--cache", "other"];
    scratch
        .run(&mut command(
            &scratch,
            &stormy.url("v1"),
            &[&arguments[..], &more].concat(),
        ))
        .ok();
    assert!(
        stormy.asked().len() > calm.asked().len(),
        "something went wrong"
    );
    assert_eq!(
        shards(&scratch.path().join("calm")),
        shards(&scratch.path().join("stormy"))
    );
}

#[test]
fn the_budget_holds_and_a_larger_one_goes_on() {
    let scratch = Scratch::new();
    let server = Server::start(model);
    // A request and its answer cost 500 tokens, and could cost some thousands.
    let arguments = ["--diverse", "llm:100", "--answer-tokens", "500"];
    let small = build(
        &scratch,
        &server.url("v1"),
        &[&arguments[..], &["--budget-tokens", "8000"]].concat(),
    );
    small.fails(
        3,
        &[
            "of 100 pairs could be sampled: the budget is spent",
            "with a larger budget the command goes on from here",
        ],
    );
    let n_asked = server.asked().len();
    assert!(n_asked * 500 <= 8_000, "{n_asked} requests");
    assert!(!scratch.path().join("shards").exists());
    // Another number at a time ends at the same place.
    let again = build(
        &scratch,
        &server.url("v1"),
        &[
            &arguments[..],
            &["--budget-tokens", "8000", "--concurrency", "1"],
        ]
        .concat(),
    );
    assert_eq!(
        again
            .stderr()
            .replace(&format!(" ({n_asked} answered earlier)"), ""),
        small.stderr()
    );
    assert_eq!(server.asked().len(), n_asked);
    let dollars = ["--budget-usd", "0.1", "--usd-per-mtok", "0.15,0.6"];
    let said = build(
        &scratch,
        &server.url("v1"),
        &[&arguments[..], &dollars].concat(),
    )
    .ok();
    assert!(said.contains("USD"), "{said}");
    assert_eq!(server.asked().len(), 25, "each was asked once");
    let unpriced = build(
        &scratch,
        &server.url("v1"),
        &["--diverse", "llm:9", "--budget-usd", "1"],
    );
    unpriced.fails(2, &["cannot be held without prices", "--usd-per-mtok"]);
}

#[test]
fn answers_that_are_of_no_use_are_counted_and_end_the_build() {
    let scratch = Scratch::new();
    let nonsense = Server::start(|asked, nth| match nth % 6 {
        0 => completion("the the the"),
        3 => completion("the {] the"),
        1 | 4 => completion(
            r#"[{"instruction": "Say why.", "output": "I'm sorry, but I can't."}, {"output": 1}]"#,
        ),
        _ => {
            Reply::new(400, r#"{"error": {"message": "flagged"}}"#).header("X", asked.path.clone())
        }
    });
    let ran = build(&scratch, &nonsense.url("v1"), &["--diverse", "llm:12"]);
    ran.fails(
        3,
        &[
            "0 of 12 pairs could be sampled: nothing stayed of the last",
            "an answer without a pair",
            "a refusal",
            "no instruction",
            "× a request refused",
            "refused with: the server answers 400 Bad Request: flagged",
            "broken JSON",
        ],
    );
}

#[test]
fn who_cannot_be_asked_is_said_in_a_line() {
    let scratch = Scratch::new();
    let refusing = |status: u16, said: &str| {
        let body = json!({"error": {"message": said, "code": "x"}}).to_string();
        Server::start(move |_, _| Reply::new(status, body.clone()))
    };
    let arguments = ["--diverse", "llm:5", "--llm-retries", "1"];
    let key = refusing(401, "Incorrect key");
    let ran = build(&scratch, &key.url("v1"), &arguments);
    ran.fails(
        1,
        &[
            "answers 401 Unauthorized: Incorrect key",
            "the environment variable `OPENAI_API_KEY` holds none",
        ],
    );
    assert_eq!(
        key.asked().len(),
        2,
        "two requests were planned, and none repeated"
    );
    let missing = refusing(404, "no model `tiny`");
    build(&scratch, &missing.url("v1"), &arguments)
        .fails(1, &["404 Not Found: no model `tiny`", "--llm-model"]);
    let poor = Server::start(|_, _| {
        Reply::new(
            429,
            r#"{"error": {"message": "quota", "code": "insufficient_quota"}}"#,
        )
    });
    build(&scratch, &poor.url("v1"), &arguments)
        .fails(1, &["quota", "the account has nothing left"]);
    let quiet = nobody();
    build(&scratch, &format!("{quiet}/v1"), &arguments).fails(1, &["no connection", "(2 tries)"]);
    // It does not speak TLS.
    let plain = Server::start(model).base.replace("http:", "https:");
    build(&scratch, &format!("{plain}/v1"), &arguments).fails(1, &["gives no answer", "(2 tries)"]);
    for (arguments, problem) in [
        (&["--diverse", "llm:many"][..], "not a number of rows"),
        (
            &["--diverse", "llm:5", "--temperature", "9"],
            "between 0 and 2",
        ),
        (&["--task", "llm:5"], "sampled for `--diverse`"),
    ] {
        build(&scratch, &plain, arguments).fails(2, &[problem]);
    }
    let alone = [
        "--diverse",
        "llm:5",
        "--task",
        "task.jsonl",
        "--cache",
        "cache",
    ];
    scratch
        .build(&alone)
        .fails(2, &["no server is named", "--endpoint"]);
    let dry = build(&scratch, &plain, &["--diverse", "llm:5", "--dry-run"]);
    dry.fails(1, &["are not sampled yet"]);
    assert!(!scratch.path().join("shards").exists());
}

#[test]
fn the_key_is_sent_and_written_nowhere() {
    const KEY: &str = "sk-very-secret-0815";
    let scratch = Scratch::new();
    let server = Server::start(model);
    let arguments = [
        "--diverse",
        "llm:10",
        "--api-key-env",
        "MY_KEY",
        "--cache",
        "cache",
    ];
    let ran = scratch.run(command(&scratch, &server.url("v1"), &arguments).env("MY_KEY", KEY));
    ran.ok();
    assert_eq!(
        server.asked()[0].header("authorization"),
        Some(&*format!("Bearer {KEY}"))
    );
    // Nor is it shown where a server repeats it.
    let telling = Server::start(|asked, _| {
        let said = format!("I do not know {:?}", asked.header("authorization"));
        Reply::new(401, json!({"error": {"message": said}}).to_string())
    });
    let arguments = [&arguments[..], &["--out", "other"]].concat();
    let refused = scratch.run(command(&scratch, &telling.url("v1"), &arguments).env("MY_KEY", KEY));
    refused.fails(
        1,
        &[
            "I do not know",
            "the key comes from the environment variable `MY_KEY`",
        ],
    );
    assert!(!refused.stderr().contains(KEY), "{}", refused.stderr());
    let mut folders = vec![scratch.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path).expect("readable");
                assert!(
                    !String::from_utf8_lossy(&bytes).contains(KEY),
                    "{}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn what_is_kept_is_not_asked_again_after_kills() {
    const KILLS: u64 = 10;
    let scratch = Scratch::new();
    let server = Server::start(|asked, nth| {
        thread::sleep(Duration::from_millis(40));
        model(asked, nth)
    });
    let arguments = [
        "--diverse",
        "llm:1200",
        "--concurrency",
        "4",
        "--cache",
        "cache",
    ];
    let kept = || -> Vec<String> {
        let folder = scratch.path().join("cache/answers");
        let Ok(entries) = fs::read_dir(folder) else {
            return Vec::new();
        };
        let texts =
            entries.map(|entry| fs::read_to_string(entry.expect("an entry").path()).expect("text"));
        // The answers are told apart by what they say.
        let lines = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
        let answers = lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        answers
            .map(|line| line["answer"]["text"].as_str().expect("a text").to_owned())
            .collect()
    };
    let times_asked = || -> HashMap<String, usize> {
        let mut times = HashMap::new();
        for asked in server.asked() {
            *times.entry(pairs_for(&prompt_of(&asked))).or_default() += 1;
        }
        times
    };
    let mut n_killed = 0;
    for nth in 1..=KILLS {
        let mut command = command(&scratch, &server.url("v1"), &arguments);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        thread::sleep(Duration::from_millis(100 + 23 * nth));
        child.kill().expect("it is ours");
        n_killed += usize::from(!child.wait().expect("it ends").success());
        // What the server had begun to answer is over.
        thread::sleep(Duration::from_millis(60));
        let before = times_asked();
        let known = kept();
        let mut next = command_again(&scratch, &server, &arguments);
        thread::sleep(Duration::from_millis(150));
        next.kill().expect("it is ours");
        let _ = next.wait();
        thread::sleep(Duration::from_millis(60));
        let after = times_asked();
        for answer in known {
            assert_eq!(
                after[&answer], before[&answer],
                "it was there, and was asked again"
            );
        }
    }
    assert!(n_killed > 5, "{n_killed} were still at work");
    build(&scratch, &server.url("v1"), &arguments[..4]).ok();
    let other = Scratch::new();
    let whole = Server::start(model);
    build(&other, &whole.url("v1"), &arguments[..4]).ok();
    assert_eq!(
        shards(&scratch.path().join("shards")),
        shards(&other.path().join("shards"))
    );
}

fn command_again(scratch: &Scratch, server: &Server, arguments: &[&str]) -> std::process::Child {
    let mut command = command(scratch, &server.url("v1"), arguments);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts")
}

/// Answers on connections that stay open, and every third answer twice.
fn twice_answering() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let base = format!("http://{}/v1", listener.local_addr().expect("an address"));
    let n_answers = Arc::new(AtomicUsize::new(0));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, n_answers) = (stream.expect("a connection"), Arc::clone(&n_answers));
            thread::spawn(move || {
                while let Some(asked) = read(&stream) {
                    let nth = n_answers.fetch_add(1, Ordering::Relaxed);
                    let mut reply = completion(&format!("echo {}", prompt_of(&asked)));
                    reply.body = String::from_utf8_lossy(&reply.body)
                        .replace("chatcmpl-1", &format!("chatcmpl-{nth}"))
                        .into();
                    let head = format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                        reply.body.len()
                    );
                    let whole = [head.as_bytes(), &reply.body].concat();
                    let mut to = &stream;
                    let mut sent = to.write_all(&whole);
                    if nth % 3 == 0 {
                        // Now at once, now so late that the next request may be on its way.
                        thread::sleep(Duration::from_micros((nth % 7 * 150) as u64));
                        sent = sent.and_then(|()| to.write_all(&whole));
                    }
                    if sent.is_err() {
                        return;
                    }
                }
            });
        }
    });
    base
}

#[test]
fn an_answer_that_comes_twice_is_not_taken_for_the_next() {
    const N: u64 = 600;
    let folder = tempfile::tempdir().expect("a folder");
    let base = Url::parse(&twice_answering()).expect("an address");
    let asking = Asking {
        concurrency: 4,
        ..Asking::default()
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let client = Client::open(&base, asking, Caps::default(), folder.path()).expect("it opens");
        let mut n_answers = 0;
        let ended = client.ask(questions(N), |ordinal, outcome| {
            let Outcome::Answered(answer) = outcome else {
                panic!("{outcome:?}")
            };
            assert_eq!(answer.text, format!("echo question {ordinal}"));
            n_answers += 1;
            Ok(())
        });
        assert_eq!(ended.await.expect("all are answered"), Ended::Whole);
        assert_eq!(n_answers, N);
        client.close().await;
    });
}

/// A plan of so many different questions.
fn questions(n: u64) -> impl Iterator<Item = (u64, Request)> {
    (0..n).map(|ordinal| {
        let message = Message {
            role: Role::User,
            content: format!("question {ordinal}"),
        };
        let request = Request {
            model: "m".to_owned(),
            messages: vec![message],
            max_tokens: 5,
            temperature: 0.0,
            seed: 0,
        };
        (ordinal, request)
    })
}

#[test]
fn five_thousand_answers_go_to_their_own_requests_and_none_is_bought_twice() {
    const N: u64 = 5_000;
    let folder = tempfile::tempdir().expect("a folder");
    let bought: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let (n_faults, counts) = (AtomicUsize::new(0), Arc::clone(&bought));
    // Every fifth request goes wrong.
    let server = Server::start(move |asked, nth| {
        let prompt = prompt_of(asked);
        let good = completion(&format!("echo {prompt}"));
        if nth % 5 == 2 {
            return fault(n_faults.fetch_add(1, Ordering::Relaxed), &good);
        }
        *counts
            .lock()
            .expect("not poisoned")
            .entry(prompt)
            .or_default() += 1;
        good
    });
    let base = Url::parse(&server.url("v1")).expect("an address");
    let asking = Asking {
        key: Token::new("key"),
        concurrency: 64,
        timeout: Duration::from_secs(2),
        retries: 20,
        ..Asking::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut n_tokens = BTreeSet::new();
    for n_known in [0, N] {
        let ended = runtime.block_on(async {
            let client = Client::open(&base, asking.clone(), Caps::default(), folder.path())
                .expect("it opens");
            let mut n_answers = 0;
            let ended = client
                .ask(questions(N), |ordinal, outcome| {
                    let Outcome::Answered(answer) = outcome else {
                        panic!("{outcome:?}")
                    };
                    assert_eq!(answer.text, format!("echo question {ordinal}"));
                    n_answers += 1;
                    Ok(())
                })
                .await;
            assert_eq!((n_answers, client.asked().known), (N, n_known));
            // What broken answers may have cost counts too, the second time as well.
            assert!(client.asked().tokens > 500 * N);
            n_tokens.insert(client.asked().tokens);
            client.close().await;
            ended
        });
        assert_eq!(ended.expect("all are answered"), Ended::Whole);
    }
    assert_eq!(n_tokens.len(), 1, "{n_tokens:?}");
    let bought = bought.lock().expect("not poisoned");
    assert_eq!(bought.len() as u64, N);
    assert!(bought.values().all(|&times| times == 1), "each once");
}
