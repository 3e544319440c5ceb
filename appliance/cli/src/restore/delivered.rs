//! `--sftp`: waits until the daemon has pushed a restore to its target.

use anyhow::bail;
use serde_json::Value;
use tokio::time::sleep;

use super::POLL;
use crate::{
    client::{Client, is_away, outlasting},
    output::{Output, bytes, field},
};

/// Waits for the end of the push. The link, which only the first answer shows, is kept.
pub(super) async fn wait(client: &Client, created: Value, output: &Output) -> anyhow::Result<Value> {
    let id = field(&created, "id");
    let (path, url) = (["restores", id.as_str()], created["url"].clone());
    let spinner = output.spinner("the daemon makes the restore");
    let mut now = created;
    loop {
        let delivery = &now["delivery"];
        match delivery["state"].as_str() {
            Some("delivered") => {
                spinner.finish_and_clear();
                now["url"] = url;
                return Ok(now);
            }
            Some("failed") => bail!("the restore was not pushed: {}", field(delivery, "error")),
            Some("cancelled") => bail!("the push was called off"),
            Some("sending") => spinner.set_message(format!(
                "push to {}: {} of {}, {}/s",
                field(delivery, "target"),
                bytes(&delivery["sentBytes"]),
                bytes(&delivery["totalBytes"]),
                bytes(&delivery["bytesPerSecond"])
            )),
            _ if now["state"] == "failed" => bail!("the restore failed: {}", field(&now, "error")),
            _ => {}
        }
        sleep(POLL).await;
        now = outlasting(is_away, || client.get(&path)).await?;
    }
}

pub(super) fn show(value: &Value) -> String {
    let delivery = &value["delivery"];
    format!(
        "restore {}  {}\n{}  {} at {}, its sums beside it in {}.sums",
        field(value, "id"),
        field(value, "state"),
        field(delivery, "state"),
        field(delivery, "path"),
        field(delivery, "target"),
        field(delivery, "path")
    )
}
