//! Ordering puzzles, syllogisms and statements joined by "and" and "or".

use rand::Rng as _;

use super::{
    Pair, Rng,
    english::{capitalised, joined, with_article},
    lexicon,
    people::people,
    phrasing::{Form, Prompt, fill, pick},
    working::worked,
};

const WHO: &[&str] = &[
    "{data} Who is the {most}?",
    "Who is the {most}? {data}",
    "Read the clues and say who is the {most}. {data}",
    "{data} Which person is the {most}?",
    "Given these facts, name the {most} person. {data}",
    "From what is said, work out who is the {most}.",
    "Who must be the {most} of all?",
    "A riddle: {data} Now, who is the {most}?",
    "Use the statements to find the {most} person.",
    "Solve the puzzle: which person is the {most}?",
];

const SYLLOGISM: &[&str] = &[
    "{data} Does it follow that {conclusion}?",
    "Suppose this is true: {data} Must it be that {conclusion}?",
    "{data} Can we conclude with certainty that {conclusion}?",
    "Take as given: {data} Is it then certain that {conclusion}?",
    "Judge the argument. {data} Therefore {conclusion}. Is it valid?",
    "Assuming the statements, does it necessarily follow that {conclusion}?",
    "From the premises given, must it be true that {conclusion}?",
    "Is the conclusion that {conclusion} valid?",
    "Check the logic: do the premises guarantee that {conclusion}?",
    "The words are invented, so rely on logic alone. {data} Is it certain that {conclusion}?",
];

const TRUTH: &[&str] = &[
    "True or false: {statement}.",
    "Is this statement true? {Statement}.",
    "Decide whether the following is true or false: {statement}.",
    "Someone claims that {statement}. Is that true or false?",
    "Evaluate the truth of this: {statement}.",
    "What is the truth value of the statement \"{statement}\"?",
    "Check the claim and answer true or false. {Statement}.",
    "Would a logician call it true that {statement}?",
    "\"{Statement}.\" True or false?",
];

/// An order among people: how two compare, and what the ends of the line are called.
const ORDERS: &[(&str, &str, &str, &str)] = &[
    ("taller than", "shorter than", "tallest", "shortest"),
    ("older than", "younger than", "oldest", "youngest"),
    ("faster than", "slower than", "fastest", "slowest"),
    ("heavier than", "lighter than", "heaviest", "lightest"),
    ("richer than", "poorer than", "richest", "poorest"),
    ("stronger than", "weaker than", "strongest", "weakest"),
];

const SYLLABLES: &[&str] = &[
    "bli", "dor", "fen", "gra", "hul", "kip", "lum", "mof", "nar", "pel", "quo", "rin", "sta",
    "tov", "wug", "zem",
];

/// Shapes of arguments over three kinds of thing: two premises, a conclusion, whether it follows, and why.
const ARGUMENTS: &[(&str, &str, bool, &str)] = &[
    (
        "All {a} are {b}. All {b} are {c}.",
        "all {a} are {c}",
        true,
        "every one of the {a} is among the {b}, and all of those are {c}",
    ),
    (
        "All {a} are {b}. No {b} are {c}.",
        "no {a} are {c}",
        true,
        "every one of the {a} is among the {b}, and none of those are {c}",
    ),
    (
        "Some {a} are {b}. All {b} are {c}.",
        "some {a} are {c}",
        true,
        "the {a} that are {b} are {c} as well",
    ),
    (
        "All {a} are {b}. {who} is not one of the {b}.",
        "{who} is not one of the {a}",
        true,
        "one of the {a} would have to be one of the {b}",
    ),
    (
        "All {a} are {b}. {who} is one of the {a}.",
        "{who} is one of the {b}",
        true,
        "what holds for all {a} holds for {who}",
    ),
    (
        "All {a} are {b}. All {c} are {b}.",
        "all {a} are {c}",
        false,
        "the {a} and the {c} may be different parts of the {b}",
    ),
    (
        "All {a} are {b}. Some {b} are {c}.",
        "some {a} are {c}",
        false,
        "the {b} that are {c} need not be among the {a}",
    ),
    (
        "No {a} are {b}. No {b} are {c}.",
        "no {a} are {c}",
        false,
        "nothing is said about how the {a} and the {c} relate",
    ),
    (
        "All {a} are {b}. {who} is one of the {b}.",
        "{who} is one of the {a}",
        false,
        "there may be {b} that are not {a}",
    ),
    (
        "Some {a} are {b}. Some {b} are {c}.",
        "some {a} are {c}",
        false,
        "the {b} meant in the two statements need not be the same",
    ),
    (
        "All {a} are {b}. All {a} are {c}.",
        "all {b} are {c}",
        false,
        "there may be {b} that are not {a}, and of those nothing is said",
    ),
];

