//! The ratio: diverse samples per task sample, and the whole-number arithmetic that makes it a contract.
//!
//! Binary floating point cannot hold 0.29, so 0.29 · 50 would round to 14 where the contract says 15 (14.5, half up). A
//! ratio is therefore kept as the decimal number that was typed, and every count is computed in integers.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// No build has more rows than this; a larger request is a slip of the keyboard.
pub const MAX_ROWS: u64 = 1_000_000_000_000;

/// Decimal places a ratio may have; with [`MAX_ROWS`] every product below fits 128 bits.
const MAX_DECIMALS: u32 = 12;

/// Diverse samples per task sample: a decimal number from 0 to 10¹² with at most 12 decimal places.
///
/// ```
/// use delia::config::Ratio;
///
/// let ratio: Ratio = "0.29".parse()?;
/// assert_eq!(ratio.draws(50), Some(15)); // 14.5, half up
/// # Ok::<(), delia::config::RatioError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ratio {
    /// The number without its decimal point …
    digits: u128,
    /// … which stands this many places from the right. Trailing zeros are gone.
    decimals: u32,
}

/// Why a text is no ratio.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum RatioError {
    #[error("a ratio is a number of at least 0, got `{0}`")]
    Negative(String),
    #[error("a ratio is a finite number, got `{0}`")]
    NotFinite(String),
    #[error("a ratio is at most 10^12, got `{0}`")]
    TooLarge(String),
    #[error("a ratio has at most 12 decimal places, got `{0}`")]
    TooFine(String),
    #[error("a ratio is a number such as 520 or 0.5, got `{0}`")]
    NotANumber(String),
}

impl Ratio {
    /// The ratio of the paper.
    pub const PAPER: Ratio = Ratio {
        digits: 520,
        decimals: 0,
    };

    /// The one of a whole that [`Ratio::scaled`] counts in.
    pub(crate) const SCALE: u64 = 10_u64.pow(MAX_DECIMALS);

    /// The number times 10¹², which is whole.
    pub fn scaled(self) -> u128 {
        self.digits * 10_u128.pow(MAX_DECIMALS - self.decimals)
    }

    /// Diverse samples due after the first `n_tasks` task samples: `round(ratio · n_tasks)`, half up.
    ///
    /// `None` where that is more than [`MAX_ROWS`].
    pub fn draws(self, n_tasks: u64) -> Option<u64> {
        let unit = self.unit();
        let doubled = self
            .digits
            .checked_mul(2)?
            .checked_mul(n_tasks.into())?
            .checked_add(unit)?;
        u64::try_from(doubled / (2 * unit))
            .ok()
            .filter(|&draws| draws <= MAX_ROWS)
    }

    /// The task sample, counted from 0, that the `draw`-th diverse sample follows in strict order.
    ///
    /// It is the smallest `task` with `draws(task + 1) > draw`. `None` for a ratio of 0, which has no draws.
    pub fn task_of_draw(self, draw: u64) -> Option<u64> {
        // draws(i) > n  ⇔  2·digits·i + unit ≥ 2·unit·(n + 1)  ⇔  i ≥ unit·(2n + 1) / (2·digits)
        let needed = self.unit().checked_mul(2 * u128::from(draw) + 1)?;
        let n_tasks = (self.digits > 0).then(|| needed.div_ceil(2 * self.digits))?;
        u64::try_from(n_tasks - 1).ok()
    }

    /// The ratio of `iterations` draws after each task sample.
    pub fn times(self, iterations: u32) -> Option<Ratio> {
        let digits = self.digits.checked_mul(iterations.into())?;
        Some(
            Ratio {
                digits,
                decimals: self.decimals,
            }
            .normalized(),
        )
        .filter(|ratio| ratio.is_in_range())
    }

    fn unit(self) -> u128 {
        10_u128.pow(self.decimals)
    }

    fn is_in_range(self) -> bool {
        self.digits <= u128::from(MAX_ROWS) * self.unit()
    }

