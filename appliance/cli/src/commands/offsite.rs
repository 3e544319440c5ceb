//! `holdfast offsite`.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{blockstore::secret, items};
use crate::{
    client::{Client, is_away, outlasting},
    output::{Output, bytes, field, optime, table},
};

const POLL: Duration = Duration::from_millis(500);

#[derive(Debug, Subcommand)]
pub(crate) enum OffsiteCommand {
    /// Adds a standing order: pull snapshots from another Holdfast, or push them to a second blockstore.
    Add(Box<AddArgs>),
    /// Lists the offsite copies.
    List,
    /// Shows an offsite copy, its run and its last result.
    Show {
        /// Its name.
        name: String,
    },
    /// Runs an offsite copy now.
    Run {
        /// Its name.
        name: String,
        /// Wait until the run has ended; fails when it is not complete.
        #[arg(long)]
        wait: bool,
    },
    /// Removes an offsite copy; what was copied stays.
    Remove {
        /// Its name.
        name: String,
    },
    /// Lists the snapshots that were pulled.
    Snapshots {
        /// Name of the offsite copy.
        name: String,
    },
    /// Makes a link to download a pulled snapshot.
    Restore {
        /// Name of the offsite copy.
        name: String,
        /// The snapshot's id here.
        snapshot: String,
        /// tar, tar.zst or tar.gz.
        #[arg(long, default_value = "tar.zst")]
        format: String,
    },
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("peer").required(true).args(["from", "to"]))]
pub(crate) struct AddArgs {
    /// Its name: letters, digits, `-`, `_`, `.`.
    name: String,
    /// Pull: the other Holdfast's web service, https://host:8080.
    #[arg(long, value_name = "URL", requires_all = ["from_key", "group"])]
    from: Option<String>,
    /// Pull: file with an API key of that Holdfast, of the role operator.
    #[arg(long, value_name = "FILE")]
    from_key: Option<PathBuf>,
    /// Pull: file with the certificate of its CA (PEM), the only one to trust.
    #[arg(long, value_name = "FILE")]
    from_ca: Option<PathBuf>,
    /// Pull: group here whose keys may see and restore what comes.
    #[arg(long)]
    group: Option<String>,
    /// Pull: file with the exported key of a group there that encrypts; may be given several times.
    #[arg(long, value_name = "FILE")]
    from_group_key: Vec<PathBuf>,
    /// Push: file with the connection string of the second store's database, as the daemons reach it.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Push: name of its database.
    #[arg(long, default_value = "holdfast_offsite")]
    database: String,
    /// Push: folder of its packs, as the daemons see it; without --packs and --bucket payloads lie in its database.
    #[arg(long, value_name = "DIR", requires = "to", conflicts_with = "bucket")]
    packs: Option<String>,
    /// Push: bucket of its packs, which must exist. The access key's secret is read from $HOLDFAST_S3_SECRET_ACCESS_KEY.
    #[arg(long, requires_all = ["to", "access_key_id"])]
    bucket: Option<String>,
    /// Push: folder in the bucket.
    #[arg(long, default_value = "")]
    prefix: String,
    /// Push: URL of the bucket's service; default: Amazon's.
    #[arg(long, value_name = "URL", requires = "bucket")]
    endpoint: Option<String>,
    /// Push: region of the bucket.
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// Push: name of the bucket's access key.
    #[arg(long, requires = "bucket")]
    access_key_id: Option<String>,
    /// Only these groups of the source; may be given several times.
    #[arg(long, value_name = "GROUP")]
    only_group: Vec<String>,
    /// Only these replica sets.
    #[arg(long, value_name = "RS")]
    only_rs: Vec<String>,
    /// Only snapshots with these labels.
    #[arg(long, value_name = "LABEL")]
    only_label: Vec<String>,
    /// Of each day that is over, the last snapshot only.
    #[arg(long)]
    last_of_day: bool,
    /// Younger snapshots wait, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    min_age: u32,
    /// Distance of two runs, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    every: u32,
    /// Bytes per second, at most.
    #[arg(long, value_name = "BYTES")]
    bandwidth: Option<i64>,
    /// Keep copies for so many days, and the newest; without it as long as the source keeps the snapshot.
    #[arg(long, value_name = "N")]
    keep_days: Option<u32>,
    /// Run only when asked to.
    #[arg(long)]
    disabled: bool,
}

