//! `holdfast deployments`.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::items;
use crate::{
    args::DeploymentsCommand,
    client::Client,
    output::{Output, field, table},
};

/// How long an agent may take to look at a replica set: it polls every 30 s at the latest.
const DISCOVERY_WAIT_MAX: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(500);

pub(crate) async fn run(command: DeploymentsCommand, client: &Client, output: &Output) -> anyhow::Result<()> {
    match command {
        DeploymentsCommand::Add { group, uri, no_store } => {
            let body = json!({"uri": uri, "storeCredentials": !no_store});
            let created = client.post(&["groups", &group, "deployments"], body).await?;
            let found = wait_found(client, &group, &field(&created, "id"), output).await?;
            output.value(&Value::Array(vec![found]), show);
        }
        DeploymentsCommand::List { group } => {
            output.value(&client.get(&["groups", &group, "deployments"]).await?, show);
        }
        DeploymentsCommand::Remove { group, deployment } => {
            let all = client.get(&["groups", &group, "deployments"]).await?;
            let named = |d: &&Value| d["rs"] == deployment.as_str() || d["id"] == deployment.as_str();
            let found = items(&all).iter().find(named);
            let found = found.with_context(|| format!("group {group} has no deployment {deployment}"))?;
            let answer = client.delete(&["groups", &group, "deployments", &field(found, "id")]).await?;
            output.value(&answer, |_| format!("{deployment} is removed; `holdfast deployments add` adds it again"));
        }
    }
    Ok(())
}

async fn wait_found(client: &Client, group: &str, id: &str, output: &Output) -> anyhow::Result<Value> {
    let spinner = output.spinner("the group's agent looks at the replica set");
    let deadline = Instant::now() + DISCOVERY_WAIT_MAX;
    let found = loop {
        let deployment = client.get(&["groups", group, "deployments", id]).await?;
        match deployment["state"].as_str().context("a deployment without a state")? {
            "discovering" if Instant::now() < deadline => sleep(POLL).await,
            "discovering" => bail!(
                "no agent of group {group} has looked at it within {} s: is one running? `holdfast agents enroll {group}` \
                 prints the line to start one",
                DISCOVERY_WAIT_MAX.as_secs()
            ),
            "refused" => bail!("{}", field(&deployment, "refusal")),
            _ => break deployment,
        }
    };
    spinner.finish_and_clear();
    Ok(found)
}

fn show(value: &Value) -> String {
    let row = |d: &Value| {
        let hosts: Vec<&str> = items(&d["hosts"]).iter().filter_map(Value::as_str).collect();
        vec![field(d, "rs"), field(d, "state"), hosts.join(","), field(d, "version")]
    };
    table(&["rs", "state", "hosts", "version"], &items(value).iter().map(row).collect::<Vec<_>>())
}
