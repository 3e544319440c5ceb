//! `holdfast blockstore`.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::items;
use crate::{
    args::{BlockstoreCommand, RetentionArgs, StoresCommand},
    client::{Client, is_away, outlasting},
    output::{Output, bytes, field, table},
};

const POLL: Duration = Duration::from_millis(500);
/// Where the secret of an access key is read from.
const SECRET_VARIABLE: &str = "HOLDFAST_S3_SECRET_ACCESS_KEY";

pub(crate) async fn run(command: BlockstoreCommand, client: &Client, output: &Output) -> anyhow::Result<()> {
    match command {
        BlockstoreCommand::Show => output.value(&client.get(&["blockstore"]).await?, show),
        BlockstoreCommand::Report => output.value(&client.get(&["blockstore", "report"]).await?, report),
        BlockstoreCommand::Collect { dry_run, no_wait } => {
            let kind = if dry_run { "plan" } else { "collect" };
            ask(client, output, json!({"kind": kind}), no_wait).await?;
        }
        BlockstoreCommand::WhatIf { retention, fresh } => {
            let retention = policy(&retention);
            if fresh {
                ask(client, output, json!({"kind": "whatIf", "retention": retention}), false).await?;
            } else {
                let answer = client.post(&["blockstore", "whatIf"], json!({"retention": retention})).await?;
                output.value(&answer, |a| {
                    format!(
                        "{} snapshots would go and free {} (as of {})",
                        field(a, "count"),
                        bytes(&a["freed"]["storedBytes"]),
                        field(a, "accountAt")
                    )
                });
            }
        }
        BlockstoreCommand::Verify { snapshot, no_wait } => {
            ask(client, output, json!({"kind": "verify", "snapshot": snapshot}), no_wait).await?;
        }
        BlockstoreCommand::Requests => {
            let all = client.get(&["blockstore", "requests"]).await?;
            output.value(&all, |all| {
                let row = |r: &Value| {
                    let doing = progress(r);
                    let mut row = ["id", "kind", "state", "askedAt", "askedBy"].map(|name| field(r, name)).to_vec();
                    row.push(if r["state"] == "running" { doing } else { r["error"].as_str().unwrap_or("").into() });
                    row
                };
                table(&["id", "kind", "state", "asked", "by", ""], &items(all).iter().map(row).collect::<Vec<_>>())
            });
        }
        BlockstoreCommand::Cancel { request } => {
            let answer = client.delete(&["blockstore", "requests", &request]).await?;
            output.value(&answer, |_| format!("request {request} is called off"));
        }
        BlockstoreCommand::Stores(command) => stores(command, client, output).await?,
    }
    Ok(())
}

async fn stores(command: StoresCommand, client: &Client, output: &Output) -> anyhow::Result<()> {
    const PATH: [&str; 2] = ["blockstore", "stores"];
    match command {
        StoresCommand::List => output.value(&client.get(&PATH).await?, store_table),
        StoresCommand::Add {
            directory,
            bucket,
            endpoint,
            region,
            prefix,
            access_key_id,
            default,
            pack_mib,
            bandwidth,
        } => {
            let mut new = json!({"default": default, "packMib": pack_mib, "bandwidthBytesPerSecond": bandwidth});
            match (directory, bucket) {
                (Some(directory), _) => {
                    let folder = std::path::absolute(&directory).context("the folder's path")?;
                    new["directory"] = folder.to_string_lossy().into();
                }
                (None, Some(bucket)) => {
                    new["s3"] = json!({
                        "bucket": bucket, "endpoint": endpoint, "region": region, "prefix": prefix,
                        "accessKeyId": access_key_id, "secretAccessKey": secret()?,
                    });
                }
                (None, None) => bail!("a folder (--directory) or a bucket (--bucket) is needed"),
            }
            let added = client.post(&PATH, new).await?;
            output.value(&added, |s| format!("payload store {} added", field(s, "number")));
        }
        StoresCommand::Set { number, default, bandwidth, access_key_id, activate } => {
            let mut change = json!({});
            if default {
                change["default"] = true.into();
            }
            if activate {
                change["state"] = "active".into();
            }
            if let Some(bandwidth) = bandwidth {
                change["bandwidthBytesPerSecond"] = bandwidth.into();
            }
            if let Some(id) = access_key_id {
                change["accessKeyId"] = id.into();
                change["secretAccessKey"] = secret()?.into();
            }
            let changed = client.patch(&["blockstore", "stores", &number.to_string()], change).await?;
            output.value(&changed, |s| store_table(&Value::Array(vec![s.clone()])));
        }
        StoresCommand::Move { from, to, no_wait } => {
            ask(client, output, json!({"kind": "move", "from": from, "to": to}), no_wait).await?;
        }
        StoresCommand::Retire { number } => {
            let path = ["blockstore", "stores", &number.to_string()];
            let retired = client.patch(&path, json!({"state": "retired"})).await?;
            output.value(&retired, |_| format!("payload store {number} is retired"));
        }
    }
    Ok(())
}

