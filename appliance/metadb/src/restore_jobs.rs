//! Restore jobs: what was asked for, what was made, and the link.

use bson::{Bson, DateTime, Document, doc};
use futures::TryStreamExt as _;
use holdfast_domain::{
    ArchiveFormat, BackupJobId, DaemonId, GroupId, Lease, OpTime, Progress, RestoreJobId, RestoreState, RestoreTarget,
};
use serde::{Deserialize, Serialize};

use crate::{
    Delivery, MetaDb, MetaError, RestoreFence,
    error::{duplicate, on, to_bson},
};

/// Jobs listed at most, newest first.
const RESTORES_MAX: i64 = 1000;

/// A restore job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreJob {
    /// Id.
    #[serde(rename = "_id")]
    pub id: RestoreJobId,
    /// Group.
    pub group: GroupId,
    /// Backup job.
    pub job: BackupJobId,
    /// What was asked for.
    pub target: RestoreTarget,
    /// Of two histories, the one asked for.
    #[serde(default)]
    pub chain: Option<i64>,
    /// Format of the download.
    pub format: ArchiveFormat,
    /// State.
    pub state: RestoreState,
    /// What is being done, a verb phrase.
    #[serde(default)]
    pub phase: String,
    /// How far.
    #[serde(default)]
    pub progress: Option<Progress>,
    /// The root that is downloaded; None until it is made.
    #[serde(default)]
    pub root: Option<String>,
    /// The root that it is made from, pinned before this job was inserted.
    pub base_root: String,
    /// Optime of what is downloaded.
    #[serde(default)]
    pub optime: Option<OpTime>,
    /// Bytes of the download; None for `tar.gz` and until it is made.
    #[serde(default)]
    pub bytes: Option<i64>,
    /// Hash of the archive's frozen layout.
    #[serde(default)]
    pub etag: Option<String>,
    /// Hex SHA-256 of the link's secret.
    pub link_hash: String,
    /// Name of the download, without extension.
    pub name: String,
    /// When the link ends.
    pub expires: DateTime,
    /// Uses of the link.
    pub uses: i64,
    /// Bytes sent so far.
    #[serde(default)]
    pub bytes_sent: i64,
    /// Requests begun so far (`tar.gz`).
    #[serde(default)]
    pub requests_sent: i64,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<String>,
    /// When it was asked for.
    pub created: DateTime,
    /// Who asked.
    pub created_by: String,
    /// Why, in the words of who asked; empty: nothing was said.
    #[serde(default)]
    pub reason: String,
    /// Bytes of the base's files and of the oplog to replay, as they were planned; None: nothing has to be made. Written by web, read by the
    /// estimates of later restores.
    #[serde(default)]
    pub planned_bytes: Option<i64>,
    /// When a daemon began the attempt that is under way or was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<DateTime>,
    /// When it was made, or failed for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<DateTime>,
    /// Who took the link away before its time, and when.
    #[serde(default)]
    pub revoked: Option<Revoked>,
    /// The daemon that makes it; None: none is needed.
    #[serde(default)]
    pub daemon: Option<DaemonId>,
    /// Who works on it.
    pub lease: Lease,
    /// Where it is pushed to; None: its link is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
}

/// A link that was taken away by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// Who did it.
    pub by: String,
    /// When.
    pub at: DateTime,
}

/// Where a page of restores goes on: after this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreCursor {
    /// When the last one of the page before was asked for.
    pub created: DateTime,
    /// Its id.
    pub id: RestoreJobId,
}

/// A restore job to make. Its base root is pinned already.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRestoreJob {
    /// Id: the pin names it, so it is made first.
    pub id: RestoreJobId,
    /// Group.
    pub group: GroupId,
    /// Backup job.
    pub job: BackupJobId,
    /// What is asked for.
    pub target: RestoreTarget,
    /// Chain asked for.
    pub chain: Option<i64>,
    /// Format.
    pub format: ArchiveFormat,
    /// `Queued`, or `Ready` where the snapshot is downloaded as it is.
    pub state: RestoreState,
    /// Root to download; with `Ready`.
    pub root: Option<String>,
    /// Root that it is made from.
    pub base_root: String,
    /// Optime; with `Ready`.
    pub optime: Option<OpTime>,
    /// Bytes of the archive; with `Ready`, not for `tar.gz`.
    pub bytes: Option<i64>,
    /// Hash of the layout; with `Ready`.
    pub etag: Option<String>,
    /// Hash of the link's secret.
    pub link_hash: String,
    /// Name of the download, without extension.
    pub name: String,
    /// When the link ends.
    pub expires: DateTime,
    /// Uses.
    pub uses: i64,
    /// Who asks.
    pub created_by: String,
    /// Why; empty: nothing is said.
    pub reason: String,
    /// Bytes of the base's files and of the oplog to replay; None: nothing has to be made.
    pub planned_bytes: Option<i64>,
    /// The daemon that shall make it.
    pub daemon: Option<DaemonId>,
}

