//! Which sampled pairs stay: those that answer, are not too long, and are not like one that stays.

use std::collections::HashSet;

use crate::commands::rouge_l::{Index, Texts};
use crate::config::Shingle;
use crate::sample::sample_id;
use crate::tables::{FirstCome, Keys, RarePrefix, is_blank, rouge_words, shingles};

use super::parse::Pair;

/// The filter of Self-Instruct (Wang et al. 2023): prompts more similar than 0.7 by ROUGE-L are one.
const ROUGE_L: f64 = 0.7 + 1e-9;
/// And by Jaccard, which also sees words that are not of the letters a to z.
const JACCARD: f64 = 0.8;
/// In pieces of so many words in a row, and of characters where words have no spaces between them.
const WORDS: Shingle = Shingle::Words(3);
const CHARACTERS: Shingle = Shingle::Characters(3);
/// Longer words on average are none.
const MAX_WORD_CHARS: usize = 16;

/// Characters of a pair; more is a text that ran away.
const MAX_CHARS: usize = 12_000;

/// Beginnings of answers that refuse, in lower case.
const REFUSALS: [&str; 14] = [
    "i'm sorry, but",
    "i am sorry, but",
    "i’m sorry, but",
    "sorry, but i",
    "i cannot ",
    "i can't ",
    "i can’t ",
    "i am unable to",
    "i'm unable to",
    "i’m unable to",
    "as an ai ",
    "as a language model",
    "as a large language model",
    "unfortunately, i cannot",
];

/// Decides in order; what stays decides about what comes.
pub(super) struct Filter {
    /// The prompts of those that stay, as the words that ROUGE-L counts.
    words: Vec<String>,
    /// Whether inputs are compared, as in samples of one task, instead of whole prompts.
    on_input: bool,
    ids: HashSet<[u8; 16]>,
    near: FirstCome<()>,
}

impl Filter {
    /// Nothing will be like these.
    pub(super) fn new(known: &[Pair], on_input: bool) -> Filter {
        let mut filter = Filter {
            words: Vec::new(),
            on_input,
            ids: HashSet::new(),
            near: FirstCome::new(
                JACCARD,
                Keys::Rarest(RarePrefix::new(JACCARD, [])),
                usize::MAX,
            ),
        };
        for pair in known {
            let text = filter.compared(pair);
            filter.words.push(rouge_words(&text));
            filter.near.offer((), &pieces(&text), true);
        }
        filter
    }

    /// For each of these whether it stays, or why not. At most `wanted` stay; there is no word on what comes behind the last.
    pub(super) fn decide(
        &mut self,
        pairs: &[Pair],
        wanted: usize,
    ) -> Vec<Result<(), &'static str>> {
        let n_known = self.words.len();
        let compared: Vec<_> = pairs.iter().map(|pair| self.compared(pair)).collect();
        let of_pairs: Vec<_> = compared.iter().map(|text| rouge_words(text)).collect();
        let texts = Texts::new(self.words.iter().chain(&of_pairs));
        let mut index = Index::new(&texts, ROUGE_L);
        (0..n_known).for_each(|text| index.add(text));
        let mut decided = Vec::new();
        let mut n_kept = 0;
        for (nth, pair) in pairs.iter().enumerate() {
            if n_kept == wanted {
                break;
            }
            let found = match unusable(pair) {
                Some(why) => Err(why),
                None if !self.ids.insert(sample_id(
                    &pair.instruction,
                    &pair.input,
                    &pair.output,
                )) =>
                {
                    Err("a copy")
                }
                // Before the other, which notes what stays.
                None if index.most_similar(n_known + nth).is_some() => Err("similar by ROUGE-L"),
                None => match self.near.offer((), &pieces(&compared[nth]), false) {
                    Some(_) => Err("a near-duplicate"),
                    None => Ok(()),
                },
            };
            if found.is_ok() {
                index.add(n_known + nth);
                self.words.push(of_pairs[nth].clone());
                n_kept += 1;
            }
            decided.push(found);
        }
        decided
    }

    /// What of a pair is compared.
    fn compared(&self, pair: &Pair) -> String {
        match self.on_input {
            true => pair.input.clone(),
            false => format!("{}\n{}", pair.instruction, pair.input),
        }
    }
}

/// A text as a set of pieces.
fn pieces(text: &str) -> Vec<u64> {
    let n_words = text.split_whitespace().count();
    let has_spaces = text.chars().count() <= MAX_WORD_CHARS * n_words;
    shingles(text, if has_spaces { WORDS } else { CHARACTERS })
}

fn unusable(pair: &Pair) -> Option<&'static str> {
    let n_chars = [&pair.instruction, &pair.input, &pair.output].map(|text| text.chars().count());
    let opening: String = pair
        .output
        .trim_start()
        .chars()
        .take(40)
        .collect::<String>()
        .to_lowercase();
    if is_blank(&pair.output) {
        Some("an empty output")
    } else if is_blank(&pair.instruction) {
        Some("an empty instruction")
    } else if n_chars.iter().sum::<usize>() > MAX_CHARS {
        Some("too long")
    } else if REFUSALS.iter().any(|refusal| opening.starts_with(refusal)) {
        Some("a refusal")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(instruction: &str, output: &str) -> Pair {
        Pair {
            instruction: instruction.to_owned(),
            input: String::new(),
            output: output.to_owned(),
        }
    }

    #[test]
    fn what_goes_says_why_and_what_stays_counts_for_the_next() {
        let mut filter = Filter::new(
            &[pair("Translate the sentence into French please", "known")],
            false,
        );
        let pairs = [
            pair(
                "Name three rivers that flow through Poland",
                "Vistula, Oder, Warta",
            ),
            pair(
                "Name three rivers that flow through Spain",
                "Ebro, Tagus, Duero",
            ),
            pair("Translate the sentence into German please", "x"),
            pair(
                "Name three rivers that flow through Poland",
                "Vistula, Oder, Warta",
            ),
            pair(
                "Why is the sky blue?",
                "I'm sorry, but I can't help with that.",
            ),
            pair("Why is the sea salty?", "  "),
            pair("Назови три реки в Польше и две в Чехии", "a"),
            pair("Назови три реки в Польше и две в Чехии", "b"),
            pair(
                "请写一首关于春天的短诗，要求押韵，并且提到樱花和细雨。",
                "a",
            ),
            pair("请写一首关于春天的短诗，要求押韵，并且提到樱花和细雨", "b"),
            pair("How do bees find their way home?", "By the sun."),
        ];
        let decided = filter.decide(&pairs, 4);
        assert_eq!(
            decided,
            [
                Ok(()),
                Err("similar by ROUGE-L"),
                Err("similar by ROUGE-L"),
                Err("a copy"),
                Err("a refusal"),
                Err("an empty output"),
                Ok(()),
                Err("a near-duplicate"),
                Ok(()),
                Err("a near-duplicate"),
                Ok(()),
            ]
        );
        // The next round knows what stayed, and three are enough.
        let again = [pair("How do bees find their way home now?", "c")];
        assert_eq!(filter.decide(&again, 1), [Err("similar by ROUGE-L")]);
        assert_eq!(filter.decide(&pairs[10..], 0), []);
    }
}
