//! The samples of a step, put together so that little is padded.

use std::ops::Range;

use crate::config::LossOn;
use crate::model::{Packing, Target};
use crate::sample::Kind;
use crate::tokenizer::Encoded;

/// A sample ready to be trained on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Its place in the stream.
    pub position: u64,
    /// Whether it teaches the task.
    pub kind: Kind,
    /// Its tokens.
    pub encoded: Encoded,
}

/// The samples of one step, in micro-batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalBatch {
    /// The step, from 0.
    pub step: u64,
    /// The positions it was formed from.
    pub positions: Range<u64>,
    /// What is computed at a time; each has at least one target.
    pub micro_batches: Vec<MicroBatch>,
    /// Samples in them.
    pub n_samples: usize,
    /// Tokens in them, padding left out.
    pub n_tokens: usize,
    /// Tokens that the loss counts.
    pub n_targets: usize,
    /// Samples left out because they have too many tokens, of the task and of the others.
    pub too_long: ByKind,
    /// Samples left out because none of their tokens would be counted.
    pub no_target: ByKind,
}

/// A number for the task's samples and one for the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ByKind {
    /// Task samples.
    pub task: u64,
    /// The others.
    pub diverse: u64,
}

impl ByKind {
    /// Counts one.
    pub fn count(&mut self, kind: Kind) {
        match kind {
            Kind::Task => self.task += 1,
            Kind::Diverse | Kind::HeldOut | Kind::Eval => self.diverse += 1,
        }
    }

    /// Both numbers together.
    pub fn total(self) -> u64 {
        self.task + self.diverse
    }
}

impl std::ops::AddAssign for ByKind {
    fn add_assign(&mut self, other: ByKind) {
        self.task += other.task;
        self.diverse += other.diverse;
    }
}

/// Samples computed together, one behind the other; none sees another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MicroBatch {
    /// Its number within the step, from 0; a process that shares a step with others holds only some of them.
    pub nth: usize,
    /// Micro-batches of the whole step.
    pub n_of_step: usize,
    /// Token ids, padding included.
    pub ids: Vec<u32>,
    /// Where each sample, and each stretch of padding, begins and ends.
    pub packing: Packing,
    /// The tokens that the loss counts.
    pub targets: Vec<Target>,
    /// The kind of the sample each target is of.
    pub kinds: Vec<Kind>,
    /// Where its samples stand in the stream.
    pub positions: Vec<u64>,
}

/// How large a micro-batch may be, and how its samples must lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MicroShape {
    /// Tokens of a micro-batch, padding included; a longer sample is alone.
    pub max_tokens: usize,
    /// Where attention is computed row by row: what the length of rows is a multiple of, so that few shapes occur.
    pub row_multiple: Option<usize>,
}

/// Sorts the samples of a step by length and packs them into micro-batches.
pub fn micro_batches(
    mut examples: Vec<Example>,
    shape: MicroShape,
    loss_on: LossOn,
) -> Vec<MicroBatch> {
    // Longest first, so that the first micro-batch shows whether there is memory enough.
    examples.sort_by_key(|example| {
        (
            std::cmp::Reverse(example.encoded.ids.len()),
            example.position,
        )
    });
    let mut batches = match shape.row_multiple {
        None => in_one_row(&examples, shape.max_tokens, loss_on),
        Some(multiple) => in_rows(&examples, shape.max_tokens, multiple, loss_on),
    };
    let n_of_step = batches.len();
    for (nth, batch) in batches.iter_mut().enumerate() {
        (batch.nth, batch.n_of_step) = (nth, n_of_step);
    }
    batches
}

/// Micro-batches without any padding.
fn in_one_row(examples: &[Example], max_tokens: usize, loss_on: LossOn) -> Vec<MicroBatch> {
    let mut batches = Vec::new();
    let mut open = Layout::default();
    for example in examples {
        let n_tokens = example.encoded.ids.len();
        if !open.lengths.is_empty() && open.ids.len() + n_tokens > max_tokens {
            batches.push(std::mem::take(&mut open).closed(None));
        }
        open.add(example, loss_on);
    }
    if !open.lengths.is_empty() {
        batches.push(open.closed(None));
    }
    batches
}

/// Micro-batches of rows of one length, each filled with what still fits in, longest first (best fit decreasing).
fn in_rows(
    examples: &[Example],
    max_tokens: usize,
    multiple: usize,
    loss_on: LossOn,
) -> Vec<MicroBatch> {
    let mut batches = Vec::new();
    let mut rest: Vec<&Example> = examples.iter().collect();
    while let Some(longest) = rest.first() {
        let row_len = longest.encoded.ids.len().next_multiple_of(multiple);
        let n_rows = (max_tokens / row_len).max(1);
        let room = row_len.min(max_tokens);
        let mut rows: Vec<(usize, Vec<&Example>)> = Vec::new();
        let mut left = Vec::new();
        for example in rest {
            let n_tokens = example.encoded.ids.len();
            let fits = |place: &usize| rows[*place].0 + n_tokens <= room;
            let fullest = (0..rows.len())
                .filter(fits)
                .max_by_key(|&place| rows[place].0);
            match fullest {
                Some(place) => {
                    rows[place].0 += n_tokens;
                    rows[place].1.push(example);
                }
                None if rows.len() < n_rows => rows.push((n_tokens, vec![example])),
                None => left.push(example),
            }
        }
        let mut open = Layout::default();
        for (used, row) in rows {
            for example in row {
                open.add(example, loss_on);
            }
            open.pad(row_len - used);
        }
        batches.push(open.closed(Some(row_len)));
        rest = left;
    }
    batches
}

