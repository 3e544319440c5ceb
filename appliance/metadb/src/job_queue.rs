//! Work of every kind, newest first, for those who look at all of it: a page at a time, bounded by the caller.
//!
//! Read only. Each kind of work keeps its own collection and its own rules; nothing here changes a state.

use bson::{DateTime, Document, doc};
use futures::TryStreamExt as _;
use holdfast_domain::RestoreState;

use crate::{
    BlockstoreRequest, BlockstoreRequestState, MetaDb, MetaError, RestoreJob,
    error::{on, to_bson},
};

/// Documents of one answer, at most.
const PAGE_MAX: i64 = 1000;

fn up_to(field: &str, at: Option<DateTime>) -> Document {
    at.map_or_else(Document::new, |at| doc! { field: { "$lte": at } })
}

impl MetaDb {
    /// Restores of all groups that were asked for at `at` or before, in one of these states, newest first.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn restore_jobs_up_to(
        &self,
        at: Option<DateTime>,
        states: &[RestoreState],
        limit: i64,
    ) -> Result<Vec<RestoreJob>, MetaError> {
        let op = "list restores of all groups";
        let mut filter = up_to("created", at);
        filter.insert("state", doc! { "$in": to_bson(op, states)? });
        let sort = doc! { "created": -1, "_id": -1 };
        let found = self.of("restore_jobs").find(filter).sort(sort).limit(limit.clamp(1, PAGE_MAX)).await;
        found.map_err(on(op))?.try_collect().await.map_err(on(op))
    }

    /// Work on the blockstore that was asked for at `at` or before, in one of these states, newest first.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn blockstore_requests_up_to(
        &self,
        at: Option<DateTime>,
        states: &[BlockstoreRequestState],
        limit: i64,
    ) -> Result<Vec<BlockstoreRequest>, MetaError> {
        let op = "list work on the blockstore";
        let mut filter = up_to("askedAt", at);
        filter.insert("state", doc! { "$in": to_bson(op, states)? });
        let sort = doc! { "askedAt": -1, "_id": -1 };
        let found = self.of("blockstore_requests").find(filter).sort(sort).limit(limit.clamp(1, PAGE_MAX)).await;
        found.map_err(on(op))?.try_collect().await.map_err(on(op))
    }
}
