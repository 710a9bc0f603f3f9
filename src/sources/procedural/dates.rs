//! Questions about dates.

use rand::Rng as _;

use super::{
    Pair, Rng,
    calendar::{Date, DateStyle, MONTHS, days_in_month, is_leap_year},
    english::is_or_are,
    phrasing::{Form, Prompt, pick},
    working::worked,
};

const BETWEEN: &[&str] = &[
    "How many days are there from {a} to {b}?",
    "Count the days from {a} until {b}.",
    "How many days after {a} is {b}?",
    "What is the number of days between {a} and {b}, not counting the first day?",
    "A trip is booked on {a} and starts on {b}. How many days is that ahead?",
    "If today is {a}, in how many days is it {b}?",
    "Work out the difference in days: {a} to {b}",
    "Something began on {a} and ended on {b}. How many days later was the end?",
    "From {a} to {b}, how many days pass?",
];

const WEEKDAY: &[&str] = &[
    "What day of the week is {a}?",
    "On which weekday does {a} fall?",
    "Which day of the week was or will be {a}?",
    "Find the weekday of {a}.",
    "Name the day of the week for {a}.",
    "I am looking at a calendar. Which weekday is {a}?",
    "Tell me the weekday: {a}",
    "{b} is a {weekday}. Which weekday is {a}?",
    "Given that {b} falls on a {weekday}, on which weekday does {a} fall?",
    "If {b} is a {weekday}, what day of the week is {a}?",
];

const ADD: &[&str] = &[
    "What date is {n} days {side} {a}?",
    "Find the date {n} days {side} {a}.",
    "Which date comes {n} days {side} {a}?",
    "Give the date that lies {n} days {side} {a}.",
    "A calendar is open at {a}. What is the date {n} days {side} that?",
    "Starting at {a}, work out the date {n} days {side} it.",
    "I need the date {n} days {side} {a}.",
    "Compute a date: {n} days {side} {a}",
    "On what date are we {n} days {side} {a}?",
];

const LEAP: &[&str] = &[
    "Is {y} a leap year?",
    "Does the year {y} have a 29 February?",
    "Tell me whether {y} is a leap year.",
    "Was or will {y} be a leap year?",
    "Check if the year {y} has 366 days.",
    "Did or does February {y} have 29 days?",
    "Leap year or not: {y}",
    "In the Gregorian calendar, is {y} a leap year?",
    "Decide whether there is a leap day in {y}.",
];

const REFORMAT: &[&str] = &[
    "Write the date {a} in the style \"{model}\".",
    "Rewrite {a} so that it looks like \"{model}\".",
    "Change the date {a} to the format of \"{model}\".",
    "Format {a} the way \"{model}\" is written.",
    "Put {a} into the same form as \"{model}\".",
    "Our records use dates like \"{model}\". How should {a} be entered?",
    "Reformat the date {a} after the pattern of \"{model}\".",
    "If dates are written like \"{model}\", how is {a} written?",
    "Convert {a} to the notation used in \"{model}\".",
];

const STYLES: &[DateStyle] = &[
    DateStyle::Iso,
    DateStyle::DayFirst,
    DateStyle::MonthFirst,
    DateStyle::Spoken,
];

/// The number of days from one date to a later one.
pub(super) fn days_between(rng: &mut Rng) -> Pair {
    let (start, style) = (Date::draw(rng), pick(rng, STYLES));
    let days = rng.random_range(2..=400);
    let end = start.plus_days(days);
    let (a, b) = (start.written(style), end.written(style));
    let form = Form::any(rng);
    let prompt = Prompt::new(rng, BETWEEN, "", &[("a", &a), ("b", &b)]).in_form(form, rng);
    let conclusion = format!("From {a} to {b} it is {days} days.");
    prompt.answered(match form {
        Form::Bare => format!("{days} days"),
        Form::Sentence => conclusion,
        Form::Steps => worked(rng, &month_by_month(start, end), &conclusion),
    })
}

/// The day of the week of a date.
pub(super) fn weekday(rng: &mut Rng) -> Pair {
    let (date, style) = (Date::draw(rng), pick(rng, STYLES));
    let days = rng.random_range(3..=120_i64) * if rng.random_bool(0.3) { -1 } else { 1 };
    let known = date.plus_days(-days);
    let (a, b) = (date.written(style), known.written(style));
    let template = pick(rng, WEEKDAY);
    let form = if template.contains("{weekday}") {
        Form::any(rng)
    } else {
        Form::brief(rng)
    };
    let slots: &[(&str, &dyn std::fmt::Display)] =
        &[("a", &a), ("b", &b), ("weekday", &known.weekday())];
    let prompt = Prompt::new(rng, &[template], "", slots)
        .capitalised()
        .in_form(form, rng);
    let name = date.weekday();
    prompt.answered(match form {
        Form::Bare => name.to_owned(),
        Form::Sentence => format!("It is a {name}."),
        Form::Steps => {
            let (side, total) = (if days > 0 { "after" } else { "before" }, days.abs());
            let weeks = if total / 7 == 1 { "week" } else { "weeks" };
            let more = if total % 7 == 1 { "day" } else { "days" };
            let steps = [
                format!("{a} is {total} days {side} {b}"),
                format!("{total} days are {} {weeks} and {} {more}, and whole weeks do not change the weekday", total / 7, total % 7),
                format!("so the weekday is {} {more} {side} {}", total % 7, known.weekday()),
            ];
            worked(rng, &steps, &format!("That is a {name}."))
        }
    })
}