/// Who comes first or last in a line of people.
pub(super) fn ordering(rng: &mut Rng) -> Pair {
    let n_people = rng.random_range(3..=5);
    // From most to least.
    let line = people(rng, n_people);
    let (more, less, most, least) = pick(rng, ORDERS);
    let mut clues: Vec<String> = line
        .windows(2)
        .map(|two| match rng.random_bool(0.5) {
            true => format!("{} is {more} {}.", two[0], two[1]),
            false => format!("{} is {less} {}.", two[1], two[0]),
        })
        .collect();
    let turn = rng.random_range(0..clues.len());
    clues.rotate_left(turn);
    let top = rng.random_bool(0.5);
    let (asked, answer) = if top {
        (most, line[0])
    } else {
        (least, line[n_people - 1])
    };
    let form = Form::any(rng);
    let prompt = Prompt::new(rng, WHO, &clues.join(" "), &[("most", &asked)]).in_form(form, rng);
    let conclusion = format!("{answer} is the {asked}.");
    prompt.answered(match form {
        Form::Bare => answer.to_owned(),
        Form::Sentence => conclusion,
        Form::Steps => {
            let steps = [format!(
                "the clues put all of them in one order, from the {most} to the {least}: {}",
                joined(&line, ", ")
            )];
            worked(rng, &steps, &conclusion)
        }
    })
}

/// Whether a conclusion follows from two premises about invented kinds.
pub(super) fn syllogism(rng: &mut Rng) -> Pair {
    let kinds = lexicon::several(rng, SYLLABLES, 6);
    let [a, b, c] = [0, 2, 4].map(|i| format!("{}{}s", kinds[i], kinds[i + 1]));
    let who = people(rng, 1)[0];
    let (premises, conclusion, follows, reason) = pick(rng, ARGUMENTS);
    let tell = |template: &str| fill(template, &[("a", &a), ("b", &b), ("c", &c), ("who", &who)]);
    let prompt = Prompt::new(
        rng,
        SYLLOGISM,
        &tell(premises),
        &[("conclusion", &tell(conclusion))],
    );
    let verdict = if follows { "Yes" } else { "No" };
    let reason = tell(reason);
    prompt.answered(match rng.random_range(0..3) {
        0 => format!("{verdict}."),
        1 => format!("{verdict}, because {reason}."),
        _ if follows => format!("Yes, it follows: {reason}."),
        _ => format!("No, it does not follow: {reason}."),
    })
}

/// Whether a statement made of two claims about numbers is true.
pub(super) fn truth(rng: &mut Rng) -> Pair {
    let (first, second) = (Claim::draw(rng), Claim::draw(rng));
    let (statement, is_true) = match rng.random_range(0..4) {
        0 => (
            format!("{} and {}", first.text, second.text),
            first.holds && second.holds,
        ),
        1 => (
            format!("{} or {}", first.text, second.text),
            first.holds || second.holds,
        ),
        2 => (
            format!(
                "neither is it true that {} nor that {}",
                first.text, second.text
            ),
            !first.holds && !second.holds,
        ),
        _ => (
            format!("both {} and {}", first.text, second.text),
            first.holds && second.holds,
        ),
    };
    let form = Form::any(rng);
    let slots: &[(&str, &dyn std::fmt::Display)] = &[
        ("statement", &statement),
        ("Statement", &capitalised(&statement)),
    ];
    let prompt = Prompt::new(rng, TRUTH, "", slots).in_form(form, rng);
    let verdict = if is_true { "true" } else { "false" };
    prompt.answered(match form {
        Form::Bare => capitalised(verdict),
        Form::Sentence => format!("The statement is {verdict}."),
        Form::Steps => {
            let judged = |claim: &Claim| format!("\"{}\" is {}", claim.text, claim.holds);
            let steps = [judged(&first), judged(&second)];
            worked(
                rng,
                &steps,
                &format!("The whole statement is therefore {verdict}."),
            )
        }
    })
}

