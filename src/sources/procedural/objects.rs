//! JSON objects made of what a text says, with keys that are described in words.

use rand::Rng as _;

use super::{
    Pair, Rng,
    documents::{JsonLayout, Value},
    english::listed,
    facts::{Facts, any_subject},
    keys::{self, Called, Key},
    lexicon::{self, COLOURS, INSTRUMENTS, SPORTS, TOOLS, TOWNS, Words},
    people::person,
    phrasing::{Prompt, fill, pick},
};

const OBJECT: &[&str] = &[
    "Write the facts as a JSON object. {keys}",
    "Turn this into JSON: {data}\n\n{keys}",
    "{data}\n\nExtract the facts as one JSON object. {keys}",
    "Return a JSON object with what the text says. {keys}",
    "Read the text and answer in JSON. {keys}",
    "From the sentence below, build a JSON object. {keys}\n\n{data}",
    "A program needs the following as JSON. {keys}\n\n{data}",
    "I need a JSON object for this note. {keys}",
    "Store what is told here in a JSON object. {keys}",
    "Convert the note into structured data, a single JSON object. {keys}",
    "Please answer with JSON that holds what you find in the text. {keys}",
    "What does the text say? Answer with one object in JSON. {keys}",
];

const NESTED: &[&str] = &[
    "Write the facts as a JSON object that contains another object. {keys}",
    "Turn the text into nested JSON. {keys}",
    "{data}\n\nExtract the facts as JSON. {keys}",
    "Return JSON with one object inside another. {keys}",
    "Read the text and answer in JSON of two levels. {keys}",
    "From the sentence below, build a nested JSON object. {keys}\n\n{data}",
    "A program expects this as JSON in two levels. {keys}\n\n{data}",
    "I need a nested object in JSON for this note. {keys}",
    "Store what is told here in JSON. {keys}",
    "Give the facts as JSON, some of them grouped. {keys}",
];

/// What leads from the outer keys to the inner ones.
const INSIDE: &[&str] = &[
    "The rest goes into an object under \"{inner}\", as follows.",
    "One more key, \"{inner}\", has an object as its value, made like this.",
    "Add the key \"{inner}\" with an inner object, described next.",
    "Under \"{inner}\" there is another object.",
    "Then comes \"{inner}\", an object of its own.",
];

/// Keys of inner objects.
const INNER: &[&str] = &[
    "details",
    "info",
    "facts",
    "more",
    "data",
    "properties",
    "rest",
    "about",
];

const ARRAY: &[&str] = &[
    "Write the {plural} as a JSON array with one object for each line. {keys}",
    "Turn each line into a JSON object and return them as an array. {keys}",
    "{data}\n\nReturn these {plural} as a JSON array of objects. {keys}",
    "List the {plural} in JSON, one object each. {keys}",
    "From the lines below, build a JSON array. {keys}\n\n{data}",
    "Every line tells of one object. Answer with all of them in a JSON array. {keys}",
    "An array of JSON objects is wanted, in the order of the lines. {keys}",
    "Extract the data of all {plural} into a JSON array. {keys}",
    "Convert the notes on {plural} to JSON: an array with an object per note. {keys}",
    "I need these {plural} as a list of objects in JSON. {keys}\n\n{data}",
];

const LIST: &[&str] = &[
    "Write what the text says as JSON. {keys}",
    "Turn the sentence into a JSON object that holds a list. {keys}",
    "{data}\n\nExtract the data as a JSON object. {keys}",
    "Return a JSON object with an array in it. {keys}",
    "Read this and answer in JSON: {data}\n\n{keys}",
    "From the sentence below, build a JSON object with a list. {keys}\n\n{data}",
    "A script reads JSON like this. {keys}\n\n{data}",
    "I need the sentence as a JSON object. {keys}",
    "Collect the items in a JSON array that is part of an object. {keys}",
    "Make JSON of the sentence. {keys}",
];

/// Several of a kind that one person has to do with.
struct Collection {
    tellings: [&'static str; 2],
    meaning: &'static str,
    names: &'static [&'static str],
    items: Items,
}

