//! Unions, intersections and differences of small sets.

use rand::Rng as _;

use super::{
    Pair, Rng,
    english::joined,
    lexicon::{self, ANIMALS, COLOURS, FRUITS, NAMES, PLACES, SPORTS},
    phrasing::{Form, Prompt, pick},
};

const BOTH: &[&str] = &[
    "Which entries are in both lists?",
    "Find the intersection of A and B.",
    "What do the two lists have in common?",
    "List everything that A and B share.",
    "{data}\nWhich entries occur in A as well as in B?",
    "Keep only what both A and B contain.",
    "{data}\nGive the intersection of the two sets.",
    "Compare the lists and name the entries found in each of them.",
    "Here are two sets.\n{data}\nWhat is their overlap?",
];

const EITHER: &[&str] = &[
    "Merge the two lists without repeating anything.",
    "Find the union of A and B.",
    "List every entry that is in A, in B or in both.",
    "Combine A and B into one list without duplicates.",
    "{data}\nWhat is the union of the two sets?",
    "Which different entries are there in the two lists together?",
    "{data}\nJoin the lists and drop repeated entries.",
    "Put A and B together, naming each entry once.",
    "Here are two sets.\n{data}\nForm their union.",
];

const ONLY_FIRST: &[&str] = &[
    "Which entries of A are not in B?",
    "Find the difference A minus B.",
    "What is in A but missing from B?",
    "List the entries that only A has.",
    "{data}\nWhich entries does A have that B lacks?",
    "Remove from A everything that occurs in B.",
    "{data}\nCompute the set difference A without B.",
    "Name what would be left of A after taking out all of B.",
    "Here are two sets.\n{data}\nWhat belongs to A alone?",
];

/// What two small sets have in common, hold together, or do not share.
pub(super) fn operation(rng: &mut Rng) -> Pair {
    let n_entries = rng.random_range(5..=9);
    let entries = draw_entries(rng, n_entries);
    // Every entry is in A, in B or in both, and both sets get at least one of their own.
    let first_b = rng.random_range(1..=n_entries / 2);
    let end_a = rng.random_range(first_b..n_entries);
    let shuffled = |rng: &mut Rng, part: &[String]| {
        let order = lexicon::several(rng, &(0..part.len()).collect::<Vec<_>>(), part.len());
        order
            .into_iter()
            .map(|i| part[i].clone())
            .collect::<Vec<_>>()
    };
    let (a, b) = (
        shuffled(rng, &entries[..end_a]),
        shuffled(rng, &entries[first_b..]),
    );
    let (phrasings, chosen): (_, Vec<&String>) = match rng.random_range(0..3) {
        0 => (BOTH, a.iter().filter(|entry| b.contains(entry)).collect()),
        1 => (
            EITHER,
            a.iter()
                .chain(b.iter().filter(|entry| !a.contains(entry)))
                .collect(),
        ),
        _ => (
            ONLY_FIRST,
            a.iter().filter(|entry| !b.contains(entry)).collect(),
        ),
    };
    let data = format!("A: {}\nB: {}", joined(&a, ", "), joined(&b, ", "));
    let form = Form::brief(rng);
    let prompt = Prompt::new(rng, phrasings, &data, &[]).in_form(form, rng);
    prompt.answered(match (form, chosen.len()) {
        (_, 0) => "The two lists have nothing in common.".to_owned(),
        (Form::Bare, _) => joined(&chosen, ", "),
        (_, 1) => format!("The result is the single entry {}.", chosen[0]),
        (_, n) => format!("The result has {n} entries: {}.", joined(&chosen, ", ")),
    })
}

fn draw_entries(rng: &mut Rng, count: usize) -> Vec<String> {
    if rng.random_bool(0.3) {
        let numbers: Vec<i64> = (1..=99).collect();
        return lexicon::several(rng, &numbers, count)
            .iter()
            .map(i64::to_string)
            .collect();
    }
    let lexicon = pick(
        rng,
        &[&ANIMALS, &COLOURS, &FRUITS, &NAMES, &PLACES, &SPORTS],
    );
    lexicon::several(rng, lexicon, count)
        .into_iter()
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::checking::{draws, wording};
    use super::*;

    #[test]
    fn operations_agree_with_the_standard_library() {
        for pair in draws(operation) {
            let text = wording(&pair);
            let set = |name: &str| -> BTreeSet<String> {
                let line = text
                    .lines()
                    .find_map(|line| line.strip_prefix(name))
                    .unwrap();
                line.split(", ").map(str::to_owned).collect()
            };
            let (a, b) = (set("A: "), set("B: "));
            let asks = |phrasings: &[&str]| {
                phrasings.iter().any(|p| {
                    pair.instruction
                        .contains(p.replace("{data}", "").trim().lines().last().unwrap())
                })
            };
            let expected: BTreeSet<String> = if asks(BOTH) {
                a.intersection(&b).cloned().collect()
            } else if asks(EITHER) {
                a.union(&b).cloned().collect()
            } else {
                a.difference(&b).cloned().collect()
            };
            let answer = pair
                .output
                .rsplit(": ")
                .next()
                .unwrap()
                .trim_end_matches('.');
            let answer = answer
                .strip_prefix("The result is the single entry ")
                .unwrap_or(answer);
            let answer: BTreeSet<String> = match answer.starts_with("The two") {
                true => BTreeSet::new(),
                false => answer.split(", ").map(str::to_owned).collect(),
            };
            assert_eq!(answer, expected, "{pair:?}");
        }
    }
}
