//! Carrying a plan out: files of the snapshot, the ledger replayed on them by a private mongod, the result under its name.
//!
//! Invariants: every block is checked before it is written; the replay is at exactly the instant or an error; the commit point is the
//! rename of the finished dbpath. A run that was broken off is gone on with by the same command: from its start while files are missing,
//! from the head's own position afterwards.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use blockstore_engine::{OnProgress, ReadError, Recovery};
use holdfast_domain::{OpTime, Ts};
use holdfast_head::{Head, HeadOptions, ReplayFault};
use holdfast_ledger::SnapshotMeta;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    Plan, RecoverFault, Source,
    check::{chain, whole},
    contents::Instant,
    plan::shown,
    source::Kind,
    work::{State, Work, io_fault, remove},
};

/// What travels with a snapshot's files.
const INFO: &str = "restoreInfo.json";
/// What a private mongod leaves in a dbpath that nobody needs to open it, after a clean stop.
const LEFTOVERS: [&str; 5] = ["journal", "diagnostic.data", "mongod.lock", "WiredTiger.lock", "_tmp"];
/// Room for the journal and the growth of files during a replay, in bytes, beside a quarter of the snapshot.
const REPLAY_ROOM_BYTES: u64 = 512 << 20;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What is being done, a verb phrase.
    pub what: &'static str,
    /// Done so far.
    pub done: u64,
    /// In all; 0: not known.
    pub total: u64,
    /// Whether bytes are counted.
    pub is_bytes: bool,
}

/// Called often, from async tasks: must return at once.
pub type OnStep = Arc<dyn Fn(Step) + Send + Sync>;

/// How a recovery is made.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// The folder that becomes the dbpath; new or empty.
    pub to: PathBuf,
    /// A mongod of the source's release; needed for instants only.
    pub mongod: Option<PathBuf>,
}

/// What was made.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The last oplog entry that is in the files.
    pub instant: Instant,
    /// Release of the mongod that opens them.
    pub server_version: String,
    /// The command that opens them.
    pub open: String,
    /// Name of the replica set, for seeding it.
    pub rs: String,
    /// What went wrong on the way without harm, in sentences.
    pub remarks: Vec<String>,
}

/// Makes what was planned.
///
/// # Errors
/// [`RecoverFault`], naming what can be had instead where something is damaged.
pub async fn restore(
    source: &Source,
    plan: &Plan,
    options: &RestoreOptions,
    on_step: OnStep,
    cancel: CancellationToken,
) -> Result<Restored, RecoverFault> {
    let meta = &plan.base.meta;
    if let Some(key) = plan.base.root.key.filter(|key| !source.keys.contains(*key)) {
        return Err(RecoverFault::NoKey { snapshot: plan.base.id.to_string(), key: key.to_string() });
    }
    // Asked before hours are spent on files.
    let binary = match plan.to {
        Some(_) => Some(fit_mongod(options.mongod.as_deref(), &meta.server_version).await?),
        None => None,
    };
    let mut state = State { base: plan.base.id.to_string(), to: plan.to.map(|to| (to.t, to.i)), files_whole: false };
    let (work, goes_on) = Work::open(&options.to, &state)?;
    let mut remarks = Vec::new();
    let db = Head::dbpath(&work.head());
    if !goes_on {
        check_room(&options.to, plan)?;
        std::fs::create_dir_all(work.head()).map_err(io_fault("make", &work.head()))?;
        files(source, plan, &work, &db, &on_step, &cancel, &mut remarks).await?;
        state.files_whole = true;
        work.write(&state)?;
    }
    let instant = match (plan.to, binary) {
        (Some(to), Some(binary)) => {
            let optime = replay(source, plan, to, &work, binary, &on_step, &cancel).await?;
            tidy(&db, plan, optime)?;
            optime.ts
        }
        _ => meta.optime.ts,
    };
    work.finish(&options.to)?;
    Ok(Restored {
        instant: instant.into(),
        server_version: meta.server_version.clone(),
        open: open_command(meta, &options.to),
        rs: meta.rs.clone(),
        remarks,
    })
}

