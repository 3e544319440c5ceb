//! From readings to values.

use crate::{Elapsed, Formula, Metric, Reading, elapsed};

/// The value of a metric; none when it cannot be told.
///
/// `before` is the reading before this one; without it, or when [`elapsed`] says that the two cannot be compared, metrics that are told
/// from growth have no value.
#[must_use]
pub fn value(metric: &Metric, before: Option<&Reading>, now: &Reading, period_seconds: f64) -> Option<f64> {
    let seconds = || match elapsed(before?, now, period_seconds) {
        Elapsed::Seconds(seconds) => Some(seconds),
        Elapsed::Restarted | Elapsed::Apart | Elapsed::ClockJumped => None,
    };
    let value = match metric.formula {
        Formula::Value { of, scale } => now.get(of)? * scale,
        Formula::Sum(of) => sum(now, of)?,
        Formula::Rate { of, scale } => {
            let seconds = seconds()?;
            grown_all(before?, now, of)? / seconds * scale
        }
        Formula::RatePer { of, per, scale } => {
            let seconds = seconds()?;
            let per = now.get(per).filter(|per| *per > 0.0)?;
            grown(before?, now, of)? / seconds / per * scale
        }
        Formula::Ratio { of, to, scale } => {
            seconds()?;
            let steps = grown_all(before?, now, to)?;
            (steps > 0.0).then_some(())?;
            grown(before?, now, of)? / steps * scale
        }
        Formula::Share { of, to } => {
            let whole = sum(now, to)?;
            (whole > 0.0).then_some(())?;
            now.get(of)? / whole * 100.0
        }
        Formula::Less { of, less, scale } => ((now.get(of)? - now.get(less)?) * scale).max(0.0),
    };
    value.is_finite().then_some(value)
}

/// What a counter grew by; none when it fell, which a counter only does when it begins anew.
fn grown(before: &Reading, now: &Reading, path: &str) -> Option<f64> {
    let by = now.get(path)? - before.get(path)?;
    (by >= 0.0).then_some(by)
}

fn grown_all(before: &Reading, now: &Reading, paths: &[&'static str]) -> Option<f64> {
    paths.iter().try_fold(0.0, |all, path| Some(all + grown(before, now, path)?))
}

fn sum(now: &Reading, paths: &[&'static str]) -> Option<f64> {
    paths.iter().try_fold(0.0, |all, path| Some(all + now.get(path)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;
    use crate::{Process, Scope, Unit, metric};

    const PERIOD: f64 = 10.0;

    fn counter(formula: Formula) -> Metric {
        Metric { name: "X", unit: Unit::ScalarPerSecond, scope: Scope::Host, formula, text: "", chart: "" }
    }

    fn reading(second: u64, pid: i64, started: u64, values: &[(&'static str, f64)]) -> Reading {
        Reading {
            monotonic_millis: second * 1_000,
            wall_millis: i64::try_from(second * 1_000).unwrap(),
            process: Some(Process { pid, uptime_millis: i64::try_from((second - started) * 1_000).unwrap() }),
            values: values.iter().copied().collect(),
        }
    }

    #[test]
    fn rates_ratios_and_shares() {
        let before = reading(100, 1, 0, &[("a", 50.0), ("b", 10.0), ("cores", 4.0)]);
        let now = reading(110, 1, 0, &[("a", 150.0), ("b", 60.0), ("cores", 4.0)]);
        let of = |formula| value(&counter(formula), Some(&before), &now, PERIOD);
        assert_eq!(of(Formula::Rate { of: &["a", "b"], scale: 1.0 }), Some(15.0));
        assert_eq!(of(Formula::RatePer { of: "a", per: "cores", scale: 100.0 }), Some(250.0));
        assert_eq!(of(Formula::Ratio { of: "a", to: &["b"], scale: 0.5 }), Some(1.0));
        assert_eq!(of(Formula::Share { of: "b", to: &["a", "b"] }), Some(60.0 / 210.0 * 100.0));
        assert_eq!(of(Formula::Less { of: "b", less: "a", scale: 1.0 }), Some(0.0));
        assert_eq!(of(Formula::Sum(&["a", "c"])), None, "a part is missing");
        let still = Reading { values: before.values.clone(), ..now.clone() };
        let ratio = counter(Formula::Ratio { of: "a", to: &["b"], scale: 1.0 });
        assert_eq!(value(&ratio, Some(&before), &still, PERIOD), None, "nothing per nothing");
        let gauge = metric("CONNECTIONS").unwrap();
        let one = reading(1, 1, 0, &[("connections.current", 9.0)]);
        assert_eq!(value(gauge, None, &one, PERIOD), Some(9.0), "a gauge needs no reading before");
    }

    /// A server that counts at most so many a second, is restarted now and then, is not read now and then, and whose readers' clock jumps.
    #[derive(Clone, Debug)]
    enum Step {
        Count(f64),
        Missed,
        Restart,
        Jump(i64),
    }

    const FASTEST: f64 = 1_000.0;

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0.0..FASTEST).prop_map(Step::Count),
            1 => Just(Step::Missed),
            1 => Just(Step::Restart),
            1 => (-100_000_i64..100_000).prop_map(Step::Jump),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_no_rate_is_below_zero_or_above_what_the_server_did(
            steps in prop::collection::vec(step(), 1..60), start in 0.0..1e15_f64,
        ) {
            let metric = counter(Formula::Rate { of: &["n"], scale: 1.0 });
            let (mut second, mut started, mut pid, mut count, mut shift) = (1_000_u64, 0, 1, start, 0_i64);
            let mut before: Option<Reading> = None;
            for step in steps {
                second += 10;
                match step {
                    Step::Count(rate) => count += rate * 10.0,
                    Step::Missed => { count += FASTEST * 10.0; continue; }
                    Step::Restart => { pid += i64::from(second % 20 == 0); started = second - 1; count = FASTEST; }
                    Step::Jump(millis) => { shift += millis; count += 5.0; }
                }
                let mut now = reading(second, pid, started, &[("n", count)]);
                now.wall_millis += shift;
                if let Some(rate) = value(&metric, before.as_ref(), &now, PERIOD) {
                    prop_assert!((0.0..=FASTEST * 1.01).contains(&rate), "{rate} after {before:?}");
                }
                if matches!(step, Step::Restart) {
                    prop_assert_eq!(value(&metric, before.as_ref(), &now, PERIOD), None);
                }
                before = Some(now);
            }
        }

        #[test]
        fn a_steady_server_has_a_value_at_every_reading(rate in 0.0..1e9_f64, jitter in prop::collection::vec(0_u64..900, 2..40)) {
            let metric = counter(Formula::Rate { of: &["n"], scale: 1.0 });
            let mut before: Option<Reading> = None;
            for (n, jitter) in jitter.into_iter().enumerate() {
                let millis = u64::try_from(n).unwrap() * 10_000 + jitter;
                let mut now = reading(0, 1, 0, &[("n", rate * (millis as f64) / 1_000.0)]);
                now.monotonic_millis = millis;
                now.wall_millis = i64::try_from(millis).unwrap();
                now.process = Some(Process { pid: 1, uptime_millis: 60_000 + i64::try_from(millis).unwrap() });
                if let Some(before) = &before {
                    let found = value(&metric, Some(before), &now, PERIOD).unwrap();
                    prop_assert!((found - rate).abs() <= rate * 1e-6 + 1e-6, "{found} is not {rate}");
                }
                before = Some(now);
            }
        }
    }
}
