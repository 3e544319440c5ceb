//! Which snapshot a recovery begins with and how far the ledger is replayed on it: chosen first, carried out then.

use holdfast_domain::{SnapshotId, Ts};

use crate::{
    RecoverFault,
    contents::{Backup, Contents, Instant, SecondsRange, SnapshotLine},
};

/// Ranges named in a sentence.
const RANGES_SHOWN: usize = 5;

/// What to recover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A snapshot as it is.
    Snapshot(SnapshotId),
    /// Every entry with a cluster time at or before this one.
    Instant {
        /// The instant.
        at: Ts,
        /// Group and replica set; None: the only backup there is.
        backup: Option<(String, String)>,
        /// Begin with this snapshot; None: the newest that leads there.
        base: Option<SnapshotId>,
    },
}

/// What will be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The backup.
    pub backup: Backup,
    /// The snapshot to begin with.
    pub base: SnapshotLine,
    /// The instant to replay to; None: the snapshot as it is.
    pub to: Option<Ts>,
}

/// Chooses.
///
/// # Errors
/// [`RecoverFault::Request`], naming what there is instead.
pub fn plan(contents: &Contents, target: &Target) -> Result<Plan, RecoverFault> {
    match target {
        Target::Snapshot(id) => {
            let (backup, base) = snapshot(contents, id)?;
            Ok(Plan { backup: backup.clone(), base: base.clone(), to: None })
        }
        Target::Instant { at, backup, base } => {
            let backup = only(contents, backup.as_ref())?;
            let leads = |one: &&SnapshotLine| one.meta.optime.ts <= *at && one.reach >= *at;
            let base = match base {
                Some(id) => {
                    Some(snapshot(contents, id)?.1).filter(|one| one.root.job == backup.job.as_str()).filter(leads)
                }
                None => {
                    let sound = backup.snapshots.iter().filter(|one| !one.root.quarantined);
                    sound.filter(leads).max_by_key(|one| (one.meta.resume.chain, one.meta.optime))
                }
            };
            let base = base.ok_or_else(|| {
                let at = Instant::from(*at);
                let faults = backup.faults.join("; ");
                let why = if faults.is_empty() { String::new() } else { format!(" ({faults})") };
                RecoverFault::Request(format!(
                    "{} ({},{}) cannot be restored{why}; {}",
                    at.at,
                    at.t,
                    at.i,
                    shown(&backup.ranges)
                ))
            })?;
            let to = (*at > base.meta.optime.ts).then_some(*at);
            Ok(Plan { backup: backup.clone(), base: base.clone(), to })
        }
    }
}

fn snapshot<'a>(contents: &'a Contents, id: &SnapshotId) -> Result<(&'a Backup, &'a SnapshotLine), RecoverFault> {
    let all = contents.backups.iter().flat_map(|b| b.snapshots.iter().map(move |s| (b, s)));
    all.into_iter().find(|(_, one)| one.id == *id).ok_or_else(|| {
        let unreadable = contents.faults.iter().find(|fault| fault.contains(id.as_str()));
        RecoverFault::Request(
            unreadable.cloned().unwrap_or_else(|| format!("there is no snapshot {id}; see holdfast recover list")),
        )
    })
}

fn only<'a>(contents: &'a Contents, named: Option<&(String, String)>) -> Result<&'a Backup, RecoverFault> {
    let fits = |b: &&Backup| {
        named.is_none_or(|(group, rs)| {
            let id = b.snapshots.first().map(|one| one.meta.group.as_str());
            b.rs == *rs && (b.group == *group || id == Some(group.as_str()))
        })
    };
    let found: Vec<&Backup> = contents.backups.iter().filter(fits).collect();
    let names = || contents.backups.iter().map(|b| format!("{}/{}", b.group, b.rs)).collect::<Vec<_>>().join(", ");
    match found.as_slice() {
        [one] => Ok(one),
        [] if contents.backups.is_empty() => Err(RecoverFault::Request(match contents.faults.first() {
            Some(fault) => format!("no snapshot can be read: {fault}"),
            None => "there is no snapshot".to_owned(),
        })),
        [] => Err(RecoverFault::Request(format!("there is no such backup; there are: {}", names()))),
        // One replica set that was added twice: its younger backup must be named by a snapshot.
        _ => Err(RecoverFault::Request(format!(
            "name the backup as GROUP/RS, or one of its snapshots with --base; there are: {}",
            names()
        ))),
    }
}

/// The ranges in a sentence.
pub(crate) fn shown(ranges: &[SecondsRange]) -> String {
    if ranges.is_empty() {
        return "nothing can be restored".to_owned();
    }
    let text = |range: &SecondsRange| {
        let SecondsRange { from, to } = range;
        format!("{} ({},{}) to {} ({},{})", from.at, from.t, from.i, to.at, to.t, to.i)
    };
    // The newest are wanted most.
    let from = ranges.len().saturating_sub(RANGES_SHOWN);
    let all: Vec<String> = ranges[from..].iter().map(text).collect();
    let more = if from > 0 { format!(" and {from} older ranges") } else { String::new() };
    format!("what can be restored: {}{more}", all.join(", "))
}
