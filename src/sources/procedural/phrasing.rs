//! How a question is put.
//!
//! A family keeps its phrasings as a table of templates with named slots. The slot `{data}` is special: a phrasing that
//! has it quotes the data inside the instruction, one that lacks it leaves the data to the input. A [`Form`] then says
//! what shape the answer should have, in words of its own, so phrasings and forms multiply.

use std::fmt::{Display, Write as _};

use rand::Rng as _;

use super::{Pair, Rng, english::capitalised};

/// A slot's name and what goes into it.
pub(super) type Slot<'a> = (&'a str, &'a dyn Display);

/// A question, not yet answered.
pub(super) struct Prompt {
    instruction: String,
    input: String,
}

/// The shape an answer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The answer and nothing else.
    Bare,
    /// One sentence that states the answer.
    Sentence,
    /// The way to the answer, which comes last.
    Steps,
}

/// The empty requests leave the form open, which makes a bare answer as good as any.
const ASK_BARE: &[&str] = &[
    "",
    "",
    "",
    "Give only the answer.",
    "Reply with the answer alone.",
    "Just the answer, please.",
    "No explanation needed.",
    "Answer without any extra words.",
    "Do not explain, just answer.",
    "I only need the result.",
];

const ASK_SENTENCE: &[&str] = &[
    "",
    "Answer in a full sentence.",
    "Reply in one complete sentence.",
    "Put the answer into a sentence.",
    "Please answer with a whole sentence.",
    "State the result as a sentence.",
];

const ASK_STEPS: &[&str] = &[
    "Show your working.",
    "Explain how you get there.",
    "Walk me through it.",
    "Work it out step by step.",
    "Include the steps.",
    "Show how you arrive at the answer.",
    "Explain your reasoning briefly.",
    "I would like to see the reasoning, too.",
];

impl Form {
    /// One of the three, bare answers most often.
    pub(super) fn any(rng: &mut Rng) -> Form {
        pick(rng, &[Form::Bare, Form::Bare, Form::Sentence, Form::Steps])
    }

    /// A form for questions whose answer has no steps to show.
    pub(super) fn brief(rng: &mut Rng) -> Form {
        pick(rng, &[Form::Bare, Form::Bare, Form::Sentence])
    }

    fn request(self, rng: &mut Rng) -> &'static str {
        match self {
            Form::Bare => pick(rng, ASK_BARE),
            Form::Sentence => pick(rng, ASK_SENTENCE),
            Form::Steps => pick(rng, ASK_STEPS),
        }
    }
}

impl Prompt {
    /// Draws a phrasing, fills it, and puts the data where the phrasing wants it.
    ///
    /// Data inside an instruction stays on its line if it has only one, and follows after a blank line otherwise.
    pub(super) fn new(rng: &mut Rng, phrasings: &[&str], data: &str, slots: &[Slot]) -> Prompt {
        let template = pick(rng, phrasings);
        if template.contains("{data}") {
            let mut slots = slots.to_vec();
            slots.push(("data", &data));
            Prompt {
                instruction: fill(template, &slots),
                input: String::new(),
            }
        } else {
            Prompt {
                instruction: fill(template, slots),
                input: data.to_owned(),
            }
        }
    }

    /// Adds the words that ask for this form, after the question or, now and then, before it.
    pub(super) fn in_form(mut self, form: Form, rng: &mut Rng) -> Prompt {
        let request = form.request(rng);
        // Before data of several lines the request would run into the first of them.
        let is_one_line = !self.instruction.contains('\n');
        if is_one_line && !request.is_empty() && rng.random_ratio(1, 5) {
            self.instruction = format!("{request} {}", self.instruction);
            return self;
        }
        self.with_request(request)
    }

    /// Adds a further wish after the question; an empty one changes nothing.
    pub(super) fn with_request(mut self, request: &str) -> Prompt {
        if !request.is_empty() {
            // A question that ends in bare data is not a sentence to be continued on the same line, and data that is set
            // apart stays so.
            let gap = match &self.instruction {
                text if text.contains("\n\n") => "\n\n",
                text if text.ends_with(['.', '?', '!']) && !text.contains('\n') => " ",
                _ => "\n",
            };
            self.instruction.push_str(gap);
            self.instruction.push_str(request);
        }
        self
    }

    /// Starts the instruction with a capital, for phrasings that begin with a slot.
    pub(super) fn capitalised(mut self) -> Prompt {
        self.instruction = capitalised(&self.instruction);
        self
    }

    /// The finished pair.
    pub(super) fn answered(self, output: impl Into<String>) -> Pair {
        Pair {
            instruction: self.instruction,
            input: self.input,
            output: output.into(),
        }
    }
}

/// One of several, each as likely as the others.
pub(super) fn pick<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.random_range(0..choices.len())]
}

/// The template with each `{slot}` replaced; a slot without a value stays as it is, which the tests look for.
pub(super) fn fill(template: &str, slots: &[Slot]) -> String {
    let mut text = String::with_capacity(template.len() + 16 * slots.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let known = after.split_once('}').and_then(|(name, tail)| {
            let (_, value) = slots.iter().find(|(slot, _)| *slot == name)?;
            Some((value, tail))
        });
        match known {
            Some((value, tail)) => {
                write!(text, "{value}").expect("writing to a string cannot fail");
                rest = tail;
            }
            None => {
                text.push('{');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_filled_wherever_and_however_often_they_stand() {
        let filled = fill("{a} and {b} and {a}", &[("a", &1), ("b", &"two")]);
        assert_eq!(filled, "1 and two and 1");
    }

    #[test]
    fn a_slot_without_a_value_stays_visible() {
        assert_eq!(fill("{a} {b", &[]), "{a} {b");
    }

    #[test]
    fn values_are_not_searched_for_slots() {
        assert_eq!(fill("{a}{b}", &[("a", &"{b}"), ("b", &"x")]), "{b}x");
    }
}
