//! The learning rate of every step: a linear rise from 0, then the way its decay names, as the schedules of transformers.

use std::f64::consts::PI;
use std::ops::Range;

use crate::config::Decay;

/// `get_cosine_schedule_with_warmup` of transformers, and its sisters for the other decays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The way down.
    pub decay: Decay,
    /// The highest learning rate.
    pub peak: f64,
    /// Steps of the rise.
    pub warmup_steps: u64,
    /// All steps.
    pub n_steps: u64,
}

impl Schedule {
    /// The learning rate of a step, from 0.
    pub fn at(&self, step: u64) -> f64 {
        self.peak * self.factor(step)
    }

    /// The share of the peak.
    fn factor(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return step as f64 / self.warmup_steps as f64;
        }
        let falling = self.n_steps.saturating_sub(self.warmup_steps).max(1) as f64;
        match self.decay {
            Decay::Cosine => {
                let progress = (step - self.warmup_steps) as f64 / falling;
                (0.5 * (1.0 + (PI * progress).cos())).max(0.0)
            }
            Decay::Linear => self.n_steps.saturating_sub(step) as f64 / falling,
            Decay::Constant => 1.0,
        }
    }
}

/// The schedules of a fit: one for every stretch of steps that is trained for itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedules(Vec<(Range<u64>, Schedule)>);

impl Schedules {
    /// A schedule for every stretch, given its number of steps.
    pub fn new(stretches: Vec<Range<u64>>, schedule: impl Fn(u64) -> Schedule) -> Schedules {
        let of = |steps: Range<u64>| {
            let schedule = schedule(steps.end - steps.start);
            (steps, schedule)
        };
        Schedules(stretches.into_iter().map(of).collect())
    }

    /// The learning rate of a step, from 0.
    pub fn at(&self, step: u64) -> f64 {
        let found = self.0.iter().rev().find(|(steps, _)| steps.start <= step);
        let (steps, schedule) = found.expect("the first stretch begins with step 0");
        schedule.at(step - steps.start)
    }

    /// Whether a stretch other than the first begins with this step.
    pub fn begin_anew_at(&self, step: u64) -> bool {
        self.0[1..].iter().any(|(steps, _)| steps.start == step)
    }
}

impl From<Schedule> for Schedules {
    fn from(schedule: Schedule) -> Schedules {
        Schedules(vec![(0..schedule.n_steps, schedule)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stretch_rises_and_falls_for_itself() {
        let of = |n_steps| Schedule {
            decay: Decay::Linear,
            peak: 1.0,
            warmup_steps: 1,
            n_steps,
        };
        let schedules = Schedules::new(vec![0..3, 3..8], of);
        let rates: Vec<f64> = (0..8).map(|step| schedules.at(step)).collect();
        assert_eq!(rates, [0.0, 1.0, 0.5, 0.0, 1.0, 0.75, 0.5, 0.25]);
        let begins: Vec<u64> = (0..8)
            .filter(|&step| schedules.begin_anew_at(step))
            .collect();
        assert_eq!(begins, [3]);
    }

    /// Written by `tests/golden/schedules/make.py`.
    const FACTORS: &str = include_str!("../../tests/golden/schedules/factors.csv");

    #[test]
    fn the_schedules_are_those_of_transformers() {
        let mut n_compared = 0;
        for line in FACTORS.lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            let [decay, n_steps, warmup_steps, step, factor] = cells[..] else {
                panic!("five cells: {line}")
            };
            let number = |text: &str| text.parse::<u64>().expect("a number");
            let schedule = Schedule {
                decay: match decay {
                    "cosine" => Decay::Cosine,
                    "linear" => Decay::Linear,
                    _ => Decay::Constant,
                },
                peak: 2e-4,
                warmup_steps: number(warmup_steps),
                n_steps: number(n_steps),
            };
            let expected = 2e-4 * factor.parse::<f64>().expect("a factor");
            let found = schedule.at(number(step));
            assert!(
                (found - expected).abs() <= 1e-15 * 2e-4,
                "{line}: {found} instead of {expected}"
            );
            n_compared += 1;
        }
        assert!(n_compared > 400, "the golden factors were read");
    }
}