/// What changes with a restore job's state; None leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RestoreUpdate {
    /// What is being done.
    pub phase: Option<String>,
    /// How far.
    pub progress: Option<Progress>,
    /// Root to download.
    pub root: Option<String>,
    /// Its optime.
    pub optime: Option<OpTime>,
    /// Bytes of the archive.
    pub bytes: Option<i64>,
    /// Hash of the layout.
    pub etag: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
}

impl RestoreUpdate {
    fn set(&self, op: &'static str) -> Result<Document, MetaError> {
        let mut set = Document::new();
        let values = [
            ("phase", self.phase.as_ref().map(|v| to_bson(op, v))),
            ("progress", self.progress.as_ref().map(|v| to_bson(op, v))),
            ("root", self.root.as_ref().map(|v| to_bson(op, v))),
            ("optime", self.optime.as_ref().map(|v| to_bson(op, v))),
            ("bytes", self.bytes.as_ref().map(|v| to_bson(op, v))),
            ("etag", self.etag.as_ref().map(|v| to_bson(op, v))),
            ("error", self.error.as_ref().map(|v| to_bson(op, v))),
        ];
        for (name, value) in values {
            if let Some(value) = value {
                set.insert(name, value?);
            }
        }
        Ok(set)
    }
}

impl MetaDb {
    /// Makes a restore job.
    ///
    /// # Errors
    /// [`MetaError::Exists`] when the id or the link is taken; [`MetaError::Invalid`].
    pub async fn create_restore_job(&self, new: NewRestoreJob) -> Result<RestoreJob, MetaError> {
        self.create_restore_job_for(new, None).await
    }

    /// The same, with where it is pushed to.
    ///
    /// # Errors
    /// As [`Self::create_restore_job`].
    pub async fn create_restore_job_for(
        &self,
        new: NewRestoreJob,
        delivery: Option<Delivery>,
    ) -> Result<RestoreJob, MetaError> {
        if new.uses < 1 || (new.state == RestoreState::Ready && new.root.is_none()) {
            let detail = "a link has at least one use, and a ready one names its root".to_owned();
            return Err(MetaError::Invalid { what: "the restore job", detail });
        }
        let job = RestoreJob {
            id: new.id,
            group: new.group,
            job: new.job,
            target: new.target,
            chain: new.chain,
            format: new.format,
            state: new.state,
            phase: String::new(),
            progress: None,
            root: new.root,
            base_root: new.base_root,
            optime: new.optime,
            bytes: new.bytes,
            etag: new.etag,
            link_hash: new.link_hash,
            name: new.name,
            expires: new.expires,
            uses: new.uses,
            bytes_sent: 0,
            requests_sent: 0,
            error: None,
            created: DateTime::now(),
            created_by: new.created_by,
            reason: new.reason,
            planned_bytes: new.planned_bytes,
            started: None,
            ended: None,
            revoked: None,
            daemon: new.daemon,
            lease: Lease { owner: String::new(), epoch: 0, beat: 0 },
            delivery,
        };
        match self.of::<RestoreJob>("restore_jobs").insert_one(&job).await {
            Ok(_) => Ok(job),
            Err(e) if duplicate(&e) => Err(MetaError::Exists { what: "restore job", id: job.id.to_string() }),
            Err(e) => Err(on("make a restore job")(e)),
        }
    }

