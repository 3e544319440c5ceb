//! Many values as one: minimum, maximum, mean and how many.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a window of time held.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rollup {
    /// How many values; at least 1.
    pub count: u32,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// Their mean.
    pub mean: f64,
}

impl Rollup {
    /// Of one value.
    #[must_use]
    pub const fn of(value: f64) -> Self {
        Self { count: 1, min: value, max: value, mean: value }
    }

    /// Takes in what another one holds. Means are weighted by their counts.
    pub fn merge(&mut self, other: &Self) {
        let count = self.count.saturating_add(other.count);
        // By the difference: sums of large values would pass what a number can hold.
        self.mean += (other.mean - self.mean) * (f64::from(other.count) / f64::from(count.max(1)));
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        // Rounding must not carry the mean out of what it is the mean of.
        self.mean = self.mean.clamp(self.min, self.max);
        self.count = count;
    }
}

/// Rollups by the start of their window. A window without a value is not there: that is a gap.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollups {
    window_seconds: i64,
    windows: BTreeMap<i64, Rollup>,
}

impl Rollups {
    /// None yet. Windows begin at multiples of `window_seconds` since 1970; at least 1.
    #[must_use]
    pub fn every(window_seconds: i64) -> Self {
        Self { window_seconds: window_seconds.max(1), windows: BTreeMap::new() }
    }

    /// Start of the window that a time lies in, seconds since 1970.
    #[must_use]
    pub const fn start_of(&self, second: i64) -> i64 {
        second - second.rem_euclid(self.window_seconds)
    }

    /// Takes in a value. What is no number is left out.
    pub fn add(&mut self, second: i64, value: f64) {
        if value.is_finite() {
            self.merge(second, &Rollup::of(value));
        }
    }

    /// Takes in a rollup of a window that lies within one of these.
    pub fn merge(&mut self, second: i64, rollup: &Rollup) {
        if rollup.count == 0 {
            return;
        }
        let start = self.start_of(second);
        self.windows.entry(start).and_modify(|known| known.merge(rollup)).or_insert(*rollup);
    }

    /// The windows that hold something, in order.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &Rollup)> {
        self.windows.iter().map(|(start, rollup)| (*start, rollup))
    }

    /// The window that begins there.
    #[must_use]
    pub fn get(&self, start: i64) -> Option<&Rollup> {
        self.windows.get(&start)
    }

    /// True when nothing was taken in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn points() -> impl Strategy<Value = Vec<(i64, f64)>> {
        prop::collection::vec((-100_000_i64..100_000, -1e12_f64..1e12), 0..200)
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-6 * (1.0 + a.abs().max(b.abs()))
    }

    proptest! {
        #[test]
        fn a_window_holds_what_lies_in_it_and_nothing_else(points in points(), window in 1_i64..5_000) {
            let mut rolled = Rollups::every(window);
            for (at, value) in &points {
                rolled.add(*at, *value);
            }
            let counted: usize = rolled.iter().map(|(_, r)| r.count as usize).sum();
            prop_assert_eq!(counted, points.len(), "no value twice, none lost");
            for (start, rollup) in rolled.iter() {
                prop_assert_eq!(start.rem_euclid(window), 0);
                let inside: Vec<f64> =
                    points.iter().filter(|(at, _)| (start..start + window).contains(at)).map(|(_, v)| *v).collect();
                prop_assert_eq!(inside.len(), rollup.count as usize);
                let min = inside.iter().copied().fold(f64::INFINITY, f64::min);
                let max = inside.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let mean = inside.iter().sum::<f64>() / inside.len() as f64;
                prop_assert!(rollup.min == min && rollup.max == max);
                prop_assert!(rollup.min <= rollup.mean && rollup.mean <= rollup.max);
                prop_assert!((rollup.mean - mean).abs() <= 1e-9 * (1.0 + max.abs().max(min.abs())) * 200.0);
            }
        }

        #[test]
        fn rollups_of_rollups_are_rollups_of_the_values(points in points(), small in 1_i64..100, times in 1_i64..50) {
            let (mut fine, mut coarse, mut twice) =
                (Rollups::every(small), Rollups::every(small * times), Rollups::every(small * times));
            for (at, value) in &points {
                fine.add(*at, *value);
                coarse.add(*at, *value);
            }
            for (start, rollup) in fine.iter() {
                twice.merge(start, rollup);
            }
            prop_assert_eq!(coarse.iter().count(), twice.iter().count());
            for (start, direct) in coarse.iter() {
                let again = twice.get(start).unwrap();
                prop_assert_eq!((direct.count, direct.min, direct.max), (again.count, again.min, again.max));
                let scale = direct.max.abs().max(direct.min.abs());
                prop_assert!((direct.mean - again.mean).abs() <= 1e-9 * (1.0 + scale) * 200.0);
            }
        }
    }

    #[test]
    fn a_window_without_values_is_a_gap() {
        let mut rolled = Rollups::every(60);
        rolled.add(0, 1.0);
        rolled.add(30, 3.0);
        rolled.add(130, f64::NAN);
        rolled.add(190, 7.0);
        let starts: Vec<i64> = rolled.iter().map(|(start, _)| start).collect();
        assert_eq!(starts, [0, 180]);
        assert!(near(rolled.get(0).unwrap().mean, 2.0) && rolled.get(60).is_none());
    }
}
