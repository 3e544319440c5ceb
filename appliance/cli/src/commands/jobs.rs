//! `holdfast jobs`.

use clap::Args;
use serde_json::Value;

use super::items;
use crate::{
    client::Client,
    output::{Output, field, table},
};

/// Which jobs.
#[derive(Debug, Args)]
pub(crate) struct JobsArgs {
    /// Of this kind alone: snapshot, restore, blockstore, offsite, move or backup.
    #[arg(long)]
    kind: Option<String>,
    /// In this state alone: queued, running, done, failed or cancelled.
    #[arg(long)]
    state: Option<String>,
    /// How many, at most 200.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
}

pub(crate) async fn run(command: JobsArgs, client: &Client, output: &Output) -> anyhow::Result<()> {
    let JobsArgs { kind, state, limit } = command;
    let mut query = vec![("limit", limit.to_string())];
    query.extend(kind.map(|kind| ("kind", kind)));
    query.extend(state.map(|state| ("state", state)));
    let page = client.get_with(&["jobs"], &query).await?;
    output.value(&page, |page| {
        let row = |job: &Value| {
            let mut row: Vec<String> =
                ["askedAt", "state", "title", "group", "daemon"].map(|name| field(job, name)).into();
            row.push(progress(job));
            row
        };
        let jobs = items(&page["jobs"]);
        let rows: Vec<_> = jobs.iter().map(row).collect();
        let listed = table(&["asked for", "state", "what", "group", "daemon", "how far"], &rows);
        let failed = jobs.iter().filter_map(|job| Some(format!("{}: {}", field(job, "title"), job["error"].as_str()?)));
        let failed: Vec<String> = failed.collect();
        if failed.is_empty() { listed } else { format!("{listed}\n\n{}", failed.join("\n")) }
    });
    Ok(())
}

/// How far a job is, else what it is doing.
fn progress(job: &Value) -> String {
    let progress = &job["progress"];
    match (progress["done"].as_u64(), progress["total"].as_u64()) {
        (Some(done), Some(total)) if total > 0 => format!("{} %", done.saturating_mul(100) / total),
        _ => job["phase"].as_str().filter(|phase| !phase.is_empty()).unwrap_or("-").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn how_far_is_a_share_or_a_phase() {
        assert_eq!(progress(&json!({ "progress": { "done": 1, "total": 4, "unit": "blocks" } })), "25 %");
        assert_eq!(progress(&json!({ "progress": { "done": 1, "total": 0 }, "phase": "copy" })), "copy");
        assert_eq!(progress(&json!({ "progress": null, "phase": "" })), "-");
    }
}
