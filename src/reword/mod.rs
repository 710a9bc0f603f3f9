//! Rewords instructions by rules, in many directions: what is asked for stays the same, how it is said does not.
//!
//! ```text
//!   instruction
//!     │ english      its sentences, and which of them are requests
//!     │ directions   `data/directions.toml`; one after the other, as often as their weights say
//!     │ edits        other words, a list, a slip of the pen
//!     │ forms        "Could you …?", "Your task is to …"
//!     ▼ check        nothing is lost, nothing is given away
//!   wording
//! ```
//!
//! *Anisotropic* (Zeng et al. 2024): directions are of different kinds and unequally strong, instead of one axis of paraphrases.

mod check;
mod directions;
mod edits;
mod english;
mod forms;

use std::collections::HashSet;

use rand::seq::IndexedRandom;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use check::Check;
use english::{Sentence, is_english, sentences};

pub use directions::Direction;
pub(crate) use english::{FUNCTION_WORDS, NUMERALS, REQUESTS};

/// Draws in one direction before it is given up for this wording, and directions in a row that are given up before an
/// instruction counts as used up. Chosen so that what is there is found, not tuned.
const DRAWS: usize = 8;
const DIRECTIONS_WITHOUT: usize = 64;

/// The steps of this length, taken modulo 1 from any start, fall evenly: a Kronecker sequence of the golden ratio.
const STEP: f64 = 0.618_033_988_749_894_9;

/// An instruction to be reworded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Original {
    /// The instruction, without white space around it.
    pub text: String,
    /// Whether what it is about stands elsewhere: in an input, or in another part of the prompt.
    pub has_input: bool,
    /// Keys of the responses, which no wording may name unless the instruction does.
    pub keys: Vec<String>,
}

/// An instruction in other words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wording {
    /// The name of the direction it was reworded in.
    pub direction: &'static str,
    /// The text.
    pub text: String,
}

/// The wordings of one instruction: a sequence without end, until nothing new is found.
#[derive(Debug)]
pub struct Wordings<'a> {
    sentences: Vec<Sentence<'a>>,
    is_english: bool,
    check: Check<'a>,
    /// Hashes of what was said, which are shorter.
    said: HashSet<[u8; 16]>,
    /// The directions that may fit, with the sums of their weights so far.
    directions: Vec<(&'static Direction, f64)>,
    /// Places of the sequence that were drawn for.
    n_drawn: u64,
    /// Where in the sum of all weights the first direction is looked for.
    start: f64,
    random: ChaCha8Rng,
}

impl<'a> Wordings<'a> {
    /// The wordings that this seed brings.
    pub fn new(original: &'a Original, special_tokens: &[String], seed: u64) -> Wordings<'a> {
        Wordings::in_directions(original, special_tokens, seed, false)
    }

    /// The same for a language model, which knows more languages than the rules do.
    pub fn for_model(original: &'a Original, special_tokens: &[String], seed: u64) -> Wordings<'a> {
        Wordings::in_directions(original, special_tokens, seed, true)
    }

    fn in_directions(
        original: &'a Original,
        special_tokens: &[String],
        seed: u64,
        knows_languages: bool,
    ) -> Wordings<'a> {
        let key = blake3::Hasher::new_derive_key("delia rewording v1")
            .update(&seed.to_le_bytes())
            .update(original.text.as_bytes())
            .finalize();
        let mut random = ChaCha8Rng::from_seed(*key.as_bytes());
        let sentences = sentences(&original.text);
        let is_english = is_english(&sentences);
        let mut sum = 0.0;
        let directions = directions::all()
            .iter()
            .filter(|direction| {
                (direction.any_language || is_english || knows_languages)
                    && (!direction.needs_input || original.has_input)
            })
            .map(|direction| {
                sum += direction.weight;
                (direction, sum)
            });
        Wordings {
            directions: directions.collect(),
            sentences,
            is_english,
            check: Check::new(original, special_tokens),
            said: HashSet::new(),
            n_drawn: 0,
            start: random.random(),
            random,
        }
    }

    /// The direction that the wording at this place of the sequence is to have: over any stretch each about as often as its weight
    /// says.
    pub fn direction(&self, place: u64) -> &'static Direction {
        let total = self.directions.last().map_or(0.0, |(_, sum)| *sum);
        let at = (self.start + place as f64 * STEP).fract() * total;
        let nth = self.directions.partition_point(|(_, sum)| *sum <= at);
        self.directions[nth.min(self.directions.len() - 1)].0
    }