    /// A restore job.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn restore_job(&self, id: &RestoreJobId) -> Result<Option<RestoreJob>, MetaError> {
        self.of("restore_jobs").find_one(doc! { "_id": id.clone() }).await.map_err(on("read a restore job"))
    }

    /// The restore job of a link, by [`crate::hash_secret`] of its secret.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn restore_job_by_link(&self, link_hash: &str) -> Result<Option<RestoreJob>, MetaError> {
        self.of("restore_jobs").find_one(doc! { "linkHash": link_hash }).await.map_err(on("read a restore job"))
    }

    async fn list_restores(&self, filter: Document, sort: i32) -> Result<Vec<RestoreJob>, MetaError> {
        let op = "list restore jobs";
        let found = self.of("restore_jobs").find(filter).sort(doc! { "created": sort }).limit(RESTORES_MAX).await;
        found.map_err(on(op))?.try_collect().await.map_err(on(op))
    }

    /// Restore jobs of a backup job, newest first.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn restore_jobs(&self, job: &BackupJobId) -> Result<Vec<RestoreJob>, MetaError> {
        self.list_restores(doc! { "job": job.clone() }, -1).await
    }

    /// A page of a group's restore jobs, newest first, at most `limit` of them (1 to 1000).
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn restores_page(
        &self,
        group: &GroupId,
        after: Option<&RestoreCursor>,
        limit: i64,
    ) -> Result<Vec<RestoreJob>, MetaError> {
        let op = "list restore jobs";
        let mut filter = doc! { "group": group.clone() };
        if let Some(RestoreCursor { created, id }) = after {
            let same = doc! { "created": *created, "_id": { "$lt": id.clone() } };
            filter.insert("$or", vec![doc! { "created": { "$lt": *created } }, same]);
        }
        let found = self
            .of("restore_jobs")
            .find(filter)
            .sort(doc! { "created": -1, "_id": -1 })
            .limit(limit.clamp(1, RESTORES_MAX))
            .await;
        found.map_err(on(op))?.try_collect().await.map_err(on(op))
    }

    /// The newest restores of a group that a daemon made and that say how long it took, at most `limit`.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn measured_restores(&self, group: &GroupId, limit: i64) -> Result<Vec<RestoreJob>, MetaError> {
        let op = "list measured restores";
        let date = doc! { "$type": "date" };
        let filter = doc! {
            "group": group.clone(), "plannedBytes": { "$gt": 0 }, "started": date.clone(), "ended": date,
            "root": { "$ne": Bson::Null },
        };
        let found = self
            .of("restore_jobs")
            .find(filter)
            .sort(doc! { "created": -1, "_id": -1 })
            .limit(limit.clamp(1, RESTORES_MAX))
            .await;
        found.map_err(on(op))?.try_collect().await.map_err(on(op))
    }

    /// Restore jobs that a daemon must make or is making, oldest first: those given to it, and those of jobs bound to it that
    /// were given to none.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn queued_restores(&self, daemon: &DaemonId) -> Result<Vec<RestoreJob>, MetaError> {
        let op = "list restore jobs";
        let open = to_bson(op, &[RestoreState::Queued, RestoreState::Running])?;
        let which = crate::BackupJobFilter { daemon: Some(daemon.clone()), ..Default::default() };
        let bound: Vec<Bson> = self.backup_jobs(&which).await?.into_iter().map(|job| job.id.into()).collect();
        let filter = doc! { "state": { "$in": open }, "$or": [
            { "daemon": daemon.clone() },
            { "daemon": Bson::Null, "job": { "$in": bound } },
        ] };
        self.list_restores(filter, 1).await
    }

    /// Moves a restore job on.
    ///
    /// # Errors
    /// [`MetaError::Fenced`] when the lease is lost, or the job ended (expired) meanwhile.
    pub async fn set_restore_state(
        &self,
        fence: &RestoreFence,
        state: RestoreState,
        update: &RestoreUpdate,
    ) -> Result<(), MetaError> {
        let op = "change a restore job's state";
        let mut set = update.set(op)?;
        set.insert("state", to_bson(op, &state)?);
        let mut filter = fence.filter();
        filter.insert("state", doc! { "$in": to_bson(op, &[RestoreState::Queued, RestoreState::Running])? });
        // The clock of one attempt: it starts when the first step is told, and an attempt that is put back does not count.
        let change = match state {
            RestoreState::Queued => doc! { "$set": set, "$unset": { "started": "" } },
            RestoreState::Running => doc! { "$set": set, "$min": { "started": DateTime::now() } },
            RestoreState::Ready | RestoreState::Failed | RestoreState::Expired => {
                set.insert("ended", DateTime::now());
                doc! { "$set": set }
            }
        };
        let done = self.of::<RestoreJob>("restore_jobs").update_one(filter, change).await;
        match done.map_err(on(op))?.matched_count {
            0 => Err(MetaError::Fenced),
            _ => Ok(()),
        }
    }

    /// Ends the links whose time is over, and gives back the jobs it ended, so that their pins can go.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn expire_restores(&self) -> Result<Vec<RestoreJob>, MetaError> {
        let op = "end restore links";
        let open = to_bson(op, &[RestoreState::Queued, RestoreState::Running, RestoreState::Ready])?;
        let over = doc! { "state": { "$in": open }, "expires": { "$lte": DateTime::now() } };
        let mut ended = Vec::new();
        for job in self.list_restores(over.clone(), 1).await? {
            let mut filter = over.clone();
            filter.insert("_id", job.id.clone());
            let update = doc! { "$set": { "state": to_bson(op, &RestoreState::Expired)? } };
            let done = self.of::<RestoreJob>("restore_jobs").update_one(filter, update).await.map_err(on(op))?;
            if done.matched_count > 0 {
                ended.push(RestoreJob { state: RestoreState::Expired, ..job });
            }
        }
        Ok(ended)
    }

    /// Ends a link by hand, and notes who did. False: it had ended.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn revoke_restore(&self, id: &RestoreJobId, by: &str) -> Result<bool, MetaError> {
        let op = "end a restore link";
        let open = to_bson(op, &[RestoreState::Queued, RestoreState::Running, RestoreState::Ready])?;
        let filter = doc! { "_id": id.clone(), "state": { "$in": open } };
        let revoked = Revoked { by: by.to_owned(), at: DateTime::now() };
        let update =
            doc! { "$set": { "state": to_bson(op, &RestoreState::Expired)?, "revoked": to_bson(op, &revoked)? } };
        let done = self.of::<RestoreJob>("restore_jobs").update_one(filter, update).await.map_err(on(op))?;
        Ok(done.matched_count > 0)
    }
}
