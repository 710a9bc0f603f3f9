//! Arithmetic written with signs: expressions, division with remainder, fractions.

use std::fmt;

use rand::Rng as _;

use super::{
    Pair, Rng,
    factors::gcd,
    phrasing::{Form, Prompt, pick},
    working::worked,
};

const EVALUATE: &[&str] = &[
    "What is {data}?",
    "Calculate {data}.",
    "Work out {data}.",
    "Evaluate the expression {data}.",
    "Find the value of {data}.",
    "How much is {data}?",
    "Could you compute {data} for me?",
    "Compute: {data}",
    "{data} = ?",
    "Evaluate the arithmetic expression.",
    "Work out the value of the expression below.",
    "What number does this expression come to?",
    "Solve this, minding the order of operations.",
];

const DIVIDE: &[&str] = &[
    "Divide {a} by {b} and give the quotient and the remainder.",
    "What are the quotient and remainder of {a} ÷ {b}?",
    "How many whole times does {b} go into {a}, and what is left over?",
    "Carry out the integer division {a} / {b}, including the remainder.",
    "When {a} is divided by {b}, what is the quotient and what remains?",
    "Do a division with remainder: {a} by {b}.",
    "I have to split {a} into groups of {b}. How many full groups are there, and how many are left?",
    "Work out {a} divided by {b} as a whole number with a remainder.",
    "Find q and r so that {a} = {b} × q + r, where r is smaller than {b}.",
    "Long division, please: {a} ÷ {b}, with quotient and remainder.",
];

const FRACTIONS: &[&str] = &[
    "What is {data}? Give a fraction in lowest terms.",
    "Calculate {data} and simplify the result.",
    "Work out {data} as a fraction that is fully reduced.",
    "Find {data}, written as a simplified fraction.",
    "Compute the following and reduce the fraction: {data}",
    "Simplify {data} to a single fraction in lowest terms.",
    "Please evaluate {data}; the fraction should be in its simplest form.",
    "Evaluate the expression and give the fraction in lowest terms.",
    "What simplified fraction does this come to?",
    "Write the value as one reduced fraction.",
];

/// Numbers joined by signs, bracketed so that reading by the usual rules gives the order of the steps.
enum Expression {
    Number(i64),
    Joined(Box<Expression>, Sign, Box<Expression>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Plus,
    Minus,
    Times,
}

/// An expression of two to four numbers.
pub(super) fn expression(rng: &mut Rng) -> Pair {
    let n_numbers = pick(rng, &[2, 2, 3, 3, 4]);
    let expression = Expression::draw(rng, n_numbers);
    let form = Form::any(rng);
    let prompt = Prompt::new(rng, EVALUATE, &expression.to_string(), &[]).in_form(form, rng);
    let mut steps = Vec::new();
    let value = expression.evaluate(&mut steps);
    prompt.answered(match form {
        Form::Bare => value.to_string(),
        Form::Sentence => format!("The value of {expression} is {value}."),
        Form::Steps => worked(rng, &steps, &format!("The result is {value}.")),
    })
}

/// Quotient and remainder.
pub(super) fn division(rng: &mut Rng) -> Pair {
    let (b, quotient) = (rng.random_range(3..=60_i64), rng.random_range(2..=99_i64));
    let remainder = rng.random_range(0..b);
    let a = b * quotient + remainder;
    let form = Form::any(rng);
    let prompt = Prompt::new(rng, DIVIDE, "", &[("a", &a), ("b", &b)]).in_form(form, rng);
    prompt.answered(match form {
        Form::Bare => format!("Quotient {quotient}, remainder {remainder}"),
        Form::Sentence => format!("{a} divided by {b} is {quotient} with a remainder of {remainder}."),
        Form::Steps => {
            let product = b * quotient;
            let steps = [
                format!("{b} × {quotient} = {product} is the largest multiple of {b} that does not exceed {a}"),
                format!("what is left over is {a} - {product} = {remainder}"),
            ];
            worked(rng, &steps, &format!("The quotient is {quotient} and the remainder is {remainder}."))
        }
    })
}

/// A sum, difference or product of two fractions.
pub(super) fn fractions(rng: &mut Rng) -> Pair {
    let mut fraction = || {
        let bottom = rng.random_range(2..=15_i64);
        (rng.random_range(1..bottom), bottom)
    };
    let ((a, b), (c, d)) = (fraction(), fraction());
    let sign = pick(rng, &[Sign::Plus, Sign::Plus, Sign::Minus, Sign::Times]);
    // The larger fraction first, so that no difference is negative.
    let ((a, b), (c, d)) = if a * d < c * b {
        ((c, d), (a, b))
    } else {
        ((a, b), (c, d))
    };
    let form = Form::any(rng);
    let data = format!("{a}/{b} {sign} {c}/{d}");
    let prompt = Prompt::new(rng, FRACTIONS, &data, &[]).in_form(form, rng);

    let bottom = if sign == Sign::Times {
        b * d
    } else {
        b / gcd(b, d) * d
    };
    let (left, right) = (a * (bottom / b), c * (bottom / d));
    let top = if sign == Sign::Times {
        a * c
    } else {
        sign.apply(left, right)
    };
    let value = reduced(top, bottom);
    prompt.answered(match form {
        Form::Bare => value,
        Form::Sentence => format!("{data} equals {value}."),
        Form::Steps => {
            let first = match sign {
                Sign::Times => format!("multiply the numerators and the denominators: {top}/{bottom}"),
                _ => format!("over the common denominator {bottom} this is {left}/{bottom} {sign} {right}/{bottom} = {top}/{bottom}"),
            };
            let second = match gcd(top, bottom) {
                1 => "the numerator and the denominator share no factor, so there is nothing to cancel".to_owned(),
                shared => format!("both parts can be divided by {shared}"),
            };
            worked(rng, &[first, second], &format!("The result is {value}."))
        }
    })
}

/// A fraction in lowest terms, or a whole number where it is one.
fn reduced(top: i64, bottom: i64) -> String {
    let shared = gcd(top, bottom);
    match bottom / shared {
        1 => (top / shared).to_string(),
        rest => format!("{}/{rest}", top / shared),
    }
}

impl Expression {
    fn draw(rng: &mut Rng, n_numbers: usize) -> Expression {
        if n_numbers == 1 {
            return Expression::Number(rng.random_range(2..=99));
        }
        let n_left = rng.random_range(1..n_numbers);
        let sign = pick(rng, &[Sign::Plus, Sign::Minus, Sign::Times]);
        let (left, right) = (Self::draw(rng, n_left), Self::draw(rng, n_numbers - n_left));
        Expression::Joined(Box::new(left), sign, Box::new(right))
    }

