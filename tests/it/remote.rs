use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;

use crate::delia::{Ran, Scratch, hashes, samples, source_of, stream};
use crate::server::{Asked, Reply, Server, file, nobody};

/// The test's own environment: no proxy, token or hub of the person who runs it.
fn command(scratch: &Scratch, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_delia-build"));
    for name in [
        "HF_TOKEN",
        "HF_ENDPOINT",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
    ] {
        command.env_remove(name);
    }
    command
        .current_dir(scratch.path())
        .args(arguments)
        .args(["--cache", "cache"]);
    command
}

/// Builds with `diverse` as the diverse source, over the small task set.
fn build(scratch: &Scratch, diverse: &str, more: &[&str]) -> Ran {
    scratch.file("task.jsonl", samples("task", 3));
    let arguments = ["--task", "task.jsonl", "--diverse", diverse, "--ratio", "2"];
    scratch.run(&mut command(scratch, &[&arguments[..], more].concat()))
}

/// The build from the file itself, for comparison.
fn of_file(scratch: &Scratch, name: &str, bytes: &[u8], out: &str) {
    scratch.file(name, bytes);
    build(scratch, name, &["--out", out]).ok();
}

/// The shards, by name: not the files that name where they came from.
fn shards(folder: &Path) -> Vec<String> {
    let of_shards = |(name, hash): (String, String)| name.starts_with('0').then_some(hash);
    hashes(folder).into_iter().filter_map(of_shards).collect()
}

#[test]
fn a_file_is_fetched_once_and_then_only_asked_about() {
    let scratch = Scratch::new();
    let bytes = zstd::encode_all(samples("diverse", 40).as_bytes(), 3).expect("in memory");
    let (body, etag) = (bytes.clone(), "\"v1\"");
    let server = Server::start(move |asked, _| file(&body, etag, asked));
    let url = server.url("data/diverse.jsonl.zst?download=true");
    build(&scratch, &url, &[]).ok();
    of_file(&scratch, "diverse.jsonl.zst", &bytes, "local");
    let folder = scratch.path().join("shards");
    assert_eq!(shards(&folder), shards(&scratch.path().join("local")));
    let source = source_of(&folder, "diverse");
    assert_eq!(source["path"], url.as_str());
    assert_eq!(source["blake3"], blake3::hash(&bytes).to_hex().as_str());

    build(&scratch, &url, &["--out", "again"]).ok();
    assert!(build(&scratch, &url, &[]).ok().contains("up to date"));
    let asked = server.asked();
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[0].header("if-none-match"), None);
    assert_eq!(asked[0].header("accept-encoding"), Some("identity"));
    for later in &asked[1..] {
        assert_eq!(later.header("if-none-match"), Some(etag));
    }
    assert_eq!(hashes(&folder), hashes(&scratch.path().join("again")));
}

#[test]
fn a_file_that_changed_is_fetched_again() {
    let scratch = Scratch::new();
    let server = Server::start(|asked, nth| match nth {
        0 => file(samples("old", 40).as_bytes(), "\"old\"", asked),
        _ => file(samples("new", 40).as_bytes(), "\"new\"", asked),
    });
    let url = server.url("diverse.jsonl");
    build(&scratch, &url, &[]).ok();
    build(&scratch, &url, &[]).fails(1, &["holds another build", "hint: choose another folder"]);
    build(&scratch, &url, &["--force"]).ok();
    let rows = stream(&scratch.path().join("shards"));
    assert!(
        rows.iter()
            .all(|row| row.is_task() || row.input.starts_with("new"))
    );
}

#[test]
fn a_download_that_breaks_off_goes_on_where_it_stopped() {
    let scratch = Scratch::new();
    let text = samples("diverse", 4_000);
    let length = text.len();
    let body = text.clone();
    let server = Server::start(move |asked, nth| {
        let reply = file(body.as_bytes(), "\"v1\"", asked);
        match nth {
            0 => reply.cut_after(length / 3),
            1 => reply.cut_after(length / 3),
            _ => reply,
        }
    });
    build(&scratch, &server.url("diverse.jsonl"), &["--retries", "1"]).ok();
    of_file(&scratch, "diverse.jsonl", text.as_bytes(), "local");
    assert_eq!(
        shards(&scratch.path().join("shards")),
        shards(&scratch.path().join("local"))
    );
    let asked = server.asked();
    let first: Vec<_> = asked.iter().map(|asked| asked.first_byte()).collect();
    assert_eq!(first, [None, Some(length / 3), Some(length / 3 * 2)]);
    assert_eq!(asked[1].header("if-range"), Some("\"v1\""));
}

