//! The samples of a step, put together so that little is padded.

use std::ops::Range;

use crate::config::LossOn;
use crate::model::Target;
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

/// Samples computed together, each padded behind its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MicroBatch {
    /// Token ids, `seq_len` for every sample.
    pub ids: Vec<u32>,
    /// Tokens of the longest sample.
    pub seq_len: usize,
    /// The tokens that the loss counts.
    pub targets: Vec<Target>,
    /// The kind of the sample each target is of.
    pub kinds: Vec<Kind>,
    /// Where its samples stand in the stream.
    pub positions: Vec<u64>,
}

/// Sorts the samples of a step by length and cuts them into micro-batches of at most `max_tokens` tokens, padding included;
/// a longer sample is alone.
pub fn micro_batches(
    mut examples: Vec<Example>,
    max_tokens: usize,
    loss_on: LossOn,
) -> Vec<MicroBatch> {
    // Longest first, so that the first micro-batch shows whether there is memory enough.
    examples.sort_by_key(|example| {
        (
            std::cmp::Reverse(example.encoded.ids.len()),
            example.position,
        )
    });
    let mut batches = Vec::new();
    let mut rest = &examples[..];
    while let Some(longest) = rest.first() {
        let seq_len = longest.encoded.ids.len();
        let n = (max_tokens / seq_len).clamp(1, rest.len());
        let (together, others) = rest.split_at(n);
        batches.push(micro_batch(together, seq_len, loss_on));
        rest = others;
    }
    batches
}

/// The tokens of a sample that the loss counts; the first has nothing it could be predicted from.
pub(super) fn supervised(encoded: &Encoded, loss_on: LossOn) -> Range<usize> {
    let start = match loss_on {
        LossOn::Response => encoded.response_start.max(1),
        LossOn::Sequence => 1,
    };
    start..encoded.ids.len().max(start)
}

fn micro_batch(examples: &[Example], seq_len: usize, loss_on: LossOn) -> MicroBatch {
    let mut batch = MicroBatch {
        ids: Vec::with_capacity(examples.len() * seq_len),
        seq_len,
        targets: Vec::new(),
        kinds: Vec::new(),
        positions: examples.iter().map(|example| example.position).collect(),
    };
    for example in examples {
        let first_row = batch.ids.len();
        let ids = &example.encoded.ids;
        for place in supervised(&example.encoded, loss_on) {
            batch.targets.push(Target {
                row: (first_row + place - 1) as u32,
                token: ids[place],
            });
            batch.kinds.push(example.kind);
        }
        batch.ids.extend(ids);
        // Behind the end nothing is counted, and nothing before it looks there.
        batch.ids.resize(first_row + seq_len, 0);
    }
    batch
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

    #[test]
    fn every_sample_is_in_one_micro_batch_and_none_is_larger_than_allowed() {
        let examples: Vec<_> = (0..17)
            .map(|nth| example(nth, 3 + (nth as usize * 7) % 11, 2))
            .collect();
        let batches = micro_batches(examples, 24, LossOn::Response);
        let mut positions: Vec<_> = batches
            .iter()
            .flat_map(|batch| batch.positions.clone())
            .collect();
        positions.sort_unstable();
        assert_eq!(positions, (0..17).collect::<Vec<_>>());
        for batch in &batches {
            assert_eq!(batch.ids.len(), batch.seq_len * batch.positions.len());
            assert!(batch.ids.len() <= 24);
        }
        assert_eq!(
            micro_batches(vec![example(0, 50, 2)], 24, LossOn::Response).len(),
            1
        );
    }

    #[test]
    fn the_loss_counts_the_response_or_all_but_the_first_token() {
        let count = |loss_on| {
            let batch =
                micro_batches(vec![example(0, 6, 4), example(1, 4, 0)], 100, loss_on).remove(0);
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
