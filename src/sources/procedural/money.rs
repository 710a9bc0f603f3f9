//! Percentages, bills and change.

use std::fmt;

use rand::Rng as _;

use super::{
    Pair, Rng,
    english::{decimal, listed, with_article},
    lexicon::{self, THINGS},
    people::person,
    phrasing::{Form, Prompt, pick},
    working::worked,
};

/// A sum of money in hundredths, with the sign it is written with.
#[derive(Clone, Copy)]
struct Money {
    cents: i64,
    sign: char,
}

const SIGNS: &[char] = &['$', '€', '£'];

const PERCENT: &[&str] = &[
    "What is {p}% of {n}?",
    "Calculate {p} percent of {n}.",
    "How much is {p}% of {n}?",
    "Find {p}% of {n}.",
    "Work out {p} per cent of {n}.",
    "Take {n} and tell me what {p}% of it is.",
    "If {n} is the whole, what is {p}% of it?",
    "{p}% of {n} = ?",
    "I need {p} percent of {n}.",
    "What do you get if you take {p}% of {n}?",
];

const PRICE_CHANGE: &[&str] = &[
    "{thing} costs {price}. The price {goes} by {p}%. What is the new price?",
    "The price of {thing} is {price} and {goes} by {p} percent. What does it cost then?",
    "A shop sells {thing} for {price}. After the price {goes} by {p}%, how much is it?",
    "What does {thing} cost if its price of {price} {goes} by {p}%?",
    "{who} sees {thing} for {price}. A week later the price {goes} by {p}%. What is the price now?",
    "Find the new price: {thing} at {price}, and the price {goes} by {p}%.",
    "Suppose the price of {thing}, now {price}, {goes} by {p}%. Calculate the price after that.",
    "Price of {thing}: {price}. It {goes} by {p}%. New price?",
    "If {price} is what {thing} costs today and the price {goes} by {p}% tomorrow, what will it cost?",
];

const BILL: &[&str] = &[
    "{who} buys {data}. What is the total?",
    "{who} buys {data} and pays with {paid}. How much change is due?",
    "Add up the bill: {data}.",
    "What do {data} cost together?",
    "At the till there are {data}. Work out the sum to pay.",
    "A customer takes {data} and hands over {paid}. What change does the customer get?",
    "{who} has {paid} and spends it on {data}. How much money is left?",
    "Work out the total of this purchase.",
    "{who} pays for the following with {paid}. How much comes back?",
    "Find the total price of what is listed.",
    "How much is the whole shopping list?",
    "{paid} is paid for the items below. Compute the change.",
];

/// A percentage of a number.
pub(super) fn percentage(rng: &mut Rng) -> Pair {
    let p = if rng.random_bool(0.5) {
        5 * rng.random_range(1..=19_i64)
    } else {
        rng.random_range(1..=99)
    };
    let n = if rng.random_bool(0.5) {
        10 * rng.random_range(2..=200_i64)
    } else {
        rng.random_range(20..=999)
    };
    let form = Form::any(rng);
    let prompt = Prompt::new(rng, PERCENT, "", &[("p", &p), ("n", &n)]).in_form(form, rng);
    let answer = decimal(p * n, 2);
    prompt.answered(match form {
        Form::Bare => answer,
        Form::Sentence => format!("{p}% of {n} is {answer}."),
        Form::Steps => {
            let steps = [
                format!("one percent of {n} is {n} ÷ 100 = {}", decimal(n, 2)),
                format!("{p} times that is {} × {p} = {answer}", decimal(n, 2)),
            ];
            worked(rng, &steps, &format!("So {p}% of {n} is {answer}."))
        }
    })
}

/// A price that rises or falls by a percentage.
pub(super) fn price_change(rng: &mut Rng) -> Pair {
    let sign = pick(rng, SIGNS);
    // Whole units and multiples of five percent keep every amount exact to the cent.
    let price = Money {
        cents: 100 * rng.random_range(2..=400),
        sign,
    };
    let p = 5 * rng.random_range(1..=16_i64);
    let rises = rng.random_bool(0.4);
    let thing = with_article(lexicon::any(rng, &THINGS).singular);
    let goes = if rises {
        "rises"
    } else {
        pick(rng, &["falls", "drops"])
    };
    let who = person(rng);
    let form = Form::any(rng);
    let slots: &[(&str, &dyn fmt::Display)] = &[
        ("thing", &thing),
        ("price", &price),
        ("goes", &goes),
        ("p", &p),
        ("who", &who),
    ];
    let prompt = Prompt::new(rng, PRICE_CHANGE, "", slots)
        .capitalised()
        .in_form(form, rng);
    let change = price.with(price.cents * p / 100);
    let new = price.with(if rises {
        price.cents + change.cents
    } else {
        price.cents - change.cents
    });
    prompt.answered(match form {
        Form::Bare => new.to_string(),
        Form::Sentence => format!("The new price is {new}."),
        Form::Steps => {
            let (verb, op) = if rises {
                ("add it to", '+')
            } else {
                ("take it from", '-')
            };
            let steps = [
                format!("{p}% of {price} is {change}"),
                format!("{verb} the old price: {price} {op} {change} = {new}"),
            ];
            worked(rng, &steps, &format!("The new price is {new}."))
        }
    })
}

