//! Where the appliance is and with which key to talk to it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Deserialize;

use crate::client::Client;

/// File that `holdfast up` writes when everything serves.
pub(crate) const READY_FILE: &str = "ready.json";
/// Folder of `holdfast up` when none is named.
pub(crate) const DEFAULT_DIR: &str = "holdfast-data";

#[derive(Debug, Args)]
pub(crate) struct Connection {
    /// Print JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The appliance, e.g. https://appliance:8080.
    #[arg(long, global = true, env = "HOLDFAST_URL", value_name = "URL")]
    pub(crate) url: Option<String>,
    /// API key.
    #[arg(long, global = true, env = "HOLDFAST_KEY", value_name = "KEY", hide_env_values = true)]
    pub(crate) key: Option<String>,
    /// The appliance's CA certificate, PEM.
    #[arg(long, global = true, env = "HOLDFAST_CA", value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Folder of a `holdfast up` on this machine.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// The part of ready.json that a client needs.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ready {
    web_url: String,
    ca_file: PathBuf,
    admin_key: String,
}

impl Connection {
    /// A client for the appliance that the options, the environment or the folder name.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        if let (Some(url), None) = (&self.url, &self.dir) {
            let key = self.key.clone().context("an API key is needed: set HOLDFAST_KEY or give --key")?;
            return Client::new(url, key, self.ca.as_deref());
        }
        let dir = self.dir.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DIR));
        let ready = read_ready(&dir)?;
        let key = self.key.clone().unwrap_or(ready.admin_key);
        Client::new(self.url.as_deref().unwrap_or(&ready.web_url), key, Some(&ready.ca_file))
    }
}

fn read_ready(dir: &Path) -> anyhow::Result<Ready> {
    let path = dir.join(READY_FILE);
    let Ok(bytes) = std::fs::read(&path) else {
        bail!(
            "no appliance is known: {} does not exist. Start one with `holdfast up`, name its folder with --dir, or set \
             HOLDFAST_URL, HOLDFAST_KEY and HOLDFAST_CA",
            path.display()
        );
    };
    serde_json::from_slice(&bytes).with_context(|| format!("read {}", path.display()))
}
