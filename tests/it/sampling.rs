use std::collections::HashMap;
use std::fs;
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::delia::{Scratch, stream};
use crate::fake_model::{build, command, completion, fault, model, pairs_for, prompt_of, shards};
use crate::server::{Reply, Server, nobody};

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
            "of 100 pairs could be had: the budget is spent",
            "with a larger budget the command goes on from here",
        ],
    );
    let n_asked = server.asked().len();
    assert!(n_asked * 500 <= 8_000, "{n_asked} requests");
    assert_eq!(stream(&scratch.path().join("shards")), []);
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
            "0 of 12 pairs could be had: nothing stayed of the last",
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
        (&["--held-out", "llm:5"], "sampled for `--diverse`"),
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
    assert_eq!(stream(&scratch.path().join("shards")), []);
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

#[test]
fn ctrl_c_waits_for_answers_on_their_way_and_keeps_them() {
    let scratch = Scratch::new();
    let server = Server::start(|asked, nth| {
        thread::sleep(Duration::from_millis(700));
        model(asked, nth)
    });
    let arguments = [
        "--diverse",
        "llm:400",
        "--concurrency",
        "4",
        "--cache",
        "cache",
    ];
    let mut child = command(&scratch, &server.url("v1"), &arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    while server.asked().len() < 6 {
        thread::sleep(Duration::from_millis(5));
    }
    let interrupted = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(interrupted.expect("kill runs").success());
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().expect("piped"), &mut said)
        .expect("text");
    assert!(
        said.contains("waiting for answers on their way")
            && said.contains("goes on where it stopped"),
        "{said}"
    );
    let n_asked = server.asked().len();
    assert!(n_asked <= 12, "nothing more was sent: {n_asked}");
    let folder = fs::read_dir(scratch.path().join("cache/answers")).expect("a folder");
    let kept: usize = folder
        .map(|entry| {
            fs::read_to_string(entry.expect("an entry").path())
                .expect("text")
                .matches("\"answer\"")
                .count()
        })
        .sum();
    assert_eq!(kept, n_asked, "all that was asked is kept");
}

/// A server with a certificate that nobody has signed.
fn untrusted() -> String {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let certificate =
        CertificateDer::from_pem_slice(include_bytes!("../golden/tls/certificate.pem"));
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../golden/tls/key.pem"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.expect("a certificate")],
            key.expect("a key"),
        );
    let config = Arc::new(config.expect("they belong together"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let base = format!("https://{}/v1", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut connection =
                rustls::ServerConnection::new(Arc::clone(&config)).expect("a connection");
            // The client hangs up in the middle of it.
            let _ = connection.complete_io(&mut stream.expect("a stream"));
        }
    });
    base
}

#[test]
fn a_server_that_cannot_prove_who_it_is_is_asked_once() {
    let scratch = Scratch::new();
    let started = std::time::Instant::now();
    build(&scratch, &untrusted(), &["--diverse", "llm:5"]).fails(
        1,
        &[
            "the server is not trusted: invalid peer certificate",
            "nothing was sent",
        ],
    );
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "no try is repeated"
    );
}
