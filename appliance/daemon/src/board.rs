//! What the daemon is doing now, for `/debug/jobs`. Written by the tasks, read by the debug port; decides nothing.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use holdfast_metadb::ChangesFound;
use serde::Serialize;
use serde_json::Value;

/// One task's view of itself.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// `backup`, `restore`, `proof`, `reconciler`.
    pub kind: &'static str,
    /// Job or name.
    pub id: String,
    /// Replica set.
    pub rs: String,
    /// What it does, a verb phrase.
    pub phase: String,
    /// State as shown to users.
    pub state: String,
    /// Epoch of the lease; 0 while there is none.
    pub lease_epoch: i64,
    /// Port of the private mongod, while it runs.
    pub port: Option<u16>,
    /// Optime of the head, as text.
    pub head_optime: Option<String>,
    /// Estimated replay to the newest second, in seconds.
    pub replay_debt_seconds: f64,
    /// How the last snapshot found out what changed; `missed` above 0 is an alert.
    pub last_changes: Option<ChangesFound>,
    /// Last error.
    pub last_error: Option<String>,
}

/// All views.
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<Mutex<BTreeMap<String, View>>>);

impl Board {
    /// Changes a view; made when missing.
    pub fn update(&self, kind: &'static str, id: &str, change: impl FnOnce(&mut View)) {
        let mut views = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let view = views.entry(format!("{kind}/{id}")).or_default();
        view.kind = kind;
        id.clone_into(&mut view.id);
        change(view);
    }

    /// Forgets a view.
    pub fn remove(&self, kind: &str, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&format!("{kind}/{id}"));
    }

    /// Everything, as JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let views = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::to_value(views.values().collect::<Vec<_>>()).unwrap_or(Value::Null)
    }

    /// How many private mongods run for jobs.
    #[must_use]
    pub fn heads_open(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().filter(|v| v.port.is_some()).count()
    }
}
