//! `holdfast snapshots`.

use std::time::Duration;

use anyhow::bail;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::items;
use crate::{
    args::{Backup, SnapshotsCommand},
    client::{Client, is_away, outlasting},
    output::{Output, bytes, field, optime, table},
};

const POLL: Duration = Duration::from_millis(500);

fn below<'a>(backup: &'a Backup, rest: &[&'a str]) -> Vec<&'a str> {
    ["groups", &backup.group, "backups", &backup.rs, "snapshots"].into_iter().chain(rest.iter().copied()).collect()
}

pub(crate) async fn run(command: SnapshotsCommand, client: &Client, output: &Output) -> anyhow::Result<()> {
    match command {
        SnapshotsCommand::List { backup } => output.value(&client.get(&below(&backup, &[])).await?, show),
        SnapshotsCommand::Take { backup, label, pin, wait } => {
            let asked = client.post(&below(&backup, &[]), json!({"label": label, "pin": pin})).await?;
            let answer =
                if wait { wait_taken(client, &backup, &field(&asked, "request"), output).await? } else { asked };
            output.value(&answer, |value| match value.get("id") {
                Some(_) => show(&Value::Array(vec![value.clone()])),
                None => format!("asked for (request {})", field(value, "request")),
            });
        }
        SnapshotsCommand::Pin { backup, id, label } => {
            let answer = client.post(&below(&backup, &[&id, "pin"]), json!({"label": label})).await?;
            output.value(&answer, |_| format!("snapshot {id} is pinned"));
        }
        SnapshotsCommand::Unpin { backup, id } => {
            let answer = client.post(&below(&backup, &[&id, "unpin"]), json!({})).await?;
            output.value(&answer, |_| format!("snapshot {id} is no longer pinned"));
        }
        SnapshotsCommand::Label { backup, id, label } => {
            let answer = client.patch(&below(&backup, &[&id]), json!({"label": label})).await?;
            output.value(&answer, |_| match &label {
                Some(label) => format!("snapshot {id} is named {label:?}"),
                None => format!("snapshot {id} has no name any more"),
            });
        }
        SnapshotsCommand::Show { backup, id } => {
            let snapshot = client.get(&below(&backup, &[&id])).await?;
            output.value(&snapshot, one);
        }
        SnapshotsCommand::RestoreFromTrash { backup, id } => {
            let answer = client.post(&below(&backup, &[&id, "restoreFromTrash"]), json!({})).await?;
            output.value(&answer, |_| format!("snapshot {id} is out of the trash"));
        }
        SnapshotsCommand::Delete { backup, id } => {
            let answer = client.delete(&below(&backup, &[&id])).await?;
            output.value(&answer, |_| format!("snapshot {id} is in the trash"));
        }
    }
    Ok(())
}

async fn wait_taken(client: &Client, backup: &Backup, request: &str, output: &Output) -> anyhow::Result<Value> {
    let spinner = output.spinner("snapshot");
    loop {
        let path = below(backup, &["requests", request]);
        let asked = outlasting(is_away, || client.get(&path)).await?;
        match asked["state"].as_str() {
            Some("done") => {
                spinner.finish_and_clear();
                let id = field(&asked, "snapshot");
                let all = client.get(&below(backup, &[])).await?;
                let Some(taken) = items(&all).iter().find(|s| s["id"] == id.as_str()) else {
                    bail!("snapshot {id} was taken and is no longer listed");
                };
                return Ok(taken.clone());
            }
            Some("failed") => bail!("the snapshot failed: {}", field(&asked, "error")),
            _ => sleep(POLL).await,
        }
    }
}

fn one(s: &Value) -> String {
    let fields =
        ["id", "at", "state", "proof", "label", "pinned", "encrypted", "serverVersion", "chain", "tookSeconds"];
    let mut rows: Vec<_> = fields.iter().map(|name| vec![(*name).to_owned(), field(s, name)]).collect();
    let sizes = ["logicalBytes", "newBytes", "storedBytes", "uniqueBytes", "sharedBytes"];
    rows.extend(["trashedAt", "trashedUntil"].iter().map(|name| vec![(*name).to_owned(), field(s, name)]));
    rows.extend(sizes.iter().map(|name| vec![(*name).to_owned(), bytes(&s[*name])]));
    table(&["", ""], &rows).trim_start().to_owned()
}

fn show(value: &Value) -> String {
    let row = |s: &Value| {
        let pinned = if s["pinned"] == true { "pinned" } else { "" };
        let sizes =
            [bytes(&s["logicalBytes"]), bytes(&s["newBytes"]), bytes(&s["uniqueBytes"]), bytes(&s["sharedBytes"])];
        let mut row = vec![field(s, "id"), optime(&s["optime"]), field(s, "state"), field(s, "proof")];
        row.extend(sizes);
        row.extend([s["label"].as_str().unwrap_or("").to_owned(), pinned.to_owned()]);
        row
    };
    let rows: Vec<_> = items(value).iter().map(row).collect();
    table(&["id", "optime", "state", "proof", "size", "new", "unique", "shared", "label", "pinned"], &rows)
}
