//! What is printed, for people and for programs.

use std::{io::Write as _, process::ExitCode, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::client::Refused;

/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(120);

pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// One JSON value, or what `text` makes of it for people.
    pub(crate) fn value(&self, value: &Value, text: impl FnOnce(&Value) -> String) {
        if self.json { line(&value.to_string()) } else { line(text(value).trim_end()) }
    }

    /// A remark for people; nothing with `--json`.
    pub(crate) fn say(&self, text: &str) {
        if !self.json {
            line(text);
        }
    }

    /// The error with its causes, on stderr.
    pub(crate) fn fail(&self, error: &anyhow::Error) -> ExitCode {
        let sentence = sentence(error);
        let mut stderr = std::io::stderr().lock();
        let refused = error.downcast_ref::<Refused>();
        // A closed stderr must not turn a failure into a panic: there is nobody to tell.
        if self.json {
            let code = refused.map_or("failed", |r| r.code.as_str());
            let status = refused.map(|r| r.status);
            writeln!(stderr, "{}", json!({"error": {"code": code, "status": status, "detail": sentence}})).ok();
        } else {
            writeln!(stderr, "holdfast: {sentence}").ok();
        }
        ExitCode::FAILURE
    }

    /// A bar over `total` bytes, or a counter when the total is not known. Drawn on a terminal only.
    pub(crate) fn bytes_bar(&self, what: &str, total: Option<u64>) -> ProgressBar {
        if self.json {
            return ProgressBar::hidden();
        }
        let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
        let template = if total.is_some() {
            "{msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} left"
        } else {
            "{msg} {bytes} {binary_bytes_per_sec}"
        };
        bar.set_style(ProgressStyle::with_template(template).expect("the template is a constant"));
        bar.set_message(what.to_owned());
        bar
    }

    /// A spinner with a text. Drawn on a terminal only.
    pub(crate) fn spinner(&self, what: &str) -> ProgressBar {
        if self.json {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new_spinner();
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(TICK);
        bar
    }
}

fn line(text: &str) {
    let mut stdout = std::io::stdout().lock();
    // Piped into `head`: the reader has enough, and that is no failure of ours.
    writeln!(stdout, "{text}").ok();
}

fn sentence(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if !parts.iter().any(|p| p.contains(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

/// A table: a row of headings, then the rows, columns padded.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = headings.iter().map(|h| h.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let render = |cells: &[String]| -> String {
        let padded = cells.iter().zip(&widths).map(|(cell, &w)| format!("{cell:w$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let first = render(&headings.iter().map(|h| (*h).to_uppercase()).collect::<Vec<_>>());
    std::iter::once(first).chain(rows.iter().map(|row| render(row))).collect::<Vec<_>>().join("\n")
}

/// A field as text: strings bare, null as `-`.
pub(crate) fn field(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `14.2 MB`, decimal like disk sizes.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn bytes(value: &Value) -> String {
    let Some(mut size) = value.as_f64().or_else(|| value.as_u64().map(|n| n as f64)) else { return "-".to_owned() };
    for unit in ["B", "kB", "MB", "GB"] {
        if size < 1000.0 {
            return if unit == "B" { format!("{size} B") } else { format!("{size:.1} {unit}") };
        }
        size /= 1000.0;
    }
    format!("{size:.1} TB")
}

/// `2026-11-22T14:03:07Z (1795356187,3)` of `{"t", "i"}`.
pub(crate) fn optime(value: &Value) -> String {
    let (Some(t), Some(i)) = (value["t"].as_i64(), value["i"].as_i64()) else { return "-".to_owned() };
    match jiff::Timestamp::from_second(t) {
        Ok(time) => format!("{time} ({t},{i})"),
        Err(_) => format!("{t},{i}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_sizes() {
        let text = table(&["id", "state"], &[vec!["1".into(), "ok".into()], vec!["22".into(), "é".into()]]);
        assert_eq!(text, "ID  STATE\n1   ok\n22  é");
        assert_eq!(bytes(&json!(999)), "999 B");
        assert_eq!(bytes(&json!(14_200_000)), "14.2 MB");
        assert_eq!(bytes(&Value::Null), "-");
        assert_eq!(optime(&json!({"t": 0, "i": 3})), "1970-01-01T00:00:00Z (0,3)");
    }
}
