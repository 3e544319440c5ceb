//! The ports of an appliance in a folder: chosen at the first start, kept for all later ones.

use anyhow::{Context as _, bail};
use holdfast_mongod::free_port;
use holdfast_service::atomic_write;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{layout::Layout, reserved::Reserved};
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
const ROWS_MAX: u16 = 80;
/// Free ports tried before giving up.
const TRIES_MAX: usize = 100;

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
    /// The ports of this folder, reserved. Those that others remember (of web, ingest and the demo's set) stay as they are; of the
    /// rest another one serves as well where someone has taken it since the last start.
    pub(super) fn load_or_choose(layout: &Layout, args: &UpArgs, reserved: &mut Reserved) -> anyhow::Result<Self> {
        let path = layout.path(FILE);
        let ports = match std::fs::read(&path) {
            Ok(bytes) => {
                let kept: Self = serde_json::from_slice(&bytes).with_context(|| format!("read {}", path.display()))?;
                kept.keep(args, reserved)?
            }
            Err(_) => Self::choose(args, reserved)?,
        };
        let bytes = serde_json::to_vec_pretty(&ports).context("write the ports")?;
        atomic_write(&path, &bytes, 0o600).with_context(|| format!("write {}", path.display()))?;
        Ok(ports)
    }

    fn keep(mut self, args: &UpArgs, reserved: &mut Reserved) -> anyhow::Result<Self> {
        self.web = exactly(args.web_port.unwrap_or(self.web), "--web-port", reserved)?;
        self.ingest = exactly(args.ingest_port.unwrap_or(self.ingest), "--ingest-port", reserved)?;
        if let Some(first) = args.heads_port {
            self.heads = asked_heads(first, reserved)?;
        } else if !self.heads.iter().all(|&port| reserved.take(port)) {
            self.heads = free_heads(reserved)?;
        }
        if !reserved.take_all(self.restores.0..=self.restores.1) {
            self.restores = free_row(reserved)?;
        }
        for port in [
            &mut self.mongod,
            &mut self.web_debug,
            &mut self.web_kill,
            &mut self.ingest_debug,
            &mut self.ingest_kill,
            &mut self.daemon_debug,
            &mut self.daemon_kill,
        ] {
            if !reserved.take(*port) {
                *port = free(reserved)?;
            }
        }
        for &port in &self.demo {
            if !reserved.take(port) && args.demo {
                bail!("port {port} of the demo's replica set is in use: stop what listens there");
            }
        }
        Ok(self)
    }

    fn choose(args: &UpArgs, reserved: &mut Reserved) -> anyhow::Result<Self> {
        let web = asked_or_usual(args.web_port, WEB, "--web-port", reserved)?;
        let ingest = asked_or_usual(args.ingest_port, INGEST, "--ingest-port", reserved)?;
        let heads = match args.heads_port {
            Some(first) => asked_heads(first, reserved)?,
            None if reserved.take_all(HEADS..=HEADS + HEADS_COUNT - 1) => (HEADS..HEADS + HEADS_COUNT).collect(),
            None => free_heads(reserved)?,
        };
        Ok(Self {
            web,
            ingest,
            heads,
            restores: free_row(reserved)?,
            mongod: free(reserved)?,
            web_debug: free(reserved)?,
            web_kill: free(reserved)?,
            ingest_debug: free(reserved)?,
            ingest_kill: free(reserved)?,
            daemon_debug: free(reserved)?,
            daemon_kill: free(reserved)?,
            demo: [free(reserved)?, free(reserved)?, free(reserved)?],
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

/// This port and no other.
fn exactly(port: u16, option: &str, reserved: &mut Reserved) -> anyhow::Result<u16> {
    if !reserved.take(port) {
        bail!("port {port} is in use: stop what listens there, or name another with {option}");
    }
    Ok(port)
}

fn asked_or_usual(asked: Option<u16>, usual: u16, option: &str, reserved: &mut Reserved) -> anyhow::Result<u16> {
    match asked {
        Some(port) => exactly(port, option, reserved),
        None if reserved.take(usual) => Ok(usual),
        None => free(reserved),
    }
}

fn free(reserved: &mut Reserved) -> anyhow::Result<u16> {
    for _ in 0..TRIES_MAX {
        let port = free_port()?;
        if reserved.take(port) {
            return Ok(port);
        }
    }
    bail!("no free port was found")
}

fn asked_heads(first: u16, reserved: &mut Reserved) -> anyhow::Result<Vec<u16>> {
    let last = first.checked_add(HEADS_COUNT - 1).context("--heads-port leaves no room for four ports")?;
    (first..=last).map(|port| exactly(port, "--heads-port", reserved)).collect()
}

fn free_heads(reserved: &mut Reserved) -> anyhow::Result<Vec<u16>> {
    (0..HEADS_COUNT).map(|_| free(reserved)).collect()
}

/// A hundred ports in a row that nobody has: two appliances take different rows.
fn free_row(reserved: &mut Reserved) -> anyhow::Result<(u16, u16)> {
    for n in 0..ROWS_MAX {
        // Downwards from the usual row: above it begin the ports that the kernel gives to outgoing connections.
        let first = RESTORES - n * RESTORES_COUNT;
        let last = first + RESTORES_COUNT - 1;
        if reserved.take_all(first..=last) {
            return Ok((first, last));
        }
    }
    bail!("no {RESTORES_COUNT} ports in a row are free for restores")
}
