//! Stub.
use crate::{Ledger, PutSlice, SyncError, SyncSliceHeader};
use holdfast_domain::BackupJobId;
#[allow(unused_variables, clippy::todo, clippy::too_many_arguments, reason = "signatures first")]
impl Ledger {
    /// Stores a sync slice.
    pub async fn put_sync_slice(
        &self,
        job: &BackupJobId,
        chain: i64,
        uuid: &str,
        scan: i64,
        seq: i64,
        header: &SyncSliceHeader,
        frame: &[u8],
    ) -> Result<PutSlice, SyncError> {
        todo!()
    }
}
