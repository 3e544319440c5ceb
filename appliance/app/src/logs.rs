//! This process's lines for the appliance's log.

use std::time::Duration;

use holdfast_metadb::{LogLevel, LogSource, MetaDb, NewLogLine};
use holdfast_service::{LogLine, LogLines};
use tokio_util::sync::CancellationToken;

use crate::Parts;

/// Pause before the collection is made again, where that failed.
const PAUSE: Duration = Duration::from_secs(5);

/// Keeps what this process says until cancelled. Failures are not logged: each line would make another one.
pub(crate) async fn keep(metadb: MetaDb, parts: Parts, token: CancellationToken) {
    let Some(lines) = LogLines::take() else { return };
    let program = match parts {
        Parts { web: true, ingest: true } => "web and ingest",
        Parts { web: true, .. } => "web",
        Parts { .. } => "ingest",
    };
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let source = LogSource { program: program.to_owned(), instance: format!("{} {}", host.trim(), std::process::id()) };
    while metadb.create_logs().await.is_err() {
        if token.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
            return;
        }
    }
    lines
        .keep(token.clone(), move |lines| {
            let (metadb, source) = (metadb.clone(), source.clone());
            async move {
                let lines: Vec<NewLogLine> = lines.into_iter().map(new_line).collect();
                metadb.add_log_lines(&source, &lines).await.is_ok()
            }
        })
        .await;
}

fn new_line(line: LogLine) -> NewLogLine {
    let LogLine { at_millis, level, target, message, fields } = line;
    NewLogLine { at_millis, level: LogLevel::named(level).unwrap_or(LogLevel::Info), target, message, fields }
}
