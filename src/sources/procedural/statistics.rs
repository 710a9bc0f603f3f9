//! Summaries of a list of numbers, and comparisons of two.

use std::fmt;

use rand::Rng as _;

use super::{
    Pair, Rng,
    english::{decimal, joined, listed},
    phrasing::{Form, Prompt, pick},
    working::worked,
};

const SUMMARISE: &[&str] = &[
    "What is the {what} of {data}?",
    "Find the {what} of these numbers: {data}",
    "Compute the {what} for {data}.",
    "Given the measurements {data}, what is the {what}?",
    "Take the list {data} and give its {what}.",
    "For the numbers {data}, work out the {what}.",
    "Find the {what} of the numbers.",
    "What is the {what} of the list?",
    "Report the {what} of the values in the input.",
    "A student measured the following. Determine the {what}.",
    "Calculate the {what} of the data set below.",
];

const COMPARE: &[&str] = &[
    "Which is {more}, {a} or {b}?",
    "Compare {a} and {b}. Which one is {more}?",
    "Of {a} and {b}, which is {more}?",
    "Tell me which number is {more}: {a} or {b}?",
    "Which of the numbers {a} and {b} is {more}?",
    "Between {a} and {b}, name the one that is {more}.",
    "Two values are given, {a} and {b}. Which is {more}?",
    "Pick the {more} number: {a} or {b}?",
    "Decide which is {more}: {a} or {b}",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Summary {
    Largest,
    Smallest,
    Median,
    Mean,
    Range,
    Sum,
}

/// One summary of a short list.
pub(super) fn summary(rng: &mut Rng) -> Pair {
    use Summary::{Largest, Mean, Median, Range, Smallest, Sum};
    let summary = pick(
        rng,
        &[Largest, Smallest, Median, Median, Mean, Mean, Range, Sum],
    );
    let n_numbers = match summary {
        // Divisors that keep the mean to two decimals.
        Mean => pick(rng, &[4, 5, 8]),
        _ => rng.random_range(5..=9),
    };
    let numbers: Vec<i64> = (0..n_numbers).map(|_| rng.random_range(1..=250)).collect();
    let form = Form::any(rng);
    let prompt = Prompt::new(
        rng,
        SUMMARISE,
        &joined(&numbers, ", "),
        &[("what", &summary)],
    )
    .in_form(form, rng);
    let answer = decimal(summary.thousandths(&numbers), 3);
    let conclusion = format!("The {summary} is {answer}.");
    prompt.answered(match form {
        Form::Bare => answer,
        Form::Sentence => conclusion,
        Form::Steps => worked(rng, &summary.steps(&numbers, &answer), &conclusion),
    })
}

/// The larger or smaller of two numbers that look alike.
pub(super) fn comparison(rng: &mut Rng) -> Pair {
    let a = rng.random_range(1_000..=99_999_i64);
    let b = loop {
        let b = a + rng.random_range(-400..=400);
        if b != a && b > 0 {
            break b;
        }
    };
    // The same places in both would make the comparison one of whole numbers.
    let (a, b) = match rng.random_range(0..3) {
        0 => ((a * 1_000, a.to_string()), (b * 1_000, b.to_string())),
        1 => ((a * 10, decimal(a, 2)), (b / 10 * 100, decimal(b / 10, 1))),
        _ => ((a, decimal(a, 3)), (b / 10 * 10, decimal(b / 10, 2))),
    };
    if a.0 == b.0 {
        return comparison(rng);
    }
    let larger = rng.random_bool(0.5);
    let more = if larger {
        pick(rng, &["larger", "greater", "bigger"])
    } else {
        pick(rng, &["smaller", "lower"])
    };
    let form = Form::brief(rng);
    let prompt = Prompt::new(
        rng,
        COMPARE,
        "",
        &[("more", &more), ("a", &a.1), ("b", &b.1)],
    )
    .in_form(form, rng);
    let (chosen, other) = if (a.0 > b.0) == larger {
        (a.1, b.1)
    } else {
        (b.1, a.1)
    };
    prompt.answered(match form {
        Form::Bare => chosen,
        _ => format!("{chosen} is {more} than {other}."),
    })
}

impl Summary {
    fn thousandths(self, numbers: &[i64]) -> i64 {
        let mut sorted = numbers.to_vec();
        sorted.sort_unstable();
        let (n, sum) = (sorted.len(), sorted.iter().sum::<i64>());
        match self {
            Summary::Largest => sorted[n - 1] * 1_000,
            Summary::Smallest => sorted[0] * 1_000,
            Summary::Median => (sorted[n / 2] + sorted[(n - 1) / 2]) * 500,
            Summary::Mean => sum * 1_000 / n as i64,
            Summary::Range => (sorted[n - 1] - sorted[0]) * 1_000,
            Summary::Sum => sum * 1_000,
        }
    }

    fn steps(self, numbers: &[i64], answer: &str) -> Vec<String> {
        let mut sorted = numbers.to_vec();
        sorted.sort_unstable();
        let (n, sum) = (sorted.len(), sorted.iter().sum::<i64>());
        let (smallest, largest) = (sorted[0], sorted[n - 1]);
        let in_order = format!("in order the numbers are {}", listed(&sorted));
        match self {
            Summary::Largest | Summary::Smallest => vec![in_order],
            Summary::Median if n % 2 == 1 => {
                vec![in_order, format!("the middle one of {n} is {answer}")]
            }
            Summary::Median => {
                let (low, high) = (sorted[n / 2 - 1], sorted[n / 2]);
                vec![
                    in_order,
                    format!(
                        "the two in the middle are {low} and {high}, and halfway between them is {answer}"
                    ),
                ]
            }
            Summary::Mean => vec![
                format!("the sum is {} = {sum}", joined(numbers, " + ")),
                format!("there are {n} numbers, and {sum} ÷ {n} = {answer}"),
            ],
            Summary::Range => vec![
                format!("the largest number is {largest} and the smallest is {smallest}"),
                format!("their difference is {largest} - {smallest} = {answer}"),
            ],
            Summary::Sum => vec![format!("{} = {sum}", joined(numbers, " + "))],
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Summary::Largest => "largest value",
            Summary::Smallest => "smallest value",
            Summary::Median => "median",
            Summary::Mean => "mean",
            Summary::Range => "range (largest minus smallest)",
            Summary::Sum => "sum",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::checking::{draws, integers, wording};
    use super::*;

    #[test]
    fn summaries_fit_their_definitions() {
        for pair in draws(summary) {
            let text = wording(&pair);
            let numbers: Vec<f64> = integers(&text).into_iter().map(|n| n as f64).collect();
            let answer = pair
                .output
                .trim_end_matches('.')
                .rsplit(' ')
                .next()
                .unwrap();
            let answer: f64 = answer.parse().unwrap();
            let below = numbers.iter().filter(|n| **n < answer).count();
            let above = numbers.iter().filter(|n| **n > answer).count();
            let max = numbers.iter().copied().fold(f64::MIN, f64::max);
            let min = numbers.iter().copied().fold(f64::MAX, f64::min);
            let ok = match () {
                () if text.contains("range") => answer == max - min,
                () if text.contains("largest value") => answer == max,
                () if text.contains("smallest value") => answer == min,
                () if text.contains("median") => {
                    below <= numbers.len() / 2 && above <= numbers.len() / 2
                }
                () if text.contains("mean") => {
                    (answer * numbers.len() as f64 - numbers.iter().sum::<f64>()).abs() < 1e-6
                }
                () => answer == numbers.iter().sum::<f64>(),
            };
            assert!(ok, "{pair:?}");
        }
    }

    #[test]
    fn the_chosen_number_compares_as_asked() {
        for pair in draws(comparison) {
            let numbers = |text: &str| -> Vec<f64> {
                text.split([' ', ',', '?', '\n'])
                    .filter_map(|word| word.trim_end_matches('.').parse().ok())
                    .collect()
            };
            let [a, b] = numbers(&pair.instruction)[..] else {
                panic!("{pair:?}")
            };
            let smaller = ["smaller", "lower"]
                .iter()
                .any(|word| pair.instruction.contains(word));
            let expected = if smaller { a.min(b) } else { a.max(b) };
            assert_eq!(numbers(&pair.output)[0], expected, "{pair:?}");
        }
    }
}
