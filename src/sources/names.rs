//! What sources are called.

use std::path::Path;

use crate::error::{Error, Result};

use super::{Origin, Source};

/// `alpaca_data.json.zst` → `alpaca_data`.
pub(super) fn stem(path: &Path) -> String {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let without = |name: &str, endings: &[&str]| {
        let found = endings.iter().find_map(|ending| {
            let cut = name
                .len()
                .checked_sub(ending.len())
                .filter(|&cut| cut > 0 && name.is_char_boundary(cut))?;
            name[cut..]
                .eq_ignore_ascii_case(ending)
                .then(|| name[..cut].to_owned())
        });
        found.unwrap_or_else(|| name.to_owned())
    };
    let unpacked = without(&name, &[".gz", ".zst", ".zstd"]);
    without(
        &unpacked,
        &[".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet"],
    )
}

/// Gives sources of equal names longer ones: with the parent folder, then with the file's ending too, then as typed.
pub(super) fn name_apart(sources: &mut [Source]) -> Result<()> {
    let places: Vec<_> = sources.iter().map(canonical).collect();
    for (idx, place) in places.iter().enumerate() {
        if places[..idx].contains(place) {
            return Err(Error::SourceTwice {
                path: sources[idx].path.clone(),
            });
        }
    }
    for rename in [with_parent, with_ending, as_typed] {
        for idx in clashes(sources) {
            sources[idx].name = rename(&sources[idx]);
        }
    }
    match clashes(sources).first() {
        None => Ok(()),
        Some(&idx) => Err(Error::Setting {
            key: "source",
            problem: format!("two sources are called `{}`", sources[idx].name),
            hint: "a recipe can give each its own: `{ path = \"…\", name = \"…\" }`".to_owned(),
        }),
    }
}

fn clashes(sources: &[Source]) -> Vec<usize> {
    let is_clash = |idx: &usize| {
        sources
            .iter()
            .filter(|other| other.name == sources[*idx].name)
            .count()
            > 1
    };
    (0..sources.len()).filter(is_clash).collect()
}

fn with_parent(source: &Source) -> String {
    match source.parent() {
        Some(parent) => format!("{parent}/{}", source.name),
        None => source.path.clone(),
    }
}

fn with_ending(source: &Source) -> String {
    let ending = match &source.origin {
        Origin::File { path, .. } => path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned()),
        _ => None,
    };
    match (source.parent(), ending) {
        (Some(parent), Some(name)) => format!("{parent}/{name}"),
        _ => source.path.clone(),
    }
}

fn as_typed(source: &Source) -> String {
    source.path.clone()
}

fn canonical(source: &Source) -> String {
    match &source.origin {
        Origin::File { path, .. } => path
            .canonicalize()
            .unwrap_or_else(|_| path.clone())
            .to_string_lossy()
            .into_owned(),
        Origin::Arrived { .. }
        | Origin::Bundled(_)
        | Origin::Procedural { .. }
        | Origin::ToAsk { .. } => source.path.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_named_after_its_file() {
        for (path, name) in [
            ("data/alpaca_data.json.zst", "alpaca_data"),
            ("seed_tasks.JSONL.GZ", "seed_tasks"),
            ("v1.2.csv", "v1.2"),
            ("plain", "plain"),
            (".json", ".json"),
            ("notes.txt", "notes.txt"),
        ] {
            assert_eq!(stem(Path::new(path)), name);
        }
    }
}