#[test]
fn a_download_without_a_length_is_whole_or_broken_off() {
    let scratch = Scratch::new();
    let text = samples("diverse", 1_000);
    let body = text.clone();
    let server = Server::start(move |asked, nth| {
        let reply = file(body.as_bytes(), "\"v1\"", asked).chunked();
        match nth {
            0 => reply.cut_after(30_000),
            _ => reply,
        }
    });
    build(&scratch, &server.url("diverse.jsonl"), &["--retries", "1"]).ok();
    assert_eq!(server.asked()[1].first_byte(), Some(30_000));
    let blake3 = source_of(&scratch.path().join("shards"), "diverse")["blake3"].clone();
    assert_eq!(blake3, blake3::hash(text.as_bytes()).to_hex().as_str());
}

#[test]
fn a_redirect_is_followed_without_the_token_and_with_the_range() {
    let scratch = Scratch::new();
    let text = samples("diverse", 1_000);
    let body = text.clone();
    let store = Server::start(move |asked, nth| {
        let reply = file(body.as_bytes(), "\"v1\"", asked);
        match nth {
            0 => reply.cut_after(20_000),
            _ => reply,
        }
    });
    let elsewhere = store.url("blob");
    let hub = Server::start(move |_, _| Reply::new(302, "").header("Location", elsewhere.clone()));
    scratch.file("task.jsonl", samples("task", 3));
    let url = hub.url("diverse.jsonl");
    let arguments = ["--task", "task.jsonl", "--diverse", &url, "--ratio", "2"];
    let mut command = command(&scratch, &arguments);
    command
        .env("HF_TOKEN", "hf_abcdef123")
        .env("HF_ENDPOINT", &hub.base);
    scratch.run(&mut command).ok();
    let (asked, stored) = (hub.asked(), store.asked());
    assert_eq!((asked.len(), stored.len()), (2, 2));
    for asked in &asked {
        assert_eq!(
            asked.header("authorization"),
            Some("Bearer hf_abcdef123"),
            "the hub knows who asks"
        );
    }
    assert!(
        stored
            .iter()
            .all(|asked| asked.header("authorization").is_none())
    );
    let first: Vec<_> = stored.iter().map(Asked::first_byte).collect();
    assert_eq!(first, [None, Some(20_000)]);
    let blake3 = source_of(&scratch.path().join("shards"), "diverse")["blake3"].clone();
    assert_eq!(blake3, blake3::hash(text.as_bytes()).to_hex().as_str());
}

#[test]
fn the_next_command_goes_on_with_what_the_last_one_left() {
    let scratch = Scratch::new();
    let text = samples("diverse", 1_000);
    let body = text.clone();
    let server = Server::start(move |asked, nth| {
        let reply = file(body.as_bytes(), "\"v1\"", asked);
        if nth == 0 {
            reply.cut_after(20_000)
        } else {
            reply
        }
    });
    let url = server.url("diverse.jsonl");
    build(&scratch, &url, &["--retries", "0"]).fails(
        1,
        &[
            "could not fetch `http://127.0.0.1",
            "goes on where the download stopped",
        ],
    );
    assert!(
        !scratch.path().join("shards").exists(),
        "nothing was written"
    );
    build(&scratch, &url, &["--retries", "0"]).ok();
    assert_eq!(server.asked()[1].first_byte(), Some(20_000));
    let blake3 = source_of(&scratch.path().join("shards"), "diverse")["blake3"].clone();
    assert_eq!(blake3, blake3::hash(text.as_bytes()).to_hex().as_str());
}