/// A claim about numbers that may or may not hold.
struct Claim {
    text: String,
    holds: bool,
}

impl Claim {
    fn draw(rng: &mut Rng) -> Claim {
        let (a, b) = (rng.random_range(2..=99_i64), rng.random_range(2..=99_i64));
        let divisor = rng.random_range(2..=9_i64);
        // Near misses, so that half of the sums are right and none is absurd.
        let said = a + b + pick(rng, &[0, 0, 0, 1, -1, 10]);
        match rng.random_range(0..5) {
            0 => Claim {
                text: format!("{a} is greater than {b}"),
                holds: a > b,
            },
            1 => Claim {
                text: format!("{a} is less than {b}"),
                holds: a < b,
            },
            2 => Claim {
                text: format!("{a} is divisible by {divisor}"),
                holds: a % divisor == 0,
            },
            3 => Claim {
                text: format!("{a} + {b} = {said}"),
                holds: a + b == said,
            },
            _ => {
                let parity = pick(rng, &["even", "odd"]);
                Claim {
                    text: format!("{a} is {}", with_article(&format!("{parity} number"))),
                    holds: (a % 2 == 0) == (parity == "even"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::checking::{draws, integers, wording};
    use super::*;

    #[test]
    fn nobody_beats_the_one_at_the_end_of_the_order() {
        for pair in draws(ordering) {
            let text = wording(&pair);
            let (more, less, most, _) = ORDERS
                .iter()
                .find(|(.., most, least)| {
                    text.contains(&format!("the {most}")) || text.contains(&format!("the {least}"))
                })
                .unwrap();
            let top = text.contains(&format!("the {most}"));
            let name = pair
                .output
                .trim_end_matches('.')
                .rsplit(". ")
                .next()
                .unwrap()
                .rsplit('\n')
                .next()
                .unwrap();
            let name = name.split(' ').next().unwrap();
            // Whoever is at the wanted end is on the right side of every clue that names them.
            let wins = |side: &str, other: &str| {
                text.contains(&format!("{name} is {side} "))
                    && !text.contains(&format!("is {side} {name}."))
                    && !text.contains(&format!("{name} is {other} "))
            };
            let loses = |side: &str, other: &str| {
                text.contains(&format!(" is {other} {name}."))
                    && !text.contains(&format!("is {side} {name}."))
                    && !text.contains(&format!("{name} is {other} "))
            };
            let (win, lose) = if top { (more, less) } else { (less, more) };
            assert!(wins(win, lose) || loses(win, lose), "{pair:?}");
        }
    }

    /// Looks for a world of three overlapping kinds in which the premises hold and the conclusion does not.
    #[test]
    fn arguments_are_valid_when_no_world_refutes_them() {
        for (premises, conclusion, follows, _) in ARGUMENTS {
            // Each bit of a world says whether a thing with this membership (a, b, c as bits) exists; `who` is a thing.
            // Kinds are never empty, which is what plurals presuppose.
            let mut refuted = false;
            for world in 0_u32..256 {
                let things: Vec<u32> = (0..8).filter(|thing| world >> thing & 1 == 1).collect();
                let is = |thing: u32, kind: &str| {
                    thing
                        >> ["{a}", "{b}", "{c}"]
                            .iter()
                            .position(|k| *k == kind)
                            .unwrap()
                        & 1
                        == 1
                };
                if ["{a}", "{b}", "{c}"]
                    .iter()
                    .any(|kind| !things.iter().any(|thing| is(*thing, kind)))
                {
                    continue;
                }
                for who in &things {
                    let holds = |claim: &str| {
                        let words: Vec<&str> = claim.split(' ').collect();
                        match words[..] {
                            ["all" | "All", x, "are", y] => {
                                things.iter().all(|t| !is(*t, x) || is(*t, y))
                            }
                            ["no" | "No", x, "are", y] => {
                                !things.iter().any(|t| is(*t, x) && is(*t, y))
                            }
                            ["Some" | "some", x, "are", y] => {
                                things.iter().any(|t| is(*t, x) && is(*t, y))
                            }
                            ["{who}", "is", "one", "of", "the", x] => is(*who, x),
                            ["{who}", "is", "not", "one", "of", "the", x] => !is(*who, x),
                            _ => panic!("{claim}"),
                        }
                    };
                    let assumed = premises.trim_end_matches('.').split(". ").all(holds);
                    refuted |= assumed && !holds(conclusion);
                }
            }
            assert_eq!(*follows, !refuted, "{premises} {conclusion}");
        }
    }

    /// The shape of an argument whose sentences are those of the text, whatever its kinds and people are called.
    fn shape_of(text: &str) -> Option<&'static (&'static str, &'static str, bool, &'static str)> {
        let words = |text: &str| -> Vec<String> {
            let words = text.split(|c: char| !c.is_alphanumeric() && c != '{' && c != '}');
            words
                .filter(|word| !word.is_empty())
                .map(str::to_lowercase)
                .collect()
        };
        let text = words(text);
        ARGUMENTS.iter().find(|(premises, conclusion, ..)| {
            // Each slot stands for one word, the same wherever it occurs and another than those of the other slots.
            let (premises, conclusion) = (words(premises), words(conclusion));
            let meaning = |at: usize, pattern: &[String], known: &[(String, String)]| {
                let mut known = known.to_vec();
                for (word, said) in pattern.iter().zip(text.get(at..at + pattern.len())?) {
                    match known.iter().find(|(slot, _)| slot == word) {
                        _ if !word.starts_with('{') && word == said => {}
                        Some((_, meant)) if meant == said => {}
                        None if word.starts_with('{') && known.iter().all(|(_, w)| w != said) => {
                            known.push((word.clone(), said.clone()));
                        }
                        _ => return None,
                    }
                }
                Some(known)
            };
            (0..text.len()).any(|start| {
                let known = meaning(start, &premises, &[]);
                known.is_some_and(|known| {
                    (0..text.len()).any(|start| meaning(start, &conclusion, &known).is_some())
                })
            })
        })
    }

    #[test]
    fn verdicts_are_those_of_the_shape_of_the_argument() {
        for pair in draws(syllogism) {
            let (_, _, follows, _) =
                shape_of(&wording(&pair)).unwrap_or_else(|| panic!("{pair:?}"));
            assert_eq!(pair.output.starts_with("Yes"), *follows, "{pair:?}");
        }
    }

    fn claim_holds(claim: &str) -> bool {
        let n = integers(claim);
        match claim {
            c if c.contains("greater") => n[0].max(n[1]) == n[0] && n[0] != n[1],
            c if c.contains("less") => n[0].min(n[1]) == n[0] && n[0] != n[1],
            c if c.contains("divisible") => (1..=n[0]).any(|k| k * n[1] == n[0]),
            c if c.contains('+') => n[2] - n[1] == n[0],
            c if c.contains("even") => n[0] & 1 == 0,
            _ => n[0] & 1 == 1,
        }
    }

    #[test]
    fn statements_are_as_true_as_their_parts() {
        for pair in draws(truth) {
            let text = pair
                .instruction
                .replace("true or false", "")
                .replace("True or false", "");
            let text = text.replace("answer", "").replace("step by step", "");
            let neither = text.to_lowercase().contains("neither");
            let (separator, any) = match () {
                () if neither => (" nor that ", false),
                () if text.contains(" or ")
                    && !integers(text.split(" or ").next().unwrap()).is_empty() =>
                {
                    (" or ", true)
                }
                () => (" and ", false),
            };
            let at = text
                .match_indices(separator)
                .find(|(at, _)| !integers(&text[..*at]).is_empty())
                .unwrap()
                .0;
            let (first, second) = (
                claim_holds(&text[..at]),
                claim_holds(&text[at + separator.len()..]),
            );
            let expected = match (neither, any) {
                (true, _) => !first && !second,
                (_, true) => first || second,
                _ => first && second,
            };
            let said = pair
                .output
                .to_lowercase()
                .trim_end_matches('.')
                .ends_with("true");
            assert_eq!(said, expected, "{pair:?}");
        }
    }
}
