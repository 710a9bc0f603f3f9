use std::fs;
use std::path::Path;
use std::process::Command;

use crate::delia::Scratch;

/// The README's first session, by the lines that begin with `$ `: each command with the output printed below it.
fn session() -> Vec<(String, String)> {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"))
        .expect("a README");
    let block = readme
        .split("```console\n")
        .nth(1)
        .and_then(|rest| rest.split("\n```").next())
        .expect("a session");
    let mut session = Vec::new();
    for step in format!("\n{block}").split("\n$ ").skip(1) {
        let (command, output) = step.split_once('\n').unwrap_or((step, ""));
        session.push((command.to_owned(), output.to_owned()));
    }
    session
}

/// Times are the machine's; everything else must be as printed.
fn comparable(output: &str) -> String {
    let lines = output.lines().map(|line| match line.starts_with("time ") {
        true => without_numbers(line),
        false => line.trim_end().to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// What a build prints, and what the fit after it prints: its losses depend on the machine and on the steps.
fn parts(output: &str) -> (&str, &str) {
    let start = output.find(" loss on").unwrap_or(output.len());
    (output[..start].trim_end(), &output[start..])
}

/// Numbers as zeros, and as much space between words however wide they are.
fn without_numbers(text: &str) -> String {
    let is_of_number = |c: char| c.is_ascii_digit() || [',', '.'].contains(&c);
    let shown = text.chars().map(|c| match c {
        c if is_of_number(c) => '0',
        c => c,
    });
    let mut shown: Vec<char> = shown.collect();
    shown.dedup_by(|a, b| a == b && ['0', ' ', '─'].contains(a));
    shown.into_iter().collect()
}

#[test]
fn the_readme_shows_what_its_commands_print() {
    let scratch = Scratch::new();
    let session = session();
    assert!(session.len() >= 3, "a build and two queries");
    let bins = Path::new(env!("CARGO_BIN_EXE_delia-build"))
        .parent()
        .expect("a folder");
    for (command, output) in session {
        // The binaries under test stand in for the installed ones.
        let command = command.trim_start_matches("cargo install --path . --locked && ");
        let path = format!(
            "{}:{}",
            bins.display(),
            std::env::var("PATH").unwrap_or_default()
        );
        // Three steps instead of all, and a few held-out rows.
        let command = command.replace(
            "delia-fit shards/",
            "delia-fit shards/ --max-steps 3 --eval-rows 4",
        );
        let ran = scratch.run(Command::new("sh").arg("-c").arg(&command).env("PATH", path));
        let (ran, output) = (comparable(&ran.ok()), comparable(&output));
        let ((built, fitted), (build, fit)) = (parts(&ran), parts(&output));
        assert_eq!(built, build, "$ {command}");
        // Its first three steps have no task sample.
        let fit: Vec<&str> = fit
            .lines()
            .filter(|line| !line.starts_with(" task "))
            .collect();
        let fit = without_numbers(&fit.join("\n"));
        assert_eq!(without_numbers(fitted), fit, "$ {command}");
    }
}
