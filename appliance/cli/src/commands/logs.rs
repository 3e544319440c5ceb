//! `holdfast logs`.

use std::time::Duration;

use clap::Args;
use serde_json::Value;
use tokio::time::sleep;

use super::items;
use crate::{
    client::{Client, is_away, outlasting},
    output::{Output, field},
};

/// How often `--follow` asks.
const FOLLOW_EVERY: Duration = Duration::from_secs(2);

/// Which lines.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Of this program alone: web, ingest, "web and ingest" or daemon.
    #[arg(long)]
    program: Option<String>,
    /// As bad as this, or worse: error, warn or info.
    #[arg(long)]
    level: Option<String>,
    /// With this text, letters large or small.
    #[arg(long)]
    text: Option<String>,
    /// How many of the newest lines, at most 999.
    #[arg(short = 'n', long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=999))]
    limit: u16,
    /// Go on with what comes, until interrupted.
    #[arg(short, long)]
    follow: bool,
}

pub(crate) async fn run(command: LogsArgs, client: &Client, output: &Output) -> anyhow::Result<()> {
    let LogsArgs { program, level, text, limit, follow } = command;
    let mut query = vec![("limit", limit.to_string())];
    query.extend(program.map(|program| ("program", program)));
    query.extend(level.map(|level| ("level", level)));
    query.extend(text.map(|text| ("text", text)));
    let mut page = client.get_with(&["logs"], &query).await?;
    let mut last = String::new();
    loop {
        // Newest first, as the API gives them; people read downwards.
        for line in items(&page["lines"]).iter().rev().filter(|line| field(line, "id") > last) {
            output.value(line, written);
        }
        if let Some(line) = items(&page["lines"]).first() {
            last = last.max(field(line, "id"));
        }
        if !follow {
            return Ok(());
        }
        sleep(FOLLOW_EVERY).await;
        page = outlasting(is_away, || client.get_with(&["logs"], &query)).await?;
    }
}

fn written(line: &Value) -> String {
    let part = |name: &str| field(line, name);
    let (at, level, program, target) = (part("at"), part("level"), part("program"), part("target"));
    format!("{at} {level:5} {program} {target}: {} {}", part("message"), part("fields")).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_reads_like_one() {
        let line = json!({
            "id": "1", "at": "2026-11-22T14:03:07Z", "level": "warn", "program": "daemon", "target": "holdfast::x",
            "message": "slow", "fields": "",
        });
        assert_eq!(written(&line), "2026-11-22T14:03:07Z warn  daemon holdfast::x: slow");
    }
}
