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
    let lines = output
        .lines()
        .filter(|line| !line.starts_with("time "))
        .map(str::trim_end);
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
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
        let ran = scratch.run(Command::new("sh").arg("-c").arg(command).env("PATH", path));
        assert_eq!(comparable(&ran.ok()), comparable(&output), "$ {command}");
    }
}
