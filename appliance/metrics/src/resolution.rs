//! How fine an answer is: what is kept for how long, and what fits a window of time.

use serde::{Deserialize, Serialize};

/// What is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Resolution {
    /// As it came.
    Raw,
    /// Rollups of a minute.
    Minute,
    /// Rollups of an hour.
    Hour,
}

impl Resolution {
    /// Every one, finest first.
    pub const ALL: [Self; 3] = [Self::Raw, Self::Minute, Self::Hour];

    /// Seconds of its window; of raw values the finest step that they are put together to.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        match self {
            Self::Raw => 10,
            Self::Minute => 60,
            Self::Hour => 3_600,
        }
    }
}

/// How long each is kept, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// As it came.
    pub raw_seconds: i64,
    /// Rollups of a minute.
    pub minute_seconds: i64,
    /// Rollups of an hour.
    pub hour_seconds: i64,
}

impl Kept {
    const fn of(self, resolution: Resolution) -> i64 {
        match resolution {
            Resolution::Raw => self.raw_seconds,
            Resolution::Minute => self.minute_seconds,
            Resolution::Hour => self.hour_seconds,
        }
    }
}

/// Steps that an answer may have, in seconds: ten seconds to a day.
const STEPS: [i64; 11] = [10, 20, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 86_400];

/// What answers a window best, with the seconds between two points of the answer: the finest that is kept since `from`, in at most
/// `points_max` points. `wished` asks for a step; it is made coarser where what is kept is coarser.
#[must_use]
pub fn choose(from: i64, to: i64, now: i64, kept: Kept, points_max: i64, wished: Option<i64>) -> (Resolution, i64) {
    let span = (to - from).max(1);
    let there = |resolution: &Resolution| from >= now - kept.of(*resolution);
    let finest = Resolution::ALL.into_iter().find(there).unwrap_or(Resolution::Hour);
    let least = wished.unwrap_or(0).max(finest.seconds()).max(span.div_ceil_of(points_max.max(1)));
    let step = STEPS.into_iter().find(|step| *step >= least).unwrap_or_else(|| {
        // Longer than any step: whole days.
        least.div_ceil_of(86_400) * 86_400
    });
    // A coarser store answers a coarse step with far less to read.
    let from_store = Resolution::ALL.into_iter().rev().find(|r| *r >= finest && r.seconds() <= step);
    (from_store.unwrap_or(finest), step)
}

/// Division that rounds up, of what is not negative.
trait DivCeil {
    fn div_ceil_of(self, by: Self) -> Self;
}

impl DivCeil for i64 {
    fn div_ceil_of(self, by: Self) -> Self {
        (self + by - 1) / by
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 86_400;
    const KEPT: Kept = Kept { raw_seconds: DAY, minute_seconds: 14 * DAY, hour_seconds: 730 * DAY };
    const NOW: i64 = 1_800_000_000;

    fn last(seconds: i64) -> (Resolution, i64) {
        choose(NOW - seconds, NOW, NOW, KEPT, 1_500, None)
    }

    #[test]
    fn from_ten_minutes_to_a_year() {
        assert_eq!(last(600), (Resolution::Raw, 10));
        assert_eq!(last(3_600), (Resolution::Raw, 10));
        assert_eq!(last(DAY), (Resolution::Minute, 60));
        assert_eq!(last(7 * DAY), (Resolution::Minute, 600));
        assert_eq!(last(60 * DAY), (Resolution::Hour, 3_600));
        assert_eq!(last(365 * DAY), (Resolution::Hour, 21_600));
        assert_eq!(last(4_000 * DAY), (Resolution::Hour, 3 * DAY));
    }

    #[test]
    fn what_is_wished_is_given_unless_it_is_not_kept() {
        assert_eq!(choose(NOW - 600, NOW, NOW, KEPT, 1_500, Some(60)), (Resolution::Minute, 60));
        let old = NOW - 10 * DAY;
        assert_eq!(choose(old, old + 600, NOW, KEPT, 1_500, Some(10)), (Resolution::Minute, 60));
    }

    proptest! {
        #[test]
        fn an_answer_is_bounded_and_comes_from_what_is_kept(back in 1_i64..800 * DAY, part in 0.0..1.0_f64, wished in prop::option::of(1_i64..DAY)) {
            #[allow(clippy::cast_possible_truncation, reason = "a test")]
            let span = ((back as f64) * part) as i64;
            let (resolution, step) = choose(NOW - back, NOW - back + span, NOW, KEPT, 1_500, wished);
            prop_assert!(span / step <= 1_500);
            prop_assert_eq!(step % resolution.seconds(), 0, "steps are made of whole windows");
            prop_assert!(back <= KEPT.of(resolution) || resolution == Resolution::Hour);
            prop_assert!(wished.is_none_or(|w| step >= w));
        }
    }
}