/// The files of the base.
async fn files(
    source: &Source,
    plan: &Plan,
    work: &Work,
    db: &Path,
    on_step: &OnStep,
    cancel: &CancellationToken,
    remarks: &mut Vec<String>,
) -> Result<(), RecoverFault> {
    let says = Arc::clone(on_step);
    let progress: OnProgress = Arc::new(move |p| {
        says(Step { what: "bring the files back", done: p.bytes, total: p.bytes_total, is_bytes: true });
    });
    let root = plan.base.root.clone();
    let (read, instead) = match &source.kind {
        Kind::Database { store, .. } => {
            let read = store.reader(root).materialise(db, progress, cancel.clone()).await;
            let is_lost = read.as_ref().is_err_and(|e| e.class() == blockstore_engine::ErrorClass::Corrupt);
            let instead = "holdfast recover list --check says which snapshots are whole";
            (read, if is_lost { instead.to_owned() } else { String::new() })
        }
        Kind::Packs { options, .. } => {
            let says = Arc::clone(on_step);
            let lists: OnProgress = Arc::new(move |p| {
                says(Step {
                    what: "read the lists of the packs",
                    done: p.files,
                    total: p.files_total,
                    is_bytes: false,
                });
            });
            let recovery = Recovery::open(options, source.keys.clone(), &work.index(), lists).await?;
            remarks.extend(recovery.bad_packs().iter().map(|(pack, reason)| format!("{pack}: {reason}")));
            let read = recovery.snapshot(root).materialise(db, progress, cancel.clone()).await;
            let instead = match &read {
                Err(error) if error.class() == blockstore_engine::ErrorClass::Corrupt => {
                    match whole(&recovery, &plan.backup, &plan.base).await.as_slice() {
                        [] => "no other snapshot of this backup is whole".to_owned(),
                        others => format!("whole are: {}", others.join(", ")),
                    }
                }
                _ => String::new(),
            };
            (read, instead)
        }
    };
    remove(&work.index())?;
    match read {
        Ok(()) => Ok(()),
        Err(ReadError::Cancelled) => Err(RecoverFault::Cancelled),
        Err(source) => {
            // What is damaged is not gone on with.
            remove(&work.head())?;
            let instead = if instead.is_empty() { "nothing was restored".to_owned() } else { instead };
            Err(RecoverFault::Snapshot { snapshot: plan.base.id.to_string(), instead, source })
        }
    }
}

/// Replays the ledger up to `to`.
async fn replay(
    source: &Source,
    plan: &Plan,
    to: Ts,
    work: &Work,
    binary: PathBuf,
    on_step: &OnStep,
    cancel: &CancellationToken,
) -> Result<OpTime, RecoverFault> {
    let meta = &plan.base.meta;
    let info = Head::dbpath(&work.head()).join(INFO);
    if info.exists() {
        // Kept beside the dbpath: it is written anew when the replay is over.
        std::fs::rename(&info, work.head().join(INFO)).map_err(io_fault("put aside", &info))?;
    }
    let port = holdfast_mongod::free_port().map_err(io_fault("find a port for", &binary))?;
    let options = HeadOptions {
        binary,
        port,
        cache_gb: 0.5,
        directory_per_db: meta.storage.directory_per_db,
        directory_for_indexes: meta.storage.directory_for_indexes,
        keyfile: work.keyfile(),
    };
    on_step(Step { what: "open the files with a private mongod", done: 0, total: 0, is_bytes: false });
    let mut head = Head::open(&work.head(), &options).await?;
    let at = head.position();
    if at.bound != Some(to) && at.ts < to {
        let mut slices = source.slices(&plan.backup, meta.resume.chain, meta.resume.seq);
        let from = meta.optime.ts.t;
        let says = Arc::clone(on_step);
        let on_optime = move |at: OpTime| {
            let seconds = |t: u32| u64::from(t.saturating_sub(from));
            let (done, total) = (seconds(at.ts.t.min(to.t)), seconds(to.t).max(1));
            says(Step { what: "replay the oplog", done, total, is_bytes: false });
        };
        let replayed = tokio::select! {
            biased;
            () = cancel.cancelled() => None,
            replayed = head.replay(&mut slices, to, on_optime) => Some(replayed),
        };
        let seen = match replayed {
            None => {
                head.kill().await;
                return Err(RecoverFault::Cancelled);
            }
            Some(Ok(seen)) => seen,
            Some(Err(fault)) => {
                let good = slices.good.map_or(meta.optime.ts, |at| at.ts).max(meta.optime.ts);
                head.kill().await;
                return Err(match fault {
                    ReplayFault::Head(error) => error.into(),
                    ReplayFault::Runs(error) => broken(plan, to, good, &error),
                });
            }
        };
        if seen.is_none_or(|seen| seen.ts < to) {
            let good = seen.map_or(meta.optime.ts, |seen| seen.ts).max(meta.optime.ts);
            head.kill().await;
            return Err(ends(plan, to, good, "the ledger goes no further"));
        }
    }
    let optime = head.head_optime();
    head.stop().await?;
    Ok(optime)
}

