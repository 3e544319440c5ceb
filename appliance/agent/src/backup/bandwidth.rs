//! A limit on sending, by hours: a bucket of bytes that fills at the rate of the rule that holds now.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use holdfast_agent_api::BandwidthRule;
use tokio_util::sync::CancellationToken;

use crate::transport::TransportError;

/// Smallest rate, in bytes a second: below it a 16 MB entry takes longer than an assignment lives.
const RATE_MIN: u64 = 65_536;
/// The bucket holds this many seconds of the rate.
const BURST_SECONDS: f64 = 1.0;
/// Longest sleep before the rules are looked at again: they change with the hour.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// The bucket of one job.
#[derive(Debug, Default)]
pub(crate) struct Bandwidth {
    rules: Mutex<Vec<BandwidthRule>>,
    bucket: Mutex<Option<Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    bytes: f64,
    at: Instant,
}

/// The rate that holds at `hour`, in bytes a second; None: unlimited. Of several rules the smallest.
fn rate_at(rules: &[BandwidthRule], hour: u8) -> Option<u64> {
    let holds = |rule: &&BandwidthRule| {
        if rule.from_hour < rule.to_hour {
            (rule.from_hour..rule.to_hour).contains(&hour)
        } else {
            hour >= rule.from_hour || hour < rule.to_hour
        }
    };
    rules.iter().filter(holds).map(|rule| rule.bytes_per_second.max(RATE_MIN)).min()
}

impl Bandwidth {
    /// Takes new rules.
    pub(crate) fn set(&self, rules: &[BandwidthRule]) {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner) = rules.to_vec();
    }

    /// Waits until `bytes` may be sent. A body larger than the bucket goes when the bucket is full, and leaves a debt.
    pub(crate) async fn take(&self, bytes: usize, cancel: &CancellationToken) -> Result<(), TransportError> {
        while let Some(wait) = self.try_take(bytes, local_hour(), Instant::now()) {
            tokio::select! {
                () = cancel.cancelled() => return Err(TransportError::Cancelled),
                () = tokio::time::sleep(wait.min(LOOK_AGAIN)) => {}
            }
        }
        Ok(())
    }

    /// Takes the bytes, or says how long to wait.
    fn try_take(&self, bytes: usize, hour: u8, now: Instant) -> Option<Duration> {
        let rate = rate_at(&self.rules.lock().unwrap_or_else(PoisonError::into_inner), hour);
        let mut slot = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(rate) = rate else {
            *slot = None;
            return None;
        };
        let rate = rate as f64;
        let full = rate * BURST_SECONDS;
        let mut bucket = slot.unwrap_or(Bucket { bytes: full, at: now });
        bucket.bytes = (bucket.bytes + now.saturating_duration_since(bucket.at).as_secs_f64() * rate).min(full);
        bucket.at = now;
        let need = (bytes as f64).min(full);
        let wait = (bucket.bytes < need).then(|| Duration::from_secs_f64(((need - bucket.bytes) / rate).max(0.001)));
        if wait.is_none() {
            bucket.bytes -= bytes as f64;
        }
        *slot = Some(bucket);
        wait
    }
}

fn local_hour() -> u8 {
    u8::try_from(jiff::Zoned::now().hour()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(from_hour: u8, to_hour: u8, bytes_per_second: u64) -> BandwidthRule {
        BandwidthRule { from_hour, to_hour, bytes_per_second }
    }

    #[test]
    fn hours() {
        let rules = [rule(8, 18, 100_000), rule(22, 6, 200_000), rule(9, 10, 1)];
        let at = |hour| rate_at(&rules, hour);
        assert_eq!([at(7), at(8), at(17), at(18)], [None, Some(100_000), Some(100_000), None]);
        assert_eq!([at(22), at(0), at(5), at(6)], [Some(200_000), Some(200_000), Some(200_000), None]);
        assert_eq!(at(9), Some(RATE_MIN), "the smallest of two, and never below the bound");
    }

    #[test]
    fn the_rate_is_kept_over_time() {
        let bandwidth = Bandwidth::default();
        bandwidth.set(&[rule(0, 24, 100_000)]);
        let start = Instant::now();
        let (mut now, mut sent) = (start, 0);
        while now < start + Duration::from_secs(60) {
            match bandwidth.try_take(40_000, 3, now) {
                None => sent += 40_000,
                Some(wait) => now += wait,
            }
        }
        assert!((6_000_000..=6_200_000).contains(&sent), "{sent}");
        assert!(bandwidth.try_take(10_000_000, 3, now + Duration::from_secs(1)).is_none(), "large bodies pass");
        let debt = bandwidth.try_take(1, 3, now + Duration::from_secs(1));
        assert!(debt.is_some_and(|wait| wait > Duration::from_secs(90)), "and are paid for");
    }
}
