//! How many of a source's draws come nearest to the tokens due.

/// Walks the draws of one source, in order, past the tokens due at the end of each pass.
///
/// A draw belongs to a pass when with it the tokens come nearer to those due than without it, so each pass ends within half
/// a row's tokens of what is due; of two equally near the smaller wins.
pub(super) struct Nearest {
    /// Tokens due by the end of each pass, ascending.
    due: Vec<u64>,
    /// Draws by the end of each pass that has ended.
    ends: Vec<u64>,
    n_draws: u64,
    n_tokens: u64,
}

impl Nearest {
    /// `parts` are the tokens due in each pass.
    pub(super) fn new(parts: impl Iterator<Item = u64>) -> Nearest {
        let due = parts.scan(0, |sum, part| {
            *sum += part;
            Some(*sum)
        });
        Nearest {
            due: due.collect(),
            ends: Vec::new(),
            n_draws: 0,
            n_tokens: 0,
        }
    }

    /// Takes the next draw in.
    pub(super) fn draw(&mut self, n_tokens: u64) {
        let (before, after) = (
            u128::from(self.n_tokens),
            u128::from(self.n_tokens + n_tokens),
        );
        while let Some(&due) = self.due.get(self.ends.len())
            && before + after >= 2 * u128::from(due)
        {
            self.ends.push(self.n_draws);
        }
        self.n_draws += 1;
        self.n_tokens += n_tokens;
    }

    /// The draws of each pass.
    pub(super) fn draws(mut self) -> Vec<u64> {
        self.ends.resize(self.due.len(), self.n_draws);
        let mut before = 0;
        for end in &mut self.ends {
            (*end, before) = (*end - before, *end);
        }
        self.ends
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn draws(parts: &[u64], tokens: &[u64]) -> Vec<u64> {
        let mut nearest = Nearest::new(parts.iter().copied());
        tokens.iter().for_each(|&n| nearest.draw(n));
        nearest.draws()
    }

    #[test]
    fn a_row_is_drawn_when_it_comes_nearer_to_what_is_due() {
        assert_eq!(
            draws(&[10], &[4, 4, 4, 4]),
            [2],
            "8 and 12 are equally near"
        );
        assert_eq!(draws(&[11], &[4, 4, 4, 4]), [3]);
        assert_eq!(draws(&[0], &[4, 4]), [0]);
        assert_eq!(draws(&[8, 8], &[4, 4, 4, 4, 4]), [2, 2]);
        assert_eq!(draws(&[100], &[4, 4]), [2], "all there is");
        assert_eq!(draws(&[], &[4]), [] as [u64; 0]);
    }

    proptest! {
        #[test]
        fn no_other_number_of_draws_is_nearer(
            parts in prop::collection::vec(0_u64..200, 1..5),
            tokens in prop::collection::vec(0_u64..50, 0..60),
        ) {
            let draws = draws(&parts, &tokens);
            let sum = |n: usize| tokens[..n].iter().sum::<u64>();
            let (mut end, mut due) = (0, 0);
            for (part, n) in parts.iter().zip(&draws) {
                end += *n as usize;
                due += part;
                let nearest = (0..=tokens.len()).map(|n| sum(n).abs_diff(due)).min();
                prop_assert_eq!(Some(sum(end).abs_diff(due)), nearest);
            }
        }
    }
}
