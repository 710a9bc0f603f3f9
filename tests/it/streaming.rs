use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use delia::shards::Supply;
use delia::shards::remote::{self, Downloads, Fetched};
use url::Url;

use crate::delia::{Ran, Scratch};
use crate::fit;
use crate::server::{Asked, Reply, Server, file, nobody};

/// What a test waits for comes sooner, or not at all.
const PATIENCE: Duration = Duration::from_secs(120);

/// Eleven steps of four samples, of which the first shard holds two and a half.
const FIT: [&str; 6] = ["--batch-size", "4", "--lr", "1e-2", "--save-every", "2"];

const BUILD: [&str; 10] = [
    "--task",
    "task.jsonl",
    "--diverse",
    "diverse.jsonl",
    "--ratio",
    "10",
    "--held-out-diverse",
    "0",
    "--rows-per-shard",
    "10",
];

/// A folder with a build of five shards, and in `whole` what a fit makes of it.
fn with_shards() -> Scratch {
    let scratch = Scratch::new();
    scratch.small_sources(4, 60);
    scratch.build(&BUILD).ok();
    fit(&scratch, "shards", "whole", &[]).ok();
    scratch
}

/// `delia-fit` in the test's own environment: no proxy or token of the person who runs it.
fn command(shards: &str, out: &str, more: &[&str]) -> Command {
    let arguments = [&[shards, "--out", out, "--cache", "cache"], &FIT[..], more].concat();
    let mut command = fit::command(&arguments);
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
}

fn fit(scratch: &Scratch, shards: &str, out: &str, more: &[&str]) -> Ran {
    scratch.run(&mut command(shards, out, more))
}

fn adapter(scratch: &Scratch, out: &str) -> Option<Vec<u8>> {
    fs::read(scratch.path().join(out).join("adapter_model.safetensors")).ok()
}

#[track_caller]
fn assert_same_bits(scratch: &Scratch, out: &str) {
    let of = |out| adapter(scratch, out).expect("an adapter");
    assert!(of(out) == of("whole"), "`{out}`: the adapters differ");
}

fn run_toml(scratch: &Scratch, out: &str) -> toml::Table {
    let text = fs::read_to_string(scratch.path().join(out).join("run.toml")).expect("run.toml");
    let run: toml::Table = text.parse().expect("TOML");
    run["run"].as_table().expect("a table").clone()
}

fn steps(scratch: &Scratch, out: &str) -> usize {
    let log = scratch.path().join(out).join("metrics.jsonl");
    fs::read_to_string(log).unwrap_or_default().lines().count()
}

/// Waits until something is so.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A fit that runs beside the test; what it says goes into a file.
struct Running<'a> {
    scratch: &'a Scratch,
    said: PathBuf,
    child: Child,
}