pub(crate) async fn run(command: OffsiteCommand, client: &Client, output: &Output) -> anyhow::Result<()> {
    let copies = ["offsite", "copies"];
    match command {
        OffsiteCommand::Add(add) => {
            let body = body(&add)?;
            output.value(&client.post(&copies, body).await?, |one| list(std::slice::from_ref(one)));
        }
        OffsiteCommand::List => output.value(&client.get(&copies).await?, |all| list(items(all))),
        OffsiteCommand::Show { name } => output.value(&client.get(&["offsite", "copies", &name]).await?, show),
        OffsiteCommand::Run { name, wait } => {
            let path = ["offsite", "copies", name.as_str()];
            let before = client.get(&path).await?;
            client.post(&["offsite", "copies", &name, "run"], json!({})).await?;
            if !wait {
                output.say("asked for");
                return Ok(());
            }
            let spinner = output.spinner("offsite copy");
            let ended = loop {
                let now = outlasting(is_away, || client.get(&path)).await?;
                // Another run may have been under way: the one asked for is over when nothing runs and nothing is asked.
                if now["state"] == "idle" && now["last"] != before["last"] {
                    break now;
                }
                if let Some(done) = now["progress"].as_object() {
                    let sent = bytes(done.get("sentBytes").unwrap_or(&Value::Null));
                    spinner.set_message(format!(
                        "offsite copy: snapshot {} of {}, {sent} sent",
                        done.get("snapshots").and_then(Value::as_i64).unwrap_or(0) + 1,
                        done.get("snapshotsTotal").and_then(Value::as_i64).unwrap_or(0)
                    ));
                }
                sleep(POLL).await;
            };
            spinner.finish_and_clear();
            output.value(&ended, show);
            if let Some(error) = ended["last"]["error"].as_str() {
                bail!("the run is not complete: {error}");
            }
        }
        OffsiteCommand::Remove { name } => {
            let answer = client.delete(&["offsite", "copies", &name]).await?;
            output.value(&answer, |_| format!("offsite copy {name} is removed; what was copied stays"));
        }
        OffsiteCommand::Snapshots { name } => {
            let all = client.get(&["offsite", "copies", &name, "snapshots"]).await?;
            output.value(&all, |all| {
                let row = |one: &Value| {
                    let texts = ["id", "rs"].map(|name| field(one, name));
                    let more = [optime(&one["optime"]), field(one, "state"), bytes(&one["logicalBytes"])];
                    let origin = ["origin", "originId", "label"].map(|name| field(one, name));
                    texts.into_iter().chain(more).chain(origin).collect::<Vec<_>>()
                };
                let rows: Vec<_> = items(all).iter().map(row).collect();
                table(&["id", "rs", "optime", "state", "size", "origin", "its id there", "label"], &rows)
            });
        }
        OffsiteCommand::Restore { name, snapshot, format } => {
            let body = json!({ "snapshot": snapshot, "format": format });
            let made = client.post(&["offsite", "copies", &name, "restores"], body).await?;
            output.value(&made, |made| field(made, "url"));
        }
    }
    Ok(())
}

fn read(path: &PathBuf) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    Ok(text.trim().to_owned())
}

fn body(add: &AddArgs) -> anyhow::Result<Value> {
    let mut body = json!({
        "name": add.name,
        "filter": {
            "groups": add.only_group,
            "replicaSets": add.only_rs,
            "labels": add.only_label,
            "lastOfDay": add.last_of_day,
            "minAgeSeconds": add.min_age,
        },
        "everySeconds": add.every,
        "bytesPerSecond": add.bandwidth,
        "keepDays": add.keep_days,
        "disabled": add.disabled,
    });
    match (&add.from, &add.to) {
        (Some(url), None) => {
            let key = read(add.from_key.as_ref().context("--from needs --from-key")?)?;
            let ca = add.from_ca.as_ref().map(read).transpose()?;
            let group = add.group.as_ref().context("--from needs --group")?;
            let keys = add.from_group_key.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?;
            body["from"] = json!({ "url": url, "key": key, "ca": ca, "intoGroup": group, "groupKeys": keys });
        }
        (None, Some(uri)) => {
            let s3 = match &add.bucket {
                None => Value::Null,
                Some(bucket) => json!({
                    "bucket": bucket, "prefix": add.prefix, "endpoint": add.endpoint, "region": add.region,
                    "accessKeyId": add.access_key_id, "secretAccessKey": secret()?,
                }),
            };
            body["to"] = json!({ "uri": read(uri)?, "database": add.database, "packs": add.packs, "s3": s3 });
        }
        _ => bail!("give --from or --to, one of them"),
    }
    Ok(body)
}

