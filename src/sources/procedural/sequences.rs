//! Sequences of numbers and letters that follow a rule.

use rand::Rng as _;

use super::{
    Pair, Rng,
    english::joined,
    phrasing::{Form, Prompt, pick},
    working::worked,
};

const NEXT_NUMBER: &[&str] = &[
    "What number comes next? {data}, ...",
    "Continue the sequence with one more number: {data}",
    "Find the next term of the sequence {data}.",
    "Which number follows in {data}?",
    "Look at the numbers {data}. What comes next?",
    "Complete the pattern: {data}, ?",
    "The sequence {data} follows a rule. Give its next term.",
    "What is the next number in this series?",
    "Spot the rule and name the number that follows.",
    "Which number continues the sequence below?",
    "A puzzle book prints {data} and asks for the next number. What is it?",
];

const NEXT_LETTERS: &[&str] = &[
    "What comes next? {data}, ...",
    "Continue the pattern: {data}",
    "Find the next entry in {data}.",
    "Which entry follows {data}?",
    "Complete the alphabet sequence: {data}, ?",
    "Each entry of {data} follows from the one before. What is the next?",
    "Letters in a row: {data}. Name what comes next.",
    "Continue this series by one entry.",
    "What is the next member of the series?",
    "Spot the rule in the alphabet sequence and give the next entry.",
];

/// How a term follows from those before it.
#[derive(Clone, Copy)]
enum Rule {
    Add(i64),
    Multiply(i64),
    MultiplyThenAdd(i64, i64),
    AddLastTwo,
    GrowingStep(i64),
    Alternate(i64, i64),
}

/// The next term of a number sequence.
pub(super) fn numbers(rng: &mut Rng) -> Pair {
    let rule = Rule::draw(rng);
    let n_shown = rng.random_range(5..=6);
    let terms = rule.terms(
        rng.random_range(1..=40),
        rng.random_range(1..=20),
        n_shown + 1,
    );
    let (shown, next) = (&terms[..n_shown], terms[n_shown]);
    let form = Form::any(rng);
    let prompt = Prompt::new(rng, NEXT_NUMBER, &joined(shown, ", "), &[]).in_form(form, rng);
    let last = shown[n_shown - 1];
    prompt.answered(match form {
        Form::Bare => next.to_string(),
        Form::Sentence => format!("The next number is {next}."),
        Form::Steps => {
            let steps = [rule.to_string(), rule.last_step(shown, next)];
            worked(rng, &steps, &format!("After {last} comes {next}."))
        }
    })
}

/// The next entry of a sequence of letters or letter pairs.
pub(super) fn letters(rng: &mut Rng) -> Pair {
    let mut tracks = vec![Track::draw(rng)];
    if rng.random_bool(0.7) {
        tracks.push(Track::draw(rng));
    }
    let upper = rng.random_bool(0.6);
    let entry = |place: i64| -> String {
        let letters = tracks.iter().map(|track| track.letter(place));
        letters
            .map(|letter| {
                if upper {
                    letter
                } else {
                    letter.to_ascii_lowercase()
                }
            })
            .collect()
    };
    let shown: Vec<String> = (0..4).map(entry).collect();
    let next = entry(4);
    let form = Form::any(rng);
    let prompt = Prompt::new(rng, NEXT_LETTERS, &joined(&shown, ", "), &[]).in_form(form, rng);
    prompt.answered(match form {
        Form::Bare => next,
        Form::Sentence => format!("The next entry is {next}."),
        Form::Steps => {
            let which = ["first", "second"];
            let steps: Vec<String> = match &tracks[..] {
                [only] => vec![format!("each letter is {}", only.step_words())],
                both => both
                    .iter()
                    .zip(which)
                    .map(|(track, which)| {
                        format!("the {which} letter of each entry is {}", track.step_words())
                    })
                    .collect(),
            };
            let wraps = tracks.iter().any(Track::wraps);
            let note = if wraps { ", where A follows Z" } else { "" };
            worked(
                rng,
                &steps,
                &format!("After {} comes {next}{note}.", shown[3]),
            )
        }
    })
}

/// Letters at even distances along the alphabet, which starts again after Z.
struct Track {
    start: i64,
    step: i64,
}

impl Track {
    fn draw(rng: &mut Rng) -> Track {
        let step = rng.random_range(1..=5) * if rng.random_bool(0.3) { -1 } else { 1 };
        Track {
            start: rng.random_range(0..26),
            step,
        }
    }

    fn letter(&self, place: i64) -> char {
        char::from(b'A' + (self.start + self.step * place).rem_euclid(26) as u8)
    }

    fn wraps(&self) -> bool {
        !(0..26).contains(&(self.start + self.step * 4))
    }

    fn step_words(&self) -> String {
        let places = self.step.abs();
        let noun = if places == 1 { "place" } else { "places" };
        let direction = if self.step > 0 { "after" } else { "before" };
        format!("{places} {noun} {direction} the one before it in the sequence")
    }
}

