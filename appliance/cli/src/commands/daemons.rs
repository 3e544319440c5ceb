//! `holdfast daemons`.

use super::items;
use crate::{
    args::DaemonsCommand,
    client::Client,
    output::{Output, bytes, field, table},
};

pub(crate) async fn run(command: DaemonsCommand, client: &Client, output: &Output) -> anyhow::Result<()> {
    let DaemonsCommand::List = command;
    let daemons = client.get(&["daemons"]).await?;
    output.value(&daemons, |value| {
        let row = |d: &serde_json::Value| {
            let names = ["name", "id", "state", "heads", "labels"].map(|name| field(d, name));
            let mut row = names.to_vec();
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