impl Running<'_> {
    fn start<'a>(scratch: &'a Scratch, shards: &str, out: &str, more: &[&str]) -> Running<'a> {
        let said = scratch.path().join(format!("{out}.said"));
        let child = command(shards, out, more)
            .current_dir(scratch.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&said).expect("a file"))
            .spawn();
        Running {
            scratch,
            said,
            child: child.expect("the binary runs"),
        }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.said).expect("what it says")
    }

    /// Waits until it has said this.
    #[track_caller]
    fn says(&mut self, text: &str) {
        wait_until(&format!("it says `{text}`"), || {
            let is_over = self.child.try_wait().expect("a child").is_some();
            let has_said = self.said().contains(text);
            assert!(has_said || !is_over, "it said:\n{}", self.said());
            has_said
        });
    }

    /// Waits until it has made so many steps.
    #[track_caller]
    fn makes(&mut self, n_steps: usize, out: &str) {
        wait_until("it makes its steps", || {
            let n_done = steps(self.scratch, out);
            let is_over = self.child.try_wait().expect("a child").is_some();
            assert!(n_done >= n_steps || !is_over, "it said:\n{}", self.said());
            n_done >= n_steps
        });
    }

    fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        let status = kill.args([signal, &self.child.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    fn code(mut self) -> Option<i32> {
        self.child.wait().expect("a child").code()
    }

    #[track_caller]
    fn ok(self) {
        let said = self.said.clone();
        let code = self.code();
        let said = fs::read_to_string(said).expect("what it says");
        assert_eq!(code, Some(0), "it said:\n{said}");
    }
}

/// Serves the files of `folder` at `/at/`; `twist` may give something else for a file, knowing how often it was asked for.
fn serve(
    folder: PathBuf,
    twist: impl Fn(&str, usize, Reply) -> Reply + Send + Sync + 'static,
) -> Server {
    let counts = Mutex::new(BTreeMap::<String, usize>::new());
    Server::start(move |asked, _| {
        let name = name_of(asked);
        let mut counts = counts.lock().expect("not poisoned");
        let count = counts.entry(name.clone()).or_default();
        let path = asked.path.split('?').next().unwrap_or_default();
        let path = path.trim_start_matches("/at").trim_start_matches('/');
        let reply = match fs::read(folder.join(path)) {
            Ok(bytes) => file(&bytes, "\"v1\"", asked),
            Err(_) => Reply::new(404, "nothing here"),
        };
        let reply = twist(&name, *count, reply);
        *count += 1;
        reply
    })
}

fn name_of(asked: &Asked) -> String {
    let path = asked.path.split('?').next().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

fn honest(_: &str, _: usize, reply: Reply) -> Reply {
    reply
}

fn names(server: &Server) -> Vec<String> {
    server.asked().iter().map(name_of).collect()
}

/// The shards it was asked for.
fn shards_asked(server: &Server) -> Vec<String> {
    let mut names = names(server);
    names.retain(|name| name.starts_with('0'));
    names
}

fn has_checkpoint(scratch: &Scratch, out: &str) -> bool {
    let entries = fs::read_dir(scratch.path().join(out)).expect("a folder");
    let mut names = entries.map(|entry| entry.expect("an entry").file_name());
    names.any(|name| name.to_string_lossy().starts_with(".checkpoint"))
}

fn shards_of(scratch: &Scratch) -> PathBuf {
    scratch.path().join("shards")
}

#[test]
fn an_address_gives_the_same_adapter_and_keeps_its_secrets() {
    let scratch = with_shards();
    let server = serve(shards_of(&scratch), honest);
    let typed = server.url("at").replace("://", "://me:pass-word@") + "?signature=abcdef";
    let ran = fit(&scratch, &typed, "fetched", &[]);
    ran.ok();
    assert_same_bits(&scratch, "fetched");
    let (fetched, whole) = (run_toml(&scratch, "fetched"), run_toml(&scratch, "whole"));
    assert_eq!(fetched["shards"].as_str(), Some(&*server.url("at/")));
    for key in ["manifest", "build", "base-model"] {
        assert_eq!(fetched[key], whole[key], "{key}");
    }
    let asked = server.asked();
    assert_eq!(names(&server)[0], "manifest.json");
    assert_eq!(shards_asked(&server).len(), 5, "each is fetched once");
    for asked in &asked {
        assert!(asked.path.ends_with("?signature=abcdef"), "{}", asked.path);
        let is_basic = |text: &str| text.starts_with("Basic ");
        assert!(asked.header("authorization").is_some_and(is_basic));
    }
    // Wherever something was written.
    let mut folders = vec![scratch.path().join("fetched"), scratch.path().join("cache")];
    let mut texts = vec![ran.stderr(), ran.stdout()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    texts.push(String::from_utf8_lossy(&fs::read(path).expect("a file")).into())
                }
            }
        }
    }
    for secret in ["pass-word", "abcdef"] {
        assert!(!texts.iter().any(|text| text.contains(secret)), "{secret}");
    }

    // The same build is the same fit, wherever it lies; what is in the cache is not fetched again.
    assert!(
        fit(&scratch, "shards", "fetched", &[])
            .ok()
            .contains("up to date")
    );
    fit(&scratch, &server.url("at/manifest.json"), "again", &[]).ok();
    fit(&scratch, &server.url("at"), "planned", &["--plan"]).ok();
    assert!(!scratch.path().join("planned").exists());
    assert_eq!(shards_asked(&server).len(), 5);
}

