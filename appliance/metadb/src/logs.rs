//! The appliance's own log: lines of web, ingest and daemon, in one collection of a bounded size that forgets the oldest.
//!
//! `logs {_id, at, program, instance, level, target, message, fields}`; `_id` is a text that sorts by time, then by process. Lines come a
//! second late and may be missing where a process wrote too many: standard error has all of them.

use bson::{Bson, DateTime, Document, doc};
use futures::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use crate::{
    MetaDb, MetaError,
    error::{on, server_code},
};

const COLLECTION: &str = "logs";
/// Bytes of the collection: some hundred thousand lines.
const BYTES_MAX: i64 = 64 << 20;
/// Lines of one answer.
pub const LOG_LINES_MAX: i64 = 1_000;
/// A search that finds little reads everything: so long at most.
const SEARCH: Duration = Duration::from_secs(5);
/// Server code: the collection exists.
const CODE_NAMESPACE_EXISTS: i32 = 48;

/// How bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LogLevel {
    /// Something failed.
    Error,
    /// Something is not as it should be.
    Warn,
    /// Something happened.
    Info,
}

impl LogLevel {
    /// From its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [(Self::Error, "error"), (Self::Warn, "warn"), (Self::Info, "info")]
            .into_iter()
            .find_map(|(level, known)| (known == name).then_some(level))
    }

    fn number(self) -> i32 {
        self as i32
    }
}

/// A process that logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSource {
    /// `web`, `ingest`, `web and ingest` or `daemon`.
    pub program: String,
    /// Its machine or name, and its process id.
    pub instance: String,
}

/// A line that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLogLine {
    /// When, milliseconds since 1970.
    pub at_millis: i64,
    /// How bad.
    pub level: LogLevel,
    /// The part of the program.
    pub target: String,
    /// What it says.
    pub message: String,
    /// Its fields, `name=value`.
    pub fields: String,
}

/// A line as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredLogLine {
    /// Sorts by time.
    #[serde(rename = "_id")]
    pub id: String,
    /// When, by the clock of its machine.
    pub at: DateTime,
    /// Program.
    pub program: String,
    /// Its machine or name, and its process id.
    pub instance: String,
    /// 0 error, 1 warn, 2 info.
    level: i32,
    /// The part of the program.
    pub target: String,
    /// What it says.
    pub message: String,
    /// Its fields.
    pub fields: String,
}

impl StoredLogLine {
    /// How bad.
    #[must_use]
    pub fn level(&self) -> LogLevel {
        match self.level {
            0 => LogLevel::Error,
            1 => LogLevel::Warn,
            _ => LogLevel::Info,
        }
    }
}

/// Which lines, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFilter {
    /// Of this program.
    pub program: Option<String>,
    /// As bad as this, or worse.
    pub level: Option<LogLevel>,
    /// With this text in message, fields or target; letters large or small.
    pub text: Option<String>,
    /// Older than this line.
    pub before: Option<String>,
}

/// Every character as itself.
fn quoted(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_alphanumeric() || c == ' ' { vec![c] } else { vec!['\\', c] }).collect()
}

impl MetaDb {
    /// Makes the collection, unless it is there.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn create_logs(&self) -> Result<(), MetaError> {
        let bytes = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX);
        match self.database().create_collection(COLLECTION).capped(true).size(bytes).await {
            Err(e) if server_code(&e) != Some(CODE_NAMESPACE_EXISTS) => Err(on("make the collection of logs")(e)),
            _ => Ok(()),
        }
    }

    /// Keeps lines.
    ///
    /// # Errors
    /// [`MetaError::Database`]. What is tried again may be there twice.
    pub async fn add_log_lines(&self, source: &LogSource, lines: &[NewLogLine]) -> Result<(), MetaError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let process = std::process::id();
        let docs = lines.iter().map(|line| {
            let n = NEXT.fetch_add(1, Ordering::Relaxed);
            doc! {
                "_id": format!("{:013x}-{process:08x}-{n:08x}-{:04x}", line.at_millis.max(0), rand::random::<u16>()),
                "at": DateTime::from_millis(line.at_millis), "program": &source.program, "instance": &source.instance,
                "level": line.level.number(), "target": &line.target, "message": &line.message, "fields": &line.fields,
            }
        });
        let docs: Vec<Document> = docs.collect();
        if docs.is_empty() {
            return Ok(());
        }
        self.of::<Document>(COLLECTION).insert_many(docs).await.map(|_| ()).map_err(on("keep log lines"))
    }

    /// Lines, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn log_lines(&self, filter: &LogFilter, limit: i64) -> Result<Vec<StoredLogLine>, MetaError> {
        let op = "read the log";
        let mut query = Document::new();
        if let Some(program) = &filter.program {
            query.insert("program", program);
        }
        if let Some(level) = filter.level {
            query.insert("level", doc! { "$lte": level.number() });
        }
        if let Some(before) = &filter.before {
            query.insert("_id", doc! { "$lt": before });
        }
        if let Some(text) = &filter.text {
            let pattern = doc! { "$regex": quoted(text), "$options": "i" };
            let fields = ["message", "fields", "target"].map(|field| Bson::Document(doc! { field: pattern.clone() }));
            query.insert("$or", fields.to_vec());
        }
        let lines = self.of(COLLECTION);
        let found = lines.find(query).sort(doc! { "_id": -1 }).limit(limit.clamp(1, LOG_LINES_MAX)).max_time(SEARCH);
        let found = found.await.map_err(on(op))?;
        found.try_collect().await.map_err(on(op))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_no_pattern() {
        assert_eq!(quoted("a.b*(c)"), "a\\.b\\*\\(c\\)");
        assert_eq!(quoted("größe 1"), "größe 1");
        assert_eq!(LogLevel::named("warn"), Some(LogLevel::Warn));
        assert_eq!(LogLevel::named("debug"), None);
        assert!(LogLevel::Error < LogLevel::Info);
    }
}
