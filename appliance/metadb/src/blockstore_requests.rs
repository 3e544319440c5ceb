//! Long work on the blockstore that someone asked for: written by web, carried out by one of the daemons.
//!
//! `blockstore_requests {_id, work, state, ...}`. Invariants: a request is carried out by one daemon at a time, told by owner and beat, never by a
//! clock; every kind of work may be begun anew, so that one whose daemon died is taken over as it is; a write of an owner that lost it
//! matches nothing. Ended ones are kept for [`KEPT`].

use std::time::Duration;

use bson::{DateTime, Document, doc, oid::ObjectId};
use futures::TryStreamExt as _;
use holdfast_domain::{Lease, RetentionPolicy, SnapshotId};
use mongodb::options::ReturnDocument;
use serde::{Deserialize, Serialize};

use crate::{
    MetaDb, MetaError,
    error::{on, to_bson},
};

/// Requests that wait or run, at most.
const OPEN_MAX: u64 = 20;
/// Requests listed, newest first.
const LISTED_MAX: i64 = 100;
/// How long ended requests are kept.
const KEPT: Duration = Duration::from_secs(30 * 86_400);
const NAME: &str = "blockstore_requests";

/// What shall be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum BlockstoreWork {
    /// Collect garbage now, and give packs back that hold nothing any more.
    Collect,
    /// Say exactly what a collection would free now; changes nothing.
    Plan,
    /// Say exactly what another retention would free.
    WhatIf {
        /// The retention, for every backup.
        retention: RetentionPolicy,
    },
    /// Read back one snapshot, or everything.
    Verify {
        /// The snapshot.
        snapshot: Option<SnapshotId>,
    },
    /// Move all payloads of one store to another, beside backups.
    Move {
        /// Number of the store that is emptied.
        from: u8,
        /// Number of the store that takes all of it.
        to: u8,
    },
}