impl Rule {
    fn draw(rng: &mut Rng) -> Rule {
        match rng.random_range(0..7) {
            0 | 1 => Rule::Add(rng.random_range(2..=60)),
            2 => Rule::Add(-rng.random_range(2..=25)),
            3 => Rule::Multiply(rng.random_range(2..=4)),
            4 => Rule::MultiplyThenAdd(rng.random_range(2..=3), rng.random_range(1..=9)),
            5 => pick(
                rng,
                &[
                    Rule::AddLastTwo,
                    Rule::GrowingStep(1),
                    Rule::GrowingStep(2),
                    Rule::GrowingStep(5),
                ],
            ),
            _ => Rule::Alternate(rng.random_range(2..=30), rng.random_range(-9..=-1)),
        }
    }

    /// The first terms, beginning with `start`; `second` matters only to rules that look back twice or change their step.
    fn terms(self, start: i64, second: i64, count: usize) -> Vec<i64> {
        let mut terms = match self {
            // Falling sequences begin high enough to stay above zero for as long as they are shown.
            Rule::Add(step) if step < 0 => vec![start - step * count as i64],
            Rule::AddLastTwo => vec![start, start + second],
            Rule::GrowingStep(_) => vec![start, start + second],
            _ => vec![start],
        };
        while terms.len() < count {
            let n = terms.len();
            let last = terms[n - 1];
            terms.push(match self {
                Rule::Add(step) => last + step,
                Rule::Multiply(factor) => last * factor,
                Rule::MultiplyThenAdd(factor, term) => last * factor + term,
                Rule::AddLastTwo => last + terms[n - 2],
                Rule::GrowingStep(growth) => last + (last - terms[n - 2]) + growth,
                Rule::Alternate(up, down) => last + if n % 2 == 1 { up } else { down },
            });
        }
        terms
    }

    fn last_step(self, shown: &[i64], next: i64) -> String {
        let [.., before, last] = shown else {
            return String::new();
        };
        match self {
            Rule::Multiply(factor) => format!("the next term is {last} × {factor} = {next}"),
            Rule::MultiplyThenAdd(factor, term) => {
                format!("the next term is {last} × {factor} + {term} = {next}")
            }
            Rule::AddLastTwo => format!("the next term is {before} + {last} = {next}"),
            _ if next < *last => format!("the next term is {last} - {} = {next}", last - next),
            _ => format!("the next term is {last} + {} = {next}", next - last),
        }
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Rule::Add(step) if *step < 0 => {
                write!(f, "each term is {} less than the one before", -step)
            }
            Rule::Add(step) => write!(f, "each term is {step} more than the one before"),
            Rule::Multiply(factor) => write!(f, "each term is {factor} times the one before"),
            Rule::MultiplyThenAdd(factor, term) => {
                write!(f, "each term is {factor} times the one before, plus {term}")
            }
            Rule::AddLastTwo => write!(f, "each term is the sum of the two before it"),
            Rule::GrowingStep(growth) => {
                write!(f, "the step from term to term grows by {growth} each time")
            }
            Rule::Alternate(up, down) => write!(
                f,
                "the steps alternate between adding {up} and subtracting {}",
                -down
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::checking::{draws, integers, last_integer, wording};
    use super::*;

    /// Whether some rule of the kinds in use explains the whole sequence, found from its first terms alone.
    fn follows_a_rule(t: &[i64]) -> bool {
        let steps: Vec<i64> = t.windows(2).map(|w| w[1] - w[0]).collect();
        let growth: Vec<i64> = steps.windows(2).map(|w| w[1] - w[0]).collect();
        let even = |s: &[i64]| s.windows(2).all(|w| w[0] == w[1]);
        let fibonacci = t.windows(3).all(|w| w[2] == w[0] + w[1]);
        let alternating = steps.windows(3).all(|w| w[0] == w[2]);
        let affine =
            (1..=4).any(|m| even(&t.windows(2).map(|w| w[1] - m * w[0]).collect::<Vec<_>>()));
        even(&steps) || even(&growth) || fibonacci || alternating || affine
    }

    #[test]
    fn the_next_number_continues_a_rule() {
        for pair in draws(numbers) {
            let mut terms = integers(&wording(&pair));
            terms.push(last_integer(&pair.output));
            assert!(follows_a_rule(&terms), "{pair:?}");
        }
    }

    #[test]
    fn the_next_letters_keep_their_distance() {
        for pair in draws(letters) {
            let text = wording(&pair);
            let words: Vec<&str> = text
                .split(|c: char| !c.is_ascii_alphabetic())
                .filter(|w| !w.is_empty())
                .collect();
            let next = pair
                .output
                .split(", where")
                .next()
                .unwrap()
                .trim_end_matches('.')
                .rsplit(' ')
                .next()
                .unwrap();
            let is_shown = |four: &&[&str]| {
                four.iter().all(|word| word.len() == next.len())
                    && text.contains(&joined(four, ", "))
            };
            let shown = words.windows(4).find(is_shown).unwrap();
            let entries = [shown, &[next]].concat();
            for place in 0..next.len() {
                let letters = entries
                    .iter()
                    .map(|entry| i32::from(entry.as_bytes()[place]));
                let steps: Vec<i32> = letters
                    .collect::<Vec<_>>()
                    .windows(2)
                    .map(|w| (w[1] - w[0]).rem_euclid(26))
                    .collect();
                assert!(steps.iter().all(|step| *step == steps[0]), "{pair:?}");
            }
        }
    }
}
