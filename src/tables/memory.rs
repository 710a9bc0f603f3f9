//! The memory that sorts, joins and groups may hold: those that can spill share it fairly, and a refusal says how much would
//! have been enough.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytesize::ByteSize;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{
    FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
};

/// Limits are named in steps of this: nobody types bytes.
const STEP: usize = 1_000_000;

/// One in so many bytes of a limit is left for what is held without asking: batches on their way, buffers, fragments.
const SPARE: usize = 5;

/// The engine's fair pool, whose refusals name a limit.
#[derive(Debug)]
pub(super) struct Memory {
    pool: FairSpillPool,
    limit: usize,
    /// Consumers that can spill.
    n_spilling: AtomicUsize,
    /// Bytes that those hold which cannot.
    n_fixed: AtomicUsize,
}

impl Memory {
    /// At most so many bytes.
    pub(super) fn new(limit: usize) -> Memory {
        Memory {
            pool: FairSpillPool::new(limit - limit / SPARE),
            limit,
            n_spilling: AtomicUsize::new(0),
            n_fixed: AtomicUsize::new(0),
        }
    }

    /// The least limit under which this request would have been granted.
    fn enough_for(&self, reservation: &MemoryReservation, additional: usize) -> usize {
        let bytes = if reservation.consumer().can_spill() {
            // Everybody gets an equal share of what the others have not fixed.
            let n_shares = self.n_spilling.load(Ordering::Relaxed).max(1);
            let wanted = (reservation.size() + additional).saturating_mul(n_shares);
            wanted.saturating_add(self.n_fixed.load(Ordering::Relaxed))
        } else {
            self.pool.reserved().saturating_add(additional)
        };
        bytes.saturating_mul(SPARE).div_ceil(SPARE - 1)
    }
}

impl MemoryPool for Memory {
    fn name(&self) -> &str {
        self.pool.name()
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.n_spilling
            .fetch_add(usize::from(consumer.can_spill()), Ordering::Relaxed);
        self.pool.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.n_spilling
            .fetch_sub(usize::from(consumer.can_spill()), Ordering::Relaxed);
        self.pool.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        if !reservation.consumer().can_spill() {
            self.n_fixed.fetch_add(additional, Ordering::Relaxed);
        }
        self.pool.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        if !reservation.consumer().can_spill() {
            self.n_fixed.fetch_sub(shrink, Ordering::Relaxed);
        }
        self.pool.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.pool.try_grow(reservation, additional).map_err(|_| {
            let enough = self.enough_for(reservation, additional).div_ceil(STEP) * STEP;
            DataFusionError::ResourcesExhausted(format!(
                "needs a memory limit of {}, and has {}",
                ByteSize(enough as u64).display().si(),
                ByteSize(self.limit as u64).display().si()
            ))
        })?;
        if !reservation.consumer().can_spill() {
            self.n_fixed.fetch_add(additional, Ordering::Relaxed);
        }
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.pool.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit)
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pool.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn pool(limit: usize) -> Arc<dyn MemoryPool> {
        Arc::new(Memory::new(limit))
    }

    /// Two consumers that spill and one that does not; the first asks for 40 MB more.
    fn refusal(limit: usize) -> Option<String> {
        let pool = pool(limit);
        let fixed = MemoryConsumer::new("join").register(&pool);
        fixed.try_grow(10 * STEP).expect("there is room");
        let sort = || MemoryConsumer::new("sort").with_can_spill(true);
        let (first, _second) = (sort().register(&pool), sort().register(&pool));
        first.try_grow(5 * STEP).expect("there is room");
        let refused = first.try_grow(40 * STEP).err()?;
        Some(refused.to_string())
    }

    #[test]
    fn a_refusal_names_the_least_limit_that_would_do() {
        let refused = refusal(64 * STEP).expect("it is too much");
        assert!(
            refused.contains("needs a memory limit of 125.0 MB, and has 64.0 MB"),
            "{refused}"
        );
        assert!(refusal(125 * STEP - 3).is_some());
        assert_eq!(refusal(125 * STEP), None);
    }

    #[test]
    fn what_is_given_back_can_be_had_again() {
        let pool = pool(10 * STEP);
        let join = MemoryConsumer::new("join").register(&pool);
        join.try_grow(6 * STEP).expect("there is room");
        assert!(join.try_grow(4 * STEP).is_err());
        join.shrink(4 * STEP);
        join.try_grow(4 * STEP).expect("there is room again");
        drop(join);
        assert_eq!(pool.reserved(), 0);
    }
}