    /// Takes a wording that a language model made.
    ///
    /// # Errors
    /// Why it is none.
    pub fn accept(&mut self, text: &str) -> Result<(), &'static str> {
        self.check.is_about_it(text)?;
        self.say(text)
    }

    /// Takes a wording that is one and was not there yet.
    fn say(&mut self, text: &str) -> Result<(), &'static str> {
        self.check.check(text)?;
        let hash = *blake3::hash(text.as_bytes())
            .as_bytes()
            .first_chunk()
            .expect("a hash is longer");
        match self.said.insert(hash) {
            true => Ok(()),
            false => Err("a wording that is there already"),
        }
    }

    /// A new wording in this direction.
    pub fn draw(&mut self, direction: &'static Direction) -> Option<Wording> {
        (0..DRAWS).find_map(|_| {
            let text = self.put(direction)?;
            self.say(&text).ok()?;
            Some(Wording {
                direction: &direction.name,
                text,
            })
        })
    }

    /// Up to this many new wordings; fewer where no more are found.
    pub fn next(&mut self, n: usize) -> Vec<Wording> {
        let mut found = Vec::new();
        let mut n_without = 0;
        while found.len() < n && n_without < DIRECTIONS_WITHOUT {
            let direction = self.direction(self.n_drawn);
            self.n_drawn += 1;
            match self.draw(direction) {
                Some(wording) => {
                    n_without = 0;
                    found.push(wording);
                }
                None => n_without += 1,
            }
        }
        found
    }

    /// The instruction in this direction, as chance has it; `None` where it does not fit.
    fn put(&mut self, direction: &'static Direction) -> Option<String> {
        if !self.is_english && !direction.any_language {
            return None;
        }
        let pick = |random: &mut ChaCha8Rng, of: &'static [String]| -> &'static str {
            of.choose(random).map_or("", String::as_str)
        };
        let edit = pick(&mut self.random, &direction.edits);
        let form = pick(&mut self.random, &direction.forms);
        let before = pick(&mut self.random, &direction.before);
        let after = pick(&mut self.random, &direction.after);
        let edited;
        let sentences = match edit {
            "" => &self.sentences,
            edit => {
                edited = edits::edit(edit, &self.sentences, &self.check, &mut self.random)?;
                &sentences(&edited)
            }
        };
        let body = forms::fill(form, sentences)?;
        forms::framed(before, body, after)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn original(text: &str) -> Original {
        Original {
            text: text.to_owned(),
            has_input: true,
            keys: vec!["thought".to_owned(), "hallucination".to_owned()],
        }
    }

    fn special() -> Vec<String> {
        vec!["<sep>".to_owned()]
    }

    const JUDGE: &str = "Judge whether the answer to the question contains a hallucination: a claim that is false. \
        Explain how you reach your verdict, then state it as yes or no. Follow the <sep> format.";

    #[test]
    fn one_instruction_has_hundreds_of_wordings_and_each_keeps_what_counts() {
        let original = original(JUDGE);
        let tokens = special();
        let wordings = Wordings::new(&original, &tokens, 0).next(500);
        assert_eq!(wordings.len(), 500);
        let texts: HashSet<&str> = wordings
            .iter()
            .map(|wording| wording.text.as_str())
            .collect();
        assert_eq!(texts.len(), 500);
        for Wording { direction, text } in &wordings {
            assert_eq!(text.matches("<sep>").count(), 1, "{text}");
            assert!(
                !text.contains("thought") && !text.contains(['{', '}']),
                "{text}"
            );
            assert_ne!(text, JUDGE);
            assert!(
                !text.contains("  ") && text.trim() == text,
                "{direction}: {text:?}"
            );
        }
    }

    #[test]
    fn directions_come_as_often_as_their_weights_say() {
        let original = original(JUDGE);
        let tokens = special();
        let wordings = Wordings::new(&original, &tokens, 3).next(200);
        let mut counts = BTreeMap::new();
        for wording in &wordings {
            *counts.entry(wording.direction).or_insert(0) += 1;
        }
        let total: f64 = directions::all()
            .iter()
            .map(|direction| direction.weight)
            .sum();
        for direction in directions::all() {
            let due = 200.0 * direction.weight / total;
            let found = f64::from(counts.get(direction.name.as_str()).copied().unwrap_or(0));
            // Where nothing new is found in a direction another takes its place: "bullets" has two wordings.
            assert!(found <= due + 4.0, "{}: {found} of {due}", direction.name);
            if due > 8.0 {
                assert!(found >= due - 3.0, "{}: {found} of {due}", direction.name);
            }
        }
        assert!(counts.len() >= 18, "{counts:?}");
    }

    #[test]
    fn the_same_seed_says_the_same_and_a_longer_sequence_begins_with_the_shorter() {
        let original = original("Translate the sentence into French.");
        let take = |seed, n| Wordings::new(&original, &[], seed).next(n);
        assert_eq!(take(1, 20), take(1, 40)[..20]);
        assert_ne!(take(1, 20), take(2, 20));
    }

    #[test]
    fn many_instructions_are_said_in_good_english() {
        // What must not come out of any of them.
        let broken = [
            "Would you please input",
            "to question 1",
            "U.S?",
            "the?\n",
            "Set out the",
            "Provide me",
            "Give the name of three",
            "what it's",
            "if to",
            "if or not",
            "Judge the expression",
            "  ",
            "..!",
            "..?",
            "write a love letter to your partner and",
        ];
        for text in [
            "Judge whether the answer to the\nquestion contains an error.",
            "Explain the significance of the U.S. Constitution.",
            "Input sentence: The dog runs.",
            "Question 1: What is the capital of France?",
            "Explain the concept of gravity, and explain what it is.",
            "Name three rivers.",
            "Give me a recipe for a cake.",
            "Decide whether or not it rains, and whether to go.",
            "Evaluate the expression 2x - 3y.",
            "Write a love letter to your partner.",
            "Complete the story that begins with Once upon a time...",
            "If the review is positive, then output 1.",
        ] {
            let original = original(text);
            for Wording { text, .. } in Wordings::new(&original, &[], 0).next(60) {
                for bad in broken {
                    assert!(!text.contains(bad), "`{bad}` in {text}");
                }
                assert!(!text.contains("positive and after"), "{text}");
                // Whose partner it is must stay clear.
                let is_handed_on = ["colleague", "The assistant is", "Our team"]
                    .iter()
                    .any(|who| text.contains(who));
                assert!(!(is_handed_on && text.contains("your partner")), "{text}");
            }
        }
    }

    #[test]
    fn what_is_not_english_is_put_on_other_lines_at_the_most() {
        let original = original(
            "Übersetze den folgenden Satz ins Polnische. Antworte nur mit der Übersetzung.",
        );
        for Wording { direction, text } in Wordings::new(&original, &[], 0).next(10) {
            assert!(
                ["bullets", "headed"].contains(&direction),
                "{direction}: {text}"
            );
            assert!(
                text.contains("Übersetze den folgenden Satz ins Polnische."),
                "{text}"
            );
        }
    }

    #[test]
    fn a_model_is_given_all_directions_in_any_language() {
        let original = original("Übersetze den folgenden Satz ins Polnische.");
        let mut wordings = Wordings::for_model(&original, &[], 0);
        let names: HashSet<&str> = (0..200)
            .map(|place| wordings.direction(place).name.as_str())
            .collect();
        assert_eq!(names.len(), directions::all().len());
        assert_eq!(
            wordings.accept("Bitte den folgenden Satz ins Polnische übertragen!"),
            Ok(())
        );
        // Our own forms are English all the same.
        let polite = directions::all()
            .iter()
            .find(|direction| direction.name == "polite");
        assert_eq!(wordings.draw(polite.expect("a direction")), None);
    }

    #[test]
    fn without_an_input_nothing_is_pointed_to() {
        let mut original = original("Name three rivers that flow through Poland");
        original.has_input = false;
        for Wording { direction, text } in Wordings::new(&original, &[], 0).next(100) {
            assert!(
                !["input-first", "typing-errors"].contains(&direction),
                "{text}"
            );
            assert!(!text.contains("below"), "{text}");
        }
    }

    #[test]
    fn nothing_can_be_said_otherwise_of_nothing() {
        let original = Original::default();
        assert_eq!(Wordings::new(&original, &[], 0).next(5), []);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_text_is_reworded_or_left_alone(text in "(\\PC|\n|\u{a0}){0,80}([ \n]\\PC{0,40}[.?!:]){0,4}", seed in 0_u64..1_000) {
            let original = original(text.trim());
            let tokens = special();
            for wording in Wordings::new(&original, &tokens, seed).next(6) {
                prop_assert_eq!(wording.text.matches(['{', '}']).count(), text.matches(['{', '}']).count());
                prop_assert_eq!(wording.text.matches("<sep>").count(), text.matches("<sep>").count());
            }
        }
    }
}
