//! `holdfast daemons`.

use serde_json::json;

use super::items;
use crate::{
    args::DaemonsCommand,
    client::Client,
    output::{Output, bytes, field, table},
};

pub(crate) async fn run(command: DaemonsCommand, client: &Client, output: &Output) -> anyhow::Result<()> {
    let (daemon, draining) = match command {
        DaemonsCommand::List => return list(client, output).await,
        DaemonsCommand::Drain { daemon } => (daemon, true),
        DaemonsCommand::Undrain { daemon } => (daemon, false),
    };
    let changed = client.patch(&["daemons", &daemon], json!({ "draining": draining })).await?;
    output.value(&changed, |value| match (draining, value["heads"].as_u64()) {
        (true, Some(0)) => format!("{} takes no new backup, and has none", field(value, "name")),
        (true, _) => format!(
            "{} takes no new backup; its {} heads move one after the other (holdfast jobs --kind move shows how far)",
            field(value, "name"),
            field(value, "heads")
        ),
        (false, _) => format!("{} takes backups again", field(value, "name")),
    });
    Ok(())
}

async fn list(client: &Client, output: &Output) -> anyhow::Result<()> {
    let daemons = client.get(&["daemons"]).await?;
    output.value(&daemons, |value| {
        let row = |d: &serde_json::Value| {
            let state = if d["draining"] == true { "draining" } else { "working" };
            let mut row =
                vec![field(d, "name"), field(d, "id"), state.to_owned(), field(d, "heads"), field(d, "labels")];
            row.push(bytes(&d["freeBytes"]));
            row.push(field(d, "fileSystem"));
            row
        };
        let rows: Vec<_> = items(value).iter().map(row).collect();
        let listed = table(&["name", "id", "state", "heads", "labels", "free", "file system"], &rows);
        let advice = |d: &serde_json::Value| {
            d["fileSystemAdvice"].as_str().map(|advice| format!("{}: {advice}", field(d, "name")))
        };
        let advice: Vec<String> = items(value).iter().filter_map(advice).collect();
        if advice.is_empty() { listed } else { format!("{listed}\n\n{}", advice.join("\n")) }
    });
    Ok(())
}
