use std::fs;
use std::path::{Path, PathBuf};

/// The rooms in reading order: each may import from those before it. `lib.rs` names them in the same order.
const ROOMS: [&str; 22] = [
    "error",
    "config",
    "sample",
    "base_model",
    "tokenizer",
    "http",
    "llm",
    "sources",
    "reword",
    "tables",
    "queries",
    "shards",
    "report",
    "device",
    "model",
    "loader",
    "lora",
    "checkpoint",
    "trainer",
    "estimate",
    "generate",
    "commands",
];

fn source_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            source_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn a_room_imports_only_from_rooms_above_it() {
    let mut files = Vec::new();
    source_files(&src(), &mut files);
    assert!(files.len() > 30, "the tree was found");
    let mut violations = Vec::new();
    for file in files {
        let below = file.strip_prefix(src()).expect("below src");
        let first = below
            .components()
            .next()
            .expect("a component")
            .as_os_str()
            .to_string_lossy()
            .into_owned();
        let room = first.trim_end_matches(".rs");
        let Some(place) = ROOMS.iter().position(|known| *known == room) else {
            assert!(
                matches!(room, "lib" | "bin"),
                "`{room}` has no place among the rooms"
            );
            continue;
        };
        let text = fs::read_to_string(&file).expect("text");
        assert!(
            !text.contains("use crate::{"),
            "{}: one `use` a room",
            below.display()
        );
        for import in text.split("crate::").skip(1) {
            let imported: String = import
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let allowed = ROOMS[..=place].contains(&imported.as_str());
            if ROOMS.contains(&imported.as_str()) && !allowed {
                violations.push(format!("{} may not import `{imported}`", below.display()));
            }
        }
    }
    assert_eq!(violations, [] as [String; 0]);
}

#[test]
fn the_map_names_the_rooms_in_order() {
    let map = fs::read_to_string(src().join("lib.rs")).expect("lib.rs");
    let named: Vec<_> = map
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    assert_eq!(named, ROOMS);
}

#[test]
fn features_are_chosen_on_module_lines_only() {
    let mut files = Vec::new();
    source_files(&src(), &mut files);
    for file in files {
        let text = fs::read_to_string(&file).expect("text");
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if line.contains("cfg(feature") || line.contains("cfg!(feature") {
                let next = lines.next().unwrap_or_default();
                assert!(
                    next.starts_with("pub mod ") || next.starts_with("mod "),
                    "{}: {line}",
                    file.display()
                );
            }
        }
    }
}
