//! Stub.
use crate::{EndScan, Ledger, ScanGrant, StartScan, SyncError};
use holdfast_domain::BackupJobId;
use serde::{Deserialize, Serialize};
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ScanDoc {}
#[allow(unused_variables, clippy::todo, reason = "signatures first")]
impl Ledger {
    /// Begins a scan, or says where the open one stands.
    pub async fn start_scan(&self, job: &BackupJobId, chain: i64, request: &StartScan) -> Result<ScanGrant, SyncError> {
        todo!()
    }
    /// Ends a scan.
    pub async fn end_scan(
        &self,
        job: &BackupJobId,
        chain: i64,
        uuid: &str,
        scan: i64,
        request: &EndScan,
    ) -> Result<(), SyncError> {
        todo!()
    }
}