enum Items {
    Words(&'static Words),
    Numbers,
}

const COLLECTIONS: &[Collection] = &[
    Collection {
        tellings: [
            "{who} travelled to {items}.",
            "On the route of {who} lie {items}.",
        ],
        meaning: "the towns",
        names: &["towns", "places", "stops", "route"],
        items: Items::Words(&TOWNS),
    },
    Collection {
        tellings: [
            "{who} enjoys {items}.",
            "In summer {who} signed up for {items}.",
        ],
        meaning: "the sports",
        names: &["sports", "hobbies", "activities", "likes"],
        items: Items::Words(&SPORTS),
    },
    Collection {
        tellings: [
            "{who} can play the {items}.",
            "At school {who} learned to play the {items}.",
        ],
        meaning: "the instruments",
        names: &["instruments", "plays", "music", "skills"],
        items: Items::Words(&INSTRUMENTS),
    },
    Collection {
        tellings: [
            "{who} painted the walls {items}.",
            "A flag in {items} belongs to {who}.",
        ],
        meaning: "the colours",
        names: &["colours", "paints", "shades", "palette"],
        items: Items::Words(&COLOURS),
    },
    Collection {
        tellings: [
            "In the shed of {who} there are these tools: {items}.",
            "{who} borrowed a few tools: {items}.",
        ],
        meaning: "the tools",
        names: &["tools", "borrowed", "equipment", "shed"],
        items: Items::Words(&TOOLS),
    },
    Collection {
        tellings: [
            "{who} reached {items} points in the rounds of a game.",
            "The points of {who} were {items}.",
        ],
        meaning: "the points",
        names: &["points", "scores", "rounds", "results"],
        items: Items::Numbers,
    },
];

const WHO: (&str, &[&str]) = ("the name", &["name", "who", "person", "owner"]);
const HOW_MANY: (&str, &[&str]) = (
    "how many there are",
    &["count", "number", "how_many", "size"],
);

/// What order the items of a list have, and words for it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Told,
    Sorted,
    Reversed,
}

/// A few facts of a sentence, as an object.
pub(super) fn object(rng: &mut Rng) -> Pair {
    let facts = Facts::any(rng);
    let n_fields = rng.random_range(2..=5);
    let fields = facts.subject.choose(rng, n_fields);
    let keys = facts.subject.keys(rng, &fields);
    let (told, about_keys) = (facts.told(rng), keys::described(rng, Called::Keys, &keys));
    let layout = JsonLayout::any(rng);
    let request = layout.request(rng);
    Prompt::new(rng, OBJECT, &told, &[("keys", &about_keys)])
        .with_request(request)
        .answered(facts.object(&fields, &keys).json(layout))
}

/// An object some of whose facts are in an object of their own.
pub(super) fn nested(rng: &mut Rng) -> Pair {
    let facts = Facts::any(rng);
    let (n_fields, n_outer) = (rng.random_range(4..=5), rng.random_range(1..=2));
    let fields = facts.subject.choose(rng, n_fields);
    let keys = facts.subject.keys(rng, &fields);
    let (told, inner) = (facts.told(rng), pick(rng, INNER));

    let outer_keys = keys::explained(rng, Called::Keys, &keys[..n_outer]);
    let inside = fill(pick(rng, INSIDE), &[("inner", &inner)]);
    let inner_keys = keys::explained(rng, Called::Keys, &keys[n_outer..]);
    let about_keys = [&*outer_keys, &inside, &inner_keys].join(" ");

    let Value::Object(mut entries) = facts.object(&fields[..n_outer], &keys[..n_outer]) else {
        unreachable!("facts make an object")
    };
    entries.push((
        inner.to_owned(),
        facts.object(&fields[n_outer..], &keys[n_outer..]),
    ));
    let layout = JsonLayout::any(rng);
    let request = layout.request(rng);
    Prompt::new(rng, NESTED, &told, &[("keys", &about_keys)])
        .with_request(request)
        .answered(Value::Object(entries).json(layout))
}

