//! Times of day and durations.

use rand::Rng as _;

use super::{
    Pair, Rng,
    english::joined,
    people::person,
    phrasing::{Form, Prompt, pick},
    working::worked,
};

const ADD: &[&str] = &[
    "It is {t}. What time will it be in {d}?",
    "What time is it {d} after {t}?",
    "A film starts at {t} and lasts {d}. When does it end?",
    "{who} leaves at {t} and travels for {d}. When does {who} arrive?",
    "Add {d} to {t}.",
    "If a cake goes into the oven at {t} and needs {d}, when is it done?",
    "Work out the time: {t} plus {d}",
    "A meeting that begins at {t} takes {d}. At what time is it over?",
    "{who} sets a timer for {d} at {t}. When does it ring?",
    "Starting from {t}, what does the clock show after {d}?",
];

const ELAPSED: &[&str] = &[
    "How much time passes from {a} to {b}?",
    "A train leaves at {a} and arrives at {b}. How long does the journey take?",
    "{who} works from {a} until {b} without a break. How long is that?",
    "How long is it from {a} to {b}?",
    "Find the duration between {a} and {b}.",
    "A shop is open from {a} to {b}. For how long is it open?",
    "Work out the elapsed time, {a} to {b}.",
    "The concert began at {a} and finished at {b}. What was its length?",
    "{who} falls asleep at {a} and wakes at {b}. How long does {who} sleep?",
];

const TWELVE_TO_24: &[&str] = &[
    "Write {a} in {to} notation.",
    "Convert {a} to the {to} clock.",
    "What is {a} on the {to} clock?",
    "How is {a} written in {to} format?",
    "Change the time {a} into {to} time.",
    "A timetable uses the {to} clock. How does it show {a}?",
    "Express {a} as a {to} time.",
    "Please rewrite {a} with the {to} clock.",
    "Give {a} in {to} form.",
];

const TOTAL: &[&str] = &[
    "What do the durations {data} add up to?",
    "Add these durations: {data}",
    "{who} spends {data} on three tasks. How long is that in total?",
    "Find the total of {data}.",
    "How long are {data} together?",
    "Three recordings last {data}. What is their total length?",
    "Sum the durations in the input.",
    "How much time is this altogether?",
    "Add up the three times and give hours and minutes.",
];

const DAY: i64 = 24 * 60;

/// A time of day after a duration.
pub(super) fn add(rng: &mut Rng) -> Pair {
    let (start, length) = (rng.random_range(0..DAY), rng.random_range(5..=600));
    let (write, who, form) = (clock_style(rng), person(rng), Form::any(rng));
    let end = start + length;
    let (t, d, answer) = (write(start), duration(length), write(end % DAY));
    let slots: &[(&str, &dyn std::fmt::Display)] = &[("t", &t), ("d", &d), ("who", &who)];
    let prompt = Prompt::new(rng, ADD, "", slots).in_form(form, rng);
    let next_day = if end >= DAY { " on the next day" } else { "" };
    let conclusion = format!("The time is then {answer}{next_day}.");
    prompt.answered(match form {
        Form::Bare => answer,
        Form::Sentence => conclusion,
        Form::Steps => {
            let mut steps = Vec::new();
            let (hours, minutes) = (length / 60, length % 60);
            let after_hours = write((start + hours * 60) % DAY);
            if hours > 0 {
                steps.push(format!(
                    "{t} plus {} is {after_hours}",
                    duration(hours * 60)
                ));
            }
            if minutes > 0 {
                steps.push(format!(
                    "{after_hours} plus {} is {}",
                    duration(minutes),
                    write(end % DAY)
                ));
            }
            worked(rng, &steps, &conclusion)
        }
    })
}

/// The time between two times of day, of which the second may be on the next day.
pub(super) fn elapsed(rng: &mut Rng) -> Pair {
    let (start, length) = (rng.random_range(0..DAY), rng.random_range(20..=700));
    let (write, who, form) = (clock_style(rng), person(rng), Form::any(rng));
    let (a, b, answer) = (
        write(start),
        write((start + length) % DAY),
        duration(length),
    );
    let slots: &[(&str, &dyn std::fmt::Display)] = &[("a", &a), ("b", &b), ("who", &who)];
    let prompt = Prompt::new(rng, ELAPSED, "", slots).in_form(form, rng);
    let next_day = if start + length >= DAY {
        " the next day"
    } else {
        ""
    };
    let conclusion = format!("From {a} to {b}{next_day} is {answer}.");
    prompt.answered(match form {
        Form::Bare => answer,
        Form::Sentence => conclusion,
        Form::Steps => {
            let to_hour = (60 - start % 60) % 60;
            let steps = match to_hour {
                to_hour if to_hour > 0 && to_hour < length => {
                    let full = write((start + to_hour) % DAY);
                    vec![
                        format!("from {a} to {full} is {}", duration(to_hour)),
                        format!(
                            "from {full} to {b}{next_day} is {}",
                            duration(length - to_hour)
                        ),
                    ]
                }
                _ => vec![format!("counting on from {a} to {b} takes {answer}")],
            };
            worked(rng, &steps, &conclusion)
        }
    })
}

