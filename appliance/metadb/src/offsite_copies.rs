//! Offsite copies: standing orders to pull snapshots from another Holdfast, or to push them to a second blockstore.
//!
//! Invariants: one daemon at a time works on an order, under its lease; every write of its work carries the lease. What opens the other
//! side (API key, connection string) comes in sealed. What was copied is told by the roots of the target, never by these documents.
//!
//! Written by web (add, run, remove) and by the daemon (progress, result).

use bson::{DateTime, Document, doc};
use futures::TryStreamExt as _;
use holdfast_domain::{BackupJobId, GroupId, Lease, OffsiteFilter};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    MetaDb, MetaError, PayloadStoreLocation,
    error::{duplicate, on, to_bson},
    leases::held,
};

const COPIES: &str = "offsite_copies";
/// Orders of one appliance, at most.
const COPIES_MAX: u64 = 200;
/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 100;
/// Distance of two runs, in seconds: a minute to 31 days.
const EVERY_SECONDS: std::ops::RangeInclusive<u32> = 60..=31 * 86_400;

/// The other side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum OffsitePeer {
    /// Snapshots come from another Holdfast.
    Pull {
        /// Its web service.
        url: String,
        /// Certificate of its CA, PEM: the only one that is trusted then. None: the system's.
        ca: Option<String>,
        /// API key there, sealed, as hex.
        key: String,
    },
    /// Snapshots go to a second blockstore.
    Push {
        /// Connection string of its database, sealed, as hex.
        uri: String,
        /// Name of its database.
        database: String,
        /// Folder of its pack store.
        packs: Option<String>,
        /// Its bucket. Neither folder nor bucket: payloads lie in its database.
        #[serde(default)]
        bucket: Option<PayloadStoreLocation>,
    },
}

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OffsiteProgress {
    /// Snapshot of the source that is being copied.
    pub snapshot: String,
    /// Snapshots that this run is done with, of those that it found to copy.
    pub snapshots: i64,
    /// Snapshots that it found to copy.
    pub snapshots_total: i64,
    /// Raw bytes of the present snapshot that are settled.
    pub bytes: i64,
    /// Raw bytes of the present snapshot.
    pub bytes_total: i64,
    /// Blocks sent so far, of all snapshots of this run.
    pub sent_blocks: i64,
    /// Bytes sent so far.
    pub sent_bytes: i64,
}

/// What a run did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OffsiteRun {
    /// When it began.
    pub started: DateTime,
    /// When it ended.
    pub finished: DateTime,
    /// Snapshots that were copied.
    pub copied: i64,
    /// Snapshots that were there already.
    pub present: i64,
    /// Copies that went to the trash.
    pub trashed: i64,
    /// Blocks sent.
    pub sent_blocks: i64,
    /// Bytes sent.
    pub sent_bytes: i64,
    /// Blocks that were stored and read back from the target.
    pub proved_blocks: i64,
    /// Why it is not complete.
    pub error: Option<String>,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OffsiteCopy {
    /// Id, 24 hex digits.
    #[serde(rename = "_id")]
    pub id: String,
    /// Name, unique.
    pub name: String,
    /// The other side.
    pub peer: OffsitePeer,
    /// Group here whose keys may see and restore what is pulled; None for what is pushed.
    pub group: Option<GroupId>,
    /// What is copied.
    pub filter: OffsiteFilter,
    /// Distance of two runs, in seconds.
    pub every_seconds: i64,
    /// Bytes per second, at most; None: no limit.
    pub bytes_per_second: Option<i64>,
    /// How long copies are kept, in days of their optime; None: as long as the source keeps the snapshot.
    pub keep_days: Option<i64>,
    /// Whether runs come by themselves.
    pub enabled: bool,
    /// A run was asked for.
    #[serde(default)]
    pub asked: Option<DateTime>,
    /// When the last run began.
    #[serde(default)]
    pub started: Option<DateTime>,
    /// A run has begun and not ended.
    #[serde(default)]
    pub running: bool,
    /// How far it is.
    #[serde(default)]
    pub progress: Option<OffsiteProgress>,
    /// The last run that ended.
    #[serde(default)]
    pub last: Option<OffsiteRun>,
    /// Who works on it.
    pub lease: Lease,
    /// When it was made.
    pub created: DateTime,
    /// Label of the key that made it.
    pub created_by: String,
}