/// One object for each line of a text.
pub(super) fn array(rng: &mut Rng) -> Pair {
    let (subject, n_lines) = (any_subject(rng), rng.random_range(2..=3));
    let several = Facts::draw_several(rng, subject, n_lines);
    let n_fields = rng.random_range(2..=3);
    let fields = subject.choose(rng, n_fields);
    let keys = subject.keys(rng, &fields);
    let lines: Vec<String> = several.iter().map(|facts| facts.told(rng)).collect();
    let about_keys = keys::described(rng, Called::Keys, &keys);
    let objects = several
        .iter()
        .map(|facts| facts.object(&fields, &keys))
        .collect();
    let layout = JsonLayout::any(rng);
    let request = layout.request(rng);
    let slots: &[(&str, &dyn std::fmt::Display)] =
        &[("keys", &about_keys), ("plural", &subject.plural)];
    Prompt::new(rng, ARRAY, &lines.join("\n"), slots)
        .with_request(request)
        .answered(Value::List(objects).json(layout))
}

/// An object with a list in it.
pub(super) fn list(rng: &mut Rng) -> Pair {
    let (collection, who) = (
        &COLLECTIONS[rng.random_range(0..COLLECTIONS.len())],
        person(rng),
    );
    let n_items = rng.random_range(2..=5);
    let mut items = collection.items.draw(rng, n_items);
    let told = fill(
        pick(rng, &collection.tellings),
        &[("who", &who), ("items", &listed(&items))],
    );
    let order = pick(
        rng,
        &[Order::Told, Order::Told, Order::Sorted, Order::Reversed],
    );
    let wish = order.request(rng, &collection.items);
    order.apply(&mut items);

    let entries = [
        (WHO, Value::from(who)),
        ((collection.meaning, collection.names), Value::List(items)),
        (HOW_MANY, Value::from(n_items as i64)),
    ];
    let chosen = match rng.random_range(0..5) {
        0 => &[0, 1][..],
        1 => &[1, 0],
        2 => &[1, 2],
        3 => &[0, 1, 2],
        _ => &[2, 1, 0],
    };
    let choices: Vec<_> = chosen.iter().map(|i| entries[*i].0).collect();
    let keys = keys::named(rng, &choices);
    let about_keys = keys::explained(rng, Called::Keys, &keys);
    let values = chosen.iter().map(|i| entries[*i].1.clone());
    let names = keys.into_iter().map(|Key { name, .. }| name);
    let object = Value::Object(names.zip(values).collect());
    let layout = JsonLayout::any(rng);
    let request = layout.request(rng);
    Prompt::new(rng, LIST, &told, &[("keys", &about_keys)])
        .with_request(wish)
        .with_request(request)
        .answered(object.json(layout))
}

impl Items {
    fn draw(&self, rng: &mut Rng, count: usize) -> Vec<Value> {
        match self {
            Items::Words(lexicon) => {
                let words = lexicon::several(rng, lexicon, count).into_iter();
                words.map(Value::from).collect()
            }
            Items::Numbers => (0..count)
                .map(|_| rng.random_range(3..=99).into())
                .collect(),
        }
    }
}