/// A time in the other of the two clocks.
pub(super) fn notation(rng: &mut Rng) -> Pair {
    let time = rng.random_range(0..DAY);
    let to_24 = rng.random_bool(0.5);
    let (a, answer) = if to_24 {
        (twelve(time), full(time))
    } else {
        (full(time), twelve(time))
    };
    let to = if to_24 {
        pick(rng, &["24-hour", "24 hour"])
    } else {
        pick(rng, &["12-hour", "12 hour"])
    };
    let form = Form::brief(rng);
    let prompt = Prompt::new(rng, TWELVE_TO_24, "", &[("a", &a), ("to", &to)]).in_form(form, rng);
    prompt.answered(match form {
        Form::Bare => answer,
        _ => format!("On the {to} clock, {a} is {answer}."),
    })
}

/// The sum of three durations.
pub(super) fn total(rng: &mut Rng) -> Pair {
    let lengths = [(); 3].map(|()| rng.random_range(5..=200_i64));
    let (who, form) = (person(rng), Form::any(rng));
    // Durations hold an "and" themselves, so the list uses commas alone.
    let data = joined(&lengths.map(duration), ", ");
    let prompt = Prompt::new(rng, TOTAL, &data, &[("who", &who)]).in_form(form, rng);
    let minutes: i64 = lengths.iter().sum();
    let answer = duration(minutes);
    prompt.answered(match form {
        Form::Bare => answer,
        Form::Sentence => format!("Together that is {answer}."),
        Form::Steps => {
            let steps = [
                format!(
                    "in minutes the sum is {} = {minutes}",
                    joined(&lengths, " + ")
                ),
                format!("{minutes} minutes are {answer}"),
            ];
            let steps = if minutes < 60 {
                &steps[..1]
            } else {
                &steps[..]
            };
            worked(rng, steps, &format!("The total is {answer}."))
        }
    })
}

fn clock_style(rng: &mut Rng) -> fn(i64) -> String {
    pick(
        rng,
        &[full as fn(i64) -> String, twelve as fn(i64) -> String],
    )
}

/// "14:05"
fn full(time: i64) -> String {
    format!("{:02}:{:02}", time / 60, time % 60)
}

/// "2:05 pm"
fn twelve(time: i64) -> String {
    let half = if time < DAY / 2 { "am" } else { "pm" };
    format!("{}:{:02} {half}", (time / 60 + 11) % 12 + 1, time % 60)
}

/// "1 hour and 20 minutes"
fn duration(minutes: i64) -> String {
    let unit = |n: i64, name: &str| {
        if n == 1 {
            format!("1 {name}")
        } else {
            format!("{n} {name}s")
        }
    };
    match (minutes / 60, minutes % 60) {
        (0, rest) => unit(rest, "minute"),
        (hours, 0) => unit(hours, "hour"),
        (hours, rest) => format!("{} and {}", unit(hours, "hour"), unit(rest, "minute")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::checking::{draws, wording};
    use super::*;

    /// Every time of day in the text, in minutes since midnight.
    fn times(text: &str) -> Vec<i64> {
        let words: Vec<&str> = text
            .split([' ', '?', ',', '\n'])
            .map(|w| w.trim_end_matches('.'))
            .collect();
        let mut found = Vec::new();
        for (i, word) in words.iter().enumerate() {
            let Some((h, m)) = word.split_once(':') else {
                continue;
            };
            let (Ok(h), Ok(m)) = (h.parse::<i64>(), m.parse::<i64>()) else {
                continue;
            };
            found.push(match words.get(i + 1).copied() {
                Some("am") => h % 12 * 60 + m,
                Some("pm") => (h % 12 + 12) * 60 + m,
                _ => h * 60 + m,
            });
        }
        found
    }

    /// The sum of all durations in the text, in minutes.
    fn minutes(text: &str) -> i64 {
        let words: Vec<&str> = text
            .split([' ', '?', ',', '\n'])
            .map(|w| w.trim_end_matches('.'))
            .collect();
        let sizes = words.windows(2).filter_map(|pair| {
            let size = if pair[1].starts_with("hour") {
                60
            } else if pair[1].starts_with("minute") {
                1
            } else {
                return None;
            };
            Some(pair[0].parse::<i64>().ok()? * size)
        });
        sizes.sum()
    }

    #[test]
    fn added_time_is_what_the_clock_moved_by() {
        for pair in draws(add) {
            let start = times(&pair.instruction)[0];
            let end = *times(&pair.output).last().unwrap();
            assert_eq!(
                (end - start).rem_euclid(DAY),
                minutes(&pair.instruction),
                "{pair:?}"
            );
        }
    }

    #[test]
    fn elapsed_time_is_what_the_clock_moved_by() {
        for pair in draws(elapsed) {
            let [start, end] = times(&pair.instruction)[..] else {
                panic!("{pair:?}")
            };
            let said = pair.output.rsplit(" is ").next().unwrap();
            assert_eq!((end - start).rem_euclid(DAY), minutes(said), "{pair:?}");
        }
    }

    #[test]
    fn both_clocks_show_the_same_time() {
        for pair in draws(notation) {
            assert_eq!(
                times(&pair.instruction)[0],
                *times(&pair.output).last().unwrap(),
                "{pair:?}"
            );
        }
    }

    #[test]
    fn totals_are_the_sum_of_the_parts() {
        for pair in draws(total) {
            let said = pair.output.rsplit([':']).next().unwrap();
            let said = said.rsplit(" is ").next().unwrap();
            assert_eq!(minutes(&wording(&pair)), minutes(said), "{pair:?}");
        }
    }
}
