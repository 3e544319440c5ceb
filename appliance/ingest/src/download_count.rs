//! Counts the bytes of a download that were handed to the connection, also of one that breaks.
//!
//! The count goes to the database every few megabytes and at the end, whichever way the end comes: the stream's drop does it. A process
//! that is killed forgets at most the last step.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{Stream, stream::BoxStream};
use holdfast_domain::RestoreJobId;
use holdfast_metadb::MetaDb;
use tokio::sync::OwnedSemaphorePermit;

/// Bytes counted in memory before they are written down.
const STEP_BYTES: u64 = 8 << 20;

/// A body that is counted. Holds its place among the running downloads.
pub(crate) struct Counted {
    metadb: MetaDb,
    job: RestoreJobId,
    pending: u64,
    inner: BoxStream<'static, Result<Bytes, std::io::Error>>,
    _slot: OwnedSemaphorePermit,
}

impl Counted {
    /// Counts `inner` for `job`. Must be dropped inside a tokio runtime.
    pub(crate) fn new(
        metadb: MetaDb,
        job: RestoreJobId,
        slot: OwnedSemaphorePermit,
        inner: BoxStream<'static, Result<Bytes, std::io::Error>>,
    ) -> Self {
        Self { metadb, job, pending: 0, inner, _slot: slot }
    }

    fn write_down(&mut self) {
        let bytes = std::mem::take(&mut self.pending);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if bytes == 0 {
            return;
        }
        let (metadb, job) = (self.metadb.clone(), self.job.clone());
        runtime.spawn(async move {
            if let Err(error) = metadb.count_bytes(&job, bytes).await {
                tracing::warn!(restore = %job, bytes, %error, "bytes of a download could not be counted");
            }
        });
        metrics::counter!("holdfast_ingest_restore_bytes_total").increment(bytes);
    }
}

impl Stream for Counted {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.inner.as_mut().poll_next(context);
        if let Poll::Ready(Some(Ok(bytes))) = &next {
            self.pending += bytes.len() as u64;
            if self.pending >= STEP_BYTES {
                self.write_down();
            }
        }
        next
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.write_down();
    }
}
