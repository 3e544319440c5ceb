//! A snapshot's files brought to a later instant: for restores and proofs.
//!
//! Invariant: instants are inclusive, and what comes out is at exactly that instant or an error: a ledger that ends before it is one.

use std::{path::Path, sync::Arc, time::Duration};

use blockstore_engine::OnProgress;
use holdfast_domain::{BackupJobId, Classify as _, ErrorClass, OpTime, Ts};
use holdfast_ledger::{LedgerError, SnapshotMeta};
use tokio_util::sync::CancellationToken;

use crate::{
    binaries::NoBinary,
    context::Context,
    feed::{Feed, FeedError},
    head::{Head, HeadError, ReplayFault},
    ports::RangePort,
    snapshotter::{self, Snapshot, SnapshotError},
};

/// How long a port of the range is waited for.
const PORT_WAIT: Duration = Duration::from_secs(60);
const PORT_POLL: Duration = Duration::from_millis(500);

/// Why an instant was not reached.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The ledger does not hold the instant.
    #[error("the ledger of chain {chain} ends at {ends}: {wanted} is not in it")]
    EndsBefore {
        /// Chain.
        chain: i64,
        /// Its end.
        ends: OpTime,
        /// What was asked for.
        wanted: Ts,
    },
    /// The chain is not there any more.
    #[error("chain {0} is no longer in the ledger")]
    NoChain(i64),
    /// Slices that a replay needs were removed.
    #[error("the ledger of chain {chain} begins at slice {first}, the snapshot needs slice {needed}")]
    Trimmed {
        /// Chain.
        chain: i64,
        /// First slice left.
        first: i64,
        /// First one needed.
        needed: i64,
    },
    /// All ports are taken.
    #[error("all ports for restores are taken: widen daemon.restore_ports or wait")]
    NoPort,
    /// The head.
    #[error("replay")]
    Head(#[from] HeadError),
    /// The ledger.
    #[error("read the ledger")]
    Ledger(#[from] LedgerError),
    /// The feed.
    #[error("read the ledger")]
    Feed(#[from] FeedError),
    /// No mongod.
    #[error(transparent)]
    NoBinary(#[from] NoBinary),
    /// The snapshot.
    #[error("bring the snapshot back")]
    Snapshot(#[from] SnapshotError),
    /// Called off.
    #[error("called off")]
    Cancelled,
}

impl ReplayError {
    /// See [`ErrorClass`].
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::EndsBefore { .. } | Self::NoChain(_) | Self::Trimmed { .. } => ErrorClass::Caller,
            Self::NoPort => ErrorClass::Retry,
            Self::Head(e) => e.class(),
            Self::Ledger(e) => e.class(),
            Self::Feed(e) => e.class(),
            Self::NoBinary(e) => e.class(),
            Self::Snapshot(e) => e.class(),
            Self::Cancelled => ErrorClass::Cancelled,
        }
    }
}

/// A head on a port of the range, without one of the pool's turns.
pub struct Replayed {
    /// The head, open.
    pub head: Head,
    /// Its port.
    pub port: RangePort,
}

/// What is replayed.
pub struct ReplayRequest<'a> {
    /// Whose.
    pub job: &'a BackupJobId,
    /// From here.
    pub base: &'a Snapshot,
    /// Clone of the base on this disk, if there is one.
    pub clone: Option<&'a Path>,
    /// Into this folder, as a head's: the files come to lie in [`Head::dbpath`] of it, which must not exist.
    pub dir: &'a Path,
    /// Up to here, inclusive; None: the snapshot as it is.
    pub to: Option<Ts>,
}

/// A port of the range; waits a while for one.
///
/// # Errors
/// [`ReplayError::NoPort`].
pub async fn take_port(ctx: &Context) -> Result<RangePort, ReplayError> {
    let wait = async {
        loop {
            if let Some(port) = ctx.restore_ports.take() {
                return port;
            }
            tokio::time::sleep(PORT_POLL).await;
        }
    };
    tokio::time::timeout(PORT_WAIT, wait).await.map_err(|_| ReplayError::NoPort)
}

/// Opens the files of a snapshot, which lie in [`Head::dbpath`] of `dir`, on a port of the range.
///
/// # Errors
/// [`ReplayError`].
pub async fn open(ctx: &Context, meta: &SnapshotMeta, dir: &Path) -> Result<Replayed, ReplayError> {
    let port = take_port(ctx).await?;
    let options = ctx.head_options(&meta.server_version, meta.storage, port.number)?;
    Ok(Replayed { head: Head::open(dir, &options).await?, port })
}

/// Checks that the ledger reaches from the snapshot to `to`.
///
/// # Errors
/// [`ReplayError`], saying where the ledger ends.
pub async fn check_reach(ctx: &Context, job: &BackupJobId, base: &SnapshotMeta, to: Ts) -> Result<(), ReplayError> {
    if to == base.optime.ts {
        return Ok(());
    }
    let chain = base.resume.chain;
    let spans = ctx.ledger.chains(job).await?;
    let span = spans.iter().find(|span| span.chain == chain).ok_or(ReplayError::NoChain(chain))?;
    if span.first_seq > base.resume.seq {
        return Err(ReplayError::Trimmed { chain, first: span.first_seq, needed: base.resume.seq });
    }
    if span.to.ts < to {
        return Err(ReplayError::EndsBefore { chain, ends: span.to, wanted: to });
    }
    Ok(())
}

/// Brings the base's files back and replays the ledger on them. `progress` sees the bytes of the files, then `on_optime` each slice's end.
///
/// # Errors
/// [`ReplayError`].
pub async fn replay(
    ctx: &Arc<Context>,
    request: &ReplayRequest<'_>,
    progress: OnProgress,
    mut on_optime: impl FnMut(OpTime) + Send,
    cancel: &CancellationToken,
) -> Result<Replayed, ReplayError> {
    let meta = &request.base.meta;
    if let Some(to) = request.to {
        check_reach(ctx, request.job, meta, to).await?;
    }
    snapshotter::materialise(
        &ctx.store,
        &request.base.root,
        request.clone,
        &Head::dbpath(request.dir),
        progress,
        cancel,
    )
    .await?;
    let mut replayed = open(ctx, meta, request.dir).await?;
    let Some(to) = request.to else { return Ok(replayed) };
    let run = async {
        if to <= meta.optime.ts {
            return Ok(());
        }
        let chain = meta.resume.chain;
        let feed_from = replayed.head.position().feed_from.ts;
        let from = ctx.ledger.entry_at(request.job, chain, feed_from).await?.map_or(1, |at| at.seq);
        let mut feed = Feed::start(ctx.ledger.clone(), request.job.clone(), chain, from);
        replayed.head.replay(&mut feed, to, &mut on_optime).await.map_err(|fault| match fault {
            ReplayFault::Head(error) => ReplayError::Head(error),
            ReplayFault::Runs(error) => ReplayError::Feed(error),
        })?;
        Ok(())
    };
    let ran = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(ReplayError::Cancelled),
        ran = run => ran,
    };
    match ran {
        Ok(()) => Ok(replayed),
        Err(error) => {
            replayed.head.kill().await;
            Err(error)
        }
    }
}