/// The secret of a bucket's access key. Not an argument, which every user of the machine could read.
pub(super) fn secret() -> anyhow::Result<String> {
    std::env::var(SECRET_VARIABLE).with_context(|| format!("the access key's secret is expected in ${SECRET_VARIABLE}"))
}

fn policy(args: &RetentionArgs) -> Value {
    json!({
        "recentHours": args.recent_hours, "sixHourlyDays": args.six_hourly_days, "dailyDays": args.daily_days,
        "weeklyWeeks": args.weekly_weeks, "monthlyMonths": args.monthly_months,
        "oplogWindowDays": args.oplog_window_days,
    })
}

/// Asks, and waits for the end unless told not to.
async fn ask(client: &Client, output: &Output, what: Value, no_wait: bool) -> anyhow::Result<()> {
    let asked = client.post(&["blockstore", "requests"], what).await?;
    let id = field(&asked, "id");
    if no_wait {
        output.value(&asked, |_| format!("asked for (request {id})"));
        return Ok(());
    }
    let spinner = output.spinner("waits for a daemon");
    let ended = loop {
        let path = ["blockstore", "requests", &id];
        let request = outlasting(is_away, || client.get(&path)).await?;
        match request["state"].as_str() {
            Some("queued") => {}
            Some("running") => spinner.set_message(progress(&request)),
            _ => break request,
        }
        sleep(POLL).await;
    };
    spinner.finish_and_clear();
    match ended["state"].as_str() {
        Some("done") => output.value(&ended, |request| result(&request["result"])),
        Some("cancelled") => bail!("the request was called off"),
        _ => bail!("it failed: {}", field(&ended, "error")),
    }
    Ok(())
}

fn progress(request: &Value) -> String {
    let progress = &request["progress"];
    let (phase, unit) = (field(progress, "phase"), field(progress, "unit"));
    let amount = |value: &Value| if unit == "bytes" { bytes(value) } else { value.to_string() };
    match progress["total"].as_u64() {
        Some(0) | None if progress["done"].as_u64().unwrap_or(0) == 0 => phase,
        Some(0) | None => format!("{phase} ({})", amount(&progress["done"])),
        Some(_) if unit == "permille" => format!("{phase} ({} %)", progress["done"].as_u64().unwrap_or(0) / 10),
        Some(_) => format!("{phase} ({} of {} {unit})", amount(&progress["done"]), amount(&progress["total"])),
    }
}

