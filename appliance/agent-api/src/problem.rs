//! problem+json (RFC 9457), as every listener of the appliance answers errors.

use serde::{Deserialize, Serialize};

/// Body of an error. `Content-Type: application/problem+json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// Stable code in camelCase, for programs: `staleAssignment`, `protocolVersion`, `ledgerConflict`, `spaceReserve` ...
    pub code: String,
    /// One line, the same for every problem of this code.
    pub title: String,
    /// What happened here and what to do about it.
    pub detail: String,
    /// Id of the request, as in the server's log.
    #[serde(default)]
    pub request_id: String,
    /// The present state, where a conflict needs it: a [`crate::LedgerTail`] or [`crate::ScanTail`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<serde_json::Value>,
}
