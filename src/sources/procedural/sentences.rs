//! Plain sentences to count, cut and edit.

use rand::Rng as _;

use super::{
    Rng,
    lexicon::{self, ACTIONS, ADJECTIVES, ADVERBS, ANIMALS, PLACES},
    phrasing::{fill, pick},
};

const SHAPES: &[&str] = &[
    "The {adjective} {animal} {action} {where} the {place}.",
    "The {animal} {action} {adverb} {where} the {place}.",
    "The {adjective} {animal} {action} {adverb}.",
    "One {adjective} {animal} {action} {where} the {place} while the {other} {did}.",
    "The {animal} {action} {where} the {place} and the {adjective} {other} {did} {adverb}.",
    "While the {animal} {action} {adverb}, the {other} {did} {where} the {place}.",
    "The {adjective} {animal} and the {other} both {action} {adverb} {where} the {place}.",
    "That {adjective} {animal} {action} {adverb} {where} the {place}.",
];

const WHERE: &[&str] = &[
    "near",
    "behind",
    "beside",
    "beyond",
    "by",
    "opposite",
    "not far from",
    "in front of",
];

/// A sentence of six to fifteen words, ending in a full stop.
pub(super) fn sentence(rng: &mut Rng) -> String {
    let animals = lexicon::several(rng, &ANIMALS, 2);
    let deeds = lexicon::several(rng, &ACTIONS, 2);
    fill(
        pick(rng, SHAPES),
        &[
            ("adjective", &lexicon::any(rng, &ADJECTIVES)),
            ("animal", &animals[0]),
            ("other", &animals[1]),
            ("action", &deeds[0]),
            ("did", &deeds[1]),
            ("adverb", &lexicon::any(rng, &ADVERBS)),
            ("where", &pick(rng, WHERE)),
            ("place", &lexicon::any(rng, &PLACES)),
        ],
    )
}

/// Two to four sentences, as a paragraph.
pub(super) fn paragraph(rng: &mut Rng) -> String {
    let n_sentences = rng.random_range(2..=4);
    let sentences: Vec<String> = (0..n_sentences).map(|_| sentence(rng)).collect();
    sentences.join(" ")
}