#[test]
fn held_out_rows_are_fetched_and_measured_on_too() {
    let scratch = Scratch::new();
    scratch.small_sources(4, 60);
    let build = BUILD.map(|argument| if argument == "0" { "6" } else { argument });
    scratch.build(&build).ok();
    let server = serve(shards_of(&scratch), honest);
    let losses = |shards: &str, out: &str| {
        fit(&scratch, shards, out, &["--eval-every", "5"]).ok();
        let metrics = fs::read_to_string(scratch.path().join(out).join("metrics.jsonl"));
        let lines = metrics.expect("metrics");
        let lines = lines.lines().map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
            line["held_out_diverse_loss"].as_f64()
        });
        lines.flatten().collect::<Vec<_>>()
    };
    let whole = losses("shards", "whole");
    assert_eq!(whole.len(), 3, "after 5, 10 and 11 steps");
    assert_eq!(losses(&server.url("at"), "fetched"), whole);
    assert!(names(&server).contains(&"diverse.parquet".to_owned()));

    let spoiled = serve(shards_of(&scratch), |name, _, reply| match name {
        "diverse.parquet" => Reply::new(200, "PAR1 and something else"),
        _ => reply,
    });
    let ran = fit(
        &scratch,
        &spoiled.url("at"),
        "spoiled",
        &["--eval-every", "5"],
    );
    ran.fails(
        1,
        &[
            "held_out/diverse.parquet",
            "not those that the manifest names",
            "copy it there again",
        ],
    );
}

#[test]
fn a_transfer_that_breaks_off_goes_on_where_it_stopped() {
    let scratch = with_shards();
    let length = fs::metadata(shards_of(&scratch).join("00001.parquet"))
        .expect("a shard")
        .len() as usize;
    let server = serve(shards_of(&scratch), move |name, nth, reply| {
        match (name, nth) {
            ("manifest.json", 0) => reply.cut_after(100),
            ("00001.parquet", 0) => reply.cut_after(length / 3),
            ("00001.parquet", 1) => Reply::new(503, "busy"),
            ("00002.parquet", 0) => reply.chunked().cut_after(length / 3),
            ("00003.parquet", 0) => reply.cut_after(length / 3),
            _ => reply,
        }
    });
    let ran = fit(&scratch, &server.url("at/"), "fetched", &["--retries", "3"]);
    ran.ok();
    assert_same_bits(&scratch, "fetched");
    let ranges = |name: &str| -> Vec<Option<usize>> {
        let asked = server.asked();
        let asked = asked.iter().filter(|asked| name_of(asked) == name);
        asked.map(Asked::first_byte).collect()
    };
    let third = Some(length / 3);
    assert_eq!(ranges("00001.parquet"), [None, third, third]);
    assert_eq!(ranges("00002.parquet"), [None, third]);
    assert_eq!(ranges("00003.parquet"), [None, third]);
    let said = ran.stderr();
    for text in ["00001.parquet`: ", "503", "trying again in 0.5 s"] {
        assert!(said.contains(text), "`{text}` is not in:\n{said}");
    }
}

#[test]
fn what_a_server_gives_is_used_only_if_it_is_what_the_manifest_names() {
    let scratch = with_shards();
    fn spoilt(mut bytes: Vec<u8>) -> Vec<u8> {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        bytes
    }
    fn longer(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.extend_from_slice(b"more");
        bytes
    }
    type Twist = fn(Vec<u8>) -> Reply;
    let cases: [(&str, Twist, &[&str]); 6] = [
        (
            "00002.parquet",
            |bytes| Reply::new(200, spoilt(bytes)),
            &[
                "its bytes are not those that the manifest names",
                "not those of one build",
            ],
        ),
        (
            "00002.parquet",
            |bytes| Reply::new(200, longer(bytes)),
            &["the server has ", " bytes, the manifest names "],
        ),
        (
            "00002.parquet",
            |bytes| Reply::new(200, longer(bytes)).chunked(),
            &["the server sends more than the "],
        ),
        (
            "00002.parquet",
            |_| Reply::new(404, ""),
            &["404 Not Found", "check the address"],
        ),
        (
            "manifest.json",
            |_| Reply::new(404, ""),
            &["404 Not Found", "which has a `manifest.json`"],
        ),
        (
            "manifest.json",
            |_| Reply::new(200, "<html>Hello</html>"),
            &["is not what this version writes"],
        ),
    ];
    for (nth, (named, twist, texts)) in cases.into_iter().enumerate() {
        let server = serve(shards_of(&scratch), move |name, _, reply| {
            match name == named {
                true => twist(reply.body),
                false => reply,
            }
        });
        let (out, cache) = (format!("out{nth}"), format!("cache{nth}"));
        let more = ["--cache", &cache, "--retries", "1"];
        let run = |server: &Server| {
            let url = server.url("at");
            let mut command = fit::command(&[&[&*url][..], &FIT].concat());
            command.args(["--out", &out]).args(more);
            scratch.run(&mut command)
        };
        let place = format!("{}/at/{named}`", server.base);
        let texts = [&[&*place][..], texts].concat();
        run(&server).fails(1, &texts);
        assert_eq!(adapter(&scratch, &out), None);
        // Two shards are five steps, and those are kept; an honest server at another address finishes the fit.
        let n_done = if named == "manifest.json" { 0 } else { 5 };
        assert_eq!(steps(&scratch, &out), n_done);
        let said = run(&serve(shards_of(&scratch), honest));
        said.ok();
        assert_eq!(
            said.stderr().contains("going on after 5 steps"),
            n_done == 5,
            "{}",
            said.stderr()
        );
        assert_same_bits(&scratch, &out);
    }
    fit(&scratch, &nobody(), "nobody", &["--retries", "0"])
        .fails(1, &["could not fetch `http://127.0.0.1", "no connection"]);
}

