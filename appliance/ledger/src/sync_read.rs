//! Stub.
use crate::{Ledger, LedgerError, StoredScan};
use holdfast_domain::BackupJobId;
#[allow(unused_variables, clippy::todo, reason = "signatures first")]
impl Ledger {
    /// Every collection of the sync.
    pub async fn scans(&self, job: &BackupJobId, chain: i64) -> Result<Vec<StoredScan>, LedgerError> {
        todo!()
    }
    /// Raw BSON of a sync slice, verified; None when it is not stored.
    pub async fn read_sync_slice(
        &self,
        job: &BackupJobId,
        chain: i64,
        uuid: &str,
        scan: i64,
        seq: i64,
    ) -> Result<Option<Vec<u8>>, LedgerError> {
        todo!()
    }
    /// Compressed bytes stored and not yet loaded by the head.
    pub async fn backlog(&self, job: &BackupJobId, chain: i64) -> Result<u64, LedgerError> {
        todo!()
    }
    /// The head has loaded slices up to and with `seq`.
    pub async fn mark_loaded(
        &self,
        job: &BackupJobId,
        chain: i64,
        uuid: &str,
        scan: i64,
        seq: i64,
    ) -> Result<(), LedgerError> {
        todo!()
    }
}
