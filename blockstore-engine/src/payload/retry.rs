//! How long a failing pack store is asked again.
//!
//! Time counts from the first failure, not from the first request, and a few attempts are always made: a request may take minutes on a slow
//! link, and one fault after that is no reason to give up.

use std::time::Duration;

use tokio::time::Instant;

/// A service that is away for longer is for the caller to wait for.
const RETRY_FOR: Duration = Duration::from_secs(60);
/// Attempts that are made even when each takes longer than [`RETRY_FOR`].
const ATTEMPTS_MIN: u32 = 4;
const WAIT_FIRST: Duration = Duration::from_millis(50);
const WAIT_MAX: Duration = Duration::from_secs(4);

/// Waits between attempts, doubling.
#[derive(Default)]
pub(super) struct Retry {
    failed_since: Option<Instant>,
    failures: u32,
}

impl Retry {
    /// After a failure: waits, and answers whether another attempt is allowed.
    pub(super) async fn again(&mut self) -> bool {
        let since = *self.failed_since.get_or_insert_with(Instant::now);
        self.failures += 1;
        if self.failures >= ATTEMPTS_MIN && since.elapsed() > RETRY_FOR {
            return false;
        }
        let doubled = WAIT_FIRST.saturating_mul(1 << (self.failures - 1).min(16));
        tokio::time::sleep(doubled.min(WAIT_MAX)).await;
        true
    }
}
