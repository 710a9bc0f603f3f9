//! Worked answers: a few steps, then the conclusion.

use std::fmt::Write as _;

use super::{Rng, english::capitalised, phrasing::pick};

#[derive(Clone, Copy)]
enum Layout {
    Prose,
    Lines,
    Numbered,
    Labelled,
}

/// For answers of several steps.
const LAYOUTS: &[Layout] = &[
    Layout::Prose,
    Layout::Prose,
    Layout::Lines,
    Layout::Numbered,
    Layout::Labelled,
];

/// Lays out the steps, each a clause without a full stop, and ends with the conclusion, which is a whole sentence.
pub(super) fn worked(rng: &mut Rng, steps: &[String], conclusion: &str) -> String {
    // A single step makes no numbered list.
    let layout = match steps {
        [_] => pick(rng, &[Layout::Prose, Layout::Prose, Layout::Lines]),
        _ => pick(rng, LAYOUTS),
    };
    let mut text = String::new();
    for (step, n) in steps.iter().zip(1..) {
        let written = match layout {
            Layout::Prose => write!(text, "{}. ", capitalised(step)),
            Layout::Lines => writeln!(text, "{}.", capitalised(step)),
            Layout::Numbered => writeln!(text, "{n}. {}.", capitalised(step)),
            Layout::Labelled => writeln!(text, "Step {n}: {step}."),
        };
        written.expect("writing to a string cannot fail");
    }
    text.push_str(conclusion);
    text
}
