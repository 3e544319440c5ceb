//! Stub.
use crate::{Ledger, LedgerError, PutPayloadError};
use holdfast_domain::{BackupJobId, OpTime};
#[allow(unused_variables, clippy::todo, reason = "signatures first")]
impl Ledger {
    /// Keeps the newest catalog.
    pub async fn put_catalog(
        &self,
        job: &BackupJobId,
        chain: i64,
        before: OpTime,
        after: OpTime,
        raw: &[u8],
    ) -> Result<(), PutPayloadError> {
        todo!()
    }
    /// The newest catalog.
    pub async fn latest_catalog(
        &self,
        job: &BackupJobId,
        chain: i64,
    ) -> Result<Option<(OpTime, OpTime, Vec<u8>)>, LedgerError> {
        todo!()
    }
}