/// A micro-batch to which samples are added.
#[derive(Default)]
struct Layout {
    ids: Vec<u32>,
    lengths: Vec<usize>,
    targets: Vec<Target>,
    kinds: Vec<Kind>,
    positions: Vec<u64>,
}

impl Layout {
    fn add(&mut self, example: &Example, loss_on: LossOn) {
        let first_row = self.ids.len();
        let ids = &example.encoded.ids;
        for place in supervised(&example.encoded, loss_on) {
            self.targets.push(Target {
                row: (first_row + place - 1) as u32,
                token: ids[place],
            });
            self.kinds.push(example.kind);
        }
        self.ids.extend(ids);
        self.lengths.push(ids.len());
        self.positions.push(example.position);
    }

    /// Padding is a sequence of its own, of which nothing is counted.
    fn pad(&mut self, n_tokens: usize) {
        if n_tokens > 0 {
            self.ids.resize(self.ids.len() + n_tokens, 0);
            self.lengths.push(n_tokens);
        }
    }

    fn closed(self, row_len: Option<usize>) -> MicroBatch {
        MicroBatch {
            nth: 0,
            n_of_step: 1,
            ids: self.ids,
            packing: match row_len {
                Some(row_len) => Packing::in_rows(self.lengths, row_len),
                None => Packing::of(self.lengths),
            },
            targets: self.targets,
            kinds: self.kinds,
            positions: self.positions,
        }
    }
}

/// The tokens of a sample that the loss counts; the first has nothing it could be predicted from.
pub(super) fn supervised(encoded: &Encoded, loss_on: LossOn) -> Range<usize> {
    let start = match loss_on {
        LossOn::Response => encoded.response_start.max(1),
        LossOn::Sequence => 1,
    };
    start..encoded.ids.len().max(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(position: u64, n_tokens: usize, response_start: usize) -> Example {
        Example {
            position,
            kind: if position.is_multiple_of(2) {
                Kind::Task
            } else {
                Kind::Diverse
            },
            encoded: Encoded {
                ids: (1..=n_tokens as u32).collect(),
                response_start,
            },
        }
    }

    const ONE_ROW: MicroShape = MicroShape {
        max_tokens: 24,
        row_multiple: None,
    };

    #[test]
    fn every_sample_is_in_one_micro_batch_and_none_is_larger_than_allowed() {
        let examples: Vec<_> = (0..17)
            .map(|nth| example(nth, 3 + (nth as usize * 7) % 11, 2))
            .collect();
        let n_tokens: usize = examples.iter().map(|each| each.encoded.ids.len()).sum();
        let in_rows = MicroShape {
            max_tokens: 32,
            row_multiple: Some(8),
        };
        for shape in [ONE_ROW, in_rows] {
            let batches = micro_batches(examples.clone(), shape, LossOn::Response);
            let mut positions: Vec<_> = batches
                .iter()
                .flat_map(|batch| batch.positions.clone())
                .collect();
            positions.sort_unstable();
            assert_eq!(positions, (0..17).collect::<Vec<_>>());
            for batch in &batches {
                assert_eq!(batch.ids.len(), batch.packing.n_tokens());
                assert!(batch.ids.len() <= shape.max_tokens);
                assert!(
                    batch
                        .packing
                        .row_len()
                        .is_multiple_of(shape.row_multiple.unwrap_or(1))
                );
                for target in &batch.targets {
                    // The ids of an example count up, so its next token is known.
                    assert_eq!(batch.ids[target.row as usize] + 1, target.token);
                }
            }
            let computed: usize = batches.iter().map(|batch| batch.ids.len()).sum();
            match shape.row_multiple {
                None => assert_eq!(computed, n_tokens, "nothing is padded"),
                Some(_) => assert!(computed < n_tokens * 5 / 4, "{computed} for {n_tokens}"),
            }
        }
        let alone = micro_batches(vec![example(0, 50, 2)], ONE_ROW, LossOn::Response);
        assert_eq!(alone.len(), 1);
        for row_multiple in [None, Some(16)] {
            let shape = MicroShape {
                max_tokens: 1,
                row_multiple,
            };
            let batches = micro_batches(examples.clone(), shape, LossOn::Response);
            assert_eq!(batches.len(), 17, "a sample each");
        }
    }

    #[test]
    fn the_loss_counts_the_response_or_all_but_the_first_token() {
        let count = |loss_on| {
            let batch =
                micro_batches(vec![example(0, 6, 4), example(1, 4, 0)], ONE_ROW, loss_on).remove(0);
            batch
                .targets
                .iter()
                .map(|target| (target.row, target.token))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            count(LossOn::Response),
            [(3, 5), (4, 6), (6, 2), (7, 3), (8, 4)]
        );
        assert_eq!(count(LossOn::Sequence).len(), 5 + 3);
    }
}
