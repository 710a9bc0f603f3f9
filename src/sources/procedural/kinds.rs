//! Which kind of thing a word names.

use rand::Rng as _;

use super::{
    Pair, Rng,
    english::{capitalised, joined, listed},
    lexicon::{
        self, ANIMALS, BODY_PARTS, BUILDINGS, CLOTHES, FOODS, FRUITS, FURNITURE, INSTRUMENTS,
        METALS, OCCUPATIONS, PLANTS, SPORTS, TOOLS, VEGETABLES, VEHICLES, Words,
    },
    phrasing::{Form, Prompt, pick},
    working::worked,
};

const CLASSIFY: &[&str] = &[
    "What kind of thing is \"{data}\"? Choose from: {options}.",
    "Classify the word \"{data}\" as one of {options}.",
    "Into which of these groups does \"{data}\" belong: {options}?",
    "Assign \"{data}\" to a category. The categories are {options}.",
    "Label the word with one of the following: {options}.",
    "Pick the category that fits the input. Options: {options}.",
    "Choose the right label for \"{data}\" from {options}.",
    "Sort the word into one of these categories: {options}.",
    "Is \"{data}\" best described as one of {options}? Say which.",
    "A quiz asks for the category of \"{data}\" and offers {options}. Which is right?",
];

const ODD_ONE_OUT: &[&str] = &[
    "Which word does not belong: {data}?",
    "Find the odd one out: {data}",
    "One of these is different in kind: {data}. Which?",
    "Name the intruder among {data}.",
    "Three or more of these belong together: {data}. Which does not?",
    "Pick the word that does not fit the others: {data}",
    "Which of {data} is the odd one out?",
    "Find the word that does not belong in the list.",
    "All but one of the words name the same kind of thing. Which one does not?",
    "Look for the odd one out in the list.",
];

const GROUP: &[&str] = &[
    "Sort these words into groups by kind: {data}",
    "Group the words {data} into {groups}.",
    "Tell the {groups} apart among {data}. Make one line for each group.",
    "Divide {data} into {groups}, one line per group.",
    "Arrange the words under the headings {groups}.",
    "Put each word of the list into the right group: {groups}.",
    "Make a list for each of these groups from the words below: {groups}.",
    "Separate the input into {groups}.",
    "The words are mixed up. Sort them into {groups}.",
];

const PICK_OUT: &[&str] = &[
    "Which of these are {groups}: {data}?",
    "List only the {groups} from {data}.",
    "Pick out the {groups}: {data}",
    "From the words {data}, keep those that are {groups}.",
    "Find all {groups} among {data}.",
    "Name the {groups} in the list.",
    "Remove everything from the list that does not belong to the {groups}.",
    "Extract the {groups} from the input.",
    "Go through the words and write down the {groups}.",
];

/// A kind of thing. Kinds of one realm overlap (a carrot is a plant, too), so no question has two of them.
#[derive(Clone, Copy)]
struct Kind {
    one: &'static str,
    many: &'static str,
    realm: u8,
    words: &'static Words,
}

const fn kind(one: &'static str, many: &'static str, realm: u8, words: &'static Words) -> Kind {
    Kind {
        one,
        many,
        realm,
        words,
    }
}

const KINDS: &[Kind] = &[
    kind("plant", "plants", 0, &PLANTS),
    kind("food", "foods", 0, &FOODS),
    kind("fruit", "fruits", 0, &FRUITS),
    kind("vegetable", "vegetables", 0, &VEGETABLES),
    kind("animal", "animals", 1, &ANIMALS),
    kind("tool", "tools", 2, &TOOLS),
    kind("item of clothing", "items of clothing", 3, &CLOTHES),
    kind("musical instrument", "musical instruments", 4, &INSTRUMENTS),
    kind("vehicle", "vehicles", 5, &VEHICLES),
    kind("piece of furniture", "pieces of furniture", 6, &FURNITURE),
    kind("occupation", "occupations", 7, &OCCUPATIONS),
    kind("metal", "metals", 8, &METALS),
    kind("part of the body", "parts of the body", 9, &BODY_PARTS),
    kind("building", "buildings", 10, &BUILDINGS),
    kind("sport", "sports", 11, &SPORTS),
];

