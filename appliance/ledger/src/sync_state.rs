//! Stub.
use crate::{CompleteSync, Ledger, LedgerError, SyncError, SyncInfo, SyncState};
use holdfast_domain::{BackupJobId, OpTime};
use serde::{Deserialize, Serialize};
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StateDoc {}
#[allow(unused_variables, clippy::todo, reason = "signatures first")]
impl Ledger {
    /// The sync without its collections; None when the chain has none.
    pub async fn sync_info(&self, job: &BackupJobId, chain: i64) -> Result<Option<SyncInfo>, LedgerError> {
        todo!()
    }
    /// The sync as an agent sees it.
    pub async fn sync_state(&self, job: &BackupJobId, chain: i64) -> Result<SyncState, SyncError> {
        todo!()
    }
    /// Raises the sync's end point.
    pub async fn note_end(&self, job: &BackupJobId, chain: i64, end: OpTime) -> Result<(), SyncError> {
        todo!()
    }
    /// Everything is listed and scanned.
    pub async fn complete_sync(&self, job: &BackupJobId, chain: i64, request: &CompleteSync) -> Result<(), SyncError> {
        todo!()
    }
    /// Drops the sync's slices; late ones are refused from then on.
    pub async fn drop_sync(&self, job: &BackupJobId, chain: i64) -> Result<(), LedgerError> {
        todo!()
    }
}
