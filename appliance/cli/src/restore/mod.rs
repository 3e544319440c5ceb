//! `holdfast restore`: asks for a restore, waits for it, and brings it where it is wanted.
//!
//! A download that breaks is resumed where it stopped (`Range`, `If-Range`); an unpacked folder is compared with the
//! server's list of BLAKE3 sums before the command says that it is done.

mod delivered;
mod fetch;
mod sums;
mod unpack;

use std::{path::Path, time::Duration};

use anyhow::{Context as _, bail};
use holdfast_domain::ArchiveFormat;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    args::RestoreArgs,
    client::{Client, answers_away, is_away, outlasting},
    output::{Output, bytes, field, optime},
};

const POLL: Duration = Duration::from_millis(500);
/// How long the ledger may take to pass an instant when asked to wait, in seconds.
const LEDGER_WAIT_SECONDS: u32 = 60;

pub(crate) async fn run(request: RestoreArgs, client: &Client, output: &Output) -> anyhow::Result<()> {
    if let Some(to) = &request.to {
        unpack::check_target(to)?;
    }
    let created = create(&request, client).await?;
    if request.sftp.is_some() {
        let told = if request.wait { delivered::wait(client, created, output).await? } else { created };
        output.value(&told, delivered::show);
        return Ok(());
    }
    if request.link && !request.wait {
        output.value(&created, show);
        return Ok(());
    }
    let ready = wait_ready(client, created, output).await?;
    let url = ready["url"].as_str().context("the appliance gave no link")?.to_owned();
    if let Some(file) = &request.output {
        let size = ready["bytes"].as_u64();
        fetch::to_file(client.http(), &url, file, output.bytes_bar("download", size)).await?;
        output.say(&format!("saved {} ({})", file.display(), bytes(&ready["bytes"])));
    } else if let Some(to) = &request.to {
        unpack_checked(client, &url, to, &ready, format_of(&request), output).await?;
    }
    output.value(&ready, show);
    Ok(())
}

/// Unpacking on the fly reads tar and tar.zst; a gzip would only cost time on both sides.
fn format_of(request: &RestoreArgs) -> ArchiveFormat {
    match (request.archive_format(), &request.to) {
        (ArchiveFormat::TarGz, Some(_)) => ArchiveFormat::TarZst,
        (format, _) => format,
    }
}

async fn create(request: &RestoreArgs, client: &Client) -> anyhow::Result<Value> {
    let mut body = json!({"format": format_of(request).to_string()});
    let fields = [
        ("snapshot", request.snapshot.clone().map(Value::from)),
        ("at", request.at.clone().map(|at| Value::from(at.0))),
        ("chain", request.chain.map(Value::from)),
        ("reason", request.reason.clone().map(Value::from)),
        ("hours", request.hours.map(Value::from)),
        ("uses", request.uses.map(Value::from)),
        ("sftp", request.sftp.clone().map(Value::from)),
        ("waitSeconds", request.wait.then_some(Value::from(LEDGER_WAIT_SECONDS))),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            body[name] = value;
        }
    }
    let path = ["groups", &request.backup.group, "backups", &request.backup.rs, "restores"];
    if !request.wait {
        return client.post(&path, body).await;
    }
    // Where an answer was lost the restore is made twice, which costs a little space until the first one's link expires.
    outlasting(answers_away, || client.post(&path, body.clone())).await
}

/// Waits until the link works. The link itself is only in the first answer: the server keeps no more than its hash.
async fn wait_ready(client: &Client, created: Value, output: &Output) -> anyhow::Result<Value> {
    let id = field(&created, "id");
    let (path, url) = (["restores", id.as_str()], created["url"].clone());
    let spinner = output.spinner("the daemon makes the restore");
    let mut now = created;
    loop {
        match now["state"].as_str() {
            Some("ready") => {
                spinner.finish_and_clear();
                now["url"] = url;
                return Ok(now);
            }
            Some("failed" | "expired") => bail!("the restore failed: {}", field(&now, "error")),
            _ => sleep(POLL).await,
        }
        now = outlasting(is_away, || client.get(&path)).await?;
    }
}

async fn unpack_checked(
    client: &Client,
    url: &str,
    to: &Path,
    ready: &Value,
    format: ArchiveFormat,
    output: &Output,
) -> anyhow::Result<()> {
    let bar = output.bytes_bar("download", ready["bytes"].as_u64());
    let (sink, source) = unpack::pipe();
    let target = to.to_owned();
    let unpacking = tokio::task::spawn_blocking(move || unpack::unpack(source, format, &target));
    let fetched = fetch::to_pipe(client.http(), url, sink, bar).await;
    let unpacked = unpacking.await.context("unpack")?;
    // The writer's error says more: a reader that stopped early only breaks the pipe.
    unpacked.and(fetched)?;
    let spinner = output.spinner("compare every file with the server's sums");
    let files = sums::check(client.http(), url, to).await?;
    spinner.finish_and_clear();
    output.say(&format!("unpacked {files} files into {}; all sums are right", to.display()));
    Ok(())
}

fn show(value: &Value) -> String {
    format!(
        "restore {}  {}  {}\n{}  {}  expires {}",
        field(value, "id"),
        field(value, "state"),
        optime(&value["optime"]),
        field(value, "url"),
        bytes(&value["bytes"]),
        field(value, "expires")
    )
}
