//! How many requests one caller may make: a bucket for each person, key and address, on each instance.
//!
//! Invariants:
//! - Whoever showed who they are is counted by that alone: a neighbour at the same address, or behind the same proxy, takes nothing away.
//! - Requests that show nobody are counted by their address.
//! - What is remembered is bounded; a bucket that has filled up again is forgotten.
//!
//! This keeps one program from taking an instance from everyone else. Guesses of secrets have limits of their own, shared by all instances
//! ([`crate::limits`]).

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use axum::http::StatusCode;

use crate::problem::ApiError;

/// Buckets that are remembered; beyond, full ones are forgotten first, then all.
const BUCKETS_MAX: usize = 20_000;

/// A steady rate, and how much may come at once after a pause.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// Requests per second, in the long run.
    per_second: f64,
    /// Requests that may come at once.
    burst: f64,
}

/// A person or an API key: a page asks ten times at once, a script a few hundred times a second.
pub(crate) const CALLER: Rate = Rate { per_second: 1000.0, burst: 3000.0 };
/// An address that shows nobody: signing in, and whoever tries keys.
pub(crate) const ADDRESS: Rate = Rate { per_second: 20.0, burst: 400.0 };

#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Instant,
    rate: Rate,
}

impl Bucket {
    fn level(&self, now: Instant) -> f64 {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * self.rate.per_second;
        (self.left + gained).min(self.rate.burst)
    }

    /// Takes one; else how long until there is one, in seconds.
    fn take(&mut self, now: Instant) -> Result<(), f64> {
        self.left = self.level(now);
        self.at = now;
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Ok(());
        }
        Err((1.0 - self.left) / self.rate.per_second)
    }
}

/// The buckets of an instance.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<HashMap<String, Bucket>>);

impl Rates {
    /// Counts a request of `who`.
    pub(crate) fn count(&self, who: &str, rate: Rate) -> Result<(), ApiError> {
        self.count_at(who, rate, Instant::now())
    }

    fn count_at(&self, who: &str, rate: Rate, now: Instant) -> Result<(), ApiError> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(who) {
            buckets.retain(|_, bucket| bucket.level(now) < bucket.rate.burst);
            if buckets.len() >= BUCKETS_MAX {
                buckets.clear();
            }
        }
        let fresh = || Bucket { left: rate.burst, at: now, rate };
        let taken = buckets.entry(who.to_owned()).or_insert_with(fresh).take(now);
        taken.map_err(too_many)
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a wait between 0 and 1/rate seconds, rounded up"
)]
fn too_many(seconds: f64) -> ApiError {
    let seconds = (seconds.ceil() as u64).max(1);
    let detail = format!("more requests than this server takes from one caller: go on in {seconds} s, and more slowly");
    ApiError::new(StatusCode::TOO_MANY_REQUESTS, "tooManyRequests", "Too many requests", detail).retry_after(seconds)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::time::Duration;

    use super::*;

    const SLOW: Rate = Rate { per_second: 2.0, burst: 3.0 };

    #[test]
    fn a_burst_then_the_rate_and_each_caller_alone() {
        let (rates, begin) = (Rates::default(), Instant::now());
        let at = |millis| begin + Duration::from_millis(millis);
        for _ in 0..3 {
            rates.count_at("a", SLOW, at(0)).unwrap();
        }
        assert_eq!(rates.count_at("a", SLOW, at(0)).unwrap_err().status(), StatusCode::TOO_MANY_REQUESTS);
        rates.count_at("b", SLOW, at(0)).unwrap();
        assert!(rates.count_at("a", SLOW, at(400)).is_err());
        rates.count_at("a", SLOW, at(500)).unwrap();
        assert!(rates.count_at("a", SLOW, at(600)).is_err());
        for _ in 0..3 {
            rates.count_at("a", SLOW, at(60_000)).unwrap();
        }
        assert!(rates.count_at("a", SLOW, at(60_000)).is_err(), "a long pause gives no more than a burst");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (rates, begin) = (Rates::default(), Instant::now());
        for n in 0..BUCKETS_MAX + 10 {
            rates.count_at(&n.to_string(), SLOW, begin).unwrap();
        }
        assert!(rates.0.lock().unwrap().len() <= BUCKETS_MAX);
    }
}
