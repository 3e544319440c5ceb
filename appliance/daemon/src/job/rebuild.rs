//! Healing: a head that is gone, corrupt or different is built anew from the last good snapshot and the ledger, before the first snapshot
//! from the slices of the initial sync; when that does not help, the chain is closed and the source synced again.
//!
//! Invariants: a head that differs is never fed on; a snapshot that led to the same difference again is not tried twice; snapshots that were
//! tried in vain are in doubt once an older one passed the place.

use holdfast_domain::{BackupEvent, BackupState, CloseReason, ErrorClass, SnapshotId};
use holdfast_ledger::SyncPhase;

use super::{
    driver::Driver,
    error::JobError,
    head_file::{Divergence, HeadFile, HeadPhase},
};
use crate::{
    dbpath,
    head::Head,
    proof::{ProofFault, ProofOutcome},
    snapshotter,
};

impl Driver {
    /// Builds the head anew, or gives the chain up. `differs`: it was not just lost, it was wrong.
    pub(super) async fn rebuild(&mut self, why: &str, differs: bool) -> Result<(), JobError> {
        self.kill_head().await;
        if let Some(writing) = self.writing.take() {
            writing.abort().await;
        }
        let Some(file) = self.heads.current.clone() else { return Ok(()) };
        tracing::warn!(job = %self.record.id(), why, seq = self.last_seq, "the head is rebuilt");
        metrics::counter!("holdfast_head_rebuilds_total").increment(1);
        if file.phase == HeadPhase::Loading {
            return self.load_again(file.chain, CloseReason::SyncFailed, why).await;
        }
        if matches!(self.record.job().state, BackupState::Active | BackupState::CatchingUp) {
            self.record.event(BackupEvent::Rebuild).await?;
        }
        let divergence = match file.divergence {
            // A head that was lost says nothing about the snapshot that it came from.
            known if !differs => known.map(|mut known| {
                known.tried.pop();
                known
            }),
            Some(known) if known.seq >= self.last_seq => Some(known),
            _ => Some(Divergence { seq: self.last_seq, tried: Vec::new() }),
        };
        if self.rebuild_from_snapshot(file.chain, divergence).await? {
            return Ok(());
        }
        // Before the first snapshot the slices of the initial sync are still there.
        self.load_again(file.chain, CloseReason::Diverged, why).await
    }

    /// There is no snapshot to begin with: the head is loaded from the slices of the initial sync, as long as they are stored.
    async fn load_again(&mut self, chain: i64, otherwise: CloseReason, why: &str) -> Result<(), JobError> {
        self.heads.discard()?;
        if self.loads_failed.0 != chain {
            self.loads_failed = (chain, 0);
        }
        let info = self.ctx.ledger.sync_info(self.record.id(), chain).await?;
        let again = self.loads_failed.1 < super::load::LOADS_MAX && info.is_some_and(|i| i.phase != SyncPhase::Dropped);
        self.loads_failed.1 += 1;
        self.position = None;
        self.newest_known = false;
        if again { Ok(()) } else { self.give_up_chain(otherwise, why).await }
    }

