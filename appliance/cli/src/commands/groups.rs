//! `holdfast groups`.

use std::{fs::OpenOptions, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

use anyhow::Context as _;
use serde_json::json;

use super::items;
use crate::{
    args::{GroupsCommand, KeyCommand},
    client::Client,
    output::{Output, field, table},
};

pub(crate) async fn run(command: GroupsCommand, client: &Client, output: &Output) -> anyhow::Result<()> {
    match command {
        GroupsCommand::Create { name, encrypt } => {
            let group = client.post(&["groups"], json!({"name": name, "encrypt": encrypt})).await?;
            output.value(&group, |g| {
                let made = format!("group {} created ({})", field(g, "name"), field(g, "id"));
                let hint =
                    format!("\nexport its key and keep it apart: holdfast groups key export {}", field(g, "name"));
                if encrypt { made + &hint } else { made }
            });
        }
        GroupsCommand::Key(KeyCommand::Export { group, html, output: file }) => {
            let form = if html { "html" } else { "file" };
            let exported = client.post(&["groups", &group, "key", "export"], json!({"form": form})).await?;
            match file {
                None => output.value(&exported, |key| field(key, "content")),
                Some(path) => {
                    let content = exported["content"].as_str().context("the answer holds no key")?;
                    write_secret(&path, content).with_context(|| format!("write {}", path.display()))?;
                    let said = json!({"keyId": exported["keyId"], "file": path});
                    output.value(&said, |_| {
                        format!("the key is in {}: keep it where the backups are not", path.display())
                    });
                }
            }
        }
        GroupsCommand::List => {
            let groups = client.get(&["groups"]).await?;
            output.value(&groups, |g| {
                let rows: Vec<_> = items(g).iter().map(|g| vec![field(g, "name"), field(g, "id")]).collect();
                table(&["name", "id"], &rows)
            });
        }
    }
    Ok(())
}

/// A new file that only its owner can read.
fn write_secret(path: &Path, content: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()
}
