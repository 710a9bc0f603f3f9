//! What the client of a language model's server costs: requests for a second of its CPU, and memory over many of them.
//!
//! The server, which echoes, is this program again, in a process of its own; answers are synced to the disk like any others.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;

use delia::config::Caps;
use delia::llm::{Asking, Client, Message, Request, Role};
use url::Url;

/// Said to the process that is to be the server.
const SERVER: &str = "DELIA_BENCH_ECHO_SERVER";

const N_REQUESTS: u64 = 100_000;
const CONCURRENCY: usize = 64;
const REPORTS: u64 = 5;

fn main() {
    if env::var_os(SERVER).is_some() {
        return serve();
    }
    let this = env::current_exe().expect("this program");
    let mut server = Command::new(this)
        .env(SERVER, "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut address = String::new();
    let mut said = BufReader::new(server.stdout.take().expect("it is piped"));
    said.read_line(&mut address).expect("it says where it is");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(ask(&format!("http://{}/v1", address.trim())));
    server.kill().expect("it is ours");
    let _ = server.wait();
}

async fn ask(base: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let asking = Asking {
        concurrency: CONCURRENCY,
        ..Asking::default()
    };
    let base = Url::parse(base).expect("an address");
    let client = Client::open(&base, asking, Caps::default(), folder.path()).expect("it opens");
    println!("| requests | CPU | requests for a second of it | memory |\n|---:|---:|---:|---:|");
    let plan = (0..N_REQUESTS).map(|ordinal| (ordinal, request(ordinal)));
    let (mut n_done, before) = (0, cpu_seconds());
    let asked = client.ask(plan, |_, _| {
        n_done += 1;
        if n_done % (N_REQUESTS / REPORTS) == 0 {
            let seconds = cpu_seconds() - before;
            println!(
                "| {n_done} | {seconds:.1} s | {:.0} | {:.0} MB |",
                n_done as f64 / seconds,
                resident_megabytes()
            );
        }
        Ok(())
    });
    asked.await.expect("all are answered");
    client.close().await;
}

fn request(ordinal: u64) -> Request {
    Request {
        model: "echo".to_owned(),
        messages: vec![Message {
            role: Role::User,
            content: format!("{ordinal} {}", "a prompt of some length ".repeat(40)),
        }],
        max_tokens: 512,
        temperature: 0.0,
        seed: 0,
    }
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat
        .rsplit(") ")
        .next()
        .unwrap_or_default()
        .split(' ')
        .collect();
    let ticks = |nth: usize| fields[nth].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / 100.0
}

fn resident_megabytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("it is there");
    let kilobytes: f64 = line
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number");
    kilobytes / 1024.0
}

fn serve() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    println!("{}", listener.local_addr().expect("an address"));
    for stream in listener.incoming() {
        thread::spawn(move || converse(stream.expect("a connection")));
    }
}

/// Answers on one connection until it is closed.
fn converse(mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let answer = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"an answer of some length, an answer of some length, an answer of some length, an answer of some length"},"finish_reason":"stop"}],"usage":{"prompt_tokens":200,"completion_tokens":24,"total_tokens":224}}"#;
    loop {
        let (mut line, mut n_bytes) = (String::new(), 0);
        loop {
            line.clear();
            match reader.read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if line.trim().is_empty() => break,
                Ok(_) => {}
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                n_bytes = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; n_bytes];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            answer.len()
        );
        if stream
            .write_all([head.as_bytes(), answer.as_bytes()].concat().as_slice())
            .is_err()
        {
            return;
        }
    }
}
