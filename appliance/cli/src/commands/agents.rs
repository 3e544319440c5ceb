//! `holdfast agents`.

use serde_json::json;

use super::items;
use crate::{
    args::AgentsCommand,
    client::Client,
    output::{Output, field, table},
};

pub(crate) async fn run(command: AgentsCommand, client: &Client, output: &Output) -> anyhow::Result<()> {
    match command {
        AgentsCommand::Enroll { group } => {
            let token = client.post(&["groups", &group, "enrollTokens"], json!({})).await?;
            output.value(&token, |t| format!("Run beside the databases:\n\n  {}\n", field(t, "command")));
        }
        AgentsCommand::List { group } => {
            let agents = client.get(&["groups", &group, "agents"]).await?;
            output.value(&agents, |value| {
                let names = ["id", "hostname", "version", "lastSeen"];
                let rows: Vec<_> = items(value).iter().map(|a| names.map(|n| field(a, n)).to_vec()).collect();
                table(&["id", "host", "version", "last seen"], &rows)
            });
        }
    }
    Ok(())
}
