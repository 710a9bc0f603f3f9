//! Meanings, opposites and verb forms.

use rand::Rng as _;

use super::{
    Pair, Rng,
    english::{capitalised, joined, with_article},
    lexicon::{self, DEFINITIONS, OPPOSITES, VERBS},
    phrasing::{Form, Prompt, pick},
};

const DEFINE: &[&str] = &[
    "What is {a_word}?",
    "Define the word \"{word}\".",
    "Explain what {a_word} is.",
    "Give a one-sentence definition of \"{word}\".",
    "What does \"{word}\" mean?",
    "A child asks what {a_word} is. What do you say?",
    "Write a dictionary entry for the noun \"{word}\".",
    "In one sentence, what is {a_word}?",
    "Tell me the meaning of \"{word}\".",
    "Say briefly what {a_word} is.",
];

const NAME_IT: &[&str] = &[
    "Which word is meant: {clue}? Choose from {data}.",
    "Find the word for this meaning: {clue}. The choices are {data}.",
    "A crossword clue reads \"{clue}\". Which of {data} is it?",
    "What do we call {clue}? Pick one of {data}.",
    "Pick the word from {data} that means \"{clue}\".",
    "Which of the words below means \"{clue}\"?",
    "From the list, choose the word for {clue}.",
    "Match this definition with a word of the list: {clue}.",
    "The definition is \"{clue}\". Which word in the input does it fit?",
];

const OPPOSITE: &[&str] = &[
    "Give the opposites of these words: {data}",
    "What are the opposites of {data}?",
    "For each of {data}, name a word with the opposite meaning.",
    "Write down an antonym of each word: {data}",
    "Name an antonym for each of the words {data}.",
    "Find a word that means the opposite for each word in the list.",
    "List antonyms of the words given.",
    "Turn every word of the list into its opposite.",
    "Which words mean the reverse of these?",
];

const VERB_FORMS: &[&str] = &[
    "Give the {tense} of these verbs: {data}",
    "What is the {tense} of each of {data}?",
    "Write the {tense} for the verbs {data}.",
    "Put the verbs {data} into the {tense}.",
    "A learner of English asks for the {tense} of {data}. List the forms.",
    "List the {tense} of every verb in the input.",
    "Change each verb of the list to its {tense}.",
    "For the verbs below, state the {tense}.",
    "Conjugate: {tense} of {data}",
];

/// What a word means.
pub(super) fn define(rng: &mut Rng) -> Pair {
    let [word, kind, apart] = lexicon::any(rng, &DEFINITIONS);
    let prompt = Prompt::new(
        rng,
        DEFINE,
        "",
        &[("word", &word), ("a_word", &with_article(word))],
    );
    let definition = format!("{} {apart}", with_article(kind));
    prompt.answered(match rng.random_range(0..3) {
        0 => format!("{} is {definition}.", capitalised(&with_article(word))),
        1 => format!("{}.", capitalised(&definition)),
        _ => format!("The word \"{word}\" means {definition}."),
    })
}

/// The word that a definition belongs to, out of several.
pub(super) fn name_it(rng: &mut Rng) -> Pair {
    let n_choices = rng.random_range(3..=5);
    let choices = lexicon::several(rng, &DEFINITIONS, n_choices);
    let [word, kind, apart] = pick(rng, &choices);
    let words: Vec<&str> = choices.iter().map(|[word, ..]| *word).collect();
    let clue = format!("{} {apart}", with_article(kind));
    let form = Form::brief(rng);
    let prompt =
        Prompt::new(rng, NAME_IT, &joined(&words, ", "), &[("clue", &clue)]).in_form(form, rng);
    prompt.answered(match form {
        Form::Bare => word.to_owned(),
        _ => format!("The word is \"{word}\"."),
    })
}