#[test]
fn a_piece_of_another_version_is_fetched_again_as_a_whole() {
    let scratch = with_shards();
    let server = serve(shards_of(&scratch), |name, nth, reply| match (name, nth) {
        ("00001.parquet", 0) => {
            let n_bytes = reply.body.len();
            Reply::new(200, vec![7; n_bytes]).cut_after(n_bytes / 2)
        }
        _ => reply,
    });
    fit(&scratch, &server.url("at"), "fetched", &[]).ok();
    assert_same_bits(&scratch, "fetched");
    // From the start, from the middle, from the start again.
    let asked = server.asked();
    let asked = asked
        .iter()
        .filter(|asked| name_of(asked) == "00001.parquet");
    let is_range: Vec<bool> = asked.map(|asked| asked.first_byte().is_some()).collect();
    assert_eq!(is_range, [false, true, false]);
}

#[test]
fn two_shards_are_fetched_ahead_and_the_cache_stays_within_its_limit() {
    let scratch = with_shards();
    let server = serve(shards_of(&scratch), honest);
    let downloads = Downloads {
        cache: Some(scratch.path().join("ahead")),
        ..Downloads::default()
    };
    let url = Url::parse(&server.url("at/")).expect("an address");
    let stop = AtomicBool::new(false);
    let (manifest, _) =
        remote::manifest(&url, &downloads, &stop, &|note| panic!("{note}")).expect("a manifest");
    let (notes, _) = mpsc::channel();
    let fetched = Fetched::start(&url, &manifest, &downloads, false, notes).expect("a supply");
    fetched.open(0).expect("the first shard");
    wait_until("two more shards come", || names(&server).len() == 4);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(
        names(&server)[1..],
        ["00000.parquet", "00001.parquet", "00002.parquet"]
    );
    fetched.close();
    assert!(fetched.open(1).is_err(), "a closed supply gives nothing");

    // Over two passes, since what has gone must come again.
    let more = ["--epochs", "2"];
    fit(&scratch, "shards", "whole2", &more).ok();
    let more = [&more[..], &["--cache-limit", "1KB"]].concat();
    fit(&scratch, &server.url("at"), "limited", &more).ok();
    let bits = |out| adapter(&scratch, out).expect("an adapter");
    assert!(bits("limited") == bits("whole2"), "the adapters differ");
    let kept = fs::read_dir(scratch.path().join("cache/shards")).expect("the cache");
    assert!(kept.count() <= 3, "those at hand");
}

#[test]
fn a_fit_from_an_address_that_is_killed_ends_with_the_same_bits() {
    let scratch = with_shards();
    for n_steps in [3, 7] {
        let server = serve(shards_of(&scratch), honest);
        let mut running = Running::start(&scratch, &server.url("at"), "parts", &[]);
        running.makes(n_steps, "parts");
        running.signal("-KILL");
        running.code();
    }
    let server = serve(shards_of(&scratch), honest);
    fit(&scratch, &server.url("at"), "parts", &[]).ok();
    assert_same_bits(&scratch, "parts");
    assert_eq!(steps(&scratch, "parts"), 11);
}