    fn normalized(mut self) -> Ratio {
        while self.decimals > 0 && self.digits.is_multiple_of(10) {
            self.digits /= 10;
            self.decimals -= 1;
        }
        self
    }
}

impl FromStr for Ratio {
    type Err = RatioError;

    fn from_str(text: &str) -> Result<Ratio, RatioError> {
        let typed = || text.to_owned();
        let lower = text.trim().to_ascii_lowercase();
        let (negative, number) = match lower.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, lower.strip_prefix('+').unwrap_or(&lower)),
        };
        if matches!(number, "nan" | "inf" | "infinity") {
            return Err(RatioError::NotFinite(typed()));
        }
        let (mantissa, exponent) = match number.split_once('e') {
            Some((mantissa, exponent)) => (
                mantissa,
                exponent
                    .parse::<i32>()
                    .map_err(|_| RatioError::NotANumber(typed()))?,
            ),
            None => (number, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = format!("{whole}{fraction}");
        if all_digits.is_empty() || !all_digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(RatioError::NotANumber(typed()));
        }
        let significant = all_digits.trim_start_matches('0');
        let kept = significant.trim_end_matches('0');
        if kept.is_empty() {
            return Ok(Ratio {
                digits: 0,
                decimals: 0,
            });
        }
        if negative {
            return Err(RatioError::Negative(typed()));
        }
        // value = kept · 10^power
        let power =
            i64::from(exponent) - fraction.len() as i64 + (significant.len() - kept.len()) as i64;
        if power + kept.len() as i64 > 13 {
            return Err(RatioError::TooLarge(typed()));
        }
        if power < -i64::from(MAX_DECIMALS) {
            return Err(RatioError::TooFine(typed()));
        }
        let digits: u128 = kept.parse().map_err(|_| RatioError::TooFine(typed()))?;
        let scale =
            u32::try_from(power.unsigned_abs()).map_err(|_| RatioError::TooLarge(typed()))?;
        let ratio = if power < 0 {
            Ratio {
                digits,
                decimals: scale,
            }
        } else {
            Ratio {
                digits: digits * 10_u128.pow(scale),
                decimals: 0,
            }
        };
        if ratio.is_in_range() {
            Ok(ratio)
        } else {
            Err(RatioError::TooLarge(typed()))
        }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.unit();
        write!(f, "{}", self.digits / unit)?;
        if self.decimals > 0 {
            write!(
                f,
                ".{:0width$}",
                self.digits % unit,
                width = self.decimals as usize
            )?;
        }
        Ok(())
    }
}

/// In a recipe a ratio is a number; it is written as text only where a TOML float could not hold it.
impl Serialize for Ratio {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.to_string();
        if let Ok(whole) = text.parse::<i64>() {
            return serializer.serialize_i64(whole);
        }
        match text.parse::<f64>() {
            Ok(float) if float.to_string() == text => serializer.serialize_f64(float),
            _ => serializer.serialize_str(&text),
        }
    }
}

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Ratio, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

/// A ratio in a recipe or a manifest: a number, or text.
struct Written;

impl Visitor<'_> for Written {
    type Value = Ratio;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number such as 520 or 0.5")
    }

    fn visit_i64<E: Error>(self, whole: i64) -> Result<Ratio, E> {
        self.visit_str(&whole.to_string())
    }

    fn visit_u64<E: Error>(self, whole: u64) -> Result<Ratio, E> {
        self.visit_str(&whole.to_string())
    }

    fn visit_f64<E: Error>(self, float: f64) -> Result<Ratio, E> {
        self.visit_str(&float.to_string())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Ratio, E> {
        text.parse().map_err(E::custom)
    }
}

