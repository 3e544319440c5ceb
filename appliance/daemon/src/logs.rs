//! This process's lines for the appliance's log.

use std::time::Duration;

use holdfast_metadb::{LogLevel, LogSource, MetaDb, NewLogLine};
use holdfast_service::{LogLine, LogLines};
use tokio_util::sync::CancellationToken;

/// Pause before the collection is made again, where that failed.
const PAUSE: Duration = Duration::from_secs(5);

/// Keeps what this process says until cancelled. Failures are not logged: each line would make another one.
pub async fn keep(metadb: MetaDb, name: String, cancel: CancellationToken) {
    let Some(lines) = LogLines::take() else { return };
    let source = LogSource { program: "daemon".to_owned(), instance: format!("{name} {}", std::process::id()) };
    while metadb.create_logs().await.is_err() {
        if cancel.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
            return;
        }
    }
    lines
        .keep(cancel.clone(), move |lines| {
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
