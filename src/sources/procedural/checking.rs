//! What tests of families share: drawing many pairs, and reading numbers and data back out of their text.

use rand::SeedableRng as _;

use super::{Pair, Rng};

/// Pairs that each family test looks at.
const N_DRAWS: u64 = 3_000;

/// A few thousand pairs of one family.
pub(super) fn draws(sample: fn(&mut Rng) -> Pair) -> impl Iterator<Item = Pair> {
    (0..N_DRAWS).map(move |seed| sample(&mut Rng::seed_from_u64(seed)))
}

/// Instruction and input together, for families whose data may stand in either.
pub(super) fn wording(pair: &Pair) -> String {
    format!("{}\n{}", pair.instruction, pair.input)
}

/// Every whole number in the text, in order; a minus counts where it begins a word.
pub(super) fn integers(text: &str) -> Vec<i64> {
    let mut numbers = Vec::new();
    let mut before = ' ';
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let negative = c == '-' && !before.is_alphanumeric();
        let digits = if negative { &rest[1..] } else { rest };
        let n_digits = digits.bytes().take_while(u8::is_ascii_digit).count();
        if n_digits > 0 {
            let number: i64 = digits[..n_digits].parse().expect("digits are a number");
            numbers.push(if negative { -number } else { number });
            rest = &digits[n_digits..];
            before = '0';
        } else {
            rest = &rest[c.len_utf8()..];
            before = c;
        }
    }
    numbers
}

/// The number that an answer ends with.
pub(super) fn last_integer(text: &str) -> i64 {
    *integers(text).last().expect("the answer holds a number")
}
