//! What was read at one time, and whether two readings can be compared.

use std::collections::BTreeMap;

/// The process that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: i64,
    /// How long it runs, in milliseconds, by its own clock.
    pub uptime_millis: i64,
}

/// What was read of one host (or database, or disk) at one time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// The reader's monotonic clock, in milliseconds.
    pub monotonic_millis: u64,
    /// The reader's wall clock, milliseconds since 1970.
    pub wall_millis: i64,
    /// The process, when one is known.
    pub process: Option<Process>,
    /// What was read, by path.
    pub values: BTreeMap<&'static str, f64>,
}

impl Reading {
    /// What was read there, if it is a number.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<f64> {
        self.values.get(path).copied().filter(|value| value.is_finite())
    }
}

/// What lies between two readings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Elapsed {
    /// They can be compared: so many seconds.
    Seconds(f64),
    /// The process was started anew in between.
    Restarted,
    /// Readings are missing in between, or came too soon after one another.
    Apart,
    /// A clock jumped, or someone was stopped for a while.
    ClockJumped,
}

/// Readings further apart than this many periods have others missing between them.
const APART_PERIODS: f64 = 2.5;
/// Readings closer than this part of a period say little.
const CLOSE_PERIODS: f64 = 0.2;
/// Clocks may disagree by so much, in milliseconds: uptimes are read a little before or after, and some have whole seconds.
const DISAGREE_MILLIS: f64 = 2_500.0;
/// Or by this part of what passed.
const DISAGREE_PART: f64 = 0.2;

/// Whether two readings can be compared, where one is taken every `period_seconds`.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "spans of time")]
pub fn elapsed(before: &Reading, now: &Reading, period_seconds: f64) -> Elapsed {
    let passed = now.monotonic_millis as f64 - before.monotonic_millis as f64;
    let bound = DISAGREE_MILLIS.max(passed * DISAGREE_PART);
    if let (Some(old), Some(new)) = (before.process, now.process) {
        let ran = new.uptime_millis as f64 - old.uptime_millis as f64;
        // A process that runs for less than what passed began in between, whatever its uptime was before.
        if old.pid != new.pid || ran < 0.0 || (new.uptime_millis as f64) < passed - bound {
            return Elapsed::Restarted;
        }
        if (ran - passed).abs() > bound {
            return Elapsed::ClockJumped;
        }
    }
    let walked = now.wall_millis as f64 - before.wall_millis as f64;
    if (walked - passed).abs() > bound {
        return Elapsed::ClockJumped;
    }
    let period_millis = period_seconds * 1_000.0;
    if passed > period_millis * APART_PERIODS || passed < period_millis * CLOSE_PERIODS || passed <= 0.0 {
        return Elapsed::Apart;
    }
    Elapsed::Seconds(passed / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Reading {
        let uptime_millis = 1_000_000 + i64::try_from(millis).unwrap_or(0);
        Reading {
            monotonic_millis: millis,
            wall_millis: 5_000_000 + i64::try_from(millis).unwrap_or(0),
            process: Some(Process { pid: 7, uptime_millis }),
            ..Reading::default()
        }
    }

    #[test]
    fn neighbours_can_be_compared_others_cannot() {
        assert_eq!(elapsed(&at(0), &at(10_000), 10.0), Elapsed::Seconds(10.0));
        assert_eq!(elapsed(&at(0), &at(20_000), 10.0), Elapsed::Seconds(20.0), "one late answer is no gap");
        assert_eq!(elapsed(&at(0), &at(30_000), 10.0), Elapsed::Apart);
        assert_eq!(elapsed(&at(0), &at(100), 10.0), Elapsed::Apart);
        assert_eq!(elapsed(&at(5), &at(5), 10.0), Elapsed::Apart);
    }

    #[test]
    fn a_restart_is_noticed_by_pid_by_uptime_and_by_what_passed() {
        let mut now = at(10_000);
        now.process = Some(Process { pid: 8, uptime_millis: 1_010_000 });
        assert_eq!(elapsed(&at(0), &now, 10.0), Elapsed::Restarted);
        now.process = Some(Process { pid: 7, uptime_millis: 4_000 });
        assert_eq!(elapsed(&at(0), &now, 10.0), Elapsed::Restarted);
        let mut young = at(0);
        young.process = Some(Process { pid: 7, uptime_millis: 100 });
        now.process = Some(Process { pid: 7, uptime_millis: 5_000 });
        assert_eq!(elapsed(&young, &now, 10.0), Elapsed::Restarted, "in a container the pid is always the same");
    }

    #[test]
    fn a_jump_of_any_clock_is_noticed() {
        for shift in [-3_600_000, 3_600_000] {
            let mut now = at(10_000);
            now.wall_millis += shift;
            assert_eq!(elapsed(&at(0), &now, 10.0), Elapsed::ClockJumped);
        }
        // The reader slept for a minute, the host did not.
        let mut now = at(10_000);
        now.process = Some(Process { pid: 7, uptime_millis: 1_070_000 });
        assert_eq!(elapsed(&at(0), &now, 10.0), Elapsed::ClockJumped);
    }
}
