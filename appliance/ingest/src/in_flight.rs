//! Memory of payloads in flight: a bound on what all requests together hold.
//!
//! A request takes permits for its compressed body before it reads it, and permits for the raw bytes before it decompresses them. The
//! two halves are separate: whoever holds raw permits never waits for body permits, so nothing can lock up. A request that has to wait
//! is not refused: the sender's TCP window does the slowing down.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of one permit: a semaphore counts in u32.
const PERMIT_BYTES: usize = 4096;

/// The bound.
#[derive(Clone, Debug)]
pub struct InFlight {
    bodies: Arc<Semaphore>,
    raw: Arc<Semaphore>,
    max: u32,
}

impl InFlight {
    /// `bytes` for both halves together; at least what one largest request needs, `one_max` bytes in each.
    #[must_use]
    pub fn new(bytes: u64, one_max: usize) -> Self {
        let half = usize::try_from(bytes / 2).unwrap_or(usize::MAX).max(one_max);
        let max = permits(half).min(u32::MAX >> 3);
        let make = || Arc::new(Semaphore::new(max as usize));
        Self { bodies: make(), raw: make(), max }
    }

    /// Room for a compressed body of so many bytes.
    pub async fn body(&self, bytes: usize) -> Permit {
        self.take(&self.bodies, bytes).await
    }

    /// Room for so many raw bytes.
    pub async fn raw(&self, bytes: usize) -> Permit {
        self.take(&self.raw, bytes).await
    }

    async fn take(&self, from: &Arc<Semaphore>, bytes: usize) -> Permit {
        let count = permits(bytes).clamp(1, self.max);
        Permit(from.clone().acquire_many_owned(count).await.ok())
    }
}

fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX)
}

/// Room that is given back when this is dropped. The semaphores are never closed, so it always holds some.
#[derive(Debug)]
pub struct Permit(#[allow(dead_code, reason = "held for its drop")] Option<OwnedSemaphorePermit>);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_bound_holds_and_one_largest_always_fits() {
        let bound = InFlight::new(0, 8 * PERMIT_BYTES);
        let first = bound.body(8 * PERMIT_BYTES).await;
        assert!(futures::poll!(std::pin::pin!(bound.body(1))).is_pending(), "full");
        assert!(futures::poll!(std::pin::pin!(bound.raw(1))).is_ready(), "the other half is free");
        drop(first);
        assert!(futures::poll!(std::pin::pin!(bound.body(usize::MAX))).is_ready(), "more than all counts as all");
    }
}
