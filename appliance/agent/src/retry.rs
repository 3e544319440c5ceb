//! When to try again: one policy for all requests to the appliance.

use std::{
    future::Future,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use holdfast_domain::{Classify as _, ErrorClass};
use rand::RngExt as _;
use tokio_util::sync::CancellationToken;

use crate::transport::TransportError;

/// Pause after the first failure.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// Longest pause: also how late the end of an outage is noticed.
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// A failure is logged when it is the first of a row and then at most this often.
const LOG_EVERY: Duration = Duration::from_secs(30);

/// Whether the appliance answers, as the last attempts saw it. Shared by all requests of one job.
#[derive(Debug, Default)]
pub(crate) struct ServerHealth {
    failing: Mutex<Option<Failing>>,
}

#[derive(Debug)]
struct Failing {
    since: Instant,
    last: String,
}

impl ServerHealth {
    fn succeeded(&self) {
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn failed(&self, error: &TransportError) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let since = failing.as_ref().map_or_else(Instant::now, |f| f.since);
        *failing = Some(Failing { since, last: with_sources(error) });
    }

    /// For how long nothing has succeeded, and the last error; None while requests succeed.
    pub(crate) fn failing(&self) -> Option<(Duration, String)> {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing.as_ref().map(|f| (f.since.elapsed(), f.last.clone()))
    }
}

/// An error with its sources, as one line.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

/// The pause before attempt `n` (from 1), with jitter of a quarter.
pub(crate) fn pause_before(attempt: u32) -> Duration {
    let full = PAUSE_MIN.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(PAUSE_MAX);
    full.mul_f64(rand::rng().random_range(0.75..1.0))
}

/// Tries until it succeeds, fails for good or is called off. `attempts_max` bounds the tries; None: until called off.
pub(crate) async fn until_done<T, F>(
    what: &str,
    cancel: &CancellationToken,
    health: &ServerHealth,
    attempts_max: Option<u32>,
    mut attempt: impl FnMut() -> F,
) -> Result<T, TransportError>
where
    F: Future<Output = Result<T, TransportError>>,
{
    let mut tries = 0;
    let mut logged: Option<Instant> = None;
    loop {
        let done = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(TransportError::Cancelled),
            done = attempt() => done,
        };
        let error = match done {
            Ok(value) => {
                health.succeeded();
                return Ok(value);
            }
            Err(error) if error.class() == ErrorClass::Retry => error,
            Err(error) => return Err(error),
        };
        tries += 1;
        health.failed(&error);
        if attempts_max.is_some_and(|max| tries >= max) {
            return Err(error);
        }
        if logged.is_none_or(|at| at.elapsed() > LOG_EVERY) {
            tracing::warn!(error = with_sources(&error), tries, "{what}: will try again");
            logged = Some(Instant::now());
        }
        let asked = match &error {
            TransportError::Refused { retry_after, .. } => *retry_after,
            _ => None,
        };
        let pause = asked.unwrap_or_else(|| pause_before(tries));
        tokio::select! {
            () = cancel.cancelled() => return Err(TransportError::Cancelled),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_bounded() {
        assert!(pause_before(1) <= PAUSE_MIN && pause_before(1) >= PAUSE_MIN / 2);
        assert!(pause_before(3) > PAUSE_MIN);
        assert!(pause_before(u32::MAX) <= PAUSE_MAX);
    }

    #[tokio::test]
    async fn tries_until_the_bound_and_remembers_since_when() {
        let (cancel, health) = (CancellationToken::new(), ServerHealth::default());
        let mut count = 0;
        let done: Result<(), _> = until_done("test", &cancel, &health, Some(3), || {
            count += 1;
            async { Err(TransportError::Timeout { host: "x".into(), after: Duration::ZERO }) }
        })
        .await;
        assert!(done.is_err());
        assert_eq!(count, 3);
        assert!(health.failing().is_some_and(|(since, _)| since >= PAUSE_MIN / 2));
        let done = until_done("test", &cancel, &health, Some(3), || async { Ok(5) }).await;
        assert!(matches!(done, Ok(5)) && health.failing().is_none());
        cancel.cancel();
        let done: Result<(), _> = until_done("test", &cancel, &health, None, || async {
            Err(TransportError::Timeout { host: "x".into(), after: Duration::ZERO })
        })
        .await;
        assert!(matches!(done, Err(TransportError::Cancelled)));
    }
}
