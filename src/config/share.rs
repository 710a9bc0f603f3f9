//! `--stage-share`: how many of the task rows stand in the diverse stage again.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Ratio;

/// A share above 0 and at most 1: a decimal number, or a fraction such as `1/256`.
///
/// ```
/// use delia::config::Share;
///
/// let share: Share = "1/256".parse()?;
/// assert_eq!((share.of(100), share.of(384), share.of(1024)), (1, 2, 4)); // half up, at least one
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "ShareText", into = "ShareText")]
pub struct Share {
    numerator: u64,
    denominator: u64,
    is_decimal: bool,
}

impl Share {
    /// Of so many rows, half up; at least one where there is any.
    pub fn of(self, n_rows: u64) -> u64 {
        let (numerator, denominator) = (u128::from(self.numerator), u128::from(self.denominator));
        let rounded = (2 * numerator * u128::from(n_rows) + denominator) / (2 * denominator);
        u64::try_from(rounded)
            .expect("a share is at most the whole")
            .clamp(n_rows.min(1), n_rows)
    }
}

impl Default for Share {
    /// That of DMT (Dong et al. 2023).
    fn default() -> Share {
        Share {
            numerator: 1,
            denominator: 256,
            is_decimal: false,
        }
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Share, String> {
        let wrong =
            || format!("`{text}` is no share above 0 and at most 1, such as `1/256` or `0.01`");
        let (numerator, denominator, is_decimal) = match text.split_once('/') {
            Some((numerator, denominator)) => {
                let part = |part: &str| part.trim().parse::<u64>().map_err(|_| wrong());
                (part(numerator)?, part(denominator)?, false)
            }
            None => {
                let decimal: Ratio = text.parse().map_err(|_| wrong())?;
                let numerator = u64::try_from(decimal.scaled()).map_err(|_| wrong())?;
                (numerator, Ratio::SCALE, true)
            }
        };
        if numerator == 0 || numerator > denominator {
            return Err(wrong());
        }
        Ok(Share {
            numerator,
            denominator,
            is_decimal,
        })
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_decimal {
            return write!(f, "{}/{}", self.numerator, self.denominator);
        }
        if self.numerator == self.denominator {
            return f.write_str("1");
        }
        let decimals = format!("{:012}", self.numerator);
        write!(f, "0.{}", decimals.trim_end_matches('0'))
    }
}

/// A number or a fraction, as TOML has them.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum ShareText {
    Number(Ratio),
    Fraction(String),
}

impl TryFrom<ShareText> for Share {
    type Error = String;

    fn try_from(text: ShareText) -> Result<Share, String> {
        match text {
            ShareText::Number(number) => number.to_string().parse(),
            ShareText::Fraction(fraction) => fraction.parse(),
        }
    }
}

impl From<Share> for ShareText {
    fn from(share: Share) -> ShareText {
        let text = share.to_string();
        match text.parse() {
            Ok(number) => ShareText::Number(number),
            Err(_) => ShareText::Fraction(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_share_reads_back_as_it_was_written() {
        for text in ["1/256", "0.01", "1", "0.000000000001", "3/7"] {
            let share: Share = text.parse().expect("a share");
            assert_eq!(share.to_string(), text);
            let json = serde_json::to_string(&share).expect("JSON");
            assert_eq!(serde_json::from_str::<Share>(&json).expect("JSON"), share);
        }
        for text in ["0", "0/4", "2", "5/4", "1/0", "-1", "half", "1/", "NaN"] {
            assert!(text.parse::<Share>().unwrap_err().contains(text));
        }
    }

    proptest! {
        #[test]
        fn at_least_one_row_and_never_more_than_there_are(
            numerator in 1_u64..1_000, more in 0_u64..1_000, n_rows in 1_u64..1_000_000_000_000,
        ) {
            let share: Share = format!("{numerator}/{}", numerator + more).parse().expect("a share");
            let part = share.of(n_rows);
            prop_assert!((1..=n_rows).contains(&part));
            let exact = numerator as f64 / (numerator + more) as f64 * n_rows as f64;
            prop_assert!((part as f64 - exact.max(1.0)).abs() <= 0.5 + exact * 1e-12);
            prop_assert_eq!(share.of(0), 0);
        }
    }
}