/// The date some days or weeks before or after another.
pub(super) fn add_days(rng: &mut Rng) -> Pair {
    let (start, style) = (Date::draw(rng), pick(rng, STYLES));
    let days = rng.random_range(3..=150);
    let after = rng.random_bool(0.7);
    let side = if after { "after" } else { "before" };
    let end = start.plus_days(if after { days } else { -days });
    let form = if after {
        Form::any(rng)
    } else {
        Form::brief(rng)
    };
    let (a, answer) = (start.written(style), end.written(style));
    let prompt =
        Prompt::new(rng, ADD, "", &[("n", &days), ("side", &side), ("a", &a)]).in_form(form, rng);
    let conclusion = format!("The date {days} days {side} {a} is {answer}.");
    prompt.answered(match form {
        Form::Bare => answer,
        Form::Sentence => conclusion,
        Form::Steps => worked(rng, &month_by_month(start, end), &conclusion),
    })
}

/// Whether a year is a leap year, and by which rule.
pub(super) fn leap_year(rng: &mut Rng) -> Pair {
    let year = if rng.random_ratio(1, 6) {
        100 * rng.random_range(16..=30)
    } else {
        rng.random_range(1_600..=3_000_i64)
    };
    let prompt = Prompt::new(rng, LEAP, "", &[("y", &year)]);
    let (verdict, reason) = match year {
        y if y % 400 == 0 => ("Yes", format!("{y} is a multiple of 400")),
        y if y % 100 == 0 => ("No", format!("{y} is a multiple of 100 but not of 400")),
        y if y % 4 == 0 => ("Yes", format!("{y} is a multiple of 4 but not of 100")),
        y => ("No", format!("{y} is not a multiple of 4")),
    };
    let is = if is_leap_year(year) { "is" } else { "is not" };
    prompt.answered(match rng.random_range(0..3) {
        0 => format!("{verdict}: {reason}."),
        1 => format!("{verdict}, {year} {is} a leap year."),
        _ => format!("{verdict}, {year} {is} a leap year, because {reason}."),
    })
}

/// A date rewritten after the pattern of another.
pub(super) fn reformat(rng: &mut Rng) -> Pair {
    let (date, model) = (Date::draw(rng), Date::draw(rng));
    let from = rng.random_range(0..STYLES.len());
    let to = (from + rng.random_range(1..STYLES.len())) % STYLES.len();
    let slots: &[(&str, &dyn std::fmt::Display)] = &[
        ("a", &date.written(STYLES[from])),
        ("model", &model.written(STYLES[to])),
    ];
    Prompt::new(rng, REFORMAT, "", slots).answered(date.written(STYLES[to]))
}

/// The way from one date to a later one, in pieces that end with a month.
fn month_by_month(start: Date, end: Date) -> Vec<String> {
    let name = |date: Date| MONTHS[date.month as usize - 1];
    let days = |n: i64| {
        if n == 1 {
            "1 day".to_owned()
        } else {
            format!("{n} days")
        }
    };
    let total = end.day_number() - start.day_number();
    if (start.year, start.month) == (end.year, end.month) {
        return vec![format!(
            "both dates are in {}, so {} - {} = {total}",
            name(start),
            end.day,
            start.day
        )];
    }
    let first = days_in_month(start.year, start.month) - start.day;
    let mut steps = vec![format!(
        "{} {} left in {} after day {}",
        days(first),
        is_or_are(first),
        name(start),
        start.day
    )];
    let (mut n_months, mut between) = (0, 0);
    let mut date = Date { day: 1, ..start }.plus_days(days_in_month(start.year, start.month));
    while (date.year, date.month) != (end.year, end.month) {
        let length = days_in_month(date.year, date.month);
        (n_months, between) = (n_months + 1, between + length);
        date = date.plus_days(length);
    }
    match n_months {
        0 => {}
        1 => steps.push(format!("the month in between has {between} days")),
        _ => steps.push(format!(
            "the {n_months} months in between have {between} days"
        )),
    }
    steps.push(format!(
        "{} of {} {} the total of {total}",
        days(end.day),
        name(end),
        if end.day == 1 {
            "completes"
        } else {
            "complete"
        },
    ));
    steps
}

