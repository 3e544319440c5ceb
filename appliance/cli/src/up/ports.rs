//! The ports of an appliance in a folder: chosen at the first start, kept for all later ones.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context as _, bail};
use holdfast_mongod::free_port;
use holdfast_service::atomic_write;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::layout::Layout;
use crate::args::UpArgs;

const FILE: &str = "ports.json";
const WEB: u16 = 8080;
const INGEST: u16 = 8081;
const HEADS: u16 = 27500;
/// Ports of heads in a row.
pub(super) const HEADS_COUNT: u16 = 4;
const RESTORES: u16 = 27700;
/// Ports for restores, drills and mounts in a row.
const RESTORES_COUNT: u16 = 100;
/// Rows of restore ports tried before giving up.
const ROWS_MAX: u16 = 40;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Ports {
    pub(super) web: u16,
    pub(super) ingest: u16,
    pub(super) heads: Vec<u16>,
    pub(super) restores: (u16, u16),
    pub(super) mongod: u16,
    pub(super) web_debug: u16,
    pub(super) web_kill: u16,
    pub(super) ingest_debug: u16,
    pub(super) ingest_kill: u16,
    pub(super) daemon_debug: u16,
    pub(super) daemon_kill: u16,
    pub(super) demo: [u16; 3],
}

impl Ports {
    pub(super) fn load_or_choose(layout: &Layout, args: &UpArgs) -> anyhow::Result<Self> {
        let path = layout.path(FILE);
        let mut ports = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("read {}", path.display()))?,
            Err(_) => Self::choose(args)?,
        };
        for (asked, port) in [(args.web_port, &mut ports.web), (args.ingest_port, &mut ports.ingest)] {
            *port = asked.unwrap_or(*port);
            if !is_free(*port) {
                bail!(
                    "port {port} is in use: stop what listens there, or name another with --web-port or --ingest-port"
                );
            }
        }
        if let Some(first) = args.heads_port {
            ports.heads = row(first)?;
        }
        let bytes = serde_json::to_vec_pretty(&ports).context("write the ports")?;
        atomic_write(&path, &bytes, 0o600).with_context(|| format!("write {}", path.display()))?;
        Ok(ports)
    }

    fn choose(args: &UpArgs) -> anyhow::Result<Self> {
        let pick = |asked: Option<u16>, usual: u16| match asked {
            Some(port) => Ok(port),
            None if is_free(usual) => Ok(usual),
            None => free_port(),
        };
        let heads = match args.heads_port {
            Some(first) => row(first)?,
            None => match row(HEADS) {
                Ok(row) if row.iter().all(|&p| is_free(p)) => row,
                _ => (0..HEADS_COUNT).map(|_| free_port()).collect::<Result<_, _>>()?,
            },
        };
        Ok(Self {
            web: pick(args.web_port, WEB)?,
            ingest: pick(args.ingest_port, INGEST)?,
            heads,
            restores: free_row()?,
            mongod: free_port()?,
            web_debug: free_port()?,
            web_kill: free_port()?,
            ingest_debug: free_port()?,
            ingest_kill: free_port()?,
            daemon_debug: free_port()?,
            daemon_kill: free_port()?,
            demo: [free_port()?, free_port()?, free_port()?],
        })
    }

    pub(super) fn web_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.web)
    }
    pub(super) fn ingest_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.ingest)
    }
    pub(super) fn debug(&self) -> Value {
        json!({"web": self.web_debug, "ingest": self.ingest_debug, "daemon": self.daemon_debug})
    }
    pub(super) fn kill(&self) -> Value {
        json!({"web": self.web_kill, "ingest": self.ingest_kill, "daemon": self.daemon_kill})
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn row(first: u16) -> anyhow::Result<Vec<u16>> {
    let last = first.checked_add(HEADS_COUNT - 1).context("--heads-port leaves no room for four ports")?;
    Ok((first..=last).collect())
}

/// A hundred ports in a row of which the first and last ones are free now: two appliances take different rows.
fn free_row() -> anyhow::Result<(u16, u16)> {
    for n in 0..ROWS_MAX {
        // Downwards from the usual row: above it begin the ports that the kernel gives to outgoing connections.
        let first = RESTORES - n * RESTORES_COUNT * 2;
        let last = first + RESTORES_COUNT - 1;
        if (first..=last).all(is_free) {
            return Ok((first, last));
        }
    }
    bail!("no {RESTORES_COUNT} ports in a row are free for restores")
}