/// A ledger that cannot be read on; what passes by itself stays what it is.
fn broken(plan: &Plan, to: Ts, good: Ts, error: &RecoverFault) -> RecoverFault {
    ends(plan, to, good, &chain(error))
}

fn ends(plan: &Plan, to: Ts, good: Ts, why: &str) -> RecoverFault {
    let text = |ts: Ts| format!("{} ({ts})", Instant::from(ts).at);
    let later = plan.backup.snapshots.iter().find(|one| one.meta.optime.ts > good && !one.root.quarantined);
    let next =
        later.map_or_else(String::new, |one| format!(", or begin with snapshot {} ({})", one.id, one.instant.at));
    let instead = format!("{why}; restore --at {good}{next}. By the listing, {}", shown(&plan.backup.ranges));
    RecoverFault::Ends { wanted: text(to), good: text(good), instead }
}

/// After a replay: only what a snapshot would hold, and what says how to open it.
fn tidy(db: &Path, plan: &Plan, optime: OpTime) -> Result<(), RecoverFault> {
    for name in LEFTOVERS {
        let path = db.join(name);
        if path.is_dir() {
            remove(&path)?;
        } else if path.exists() {
            std::fs::remove_file(&path).map_err(io_fault("remove", &path))?;
        }
    }
    let aside = db.with_file_name(INFO);
    let mut info: Value =
        std::fs::read(&aside).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_else(|| json!({}));
    let at = Instant::from(optime.ts);
    info["optime"] = json!({ "t": at.t, "i": at.i, "term": optime.term, "at": at.at });
    info["recoveredFrom"] = json!({ "snapshot": plan.base.id, "instant": plan.base.instant });
    // Sums were those of the snapshot's files.
    info["files"] = json!([]);
    let path = db.join(INFO);
    let text = serde_json::to_vec_pretty(&info).map_err(std::io::Error::other).map_err(io_fault("write", &path))?;
    let written = || {
        std::fs::write(&path, text)?;
        std::fs::File::open(&path)?.sync_all()?;
        std::fs::File::open(db)?.sync_all()
    };
    written().map_err(io_fault("write", &path))
}

/// A mongod of the source's release line.
async fn fit_mongod(named: Option<&Path>, wanted: &str) -> Result<PathBuf, RecoverFault> {
    let line = |version: &str| version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    let needed = format!("an instant is replayed by a mongod of release {}: name one with --mongod", line(wanted));
    let Some(binary) = named.map(Path::to_owned) else { return Err(RecoverFault::NoMongod(needed)) };
    let asked = binary.clone();
    let found = tokio::task::spawn_blocking(move || holdfast_mongod::version(&asked)).await;
    let found = found.map_err(|error| RecoverFault::NoMongod(error.to_string()))?;
    let (major, minor, patch) = found.map_err(|error| RecoverFault::NoMongod(chain(&error)))?;
    if format!("{major}.{minor}") == line(wanted) {
        Ok(binary)
    } else {
        Err(RecoverFault::NoMongod(format!("{} is release {major}.{minor}.{patch}; {needed}", binary.display())))
    }
}

fn check_room(to: &Path, plan: &Plan) -> Result<(), RecoverFault> {
    let parent = to.ancestors().skip(1).find(|dir| dir.is_dir()).unwrap_or(Path::new("."));
    let stat = nix::sys::statvfs::statvfs(parent).map_err(|e| io_fault("look at the room of", parent)(e.into()))?;
    let free = stat.blocks_available() * stat.fragment_size();
    let bytes = plan.base.root.logical_bytes;
    let needed = bytes + plan.to.map_or(0, |_| bytes / 4 + REPLAY_ROOM_BYTES);
    if free < needed {
        let path = parent.to_owned();
        return Err(RecoverFault::NoRoom { path, free_mb: free >> 20, needed_mb: needed >> 20 });
    }
    Ok(())
}

fn open_command(meta: &SnapshotMeta, to: &Path) -> String {
    let mut command = format!("mongod --dbpath {}", to.display());
    for (set, flag) in [
        (meta.storage.directory_per_db, " --directoryperdb"),
        (meta.storage.directory_for_indexes, " --wiredTigerDirectoryForIndexes"),
    ] {
        command.push_str(if set { flag } else { "" });
    }
    command
}
