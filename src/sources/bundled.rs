//! Sources that are part of the program, so that every command works from an empty folder.

use crate::error::{Error, Result};

/// The licence of everything bundled.
pub(super) const LICENCE: &str = "Apache-2.0";

const SETS: &[(&str, &str)] = &[
    (
        "formatted_text",
        include_str!("../../data/task/formatted_text.jsonl"),
    ),
    (
        "formatted_text_held_out",
        include_str!("../../data/task/formatted_text_held_out.jsonl"),
    ),
    (
        "formatted_text_dev",
        include_str!("../../data/task/formatted_text_dev.jsonl"),
    ),
    (
        "formatted_text_facts",
        include_str!("../../data/task/formatted_text_facts.jsonl"),
    ),
];

/// The JSON Lines of a bundled set.
pub(super) fn text(name: &str) -> Result<&'static str> {
    SETS.iter()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
        .ok_or_else(|| {
            let names: Vec<_> = SETS
                .iter()
                .map(|(known, _)| format!("`bundled:{known}`"))
                .collect();
            Error::Setting {
                key: "source",
                problem: format!("there is no bundled set `{name}`"),
                hint: format!("bundled are {}", names.join(", ")),
            }
        })
}