/// What to make an order of.
#[derive(Clone, Debug)]
pub struct NewOffsiteCopy {
    /// As in [`OffsiteCopy`], all of them.
    pub id: String,
    /// Name.
    pub name: String,
    /// The other side.
    pub peer: OffsitePeer,
    /// Group here.
    pub group: Option<GroupId>,
    /// What is copied.
    pub filter: OffsiteFilter,
    /// Distance of two runs, in seconds.
    pub every_seconds: u32,
    /// Bytes per second.
    pub bytes_per_second: Option<i64>,
    /// Days.
    pub keep_days: Option<u32>,
    /// Whether runs come by themselves.
    pub enabled: bool,
    /// Label of the key that makes it.
    pub created_by: String,
}

/// Proof of holding an order's lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsiteFence {
    /// The order.
    pub copy: String,
    /// Holder.
    pub owner: String,
    /// Epoch.
    pub epoch: i64,
}

/// The job of the target's blockstore in which copies of a source's job lie: 24 hex digits that follow from both.
#[must_use]
pub fn offsite_job(copy: &str, source_job: &str) -> Option<BackupJobId> {
    let hash = Sha256::digest(format!("holdfast offsite {copy} {source_job}").as_bytes());
    hex::encode(hash.get(..12)?).parse().ok()
}

/// What the sealed secret of an order is bound to.
#[must_use]
pub fn offsite_secret_context(copy: &str) -> String {
    format!("offsiteCopies/{copy}/secret")
}

impl MetaDb {
    /// Makes an order.
    ///
    /// # Errors
    /// [`MetaError::Exists`] when the name is taken, [`MetaError::Invalid`].
    pub async fn create_offsite_copy(&self, new: NewOffsiteCopy) -> Result<OffsiteCopy, MetaError> {
        let op = "make an offsite copy";
        let invalid = |what, detail: String| Err(MetaError::Invalid { what, detail });
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if new.name.is_empty() || new.name.len() > NAME_CHARS_MAX || !new.name.chars().all(plain) {
            return invalid("the name", format!("1 to {NAME_CHARS_MAX} letters, digits, `-`, `_`, `.` are expected"));
        }
        if !EVERY_SECONDS.contains(&new.every_seconds) {
            return invalid("the distance of two runs", "60 seconds to 31 days are allowed".into());
        }
        if new.bytes_per_second.is_some_and(|rate| rate < 1024) || new.keep_days == Some(0) {
            return invalid("a limit", "at least 1024 bytes per second, at least 1 day".into());
        }
        if self.of::<Document>(COPIES).count_documents(doc! {}).await.map_err(on(op))? >= COPIES_MAX {
            return invalid("one more", format!("{COPIES_MAX} offsite copies are there already"));
        }
        let index = mongodb::IndexModel::builder()
            .keys(doc! { "name": 1 })
            .options(mongodb::options::IndexOptions::builder().name("name".to_owned()).unique(true).build())
            .build();
        self.of::<Document>(COPIES).create_index(index).await.map_err(on(op))?;
        let copy = OffsiteCopy {
            id: new.id,
            name: new.name,
            peer: new.peer,
            group: new.group,
            filter: new.filter,
            every_seconds: i64::from(new.every_seconds),
            bytes_per_second: new.bytes_per_second,
            keep_days: new.keep_days.map(i64::from),
            enabled: new.enabled,
            asked: None,
            started: None,
            running: false,
            progress: None,
            last: None,
            lease: Lease { owner: String::new(), epoch: 0, beat: 0 },
            created: DateTime::now(),
            created_by: new.created_by,
        };
        match self.of::<OffsiteCopy>(COPIES).insert_one(&copy).await {
            Ok(_) => Ok(copy),
            Err(e) if duplicate(&e) => Err(MetaError::Exists { what: "offsite copy", id: copy.name }),
            Err(e) => Err(on(op)(e)),
        }
    }

