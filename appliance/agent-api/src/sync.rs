//! Initial sync, as an agent sees it.

use holdfast_domain::{Hash32, OpTime};
use serde::{Deserialize, Serialize};

/// A scan of one collection begins (again). The server gives out the scan's number; a new scan of the same collection empties it in the
/// head first. Asking again for the scan that is open, from the same member, gives the same number back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartScan {
    /// UUID of the collection, 32 hex digits.
    pub uuid: String,
    /// Database.
    pub db: String,
    /// Name when it was listed.
    pub name: String,
    /// BSON document of its options (from listCollections), base64.
    pub options: String,
    /// BSON document `{indexes: [...]}` (from listIndexes), base64.
    pub indexes: String,
    /// Member that is scanned, `host:port`, and its `initialSyncId`: a resume token holds only there.
    pub member: String,
    /// True: give a new number even when a scan from this member is open (its token was refused).
    pub anew: bool,
    /// Estimated documents, for progress.
    pub documents: i64,
    /// Estimated bytes, for progress.
    pub bytes: i64,
}

/// The scan's number and where it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScanGrant {
    /// Number, from 0.
    pub scan: i64,
    /// What is stored of it.
    pub tail: ScanTail,
}

/// What is stored of a scan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScanTail {
    /// Sequence number of the next slice.
    pub next_seq: i64,
    /// Resume token after the last stored slice: BSON document, base64. None at the start.
    pub token: Option<String>,
}

/// Describes a sync slice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncSliceHeader {
    /// BLAKE3 of the raw BSON.
    pub hash: Hash32,
    /// Bytes of raw BSON.
    pub raw_bytes: i64,
    /// Documents.
    pub documents: i64,
    /// Resume token after it: BSON document, base64. None when the scan ended.
    pub token: Option<String>,
}

/// A scan ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndScan {
    /// Number of slices sent under this scan number.
    pub slices: i64,
    /// The collection no longer exists: discard what was sent of it.
    pub gone: bool,
}

/// One collection of a sync, for an agent that starts again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScanState {
    /// UUID, 32 hex digits.
    pub uuid: String,
    /// Database.
    pub db: String,
    /// Name when it was listed.
    pub name: String,
    /// Scan number.
    pub scan: i64,
    /// Member and initialSyncId.
    pub member: String,
    /// Where it stands.
    pub tail: ScanTail,
    /// Ended.
    pub ended: bool,
    /// Ended because the collection is gone.
    pub gone: bool,
}

/// How far the initial sync of a chain is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncState {
    /// Collections known to the server.
    pub scans: Vec<ScanState>,
    /// Smallest end point so far: the largest operationTime in any answer to a list or scan, kept by the server over restarts of the agent.
    pub end: Option<OpTime>,
    /// Complete.
    pub complete: bool,
}

/// Everything was listed and scanned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompleteSync {
    /// End point E: the head must apply the ledger up to here before its indexes are built.
    pub end: OpTime,
    /// Number of collections scanned (not gone): a check.
    pub collections: i64,
}
