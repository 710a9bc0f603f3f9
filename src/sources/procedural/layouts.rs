//! Facts and items in layouts other than JSON: YAML, Markdown tables, lists and lines of keys and values.

use rand::Rng as _;

use super::{
    Pair, Rng,
    documents::Value,
    english::{joined, listed},
    facts::{Facts, any_subject},
    keys::{self, Called},
    lexicon::{
        self, ANIMALS, CLOTHES, COLOURS, FOODS, FRUITS, FURNITURE, INSTRUMENTS, METALS, NAMES,
        PLANTS, SPORTS, TOOLS, TOWNS, VEGETABLES, VEHICLES, Words,
    },
    phrasing::{Prompt, pick},
};

const YAML: &[&str] = &[
    "Write the facts as YAML. {keys}",
    "Turn the note into a YAML mapping. {keys}",
    "{data}\n\nExtract the facts as YAML. {keys}",
    "Return YAML with what the text says. {keys}",
    "Read the text and answer in YAML. {keys}",
    "From the sentence below, write a short YAML document. {keys}\n\n{data}",
    "A configuration file in YAML is wanted. {keys}\n\n{data}",
    "I need this note as YAML. {keys}",
    "Store what is told here in YAML. {keys}",
    "Please give the content of the text in YAML, one key a line. {keys}",
];

const YAML_LIST: &[&str] = &[
    "Write the {plural} as a YAML list with one mapping for each line. {keys}",
    "Turn the lines into a YAML sequence, an entry for each. {keys}",
    "{data}\n\nList these {plural} in YAML. {keys}",
    "Each line tells of one entry. Give all of them as a list in YAML. {keys}",
    "From the lines below, make a YAML list. {keys}\n\n{data}",
    "Return the {plural} as YAML, a list of mappings. {keys}",
    "Collect the data of all {plural} in a YAML sequence. {keys}",
    "YAML with a list item for every line is what I need. {keys}",
    "Put these notes on {plural} into one list in YAML. {keys}",
];

const TABLE: &[&str] = &[
    "Write the {plural} as a Markdown table with one row for each line. {columns}",
    "Turn the lines into a table in Markdown. {columns}",
    "{data}\n\nMake a Markdown table of these {plural}. {columns}",
    "Each line is to become a row of a Markdown table. {columns}",
    "From the lines below, draw up a table in Markdown. {columns}\n\n{data}",
    "Tabulate the {plural} in Markdown. {columns}",
    "A README needs these {plural} as a table. {columns}",
    "Give an overview as a Markdown table. {columns}",
    "Please arrange the data of all {plural} in a Markdown table. {columns}",
    "Summarise the notes in a table, written in Markdown. {columns}",
];

const LIST: &[&str] = &[
    "Write these as a list, {style}: {data}",
    "Turn the following into a list {style}. {data}",
    "{data}: make a list of these, {style}.",
    "List the items below, {style}.",
    "Put every item on a line of its own, {style}.",
    "Format the enumeration as a list, {style}.",
    "I need {data} one below the other, {style}.",
    "Break this enumeration into lines, {style}.",
    "Make a list {style} of what is named here: {data}",
    "Rewrite {data} as a list, {style}.",
    "The items are to stand below each other, {style}.",
];

const ORDERS: &[(&str, Order)] = &[
    ("", Order::Given),
    ("", Order::Given),
    ("Keep the order.", Order::Given),
    ("Sort the items alphabetically.", Order::Alphabetical),
    ("Put them in alphabetical order.", Order::Alphabetical),
    ("Reverse their order.", Order::Reversed),
    (
        "Start with the last one and end with the first.",
        Order::Reversed,
    ),
];

/// What stands before the items of a list, in words.
const MARKERS: &[(&str, Marker)] = &[
    ("with a hyphen before each", Marker::Sign("- ")),
    (
        "each line starting with a hyphen and a space",
        Marker::Sign("- "),
    ),
    ("with an asterisk before each", Marker::Sign("* ")),
    ("with asterisks as bullets", Marker::Sign("* ")),
    ("with a plus sign before each", Marker::Sign("+ ")),
    ("with round bullets (•)", Marker::Sign("• ")),
    (
        "numbered from 1, with a full stop after the number",
        Marker::Number("."),
    ),
    (
        "numbered from 1, with a closing bracket after the number",
        Marker::Number(")"),
    ),
    (
        "with the letters a, b, c and so on, each followed by a closing bracket",
        Marker::Letter,
    ),
    ("without any bullets or numbers", Marker::Sign("")),
];

const LINES: &[&str] = &[
    "Write the facts as lines of key and value. {between} {keys}",
    "Turn the note into key-value lines. {keys} {between}",
    "{data}\n\nExtract the facts, one line for each key. {between} {keys}",
    "Return one line per fact, a key and its value. {between} {keys}",
    "Read the text and fill in a settings file of keys and values. {between} {keys}",
    "From the sentence below, write a line for each key. {between} {keys}\n\n{data}",
    "Plain lines of key and value are wanted. {between} {keys}\n\n{data}",
    "I need this note as a list of keys with their values. {between} {keys}",
    "Store what is told here, each fact on its own line after its key. {between} {keys}",
    "Fill the keys with what the text says, one a line. {between} {keys}",
];