#[test]
fn two_fits_fetch_a_shard_once() {
    let scratch = with_shards();
    let server = serve(shards_of(&scratch), |name, _, reply| {
        // The second begins while the first is waiting for it.
        if name == "00000.parquet" {
            thread::sleep(Duration::from_secs(1));
        }
        reply
    });
    let fits = ["one", "two"].map(|out| Running::start(&scratch, &server.url("at"), out, &[]));
    fits.into_iter().for_each(Running::ok);
    for out in ["one", "two"] {
        assert_same_bits(&scratch, out);
    }
    let shards = shards_asked(&server);
    assert_eq!(shards.len(), 5, "{shards:?}");
    let kept = fs::read_dir(scratch.path().join("cache/shards")).expect("the cache");
    let kept: Vec<_> = kept.map(|entry| entry.expect("an entry").path()).collect();
    let is_shard = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "parquet");
    assert!(kept.len() == 5 && kept.iter().all(is_shard), "{kept:?}");
}

#[test]
fn samples_that_are_too_long_are_refused_once_too_many_have_come() {
    let scratch = Scratch::new();
    let long = |stem: &str, n: usize| {
        let words = |n: usize| (0..n).map(|nth| format!("word{nth} ")).collect::<String>();
        let rows = (0..n).map(|nth| serde_json::json!({"instruction": format!("{stem} {nth}"), "output": words(1 + 40 * (nth % 4))}));
        rows.map(|row| format!("{row}\n")).collect::<String>()
    };
    scratch.file("task.jsonl", long("Task", 8));
    scratch.file("diverse.jsonl", long("Say", 60));
    scratch.build(&BUILD[..6]).ok();
    let server = serve(shards_of(&scratch), honest);
    for (too_long, texts) in [
        ("drop", ["of 8 task samples", "--max-length"]),
        ("error", ["the sample at position", "100 are allowed"]),
    ] {
        let more = ["--max-length", "100", "--too-long", too_long];
        let outs = ["at-once", "on-the-way"].map(|out| format!("{out}-{too_long}"));
        fit(&scratch, "shards", &outs[0], &more).fails(1, &texts);
        assert_eq!(steps(&scratch, &outs[0]), 0);
        fit(&scratch, &server.url("at"), &outs[1], &more).fails(1, &texts);
    }
}

#[test]
fn what_cannot_be_streamed_is_refused() {
    let scratch = Scratch::new();
    fit(&scratch, "https://host/a", "out", &["--follow"]).fails(
        2,
        &[
            "shards: `https://host/a` cannot be followed",
            "is for a folder",
        ],
    );
    fit(&scratch, "s3://bucket/a", "out", &[]).fails(2, &["this `s3` address", "https://"]);
}

/// A build that is being written: `from` is where it is already.
struct Writing<'a> {
    from: PathBuf,
    to: PathBuf,
    scratch: &'a Scratch,
}

impl Writing<'_> {
    /// Nothing is there yet, not even the folder.
    fn new<'a>(scratch: &'a Scratch, to: &str) -> Writing<'a> {
        Writing {
            from: shards_of(scratch),
            to: scratch.path().join(to),
            scratch,
        }
    }

    /// Gives a file its place as a build does, in one go.
    fn put(&self, name: &str) {
        self.put_as(name, &fs::read(self.from.join(name)).expect("a file"));
    }

    fn put_as(&self, name: &str, bytes: &[u8]) {
        let beside = self.scratch.path().join("beside.tmp");
        fs::create_dir_all(&self.to).expect("a folder");
        fs::write(&beside, bytes).expect("written");
        fs::rename(&beside, self.to.join(name)).expect("renamed");
    }

    fn begin(&self) {
        self.put("recipe.toml");
        self.put("plan.json");
    }

    fn put_shards(&self, shards: std::ops::Range<usize>) {
        for shard in shards {
            self.put(&format!("{shard:05}.parquet"));
        }
    }

    /// Everything else, the manifest last.
    fn finish(&self) {
        for name in [
            "dropped/00000.parquet",
            "held_out/task.parquet",
            "held_out/diverse.parquet",
        ] {
            let folder = self.to.join(name);
            fs::create_dir_all(folder.parent().expect("a folder")).expect("a folder");
            self.put(name);
        }
        self.put("sources.parquet");
        self.put("manifest.json");
    }

    /// What a build at work has.
    fn lock(&self) -> File {
        fs::create_dir_all(&self.to).expect("a folder");
        let lock = File::open(&self.to).expect("a folder");
        lock.lock().expect("nobody holds it");
        lock
    }
}

