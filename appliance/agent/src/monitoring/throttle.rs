//! When something costly is due again: by a least pause, and by what it cost.

use std::time::{Duration, Instant};

/// A thing that took a time is left alone for so many times as long: two per cent of a server's time at most.
const TIMES: u32 = 50;

/// One costly thing.
#[derive(Debug)]
pub(super) struct Throttle {
    every: Duration,
    next: Option<Instant>,
}

impl Throttle {
    /// Due at once, then at most this often.
    pub(super) const fn every(every: Duration) -> Self {
        Self { every, next: None }
    }

    /// True when it is due.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| now >= next)
    }

    /// It was done just now and took so long.
    pub(super) fn done(&mut self, now: Instant, took: Duration) {
        self.next = Some(now + self.pause(took));
    }

    /// How long it is left alone after having taken so long.
    pub(super) fn pause(&self, took: Duration) -> Duration {
        self.every.max(took.saturating_mul(TIMES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_costs_more_is_done_less_often() {
        let mut throttle = Throttle::every(Duration::from_secs(600));
        let start = Instant::now();
        assert!(throttle.is_due(start));
        throttle.done(start, Duration::from_secs(1));
        assert!(!throttle.is_due(start + Duration::from_secs(599)));
        assert!(throttle.is_due(start + Duration::from_secs(600)));
        throttle.done(start, Duration::from_secs(60));
        assert!(!throttle.is_due(start + Duration::from_secs(2_999)));
    }
}
