//! The agent's memory, in bytes of bodies: shared by all jobs, so that no number of jobs or size of documents takes it over its bound.
//!
//! What is not counted here is bounded by its own nature: one batch of at most 16 MB per cursor, one growing slice per cursor.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of oplog slices that wait in memory.
const SLICE_BYTES_MAX: usize = 18 << 20;
/// Bytes of sync slices on their way.
const SYNC_BYTES_MAX: usize = 26 << 20;
/// Oplog slices read back from the spool to be sent, in bytes.
const SPOOL_BYTES_MAX: usize = 18 << 20;
/// Collections scanned at a time, over all jobs.
const SCANS_MAX: usize = 2;
/// A permit is this many bytes.
const PERMIT_BYTES: usize = 1 << 10;

/// The budget.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    slices: Arc<Semaphore>,
    sync: Arc<Semaphore>,
    spool: Arc<Semaphore>,
    scans: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

impl Default for Budget {
    fn default() -> Self {
        let of = |bytes: usize| Arc::new(Semaphore::new(bytes / PERMIT_BYTES));
        Self {
            slices: of(SLICE_BYTES_MAX),
            sync: of(SYNC_BYTES_MAX),
            spool: of(SPOOL_BYTES_MAX),
            scans: Arc::new(Semaphore::new(SCANS_MAX)),
            large: Arc::new(Semaphore::new(1)),
        }
    }
}

/// Permits for `bytes`, never more than there are: a body larger than the bound gets all of it.
fn permits(bytes: usize, max: usize) -> u32 {
    u32::try_from(bytes.div_ceil(PERMIT_BYTES).clamp(1, max / PERMIT_BYTES)).unwrap_or(u32::MAX)
}

impl Budget {
    /// Room for an oplog slice, if there is some now.
    pub(crate) fn try_slice(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.slices).try_acquire_many_owned(permits(bytes, SLICE_BYTES_MAX)).ok()
    }

    /// Room for a sync slice on its way.
    pub(crate) async fn sync(&self, bytes: usize) -> OwnedSemaphorePermit {
        let many = Arc::clone(&self.sync).acquire_many_owned(permits(bytes, SYNC_BYTES_MAX)).await;
        many.expect("the semaphore is never closed")
    }

    /// Room for a slice read back from disk.
    pub(crate) async fn spool(&self, bytes: usize) -> OwnedSemaphorePermit {
        let many = Arc::clone(&self.spool).acquire_many_owned(permits(bytes, SPOOL_BYTES_MAX)).await;
        many.expect("the semaphore is never closed")
    }

    /// The one place for a scan whose batches are large: two of them together would take half of the agent's memory.
    pub(crate) async fn large(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.large).acquire_owned().await.expect("the semaphore is never closed")
    }

    /// A place among the scans.
    pub(crate) async fn scan(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.scans).acquire_owned().await.expect("the semaphore is never closed")
    }
}
