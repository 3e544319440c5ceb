//! One file per noun.

pub(crate) mod agents;
pub(crate) mod backups;
pub(crate) mod blockstore;
pub(crate) mod daemons;
pub(crate) mod deployments;
pub(crate) mod diagnostics;
pub(crate) mod groups;
pub(crate) mod jobs;
pub(crate) mod logs;
pub(crate) mod offsite;
pub(crate) mod policies;
pub(crate) mod restores;
pub(crate) mod sftp;
pub(crate) mod snapshots;

use serde_json::Value;

/// The elements of a list answer.
fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
