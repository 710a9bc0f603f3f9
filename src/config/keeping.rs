//! What a fit measures on its way, and what it keeps.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::fit_values::NumberOrWord;

/// Measurements of the held-out loss in a fit that says nothing of them.
const MEASUREMENTS: u64 = 4;
/// The largest share of the samples trained on that the held-out rows of all measurements may be, for so many of them. A row
/// is only read, which takes about a third of the time of one that is trained on.
const MEASURED_SHARE: f64 = 0.1;

/// Steps between two measurements of the held-out loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "NumberOrWord", into = "NumberOrWord")]
pub enum EvalEvery {
    /// Four times in a fit; only in the end where that would be more than a tenth of the samples trained on.
    #[default]
    Auto,
    /// Never.
    Off,
    /// So many.
    Steps(u64),
}

impl EvalEvery {
    /// Steps between two measurements on `n_rows` held-out rows, in a fit of `n_steps` steps over `n_samples` samples; `None`
    /// for never.
    pub fn resolve(self, n_rows: u64, n_steps: u64, n_samples: u64) -> Option<u64> {
        match self {
            EvalEvery::Off => None,
            _ if n_rows == 0 => None,
            EvalEvery::Steps(n) => Some(n),
            EvalEvery::Auto => {
                let n_measured = MEASUREMENTS.saturating_mul(n_rows);
                let is_dear = n_measured as f64 > MEASURED_SHARE * n_samples as f64;
                let n_times = if is_dear { 1 } else { MEASUREMENTS };
                Some(n_steps.div_ceil(n_times).max(1))
            }
        }
    }
}

impl FromStr for EvalEvery {
    type Err = String;

    fn from_str(text: &str) -> Result<EvalEvery, String> {
        match (text, text.parse()) {
            ("auto", _) => Ok(EvalEvery::Auto),
            ("off", _) | (_, Ok(0)) => Ok(EvalEvery::Off),
            (_, Ok(n)) => Ok(EvalEvery::Steps(n)),
            _ => Err(format!(
                "`{text}` is neither a number of steps nor `auto` or `off`"
            )),
        }
    }
}

impl TryFrom<NumberOrWord> for EvalEvery {
    type Error = String;

    fn try_from(text: NumberOrWord) -> Result<EvalEvery, String> {
        text.to_string().parse()
    }
}

impl From<EvalEvery> for NumberOrWord {
    fn from(every: EvalEvery) -> NumberOrWord {
        match every {
            EvalEvery::Auto => NumberOrWord::Word("auto".to_owned()),
            EvalEvery::Off => NumberOrWord::Word("off".to_owned()),
            EvalEvery::Steps(n) => NumberOrWord::Number(n),
        }
    }
}

/// Which checkpoints stay while a fit runs, and which of them it ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "NumberOrWord", into = "NumberOrWord")]
pub enum Keep {
    /// The last so many; the fit ends with its last step.
    Last(u64),
    /// The last, and that of the step with the lowest held-out task loss, with which the fit ends.
    Best,
}

impl Keep {
    /// Whether the fit ends with its last step: how many checkpoints stay until then changes no result.
    pub fn is_last(&self) -> bool {
        matches!(self, Keep::Last(_))
    }

    /// How many of the last checkpoints stay.
    pub fn n_last(self) -> usize {
        match self {
            Keep::Last(n) => usize::try_from(n).unwrap_or(usize::MAX),
            Keep::Best => 1,
        }
    }
}

impl Default for Keep {
    fn default() -> Keep {
        Keep::Last(1)
    }
}

impl FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Keep, String> {
        match (text, text.parse()) {
            ("best", _) => Ok(Keep::Best),
            (_, Ok(n)) if n > 0 => Ok(Keep::Last(n)),
            _ => Err(format!("`{text}` is neither `best` nor a number above 0")),
        }
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Keep::Last(n) => write!(f, "{n}"),
            Keep::Best => f.write_str("best"),
        }
    }
}

impl TryFrom<NumberOrWord> for Keep {
    type Error = String;

    fn try_from(text: NumberOrWord) -> Result<Keep, String> {
        text.to_string().parse()
    }
}

impl From<Keep> for NumberOrWord {
    fn from(keep: Keep) -> NumberOrWord {
        match keep {
            Keep::Last(n) => NumberOrWord::Number(n),
            Keep::Best => NumberOrWord::Word("best".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fit_is_measured_four_times_unless_that_is_dear() {
        let auto = EvalEvery::Auto;
        // 4 × 300 rows are 1,200 of 52,100 samples.
        assert_eq!(auto.resolve(300, 815, 52_100), Some(204));
        assert_eq!(auto.resolve(300, 188, 12_000), Some(47));
        assert_eq!(auto.resolve(300, 188, 11_999), Some(188));
        assert_eq!(auto.resolve(300, 3, 44), Some(3));
        assert_eq!(auto.resolve(1, 3, 44), Some(1));
        assert_eq!(auto.resolve(0, 815, 52_100), None);
        assert_eq!(EvalEvery::Steps(7).resolve(300, 3, 44), Some(7));
        assert_eq!(EvalEvery::Steps(7).resolve(0, 3, 44), None);
        assert_eq!(EvalEvery::Off.resolve(300, 815, 52_100), None);
    }

    #[test]
    fn numbers_and_words_are_read_as_they_are_written() {
        for (text, expected) in [
            ("auto", EvalEvery::Auto),
            ("off", EvalEvery::Off),
            ("12", EvalEvery::Steps(12)),
        ] {
            assert_eq!(text.parse(), Ok(expected));
            assert_eq!(NumberOrWord::from(expected).to_string(), text);
        }
        assert_eq!("0".parse(), Ok(EvalEvery::Off));
        assert!("-1".parse::<EvalEvery>().is_err() && "often".parse::<EvalEvery>().is_err());
        for (text, expected) in [("3", Keep::Last(3)), ("best", Keep::Best)] {
            assert_eq!(text.parse(), Ok(expected));
            assert_eq!(expected.to_string(), text);
        }
        assert!("0".parse::<Keep>().is_err() && "worst".parse::<Keep>().is_err());
    }
}