    /// All orders, by name.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn offsite_copies(&self) -> Result<Vec<OffsiteCopy>, MetaError> {
        let op = "list offsite copies";
        let cursor = self.of(COPIES).find(doc! {}).sort(doc! { "name": 1 }).await.map_err(on(op))?;
        cursor.try_collect().await.map_err(on(op))
    }

    /// An order by its name.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn offsite_copy(&self, name: &str) -> Result<Option<OffsiteCopy>, MetaError> {
        self.of(COPIES).find_one(doc! { "name": name }).await.map_err(on("read an offsite copy"))
    }

    /// Asks for a run now.
    ///
    /// # Errors
    /// [`MetaError::NotFound`].
    pub async fn ask_offsite_run(&self, name: &str) -> Result<(), MetaError> {
        let update = doc! { "$set": { "asked": DateTime::now() } };
        let done = self.of::<Document>(COPIES).update_one(doc! { "name": name }, update).await;
        match done.map_err(on("ask for an offsite run"))?.matched_count {
            0 => Err(MetaError::NotFound { what: "offsite copy", id: name.to_owned() }),
            _ => Ok(()),
        }
    }

    /// Removes an order; what it copied stays until someone deletes it.
    ///
    /// # Errors
    /// [`MetaError::NotFound`].
    pub async fn remove_offsite_copy(&self, name: &str) -> Result<(), MetaError> {
        let done = self.of::<Document>(COPIES).delete_one(doc! { "name": name }).await;
        match done.map_err(on("remove an offsite copy"))?.deleted_count {
            0 => Err(MetaError::NotFound { what: "offsite copy", id: name.to_owned() }),
            _ => Ok(()),
        }
    }

    /// Takes an order's lease if it is still as `seen`, and begins a run. None: it moved.
    ///
    /// # Errors
    /// [`MetaError::Database`], [`MetaError::Fenced`].
    pub async fn begin_offsite_run(
        &self,
        copy: &str,
        seen: &Lease,
        owner: &str,
    ) -> Result<Option<OffsiteFence>, MetaError> {
        let Some(epoch) = self.take(COPIES, copy, seen, owner).await? else { return Ok(None) };
        let update = doc! { "$set": { "running": true, "started": DateTime::now(), "asked": null, "progress": null } };
        self.write_lease(COPIES, held(copy, owner, epoch), update).await?;
        Ok(Some(OffsiteFence { copy: copy.to_owned(), owner: owner.to_owned(), epoch }))
    }

    /// Renews the lease and says how far the run is.
    ///
    /// # Errors
    /// [`MetaError::Fenced`] when it is lost, or the order was removed.
    pub async fn beat_offsite(&self, fence: &OffsiteFence, progress: &OffsiteProgress) -> Result<(), MetaError> {
        let progress = to_bson("say how far an offsite copy is", progress)?;
        let update = doc! { "$inc": { "lease.beat": 1_i64 }, "$set": { "progress": progress } };
        self.write_lease(COPIES, held(&fence.copy, &fence.owner, fence.epoch), update).await
    }

    /// Ends a run with its result (None: it is to be gone on with) and gives the lease back.
    ///
    /// # Errors
    /// [`MetaError::Fenced`].
    pub async fn end_offsite_run(&self, fence: &OffsiteFence, run: Option<&OffsiteRun>) -> Result<(), MetaError> {
        let mut set = doc! { "lease.owner": "" };
        if let Some(run) = run {
            set.insert("last", to_bson("store an offsite run", run)?);
            set.insert("running", false);
            set.insert("progress", bson::Bson::Null);
        }
        let update = doc! { "$set": set, "$inc": { "lease.beat": 1_i64 } };
        self.write_lease(COPIES, held(&fence.copy, &fence.owner, fence.epoch), update).await
    }
}
