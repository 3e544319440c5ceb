//! `holdfast groups`.

use serde_json::json;

use super::items;
use crate::{
    args::GroupsCommand,
    client::Client,
    output::{Output, field, table},
};

pub(crate) async fn run(command: GroupsCommand, client: &Client, output: &Output) -> anyhow::Result<()> {
    match command {
        GroupsCommand::Create { name } => {
            let group = client.post(&["groups"], json!({"name": name})).await?;
            output.value(&group, |g| format!("group {} created ({})", field(g, "name"), field(g, "id")));
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
