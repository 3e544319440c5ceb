//! The file that says that everything serves, with the real addresses.

use std::{net::SocketAddr, path::Path};

use anyhow::Context as _;
use serde::Serialize;

/// Content of the file.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ready {
    /// Process id.
    pub(crate) pid: u32,
    /// Address of web.
    pub(crate) web: Option<SocketAddr>,
    /// How web is reached.
    pub(crate) web_url: Option<String>,
    /// Address of ingest.
    pub(crate) ingest: Option<SocketAddr>,
    /// How ingest is reached.
    pub(crate) ingest_url: Option<String>,
    /// Address of the debug port.
    pub(crate) debug: Option<SocketAddr>,
    /// Address of the kill port.
    pub(crate) kill: Option<SocketAddr>,
}

impl Ready {
    /// Writes the file, whole.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut json = serde_json::to_vec_pretty(self).context("the ready file")?;
        json.push(b'\n');
        holdfast_service::atomic_write(path, &json, 0o644).with_context(|| format!("write {}", path.display()))
    }
}