    /// Builds a head from the newest good snapshot of this chain that was not tried yet. False: there is none.
    pub(super) async fn rebuild_from_snapshot(
        &mut self,
        chain: i64,
        divergence: Option<Divergence>,
    ) -> Result<bool, JobError> {
        let tried: &[SnapshotId] = divergence.as_ref().map_or(&[], |d| d.tried.as_slice());
        let span = self.ctx.ledger.chains(self.record.id()).await?.into_iter().find(|span| span.chain == chain);
        let Some(span) = span else { return Ok(false) };
        let all = snapshotter::good_snapshots(&self.ctx.store, self.record.id()).await?;
        let reaches = |s: &&snapshotter::Snapshot| s.meta.resume.chain == chain && span.first_seq <= s.meta.resume.seq;
        let Some(snapshot) = all.iter().filter(reaches).rfind(|s| !tried.contains(&s.id())) else { return Ok(false) };
        let id = snapshot.id();
        self.record.phase("rebuild the head from its last snapshot");
        self.record.flush(true).await?;
        tracing::info!(job = %self.record.id(), snapshot = %id, at = %snapshot.meta.optime, "rebuild the head");
        let generation = self.heads.next_generation()?;
        let dir = self.heads.generation(generation);
        dbpath::remove(&dir)?;
        std::fs::create_dir_all(&dir)?;
        let clone = self.heads.clone_of(&id);
        let to = Head::dbpath(&dir);
        let back = snapshotter::materialise(
            &self.ctx.store,
            &snapshot.root,
            Some(&clone),
            &to,
            snapshotter::unseen(),
            &self.cancel,
        );
        if let Err(error) = back.await {
            if error.class() == ErrorClass::Corrupt {
                // The next attempt takes an older one.
                self.doubt(&id).await?;
            }
            return Err(error.into());
        }
        let base = Some(id.clone());
        let divergence = divergence.map(|mut d| {
            d.tried.push(id);
            d
        });
        let old = self.heads.current.take();
        let result = self.heads.put(HeadFile {
            chain,
            generation,
            phase: HeadPhase::Ready,
            server_version: snapshot.meta.server_version.clone(),
            fcv: snapshot.meta.fcv.clone(),
            storage: snapshot.meta.storage,
            divergence,
            compared: None,
            base,
        });
        if result.is_err() {
            self.heads.current = old;
        }
        result?;
        self.heads.remove_others()?;
        self.position = None;
        self.newest_known = false;
        Ok(true)
    }

    /// The head has applied this slice: a divergence before it is healed, and what was tried in vain is in doubt.
    pub(super) async fn passed(&mut self, seq: i64) -> Result<(), JobError> {
        let divergence = self.heads.current.as_ref().and_then(|head| head.divergence.clone());
        let Some(mut divergence) = divergence.filter(|d| seq >= d.seq) else { return Ok(()) };
        divergence.tried.pop();
        for snapshot in divergence.tried {
            tracing::warn!(job = %self.record.id(), %snapshot, "a head rebuilt from this snapshot diverged: it is in doubt");
            self.doubt(&snapshot).await?;
        }
        self.heads.change(|head| head.divergence = None)?;
        tracing::info!(job = %self.record.id(), seq, "the head has passed the place where it diverged");
        Ok(())
    }

    /// The head was never equal to the source since it was rebuilt: what it was rebuilt from is in doubt.
    pub(super) async fn doubt_base(&self) -> Result<(), JobError> {
        let file = self.heads.current.as_ref().filter(|file| file.compared.is_none());
        if let Some(base) = file.and_then(|file| file.base.as_ref()) {
            tracing::warn!(job = %self.record.id(), snapshot = %base, "a head rebuilt from this snapshot differs: it is in doubt");
            self.doubt(base).await?;
        }
        Ok(())
    }

    async fn doubt(&self, snapshot: &SnapshotId) -> Result<(), JobError> {
        let Ok(root) = snapshot.as_str().parse() else { return Ok(()) };
        let marked = self.ctx.store.set_quarantined(&root, true).await;
        Ok(marked.map_err(snapshotter::SnapshotError::from)?)
    }

    /// A proof ended.
    pub(super) async fn proved(&mut self, outcome: ProofOutcome) -> Result<(), JobError> {
        let ProofOutcome { snapshot, fault, seconds, bytes } = outcome;
        match fault {
            None => {
                tracing::info!(job = %self.record.id(), %snapshot, seconds, bytes, "snapshot proved");
                self.record.proof(&snapshot, None, seconds).await?;
                Ok(())
            }
            Some(ProofFault::NotMade(why)) => {
                tracing::warn!(job = %self.record.id(), %snapshot, why, "the proof could not be made; the next snapshot is tried");
                Ok(())
            }
            Some(ProofFault::Differs(why)) => {
                self.record.proof(&snapshot, Some(&why), seconds).await?;
                self.doubt(&snapshot).await?;
                self.newest_known = false;
                Err(JobError::Differs(why))
            }
        }
    }
}
