//! Keys of a document, and how a question says which value goes under which.

use super::{
    Rng,
    english::listed,
    phrasing::{fill, pick},
};

/// A key with what it stands for.
pub(super) struct Key {
    /// How it is written.
    pub(super) name: String,
    /// Its value in words: "the home town".
    pub(super) meaning: &'static str,
    /// Whether it says by itself what it stands for.
    pub(super) is_plain: bool,
}

/// What keys are called in a format, one and many.
#[derive(Clone, Copy)]
pub(super) enum Called {
    /// Those of JSON and YAML objects.
    Keys,
    /// Those at the top of a table.
    Columns,
}

/// How a key of several words is written.
#[derive(Clone, Copy)]
enum Case {
    Snake,
    Camel,
    Kebab,
}

/// A sentence around all keys, and how each is written in it.
const DESCRIPTIONS: &[(&str, &str)] = &[
    ("Use the {keys} {all}.", "\"{key}\" for {meaning}"),
    ("The {keys} are {all}.", "\"{key}\" ({meaning})"),
    ("The {keys} are to be {all}.", "\"{key}\" with {meaning}"),
    ("Put {all}.", "{meaning} under \"{key}\""),
    ("Write {all}.", "{meaning} under \"{key}\""),
    (
        "Name the {keys} like this: {all}.",
        "\"{key}\" is {meaning}",
    ),
    ("It needs the {keys} {all}.", "\"{key}\" for {meaning}"),
    ("There, {all}.", "\"{key}\" holds {meaning}"),
    ("Store {all}.", "{meaning} as \"{key}\""),
    ("For {all}.", "{meaning} use \"{key}\""),
];

/// The same over several lines.
const LISTS: &[(&str, &str)] = &[
    ("Use these {keys}:\n{all}", "- \"{key}\": {meaning}"),
    ("The {keys} are:\n{all}", "- \"{key}\" for {meaning}"),
    (
        "{Keys} and what goes there:\n{all}",
        "* \"{key}\": {meaning}",
    ),
];

/// For keys that need no explanation.
const PLAIN: &[&str] = &[
    "Use the {keys} {all}.",
    "The {keys} are {all}.",
    "It has the {keys} {all}, in this order.",
    "Give it the {keys} {all} and no others.",
    "I need only {all} as {keys}.",
    "Leave out everything but the {keys} {all}.",
];

/// Says which keys there are, and what goes under each unless they all say it themselves, in the order of the keys.
pub(super) fn described(rng: &mut Rng, called: Called, keys: &[Key]) -> String {
    if !keys.iter().all(|key| key.is_plain) {
        return explained(rng, called, keys);
    }
    let names: Vec<String> = keys
        .iter()
        .map(|key| ["\"", &key.name, "\""].concat())
        .collect();
    fill(
        pick(rng, PLAIN),
        &[("keys", &called.lower()), ("all", &listed(&names))],
    )
}

/// Says of each key what goes there, in the order of the keys.
pub(super) fn explained(rng: &mut Rng, called: Called, keys: &[Key]) -> String {
    // Three lines at least, or a sentence is plainer.
    let is_list = keys.len() > 2 && pick(rng, &[true, false, false, false]);
    let (sentence, item) = pick(rng, if is_list { LISTS } else { DESCRIPTIONS });
    let items: Vec<String> = keys
        .iter()
        .map(|key| fill(item, &[("key", &key.name), ("meaning", &key.meaning)]))
        .collect();
    let all = match is_list {
        true => items.join("\n"),
        false => listed(&items),
    };
    fill(
        sentence,
        &[
            ("keys", &called.lower()),
            ("Keys", &called.upper()),
            ("all", &all),
        ],
    )
}

/// A key for each meaning: of the names that a meaning may have, the first says it by itself.
pub(super) fn named(
    rng: &mut Rng,
    choices: &[(&'static str, &'static [&'static str])],
) -> Vec<Key> {
    // Keys of one document are written alike.
    let case = pick(rng, &[Case::Snake, Case::Snake, Case::Camel, Case::Kebab]);
    let are_plain = pick(rng, &[true, false, false]);
    choices
        .iter()
        .map(|(meaning, names)| Key {
            name: case.write(if are_plain {
                names[0]
            } else {
                pick(rng, names)
            }),
            meaning,
            is_plain: are_plain,
        })
        .collect()
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

impl Called {
    fn lower(self) -> &'static str {
        match self {
            Called::Keys => "keys",
            Called::Columns => "columns",
        }
    }

    fn upper(self) -> &'static str {
        match self {
            Called::Keys => "Keys",
            Called::Columns => "Columns",
        }
    }
}

impl Case {
    /// The name, which is in snake case, in this one.
    fn write(self, name: &str) -> String {
        match self {
            Case::Snake => name.to_owned(),
            Case::Kebab => name.replace('_', "-"),
            Case::Camel => {
                let mut written = String::with_capacity(name.len());
                let mut starts_word = false;
                for letter in name.chars() {
                    match letter {
                        '_' => starts_word = true,
                        letter if starts_word => {
                            written.push(letter.to_ascii_uppercase());
                            starts_word = false;
                        }
                        letter => written.push(letter),
                    }
                }
                written
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_several_words_have_three_cases() {
        let written =
            [Case::Snake, Case::Camel, Case::Kebab].map(|case| case.write("age_in_years"));
        assert_eq!(written, ["age_in_years", "ageInYears", "age-in-years"]);
    }
}