/// State of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BlockstoreRequestState {
    /// Waits for a daemon.
    Queued,
    /// A daemon is at it.
    Running,
    /// Done; `result` says what.
    Done,
    /// It could not be done; `error` says why.
    Failed,
    /// Someone called it off.
    Cancelled,
}

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockstoreProgress {
    /// What it is doing, a verb phrase.
    pub phase: String,
    /// Done.
    pub done: u64,
    /// In all; 0 when not known.
    pub total: u64,
    /// Of what.
    pub unit: String,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockstoreRequest {
    /// Id, 24 hex digits.
    #[serde(rename = "_id")]
    pub id: String,
    /// What.
    pub work: BlockstoreWork,
    /// State.
    pub state: BlockstoreRequestState,
    /// Who asked.
    pub asked_by: String,
    /// When.
    pub asked_at: DateTime,
    /// When a daemon began.
    #[serde(default)]
    pub started_at: Option<DateTime>,
    /// When it ended.
    #[serde(default)]
    pub ended_at: Option<DateTime>,
    /// The daemon that does it.
    #[serde(default)]
    pub owner: String,
    /// Raised at every sign of life.
    #[serde(default)]
    pub beat: i64,
    /// How often a daemon began it: more than once when one died at it.
    #[serde(default)]
    pub attempt: i64,
    /// Someone wants it to end.
    #[serde(default)]
    pub cancel: bool,
    /// How far it is.
    #[serde(default)]
    pub progress: BlockstoreProgress,
    /// What it found and did; fields depend on the kind.
    #[serde(default)]
    pub result: Option<Document>,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<String>,
}

impl BlockstoreRequest {
    /// As a lease, for whoever watches whether its daemon lives.
    #[must_use]
    pub fn lease(&self) -> Lease {
        Lease { owner: self.owner.clone(), epoch: 0, beat: self.beat }
    }
}

impl MetaDb {
    /// Asks for work.
    ///
    /// # Errors
    /// [`MetaError::Invalid`] while too much waits already.
    pub async fn ask_blockstore(&self, work: BlockstoreWork, by: &str) -> Result<BlockstoreRequest, MetaError> {
        let op = "ask for work on the blockstore";
        let requests = self.of::<BlockstoreRequest>(NAME);
        let open =
            requests.count_documents(doc! { "state": { "$in": ["queued", "running"] } }).await.map_err(on(op))?;
        if open >= OPEN_MAX {
            let detail = format!("{OPEN_MAX} requests wait already");
            return Err(MetaError::Invalid { what: "the request", detail });
        }
        let old = DateTime::from_system_time(std::time::SystemTime::now() - KEPT);
        requests.delete_many(doc! { "endedAt": { "$lt": old } }).await.map_err(on(op))?;
        let request = BlockstoreRequest {
            id: ObjectId::new().to_hex(),
            work,
            state: BlockstoreRequestState::Queued,
            asked_by: by.to_owned(),
            asked_at: DateTime::now(),
            started_at: None,
            ended_at: None,
            owner: String::new(),
            beat: 0,
            attempt: 0,
            cancel: false,
            progress: BlockstoreProgress::default(),
            result: None,
            error: None,
        };
        requests.insert_one(&request).await.map_err(on(op))?;
        Ok(request)
    }

    /// A request.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn blockstore_request(&self, id: &str) -> Result<Option<BlockstoreRequest>, MetaError> {
        self.of(NAME).find_one(doc! { "_id": id }).await.map_err(on("read a request"))
    }

    /// The newest requests, newest first.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn blockstore_requests(&self) -> Result<Vec<BlockstoreRequest>, MetaError> {
        let op = "list requests";
        let found = self.of(NAME).find(doc! {}).sort(doc! { "askedAt": -1 }).limit(LISTED_MAX).await;
        found.map_err(on(op))?.try_collect().await.map_err(on(op))
    }

    /// Calls a request off: at once while it waits, else its daemon ends it. False when it has ended.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn cancel_blockstore_request(&self, id: &str) -> Result<bool, MetaError> {
        let op = "call a request off";
        let requests = self.of::<BlockstoreRequest>(NAME);
        let waiting = doc! { "_id": id, "state": "queued" };
        let gone = doc! { "$set": { "state": "cancelled", "endedAt": DateTime::now(), "cancel": true } };
        if requests.update_one(waiting, gone).await.map_err(on(op))?.matched_count == 1 {
            return Ok(true);
        }
        let running = doc! { "_id": id, "state": "running" };
        let asked = requests.update_one(running, doc! { "$set": { "cancel": true } }).await.map_err(on(op))?;
        Ok(asked.matched_count == 1)
    }

    /// Requests that wait, or run, oldest first.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn open_blockstore_requests(&self) -> Result<Vec<BlockstoreRequest>, MetaError> {
        let op = "look for work on the blockstore";
        let open = doc! { "state": { "$in": ["queued", "running"] } };
        let found = self.of(NAME).find(open).sort(doc! { "askedAt": 1 }).await;
        found.map_err(on(op))?.try_collect().await.map_err(on(op))
    }

    /// Takes a request that nobody does, as it was seen. None: another daemon was faster, or it lives after all.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn take_blockstore_request(
        &self,
        seen: &BlockstoreRequest,
        owner: &str,
    ) -> Result<Option<BlockstoreRequest>, MetaError> {
        let op = "take work on the blockstore";
        let filter = doc! {
            "_id": &seen.id, "owner": &seen.owner, "beat": seen.beat, "state": to_bson(op, &seen.state)?,
        };
        let taken = doc! {
            "$set": { "state": "running", "owner": owner, "startedAt": DateTime::now() },
            "$inc": { "beat": 1_i64, "attempt": 1_i64 },
        };
        let requests = self.of(NAME);
        requests.find_one_and_update(filter, taken).return_document(ReturnDocument::After).await.map_err(on(op))
    }

    /// A sign of life with how far it is; true when someone wants it to end.
    ///
    /// # Errors
    /// [`MetaError::Fenced`] when it is another's by now, or ended.
    pub async fn beat_blockstore_request(
        &self,
        id: &str,
        owner: &str,
        progress: &BlockstoreProgress,
    ) -> Result<bool, MetaError> {
        let op = "report work on the blockstore";
        let filter = doc! { "_id": id, "owner": owner, "state": "running" };
        let update = doc! { "$set": { "progress": to_bson(op, progress)? }, "$inc": { "beat": 1_i64 } };
        let found = self.of::<BlockstoreRequest>(NAME).find_one_and_update(filter, update).await.map_err(on(op))?;
        found.map(|request| request.cancel).ok_or(MetaError::Fenced)
    }

    /// Its end: what it did, or why not. `Err(None)`: it was called off.
    ///
    /// # Errors
    /// [`MetaError::Fenced`].
    pub async fn finish_blockstore_request(
        &self,
        id: &str,
        owner: &str,
        outcome: Result<Document, Option<String>>,
    ) -> Result<(), MetaError> {
        let (state, result, error) = match outcome {
            Ok(result) => ("done", Some(result), None),
            Err(None) => ("cancelled", None, None),
            Err(Some(error)) => ("failed", None, Some(error)),
        };
        let filter = doc! { "_id": id, "owner": owner, "state": "running" };
        let end = doc! { "state": state, "result": result, "error": error, "endedAt": DateTime::now() };
        let done = self.of::<BlockstoreRequest>(NAME).update_one(filter, doc! { "$set": end }).await;
        match done.map_err(on("end work on the blockstore"))?.matched_count {
            0 => Err(MetaError::Fenced),
            _ => Ok(()),
        }
    }
}
