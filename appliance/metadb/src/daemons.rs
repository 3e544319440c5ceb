//! Daemons: who they are, where they run, how much space their heads have.

use bson::{DateTime, doc};
use futures::TryStreamExt as _;
use holdfast_domain::{BackupJobId, DaemonId};
use serde::{Deserialize, Serialize};

use crate::{
    MetaDb, MetaError,
    error::{duplicate, on, to_bson},
};

/// Space for heads, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonSpace {
    /// What heads may take in all.
    pub total_bytes: u64,
    /// What they take.
    pub used_bytes: u64,
    /// What is free for more.
    pub free_bytes: u64,
}

/// The file system that holds the heads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonFileSystem {
    /// `xfs`, `btrfs`, `ext4`, ...
    pub name: String,
    /// A snapshot reads only what changed, and the head goes on meanwhile.
    pub finds_changes: bool,
    /// What a person should know and do about it, a sentence.
    pub recommendation: String,
}

/// One head of a daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaemonHead {
    /// Whose.
    pub job: BackupJobId,
    /// Which generation.
    pub generation: i64,
    /// Bytes on disk.
    pub bytes: u64,
    /// What it is doing, a verb phrase.
    pub phase: String,
}

/// A daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Daemon {
    /// Id.
    #[serde(rename = "_id")]
    pub id: DaemonId,
    /// Name, unique.
    pub name: String,
    /// Version.
    pub version: String,
    /// Labels that jobs can ask for.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Ports in use: kill, debug, heads.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// Space.
    #[serde(default)]
    pub space: DaemonSpace,
    /// Where the heads lie; `None` until its first report.
    #[serde(default)]
    pub file_system: Option<DaemonFileSystem>,
    /// Heads.
    #[serde(default)]
    pub heads: Vec<DaemonHead>,
    /// Raised by one whenever it reports: whoever must know whether it lives watches this.
    #[serde(default)]
    pub beat: i64,
    /// When it started last.
    pub started: DateTime,
    /// When it reported last; shown, never decided on.
    pub last_seen: DateTime,
}

/// A daemon that starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDaemon {
    /// Name: the same name is the same daemon.
    pub name: String,
    /// Version.
    pub version: String,
    /// Labels.
    pub labels: Vec<String>,
    /// Ports.
    pub ports: Vec<u16>,
}

/// How a daemon is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DaemonBeat {
    /// Space.
    pub space: DaemonSpace,
    /// Where the heads lie.
    pub file_system: Option<DaemonFileSystem>,
    /// Heads.
    pub heads: Vec<DaemonHead>,
    /// Ports.
    pub ports: Vec<u16>,
    /// Labels.
    pub labels: Vec<String>,
}

impl MetaDb {
    /// A daemon starts. The same name gives the same id.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn register_daemon(&self, new: &NewDaemon) -> Result<Daemon, MetaError> {
        let op = "register a daemon";
        let update = doc! {
            "$set": {
                "version": &new.version, "labels": &new.labels, "ports": to_bson(op, &new.ports)?,
                "started": DateTime::now(), "lastSeen": DateTime::now(),
            },
            "$inc": { "beat": 1_i64 },
            "$setOnInsert": { "_id": DaemonId::random() },
        };
        for last in [false, true] {
            let put = self
                .of("daemons")
                .find_one_and_update(doc! { "name": &new.name }, update.clone())
                .upsert(true)
                .return_document(mongodb::options::ReturnDocument::After)
                .await;
            match put {
                Ok(Some(daemon)) => return Ok(daemon),
                Ok(None) => break,
                Err(e) if duplicate(&e) && !last => {}
                Err(e) => return Err(on(op)(e)),
            }
        }
        Err(MetaError::Contention { op })
    }

    /// A daemon reports.
    ///
    /// # Errors
    /// [`MetaError::NotFound`] when it is not registered (any more).
    pub async fn beat_daemon(&self, id: &DaemonId, beat: &DaemonBeat) -> Result<(), MetaError> {
        let op = "store a daemon's report";
        let update = doc! {
            "$set": {
                "space": to_bson(op, &beat.space)?, "fileSystem": to_bson(op, &beat.file_system)?, "heads": to_bson(op, &beat.heads)?,
                "ports": to_bson(op, &beat.ports)?, "labels": &beat.labels, "lastSeen": DateTime::now(),
            },
            "$inc": { "beat": 1_i64 },
        };
        let done = self.of::<Daemon>("daemons").update_one(doc! { "_id": id.clone() }, update).await;
        match done.map_err(on(op))?.matched_count {
            0 => Err(MetaError::NotFound { what: "daemon", id: id.to_string() }),
            _ => Ok(()),
        }
    }

    /// Every daemon, by name.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn daemons(&self) -> Result<Vec<Daemon>, MetaError> {
        let op = "list daemons";
        let cursor = self.of("daemons").find(doc! {}).sort(doc! { "name": 1 }).await.map_err(on(op))?;
        cursor.try_collect().await.map_err(on(op))
    }

    /// A daemon.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn daemon(&self, id: &DaemonId) -> Result<Option<Daemon>, MetaError> {
        self.of("daemons").find_one(doc! { "_id": id.clone() }).await.map_err(on("read a daemon"))
    }
}
