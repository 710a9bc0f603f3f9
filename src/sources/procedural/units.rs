//! Conversion between units of one kind, and between temperature scales.

use rand::Rng as _;

use super::{
    Pair, Rng,
    english::{Noun, decimal, is_or_are},
    phrasing::{Form, Prompt},
    working::worked,
};

/// Units of one kind, each with its size in the smallest of them.
struct Scale {
    units: &'static [(Noun, &'static str, i64)],
}

const fn noun(singular: &'static str, plural: &'static str) -> Noun {
    Noun { singular, plural }
}

const SCALES: &[Scale] = &[
    Scale {
        units: &[
            (noun("millimetre", "millimetres"), "mm", 1),
            (noun("centimetre", "centimetres"), "cm", 10),
            (noun("metre", "metres"), "m", 1_000),
            (noun("kilometre", "kilometres"), "km", 1_000_000),
        ],
    },
    Scale {
        units: &[
            (noun("milligram", "milligrams"), "mg", 1),
            (noun("gram", "grams"), "g", 1_000),
            (noun("kilogram", "kilograms"), "kg", 1_000_000),
            (noun("tonne", "tonnes"), "t", 1_000_000_000),
        ],
    },
    Scale {
        units: &[
            (noun("millilitre", "millilitres"), "ml", 1),
            (noun("centilitre", "centilitres"), "cl", 10),
            (noun("litre", "litres"), "l", 1_000),
        ],
    },
    Scale {
        units: &[
            (noun("second", "seconds"), "s", 1),
            (noun("minute", "minutes"), "min", 60),
            (noun("hour", "hours"), "h", 3_600),
            (noun("day", "days"), "d", 86_400),
        ],
    },
    Scale {
        units: &[
            (noun("inch", "inches"), "in", 1),
            (noun("foot", "feet"), "ft", 12),
            (noun("yard", "yards"), "yd", 36),
        ],
    },
    Scale {
        units: &[
            (noun("byte", "bytes"), "B", 1),
            (noun("kibibyte", "kibibytes"), "KiB", 1_024),
            (noun("mebibyte", "mebibytes"), "MiB", 1_048_576),
        ],
    },
];

const CONVERT: &[&str] = &[
    "Convert {data} to {target}.",
    "How many {target} are {data}?",
    "What is {data} in {target}?",
    "Express {data} in {target}.",
    "Change {data} into {target}.",
    "I have {data}. What is that in {target}?",
    "Give {data} as a number of {target}.",
    "A recipe says {data}, but I think in {target}. What should it say?",
    "Please turn {data} into {target}.",
    "If something measures {data}, how much is that in {target}?",
    "Convert the quantity to {target}.",
    "Express this amount in {target}.",
];

const TEMPERATURE: &[&str] = &[
    "Convert {t} degrees {from} to {to}.",
    "What is {t} °{f} in degrees {to}?",
    "A thermometer shows {t} °{f}. What is that in {to}?",
    "Express {t} °{f} on the {to} scale.",
    "It is {t} degrees {from} outside. How many degrees {to} is that?",
    "Turn {t} °{f} into degrees {to}.",
    "How would a {to} thermometer read at {t} degrees {from}?",
    "Give the {to} equivalent of {t} °{f}.",
    "{t} degrees {from} is how much in {to}?",
    "Someone used to {to} asks what {t} °{f} means. Convert it.",
];

/// A whole number of one unit in another, chosen so that at most three decimals come out.
pub(super) fn conversion(rng: &mut Rng) -> Pair {
    let scale = &SCALES[rng.random_range(0..SCALES.len())];
    let start = rng.random_range(0..scale.units.len());
    let end = (start + rng.random_range(1..scale.units.len())) % scale.units.len();
    let ((from, from_sign, from_size), (to, to_sign, to_size)) =
        (scale.units[start], scale.units[end]);
    let amount = draw_amount(rng, from_size, to_size);
    let (short, form) = (rng.random_bool(0.3), Form::any(rng));

    let thousandths = i128::from(amount) * i128::from(from_size) * 1_000 / i128::from(to_size);
    let thousandths = i64::try_from(thousandths).unwrap_or(i64::MAX);
    let number = decimal(thousandths, 3);
    let is_one = if number == "1" { 1 } else { 2 };
    let result = format!(
        "{number} {}",
        if short { to_sign } else { to.for_count(is_one) }
    );
    let given = if short {
        format!("{amount} {from_sign}")
    } else {
        from.counted(amount)
    };
    let target = if short { to_sign } else { to.plural };
    let prompt = Prompt::new(rng, CONVERT, &given, &[("target", &target)]).in_form(form, rng);
    let conclusion = format!(
        "{given} {} {result}.",
        is_or_are(if short { 1 } else { amount })
    );
    prompt.answered(match form {
        Form::Bare => result,
        Form::Sentence => conclusion,
        Form::Steps => {
            let steps = if from_size > to_size {
                let factor = from_size / to_size;
                [
                    format!("one {} is {factor} {}", from.singular, to.plural),
                    format!("multiply: {amount} × {factor} = {number}"),
                ]
            } else {
                let factor = to_size / from_size;
                [
                    format!("one {} is {factor} {}", to.singular, from.plural),
                    format!("divide: {amount} ÷ {factor} = {number}"),
                ]
            };
            worked(rng, &steps, &conclusion)
        }
    })
}

