//! `holdfast backups`.

use std::time::Duration;

use anyhow::bail;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::items;
use crate::{
    args::{Backup, BackupsCommand},
    client::Client,
    output::{Output, bytes, field, optime, table},
};

const POLL: Duration = Duration::from_secs(1);

pub(crate) async fn run(command: BackupsCommand, client: &Client, output: &Output) -> anyhow::Result<()> {
    let (backup, verb, body) = match command {
        BackupsCommand::List { group } => {
            output.value(&client.get(&["groups", &group, "backups"]).await?, |value| {
                let row =
                    |b: &Value| vec![field(b, "rs"), field(b, "state"), field(b, "lagSeconds"), field(b, "lastError")];
                table(&["rs", "state", "lag s", "last error"], &items(value).iter().map(row).collect::<Vec<_>>())
            });
            return Ok(());
        }
        BackupsCommand::Show { backup } => {
            output.value(&state(client, &backup).await?, show);
            return Ok(());
        }
        BackupsCommand::Start { backup, label, wait } => {
            let answer = client
                .post(&["groups", &backup.group, "backups", &backup.rs, "start"], json!({"daemonLabels": label}))
                .await?;
            let answer = if wait { wait_active(client, &backup, output).await? } else { answer };
            output.value(&answer, show);
            return Ok(());
        }
        BackupsCommand::Acknowledge { backup, snapshot } => {
            let path = ["groups", &backup.group, "backups", &backup.rs, "changesAlert", "acknowledgement"];
            output.value(&client.post(&path, json!({"snapshot": snapshot})).await?, show);
            return Ok(());
        }
        BackupsCommand::Terminate { backup, name } => {
            let path = ["groups", &backup.group, "backups", &backup.rs, "termination"];
            let answer = match &name {
                Some(name) => client.post(&path, json!({"name": name})).await?,
                None => client.get(&path).await?,
            };
            output.value(&answer, |value| {
                let again = if name.is_some() {
                    format!("taken back by `holdfast backups take-back {}/{}`", backup.group, backup.rs)
                } else {
                    format!("nothing was done: repeat with --name {}", backup.rs)
                };
                format!("{}\n{again}", termination(value))
            });
            return Ok(());
        }
        BackupsCommand::TakeBack { backup } => {
            let path = ["groups", &backup.group, "backups", &backup.rs, "termination"];
            output.value(&client.delete(&path).await?, termination);
            return Ok(());
        }
        BackupsCommand::Stop { backup } => (backup, "stop", json!({})),
        BackupsCommand::Resync { backup } => (backup, "resync", json!({})),
        BackupsCommand::Move { backup, daemon } => (backup, "move", json!({"daemon": daemon})),
    };
    let answer = client.post(&["groups", &backup.group, "backups", &backup.rs, verb], body).await?;
    output.value(&answer, show);
    Ok(())
}

async fn state(client: &Client, backup: &Backup) -> anyhow::Result<Value> {
    client.get(&["groups", &backup.group, "backups", &backup.rs]).await
}

async fn wait_active(client: &Client, backup: &Backup, output: &Output) -> anyhow::Result<Value> {
    let spinner = output.spinner("initial sync");
    loop {
        let now = state(client, backup).await?;
        match now["state"].as_str() {
            Some("active") => {
                spinner.finish_and_clear();
                return Ok(now);
            }
            Some("failed" | "stopped") => bail!("the backup is {}: {}", field(&now, "state"), field(&now, "lastError")),
            _ => spinner.set_message(format!("{}: {}{}", field(&now, "state"), field(&now, "phase"), progress(&now))),
        }
        sleep(POLL).await;
    }
}

fn progress(value: &Value) -> String {
    let progress = &value["progress"];
    match (progress["done"].as_u64(), progress["total"].as_u64()) {
        (Some(done), Some(total)) if total > 0 => {
            format!(", {} % of {total} {}", 100 * done.min(total) / total, field(progress, "unit"))
        }
        (Some(done), _) => format!(", {done} {}", field(progress, "unit")),
        _ => String::new(),
    }
}

fn termination(value: &Value) -> String {
    let mut text =
        format!("state      {}\nsnapshots  {} go with the trash", field(value, "state"), field(value, "goes"));
    text += &format!("\nfrees      {}\nundo until {}", bytes(&value["freesBytes"]), field(value, "undoUntil"));
    for range in items(&value["ranges"]) {
        text += &format!("\nrestorable {} .. {}", optime(&range["from"]), optime(&range["to"]));
    }
    for stays in items(&value["stays"]) {
        text +=
            &format!("\nstays      {} of {}: {}", field(stays, "snapshot"), field(stays, "at"), field(stays, "why"));
    }
    text
}

fn show(value: &Value) -> String {
    let mut text =
        format!("state      {}\nphase      {}{}", field(value, "state"), field(value, "phase"), progress(value));
    text += &format!("\nhead       {}\nlag        {} s", optime(&value["headOptime"]), field(value, "lagSeconds"));
    for range in items(&value["ranges"]) {
        text += &format!("\nrestorable {} .. {}", optime(&range["from"]), optime(&range["to"]));
    }
    let changes = &value["lastChanges"];
    if changes.is_object() {
        let read = field(changes, "refused");
        let how =
            if changes["refused"].is_null() { "only what changed".to_owned() } else { format!("everything: {read}") };
        text += &format!("\nread       {} of the last snapshot, {how}", bytes(&changes["readBytes"]));
    }
    let alert = &value["changesAlert"];
    if alert.is_object() {
        text += &format!(
            "\nALERT      snapshot {}: {} of {} blocks that the file system called unchanged had changed; it was read whole and is right; check the head's disk, then `holdfast backups acknowledge`",
            field(alert, "snapshot"),
            field(alert, "missed"),
            field(alert, "sampled"),
        );
    }
    if !value["lastError"].is_null() {
        text += &format!("\nlast error {}", field(value, "lastError"));
    }
    text
}
