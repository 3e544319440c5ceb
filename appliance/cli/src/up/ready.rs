//! `ready.json`: what a script needs to use the appliance, rewritten whenever a process id changes.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use holdfast_service::atomic_write;
use serde_json::{Map, Value};

#[derive(Clone)]
pub(super) struct Ready(Arc<Mutex<State>>);

struct State {
    path: PathBuf,
    pids: Map<String, Value>,
    /// None until everything serves: the file does not exist before.
    facts: Option<Map<String, Value>>,
}

impl Ready {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(Arc::new(Mutex::new(State { path, pids: Map::new(), facts: None })))
    }

    /// A process started (or ended).
    pub(super) fn pid(&self, name: &str, pid: Option<u32>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match pid {
            Some(pid) => state.pids.insert(name.to_owned(), pid.into()),
            None => state.pids.remove(name),
        };
        if let Err(error) = state.write() {
            tracing::error!(error = format!("{error:#}"), "write the ready file");
        }
    }

    /// Adds facts; the first call makes the file appear.
    pub(super) fn publish(&self, facts: Value) -> anyhow::Result<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Value::Object(facts) = facts else { anyhow::bail!("facts are an object") };
        state.facts.get_or_insert_default().extend(facts);
        state.write()
    }
}

impl State {
    fn write(&self) -> anyhow::Result<()> {
        let Some(facts) = &self.facts else { return Ok(()) };
        let mut all = facts.clone();
        all.insert("pids".to_owned(), self.pids.clone().into());
        let bytes = serde_json::to_vec_pretty(&all).context("write the ready file")?;
        // It holds the administrator's key.
        atomic_write(&self.path, &bytes, 0o600).with_context(|| format!("write {}", self.path.display()))
    }
}
