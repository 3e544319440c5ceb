//! Leases: who owns a piece of work, told without trusting any wall clock.
//!
//! A lease is `{owner, epoch, beat}`. Its owner adds one to `beat` every third of the lease's length. Another may take it over
//! when it has seen the same beat for the whole length by its own monotonic clock, over unbroken successful reads;
//! taking over adds one to `epoch`, and every write of the work carries the epoch in its filter.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A lease as stored in the document that it covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Who holds it: a daemon's or an agent's id. Empty when given back.
    pub owner: String,
    /// Raised by one at every change of owner.
    pub epoch: i64,
    /// Raised by one at every renewal.
    pub beat: i64,
}

/// Watches one lease of someone else. `now` is any monotonic clock's reading.
#[derive(Debug)]
pub struct LeaseWatch {
    length: Duration,
    seen: Option<Seen>,
}

#[derive(Debug)]
struct Seen {
    lease: Lease,
    since: Duration,
    last_read: Duration,
}

impl LeaseWatch {
    /// A watch over a lease of this length.
    #[must_use]
    pub const fn new(length: Duration) -> Self {
        Self { length, seen: None }
    }

    /// A successful read found `lease`. True when it may be taken over.
    pub fn read(&mut self, now: Duration, lease: &Lease) -> bool {
        if lease.owner.is_empty() {
            return true;
        }
        match &mut self.seen {
            Some(seen) if seen.lease == *lease && now.saturating_sub(seen.last_read) <= self.length / 3 => {
                seen.last_read = now;
                now.saturating_sub(seen.since) >= self.length
            }
            _ => {
                self.seen = Some(Seen { lease: lease.clone(), since: now, last_read: now });
                false
            }
        }
    }

    /// A read failed: the count starts again.
    pub fn failed(&mut self) {
        self.seen = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(beat: i64) -> Lease {
        Lease { owner: "a".into(), epoch: 1, beat }
    }

    #[test]
    fn unbroken_reads_of_the_same_beat_end_a_lease() {
        let mut watch = LeaseWatch::new(Duration::from_secs(30));
        let free: Vec<bool> = (0..5).map(|n| watch.read(Duration::from_secs(n * 10), &lease(7))).collect();
        assert_eq!(free, [false, false, false, true, true]);
    }

    #[test]
    fn a_beat_a_failed_read_or_a_pause_starts_again() {
        let mut watch = LeaseWatch::new(Duration::from_secs(30));
        for n in 0..3 {
            assert!(!watch.read(Duration::from_secs(n * 10), &lease(7)));
        }
        assert!(!watch.read(Duration::from_secs(30), &lease(8)), "renewed");
        watch.failed();
        assert!(!watch.read(Duration::from_secs(60), &lease(8)), "a failed read");
        assert!(!watch.read(Duration::from_secs(100), &lease(8)), "a pause longer than a third");
        assert!(watch.read(Duration::from_secs(100), &Lease { owner: String::new(), epoch: 2, beat: 1 }), "given back");
    }
}
