//! The proof of a snapshot: what is stored opens, and equals what the head was; and what the ledger says leads to the same.
//!
//! Two comparisons, by catalog and dbHash:
//! 1. the stored snapshot, materialised and opened, against a throw-away copy of the snapshot's clone (without reflink: against the head,
//!    asked before it goes on): finds what storing or reading spoiled;
//! 2. the snapshot before, replayed to the same optime, against the same: finds what changed in the head otherwise than by the ledger.
//!
//! Runs beside the head, on ports of the restores' range, in a work folder that goes with it. It writes nothing; the driver acts on the
//! outcome.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Instant};

use holdfast_domain::{BackupJobId, ErrorClass, SnapshotId};
use tokio_util::sync::CancellationToken;

use crate::{
    chain_of,
    context::Context,
    dbpath,
    head::{Catalog, DbHashes, Head, HeadError, heal},
    replay::{self, ReplayError, ReplayRequest},
    snapshotter::{self, Snapshot},
    space,
};

/// Differences named in a sentence.
const DIFFERENCES_SHOWN: usize = 3;

/// What is compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Hash of each collection.
    pub hashes: DbHashes,
    /// Collections with options, UUIDs and indexes.
    pub catalog: Catalog,
}

/// What the snapshot must equal.
#[derive(Debug)]
pub enum Expected {
    /// Files of its clone on this disk; a throw-away copy is opened.
    Clone(PathBuf),
    /// The head was asked.
    Facts(Facts),
}

/// What shall be proved.
#[derive(Debug)]
pub struct ProofRequest {
    /// Whose.
    pub job: BackupJobId,
    /// The snapshot.
    pub snapshot: Snapshot,
    /// The one before it in the same chain.
    pub base: Option<Snapshot>,
    /// What it must equal.
    pub expected: Expected,
}

/// Why a proof did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProofFault {
    /// It could not be made; says nothing about the snapshot.
    NotMade(String),
    /// The snapshot is not what it must be.
    Differs(String),
}

/// How a proof ended.
#[derive(Clone, Debug, PartialEq)]
pub struct ProofOutcome {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// None: proved.
    pub fault: Option<ProofFault>,
    /// Seconds from the order to open the stored snapshot until it answered.
    pub seconds: f64,
    /// Its size in bytes.
    pub bytes: u64,
}

/// What a head is.
///
/// # Errors
/// The head's.
pub async fn facts(head: &Head) -> Result<Facts, HeadError> {
    Ok(Facts { hashes: head.db_hashes().await?, catalog: head.catalog().await? })
}

/// Where two differ, in a sentence; None: equal.
#[must_use]
pub fn difference(expected: &Facts, found: &Facts) -> Option<String> {
    let flat = |hashes: &DbHashes| -> BTreeMap<String, String> {
        let named = |(db, all): (&String, &BTreeMap<String, String>)| {
            all.iter().map(|(name, hash)| (format!("{db}.{name}"), hash.clone())).collect::<Vec<_>>()
        };
        hashes.iter().flat_map(named).collect()
    };
    let (a, b) = (flat(&expected.hashes), flat(&found.hashes));
    let mut all: Vec<String> =
        heal::compare(&expected.catalog, &found.catalog).iter().map(ToString::to_string).collect();
    for name in a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))) {
        match (a.get(name), b.get(name)) {
            (Some(one), Some(other)) if one == other => {}
            (Some(_), Some(_)) => all.push(format!("{name} has another content")),
            (Some(_), None) => all.push(format!("{name} is missing")),
            _ => all.push(format!("{name} is too much")),
        }
    }
    let more = all.len().saturating_sub(DIFFERENCES_SHOWN);
    all.truncate(DIFFERENCES_SHOWN);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!all.is_empty()).then(|| all.join(", ") + &rest)
}

/// Makes the proof.
pub async fn prove(ctx: Arc<Context>, request: ProofRequest, cancel: CancellationToken) -> ProofOutcome {
    let id = request.snapshot.id();
    let mut outcome =
        ProofOutcome { snapshot: id.clone(), fault: None, seconds: 0.0, bytes: request.snapshot.root.logical_bytes };
    let view = format!("{}/{id}", request.job);
    ctx.board.update("proof", &view, |v| v.phase = "wait for a slot".into());
    let made = async {
        let _slot = ctx.proofs.acquire().await.map_err(|_| ReplayError::Cancelled)?;
        compare(&ctx, &request, &view, &mut outcome.seconds, &cancel).await
    }
    .await;
    ctx.board.remove("proof", &view);
    outcome.fault = match made {
        Ok(None) => None,
        Ok(Some(difference)) => Some(ProofFault::Differs(difference)),
        Err(error) if error.class() == ErrorClass::Corrupt => Some(ProofFault::Differs(chain_of(&error))),
        Err(error) => Some(ProofFault::NotMade(chain_of(&error))),
    };
    outcome
}