/// Splits `total` into whole shares proportional to `weights`, by largest remainder; of equal remainders the earlier wins.
///
/// The shares always add up to `total`, unless every weight is 0: then they are all 0. `total` is at most [`MAX_ROWS`], a
/// weight at most 10²⁴, which a [`Ratio::scaled`] never exceeds.
pub fn largest_remainder(total: u64, weights: &[u128]) -> Vec<u64> {
    let sum: u128 = weights.iter().sum();
    if sum == 0 {
        return vec![0; weights.len()];
    }
    let exact = |weight: u128| u128::from(total) * weight;
    let mut shares: Vec<u64> = weights
        .iter()
        .map(|&weight| (exact(weight) / sum) as u64)
        .collect();
    let missing = total - shares.iter().sum::<u64>();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    by_remainder.sort_by_key(|&idx| std::cmp::Reverse(exact(weights[idx]) % sum));
    for &idx in by_remainder.iter().take(missing as usize) {
        shares[idx] += 1;
    }
    shares
}

/// Splits `total` like [`largest_remainder`], but no share exceeds its limit: the others take the rest by their weights.
///
/// `None` where the limits of those with a weight leave no room for it.
pub fn largest_remainder_within(total: u64, weights: &[u128], limits: &[u64]) -> Option<Vec<u64>> {
    let mut weights = weights.to_vec();
    let mut shares = vec![0; weights.len()];
    let mut left = total;
    loop {
        let due = largest_remainder(left, &weights);
        if due.iter().sum::<u64>() < left {
            return None;
        }
        let full: Vec<usize> = (0..due.len())
            .filter(|&idx| due[idx] > limits[idx])
            .collect();
        if full.is_empty() {
            let open = shares.iter().zip(due).map(|(share, due)| share + due);
            return Some(open.collect());
        }
        for idx in full {
            shares[idx] = limits[idx];
            left -= limits[idx];
            weights[idx] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ratio(text: &str) -> Ratio {
        text.parse().expect("a ratio")
    }

    #[test]
    fn counts_are_rounded_half_up_in_decimal() {
        assert_eq!(ratio("520").draws(100), Some(52_000));
        assert_eq!(ratio("520").draws(71), Some(36_920));
        assert_eq!(ratio("0.29").draws(50), Some(15));
        assert_eq!(ratio("0.5").draws(1), Some(1));
        assert_eq!(ratio("0.499999999999").draws(1), Some(0));
        assert_eq!(ratio("0").draws(1_000), Some(0));
        assert_eq!(ratio("1e12").draws(1), Some(MAX_ROWS));
        assert_eq!(ratio("1e12").draws(2), None);
    }

    #[test]
    fn a_ratio_is_shown_as_it_was_meant() {
        for (typed, shown) in [
            ("520", "520"),
            ("520.0", "520"),
            ("5.2e2", "520"),
            (".5", "0.5"),
            ("+0.050", "0.05"),
            ("0e9", "0"),
            ("-0", "0"),
        ] {
            assert_eq!(ratio(typed).to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_ratio_is_refused_with_its_reason() {
        let refused = |text: &str| text.parse::<Ratio>().unwrap_err().to_string();
        assert!(refused("-1").contains("at least 0"));
        assert!(refused("NaN").contains("finite"));
        assert!(refused("-inf").contains("finite"));
        assert!(refused("1e13").contains("10^12"));
        assert!(refused("1e999999999").contains("10^12"));
        assert!(refused("1000000000000.5").contains("10^12"));
        assert!(refused("1e-13").contains("12 decimal places"));
        assert!(refused("1e-999999999").contains("12 decimal places"));
        for text in ["", "many", "1,5", "0x10", "1e", "1e1.5", "--1"] {
            assert!(refused(text).contains("such as 520"), "{text}");
        }
    }

    #[test]
    fn iterations_multiply_the_ratio() {
        assert_eq!(ratio("0.25").times(2), Some(ratio("0.5")));
        assert_eq!(ratio("520").times(3), Some(ratio("1560")));
        assert_eq!(ratio("1e12").times(2), None);
    }

    #[test]
    fn a_recipe_holds_the_ratio_exactly() {
        #[derive(Serialize, Deserialize)]
        struct Recipe {
            ratio: Ratio,
        }
        for text in [
            "520",
            "0.29",
            "0.1",
            "123456.789",
            "999999999999.999999999999",
            "0",
        ] {
            let written = toml::to_string(&Recipe { ratio: ratio(text) }).expect("TOML");
            let read: Recipe = toml::from_str(&written).expect("TOML");
            assert_eq!(read.ratio, ratio(text), "{written}");
            let written = serde_json::to_string(&read).expect("JSON");
            let read: Recipe = serde_json::from_str(&written).expect("JSON");
            assert_eq!(read.ratio, ratio(text), "{written}");
        }
    }

    fn any_ratio() -> impl Strategy<Value = Ratio> {
        (0_u64..2_000_000, 0_u32..6)
            .prop_map(|(digits, decimals)| ratio(&format!("{digits}e-{decimals}")))
    }

    proptest! {
        #[test]
        fn draws_are_the_nearest_whole_number(ratio in any_ratio(), n_tasks in 0_u64..10_000) {
            let draws = i128::from(ratio.draws(n_tasks).expect("in range"));
            let doubled_gap = 2 * draws * ratio.unit() as i128 - 2 * ratio.digits as i128 * i128::from(n_tasks);
            // Half up: never more than half below, and at most half above.
            prop_assert!(-(ratio.unit() as i128) < doubled_gap && doubled_gap <= ratio.unit() as i128);
        }

        #[test]
        fn every_draw_follows_the_task_that_made_it_due(ratio in any_ratio(), draw in 0_u64..100_000) {
            prop_assume!(ratio.digits > 0);
            let task = ratio.task_of_draw(draw).expect("a ratio above 0");
            prop_assert!(ratio.draws(task).is_none_or(|before| before <= draw));
            prop_assert!(ratio.draws(task + 1).is_none_or(|after| after > draw));
        }

        #[test]
        fn shares_add_up_and_stray_less_than_one_row(total in 0_u64..1_000_000, weights in prop::collection::vec(0_u128..1_000, 1..8)) {
            let shares = largest_remainder(total, &weights);
            let sum: u128 = weights.iter().sum();
            prop_assume!(sum > 0);
            prop_assert_eq!(shares.iter().sum::<u64>(), total);
            for (&share, &weight) in shares.iter().zip(&weights) {
                let exact = total as f64 * weight as f64 / sum as f64;
                prop_assert!((share as f64 - exact).abs() < 1.0);
                prop_assert!(weight > 0 || share == 0);
            }
        }

        #[test]
        fn limits_hold_and_the_others_take_the_rest(
            total in 0_u64..10_000,
            parts in prop::collection::vec((0_u128..100, 0_u64..3_000), 1..8),
        ) {
            let (weights, limits): (Vec<u128>, Vec<u64>) = parts.into_iter().unzip();
            let room: u64 = weights.iter().zip(&limits).filter(|(weight, _)| **weight > 0).map(|(_, limit)| limit).sum();
            match largest_remainder_within(total, &weights, &limits) {
                None => prop_assert!(total > room),
                Some(shares) => {
                    prop_assert!(total <= room || total == 0);
                    prop_assert_eq!(shares.iter().sum::<u64>(), total);
                    prop_assert!(shares.iter().zip(&limits).all(|(share, limit)| share <= limit));
                    // Those below their limits keep their proportions, to the row.
                    let open: Vec<usize> = (0..shares.len()).filter(|&idx| shares[idx] < limits[idx]).collect();
                    for &a in &open {
                        for &b in &open {
                            let left = shares[a] as f64 * weights[b] as f64;
                            let right = shares[b] as f64 * weights[a] as f64;
                            prop_assert!((left - right).abs() <= weights[a].max(weights[b]) as f64 * 2.0);
                        }
                    }
                }
            }
        }
    }
}
