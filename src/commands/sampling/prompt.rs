//! What a request for samples says: the method of Self-Instruct (Wang et al. 2023), with subjects and forms of answers spread
//! over the requests.

use std::sync::LazyLock;

use rand::seq::IndexedRandom;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::parse::{Pair, pairs};

/// Pairs that a request asks for.
pub(super) const PAIRS_PER_REQUEST: usize = 5;

/// Examples of our own in a request, and such of the pool or of what was sampled before.
const OWN_EXAMPLES: usize = 2;
const OTHER_EXAMPLES: usize = 2;

/// Longer examples cost more than they show.
const MAX_EXAMPLE_CHARS: usize = 1_200;

static TOPICS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    include_str!("../../../data/sampling/topics.txt")
        .lines()
        .collect()
});
static FORMATS: LazyLock<Vec<&str>> = LazyLock::new(|| {
    include_str!("../../../data/sampling/formats.txt")
        .lines()
        .collect()
});
static SEEDS: LazyLock<Vec<Pair>> = LazyLock::new(|| {
    pairs(include_str!("../../../data/sampling/seeds.jsonl"))
        .into_iter()
        .flatten()
        .collect()
});

/// Whether a pair may stand in a request.
pub(super) fn is_example(pair: &Pair) -> bool {
    let n_chars = [&pair.instruction, &pair.input, &pair.output].map(|text| text.chars().count());
    n_chars.iter().sum::<usize>() <= MAX_EXAMPLE_CHARS
}

/// The message of the request at this place of the plan. `known` are pairs it may show.
pub(super) fn message(seed: u64, ordinal: u64, known: &[Pair]) -> String {
    let key = blake3::Hasher::new_derive_key("delia sampling v1")
        .update(&seed.to_le_bytes())
        .update(&ordinal.to_le_bytes())
        .finalize();
    let mut random = ChaCha8Rng::from_seed(*key.as_bytes());
    let mut examples: Vec<&Pair> = SEEDS.choose_multiple(&mut random, OWN_EXAMPLES).collect();
    examples.extend(known.choose_multiple(&mut random, OTHER_EXAMPLES));
    let mut subjects = String::new();
    for (nth, topic) in TOPICS
        .choose_multiple(&mut random, PAIRS_PER_REQUEST)
        .enumerate()
    {
        let format = FORMATS[random.random_range(0..FORMATS.len())];
        subjects.push_str(&format!("{}. {topic}; the output is {format}\n", nth + 1));
    }
    let examples: String = examples
        .into_iter()
        .map(|pair| format!("{}\n", pair.to_json()))
        .collect();
    format!(
        "Write {PAIRS_PER_REQUEST} training samples for an assistant: instructions as different people would give them, each with \
         the answer that an expert would give. They show the shape, not what to write about:\n\n{examples}\n\
         Write about these, one sample each:\n\n{subjects}\n\
         The input is the material that the instruction is about, such as a text, a list or a table; leave it empty where the \
         instruction says it all. Every sample stands on its own, says all that is needed, and has one right answer or a good one. \
         Begin no two instructions alike.\n\n\
         Answer with a JSON array of objects with the keys \"instruction\", \"input\" and \"output\", and nothing else."
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn requests_differ_and_are_the_same_again() {
        let text = |seed, ordinal| message(seed, ordinal, &[]);
        let texts: HashSet<String> = (0..500).map(|ordinal| text(0, ordinal)).collect();
        assert_eq!(texts.len(), 500);
        assert_eq!(text(0, 3), text(0, 3));
        assert_ne!(text(0, 3), text(1, 3));
        assert!(text(0, 3).contains("5. ") && !text(0, 3).contains("6. "));
    }

    #[test]
    fn what_is_known_is_shown() {
        let known = Pair {
            instruction: "Name a \"rare\" thing".to_owned(),
            input: String::new(),
            output: "line\nbreak".to_owned(),
        };
        let text = &message(0, 0, std::slice::from_ref(&known));
        assert!(
            text.contains(r#""instruction":"Name a \"rare\" thing""#),
            "{text}"
        );
        assert!(pairs(text).contains(&Ok(known)));
    }

    #[test]
    fn the_lists_are_of_use() {
        assert!(TOPICS.len() >= 64 && FORMATS.len() >= 16 && SEEDS.len() >= 16);
        for list in [&*TOPICS, &*FORMATS] {
            assert_eq!(list.iter().collect::<HashSet<_>>().len(), list.len());
            assert!(list.iter().all(|entry| !entry.trim().is_empty()));
        }
        assert!(SEEDS.iter().all(is_example));
    }
}
