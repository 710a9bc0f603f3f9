//! What may be spent: hard caps, in tokens and in dollars.
//!
//! Nothing is sent before the most that it can cost is set aside; when the answer is there, what it did cost takes its place.
//! So the caps hold however many requests are on their way. Requests are let through in the order of the plan, and the budget
//! counts as spent only when nothing on its way can free some of it: where it ends depends on the answers alone, not on how
//! fast they come. A try that may have been paid for, though its answer never came, counts as the most it can have cost.

use std::sync::{Mutex, MutexGuard};

use tokio::sync::Notify;

use crate::config::{Caps, Prices};

use super::answer::Usage;

/// The budget of one plan. Answers that were paid for earlier count too: it is what the plan costs, however often it is begun.
#[derive(Debug)]
pub(super) struct Budget {
    caps: Caps,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    spent: Spent,
    set_aside: Spent,
    n_under_way: usize,
}

/// Tokens and what they cost, in millionths of a millionth of a dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) tokens: u64,
    pub(super) picodollars: u128,
}

impl Spent {
    fn of(usage: Usage, prices: Option<Prices>) -> Spent {
        let Prices { input, output } = prices.unwrap_or_default();
        Spent {
            tokens: usage.prompt_tokens.saturating_add(usage.completion_tokens),
            picodollars: u128::from(usage.prompt_tokens) * u128::from(input)
                + u128::from(usage.completion_tokens) * u128::from(output),
        }
    }

    fn plus(self, other: Spent) -> Spent {
        Spent {
            tokens: self.tokens.saturating_add(other.tokens),
            picodollars: self.picodollars.saturating_add(other.picodollars),
        }
    }

    fn minus(self, other: Spent) -> Spent {
        Spent {
            tokens: self.tokens - other.tokens,
            picodollars: self.picodollars - other.picodollars,
        }
    }
}

/// The most that one request can cost; free again when it is dropped.
#[derive(Debug)]
pub(super) struct SetAside<'a> {
    budget: &'a Budget,
    most: Spent,
}

impl SetAside<'_> {
    /// Replaces it by what was spent.
    pub(super) fn settle(self, used: Usage) {
        let used = Spent::of(used, self.budget.caps.prices);
        let mut state = self.budget.state();
        state.spent = state.spent.plus(used);
    }
}

impl Drop for SetAside<'_> {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        state.set_aside = state.set_aside.minus(self.most);
        state.n_under_way -= 1;
        drop(state);
        self.budget.changed.notify_waiters();
    }
}

impl Budget {
    pub(super) fn new(caps: Caps) -> Budget {
        Budget {
            caps,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Sets the most aside that the next request of the plan can cost, as soon as there is room; `None` where there will be none.
    pub(super) async fn set_aside(&self, most: Usage) -> Option<SetAside<'_>> {
        let most = Spent::of(most, self.caps.prices);
        loop {
            // Before the look, so that no change between the two is missed.
            let changed = self.changed.notified();
            {
                let mut state = self.state();
                let all = state.spent.plus(state.set_aside).plus(most);
                if self.has_room_for(all) {
                    state.set_aside = state.set_aside.plus(most);
                    state.n_under_way += 1;
                    return Some(SetAside { budget: self, most });
                }
                if state.n_under_way == 0 {
                    return None;
                }
            }
            changed.await;
        }
    }

    pub(super) fn spent(&self) -> Spent {
        self.state().spent
    }

    fn has_room_for(&self, spent: Spent) -> bool {
        self.caps.tokens.is_none_or(|cap| spent.tokens <= cap)
            && self
                .caps
                .picodollars
                .is_none_or(|cap| spent.picodollars <= cap)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn usage(prompt_tokens: u64, completion_tokens: u64) -> Usage {
        Usage {
            prompt_tokens,
            completion_tokens,
        }
    }

    #[tokio::test]
    async fn room_is_waited_for_while_something_is_under_way() {
        let budget = Budget::new(Caps {
            tokens: Some(100),
            ..Caps::default()
        });
        let first = budget.set_aside(usage(10, 60)).await.expect("room");
        let second = budget.set_aside(usage(10, 30));
        tokio::pin!(second);
        assert!(
            second.as_mut().now_or_never().is_none(),
            "70 + 40 are too many"
        );
        first.settle(usage(10, 20));
        let second = second.await.expect("30 + 40 are not");
        second.settle(usage(10, 30));
        assert_eq!(budget.spent().tokens, 70);
        assert!(
            budget.set_aside(usage(0, 31)).await.is_none(),
            "nothing can free more"
        );
        assert!(budget.set_aside(usage(0, 30)).await.is_some());
    }

    #[tokio::test]
    async fn dollars_are_counted_exactly() {
        let prices: Prices = "0.15,0.60".parse().expect("prices");
        let budget = Budget::new(Caps {
            prices: Some(prices),
            picodollars: Some(1_000_000_000_000),
            ..Caps::default()
        });
        // A dollar is 1,000,000 tokens there and 1,416,666 back, and two thirds of one.
        let most = usage(1_000_000, 1_416_666);
        let all = budget.set_aside(most).await.expect("room");
        all.settle(most);
        assert_eq!(budget.spent().picodollars, 999_999_600_000);
        assert!(budget.set_aside(usage(0, 1)).await.is_none());
        assert!(budget.set_aside(usage(2, 0)).await.is_some());
    }
}
