//! What tests of families share: drawing many pairs, and reading numbers and data back out of their text.

use std::cmp::Reverse;

use rand::SeedableRng as _;

use serde_json::Value as Json;

use super::{Pair, Rng};

/// Pairs that each family test looks at.
const N_DRAWS: u64 = 3_000;

/// A few thousand generators.
pub(super) fn seeded() -> impl Iterator<Item = Rng> {
    (0..N_DRAWS).map(Rng::seed_from_u64)
}

/// A few thousand pairs of one family.
pub(super) fn draws(sample: fn(&mut Rng) -> Pair) -> impl Iterator<Item = Pair> {
    seeded().map(move |mut rng| sample(&mut rng))
}

/// Instruction and input together, for families whose data may stand in either.
pub(super) fn wording(pair: &Pair) -> String {
    format!("{}\n{}", pair.instruction, pair.input)
}

/// Every whole number in the text, in order; a minus counts where it begins a word.
pub(super) fn integers(text: &str) -> Vec<i64> {
    let mut numbers = Vec::new();
    let mut before = ' ';
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let negative = c == '-' && !before.is_alphanumeric();
        let digits = if negative { &rest[1..] } else { rest };
        let n_digits = digits.bytes().take_while(u8::is_ascii_digit).count();
        if n_digits > 0 {
            let number: i64 = digits[..n_digits].parse().expect("digits are a number");
            numbers.push(if negative { -number } else { number });
            rest = &digits[n_digits..];
            before = '0';
        } else {
            rest = &rest[c.len_utf8()..];
            before = c;
        }
    }
    numbers
}

/// The number that an answer ends with.
pub(super) fn last_integer(text: &str) -> i64 {
    *integers(text).last().expect("the answer holds a number")
}

/// The quoted keys of a question, each with the place of what it stands for among the choices, which are a name that
/// speaks for itself and a meaning in words. Keys and meanings are told in the same order, or meanings not at all.
pub(super) fn keys_in(text: &str, choices: &[(&str, &str)]) -> Vec<(String, usize)> {
    let keys: Vec<&str> = text.split('"').skip(1).step_by(2).collect();
    let mut found: Vec<(usize, Reverse<usize>, usize)> = Vec::new();
    for (place, (_, meaning)) in choices.iter().enumerate() {
        for (at, _) in text.match_indices(meaning) {
            let rest = &text[at + meaning.len()..];
            if !rest.starts_with(char::is_alphanumeric) {
                found.push((at, Reverse(meaning.len()), place));
            }
        }
    }
    // A meaning that is a part of a longer one is not meant.
    found.sort_unstable();
    let mut end = 0;
    found.retain(|(at, Reverse(length), _)| {
        let is_apart = *at >= end;
        end = end.max(at + length);
        is_apart
    });
    let mut meanings: Vec<usize> = found.into_iter().map(|(.., place)| place).collect();
    if meanings.is_empty() {
        let folded = |name: &str| name.replace(['_', '-'], "").to_lowercase();
        let place = |key: &&str| {
            choices
                .iter()
                .position(|(name, _)| folded(name) == folded(key))
        };
        meanings = keys
            .iter()
            .map(|key| place(key).expect("a name of its own"))
            .collect();
    }
    assert_eq!(keys.len(), meanings.len(), "{text}");
    keys.into_iter().map(str::to_owned).zip(meanings).collect()
}

/// JSON, read by the library that did not lay it out.
pub(super) fn read_json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|problem| panic!("{problem} in {text}"))
}

/// The keys of JSON whose values are no objects, in the order of the text.
pub(super) fn keys_of(json: &str) -> Vec<String> {
    let parts: Vec<&str> = json.split('"').collect();
    let quoted = (1..parts.len()).step_by(2);
    let keys = quoted.filter(|i| parts[i + 1].trim_start().starts_with(':'));
    keys.map(|i| parts[i].to_owned()).collect()
}

/// YAML of the block style with an indentation of two spaces, read line by line.
pub(super) fn read_yaml(text: &str) -> Json {
    let lines: Vec<(usize, &str)> = text
        .lines()
        .map(|line| (line.len() - line.trim_start().len(), line.trim_start()))
        .collect();
    read_yaml_block(&lines)
}

/// Reads lines that are indented at least as much as the first of them.
fn read_yaml_block(lines: &[(usize, &str)]) -> Json {
    let (indent, first) = lines[0];
    let starts: Vec<usize> = (0..lines.len()).filter(|i| lines[*i].0 == indent).collect();
    let ends = starts.iter().copied().skip(1).chain([lines.len()]);
    let blocks = starts
        .iter()
        .zip(ends)
        .map(|(start, end)| &lines[*start..end]);
    if !first.starts_with("- ") {
        let entries = blocks.map(|block| {
            let (key, value) = block[0].1.split_once(':').expect("a key");
            match value.strip_prefix(' ') {
                Some(value) => (key.to_owned(), read_yaml_scalar(value)),
                None => (key.to_owned(), read_yaml_block(&block[1..])),
            }
        });
        return Json::Object(entries.collect());
    }
    let items = blocks.map(|block| {
        let item = &block[0].1[2..];
        if item.starts_with('"') || !item.contains(':') {
            return read_yaml_scalar(item);
        }
        let mut block = block.to_vec();
        block[0] = (indent + 2, item);
        read_yaml_block(&block)
    });
    Json::Array(items.collect())
}

/// A word is text unless it is quoted or reads as a number or a truth value.
fn read_yaml_scalar(text: &str) -> Json {
    match text {
        "true" => Json::Bool(true),
        "false" => Json::Bool(false),
        quoted if quoted.starts_with('"') => quoted.trim_matches('"').into(),
        other => other.parse::<i64>().map_or(other.into(), Json::from),
    }
}

/// A table with commas, semicolons or Markdown's bars between the cells, as one object a row.
pub(super) fn read_table(text: &str) -> Vec<Vec<(String, Json)>> {
    let separator = [" | ", ";", ","]
        .into_iter()
        .find(|between| text.contains(between));
    let separator = separator.expect("a table has two columns");
    let mut rows = text
        .lines()
        .map(|line| line.trim_start_matches("| ").trim_end_matches(" |"))
        .filter(|line| !line.starts_with("---"))
        .map(|line| line.split(separator));
    let header: Vec<&str> = rows.next().expect("a header").collect();
    rows.map(|cells| {
        let cells = header.iter().zip(cells.map(read_yaml_scalar));
        cells
            .map(|(name, cell)| ((*name).to_owned(), cell))
            .collect()
    })
    .collect()
}
