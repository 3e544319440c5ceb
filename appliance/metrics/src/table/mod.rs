//! The table, put together from one file for each part of a server.

mod database;
mod disk;
mod operations;
mod replication;
mod server;
mod storage;
mod system;

use crate::{Formula, Metric, Scope, Unit};

const fn row(
    name: &'static str,
    unit: Unit,
    scope: Scope,
    formula: Formula,
    chart: &'static str,
    text: &'static str,
) -> Metric {
    Metric { name, unit, scope, formula, text, chart }
}

/// As it was read.
const fn gauge(of: &'static str) -> Formula {
    Formula::Value { of, scale: 1.0 }
}

/// How fast counters grow.
const fn rate(of: &'static [&'static str]) -> Formula {
    Formula::Rate { of, scale: 1.0 }
}

const PARTS: [&[Metric]; 7] =
    [server::ROWS, operations::ROWS, storage::ROWS, replication::ROWS, system::ROWS, disk::ROWS, database::ROWS];

/// Their names, in the same order.
const SECTIONS: [&str; 7] = ["server", "operations", "storage", "replication", "machine", "disks", "databases"];

const fn count() -> usize {
    let (mut all, mut part) = (0, 0);
    while part < PARTS.len() {
        all += PARTS[part].len();
        part += 1;
    }
    all
}

const fn joined() -> [Metric; count()] {
    let mut all = [PARTS[0][0]; count()];
    let (mut n, mut part) = (0, 0);
    while part < PARTS.len() {
        let mut at = 0;
        while at < PARTS[part].len() {
            all[n] = PARTS[part][at];
            n += 1;
            at += 1;
        }
        part += 1;
    }
    all
}

static ALL: [Metric; count()] = joined();

/// Every metric, in the order in which charts are shown.
pub static METRICS: &[Metric] = &ALL;

/// The metric of a name.
#[must_use]
pub fn metric(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

/// The part of the table that a metric stands in: charts of one part are shown together.
#[must_use]
pub fn section(name: &str) -> &'static str {
    let at = PARTS.iter().position(|part| part.iter().any(|metric| metric.name == name));
    at.and_then(|at| SECTIONS.get(at)).copied().unwrap_or_default()
}

/// Every path that metrics of a scope are made of, each once.
#[must_use]
pub fn paths(scope: Scope) -> Vec<&'static str> {
    let mut all: Vec<&'static str> =
        METRICS.iter().filter(|metric| metric.scope == scope).flat_map(|metric| metric.formula.paths()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_is_large_and_each_row_is_whole() {
        assert!(METRICS.len() >= 110, "{}", METRICS.len());
        let names: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len(), "a name twice");
        for metric in METRICS {
            let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            assert!(metric.name.chars().all(plain), "{}", metric.name);
            assert!(metric.text.ends_with('.') && metric.text.len() > 15, "{}: {}", metric.name, metric.text);
            assert!(!metric.chart.is_empty() && !metric.formula.paths().is_empty());
            assert!(!metric.origin().is_empty());
        }
    }

    #[test]
    fn names_that_the_field_knows_are_there() {
        for name in [
            "OPCOUNTER_QUERY",
            "CONNECTIONS",
            "CACHE_DIRTY_BYTES",
            "OPLOG_SLAVE_LAG_MASTER_TIME",
            "OPLOG_MASTER_TIME",
            "OPLOG_RATE_GB_PER_HOUR",
            "TICKETS_AVAILABLE_READS",
            "QUERY_TARGETING_SCANNED_PER_RETURNED",
            "SYSTEM_NORMALIZED_CPU_USER",
            "DISK_PARTITION_SPACE_PERCENT_FREE",
        ] {
            assert!(metric(name).is_some(), "{name}");
        }
        assert!(metric("NOTHING").is_none());
        assert_eq!(
            (section("CONNECTIONS"), section("DATABASE_DATA_SIZE"), section("NOTHING")),
            ("server", "databases", "")
        );
    }

    #[test]
    fn one_chart_has_one_unit_and_one_scope() {
        for metric in METRICS {
            let same = METRICS.iter().filter(|other| other.chart == metric.chart);
            for other in same {
                assert_eq!(
                    (metric.unit, metric.scope),
                    (other.unit, other.scope),
                    "{} and {}",
                    metric.name,
                    other.name
                );
            }
        }
    }
}