/// Opposites of two to four words.
pub(super) fn opposites(rng: &mut Rng) -> Pair {
    let n_words = rng.random_range(2..=4);
    let pairs = lexicon::several(rng, &OPPOSITES, n_words);
    let data: Vec<&str> = pairs.iter().map(|[word, _]| *word).collect();
    let form = Form::brief(rng);
    let prompt = Prompt::new(rng, OPPOSITE, &joined(&data, ", "), &[]);
    let lines = |between: &str| {
        pairs
            .iter()
            .map(|[a, b]| format!("{a}{between}{b}"))
            .collect::<Vec<_>>()
    };
    prompt.answered(match form {
        Form::Bare => joined(
            &pairs
                .iter()
                .map(|[_, opposite]| *opposite)
                .collect::<Vec<_>>(),
            ", ",
        ),
        _ => lines(pick(rng, &[": ", " - ", " / "])).join("\n"),
    })
}

/// Past tenses or past participles of two to four verbs.
pub(super) fn verb_forms(rng: &mut Rng) -> Pair {
    let n_verbs = rng.random_range(2..=4);
    let verbs = lexicon::several(rng, &VERBS, n_verbs);
    let (tense, column) = pick(
        rng,
        &[
            ("simple past", 1),
            ("past tense", 1),
            ("past participle", 2),
        ],
    );
    let bases: Vec<&str> = verbs.iter().map(|verb| verb[0]).collect();
    let form = Form::brief(rng);
    let prompt = Prompt::new(rng, VERB_FORMS, &joined(&bases, ", "), &[("tense", &tense)]);
    prompt.answered(match form {
        Form::Bare => joined(
            &verbs.iter().map(|verb| verb[column]).collect::<Vec<_>>(),
            ", ",
        ),
        _ => {
            let lines: Vec<String> = verbs
                .iter()
                .map(|verb| format!("{}: {}", verb[0], verb[column]))
                .collect();
            lines.join("\n")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::checking::{draws, wording};
    use super::*;

    #[test]
    fn definitions_are_asked_for_by_their_own_word() {
        for pair in draws(define) {
            let fits = |[word, kind, apart]: &&[&str; 3]| {
                pair.instruction.contains(word)
                    && pair
                        .output
                        .to_lowercase()
                        .contains(&format!("{kind} {apart}").to_lowercase())
            };
            assert!(DEFINITIONS.iter().any(|entry| fits(&entry)), "{pair:?}");
        }
    }

    #[test]
    fn named_words_are_choices_whose_definition_is_the_clue() {
        for pair in draws(name_it) {
            let text = wording(&pair);
            let [word, ..] = DEFINITIONS
                .iter()
                .find(|[_, kind, apart]| text.contains(&format!("{kind} {apart}")))
                .unwrap();
            assert!(
                pair.output == *word || pair.output.contains(&format!("\"{word}\"")),
                "{pair:?}"
            );
            assert!(text.contains(word), "{pair:?}");
        }
    }

    #[test]
    fn opposites_and_verb_forms_answer_every_word() {
        for pair in draws(opposites) {
            let answers: Vec<&str> = pair
                .output
                .split(['\n', ',', ':', '-', '/'])
                .map(str::trim)
                .collect();
            let text = wording(&pair);
            let given = text.split(|c: char| !c.is_alphabetic());
            let known = OPPOSITES.iter().filter(|[word, opposite]| {
                given.clone().any(|w| w == *word) && answers.contains(opposite)
            });
            assert!(known.count() >= 2, "{pair:?}");
        }
        for pair in draws(verb_forms) {
            let column = if pair.instruction.contains("participle") {
                2
            } else {
                1
            };
            for answer in pair.output.split([',', '\n']) {
                let answer = answer.rsplit(": ").next().unwrap().trim();
                let text = wording(&pair);
                assert!(
                    VERBS
                        .iter()
                        .any(|verb| verb[column] == answer && text.contains(verb[0])),
                    "{pair:?}"
                );
            }
        }
    }
}