/// An amount that converts exactly in thousandths.
fn draw_amount(rng: &mut Rng, from_size: i64, to_size: i64) -> i64 {
    if from_size >= to_size {
        return rng.random_range(2..=250);
    }
    let factor = to_size / from_size;
    if factor % 10 == 0 && factor >= 1_000 && factor % 1_000 == 0 {
        // Decimal units: any multiple of a thousandth of the target.
        return factor / 1_000 * rng.random_range(2..=9_999_i64);
    }
    match factor {
        10 | 100 => rng.random_range(2..=2_500),
        _ => factor * rng.random_range(2..=120_i64),
    }
}

/// A temperature from one scale on the other, exact.
pub(super) fn temperature(rng: &mut Rng) -> Pair {
    let to_fahrenheit = rng.random_bool(0.5);
    let celsius = rng.random_range(-40..=220_i64);
    // Nine fifths of a whole number has one decimal; the way back must start from a multiple of five degrees.
    let celsius = if to_fahrenheit {
        celsius
    } else {
        celsius / 5 * 5
    };
    let tenths = celsius * 18 + 320;
    let fahrenheit = decimal(tenths, 1);
    let (from, f, t, to, sign, answer) = if to_fahrenheit {
        (
            "Celsius",
            'C',
            celsius.to_string(),
            "Fahrenheit",
            'F',
            fahrenheit.clone(),
        )
    } else {
        (
            "Fahrenheit",
            'F',
            fahrenheit.clone(),
            "Celsius",
            'C',
            celsius.to_string(),
        )
    };
    let form = Form::any(rng);
    let prompt = Prompt::new(
        rng,
        TEMPERATURE,
        "",
        &[("t", &t), ("from", &from), ("f", &f), ("to", &to)],
    )
    .in_form(form, rng);
    let conclusion = format!("{t} °{f} is {answer} °{sign}.");
    prompt.answered(match form {
        Form::Bare => format!("{answer} °{sign}"),
        Form::Sentence => conclusion,
        Form::Steps => {
            let steps = if to_fahrenheit {
                let scaled = decimal(celsius * 18, 1);
                [
                    format!("multiply by 9/5: {t} × 9/5 = {scaled}"),
                    format!("add 32: {scaled} + 32 = {answer}"),
                ]
            } else {
                let shifted = decimal(tenths - 320, 1);
                [
                    format!("subtract 32: {t} - 32 = {shifted}"),
                    format!("multiply by 5/9: {shifted} × 5/9 = {answer}"),
                ]
            };
            worked(rng, &steps, &conclusion)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::checking::{draws, wording};
    use super::*;

    /// The size of a unit in its smallest sibling, and which scale it is on, by any of its names.
    fn size_of(name: &str) -> Option<(usize, i64)> {
        SCALES.iter().enumerate().find_map(|(kind, scale)| {
            let unit = scale
                .units
                .iter()
                .find(|(noun, sign, _)| [noun.singular, noun.plural, sign].contains(&name));
            unit.map(|unit| (kind, unit.2))
        })
    }

    fn quantities(text: &str) -> Vec<(f64, usize, i64)> {
        let words: Vec<&str> = text
            .split(|c: char| c.is_whitespace() || "?,:".contains(c))
            .collect();
        let trimmed = |word: &str| word.trim_end_matches('.').to_owned();
        words
            .windows(2)
            .filter_map(|pair| {
                let (kind, size) = size_of(&trimmed(pair[1]))?;
                Some((pair[0].parse().ok()?, kind, size))
            })
            .collect()
    }

    #[test]
    fn conversions_keep_the_quantity() {
        for pair in draws(conversion) {
            let (amount, kind, size) = quantities(&wording(&pair))[0];
            let (result, result_kind, result_size) = *quantities(&pair.output).last().unwrap();
            assert_eq!(kind, result_kind, "{pair:?}");
            let (before, after) = (amount * size as f64, result * result_size as f64);
            assert!((before - after).abs() <= before * 1e-9, "{pair:?}");
        }
    }

    #[test]
    fn temperatures_convert_back() {
        for pair in draws(temperature) {
            let number = |text: &str| -> f64 {
                let is_number = |c: char| c.is_ascii_digit() || c == '-' || c == '.';
                text.split(' ')
                    .filter(|word| word.chars().all(is_number))
                    .find_map(|word| word.parse().ok())
                    .unwrap()
            };
            let given = number(&pair.instruction);
            let last = pair.output.rsplit(" is ").next().unwrap();
            let answer = number(last);
            let expected = if last.contains("°F") {
                given * 1.8 + 32.0
            } else {
                (given - 32.0) / 1.8
            };
            assert!((answer - expected).abs() < 1e-9, "{pair:?}");
        }
    }
}