#[test]
fn a_build_that_is_followed_gives_the_adapter_of_a_finished_one() {
    let scratch = with_shards();
    let build = Writing::new(&scratch, "live");
    let mut running = Running::start(&scratch, "live", "followed", &["--follow"]);
    running.says("waiting for `live/plan.json`");
    let lock = build.lock();
    build.begin();
    running.says("waiting for `live/00000.parquet`, shard 1 of 5");
    build.put_shards(0..2);
    running.makes(5, "followed");
    running.says("waiting for `live/00002.parquet`, shard 3 of 5");
    build.put_shards(2..5);
    running.makes(11, "followed");
    running.says("waiting for `live/manifest.json`");
    assert_eq!(
        adapter(&scratch, "followed"),
        None,
        "not before the manifest"
    );
    assert!(!run_toml(&scratch, "followed").contains_key("manifest"));
    build.finish();
    assert!(
        !running.said().contains("no `delia-build`"),
        "it is at work"
    );
    drop(lock);
    running.ok();
    assert_same_bits(&scratch, "followed");
    let (followed, whole) = (run_toml(&scratch, "followed"), run_toml(&scratch, "whole"));
    assert_eq!(followed["manifest"], whole["manifest"]);
    assert!(!scratch.path().join("followed/.shards.jsonl").exists());
    // Whichever way it is asked for, it is the same fit.
    for (shards, more) in [("live", &["--follow"][..]), ("live", &[]), ("shards", &[])] {
        let again = fit(&scratch, shards, "followed", more).ok();
        assert!(again.contains("up to date"), "{again}");
    }
    // Nor is there anything to wait for.
    fit(&scratch, "live", "later", &["--follow"]).ok();
    assert_same_bits(&scratch, "later");
}

#[test]
fn a_followed_fit_goes_on_during_the_build_and_after_it() {
    let scratch = with_shards();
    let build = Writing::new(&scratch, "live");
    build.begin();
    build.put_shards(0..1);
    // Asked to stop while it waits.
    let mut running = Running::start(&scratch, "live", "parts", &["--follow"]);
    running.makes(2, "parts");
    running.says("waiting for `live/00001.parquet`");
    running.signal("-INT");
    assert_eq!(running.code(), Some(130));
    assert!(has_checkpoint(&scratch, "parts"));
    // Killed while it waits, and while it works.
    build.put_shards(1..3);
    let mut running = Running::start(&scratch, "live", "parts", &["--follow"]);
    running.says("going on after 2 steps");
    running.makes(7, "parts");
    running.signal("-KILL");
    running.code();
    build.put_shards(3..5);
    // All steps made, and stopped before the manifest comes.
    let mut running = Running::start(&scratch, "live", "parts", &["--follow"]);
    running.says("waiting for `live/manifest.json`");
    running.signal("-TERM");
    let said = running.said.clone();
    assert_eq!(running.code(), Some(130));
    let said = fs::read_to_string(said).expect("what it says");
    assert!(said.contains("interrupted after 11 steps"), "{said}");
    build.finish();
    fit(&scratch, "live", "parts", &[]).ok();
    assert_same_bits(&scratch, "parts");
    assert_eq!(steps(&scratch, "parts"), 11);
}

