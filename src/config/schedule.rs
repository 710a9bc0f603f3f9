//! How the learning rate changes over a fit.

use serde::{Deserialize, Serialize};

/// How the learning rate falls behind the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// Along a cosine to 0
    #[default]
    Cosine,
    /// Along a line to 0
    Linear,
    /// Not at all
    Constant,
}

/// How long the learning rate rises from 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum Warmup {
    /// Over a share of the steps, rounded up.
    #[serde(rename = "warmup")]
    Share(f64),
    /// Over so many steps.
    #[serde(rename = "warmup-steps")]
    Steps(u64),
}

impl Warmup {
    /// Steps of the rise in a fit of so many.
    pub fn steps(self, n_steps: u64) -> u64 {
        match self {
            // As `TrainingArguments` of transformers rounds it.
            Warmup::Share(share) => (n_steps as f64 * share).ceil() as u64,
            Warmup::Steps(steps) => steps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by `tests/golden/schedules/make.py`.
    const SHARES: &str = include_str!("../../tests/golden/schedules/shares.csv");

    #[test]
    fn a_share_of_the_steps_is_rounded_as_transformers_rounds_it() {
        let mut n_compared = 0;
        for line in SHARES.lines().skip(1) {
            let cells: Vec<f64> = line
                .split(',')
                .map(|cell| cell.parse().expect("a number"))
                .collect();
            let found = Warmup::Share(cells[0]).steps(cells[1] as u64);
            assert_eq!(found, cells[2] as u64, "{line}");
            n_compared += 1;
        }
        assert!(n_compared > 30, "the golden steps were read");
        assert_eq!(Warmup::Steps(10).steps(3), 10);
    }
}