/// The kind of one word, out of three to five.
pub(super) fn classify(rng: &mut Rng) -> Pair {
    let n_kinds = rng.random_range(3..=5);
    let kinds = several_kinds(rng, n_kinds);
    let kind = pick(rng, &kinds);
    let word = lexicon::any(rng, kind.words);
    let options: Vec<&str> = kinds.iter().map(|kind| kind.one).collect();
    let form = Form::brief(rng);
    let prompt = Prompt::new(rng, CLASSIFY, word, &[("options", &joined(&options, ", "))])
        .in_form(form, rng);
    prompt.answered(match form {
        Form::Bare => kind.one.to_owned(),
        _ => format!(
            "The word \"{word}\" belongs to the category \"{}\".",
            kind.one
        ),
    })
}

/// The one word of another kind.
pub(super) fn odd_one_out(rng: &mut Rng) -> Pair {
    let kinds = several_kinds(rng, 2);
    let n_words = rng.random_range(3..=5);
    let mut words = lexicon::several(rng, kinds[0].words, n_words);
    let odd = lexicon::any(rng, kinds[1].words);
    words.insert(rng.random_range(0..=n_words), odd);
    let form = Form::any(rng);
    let prompt = Prompt::new(rng, ODD_ONE_OUT, &joined(&words, ", "), &[]).in_form(form, rng);
    prompt.answered(match form {
        Form::Bare => odd.to_owned(),
        Form::Sentence => format!(
            "The odd one out is \"{odd}\"; the others are {}.",
            kinds[0].many
        ),
        Form::Steps => {
            words.retain(|word| *word != odd);
            let steps = [
                format!("{} are {}", listed(&words), kinds[0].many),
                format!(
                    "\"{odd}\" does not belong to that kind, but to the {}",
                    kinds[1].many
                ),
            ];
            worked(
                rng,
                &steps,
                &format!("So the word that does not belong is \"{odd}\"."),
            )
        }
    })
}

/// Mixed words sorted into two or three kinds.
pub(super) fn group(rng: &mut Rng) -> Pair {
    let n_kinds = rng.random_range(2..=3);
    let kinds = several_kinds(rng, n_kinds);
    let groups: Vec<Vec<&str>> = kinds
        .iter()
        .map(|kind| {
            let n_words = rng.random_range(2..=3);
            lexicon::several(rng, kind.words, n_words)
        })
        .collect();
    let words = groups.concat();
    let mixed = lexicon::several(rng, &words, words.len());
    let names: Vec<&str> = kinds.iter().map(|kind| kind.many).collect();
    let prompt = Prompt::new(
        rng,
        GROUP,
        &joined(&mixed, ", "),
        &[("groups", &listed(&names))],
    );
    // Within a group the words keep the order in which they were given.
    let in_order = |group: &Vec<&str>| {
        mixed
            .iter()
            .copied()
            .filter(|word| group.contains(word))
            .collect::<Vec<_>>()
    };
    let lines: Vec<String> = kinds
        .iter()
        .zip(&groups)
        .map(|(kind, group)| {
            format!(
                "{}: {}",
                capitalised(kind.many),
                joined(&in_order(group), ", ")
            )
        })
        .collect();
    prompt.answered(lines.join("\n"))
}

/// The words of one kind among others.
pub(super) fn pick_out(rng: &mut Rng) -> Pair {
    let kinds = several_kinds(rng, 3);
    let n_wanted = rng.random_range(1..=3);
    let wanted = lexicon::several(rng, kinds[0].words, n_wanted);
    let mut words = wanted.clone();
    for kind in &kinds[1..] {
        let n_others = rng.random_range(1..=2);
        words.extend(lexicon::several(rng, kind.words, n_others));
    }
    let mixed = lexicon::several(rng, &words, words.len());
    let found: Vec<&str> = mixed
        .iter()
        .copied()
        .filter(|word| wanted.contains(word))
        .collect();
    let form = Form::brief(rng);
    let prompt = Prompt::new(
        rng,
        PICK_OUT,
        &joined(&mixed, ", "),
        &[("groups", &kinds[0].many)],
    )
    .in_form(form, rng);
    prompt.answered(match (form, &found[..]) {
        (Form::Bare, _) => joined(&found, ", "),
        (_, [only]) => format!("Only {only} belongs to the {}.", kinds[0].many),
        _ => format!("The {} in the list are {}.", kinds[0].many, listed(&found)),
    })
}

