use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use delia::config::Caps;
use delia::http::Token;
use delia::llm::{Asking, Client, Ended, Message, Outcome, Request, Role};
use url::Url;

use crate::fake_model::{completion, fault, prompt_of};
use crate::server::{Server, read};

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
