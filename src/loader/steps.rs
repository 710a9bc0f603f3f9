//! Which samples each step is formed from, and where the training begins anew.

use std::ops::Range;

use crate::shards::Plan;

/// The steps of a fit: every stage of the stream is cut into steps by itself, and every pass over the shards is the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps {
    batch_size: u64,
    stages: Vec<Stage>,
    /// Steps in all.
    n: u64,
}

/// A stage of the stream, as steps of the first pass.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stage {
    positions: Range<u64>,
    steps: Range<u64>,
    begins_anew: bool,
}

impl Steps {
    /// Steps of `batch_size` samples over `epochs` passes, at most `max` of them.
    pub fn new(plan: &Plan, batch_size: u64, epochs: u32, max: Option<u64>) -> Steps {
        let batch_size = batch_size.min(plan.rows).max(1);
        let firsts: Vec<u64> = plan
            .stages
            .iter()
            .map(|stage| stage.first_position)
            .collect();
        let mut stages: Vec<Stage> = Vec::new();
        for (nth, entry) in plan.stages.iter().enumerate() {
            let end = firsts.get(nth + 1).copied().unwrap_or(plan.rows);
            let positions = entry.first_position..end;
            if positions.is_empty() {
                continue;
            }
            let first_step = stages.last().map_or(0, |stage| stage.steps.end);
            let n_steps = (end - entry.first_position).div_ceil(batch_size);
            stages.push(Stage {
                positions,
                steps: first_step..first_step + n_steps,
                begins_anew: entry.begins_anew(),
            });
        }
        let per_epoch = stages.last().map_or(0, |stage| stage.steps.end);
        let all = per_epoch * u64::from(epochs);
        Steps {
            batch_size,
            stages,
            n: max.map_or(all, |max| max.min(all)),
        }
    }

    /// Steps in all.
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Samples in a step that is not the last of its stage; never more than there are.
    pub fn batch_size(&self) -> u64 {
        self.batch_size
    }

    /// Steps in a pass.
    pub fn per_epoch(&self) -> u64 {
        self.stages.last().map_or(0, |stage| stage.steps.end)
    }

    /// The positions a step is formed from.
    pub fn positions(&self, step: u64) -> Range<u64> {
        let of_pass = step % self.per_epoch();
        let stage = self
            .stages
            .iter()
            .find(|stage| stage.steps.contains(&of_pass));
        let stage = stage.expect("stages cover a pass");
        let start = stage.positions.start + (of_pass - stage.steps.start) * self.batch_size;
        start..(start + self.batch_size).min(stage.positions.end)
    }

    /// The stretches of steps that optimiser and schedule are begun anew for, in order; one where the stream has no stages.
    pub fn stretches(&self) -> Vec<Range<u64>> {
        let per_epoch = self.per_epoch();
        // Where all is one stage, another pass over it goes on.
        let passes = match self.stages.len() {
            1 => 0..1,
            _ => 0..self.n.div_ceil(per_epoch.max(1)),
        };
        let begins = passes.flat_map(|pass| {
            let anew = self.stages.iter().filter(|stage| stage.begins_anew);
            anew.map(move |stage| pass * per_epoch + stage.steps.start)
        });
        let mut begins: Vec<u64> = begins.filter(|&step| step > 0 && step < self.n).collect();
        begins.insert(0, 0);
        let ends = begins[1..].iter().copied().chain([self.n]);
        begins
            .iter()
            .copied()
            .zip(ends)
            .map(|(from, to)| from..to)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shards::StageEntry;

    fn plan(stages: &[(&str, u64)], rows: u64) -> Plan {
        let entries = stages.iter().map(|&(name, first_position)| StageEntry {
            name: name.to_owned(),
            first_position,
        });
        Plan::new(0, rows, 16, &[]).with_stages(entries.collect())
    }

    fn ends(steps: &Steps) -> Vec<u64> {
        let stretches = steps.stretches();
        stretches.into_iter().map(|stretch| stretch.end).collect()
    }

    #[test]
    fn the_stream_of_the_paper_has_815_steps() {
        let steps = Steps::new(&plan(&[("all", 0)], 52_100), 64, 1, None);
        assert_eq!((steps.n(), steps.positions(814)), (815, 52_096..52_100));
        assert_eq!(ends(&steps), [815]);
        let twice = Steps::new(&plan(&[("all", 0)], 52_100), 64, 2, Some(1_000));
        assert_eq!((twice.n(), twice.positions(815)), (1_000, 0..64));
        assert_eq!(ends(&twice), [1_000]);
    }

    #[test]
    fn no_step_crosses_a_stage_and_each_begins_anew() {
        let steps = Steps::new(&plan(&[("task", 0), ("diverse", 10)], 30), 4, 2, None);
        assert_eq!(steps.per_epoch(), 3 + 5);
        let positions: Vec<_> = (0..8).map(|step| steps.positions(step)).collect();
        assert_eq!(positions[2..4], [8..10, 10..14]);
        assert_eq!(steps.positions(8), 0..4);
        assert_eq!(steps.stretches(), [0..3, 3..8, 8..11, 11..16]);
    }

    #[test]
    fn passes_of_a_build_go_on_as_epochs_do() {
        let steps = Steps::new(&plan(&[("pass 1", 0), ("pass 2", 10)], 20), 4, 1, None);
        assert_eq!(steps.positions(2), 8..10);
        assert_eq!(steps.positions(3), 10..14);
        assert_eq!(ends(&steps), [6]);
        let staged = [
            ("pass 1/task", 0),
            ("pass 1/diverse", 4),
            ("pass 2/task", 10),
            ("pass 2/diverse", 14),
        ];
        let steps = Steps::new(&plan(&staged, 20), 4, 1, None);
        assert_eq!(steps.stretches(), [0..1, 1..3, 3..4, 4..6]);
    }
}
