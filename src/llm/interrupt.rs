//! How somebody outside has requests come to an end: what is on its way is waited for, since it is paid for.

use std::sync::Arc;

use tokio::sync::watch;

/// Tells a client that nothing more is to be sent. Clones tell the same client.
#[derive(Clone, Debug)]
pub struct Interrupt(Arc<State>);

#[derive(Debug)]
struct State {
    is_wanted: watch::Sender<bool>,
    /// Plans that are being asked.
    n_plans: watch::Sender<usize>,
}

impl Default for Interrupt {
    fn default() -> Interrupt {
        Interrupt(Arc::new(State {
            is_wanted: watch::Sender::new(false),
            n_plans: watch::Sender::new(0),
        }))
    }
}

impl Interrupt {
    /// From now on nothing is sent any more.
    pub fn stop(&self) {
        self.0.is_wanted.send_replace(true);
    }

    /// Whether requests are on their way.
    pub fn is_asking(&self) -> bool {
        *self.0.n_plans.borrow() > 0
    }

    /// Ends when no request is on its way any more.
    pub async fn idle(&self) {
        let mut n_plans = self.0.n_plans.subscribe();
        // The sender is held here.
        let _ = n_plans.wait_for(|n| *n == 0).await;
    }

    /// Ends when somebody wants requests to end.
    pub(super) async fn wanted(&self) {
        let mut is_wanted = self.0.is_wanted.subscribe();
        let _ = is_wanted.wait_for(|is_wanted| *is_wanted).await;
    }

    /// Requests are on their way for as long as what is returned lives.
    pub(super) fn asking(&self) -> OnTheWay<'_> {
        self.0.n_plans.send_modify(|n| *n += 1);
        OnTheWay(self)
    }
}

/// Requests on their way.
pub(super) struct OnTheWay<'a>(&'a Interrupt);

impl Drop for OnTheWay<'_> {
    fn drop(&mut self) {
        self.0.0.n_plans.send_modify(|n| *n -= 1);
    }
}