/// A bill of two to four lines, or the change from it.
pub(super) fn bill(rng: &mut Rng) -> Pair {
    let sign = pick(rng, SIGNS);
    let n_lines = rng.random_range(2..=4);
    let lines: Vec<(i64, _, Money)> = lexicon::several(rng, &THINGS, n_lines)
        .into_iter()
        .map(|thing| {
            (
                rng.random_range(1..=9),
                thing,
                Money {
                    cents: 5 * rng.random_range(10..=300),
                    sign,
                },
            )
        })
        .collect();
    let total = Money {
        cents: lines
            .iter()
            .map(|(count, _, price)| count * price.cents)
            .sum(),
        sign,
    };
    // Notes come in tens, and at least a little must come back.
    let paid = total.with((total.cents / 1_000 + rng.random_range(1..=2)) * 1_000);
    let items: Vec<String> = lines
        .iter()
        .map(|(count, thing, price)| match count {
            1 => format!("1 {} at {price}", thing.singular),
            _ => format!("{} at {price} each", thing.counted(*count)),
        })
        .collect();
    let who = person(rng);
    let template = pick(rng, BILL);
    let form = Form::any(rng);
    let prompt = Prompt::new(
        rng,
        &[template],
        &listed(&items),
        &[("who", &who), ("paid", &paid)],
    )
    .in_form(form, rng);

    let wants_change = template.contains("{paid}");
    let answer = if wants_change {
        total.with(paid.cents - total.cents)
    } else {
        total
    };
    let what = if wants_change {
        "The change is"
    } else {
        "The total is"
    };
    prompt.answered(match form {
        Form::Bare => answer.to_string(),
        Form::Sentence => format!("{what} {answer}."),
        Form::Steps => {
            let mut steps: Vec<String> = lines
                .iter()
                .map(|(count, thing, price)| {
                    let cost = price.with(count * price.cents);
                    format!("{}: {count} × {price} = {cost}", thing.for_count(*count))
                })
                .collect();
            steps.push(format!("together that is {total}"));
            if wants_change {
                steps.push(format!(
                    "from {paid} there remain {paid} - {total} = {answer}"
                ));
            }
            worked(rng, &steps, &format!("{what} {answer}."))
        }
    })
}

impl Money {
    fn with(self, cents: i64) -> Money {
        Money { cents, ..self }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{}.{:02}",
            self.sign,
            self.cents / 100,
            self.cents % 100
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::checking::{draws, integers, wording};
    use super::*;

    /// Amounts of money in the text, in cents.
    fn amounts(text: &str) -> Vec<i64> {
        let parts = text.split(['$', '€', '£']).skip(1);
        parts
            .map(|part| integers(part)[0] * 100 + integers(part)[1])
            .collect()
    }

    #[test]
    fn percentages_agree_with_floating_point() {
        for pair in draws(percentage) {
            let text = wording(&pair);
            let numbers = integers(&text);
            let p = text
                .split(['%'])
                .next()
                .and_then(|s| integers(s).pop())
                .filter(|_| text.contains('%'));
            let p = p.unwrap_or(numbers[0]);
            let n = if numbers[0] == p
                && text
                    .find('%')
                    .is_none_or(|at| integers(&text[..at]).len() == 1)
            {
                numbers[1]
            } else {
                numbers[0]
            };
            let answer = pair
                .output
                .trim_end_matches('.')
                .rsplit(' ')
                .next()
                .unwrap();
            let answer: f64 = answer.parse().unwrap();
            assert!(
                (answer - p as f64 * n as f64 / 100.0).abs() < 1e-9,
                "{pair:?}"
            );
        }
    }

    #[test]
    fn new_prices_are_the_old_ones_times_a_factor() {
        for pair in draws(price_change) {
            let text = wording(&pair);
            let price = amounts(&text)[0] as f64;
            let at = text.find('%').or_else(|| text.find(" percent")).unwrap();
            let p = *integers(&text[..at]).last().unwrap() as f64;
            let factor = if text.contains("rises") {
                1.0 + p / 100.0
            } else {
                1.0 - p / 100.0
            };
            let new = *amounts(&pair.output).last().unwrap() as f64;
            assert!((new - price * factor).abs() < 1e-6, "{pair:?}");
        }
    }

    #[test]
    fn bills_add_up() {
        for pair in draws(bill) {
            let text = wording(&pair);
            let (mut total, mut paid) = (0, None);
            let mut before = "";
            for (i, part) in text.split(['$', '€', '£']).enumerate() {
                if i > 0 {
                    let cents = integers(part)[0] * 100 + integers(part)[1];
                    match before
                        .strip_suffix(" at ")
                        .and_then(|item| integers(item).pop())
                    {
                        Some(count) => total += count * cents,
                        None => paid = Some(cents),
                    }
                }
                before = part.get(0..).unwrap_or_default();
                if i > 0 {
                    // Drop the amount itself, so that only the next count is left to read.
                    before = before.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
                }
            }
            let expected = paid.map_or(total, |paid| paid - total);
            assert_eq!(*amounts(&pair.output).last().unwrap(), expected, "{pair:?}");
        }
    }
}
