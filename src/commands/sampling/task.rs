//! More samples of the task itself, by the method of SELF-GUIDE (Zhao et al. 2024, arXiv 2407.12874): a language model that is
//! shown some writes more inputs, answers each of them as the samples do, and what does not look like a sample goes.

use rand::SeedableRng as _;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use super::super::model::unfenced;
use super::parse::Pair;
use super::prompt::PAIRS_PER_REQUEST;

/// Samples of the task that a request shows.
const SHOWN: usize = 3;
/// An output is between half of the shortest and twice the longest of the samples, give or take these characters.
const SPARE_CHARS: usize = 40;

/// What samples of the task look like.
pub(super) struct Form {
    /// The instruction, where all samples have the same.
    instruction: Option<String>,
    /// Whether what is asked about stands in the input.
    pub(super) has_input: bool,
    /// Whether no sample has an input.
    has_none: bool,
    /// The keys of the outputs, where all are JSON objects with the same.
    keys: Option<Vec<String>>,
    output_chars: (usize, usize),
    /// How often each stands in an output, where that is the same in all.
    special_tokens: Vec<(String, Option<usize>)>,
    /// Whether an output is a block of code.
    is_fenced: bool,
}

impl Form {
    /// The form of these samples; `None` where there are none.
    pub(super) fn of(samples: &[Pair], special_tokens: &[String]) -> Option<Form> {
        let first = samples.first()?;
        let chars = samples.iter().map(|pair| pair.output.chars().count());
        let is_same = samples
            .iter()
            .all(|pair| pair.instruction == first.instruction);
        let keys = keys(&first.output);
        let counted = |token: &String| {
            let mut times = samples
                .iter()
                .map(|pair| pair.output.matches(token.as_str()).count());
            let first = times.next();
            (
                token.clone(),
                first.filter(|n| times.all(|other| other == *n)),
            )
        };
        Some(Form {
            instruction: is_same.then(|| first.instruction.clone()),
            has_input: samples.iter().all(|pair| !pair.input.is_empty()),
            has_none: samples.iter().all(|pair| pair.input.is_empty()),
            keys: keys.filter(|known| {
                samples
                    .iter()
                    .all(|pair| self::keys(&pair.output).as_ref() == Some(known))
            }),
            output_chars: (
                chars.clone().min().unwrap_or(0) / 2,
                2 * chars.max().unwrap_or(0),
            ),
            special_tokens: special_tokens.iter().map(counted).collect(),
            is_fenced: samples
                .iter()
                .any(|pair| pair.output.trim().starts_with("```")),
        })
    }

    /// A pair that a model wrote, as a sample that still wants its answer.
    pub(super) fn asked(&self, mut pair: Pair) -> Result<Pair, &'static str> {
        if let Some(instruction) = &self.instruction {
            pair.instruction.clone_from(instruction);
        }
        match (self.has_input, pair.input.is_empty()) {
            (true, true) => Err("no input"),
            // The samples have their data in the instruction.
            (false, false) if self.has_none => Err("an input"),
            _ => Ok(pair),
        }
    }

    /// The same sample with this answer.
    pub(super) fn answered(&self, mut pair: Pair, answer: &str) -> Result<Pair, &'static str> {
        let answer = match self.is_fenced {
            true => answer.trim(),
            false => unfenced(answer.trim()),
        };
        let n_chars = answer.chars().count();
        let (least, most) = self.output_chars;
        if self.keys.is_some() && keys(answer) != self.keys {
            return Err("an answer with other keys");
        }
        if n_chars + SPARE_CHARS < least || n_chars > most + SPARE_CHARS {
            return Err("an answer that is too long or too short");
        }
        let keeps = |(token, n): &(String, Option<usize>)| {
            n.is_none_or(|n| answer.matches(token.as_str()).count() == n)
        };
        if !self.special_tokens.iter().all(keeps) {
            return Err("a special token lost or added");
        }
        answer.clone_into(&mut pair.output);
        Ok(pair)
    }
}

fn keys(output: &str) -> Option<Vec<String>> {
    match serde_json::from_str(output) {
        Ok(Value::Object(object)) => Some(object.keys().cloned().collect()),
        _ => None,
    }
}