#[test]
fn a_download_starts_over_where_it_cannot_go_on() {
    let text = samples("diverse", 1_000);
    let whole = blake3::hash(text.as_bytes()).to_hex().to_string();
    let length = text.len();
    let body = text.clone();
    // The second answer of a server that …
    type Answer = Arc<dyn Fn() -> Reply + Send + Sync>;
    let second: [(&str, Answer); 5] = [
        ("ignores ranges", {
            let body = body.clone();
            Arc::new(move || Reply::new(200, body.clone()).header("ETag", "\"v1\""))
        }),
        ("has another file by now", {
            let body = body.clone();
            Arc::new(move || {
                Reply::new(206, &body.as_bytes()[500..])
                    .header("ETag", "\"v2\"")
                    .header(
                        "Content-Range",
                        format!("bytes 500-{}/{length}", length - 1),
                    )
            })
        }),
        ("sends another range", {
            let body = body.clone();
            Arc::new(move || {
                Reply::new(206, &body.as_bytes()[100..])
                    .header("ETag", "\"v1\"")
                    .header(
                        "Content-Range",
                        format!("bytes 100-{}/{length}", length - 1),
                    )
            })
        }),
        ("says nothing of the range", {
            let body = body.clone();
            Arc::new(move || Reply::new(206, &body.as_bytes()[500..]))
        }),
        ("has a shorter file by now", {
            Arc::new(move || Reply::new(416, "").header("Content-Range", "bytes */7"))
        }),
    ];
    for (what, second) in second {
        let scratch = Scratch::new();
        let body = body.clone();
        let server = Server::start(move |asked, nth| match nth {
            0 => file(body.as_bytes(), "\"v1\"", asked).cut_after(500),
            1 => second(),
            _ => file(body.as_bytes(), "\"v1\"", asked),
        });
        build(&scratch, &server.url("diverse.jsonl"), &["--retries", "2"]).ok();
        let source = source_of(&scratch.path().join("shards"), "diverse");
        assert_eq!(source["blake3"], whole.as_str(), "{what}");
    }
}

#[test]
fn without_a_name_for_its_state_a_file_is_never_pieced_together() {
    let scratch = Scratch::new();
    let text = samples("diverse", 1_000);
    let body = text.clone();
    let server = Server::start(move |_, nth| {
        let reply = Reply::new(200, body.clone()).header("ETag", "W/\"weak\"");
        if nth == 0 {
            reply.cut_after(500)
        } else {
            reply
        }
    });
    build(&scratch, &server.url("diverse.jsonl"), &[]).ok();
    assert_eq!(server.asked()[1].first_byte(), None);
    // A weak tag still says whether the file is the same.
    build(&scratch, &server.url("diverse.jsonl"), &["--out", "again"]).ok();
    assert_eq!(
        server.asked()[2].header("if-none-match"),
        Some("W/\"weak\"")
    );
}

