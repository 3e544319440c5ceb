//! Metrics of the process in the OpenMetrics text format.

use std::fmt::Write;

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

/// Content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The recorder of this process. Clones render the same metrics.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Installs the process's recorder; call it once, before the first metric is touched.
    ///
    /// # Errors
    /// A recorder is installed already.
    pub fn install() -> Result<Self, BuildError> {
        PrometheusBuilder::new().install_recorder().map(|handle| Self { handle })
    }

    /// A recorder that is not the process's own: for tests.
    pub fn detached() -> (Self, metrics_exporter_prometheus::PrometheusRecorder) {
        let recorder = PrometheusBuilder::new().build_recorder();
        (Self { handle: recorder.handle() }, recorder)
    }

    /// All metrics in the OpenMetrics text format.
    pub fn render(&self) -> String {
        open_metrics(&self.handle.render())
    }

    /// Moves what was observed since the last call out of the recorder's buffers, so that they do not grow while nobody
    /// scrapes. The debug port calls it every few seconds.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

/// The exporter writes the older Prometheus format. OpenMetrics wants `_total` on the samples of counters but not in
/// their family's name, no blank lines, no free comments, and an end mark.
fn open_metrics(prometheus: &str) -> String {
    let mut out = String::with_capacity(prometheus.len() + 64);
    let counters: std::collections::HashSet<&str> =
        prometheus.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    for line in prometheus.lines() {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            if let (Some(kind @ ("TYPE" | "HELP")), Some(name), Some(text)) = (words.next(), words.next(), words.next())
            {
                let family = if counters.contains(name) { name.strip_suffix("_total").unwrap_or(name) } else { name };
                let _ = writeln!(out, "# {kind} {family} {text}");
            }
            continue;
        }
        let end = line.find(['{', ' ']).unwrap_or(line.len());
        let (name, rest) = line.split_at(end);
        if name.is_empty() || name.starts_with('#') {
            continue;
        }
        let suffix = if counters.contains(name) && !name.ends_with("_total") { "_total" } else { "" };
        let _ = writeln!(out, "{name}{suffix}{rest}");
    }
    out.push_str("# EOF\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_totals_and_the_end_is_marked() {
        let text = "# HELP a what a is\n# TYPE a counter\na{x=\"y\"} 3\n\n# TYPE b_total counter\nb_total 1\n\n# TYPE g gauge\ng 2\n";
        let wanted = "# HELP a what a is\n# TYPE a counter\na_total{x=\"y\"} 3\n# TYPE b counter\nb_total 1\n# TYPE g gauge\ng 2\n# EOF\n";
        assert_eq!(open_metrics(text), wanted);
    }

    #[test]
    fn what_is_recorded_is_rendered() {
        let (metrics, recorder) = Metrics::detached();
        ::metrics::with_local_recorder(&recorder, || ::metrics::counter!("slices_accepted").increment(2));
        metrics.upkeep();
        assert!(metrics.render().contains("slices_accepted_total 2\n"), "{}", metrics.render());
    }
}
