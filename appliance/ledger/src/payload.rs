//! Stub.
use crate::{Ledger, LedgerError, PayloadFacts, PutPayloadError};
use holdfast_domain::{BackupJobId, Hash32, PayloadRef};
#[allow(unused_variables, clippy::todo, reason = "signatures first")]
impl Ledger {
    /// Stores a payload durably.
    pub async fn put_payload(
        &self,
        job: &BackupJobId,
        chain: i64,
        hash: Hash32,
        frame: &[u8],
        facts: &PayloadFacts,
    ) -> Result<PayloadRef, PutPayloadError> {
        todo!()
    }
    /// Raw BSON of a payload, verified.
    pub async fn read_payload(
        &self,
        job: &BackupJobId,
        chain: i64,
        payload: &PayloadRef,
    ) -> Result<Vec<u8>, LedgerError> {
        todo!()
    }
}
