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
    /// Labels of its own configuration and of its binaries, as it reports them.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Labels that operators gave it besides; the daemon never writes them.
    #[serde(default)]
    pub given_labels: Vec<String>,
    /// It shall be emptied: it takes no new job, and hands its heads over one after the other.
    #[serde(default)]
    pub draining: bool,
    /// Why a head cannot be handed over, a sentence; said by the daemon while it is emptied.
    #[serde(default)]
    pub drain_fault: Option<String>,
    /// Share of its machine's processors that was busy since the report before, in percent; `None`: not known.
    #[serde(default)]
    pub busy_percent: Option<u8>,
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

impl Daemon {
    /// Every label that jobs can ask for: its own and those that were given to it.
    #[must_use]
    pub fn all_labels(&self) -> Vec<String> {
        let mut all: Vec<String> = self.labels.iter().chain(&self.given_labels).cloned().collect();
        all.sort();
        all.dedup();
        all
    }
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
    /// Busy share of the machine's processors, in percent.
    pub busy_percent: Option<u8>,
}

/// Labels that operators may give to one daemon, at most.
const GIVEN_LABELS_MAX: usize = 50;
/// Longest label, in characters.
const LABEL_CHARS_MAX: usize = 100;

fn check_labels(labels: &[String]) -> Result<(), MetaError> {
    let sound = |label: &String| {
        !label.is_empty()
            && label.chars().count() <= LABEL_CHARS_MAX
            && label.chars().all(|c| c.is_alphanumeric() || "-_.:/".contains(c))
    };
    if labels.len() <= GIVEN_LABELS_MAX && labels.iter().all(sound) {
        return Ok(());
    }
    let detail = format!(
        "at most {GIVEN_LABELS_MAX} labels of 1 to {LABEL_CHARS_MAX} letters, digits, `-`, `_`, `.`, `:`, `/` are allowed"
    );
    Err(MetaError::Invalid { what: "a label", detail })
}

/// What an operator changes of a daemon; None leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DaemonChange {
    /// Whether it shall be emptied.
    pub draining: Option<bool>,
    /// Labels besides its own.
    pub given_labels: Option<Vec<String>>,
}

impl MetaDb {
    /// An operator changes a daemon. The daemon as it was before.
    ///
    /// # Errors
    /// [`MetaError::Invalid`] for labels out of bounds, [`MetaError::NotFound`].
    pub async fn change_daemon(&self, id: &DaemonId, change: &DaemonChange) -> Result<Daemon, MetaError> {
        let op = "change a daemon";
        let mut set = bson::Document::new();
        if let Some(draining) = change.draining {
            set.insert("draining", draining);
            set.insert("drainFault", bson::Bson::Null);
        }
        if let Some(labels) = &change.given_labels {
            check_labels(labels)?;
            let mut labels = labels.clone();
            labels.sort();
            labels.dedup();
            set.insert("givenLabels", labels);
        }
        let missing = || MetaError::NotFound { what: "daemon", id: id.to_string() };
        if set.is_empty() {
            return self.daemon(id).await?.ok_or_else(missing);
        }
        let old = self.of("daemons").find_one_and_update(doc! { "_id": id.clone() }, doc! { "$set": set }).await;
        old.map_err(on(op))?.ok_or_else(missing)
    }

    /// A daemon that is emptied says why a head stays; None: nothing holds it up.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn set_drain_fault(&self, id: &DaemonId, fault: Option<&str>) -> Result<(), MetaError> {
        let filter = doc! { "_id": id.clone(), "draining": true };
        let update = doc! { "$set": { "drainFault": fault } };
        let done = self.of::<Daemon>("daemons").update_one(filter, update).await;
        done.map(|_| ()).map_err(on("say what holds a drain up"))
    }

    /// A daemon that is emptied asks for a job's move, unless an operator wants something else already. True: asked.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn drain_job(&self, job: &BackupJobId, from: &DaemonId, to: &DaemonId) -> Result<bool, MetaError> {
        let filter = doc! { "_id": job.clone(), "daemon": from.clone(), "wantedDaemon": bson::Bson::Null };
        let update = doc! { "$set": { "wantedDaemon": to.clone() } };
        let done = self.of::<crate::BackupJob>("backup_jobs").update_one(filter, update).await;
        Ok(done.map_err(on("move a head off a daemon"))?.matched_count == 1)
    }

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
                "ports": to_bson(op, &beat.ports)?, "labels": &beat.labels, "busyPercent": to_bson(op, &beat.busy_percent)?,
                "lastSeen": DateTime::now(),
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