/// What stands between a key and its value, in words.
const BETWEEN: &[(&str, &[&str])] = &[
    (
        "=",
        &[
            "Put an equals sign between them, without spaces.",
            "Write them as key=value.",
        ],
    ),
    (
        " = ",
        &[
            "Put an equals sign between them, with a space on both sides.",
            "Write them as key = value.",
        ],
    ),
    (
        ": ",
        &[
            "Put a colon and a space between them.",
            "Write them as key: value.",
        ],
    ),
    (
        " - ",
        &[
            "Put a hyphen with a space on both sides between them.",
            "Write them as key - value.",
        ],
    ),
    (
        " | ",
        &[
            "Put a vertical bar with a space on both sides between them.",
            "Write them as key | value.",
        ],
    ),
];

const LEXICONS: &[&Words] = &[
    &ANIMALS,
    &CLOTHES,
    &COLOURS,
    &FOODS,
    &FRUITS,
    &FURNITURE,
    &INSTRUMENTS,
    &METALS,
    &NAMES,
    &PLANTS,
    &SPORTS,
    &TOOLS,
    &TOWNS,
    &VEGETABLES,
    &VEHICLES,
];

#[derive(Clone, Copy)]
enum Order {
    Given,
    Alphabetical,
    Reversed,
}

#[derive(Clone, Copy)]
enum Marker {
    Sign(&'static str),
    /// The number, then this.
    Number(&'static str),
    Letter,
}

/// A mapping of a few facts, or a list of such mappings.
pub(super) fn yaml(rng: &mut Rng) -> Pair {
    let subject = any_subject(rng);
    let n_lines = pick(rng, &[1, 1, 2, 3]);
    let several = Facts::draw_several(rng, subject, n_lines);
    let n_fields = rng.random_range(2..=4);
    let fields = subject.choose(rng, n_fields);
    let keys = subject.keys(rng, &fields);
    let lines: Vec<String> = several.iter().map(|facts| facts.told(rng)).collect();
    let about_keys = keys::described(rng, Called::Keys, &keys);
    let phrasings = if n_lines == 1 { YAML } else { YAML_LIST };
    let slots: &[(&str, &dyn std::fmt::Display)] =
        &[("keys", &about_keys), ("plural", &subject.plural)];
    let prompt = Prompt::new(rng, phrasings, &lines.join("\n"), slots);
    let mut objects = several.iter().map(|facts| facts.object(&fields, &keys));
    prompt.answered(match (n_lines, objects.next()) {
        (1, Some(only)) => only.yaml(),
        (_, first) => Value::List(first.into_iter().chain(objects).collect()).yaml(),
    })
}

/// A Markdown table with a row for each line of a text.
pub(super) fn table(rng: &mut Rng) -> Pair {
    let (subject, n_lines) = (any_subject(rng), rng.random_range(2..=4));
    let several = Facts::draw_several(rng, subject, n_lines);
    let n_fields = rng.random_range(2..=4);
    let fields = subject.choose(rng, n_fields);
    let keys = subject.keys(rng, &fields);
    let lines: Vec<String> = several.iter().map(|facts| facts.told(rng)).collect();
    let columns = keys::described(rng, Called::Columns, &keys);
    let slots: &[(&str, &dyn std::fmt::Display)] =
        &[("columns", &columns), ("plural", &subject.plural)];
    let request = subject.flag_request(rng, &fields);
    let prompt = Prompt::new(rng, TABLE, &lines.join("\n"), slots).with_request(request);

    let names: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
    let mut rows = vec![
        format!("| {} |", names.join(" | ")),
        format!("|{}", " --- |".repeat(names.len())),
    ];
    rows.extend(several.iter().map(|facts| {
        let cells: Vec<&Value> = fields.iter().map(|field| facts.value(*field)).collect();
        format!("| {} |", joined(&cells, " | "))
    }));
    prompt.answered(rows.join("\n"))
}

/// An enumeration as a list with the bullets or numbers that are described.
pub(super) fn list(rng: &mut Rng) -> Pair {
    let n_items = rng.random_range(3..=6);
    let lexicon = pick(rng, LEXICONS);
    let mut items = lexicon::several(rng, lexicon, n_items);
    let told = listed(&items);
    let (style, marker) = pick(rng, MARKERS);
    let (wish, order) = pick(rng, ORDERS);
    match order {
        Order::Given => {}
        Order::Alphabetical => items.sort_unstable(),
        Order::Reversed => items.reverse(),
    }
    let lines: Vec<String> = items
        .iter()
        .enumerate()
        .map(|(i, item)| match marker {
            Marker::Sign(sign) => format!("{sign}{item}"),
            Marker::Number(after) => format!("{}{after} {item}", i + 1),
            Marker::Letter => format!("{}) {item}", char::from(b'a' + i as u8)),
        })
        .collect();
    Prompt::new(rng, LIST, &told, &[("style", &style)])
        .capitalised()
        .with_request(wish)
        .answered(lines.join("\n"))
}

/// A line for each of a few facts.
pub(super) fn lines(rng: &mut Rng) -> Pair {
    let facts = Facts::any(rng);
    let n_fields = rng.random_range(2..=5);
    let fields = facts.subject.choose(rng, n_fields);
    let keys = facts.subject.keys(rng, &fields);
    let (told, about_keys) = (facts.told(rng), keys::described(rng, Called::Keys, &keys));
    let (between, ask) = pick(rng, BETWEEN);
    let slots: &[(&str, &dyn std::fmt::Display)] =
        &[("keys", &about_keys), ("between", &pick(rng, ask))];
    let request = facts.subject.flag_request(rng, &fields);
    let prompt = Prompt::new(rng, LINES, &told, slots).with_request(request);
    let named = fields.iter().zip(&keys);
    let lines: Vec<String> = named
        .map(|(field, key)| [&*key.name, between, &facts.value(*field).plain()].concat())
        .collect();
    prompt.answered(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::{Value as Json, json};

    use super::super::checking::{draws, read_table, read_yaml, wording};
    use super::super::facts::reading;
    use super::*;

    #[test]
    fn yaml_holds_what_the_lines_tell_under_the_keys_they_name() {
        for pair in draws(yaml) {
            let text = wording(&pair);
            let (subject, rows) = reading::lines(&text);
            let keys = reading::keys(subject, &text);
            let mut expected: Vec<Json> =
                rows.iter().map(|row| reading::object(&keys, row)).collect();
            let mut words = text.split(|c: char| !c.is_alphabetic());
            let is_list = words.any(|word| ["list", "List", "sequence"].contains(&word));
            assert_eq!(is_list, expected.len() > 1, "{pair:?}");
            let expected = if is_list {
                json!(expected)
            } else {
                expected.remove(0)
            };
            assert_eq!(read_yaml(&pair.output), expected, "{pair:?}");
        }
    }

    #[test]
    fn tables_have_the_columns_named_and_a_row_for_each_line() {
        for pair in draws(table) {
            let text = wording(&pair);
            let (subject, rows) = reading::lines(&text);
            let keys = reading::keys(subject, &text);
            let expected: Vec<Vec<(String, Json)>> = rows
                .iter()
                .map(|row| {
                    keys.iter()
                        .map(|(key, field)| (key.clone(), row[*field].clone()))
                        .collect()
                })
                .collect();
            assert_eq!(read_table(&pair.output), expected, "{pair:?}");
            let lines: Vec<&str> = pair.output.lines().collect();
            assert_eq!(lines[1].matches("---").count(), keys.len(), "{pair:?}");
        }
    }

    #[test]
    fn lists_have_every_item_once_behind_the_sign_described() {
        let words = LEXICONS.iter().flat_map(|lexicon| lexicon.iter());
        let known: HashSet<String> = words.map(|word| word.to_lowercase()).collect();
        for pair in draws(list) {
            let text = wording(&pair);
            let words = text
                .split(|c: char| !c.is_alphabetic())
                .map(str::to_lowercase);
            let mut items: Vec<String> = words.filter(|word| known.contains(word)).collect();
            if text.contains("lphabetical") {
                items.sort();
            } else if text.contains("Reverse") || text.contains("Start with the last") {
                items.reverse();
            }
            let marker = |i: usize| match () {
                () if text.contains("hyphen") => "- ".to_owned(),
                () if text.contains("asterisk") => "* ".to_owned(),
                () if text.contains("plus") => "+ ".to_owned(),
                () if text.contains("round bullets") => "• ".to_owned(),
                () if text.contains("full stop") => format!("{i}. ", i = i + 1),
                () if text.contains("numbered") => format!("{i}) ", i = i + 1),
                () if text.contains("letters") => {
                    format!("{}) ", ["a", "b", "c", "d", "e", "f"][i])
                }
                () => String::new(),
            };
            let expected: Vec<String> = items
                .iter()
                .enumerate()
                .map(|(i, item)| marker(i) + item)
                .collect();
            assert_eq!(pair.output.to_lowercase(), expected.join("\n"), "{pair:?}");
        }
    }

    #[test]
    fn lines_hold_what_the_text_tells_under_the_keys_it_names() {
        for pair in draws(lines) {
            let text = wording(&pair);
            let (subject, values) = reading::line(&text);
            let between = match () {
                () if text.contains("equals sign between them, without") => "=",
                () if text.contains("key=value") => "=",
                () if text.contains("equals sign") || text.contains("key = value") => " = ",
                () if text.contains("colon") || text.contains("key: value") => ": ",
                () if text.contains("hyphen") || text.contains("key - value") => " - ",
                () => " | ",
            };
            let expected: Vec<String> = reading::keys(subject, &text)
                .into_iter()
                .map(|(key, field)| {
                    let value = &values[field];
                    let value = value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned);
                    key + between + &value
                })
                .collect();
            assert_eq!(pair.output, expected.join("\n"), "{pair:?}");
        }
    }
}
