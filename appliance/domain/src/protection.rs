//! What is promised of a backup: how far back, how much may be lost, how fast it is back. A verdict measures against it.

use serde::{Deserialize, Serialize};

use crate::{Range, Ts};

/// What is promised; what is not said is not measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProtectionPolicy {
    /// Recovery window: every second of so many seconds back must be restorable. An hour to ten years.
    pub recovery_window_seconds: Option<u32>,
    /// Unprotected window: so many seconds of writes may be lost. 10 s to 7 days.
    pub unprotected_seconds: Option<u32>,
    /// Time to restore: a restore may take so many seconds. A minute to 7 days.
    pub restore_seconds: Option<u32>,
}

/// Shortest and longest of each, in seconds.
const RECOVERY_WINDOW: (u32, u32) = (3_600, 3_650 * 86_400);
const UNPROTECTED: (u32, u32) = (10, 7 * 86_400);
const RESTORE: (u32, u32) = (60, 7 * 86_400);

impl ProtectionPolicy {
    /// This one; what it does not say, as `fallback` says.
    #[must_use]
    pub fn or(self, fallback: Self) -> Self {
        Self {
            recovery_window_seconds: self.recovery_window_seconds.or(fallback.recovery_window_seconds),
            unprotected_seconds: self.unprotected_seconds.or(fallback.unprotected_seconds),
            restore_seconds: self.restore_seconds.or(fallback.restore_seconds),
        }
    }

    /// Whether every part lies within its bounds.
    ///
    /// # Errors
    /// A sentence that names the part and its bounds.
    pub fn check(&self) -> Result<(), String> {
        let parts = [
            ("the recovery window", self.recovery_window_seconds, RECOVERY_WINDOW),
            ("the unprotected window", self.unprotected_seconds, UNPROTECTED),
            ("the time to restore", self.restore_seconds, RESTORE),
        ];
        match parts.iter().find(|(_, value, (min, max))| value.is_some_and(|v| !(*min..=*max).contains(&v))) {
            Some((name, _, (min, max))) => Err(format!("{name} lies between {min} and {max} seconds")),
            None => Ok(()),
        }
    }
}

/// The newest stretch of seconds within the last `window_seconds` before `now` that lies between two restorable ranges: its last instant
/// before and its first after. What lies before the first range is no gap: nothing was backed up yet, or retention let it go.
#[must_use]
pub fn gap_in_window(ranges: &[Range], window_seconds: u32, now: i64) -> Option<(Ts, Ts)> {
    let start = now - i64::from(window_seconds);
    ranges
        .windows(2)
        .rev()
        .map(|pair| (pair[0].to, pair[1].from))
        .find(|(from, to)| i64::from(to.t) > start && to.t > from.t)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(t: u32) -> Ts {
        Ts { t, i: 1 }
    }

    #[test]
    fn each_part_falls_back_by_itself() {
        let group = ProtectionPolicy {
            recovery_window_seconds: Some(7_200),
            unprotected_seconds: Some(60),
            restore_seconds: None,
        };
        let own = ProtectionPolicy { unprotected_seconds: Some(300), ..ProtectionPolicy::default() };
        let both = own.or(group);
        assert_eq!(
            (both.recovery_window_seconds, both.unprotected_seconds, both.restore_seconds),
            (Some(7_200), Some(300), None)
        );
    }

    #[test]
    fn bounds_are_named() {
        assert!(ProtectionPolicy::default().check().is_ok(), "nothing said is nothing wrong");
        let short = ProtectionPolicy { unprotected_seconds: Some(1), ..ProtectionPolicy::default() };
        assert!(short.check().is_err_and(|why| why.contains("the unprotected window lies between 10 and")));
        let long = ProtectionPolicy { restore_seconds: Some(u32::MAX), ..ProtectionPolicy::default() };
        assert!(long.check().is_err_and(|why| why.contains("the time to restore")));
    }

    #[test]
    fn only_gaps_inside_the_window_count() {
        let ranges = [
            Range { from: at(100), to: at(200) },
            Range { from: at(400), to: at(500) },
            Range { from: at(5_000), to: at(9_000) },
        ];
        assert_eq!(gap_in_window(&ranges, 8_000, 10_000), Some((at(500), at(5_000))), "it ends inside");
        assert_eq!(gap_in_window(&ranges, 4_000, 10_000), None, "it ended before");
        assert_eq!(gap_in_window(&ranges[..2], 9_700, 10_000), Some((at(200), at(400))));
        assert_eq!(gap_in_window(&ranges[..1], 9_900, 10_000), None, "before the first nothing was promised");
        assert_eq!(gap_in_window(&[], 9_900, 10_000), None);
    }
}