/// Different kinds from different realms.
fn several_kinds(rng: &mut Rng, count: usize) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = Vec::with_capacity(count);
    while kinds.len() < count {
        let kind = pick(rng, KINDS);
        if kinds.iter().all(|other| other.realm != kind.realm) {
            kinds.push(kind);
        }
    }
    kinds
}

#[cfg(test)]
mod tests {
    use super::super::checking::{draws, wording};
    use super::*;

    fn kind_of(word: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.words.contains(&word))
    }

    /// The words of the question that some lexicon knows.
    fn known_words(pair: &Pair) -> Vec<String> {
        let text = wording(pair);
        let words = text
            .split(|c: char| !c.is_alphabetic())
            .filter(|word| kind_of(word).is_some());
        words.map(str::to_owned).collect()
    }

    #[test]
    fn no_word_is_of_two_kinds() {
        for kind in KINDS {
            for word in kind.words.iter() {
                assert_eq!(
                    KINDS
                        .iter()
                        .filter(|other| other.words.contains(word))
                        .count(),
                    1,
                    "{word}"
                );
            }
        }
    }

    #[test]
    fn classified_words_are_in_the_lexicon_of_their_kind() {
        for pair in draws(classify) {
            let word = if pair.input.is_empty() {
                pair.instruction.split('"').nth(1).unwrap()
            } else {
                &pair.input
            };
            let kind = kind_of(word).unwrap();
            assert!(
                pair.output == kind.one || pair.output.ends_with(&format!("\"{}\".", kind.one)),
                "{pair:?}"
            );
            assert!(pair.instruction.contains(kind.one), "{pair:?}");
        }
    }

    #[test]
    fn the_odd_one_is_alone_in_its_kind() {
        for pair in draws(odd_one_out) {
            let words = known_words(&pair);
            let alone = words.iter().filter(|word| {
                let realm = kind_of(word).map(|kind| kind.realm);
                words
                    .iter()
                    .filter(|other| kind_of(other).map(|kind| kind.realm) == realm)
                    .count()
                    == 1
            });
            let alone: Vec<&String> = alone.collect();
            assert_eq!(alone.len(), 1, "{pair:?}");
            let quoted = format!("\"{}\"", alone[0]);
            assert!(
                pair.output == *alone[0] || pair.output.contains(&quoted),
                "{pair:?}"
            );
        }
    }

    #[test]
    fn groups_hold_each_word_once_under_its_kind() {
        for pair in draws(group) {
            let mut given = known_words(&pair);
            let mut sorted = Vec::new();
            for line in pair.output.lines() {
                let (heading, words) = line.split_once(": ").unwrap();
                for word in words.split(", ") {
                    assert_eq!(
                        kind_of(word).unwrap().many,
                        heading.to_lowercase(),
                        "{pair:?}"
                    );
                    sorted.push(word.to_owned());
                }
            }
            given.sort();
            sorted.sort();
            assert_eq!(given, sorted, "{pair:?}");
        }
    }

    #[test]
    fn picked_out_words_are_all_of_the_kind_and_no_others() {
        for pair in draws(pick_out) {
            let kind = KINDS.iter().find(|kind| {
                pair.instruction.contains(&format!(" {}", kind.many))
                    && pair
                        .output
                        .split(|c: char| !c.is_alphabetic())
                        .any(|w| kind.words.contains(&w))
            });
            let kind = kind.unwrap();
            for word in known_words(&pair) {
                let picked = pair
                    .output
                    .split(|c: char| !c.is_alphabetic())
                    .any(|w| w == word);
                assert_eq!(picked, kind.words.contains(&word.as_str()), "{pair:?}");
            }
        }
    }
}