#[cfg(test)]
mod tests {
    use super::super::checking::{draws, integers};
    use super::*;

    /// Every date in the text, whatever its style, in order.
    fn dates(text: &str) -> Vec<Date> {
        let clean = text
            .replace([',', '?', '"', ':'], " ")
            .replace(". ", " ")
            .replace(".\n", " ");
        let words: Vec<&str> = clean.trim_end_matches('.').split_whitespace().collect();
        let number = |word: &str| integers(word).first().copied();
        let mut found = Vec::new();
        for (i, word) in words.iter().enumerate() {
            if let [y, m, d] = word
                .split('-')
                .filter_map(|w| w.parse().ok())
                .collect::<Vec<i64>>()[..]
            {
                found.push(Date {
                    year: y,
                    month: m,
                    day: d,
                });
            }
            let Some(month) = MONTHS.iter().position(|name| name == word) else {
                continue;
            };
            let year_next = words.get(i + 1).and_then(|w| number(w)).filter(|n| *n > 31);
            let date = match (
                year_next,
                words.get(i + 2).and_then(|w| number(w)).filter(|n| *n > 31),
            ) {
                (Some(year), _) => {
                    let back = if words[i - 1] == "of" { 2 } else { 1 };
                    Some((year, number(words[i - back]).unwrap()))
                }
                (None, Some(year)) => Some((year, number(words[i + 1]).unwrap())),
                _ => None,
            };
            found.extend(date.map(|(year, day)| Date {
                year,
                month: month as i64 + 1,
                day,
            }));
        }
        found
    }

    /// Steps from one date to another a day at a time.
    fn walk(start: Date, end: Date) -> i64 {
        let (mut date, mut days) = (start, 0);
        while date != end {
            days += 1;
            date.day += 1;
            if date.day > days_in_month(date.year, date.month) {
                (date.day, date.month) = (1, date.month + 1);
            }
            if date.month > 12 {
                (date.month, date.year) = (1, date.year + 1);
            }
        }
        days
    }

    /// Zeller's congruence (1882), shifted to count from Monday.
    fn zeller(date: Date) -> usize {
        let (y, m) = if date.month < 3 {
            (date.year - 1, date.month + 12)
        } else {
            (date.year, date.month)
        };
        let h = date.day + 13 * (m + 1) / 5 + y + y / 4 - y / 100 + y / 400;
        ((h + 5) % 7) as usize
    }

    #[test]
    fn days_between_are_counted_one_by_one() {
        for pair in draws(days_between) {
            let [start, end] = dates(&pair.instruction)[..] else {
                panic!("{pair:?}")
            };
            let said = pair.output.trim_end_matches('.').trim_end_matches(" days");
            assert_eq!(
                *integers(said).last().unwrap(),
                walk(start, end),
                "{pair:?}"
            );
        }
    }

    #[test]
    fn weekdays_agree_with_zeller() {
        for pair in draws(weekday) {
            let asked = dates(&pair.instruction);
            let conditional = asked.len() == 2;
            let date = asked[asked.len() - 1];
            let name = pair
                .output
                .trim_end_matches('.')
                .rsplit(' ')
                .next()
                .unwrap();
            assert_eq!(
                name,
                super::super::calendar::WEEKDAYS[zeller(date)],
                "{pair:?}"
            );
            if conditional {
                assert!(
                    pair.instruction
                        .contains(super::super::calendar::WEEKDAYS[zeller(asked[0])]),
                    "{pair:?}"
                );
            }
        }
    }

    #[test]
    fn added_days_are_counted_one_by_one() {
        for pair in draws(add_days) {
            let start = dates(&pair.instruction)[0];
            let end = *dates(&pair.output).last().unwrap();
            let at = pair.instruction.find(" days ").unwrap();
            let n = *integers(&pair.instruction[..at]).last().unwrap();
            let walked = if pair.instruction.contains(" before ") {
                walk(end, start)
            } else {
                walk(start, end)
            };
            assert_eq!(walked, n, "{pair:?}");
        }
    }

    #[test]
    fn leap_years_have_a_day_between_february_and_march() {
        for pair in draws(leap_year) {
            let years = integers(&pair.instruction);
            let year = *years.iter().find(|n| **n >= 1_600).unwrap();
            let march = Date {
                year,
                month: 3,
                day: 1,
            }
            .day_number();
            let february = Date {
                year,
                month: 2,
                day: 28,
            }
            .day_number();
            assert_eq!(
                pair.output.starts_with("Yes"),
                march - february == 2,
                "{pair:?}"
            );
        }
    }

    #[test]
    fn reformatted_dates_are_the_same_day() {
        for pair in draws(reformat) {
            assert!(
                dates(&pair.instruction).contains(&dates(&pair.output)[0]),
                "{pair:?}"
            );
        }
    }
}