/// The message that asks for more samples. `known` are samples it may show.
pub(super) fn ask_for_samples(seed: u64, ordinal: u64, known: &[Pair]) -> String {
    let shown: String = shown(seed, ordinal, known)
        .into_iter()
        .map(|pair| format!("{}\n", pair.to_json()))
        .collect();
    format!(
        "These are samples of one task:\n\n{shown}\nWrite {PAIRS_PER_REQUEST} more samples of the same task. Each is about something \
         else than those above and than the others, and as different from them as the task allows; the instruction stays word for \
         word what it is. Of answers that may be of several kinds, let every kind come.\n\nAnswer with a JSON array of objects with \
         the keys \"instruction\", \"input\" and \"output\", and nothing else."
    )
}

/// The message that asks for the answer to a new sample.
pub(super) fn ask_for_answer(seed: u64, ordinal: u64, known: &[Pair], pair: &Pair) -> String {
    let one = |pair: &Pair, output: &str| {
        let input = match pair.input.as_str() {
            "" => String::new(),
            input => format!("Input: {input}\n"),
        };
        format!(
            "Instruction: {}\n{input}Response: {output}",
            pair.instruction
        )
    };
    let shown: String = shown(seed, ordinal, known)
        .into_iter()
        .map(|known| format!("{}\n\n", one(known, &known.output)))
        .collect();
    format!(
        "{shown}{}\n\nGive the last response, in exactly the form of those before it, and nothing else.",
        one(pair, "")
    )
}

fn shown(seed: u64, ordinal: u64, known: &[Pair]) -> Vec<&Pair> {
    let key = blake3::Hasher::new_derive_key("delia task sampling v1")
        .update(&seed.to_le_bytes())
        .update(&ordinal.to_le_bytes())
        .finalize();
    let mut random = ChaCha8Rng::from_seed(*key.as_bytes());
    known.choose_multiple(&mut random, SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(instruction: &str, input: &str, output: &str) -> Pair {
        Pair {
            instruction: instruction.to_owned(),
            input: input.to_owned(),
            output: output.to_owned(),
        }
    }

    #[test]
    fn a_new_sample_looks_like_those_there_are() {
        let samples = [
            pair("Judge.", "a", r#"{"thought": "yes it is", "label": "no"}"#),
            pair(
                "Judge.",
                "b",
                r#"{"thought": "no it is not so", "label": "yes"}"#,
            ),
        ];
        let form = Form::of(&samples, &["<sep>".to_owned()]).expect("samples");
        let asked = form.asked(pair("Judge it.", "c", "x")).expect("a sample");
        assert_eq!(asked.instruction, "Judge.");
        assert_eq!(form.asked(pair("Judge it.", "", "x")), Err("no input"));
        let of = |answer: &str| form.answered(asked.clone(), answer).map(|pair| pair.output);
        let good = r#"{"thought": "it may be", "label": "no"}"#;
        assert_eq!(of(good), Ok(good.to_owned()));
        assert_eq!(of(&format!("```json\n{good}\n```")), Ok(good.to_owned()));
        assert_eq!(of("no"), Err("an answer with other keys"));
        assert_eq!(of(r#"{"thought": "x"}"#), Err("an answer with other keys"));
        assert_eq!(
            of(&good.replace("it may", &"it may ".repeat(60))),
            Err("an answer that is too long or too short")
        );
        assert_eq!(
            of(&good.replace("may", "<sep>")),
            Err("a special token lost or added")
        );
        assert!(Form::of(&[], &[]).is_none());
    }

    #[test]
    fn requests_show_samples_of_the_task() {
        let known: Vec<Pair> = (0..9)
            .map(|nth| pair("Judge.", &format!("input {nth}"), "no"))
            .collect();
        let text = ask_for_samples(0, 0, &known);
        assert_eq!(text.matches("\"input\":\"input ").count(), SHOWN);
        assert_ne!(text, ask_for_samples(0, 1, &known));
        let text = ask_for_answer(0, 0, &known, &pair("Judge.", "mine", ""));
        assert!(
            text.contains("Instruction: Judge.\nInput: mine\nResponse: \n\nGive"),
            "{text}"
        );
    }
}