async fn compare(
    ctx: &Arc<Context>,
    request: &ProofRequest,
    view: &str,
    seconds: &mut f64,
    cancel: &CancellationToken,
) -> Result<Option<String>, ReplayError> {
    let say = |phase: &str| ctx.board.update("proof", view, |v| v.phase = phase.to_owned());
    let io = |e: std::io::Error| ReplayError::Snapshot(snapshotter::SnapshotError::Io(e));
    let work = ctx.layout.work(&format!("proof-{}", request.snapshot.root.id)).map_err(io)?;
    let room = space::room(ctx.layout.root(), ctx.settings.head_bytes_max).map_err(io)?;
    if room.free_bytes < request.snapshot.root.logical_bytes + space::HEAD_RESERVE_BYTES {
        return Err(io(std::io::Error::other("not enough room on the head disk for a proof")));
    }
    let meta = &request.snapshot.meta;
    let expected = match &request.expected {
        Expected::Facts(facts) => facts.clone(),
        Expected::Clone(clone) => {
            say("open a copy of the clone");
            let copy = work.path().join("clone");
            let (from, to) = (clone.clone(), Head::dbpath(&copy));
            let copied = tokio::task::spawn_blocking(move || dbpath::copy(&from, &to)).await;
            copied.map_err(|e| io(std::io::Error::other(e)))?.map_err(io)?;
            let opened = replay::open(ctx, meta, &copy).await?;
            let found = ask(opened).await?;
            dbpath::remove(&copy).map_err(io)?;
            found
        }
    };
    say("open the stored snapshot");
    let started = Instant::now();
    let stored = work.path().join("stored");
    let as_is = ReplayRequest { job: &request.job, base: &request.snapshot, clone: None, dir: &stored, to: None };
    let opened = replay::replay(ctx, &as_is, snapshotter::unseen(), |_| {}, cancel).await?;
    *seconds = started.elapsed().as_secs_f64();
    let found = ask(opened).await?;
    dbpath::remove(&stored).map_err(io)?;
    if let Some(difference) = difference(&expected, &found) {
        return Ok(Some(format!("the stored snapshot differs from the head it was taken of: {difference}")));
    }
    let Some(base) = &request.base else { return Ok(None) };
    if base.meta.optime.ts >= meta.optime.ts || base.meta.server_version != meta.server_version {
        return Ok(None);
    }
    say("replay the snapshot before");
    let replayed_db = work.path().join("replayed");
    let replayed = ReplayRequest { job: &request.job, base, clone: None, dir: &replayed_db, to: Some(meta.optime.ts) };
    let opened = match replay::replay(ctx, &replayed, snapshotter::unseen(), |_| {}, cancel).await {
        Ok(opened) => opened,
        // Retention was here first: nothing to replay.
        Err(ReplayError::Trimmed { .. } | ReplayError::NoChain(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let found = ask(opened).await?;
    Ok(difference(&found, &expected).map(|d| format!("the head differs from what the ledger leads to: {d}")))
}

/// Asks a head and stops it.
async fn ask(replayed: replay::Replayed) -> Result<Facts, ReplayError> {
    let found = facts(&replayed.head).await;
    let stopped = replayed.head.stop().await;
    let found = found?;
    stopped?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(hashes: &[(&str, &str)]) -> Facts {
        let hashes = hashes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Facts { hashes: BTreeMap::from([("a".to_owned(), hashes)]), catalog: Catalog::default() }
    }

    #[test]
    fn differences_are_named_and_bounded() {
        let base = facts(&[("b", "1"), ("c", "2")]);
        assert_eq!(difference(&base, &base), None);
        assert_eq!(difference(&base, &facts(&[("b", "9"), ("c", "2")])).as_deref(), Some("a.b has another content"));
        let other = difference(&base, &facts(&[("d", "1"), ("e", "1"), ("f", "2")]));
        let other = other.as_deref();
        assert!(other.is_some_and(|d| d.contains("a.b is missing") && d.ends_with("and 2 more")), "{other:?}");
    }
}
