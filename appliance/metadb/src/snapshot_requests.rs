//! Snapshots that someone asked for: kept in the job's document, done by its daemon.

use bson::{DateTime, doc, oid::ObjectId};
use holdfast_domain::{BackupJobId, GroupId, SnapshotId};
use serde::{Deserialize, Serialize};

use crate::{
    BackupJob, Fence, MetaDb, MetaError,
    error::{on, to_bson},
};

/// Requests kept of a job, ended ones too.
const REQUESTS_MAX: i32 = 50;
/// Longest label, in characters.
const LABEL_CHARS_MAX: usize = 200;

/// State of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SnapshotRequestState {
    /// Waits for the daemon.
    Queued,
    /// The daemon is at it.
    Running,
    /// Done; `snapshot` names it.
    Done,
    /// It could not be taken; `error` says why.
    Failed,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotRequest {
    /// Id, 24 hex digits.
    pub id: String,
    /// What the user calls it.
    pub label: Option<String>,
    /// Keep it until someone unpins it.
    pub pin: bool,
    /// When it was asked for.
    pub asked_at: DateTime,
    /// State.
    pub state: SnapshotRequestState,
    /// What was taken.
    #[serde(default)]
    pub snapshot: Option<SnapshotId>,
    /// Why not.
    #[serde(default)]
    pub error: Option<String>,
}

impl MetaDb {
    /// Asks for a snapshot.
    ///
    /// # Errors
    /// [`MetaError::NotFound`], [`MetaError::State`] when the job is stopped or failed, [`MetaError::Invalid`] label.
    pub async fn request_snapshot(
        &self,
        id: &BackupJobId,
        label: Option<&str>,
        pin: bool,
    ) -> Result<SnapshotRequest, MetaError> {
        let op = "ask for a snapshot";
        if label.is_some_and(|l| l.chars().count() > LABEL_CHARS_MAX) {
            let detail = format!("at most {LABEL_CHARS_MAX} characters are allowed");
            return Err(MetaError::Invalid { what: "the label", detail });
        }
        let job = self.backup_job(id).await?;
        let job = job.ok_or_else(|| MetaError::NotFound { what: "backup job", id: id.to_string() })?;
        if !job.state.runs() {
            return Err(MetaError::State { state: job.state, what: "take a snapshot" });
        }
        let request = SnapshotRequest {
            id: ObjectId::new().to_hex(),
            label: label.map(str::to_owned),
            pin,
            asked_at: DateTime::now(),
            state: SnapshotRequestState::Queued,
            snapshot: None,
            error: None,
        };
        let push = doc! { "snapshotRequests": { "$each": [to_bson(op, &request)?], "$slice": -REQUESTS_MAX } };
        self.set_job(op, id, doc! { "$push": push }).await?;
        Ok(request)
    }

    /// A request of a group's jobs, with its job's id.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn snapshot_request(
        &self,
        group: &GroupId,
        id: &str,
    ) -> Result<Option<(BackupJobId, SnapshotRequest)>, MetaError> {
        let filter = doc! { "group": group.clone(), "snapshotRequests.id": id };
        let job: Option<BackupJob> =
            self.of("backup_jobs").find_one(filter).await.map_err(on("read a snapshot request"))?;
        Ok(job.and_then(|job| {
            let request = job.snapshot_requests.into_iter().find(|r| r.id == id);
            request.map(|request| (job.id, request))
        }))
    }

    /// The oldest request that is not done, now running. One that an earlier owner of the lease left running comes again.
    ///
    /// # Errors
    /// [`MetaError::Fenced`].
    pub async fn take_snapshot_request(&self, fence: &Fence) -> Result<Option<SnapshotRequest>, MetaError> {
        let op = "take a snapshot request";
        let job: Option<BackupJob> = self.of("backup_jobs").find_one(fence.filter()).await.map_err(on(op))?;
        let job = job.ok_or(MetaError::Fenced)?;
        let open =
            |r: &SnapshotRequest| matches!(r.state, SnapshotRequestState::Queued | SnapshotRequestState::Running);
        let Some(mut request) = job.snapshot_requests.into_iter().find(open) else { return Ok(None) };
        request.state = SnapshotRequestState::Running;
        self.put_request(op, fence, &request).await?;
        Ok(Some(request))
    }

    /// Stores a request's end: the snapshot, or why there is none.
    ///
    /// # Errors
    /// [`MetaError::Fenced`].
    pub async fn finish_snapshot_request(
        &self,
        fence: &Fence,
        request: &SnapshotRequest,
        outcome: Result<SnapshotId, String>,
    ) -> Result<(), MetaError> {
        let mut ended = request.clone();
        match outcome {
            Ok(snapshot) => (ended.state, ended.snapshot) = (SnapshotRequestState::Done, Some(snapshot)),
            Err(error) => (ended.state, ended.error) = (SnapshotRequestState::Failed, Some(error)),
        }
        self.put_request("store a snapshot request", fence, &ended).await
    }

    async fn put_request(&self, op: &'static str, fence: &Fence, request: &SnapshotRequest) -> Result<(), MetaError> {
        let update = doc! { "$set": { "snapshotRequests.$[r]": to_bson(op, request)? } };
        let done = self
            .of::<BackupJob>("backup_jobs")
            .update_one(fence.filter(), update)
            .array_filters([doc! { "r.id": &request.id }])
            .await;
        match done.map_err(on(op))?.matched_count {
            0 => Err(MetaError::Fenced),
            _ => Ok(()),
        }
    }
}
