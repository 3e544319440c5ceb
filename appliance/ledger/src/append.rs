//! Stub.
use crate::{AppendError, AppendRequest, Ledger, LedgerTail, OpenChainRequest};
use holdfast_domain::{BackupJobId, CloseReason, Hash32};
#[allow(unused_variables, clippy::todo, reason = "signatures first")]
impl Ledger {
    /// Opens the next chain.
    pub async fn open_chain(&self, job: &BackupJobId, request: &OpenChainRequest) -> Result<LedgerTail, AppendError> {
        todo!()
    }
    /// Appends a slice.
    pub async fn append_slice(
        &self,
        job: &BackupJobId,
        chain: i64,
        request: &AppendRequest,
    ) -> Result<LedgerTail, AppendError> {
        todo!()
    }
    /// Closes the chain.
    pub async fn close_chain(
        &self,
        job: &BackupJobId,
        prev: Hash32,
        reason: CloseReason,
        detail: &str,
    ) -> Result<LedgerTail, AppendError> {
        todo!()
    }
    /// Closes the open chain wherever it ends.
    pub async fn force_close(
        &self,
        job: &BackupJobId,
        reason: CloseReason,
        detail: &str,
    ) -> Result<LedgerTail, AppendError> {
        todo!()
    }
}