    /// The value; every operation on the way is added to the steps, innermost first.
    fn evaluate(&self, steps: &mut Vec<String>) -> i64 {
        match self {
            Expression::Number(number) => *number,
            Expression::Joined(left, sign, right) => {
                let (a, b) = (left.evaluate(steps), right.evaluate(steps));
                let value = sign.apply(a, b);
                let b = if b < 0 {
                    format!("({b})")
                } else {
                    b.to_string()
                };
                steps.push(format!("{a} {sign} {b} = {value}"));
                value
            }
        }
    }

    fn sign(&self) -> Option<Sign> {
        match self {
            Expression::Number(_) => None,
            Expression::Joined(_, sign, _) => Some(*sign),
        }
    }
}

impl Sign {
    fn apply(self, a: i64, b: i64) -> i64 {
        match self {
            Sign::Plus => a + b,
            Sign::Minus => a - b,
            Sign::Times => a * b,
        }
    }
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sign::Plus => "+",
            Sign::Minus => "-",
            Sign::Times => "×",
        })
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Expression::Joined(left, sign, right) = self else {
            let Expression::Number(number) = self else {
                return Ok(());
            };
            return write!(f, "{number}");
        };
        let is_sum = |side: &Expression| matches!(side.sign(), Some(Sign::Plus | Sign::Minus));
        let bracket_left = *sign == Sign::Times && is_sum(left);
        // Also where a sum is added or a product multiplied: the steps follow the brackets.
        let bracket_right = is_sum(right) || (*sign == Sign::Times && right.sign().is_some());
        let side = |side: &Expression, bracket| {
            if bracket {
                format!("({side})")
            } else {
                side.to_string()
            }
        };
        write!(
            f,
            "{} {sign} {}",
            side(left, bracket_left),
            side(right, bracket_right)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::checking::{draws, integers, last_integer, wording};
    use super::*;

    /// Evaluates by turning every expression into a sum of products, reading once from left to right.
    fn value_of(text: &mut std::iter::Peekable<std::str::Chars<'_>>) -> i64 {
        let (mut sum, mut product, mut sign) = (0, 1, 1);
        while let Some(c) = text.next() {
            match c {
                '(' => product *= value_of(text),
                ')' => break,
                '+' | '-' => {
                    sum += sign * product;
                    (product, sign) = (1, if c == '+' { 1 } else { -1 });
                }
                '0'..='9' => {
                    let mut number = i64::from(c as u8 - b'0');
                    while let Some(digit) = text.next_if(char::is_ascii_digit) {
                        number = number * 10 + i64::from(digit as u8 - b'0');
                    }
                    product *= number;
                }
                _ => {}
            }
        }
        sum + sign * product
    }

    #[test]
    fn expressions_have_the_value_of_their_text() {
        for pair in draws(expression) {
            let text: String = wording(&pair)
                .chars()
                .filter(|c| "0123456789+-×()".contains(*c))
                .collect();
            assert_eq!(
                last_integer(&pair.output),
                value_of(&mut text.chars().peekable()),
                "{pair:?}"
            );
        }
    }

    #[test]
    fn divisions_multiply_back() {
        for pair in draws(division) {
            let mut given = integers(&wording(&pair));
            let (a, b) = (*given.iter().max().unwrap(), given.remove(0).min(given[0]));
            let answer = integers(&pair.output);
            let [quotient, remainder] = answer[answer.len() - 2..] else {
                panic!("{pair:?}")
            };
            assert_eq!(quotient * b + remainder, a, "{pair:?}");
            assert!((0..b).contains(&remainder), "{pair:?}");
        }
    }

    #[test]
    fn fractions_agree_with_floating_point_and_are_reduced() {
        for pair in draws(fractions) {
            let asked = wording(&pair);
            let [a, b, c, d] = integers(&asked)[..] else {
                panic!("{pair:?}")
            };
            let (x, y) = (a as f64 / b as f64, c as f64 / d as f64);
            let expected = if asked.contains('×') {
                x * y
            } else if asked.contains('+') {
                x + y
            } else {
                x - y
            };
            let answer = pair
                .output
                .trim_end_matches('.')
                .rsplit(' ')
                .next()
                .unwrap();
            let (top, bottom) = answer.split_once('/').unwrap_or((answer, "1"));
            let (top, bottom): (i64, i64) = (top.parse().unwrap(), bottom.parse().unwrap());
            assert!(
                (top as f64 / bottom as f64 - expected).abs() < 1e-9,
                "{pair:?}"
            );
            assert!(
                (2..=bottom).all(|n| top % n != 0 || bottom % n != 0),
                "{pair:?}"
            );
        }
    }
}
