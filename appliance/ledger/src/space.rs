//! How full the disk below the database is.

use bson::{Bson, Document, doc};

use crate::{Ledger, LedgerError, db::on};

/// Facts for the space reserve and the forecast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpaceFacts {
    /// Bytes used of the file system that holds the database.
    pub fs_used_bytes: u64,
    /// Its size, in bytes.
    pub fs_total_bytes: u64,
    /// Bytes inside the database's files that new data fills first.
    pub free_for_reuse_bytes: u64,
}

impl SpaceFacts {
    /// Bytes that can still be written: free on the file system and inside the files.
    #[must_use]
    pub const fn available_bytes(&self) -> u64 {
        self.fs_total_bytes.saturating_sub(self.fs_used_bytes) + self.free_for_reuse_bytes
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the server gives byte counts as doubles")]
fn bytes(stats: &Document, field: &str) -> u64 {
    match stats.get(field) {
        Some(Bson::Double(n)) if *n > 0.0 => *n as u64,
        Some(Bson::Int64(n)) => u64::try_from(*n).unwrap_or(0),
        Some(Bson::Int32(n)) => u64::try_from(*n).unwrap_or(0),
        _ => 0,
    }
}

impl Ledger {
    /// Asks the server. A few milliseconds; callers keep the answer for some seconds.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub async fn space(&self) -> Result<SpaceFacts, LedgerError> {
        let stats =
            self.db.run_command(doc! { "dbStats": 1, "freeStorage": 1 }).await.map_err(on("read the space left"))?;
        Ok(SpaceFacts {
            fs_used_bytes: bytes(&stats, "fsUsedSize"),
            fs_total_bytes: bytes(&stats, "fsTotalSize"),
            free_for_reuse_bytes: bytes(&stats, "totalFreeStorageSize"),
        })
    }
}