#[test]
fn a_shard_that_was_not_the_builds_ends_a_followed_fit_unfinished() {
    let scratch = with_shards();
    let other = [&BUILD[..], &["--seed", "1", "--out", "other"]].concat();
    scratch.build(&other).ok();
    let other = |name: &str| fs::read(scratch.path().join("other").join(name)).expect("a file");
    let build = Writing::new(&scratch, "live");
    build.begin();
    build.put_as("00000.parquet", &other("00000.parquet"));
    let mut running = Running::start(&scratch, "live", "followed", &["--follow"]);
    running.makes(2, "followed");
    // By the time there is a manifest, all is as it should be.
    build.put_shards(0..5);
    build.finish();
    assert_eq!(running.code(), Some(1));
    let said = fs::read_to_string(scratch.path().join("followed.said")).expect("what it says");
    let texts = ["shard `live/00000.parquet` is not the one", "--fresh"];
    for text in texts {
        assert!(said.contains(text), "`{text}` is not in:\n{said}");
    }
    assert_eq!(adapter(&scratch, "followed"), None);
    for more in [&["--follow"][..], &[]] {
        fit(&scratch, "live", "followed", more).fails(1, &texts);
    }
    fit(&scratch, "live", "followed", &["--fresh"]).ok();
    assert_same_bits(&scratch, "followed");
}

#[test]
fn a_followed_build_that_lacks_a_shard_or_is_replaced_is_named() {
    let scratch = with_shards();
    let build = Writing::new(&scratch, "live");
    build.begin();
    build.put_shards(0..2);
    let mut running = Running::start(&scratch, "live", "lacking", &["--follow"]);
    running.makes(5, "lacking");
    build.put_shards(3..5);
    build.finish();
    assert_eq!(running.code(), Some(1));
    let said = |out: &str| fs::read_to_string(scratch.path().join(format!("{out}.said")));
    let said_lacking = said("lacking").expect("what it says");
    assert!(
        said_lacking.contains("`live/00002.parquet` is damaged: it is missing"),
        "{said_lacking}"
    );

    let build = Writing::new(&scratch, "live2");
    build.begin();
    build.put_shards(0..1);
    let running = Running::start(&scratch, "live2", "replaced", &["--follow"]);
    wait_until("it has begun", || steps(&scratch, "replaced") == 2);
    let plan = fs::read_to_string(shards_of(&scratch).join("plan.json")).expect("a plan");
    build.put_as("plan.json", format!("{plan} ").as_bytes());
    assert_eq!(running.code(), Some(1));
    let said = said("replaced").expect("what it says");
    assert!(said.contains("another build has taken the place"), "{said}");
}

#[test]
fn a_fit_that_has_not_begun_takes_the_build_that_is_there() {
    let scratch = Scratch::new();
    scratch.small_sources(4, 60);
    // A step takes more than a shard has: it waits before its first.
    let small = [&BUILD[..8], &["--rows-per-shard", "3"]].concat();
    scratch.build(&small).ok();
    let build = Writing::new(&scratch, "live");
    build.begin();
    build.put_shards(0..1);
    let mut running = Running::start(&scratch, "live", "followed", &["--follow"]);
    running.says("waiting for `live/00001.parquet`");
    running.signal("-INT");
    assert_eq!(running.code(), Some(130));
    assert!(!has_checkpoint(&scratch, "followed"));
    fs::remove_dir_all(scratch.path().join("live")).expect("removed");
    let other = [&small[..], &["--seed", "1", "--out", "live"]].concat();
    scratch.build(&other).ok();
    fit(&scratch, "live", "followed", &["--follow"]).ok();
}

#[test]
fn a_build_that_died_is_spoken_of() {
    let scratch = with_shards();
    let build = Writing::new(&scratch, "live");
    build.begin();
    let mut running = Running::start(&scratch, "live", "followed", &["--follow"]);
    running.says("no `delia-build` is at work in `live`: repeat its command");
    running.signal("-INT");
    assert_eq!(running.code(), Some(130));
    assert!(!has_checkpoint(&scratch, "followed"));
}

#[test]
fn a_real_build_is_followed_while_it_runs() {
    let scratch = Scratch::new();
    scratch.small_sources(30, 3_100);
    let arguments = [&BUILD[..4], &["--ratio", "100", "--rows-per-shard", "64"]].concat();
    let more = ["--max-steps", "6"];
    let follow = [&more[..], &["--follow"]].concat();
    // Before the folder is there.
    let running = Running::start(&scratch, "shards", "followed", &follow);
    scratch.build(&arguments).ok();
    running.ok();
    fit(&scratch, "shards", "whole", &more).ok();
    assert_same_bits(&scratch, "followed");
}