#[test]
fn an_answer_that_is_an_error_is_said_with_its_address() {
    let scratch = Scratch::new();
    let server = Server::start(|asked, _| match asked.path.as_str() {
        "/gone.jsonl" => Reply::new(404, ""),
        "/private.jsonl" => Reply::new(401, r#"{"error": "Invalid username or password."}"#),
        _ => Reply::new(500, "<html>"),
    });
    let gone = server.url("gone.jsonl");
    build(&scratch, &gone, &[]).fails(
        1,
        &[
            &format!("error: could not fetch `{gone}`: the server answers 404 Not Found"),
            "hint: check the address",
        ],
    );
    build(&scratch, &server.url("private.jsonl"), &[]).fails(
        1,
        &[
            "401 Unauthorized: Invalid username or password.",
            "hint: on a hub, private and gated datasets need a token in `HF_TOKEN`",
        ],
    );
    assert_eq!(server.asked().len(), 2, "repeating would not help");
    build(&scratch, &server.url("a.jsonl"), &["--retries", "1"])
        .fails(1, &["500 Internal Server Error (2 tries)"]);
    build(
        &scratch,
        &format!("{}/a.jsonl", nobody()),
        &["--retries", "0"],
    )
    .fails(1, &["no connection: ", "refused"]);
    build(&scratch, "https://me:secret@example.org/a.jsonl", &[])
        .fails(2, &["holds a name or password", "pipe it in as `-`"]);
    build(&scratch, "http://[", &[]).fails(2, &["`http://[` is no address"]);
    assert!(
        !scratch.path().join("shards").exists(),
        "nothing was written"
    );
}

#[test]
fn a_server_that_is_busy_is_asked_again_when_it_says() {
    let scratch = Scratch::new();
    let server = Server::start(|asked, nth| match nth {
        0 => Reply::new(429, "").header("Retry-After", "1"),
        1 => Reply::new(503, ""),
        _ => file(samples("diverse", 40).as_bytes(), "\"v1\"", asked),
    });
    build(&scratch, &server.url("diverse.jsonl"), &[]).ok();
    assert_eq!(server.asked().len(), 3);
    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    let later = Server::start(move |_, _| {
        Reply::new(503, "").header("Retry-After", httpdate::fmt_http_date(tomorrow))
    });
    build(&scratch, &later.url("diverse.jsonl"), &[])
        .fails(1, &["hint: the server asks to come back later"]);
    assert_eq!(later.asked().len(), 1);
    let busy = Server::start(|_, _| Reply::new(429, "").header("Retry-After", "86400"));
    build(&scratch, &busy.url("diverse.jsonl"), &[]).fails(
        1,
        &[
            "429 Too Many Requests",
            "hint: the server asks to come back later",
        ],
    );
}

#[test]
fn a_frozen_recipe_needs_no_network_for_what_is_in_the_cache() {
    let scratch = Scratch::new();
    let server = Server::start(|asked, nth| match nth {
        0 => file(samples("diverse", 40).as_bytes(), "\"v1\"", asked),
        _ => Reply::new(500, ""),
    });
    let url = server.url("diverse.jsonl");
    build(&scratch, &url, &[]).ok();
    let again = |out: &str, more: &[&str]| {
        let arguments = [
            "--recipe",
            "shards/recipe.toml",
            "--retries",
            "0",
            "--out",
            out,
        ];
        scratch.run(&mut command(&scratch, &[&arguments[..], more].concat()))
    };
    again("again", &[]).ok();
    assert_eq!(server.asked().len(), 1);
    assert_eq!(
        hashes(&scratch.path().join("shards")),
        hashes(&scratch.path().join("again"))
    );
    // Asked for anew, the file serves too while the server cannot be reached: it is the recipe's.
    again("anew", &["--accept-changed"]).ok();
    // Without a recipe nobody knows whether it still is what the address leads to.
    build(&scratch, &url, &["--retries", "0", "--out", "other"]).fails(
        1,
        &[
            "500 Internal Server Error",
            "a recipe that a build wrote needs no network",
        ],
    );
    // What is not what it was is not used.
    for cached in fs::read_dir(scratch.path().join("cache/files")).expect("a cache") {
        fs::write(cached.expect("a file").path(), "damaged").expect("written");
    }
    again("damaged", &[]).fails(1, &["500 Internal Server Error"]);
}

#[test]
fn a_checksum_in_the_recipe_is_binding() {
    let scratch = Scratch::new();
    let server = Server::start(|asked, _| file(samples("diverse", 40).as_bytes(), "\"v1\"", asked));
    let url = server.url("diverse.jsonl");
    let recipe = |blake3: &str| {
        format!(
            "[build]\nratio = 2\ntask = [\"task.jsonl\"]\ndiverse = [{{ path = \"{url}\", blake3 = \"{blake3}\", name = \"mine\" }}]\n"
        )
    };
    scratch.file("task.jsonl", samples("task", 3));
    scratch.file(
        "good.toml",
        recipe(&blake3::hash(samples("diverse", 40).as_bytes()).to_hex()),
    );
    scratch.file("bad.toml", recipe(&blake3::hash(b"other").to_hex()));
    let run = |recipe: &str| scratch.run(&mut command(&scratch, &["--recipe", recipe]));
    run("bad.toml").fails(
        1,
        &[&format!(
            "source `{url}` has changed since the recipe was written"
        )],
    );
    run("good.toml").ok();
    assert_eq!(
        source_of(&scratch.path().join("shards"), "mine")["path"],
        url.as_str()
    );
}

#[test]
fn two_builds_fetch_an_address_once() {
    let scratch = Scratch::new();
    let server = Server::start(|asked, _| {
        thread::sleep(Duration::from_millis(300));
        file(samples("diverse", 40).as_bytes(), "\"v1\"", asked)
    });
    scratch.file("task.jsonl", samples("task", 3));
    let url = server.url("diverse.jsonl");
    let both = ["a", "b"].map(|out| {
        let arguments = [
            "--task",
            "task.jsonl",
            "--diverse",
            &url,
            "--ratio",
            "2",
            "--out",
            out,
        ];
        command(&scratch, &arguments)
            .stdout(Stdio::null())
            .spawn()
            .expect("it runs")
    });
    for mut build in both {
        assert!(build.wait().expect("it ends").success());
    }
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[1].header("if-none-match"), Some("\"v1\""));
    assert_eq!(
        hashes(&scratch.path().join("a")),
        hashes(&scratch.path().join("b"))
    );
}

