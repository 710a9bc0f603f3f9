//! Putting numbers and words in order.

use rand::Rng as _;

use super::{
    Pair, Rng,
    english::{joined, listed},
    lexicon::{
        self, ANIMALS, CLOTHES, FOODS, FRUITS, INSTRUMENTS, NAMES, OCCUPATIONS, PLANTS, TOOLS,
        TOWNS,
    },
    phrasing::{Prompt, pick},
};

const NUMBERS: &[&str] = &[
    "Sort these numbers {order}: {data}",
    "Put the numbers {data} in order, {order}.",
    "Arrange {data} {order}.",
    "Order the following numbers {order}: {data}",
    "Write {data} again, sorted {order}.",
    "Can you sort {data} {order}?",
    "Here are some numbers: {data}. List them {order}.",
    "Sort the list {order}.",
    "The numbers below are out of order. Arrange them {order}.",
    "Return the same numbers, {order}.",
    "Please order the input {order}.",
];

const WORDS: &[&str] = &[
    "Sort these words {order}: {data}",
    "Put the words {data} {order}.",
    "Arrange {data} {order}.",
    "Order the following {order}: {data}",
    "Write the words {data} again, {order}.",
    "An index needs these entries {order}: {data}",
    "Can you list {data} {order}?",
    "Sort the words {order}.",
    "The entries are jumbled. Return them {order}.",
    "Give the list back {order}.",
    "Rearrange the words of the list so that they stand {order}.",
];

const RISING: &[&str] = &[
    "from smallest to largest",
    "in ascending order",
    "in increasing order",
    "smallest first",
];
const FALLING: &[&str] = &[
    "from largest to smallest",
    "in descending order",
    "in decreasing order",
    "largest first",
];
const A_TO_Z: &[&str] = &["alphabetically", "in alphabetical order", "from A to Z"];
const Z_TO_A: &[&str] = &[
    "in reverse alphabetical order",
    "from Z to A",
    "backwards through the alphabet",
];
const BY_LENGTH: &[&str] = &[
    "from shortest to longest",
    "by length, shortest first",
    "by number of letters, fewest first",
];

/// How the answer is laid out, with the words that ask for it.
#[derive(Clone, Copy)]
enum Layout {
    Commas,
    Lines,
    Numbered,
    Sentence,
}

const LAYOUTS: &[(Layout, &str)] = &[
    (Layout::Commas, ""),
    (Layout::Commas, ""),
    (Layout::Commas, ""),
    (Layout::Commas, "Separate them with commas."),
    (Layout::Commas, "Give a comma-separated list."),
    (Layout::Lines, "Put each on its own line."),
    (Layout::Lines, "One per line, please."),
    (Layout::Numbered, "Number the entries."),
    (Layout::Numbered, "Answer with a numbered list."),
    (Layout::Sentence, "Answer in a full sentence."),
];

/// Whole numbers, some of them negative, either way.
pub(super) fn numbers(rng: &mut Rng) -> Pair {
    let n_numbers = rng.random_range(4..=10);
    let reach = pick(rng, &[99, 999, 9_999]);
    let lowest = if rng.random_ratio(1, 4) { -reach } else { 1 };
    let mut numbers: Vec<i64> = (0..n_numbers)
        .map(|_| rng.random_range(lowest..=reach))
        .collect();
    let data = joined(&numbers, ", ");
    let falling = rng.random_bool(0.4);
    numbers.sort_unstable();
    if falling {
        numbers.reverse();
    }
    let order = pick(rng, if falling { FALLING } else { RISING });
    let (layout, request) = pick(rng, LAYOUTS);
    let prompt = Prompt::new(rng, NUMBERS, &data, &[("order", &order)]).with_request(request);
    prompt.answered(layout.of(&numbers, order))
}

/// Words by the alphabet, either way, or by length.
pub(super) fn words(rng: &mut Rng) -> Pair {
    let lexicons = [
        &ANIMALS,
        &CLOTHES,
        &FOODS,
        &FRUITS,
        &INSTRUMENTS,
        &NAMES,
        &OCCUPATIONS,
        &PLANTS,
        &TOOLS,
        &TOWNS,
    ];
    let lexicon = pick(rng, &lexicons);
    let n_words = rng.random_range(4..=8);
    let mut words = lexicon::several(rng, lexicon, n_words);
    let by_length = rng.random_ratio(1, 4);
    if by_length {
        // Two words of one length would have no right order.
        let mut lengths = Vec::new();
        words.retain(|word| {
            let is_new = !lengths.contains(&word.len());
            lengths.push(word.len());
            is_new
        });
    }
    let by_length = by_length && words.len() > 2;
    let data = joined(&words, ", ");
    let order = if by_length {
        words.sort_by_key(|word| word.len());
        pick(rng, BY_LENGTH)
    } else if rng.random_bool(0.7) {
        words.sort_unstable();
        pick(rng, A_TO_Z)
    } else {
        words.sort_unstable_by(|a, b| b.cmp(a));
        pick(rng, Z_TO_A)
    };
    let (layout, request) = pick(rng, LAYOUTS);
    let prompt = Prompt::new(rng, WORDS, &data, &[("order", &order)]).with_request(request);
    prompt.answered(layout.of(&words, order))
}

impl Layout {
    fn of<T: std::fmt::Display>(self, items: &[T], order: &str) -> String {
        match self {
            Layout::Commas => joined(items, ", "),
            Layout::Lines => joined(items, "\n"),
            Layout::Numbered => {
                let lines: Vec<String> = items
                    .iter()
                    .zip(1..)
                    .map(|(item, n)| format!("{n}. {item}"))
                    .collect();
                lines.join("\n")
            }
            Layout::Sentence => format!("The list sorted {order} is {}.", listed(items)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::checking::{draws, integers, wording};
    use super::*;

    #[test]
    fn sorted_numbers_are_the_given_ones_in_order() {
        for pair in draws(numbers) {
            let mut given = integers(&wording(&pair));
            let numbered = pair.output.starts_with("1. ") && pair.output.contains("\n2. ");
            let step = if numbered { 2 } else { 1 };
            let answer: Vec<i64> = integers(&pair.output)
                .into_iter()
                .skip(step - 1)
                .step_by(step)
                .collect();
            let falling = FALLING.iter().any(|order| pair.instruction.contains(order));
            assert!(
                answer
                    .windows(2)
                    .all(|w| if falling { w[0] >= w[1] } else { w[0] <= w[1] }),
                "{pair:?}"
            );
            let mut sorted = answer.clone();
            sorted.sort_unstable();
            given.sort_unstable();
            assert_eq!(sorted, given, "{pair:?}");
        }
    }

    #[test]
    fn every_two_neighbouring_words_are_in_the_order_asked_for() {
        for pair in
            draws(words).filter(|pair| pair.output.contains(", ") && !pair.output.ends_with('.'))
        {
            let answer: Vec<&str> = pair.output.split(", ").collect();
            let text = wording(&pair);
            assert!(answer.iter().all(|word| text.contains(word)), "{pair:?}");
            let asked =
                |orders: &[&str]| orders.iter().any(|order| pair.instruction.contains(order));
            let in_order = |w: &[&str]| {
                if asked(BY_LENGTH) {
                    w[0].len() < w[1].len()
                } else if asked(Z_TO_A) {
                    w[0] > w[1]
                } else {
                    w[0] < w[1]
                }
            };
            assert!(answer.windows(2).all(in_order), "{pair:?}");
        }
    }
}
