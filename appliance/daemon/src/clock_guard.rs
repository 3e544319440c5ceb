//! Decides whether the wall clock may be trusted for deleting.
//!
//! While the clock differs by more than an hour from the last run's time plus monotonic time, or from the newest ledger entry of a live
//! agent, nothing is trashed, unlinked or trimmed. Pure: the caller brings the clocks and keeps [`Anchor`] over restarts.

use serde::{Deserialize, Serialize};

/// Difference that is believed, in seconds.
pub const SKEW_SECONDS_MAX: i64 = 3600;

/// What the clocks said at the last good run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// Which boot of the machine the monotonic time counts from.
    pub boot: String,
    /// Monotonic seconds since that boot, suspension included.
    pub monotonic_seconds: i64,
    /// Wall clock, seconds since 1970.
    pub wall_seconds: i64,
}

/// Whether deleting is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The clock is as expected.
    Trusted,
    /// It is not; the sentence says why.
    Doubtful(String),
}

/// Compares the clocks of now with the last good run and, when an agent is live, with the source's newest entry.
///
/// A clock that an agent's entries confirm is trusted even when it jumped: the jump put it right.
#[must_use]
pub fn judge(last: Option<&Anchor>, now: &Anchor, live_entry_seconds: Option<i64>) -> Verdict {
    if let Some(source) = live_entry_seconds {
        let skew = now.wall_seconds - source;
        if skew.abs() > SKEW_SECONDS_MAX {
            return Verdict::Doubtful(format!(
                "this machine's clock is {} s {} the newest entry of a live source",
                skew.abs(),
                if skew > 0 { "ahead of" } else { "behind" }
            ));
        }
        return Verdict::Trusted;
    }
    let Some(last) = last else { return Verdict::Trusted };
    let skew = if last.boot == now.boot {
        now.wall_seconds - last.wall_seconds - (now.monotonic_seconds - last.monotonic_seconds)
    } else {
        // After a reboot only a clock that went back can be told.
        (now.wall_seconds - last.wall_seconds).min(0)
    };
    if skew.abs() > SKEW_SECONDS_MAX {
        return Verdict::Doubtful(format!("this machine's clock jumped by {skew} s since the last run"));
    }
    Verdict::Trusted
}

/// The clocks of this machine now.
#[must_use]
pub fn read_clocks() -> Anchor {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let monotonic_seconds = uptime.split('.').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
    Anchor { boot: boot.trim().to_owned(), monotonic_seconds, wall_seconds: jiff::Timestamp::now().as_second() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(boot: &str, monotonic_seconds: i64, wall_seconds: i64) -> Anchor {
        Anchor { boot: boot.into(), monotonic_seconds, wall_seconds }
    }

    #[test]
    fn jumps_are_doubted_until_a_live_source_confirms_the_clock() {
        let last = at("a", 100, 1_000_000);
        let doubtful = |now: &Anchor, live| matches!(judge(Some(&last), now, live), Verdict::Doubtful(_));
        assert!(!doubtful(&at("a", 200, 1_000_100), None));
        assert!(!doubtful(&at("a", 50_100, 1_050_000), None), "a long pause is no jump");
        assert!(doubtful(&at("a", 200, 1_010_000), None));
        assert!(doubtful(&at("a", 200, 990_000), None));
        assert!(!doubtful(&at("a", 200, 1_010_000), Some(1_009_990)), "the jump put it right");
        assert!(doubtful(&at("a", 200, 1_000_100), Some(900_000)));
        assert!(!doubtful(&at("b", 5, 2_000_000), None), "another boot, later");
        assert!(doubtful(&at("b", 5, 900_000), None), "another boot, earlier");
        assert_eq!(judge(None, &at("a", 1, 1), None), Verdict::Trusted);
    }
}
