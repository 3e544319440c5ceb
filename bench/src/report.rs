//! The tables that a run prints: what each tool took, and a line per target.

use std::fmt::Write as _;

use crate::measure::Cost;

/// One measured operation.
#[derive(Debug, Clone)]
pub struct Row {
    /// Bytes of the corpus.
    pub source_bytes: u64,
    /// `full`, `incremental`, `restore` and so on.
    pub work: String,
    /// Whose.
    pub tool: String,
    /// What it took.
    pub cost: Cost,
    /// Bytes in its repository afterwards.
    pub stored_bytes: Option<u64>,
}

/// What a run found.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
    ratios: Vec<String>,
}

/// The middle of some numbers (of two, the mean); 0 of none.
#[must_use]
pub fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        len if len % 2 == 1 => sorted[len / 2],
        len => f64::midpoint(sorted[len / 2 - 1], sorted[len / 2]),
    }
}

impl Report {
    /// Adds a row, and says so at once.
    pub fn row(&mut self, row: Row) {
        eprintln!("{}", line(&row));
        self.rows.push(row);
    }

    /// Costs of this work by this tool at this size, in the order of the rounds.
    #[must_use]
    pub fn costs(&self, source_bytes: u64, work: &str, tool: &str) -> Vec<Cost> {
        let is_it = |row: &&Row| row.source_bytes == source_bytes && row.work == work && row.tool == tool;
        self.rows.iter().filter(is_it).map(|row| row.cost).collect()
    }

    /// Median of the ratios of paired rounds; `None` when one of them was not measured.
    #[must_use]
    pub fn paired(&self, source_bytes: u64, work: &str, tools: [&str; 2], of: fn(&Cost) -> f64) -> Option<f64> {
        let [ours, theirs] = tools.map(|tool| self.costs(source_bytes, work, tool));
        let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(a, b)| of(a) / of(b).max(0.01)).collect();
        (!ratios.is_empty()).then(|| median(&ratios))
    }

    /// A target: what was measured against it. `at_most` is the target as text.
    pub fn ratio(&mut self, name: &str, value: Option<f64>, target: f64) {
        let Some(value) = value else {
            self.ratios.push(format!("ratio {name} not-measured target {target}"));
            return;
        };
        let verdict = if value <= target { "met" } else { "MISSED" };
        self.ratios.push(format!("ratio {name} {value:.3} target {target} {verdict}"));
    }

    /// Everything, as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = format!(
            "{:>6}  {:<24} {:<28} {:>8} {:>8} {:>8} {:>8} {:>10}\n",
            "GB", "work", "tool", "wall s", "CPU s", "server s", "RSS MB", "stored MB"
        );
        for row in &self.rows {
            let _ = writeln!(out, "{}", line(row));
        }
        for ratio in &self.ratios {
            let _ = writeln!(out, "{ratio}");
        }
        out
    }
}

fn line(row: &Row) -> String {
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    let (gb, stored) = (row.source_bytes as f64 / 1e9, row.stored_bytes.map(|bytes| bytes as f64 / 1e6));
    let stored = stored.map_or_else(|| "-".into(), |mb| format!("{mb:.0}"));
    let Cost { wall, cpu, rss_mb, server_cpu } = row.cost;
    format!(
        "{gb:>6.2}  {:<24} {:<28} {wall:>8.2} {cpu:>8.2} {server_cpu:>8.2} {rss_mb:>8.0} {stored:>10}",
        row.work, row.tool
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::float_cmp, reason = "tests")]
    use super::*;

    fn row(work: &str, tool: &str, cpu: f64) -> Row {
        let cost = Cost { cpu, ..Cost::default() };
        Row { source_bytes: 1, work: work.into(), tool: tool.into(), cost, stored_bytes: None }
    }

    #[test]
    fn rounds_are_paired_before_the_median() {
        let mut report = Report::default();
        // The second round met a busy machine: both were slow.
        for (ours, theirs) in [(1.0, 2.0), (10.0, 20.0), (1.0, 4.0)] {
            report.row(row("full", "engine", ours));
            report.row(row("full", "borg", theirs));
        }
        assert_eq!(report.paired(1, "full", ["engine", "borg"], |cost| cost.cpu), Some(0.5));
        assert_eq!(report.paired(1, "full", ["engine", "restic"], |cost| cost.cpu), None);
        report.ratio("full-cpu", Some(0.5), 0.8);
        report.ratio("full-wall", Some(0.9), 0.45);
        report.ratio("other", None, 1.0);
        let text = report.text();
        assert!(text.contains("ratio full-cpu 0.500 target 0.8 met"), "{text}");
        assert!(text.contains("ratio full-wall 0.900 target 0.45 MISSED"), "{text}");
        assert!(text.contains("ratio other not-measured target 1"), "{text}");
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0, 1.0]), 2.0);
    }
}