fn list(copies: &[Value]) -> String {
    let row = |one: &Value| {
        let last = match (&one["last"], one["last"]["error"].as_str()) {
            (Value::Null, _) => "-".to_owned(),
            (last, None) => format!("{} ok", field(last, "finished")),
            (last, Some(_)) => format!("{} not complete", field(last, "finished")),
        };
        let enabled = if one["enabled"] == true { "yes" } else { "no" };
        let mut row: Vec<_> = ["name", "kind", "peer", "everySeconds"].map(|name| field(one, name)).into();
        row.extend([enabled.to_owned(), field(one, "state"), last]);
        row
    };
    let rows: Vec<_> = copies.iter().map(row).collect();
    table(&["name", "kind", "peer", "every s", "enabled", "state", "last run"], &rows)
}

fn show(one: &Value) -> String {
    let mut text = list(std::slice::from_ref(one));
    if let Value::Object(_) = &one["progress"] {
        let done = &one["progress"];
        text.push_str(&format!(
            "\nrunning: {} of {} snapshots done; now {}: {} of {}; {} blocks, {} sent",
            field(done, "snapshots"),
            field(done, "snapshotsTotal"),
            field(done, "snapshot"),
            bytes(&done["bytes"]),
            bytes(&done["bytesTotal"]),
            field(done, "sentBlocks"),
            bytes(&done["sentBytes"]),
        ));
    }
    if let Value::Object(_) = &one["last"] {
        let last = &one["last"];
        text.push_str(&format!(
            "\nlast run: {} copied, {} there already, {} to the trash; {} blocks, {} sent, {} blocks read back",
            field(last, "copied"),
            field(last, "present"),
            field(last, "trashed"),
            field(last, "sentBlocks"),
            bytes(&last["sentBytes"]),
            field(last, "provedBlocks"),
        ));
        if let Some(error) = last["error"].as_str() {
            text.push_str(&format!("\nnot complete: {error}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use clap::Parser as _;
    use serde_json::Value;

    use crate::args::{Cli, Command};

    fn parsed(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn an_order_goes_one_way_and_says_all_that_it_needs() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key");
        std::fs::write(&key, "hfk_secret\n").unwrap();
        let pull = format!(
            "holdfast offsite add vault --from https://a:8080 --from-key {} --group g --only-rs rs0 --last-of-day --keep-days 30",
            key.display()
        );
        let Command::Offsite(super::OffsiteCommand::Add(add)) = parsed(&pull).unwrap().command else { panic!() };
        let body = super::body(&add).unwrap();
        assert_eq!(body["from"]["key"], "hfk_secret");
        assert_eq!(body["from"]["intoGroup"], "g");
        assert_eq!(body["filter"]["replicaSets"][0], "rs0");
        assert_eq!((&body["keepDays"], &body["everySeconds"]), (&30.into(), &3600.into()));
        let push = format!("holdfast offsite add far --to {}", key.display());
        let Command::Offsite(super::OffsiteCommand::Add(add)) = parsed(&push).unwrap().command else { panic!() };
        let body = super::body(&add).unwrap();
        assert_eq!((&body["to"]["s3"], &body["to"]["packs"]), (&Value::Null, &Value::Null));
        assert!(parsed(&format!("{push} --bucket b --access-key-id i --prefix p")).is_ok());
        for wrong in [
            "holdfast offsite add vault",
            "holdfast offsite add vault --from https://a:8080",
            "holdfast offsite add vault --from https://a:8080 --from-key k --group g --to f",
            "holdfast offsite add vault --to f --packs d --bucket b --access-key-id i",
            "holdfast offsite add vault --to f --bucket b",
            "holdfast offsite add vault --from https://a:8080 --from-key k --group g --bucket b --access-key-id i",
        ] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
