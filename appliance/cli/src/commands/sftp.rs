//! `holdfast sftp`: servers to which restores of a group are pushed.
//!
//! Adding one looks at the server's host key first and shows its fingerprint; it is added only with that fingerprint given back, by
//! `--fingerprint` or on the terminal.

use std::io::{IsTerminal as _, Write as _};

use anyhow::bail;
use clap::Subcommand;
use serde_json::{Value, json};

use super::items;
use crate::{
    client::Client,
    output::{Output, bytes, field, table},
};

/// What can be done with SFTP targets.
#[derive(Debug, Subcommand)]
pub(crate) enum SftpCommand {
    /// Prints the public key with which the appliance logs in for a group: it goes into authorized_keys at the server.
    Key {
        /// Group, by name or id.
        group: String,
    },
    /// Lists the targets of a group.
    List {
        /// Group, by name or id.
        group: String,
    },
    /// Adds a target: shows the fingerprint of the server's host key, which is to be confirmed.
    Add {
        /// Group, by name or id.
        group: String,
        /// Name of the target.
        name: String,
        /// Name or address of the server.
        #[arg(long)]
        host: String,
        /// Port.
        #[arg(long, default_value_t = 22)]
        port: u16,
        /// User there.
        #[arg(long)]
        user: String,
        /// Folder there; default: the user's home.
        #[arg(long, default_value = "")]
        folder: String,
        /// The fingerprint (SHA256:...) that the server must show, as `ssh-keygen -lf` prints it there; default: ask on the terminal.
        #[arg(long)]
        fingerprint: Option<String>,
    },
    /// Logs in at a target as a push would, and says how much is free there.
    Test {
        /// Group, by name or id.
        group: String,
        /// Name of the target.
        name: String,
    },
    /// Removes a target; what was pushed stays there.
    Remove {
        /// Group, by name or id.
        group: String,
        /// Name of the target.
        name: String,
    },
    /// Pushes a restore that is ready: to one more target, or again where a push failed.
    Push {
        /// Id of the restore.
        restore: String,
        /// Name of a target of its group.
        name: String,
    },
    /// Says how far the push of a restore is.
    Show {
        /// Id of the restore.
        restore: String,
    },
    /// Calls the push of a restore off; its link goes on working.
    Cancel {
        /// Id of the restore.
        restore: String,
    },
}

pub(crate) async fn run(command: SftpCommand, client: &Client, output: &Output) -> anyhow::Result<()> {
    match command {
        SftpCommand::Key { group } => {
            let key = client.get(&["groups", &group, "sftp", "key"]).await?;
            output.value(&key, |key| field(key, "publicKey"));
        }
        SftpCommand::List { group } => {
            let targets = client.get(&["groups", &group, "sftp", "targets"]).await?;
            output.value(&targets, show);
        }
        SftpCommand::Add { group, name, host, port, user, folder, fingerprint } => {
            let at = json!({ "host": host, "port": port });
            let shown = client.post(&["groups", &group, "sftp", "look"], at).await?;
            confirm(&field(&shown, "fingerprint"), fingerprint.as_deref(), output)?;
            let new = json!({
                "name": name, "host": host, "port": port, "user": user, "folder": folder, "hostKey": shown["hostKey"],
            });
            let added = client.post(&["groups", &group, "sftp", "targets"], new).await?;
            output.value(&added, |added| show(&Value::Array(vec![added.clone()])));
        }
        SftpCommand::Test { group, name } => {
            let found = client.post(&["groups", &group, "sftp", "targets", &name, "test"], json!({})).await?;
            output.value(&found, |found| {
                format!("{name} lets the appliance in; free there: {}", bytes(&found["freeBytes"]))
            });
        }
        SftpCommand::Remove { group, name } => {
            let answer = client.delete(&["groups", &group, "sftp", "targets", &name]).await?;
            output.value(&answer, |_| format!("{name} is no target any more; what was pushed stays there"));
        }
        SftpCommand::Push { restore, name } => {
            let asked = client.post(&["restores", &restore, "delivery"], json!({ "sftp": name })).await?;
            output.value(&asked, |asked| {
                format!("{} at {name}: `holdfast sftp show {restore}` says how far it is", field(asked, "path"))
            });
        }
        SftpCommand::Show { restore } => {
            let found = client.get(&["restores", &restore]).await?;
            output.value(&found["delivery"], told);
        }
        SftpCommand::Cancel { restore } => {
            let answer = client.delete(&["restores", &restore, "delivery"]).await?;
            output.value(&answer, |_| "the push is called off; the link goes on working".to_owned());
        }
    }
    Ok(())
}

/// A push in words.
fn told(delivery: &Value) -> String {
    if delivery.is_null() {
        return "this restore is pushed nowhere".to_owned();
    }
    let line = format!(
        "{}  {} at {}  {} of {}",
        field(delivery, "state"),
        field(delivery, "path"),
        field(delivery, "target"),
        bytes(&delivery["sentBytes"]),
        bytes(&delivery["totalBytes"])
    );
    if delivery["error"].is_null() { line } else { format!("{line}\n{}", field(delivery, "error")) }
}

/// Compares with what was given, or asks.
fn confirm(shown: &str, given: Option<&str>, output: &Output) -> anyhow::Result<()> {
    if let Some(given) = given {
        if given.trim() == shown {
            return Ok(());
        }
        bail!("the server shows {shown}, not {given}: nothing was added");
    }
    if !std::io::stdin().is_terminal() {
        bail!(
            "the server shows {shown}: compare it with what ssh-keygen -lf prints there, and give it with --fingerprint"
        );
    }
    output.say(&format!("the server shows {shown}"));
    let mut stderr = std::io::stderr();
    write!(
        stderr,
        "Is that what `ssh-keygen -lf` prints there, of one of its /etc/ssh/ssh_host_*_key.pub? Type yes: "
    )?;
    stderr.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if answer.trim() == "yes" { Ok(()) } else { bail!("nothing was added") }
}

fn show(value: &Value) -> String {
    let names = ["name", "host", "port", "user", "folder", "fingerprint"];
    let rows: Vec<_> = items(value).iter().map(|target| names.map(|name| field(target, name)).to_vec()).collect();
    table(&names, &rows)
}