/// A Parquet file of distinct samples.
fn parquet(stem: &str, n: usize) -> Vec<u8> {
    let column = |text: &dyn Fn(usize) -> String| -> ArrayRef {
        Arc::new((0..n).map(|nth| Some(text(nth))).collect::<StringArray>())
    };
    let batch = RecordBatch::try_from_iter([
        ("instruction", column(&|nth| format!("Repeat {stem}-{nth}"))),
        ("output", column(&|nth| format!("{stem}-{nth}"))),
    ])
    .expect("two columns");
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).expect("Parquet");
    writer.write(&batch).expect("Parquet");
    writer.close().expect("Parquet");
    bytes
}

/// A hub with one dataset, whose files are on `files`.
fn hub(files: &str) -> Server {
    let listing = serde_json::json!({
        "default": {
            "train": [format!("{files}/0.parquet"), format!("{files}/1.parquet")],
            "test": [format!("{files}/2.parquet")],
        },
        "other": { "dev": [format!("{files}/2.parquet")] },
    });
    Server::start(move |asked, _| match asked.path.as_str() {
        "/api/datasets/some-owner/words/parquet" => Reply::new(200, listing.to_string()),
        "/api/datasets/some-owner/words" => Reply::new(
            200,
            r#"{"cardData": {"license": "cc-by-4.0"}, "tags": ["license:cc-by-4.0"]}"#,
        ),
        "/api/datasets/some-owner/many/parquet" => {
            Reply::new(200, r#"{"en": {"train": ["x"]}, "is": {"train": ["y"]}}"#)
        }
        "/api/datasets/some-owner/page/parquet" => Reply::new(200, "<html>"),
        _ => Reply::new(404, r#"{"error": "Repository not found"}"#),
    })
}

fn files() -> Server {
    Server::start(|asked, _| match asked.path.as_str() {
        "/0.parquet" => file(&parquet("first", 30), "\"0\"", asked),
        "/1.parquet" => file(&parquet("second", 20), "\"1\"", asked),
        "/2.parquet" => file(&parquet("third", 25), "\"2\"", asked),
        _ => Reply::new(404, ""),
    })
}

#[test]
fn the_files_of_a_split_are_one_source() {
    let scratch = Scratch::new();
    let files = files();
    let hub = hub(&files.base);
    let arguments = [
        "--task",
        "task.jsonl",
        "--diverse",
        "hf://datasets/some-owner/words",
    ];
    let more = ["--hub", &hub.base, "--ratio", "14"];
    scratch.file("task.jsonl", samples("task", 3));
    scratch
        .run(&mut command(&scratch, &[&arguments[..], &more].concat()))
        .ok();
    let folder = scratch.path().join("shards");
    let source = source_of(&folder, "words");
    assert_eq!(
        source["path"],
        "hf://datasets/some-owner/words/default/train"
    );
    assert_eq!(source["licence"], "cc-by-4.0");
    assert_eq!(source["rows_in"], 50);
    let whole = [parquet("first", 30), parquet("second", 20)].concat();
    assert_eq!(source["blake3"], blake3::hash(&whole).to_hex().as_str());
    let rows = stream(&folder);
    for (row, output) in [
        (0, "first-0"),
        (29, "first-29"),
        (30, "second-0"),
        (49, "second-19"),
    ] {
        let found = rows
            .iter()
            .find(|found| found.source == "words" && found.source_row == row);
        // Some rows are held out.
        if let Some(found) = found {
            assert_eq!(found.output, output);
        }
    }
    assert!(
        rows.iter()
            .any(|row| row.source == "words" && row.source_row > 30)
    );

    // The frozen recipe needs neither hub nor files.
    let (n_hub, n_files) = (hub.asked().len(), files.asked().len());
    let arguments = ["--recipe", "shards/recipe.toml", "--out", "again"];
    scratch.run(&mut command(&scratch, &arguments)).ok();
    assert_eq!((hub.asked().len(), files.asked().len()), (n_hub, n_files));
    assert_eq!(hashes(&folder), hashes(&scratch.path().join("again")));
}

#[test]
fn splits_and_configurations_are_chosen_by_name() {
    let scratch = Scratch::new();
    let files = files();
    let hub = hub(&files.base);
    let build = |name: &str, out: &str| build(&scratch, name, &["--hub", &hub.base, "--out", out]);
    for (name, path) in [
        (
            "hf://datasets/some-owner/words/test",
            "hf://datasets/some-owner/words/default/test",
        ),
        (
            "hf://datasets/some-owner/words/other/dev",
            "hf://datasets/some-owner/words/other/dev",
        ),
    ] {
        let out = name.rsplit('/').next().expect("a name");
        build(name, out).ok();
        let source = source_of(&scratch.path().join(out), "words");
        assert_eq!(
            (&source["path"], &source["rows_in"]),
            (&path.into(), &25.into())
        );
    }
    for (name, code, texts) in [
        (
            "hf://datasets/some-owner/many",
            1,
            [
                "no configuration is named; there are `en`, `is`",
                "such as `hf://datasets/some-owner/many/en/train`",
            ],
        ),
        (
            "hf://datasets/some-owner/words/validation",
            1,
            [
                "it has no split `validation`; there are `test`, `train`",
                "such as `hf://datasets/some-owner/words/default/test`",
            ],
        ),
        (
            "hf://datasets/some-owner/words/x/train",
            1,
            [
                "it has no configuration `x`; there are `default`, `other`",
                "hint: name one",
            ],
        ),
        (
            "hf://datasets/some-owner/none",
            1,
            [
                "404 Not Found: Repository not found",
                "/api/datasets/some-owner/none/parquet`",
            ],
        ),
        (
            "hf://datasets/some-owner/page",
            1,
            ["the answer is not JSON", "`--hub` names the base address"],
        ),
        (
            "hf://datasets/words",
            2,
            ["is not of the form `hf://datasets/OWNER/NAME`", ""],
        ),
    ] {
        build(name, "refused").fails(code, &texts);
    }
    let ran = scratch.run(&mut command(
        &scratch,
        &["--diverse", "hf://datasets/a/b", "--hub", "nowhere"],
    ));
    ran.fails(2, &["hub: `nowhere` is no address of a server"]);
}

#[test]
fn a_token_goes_to_the_hub_alone_and_is_written_nowhere() {
    let scratch = Scratch::new();
    let files = files();
    let hub = hub(&files.base);
    scratch.file("task.jsonl", samples("task", 3));
    let arguments = [
        "--task",
        "task.jsonl",
        "--diverse",
        "hf://datasets/some-owner/words",
        "--ratio",
        "2",
    ];
    let mut command = command(&scratch, &arguments);
    command
        .env("HF_TOKEN", "hf_abcdef123")
        .env("HF_ENDPOINT", &hub.base);
    let ran = scratch.run(&mut command);
    ran.ok();
    assert!(
        hub.asked()
            .iter()
            .all(|asked| asked.header("authorization") == Some("Bearer hf_abcdef123"))
    );
    assert!(
        files
            .asked()
            .iter()
            .all(|asked| asked.header("authorization").is_none())
    );
    assert!(files.asked().len() == 2 && hub.asked().len() == 2);
    assert!(!ran.stdout().contains("hf_abcdef123") && !ran.stderr().contains("hf_abcdef123"));
    for (name, _) in hashes(scratch.path()) {
        let bytes = fs::read(scratch.path().join(&name)).expect("a file");
        let secret = b"hf_abcdef123";
        assert!(
            !bytes.windows(secret.len()).any(|window| window == secret),
            "{name}"
        );
    }
}

#[test]
fn what_names_the_hub_matters_to_sources_on_it_alone() {
    let scratch = Scratch::new();
    scratch.file("task.jsonl", samples("task", 3));
    scratch.file("diverse.jsonl", samples("diverse", 40));
    let with = |diverse: &str| {
        let arguments = ["--task", "task.jsonl", "--diverse", diverse, "--ratio", "2"];
        let mut command = command(&scratch, &arguments);
        command
            .env("HF_ENDPOINT", "no address")
            .env("HF_TOKEN", "no token");
        scratch.run(&mut command)
    };
    let ran = with("diverse.jsonl");
    ran.ok();
    assert!(ran.stderr().contains("`HF_TOKEN` holds is no token"));
    with("hf://datasets/some-owner/words").fails(
        2,
        &["HF_ENDPOINT", "names no address of a server", "hint: "],
    );
}

/// Builds with `input` as standard input.
fn piped(scratch: &Scratch, input: &str, arguments: &[&str]) -> Ran {
    let mut command = command(scratch, arguments);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    // It may end before it reads.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    Ran(child.wait_with_output().expect("it ends"))
}

#[test]
fn standard_input_is_a_source() {
    let scratch = Scratch::new();
    let text = samples("diverse", 40);
    scratch.file("task.jsonl", samples("task", 3));
    let arguments = ["--task", "task.jsonl", "--diverse", "-", "--ratio", "2"];
    piped(&scratch, &text, &arguments).ok();
    let folder = scratch.path().join("shards");
    let source = source_of(&folder, "stdin");
    assert_eq!(
        (&source["path"], &source["rows_in"]),
        (&"-".into(), &40.into())
    );
    // The same bytes again are the same build.
    assert!(
        piped(&scratch, &text, &arguments)
            .ok()
            .contains("up to date")
    );
    // The frozen recipe takes them from the cache …
    let again = ["--recipe", "shards/recipe.toml", "--out", "again"];
    piped(&scratch, "", &again).ok();
    assert_eq!(hashes(&folder), hashes(&scratch.path().join("again")));
    // … and without it, from whoever brings them.
    fs::remove_dir_all(scratch.path().join("cache")).expect("removed");
    let anew = ["--recipe", "shards/recipe.toml", "--out", "anew"];
    piped(&scratch, "{}", &anew).fails(1, &["source `-` has changed since the recipe was written"]);
    piped(&scratch, &text, &anew).ok();
    assert_eq!(hashes(&folder), hashes(&scratch.path().join("anew")));
    // A first record that breaks off costs itself alone.
    let torn = format!("{{\"instruction\": \"a\"\n{text}");
    let of_torn = [&arguments[..], &["--out", "torn"]].concat();
    piped(&scratch, &torn, &of_torn).ok();
    let source = source_of(&scratch.path().join("torn"), "stdin");
    assert_eq!(source["dropped_by_reason"]["unreadable"], 1);
    // It has no ending, so a table is told by its first line.
    let table = "question\tanswer\nWhat is this?\tA test, of course\nAnd that?\tAnother\n";
    let of_table = [&arguments[..], &["--out", "table"]].concat();
    piped(&scratch, table, &of_table).ok();
    let source = source_of(&scratch.path().join("table"), "stdin");
    assert_eq!(source["kept"], 2);
    let of_text = [&arguments[..], &["--out", "text"]].concat();
    piped(&scratch, "no table at all\n", &of_text)
        .fails(1, &["the format of source `-` is not recognised"]);
}

#[test]
fn standard_input_is_read_once_and_has_to_hold_something() {
    let scratch = Scratch::new();
    piped(&scratch, "", &["--diverse", "-", "--ratio", "2"]).fails(1, &["source `-` is empty"]);
    piped(&scratch, "{}", &["--task", "-", "--diverse", "-"]).fails(
        2,
        &["`-` is given twice, and standard input can be read once"],
    );
    let mut homeless = Command::new(env!("CARGO_BIN_EXE_delia-build"));
    homeless
        .args(["--diverse", "-"])
        .env_remove("HOME")
        .env_remove("XDG_CACHE_HOME");
    scratch.run(&mut homeless).fails(
        2,
        &[
            "there is no folder to keep downloads",
            "hint: `--cache DIR` names one",
        ],
    );
    let mut at_home = Command::new(env!("CARGO_BIN_EXE_delia-build"));
    at_home
        .args(["--diverse", "-"])
        .env("XDG_CACHE_HOME", scratch.path().join("xdg"));
    scratch.run(&mut at_home).fails(1, &["source `-` is empty"]);
    assert!(scratch.path().join("xdg/delia/files").is_dir());
}