impl Order {
    fn request(self, rng: &mut Rng, items: &Items) -> &'static str {
        match (self, items) {
            (Order::Told, _) => pick(rng, &["", "", "Keep the order of the text in the array."]),
            (Order::Sorted, Items::Words(_)) => pick(
                rng,
                &[
                    "Sort the array alphabetically.",
                    "The array has to be in alphabetical order.",
                ],
            ),
            (Order::Sorted, Items::Numbers) => pick(
                rng,
                &[
                    "Sort the array from small to large.",
                    "The array has to be in ascending order.",
                ],
            ),
            (Order::Reversed, _) => pick(
                rng,
                &[
                    "Reverse the order in the array.",
                    "In the array, the last item of the text comes first and the first one last.",
                ],
            ),
        }
    }

    fn apply(self, items: &mut [Value]) {
        match self {
            Order::Told => {}
            Order::Sorted => items.sort_by(|a, b| match (a, b) {
                (Value::Whole(a), Value::Whole(b)) => a.cmp(b),
                _ => a.plain().cmp(&b.plain()),
            }),
            Order::Reversed => items.reverse(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::super::checking::{draws, integers, keys_in, keys_of, read_json, wording};
    use super::super::facts::reading;
    use super::super::lexicon::NAMES;
    use super::*;

    #[test]
    fn objects_hold_what_the_text_tells_under_the_keys_it_names() {
        for pair in draws(object) {
            let text = wording(&pair);
            let (subject, values) = reading::line(&text);
            let keys = reading::keys(subject, &text);
            assert_eq!(
                read_json(&pair.output),
                reading::object(&keys, &values),
                "{pair:?}"
            );
            assert!(
                keys_of(&pair.output)
                    .iter()
                    .eq(keys.iter().map(|(key, _)| key)),
                "{pair:?}"
            );
        }
    }

    #[test]
    fn layouts_are_those_asked_for() {
        for pair in draws(object) {
            let asks = |words: &[&str]| words.iter().any(|word| pair.instruction.contains(word));
            let (json, output) = (read_json(&pair.output), &pair.output);
            if asks(&["compact", "Minify", "Leave out spaces", "shortest"]) {
                assert_eq!(output.len(), json.to_string().len(), "{pair:?}");
            }
            if asks(&["two spaces"]) {
                let lines: Vec<&str> = output.lines().collect();
                let n_lines = json.as_object().unwrap().len() + 2;
                assert_eq!(lines.len(), n_lines, "{pair:?}");
                assert!(
                    lines[1..n_lines - 1]
                        .iter()
                        .all(|line| line.starts_with("  \""))
                );
            }
            if asks(&["one line", "single line"]) {
                assert_eq!(output.lines().count(), 1, "{pair:?}");
            }
        }
    }

    #[test]
    fn inner_objects_hold_the_keys_named_after_their_own() {
        for pair in draws(nested) {
            let text = wording(&pair);
            let (subject, values) = reading::line(&text);
            let inner = INNER
                .iter()
                .find(|key| text.contains(&format!("\"{key}\"")))
                .unwrap();
            let keys = reading::keys(subject, &text.replace(&format!("\"{inner}\""), inner));
            let at = text.find(&format!("\"{inner}\"")).unwrap();
            let n_outer = text[..at].matches('"').count() / 2;
            let mut expected = reading::object(&keys[..n_outer], &values);
            expected[*inner] = reading::object(&keys[n_outer..], &values);
            assert_eq!(read_json(&pair.output), expected, "{pair:?}");
        }
    }

    #[test]
    fn arrays_have_an_object_for_each_line() {
        for pair in draws(array) {
            let text = wording(&pair);
            let (subject, rows) = reading::lines(&text);
            let keys = reading::keys(subject, &text);
            let expected: Vec<Json> = rows.iter().map(|row| reading::object(&keys, row)).collect();
            assert_eq!(read_json(&pair.output), json!(expected), "{pair:?}");
        }
    }

    #[test]
    fn lists_hold_every_item_of_the_text_in_the_order_asked_for() {
        for pair in draws(list) {
            let text = wording(&pair);
            let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).collect();
            let mut items: Vec<Json> = integers(&text).into_iter().map(Json::from).collect();
            if items.is_empty() {
                let lexicons = [&TOWNS, &SPORTS, &INSTRUMENTS, &COLOURS, &TOOLS];
                let is_item = |word: &&&str| lexicons.iter().any(|lexicon| lexicon.contains(word));
                items = words
                    .iter()
                    .filter(is_item)
                    .map(|word| json!(word))
                    .collect();
            }
            let n_items = items.len();
            if text.contains("from small") || text.contains("ascending") {
                items.sort_by_key(|item| item.as_i64());
            } else if text.contains("alphabetical") {
                items.sort_by_key(|item| item.as_str().map(str::to_lowercase));
            } else if text.contains("Reverse") || text.contains("comes first") {
                items.reverse();
            }
            let who = words.iter().find(|word| NAMES.contains(word)).unwrap();
            let mut choices = vec![("name", WHO.0), ("count", HOW_MANY.0)];
            choices.extend(COLLECTIONS.iter().map(|c| (c.names[0], c.meaning)));
            let values = [json!(who), json!(n_items), json!(items)];
            let keys = keys_in(&text, &choices);
            let expected = keys
                .iter()
                .map(|(key, place)| (key.clone(), values[(*place).min(2)].clone()));
            assert_eq!(
                read_json(&pair.output),
                Json::Object(expected.collect()),
                "{pair:?}"
            );
        }
    }
}
