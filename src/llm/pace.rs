//! How many requests are on their way: as many as the server bears, and no more than was asked for.
//!
//! Where the server says that it is too much (429), half as many are sent at a time, and every answer after that adds a little,
//! so that one more is sent after as many answers as are on their way (additive increase, multiplicative decrease: Chiu and Jain
//! 1989). Where it says for how long, nothing is sent until then.

use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::Notify;
use tokio::time::Instant;

/// The share of a minute's allowance that may be used at once: a server that counts by the minute then counts few too many.
const BURST_SHARE: u32 = 60;

/// Decides when a request may be sent.
#[derive(Debug)]
pub(super) struct Pace {
    most: usize,
    state: Mutex<State>,
    changed: Notify,
    requests: Option<Allowance>,
    tokens: Option<Allowance>,
    order: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    /// Requests that may be on their way.
    window: f64,
    n_under_way: usize,
    paused_until: Instant,
    /// When the window was last made smaller: what was sent before says nothing about it.
    narrowed_at: Instant,
}

/// A permission to send, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pace: &'a Pace,
    began: Instant,
}

impl Pace {
    /// At most so many requests at a time, and so many requests and tokens a minute.
    pub(super) fn new(
        most: usize,
        requests_per_minute: Option<NonZeroU32>,
        tokens_per_minute: Option<NonZeroU32>,
    ) -> Pace {
        let now = Instant::now();
        Pace {
            most,
            state: Mutex::new(State {
                window: most as f64,
                n_under_way: 0,
                paused_until: now,
                narrowed_at: now,
            }),
            changed: Notify::new(),
            requests: requests_per_minute.map(Allowance::new),
            tokens: tokens_per_minute.map(Allowance::new),
            order: tokio::sync::Mutex::default(),
        }
    }

    /// Waits until a request that may cost so many tokens may be sent.
    pub(super) async fn turn(&self, n_tokens: u64) -> Turn<'_> {
        let turn = self.place().await;
        // One after the other, so that no two save up for the same moment.
        let _in_order = self.order.lock().await;
        if let Some(requests) = &self.requests {
            requests.take(1).await;
        }
        if let Some(tokens) = &self.tokens {
            tokens.take(n_tokens).await;
        }
        // It may have become too much while that was waited for.
        let until = self.state().paused_until;
        tokio::time::sleep_until(until).await;
        turn
    }

    /// Waits for a place among those on their way.
    async fn place(&self) -> Turn<'_> {
        loop {
            let changed = self.changed.notified();
            let pause = {
                let mut state = self.state();
                let now = Instant::now();
                if now < state.paused_until {
                    Some(state.paused_until)
                } else if (state.n_under_way as f64) < state.window.floor() {
                    state.n_under_way += 1;
                    return Turn {
                        pace: self,
                        began: now,
                    };
                } else {
                    None
                }
            };
            match pause {
                Some(until) => tokio::time::sleep_until(until).await,
                None => changed.await,
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

impl Turn<'_> {
    /// The server answered.
    pub(super) fn went_well(self) {
        let mut state = self.pace.state();
        state.window = (state.window + 1.0 / state.window).min(self.pace.most as f64);
    }

    /// The server says that it is too much, and perhaps for how long.
    pub(super) fn was_too_much(self, wait: Option<Duration>) {
        let mut state = self.pace.state();
        let now = Instant::now();
        // All that were on their way are told so at once.
        if self.began >= state.narrowed_at {
            state.window = (state.window / 2.0).max(1.0);
            state.narrowed_at = now;
        }
        if let Some(wait) = wait {
            state.paused_until = state.paused_until.max(now + wait);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.pace.state().n_under_way -= 1;
        self.pace.changed.notify_waiters();
    }
}

/// So much a minute.
#[derive(Debug)]
struct Allowance {
    limiter: DefaultDirectRateLimiter,
    burst: NonZeroU32,
}

impl Allowance {
    fn new(per_minute: NonZeroU32) -> Allowance {
        let burst = NonZeroU32::new(per_minute.get() / BURST_SHARE).unwrap_or(NonZeroU32::MIN);
        Allowance {
            limiter: RateLimiter::direct(Quota::per_minute(per_minute).allow_burst(burst)),
            burst,
        }
    }

    /// Waits until there are so many left.
    async fn take(&self, n: u64) {
        let mut left = n;
        while left > 0 {
            let part = u32::try_from(left)
                .unwrap_or(u32::MAX)
                .min(self.burst.get());
            if let Some(part) = NonZeroU32::new(part) {
                let enough = self.limiter.until_n_ready(part).await;
                enough.expect("a part is never more than a burst");
            }
            left -= u64::from(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn too_much_halves_what_is_sent_once_for_all_that_are_told() {
        let pace = Pace::new(8, None, None);
        let mut turns = Vec::new();
        for _ in 0..8 {
            turns.push(pace.turn(1).await);
        }
        assert!(pace.turn(1).now_or_never().is_none(), "there are eight");
        tokio::time::advance(SECOND).await;
        turns.into_iter().for_each(|turn| turn.was_too_much(None));
        assert_eq!(pace.state().window, 4.0);
        tokio::time::advance(SECOND).await;
        pace.turn(1).await.was_too_much(None);
        assert_eq!(pace.state().window, 2.0);
        // Two answers at a window of two, and there is room for nearly three.
        for _ in 0..3 {
            pace.turn(1).await.went_well();
        }
        assert!(pace.state().window > 3.0 && pace.state().window < 3.5);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_sent_before_the_server_said() {
        let pace = Pace::new(8, None, None);
        pace.turn(1).await.was_too_much(Some(7 * SECOND));
        let began = Instant::now();
        drop(pace.turn(1).await);
        assert_eq!(began.elapsed(), 7 * SECOND);
    }

    #[tokio::test]
    async fn an_allowance_is_spread_over_the_minute() {
        let minute = NonZeroU32::new(60_000).expect("not 0");
        let allowance = Allowance::new(minute);
        let began = std::time::Instant::now();
        // 1,000 at once, and 200 more at 1,000 a second.
        allowance.take(1_200).await;
        let waited = began.elapsed();
        assert!(waited >= Duration::from_millis(190), "{waited:?}");
    }
}
