//! The process's own log lines for whoever keeps them: a layer beside the one that writes to standard error.
//!
//! Invariants: logging never waits and never fails for it (a full queue drops lines, and says how many); what keeps the lines must not log
//! about that, else each line would make another one. Lines of debugging are written to standard error alone.

use std::{
    fmt::{self, Write as _},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

/// Lines that wait to be kept.
const QUEUE_LINES: usize = 2_000;
/// Lines that are kept at once.
const BATCH_LINES: usize = 200;
/// Longest text of a line, and of its fields, in bytes.
const TEXT_BYTES_MAX: usize = 4_000;
/// How long lines are gathered.
const GATHER: Duration = Duration::from_secs(1);
/// Pause after a batch could not be kept.
const PAUSE: Duration = Duration::from_secs(2);

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When, milliseconds since 1970.
    pub at_millis: i64,
    /// `error`, `warn` or `info`.
    pub level: &'static str,
    /// The part of the program that says it.
    pub target: String,
    /// What it says.
    pub message: String,
    /// Its fields, `name=value`, separated by spaces.
    pub fields: String,
}

/// Lines that come, in order; [`LogLines::keep`] takes them.
#[derive(Debug)]
pub struct LogLines {
    lines: mpsc::Receiver<LogLine>,
}

static DROPPED: AtomicU64 = AtomicU64::new(0);
static LINES: Mutex<Option<LogLines>> = Mutex::new(None);

/// The layer that gathers lines.
pub(crate) struct Gather {
    lines: mpsc::Sender<LogLine>,
}

/// A layer, and the lines that it gathers.
pub(crate) fn gather() -> (Gather, LogLines) {
    let (sender, lines) = mpsc::channel(QUEUE_LINES);
    (Gather { lines: sender }, LogLines { lines })
}

/// Leaves the process's lines for [`LogLines::take`].
pub(crate) fn leave(lines: LogLines) {
    *LINES.lock().unwrap_or_else(PoisonError::into_inner) = Some(lines);
}

#[derive(Default)]
struct Texts {
    message: String,
    fields: String,
}

/// Cut at a character, marked.
fn bounded(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        let end = (0..=TEXT_BYTES_MAX).rev().find(|n| text.is_char_boundary(*n)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

impl Visit for Texts {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            let space = if self.fields.is_empty() { "" } else { " " };
            // Writing into a string cannot fail.
            let _ = write!(self.fields, "{space}{}={value}", field.name());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

impl<S: Subscriber> Layer<S> for Gather {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let level = match *metadata.level() {
            Level::ERROR => "error",
            Level::WARN => "warn",
            Level::INFO => "info",
            _ => return,
        };
        let mut texts = Texts::default();
        event.record(&mut texts);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let line = LogLine {
            at_millis: i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            level,
            target: metadata.target().to_owned(),
            message: bounded(texts.message),
            fields: bounded(texts.fields),
        };
        if self.lines.try_send(line).is_err() {
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl LogLines {
    /// The process's lines, once. None: they were taken, or the process logs by another logger (tests).
    pub fn take() -> Option<Self> {
        LINES.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Hands lines over, some at a time, until cancelled; what waits then is handed over too. False: could not be kept, the same come again.
    pub async fn keep<F, R>(mut self, cancel: CancellationToken, put: F)
    where
        F: Fn(Vec<LogLine>) -> R,
        R: Future<Output = bool>,
    {
        let mut batch: Vec<LogLine> = Vec::new();
        loop {
            if batch.is_empty() {
                let Some(Some(line)) = cancel.run_until_cancelled(self.lines.recv()).await else { break };
                batch.push(line);
                if self.lines.len() < BATCH_LINES {
                    let _ = cancel.run_until_cancelled(tokio::time::sleep(GATHER)).await;
                }
            }
            self.fill(&mut batch);
            if put(batch.clone()).await {
                batch.clear();
            } else if cancel.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
                break;
            }
        }
        self.fill(&mut batch);
        if !batch.is_empty() {
            // The last words of a process; where they cannot be kept, standard error has them.
            let _ = put(batch).await;
        }
    }

    fn fill(&mut self, batch: &mut Vec<LogLine>) {
        while batch.len() < BATCH_LINES {
            let Ok(line) = self.lines.try_recv() else { break };
            batch.push(line);
        }
        let dropped = DROPPED.swap(0, Ordering::Relaxed);
        if let Some(last) = batch.last().filter(|_| dropped > 0) {
            let message = format!("{dropped} lines were not kept: too many came at once");
            let line =
                LogLine { level: "warn", target: module_path!().to_owned(), message, fields: String::new(), ..*last };
            batch.push(line);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::sync::Arc;

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[tokio::test]
    async fn lines_come_whole_bounded_and_again_until_they_are_kept() {
        let (layer, lines) = gather();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::debug!("not kept");
            tracing::info!(job = "j1", n = 7, "taken");
            tracing::warn!(error = "no route", "x{}", "y".repeat(2 * TEXT_BYTES_MAX));
            for n in 0..QUEUE_LINES {
                tracing::error!(n, "storm");
            }
        });
        let cancel = CancellationToken::new();
        let seen: Arc<Mutex<Vec<Vec<LogLine>>>> = Arc::default();
        let (put, stop) = (Arc::clone(&seen), cancel.clone());
        let kept = lines.keep(cancel, move |batch| {
            let mut all = put.lock().unwrap();
            all.push(batch);
            // The first time the database does not answer.
            let refused = all.len() == 1;
            if all.iter().skip(1).map(Vec::len).sum::<usize>() > QUEUE_LINES {
                stop.cancel();
            }
            async move { !refused }
        });
        kept.await;
        let all = seen.lock().unwrap();
        assert_eq!(all[0], all[1][..all[0].len()], "the same come again");
        let lines: Vec<&LogLine> = all.iter().skip(1).flatten().collect();
        assert_eq!((lines[0].level, &*lines[0].message, &*lines[0].fields), ("info", "taken", "job=j1 n=7"));
        assert!(lines[1].message.len() <= TEXT_BYTES_MAX + 4 && lines[1].message.ends_with('…'));
        assert_eq!(lines[1].fields, "error=no route");
        let dropped =
            lines.iter().filter(|line| line.message == "2 lines were not kept: too many came at once").count();
        assert_eq!((dropped, lines.len()), (1, QUEUE_LINES + 1));
        assert!(lines.iter().all(|line| line.at_millis > 1_500_000_000_000));
    }
}
