//! When a snapshot is due.

use serde::{Deserialize, Serialize};

/// Snapshots at a fixed distance, counted from the epoch, so that every instance agrees on the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotSchedule {
    /// Distance, in seconds: 60 s to 7 days.
    pub every_seconds: u32,
    /// An extra snapshot is taken when replaying to the newest second is estimated to take longer than this, in seconds.
    pub replay_debt_seconds_max: u32,
}

impl Default for SnapshotSchedule {
    fn default() -> Self {
        Self { every_seconds: 6 * 3600, replay_debt_seconds_max: 600 }
    }
}

impl SnapshotSchedule {
    /// Shortest and longest distance, in seconds.
    pub const EVERY_SECONDS: std::ops::RangeInclusive<u32> = 60..=7 * 86_400;

    /// True when a snapshot is due at `now` (seconds since 1970), the last one having been taken at `last`.
    #[must_use]
    pub const fn due(&self, last: Option<i64>, now: i64) -> bool {
        let every = self.every_seconds as i64;
        match last {
            None => true,
            Some(last) => now.div_euclid(every) > last.div_euclid(every),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_once_per_slot() {
        let s = SnapshotSchedule { every_seconds: 3600, ..SnapshotSchedule::default() };
        assert!(s.due(None, 0));
        assert!(!s.due(Some(3600), 7199));
        assert!(s.due(Some(3700), 7200));
        assert!(!s.due(Some(7200), 3600), "a clock that went back asks for nothing");
    }
}
