//! A limit of bandwidth: whoever wants to send or ask for bytes waits for his turn.
//!
//! Invariants: over any time the bytes granted are at most rate x time plus one request; requests are served in the order of asking; without
//! a rate nothing waits.

use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// See the module.
pub(crate) struct RateLimit {
    bytes_per_second: Option<NonZeroU64>,
    /// When everything granted so far will have passed.
    free_at: Mutex<Option<Instant>>,
}

impl RateLimit {
    pub(crate) fn new(bytes_per_second: Option<NonZeroU64>) -> Self {
        Self { bytes_per_second, free_at: Mutex::new(None) }
    }

    /// Waits until `bytes` may pass.
    pub(crate) async fn acquire(&self, bytes: u64) {
        if let Some(start) = self.grant(Instant::now(), bytes) {
            tokio::time::sleep_until(start).await;
        }
    }

    /// When bytes asked for at `now` may pass; `None`: at once.
    fn grant(&self, now: Instant, bytes: u64) -> Option<Instant> {
        let rate = self.bytes_per_second?;
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.get());
        let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let start = free_at.map_or(now, |at| at.max(now));
        *free_at = Some(start + takes);
        (start > now).then_some(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_holds_on_average_and_idle_time_is_not_saved_up() {
        let limit = RateLimit::new(NonZeroU64::new(1000));
        let start = Instant::now();
        assert_eq!(limit.grant(start, 500), None);
        for request in 1..11 {
            assert_eq!(limit.grant(start, 500), Some(start + Duration::from_millis(500 * request)));
        }
        let later = start + Duration::from_secs(100);
        assert_eq!(limit.grant(later, 1000), None);
        assert_eq!(limit.grant(later, 1000), Some(later + Duration::from_secs(1)));
        assert_eq!(RateLimit::new(None).grant(start, u64::MAX), None);
    }
}
