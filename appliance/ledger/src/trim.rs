//! Stub.
use crate::{Ledger, LedgerError, TrimReport};
use holdfast_domain::{BackupJobId, EntryPosition};
#[allow(unused_variables, clippy::todo, reason = "signatures first")]
impl Ledger {
    /// Deletes what lies before `floor`.
    pub async fn trim(&self, job: &BackupJobId, floor: EntryPosition) -> Result<TrimReport, LedgerError> {
        todo!()
    }
}
