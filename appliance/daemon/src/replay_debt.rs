//! How long a restore to the newest second would have to replay: measured, not guessed.

use std::time::Duration;

/// Time for one oplog entry that was applied before this process started, in seconds: 10,000 entries a second, half of what is measured
/// on two cores.
const SECONDS_PER_ENTRY: f64 = 1.0 / 10_000.0;
/// The same by size: 20 MB of raw oplog a second.
const SECONDS_PER_BYTE: f64 = 1.0 / 20e6;

/// Time spent on applying since the last snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReplayDebt {
    seconds: f64,
}

impl ReplayDebt {
    /// A slice was applied in this time.
    pub fn applied(&mut self, took: Duration) {
        self.seconds += took.as_secs_f64();
    }

    /// A slice lies between the last snapshot and the head that this process did not apply itself.
    pub fn found(&mut self, entries: i64, raw_bytes: i64) {
        #[allow(clippy::cast_precision_loss, reason = "an estimate")]
        let by = (entries as f64 * SECONDS_PER_ENTRY).max(raw_bytes as f64 * SECONDS_PER_BYTE);
        self.seconds += by;
    }

    /// A snapshot was taken: nothing to replay.
    pub fn clear(&mut self) {
        self.seconds = 0.0;
    }

    /// True when an extra snapshot is due.
    #[must_use]
    pub fn exceeds(&self, seconds_max: u32) -> bool {
        self.seconds > f64::from(seconds_max)
    }

    /// Estimated replay, in seconds.
    #[must_use]
    pub const fn seconds(&self) -> f64 {
        self.seconds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_with_work_and_ends_with_a_snapshot() {
        let mut debt = ReplayDebt::default();
        debt.applied(Duration::from_secs(500));
        assert!(!debt.exceeds(600));
        debt.found(2_000_000, 10);
        assert!(debt.exceeds(600) && debt.seconds() > 690.0);
        debt.clear();
        assert!(!debt.exceeds(0));
    }
}