/// Lines of `name value`; amounts by their stored bytes.
fn result(value: &Value) -> String {
    let Some(fields) = value.as_object() else { return String::new() };
    let line = |(name, value): (&String, &Value)| {
        let shown = match value {
            Value::Object(amount) if amount.contains_key("storedBytes") => {
                format!("{} blocks, {} stored", value["blocks"], bytes(&value["storedBytes"]))
            }
            Value::Array(all) => format!("{}", all.len()),
            Value::Number(_) if name.ends_with("Bytes") || name == "bytes" => bytes(value),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        vec![words(name), shown]
    };
    let rows: Vec<_> = fields.iter().map(line).collect();
    table(&["", ""], &rows).trim_start().to_owned()
}

/// `freedOnDiskBytes` as `freed on disk bytes`.
fn words(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() {
            out.push(' ');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

fn store_table(value: &Value) -> String {
    let row = |s: &Value| {
        let mut row = vec![field(s, "number"), field(s, "kind"), field(s, "location"), field(s, "state")];
        row.push(if s["default"] == true { "default" } else { "" }.into());
        row.extend([field(s, "packs"), bytes(&s["bytes"]), bytes(&s["bandwidthBytesPerSecond"])]);
        row.push(s["fault"].as_str().unwrap_or("").to_owned());
        row
    };
    let rows: Vec<_> = items(value).iter().map(row).collect();
    table(&["number", "kind", "location", "state", "", "packs", "bytes", "bytes/s", "fault"], &rows)
}

fn show(value: &Value) -> String {
    let account = &value["account"];
    let last = &value["lastCollection"];
    let never = value["verification"]["never"].as_u64().unwrap_or(0);
    let verified = match value["verification"]["allSince"].as_str() {
        Some(at) => format!("everything was read back since {at}"),
        None => format!("{never} of 256 shares were never read back"),
    };
    let rows: Vec<Vec<String>> = [
        ("snapshots", format!("{} ({} in the trash)", field(value, "snapshots"), field(value, "trashed"))),
        ("logical", bytes(&value["logicalBytes"])),
        ("distinct", format!("{} in {} blocks", bytes(&value["rawBytes"]), field(value, "blocks"))),
        ("stored", bytes(&value["storedBytes"])),
        ("shared, stored", bytes(&account["shared"]["storedBytes"])),
        ("unique, stored", bytes(&account["unique"]["storedBytes"])),
        ("reclaimable", format!("{} (as of {})", bytes(&account["reclaimable"]["storedBytes"]), field(account, "at"))),
        ("on disk", bytes(&value["diskBytes"])),
        ("free for reuse", bytes(&value["reusableBytes"])),
        (
            "last collection",
            format!(
                "{}: {} freed for reuse, {} freed on disk",
                field(last, "finishedAt"),
                bytes(&last["freedForReuseBytes"]),
                bytes(&last["freedOnDiskBytes"])
            ),
        ),
        ("verification", verified),
    ]
    .into_iter()
    .map(|(name, value)| vec![name.to_owned(), value])
    .collect();
    format!("{}\n\n{}{}", table(&["", ""], &rows).trim_start(), store_table(&value["stores"]), damaged(value))
}

fn damaged(value: &Value) -> String {
    items(&value["damaged"])
        .iter()
        .map(|one| {
            format!("\nDAMAGED: snapshot {} of {}/{}", field(one, "snapshot"), field(one, "group"), field(one, "rs"))
        })
        .collect()
}

fn report(value: &Value) -> String {
    let row = |check: &Value| {
        let bad = items(&check["bad"]).first().and_then(Value::as_str).unwrap_or("").to_owned();
        vec![field(check, "snapshot"), field(check, "at"), bytes(&check["bytes"]), field(check, "badCount"), bad]
    };
    let rows: Vec<_> = items(&value["checks"]).iter().map(row).collect();
    let since = match value["verification"]["allSince"].as_str() {
        Some(at) => format!("everything was read back since {at}"),
        None => format!("{} of 256 shares were never read back", field(&value["verification"], "never")),
    };
    format!("{since}{}\n\n{}", damaged(value), table(&["snapshot", "verified", "bytes", "bad", ""], &rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_and_progress_read_as_text() {
        let text =
            result(&json!({"freedOnDiskBytes": 2000, "unlinked": ["a"], "live": {"blocks": 2, "storedBytes": 9}}));
        assert!(text.contains("freed on disk bytes  2.0 kB"), "{text}");
        assert!(text.contains("2 blocks, 9 B stored") && text.contains("unlinked"), "{text}");
        let at = |done: u64, total: u64, unit: &str| {
            progress(&json!({"progress": {"phase": "p", "done": done, "total": total, "unit": unit}}))
        };
        assert_eq!(at(0, 0, ""), "p");
        assert_eq!(at(500, 1000, "permille"), "p (50 %)");
        assert_eq!(at(1000, 0, "bytes"), "p (1.0 kB)");
        assert_eq!(at(3, 256, "slices"), "p (3 of 256 slices)");
    }
}
