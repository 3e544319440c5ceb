//! Clones of the head's files: made while it is stopped, compared with the snapshot before, kept for the next one.
//!
//! Invariants: a clone is made of a head that was stopped cleanly and is never opened by a mongod; it is bound to the root that was committed
//! from it, and the older one goes only after that; at most two exist. A head that fragments is mended a bounded part at a time, right after
//! it was cloned and before it is opened again. A sample that misses is an error in the log, on the board and in the job's document.

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use blockstore_engine::{
    RangesReport, RootId,
    ranges::{self, BoundClone, CloneError, MendReport, Since, Survey, TreeClone},
};
use holdfast_metadb::ChangesFound;

use super::{driver::Driver, error::JobError};
use crate::{chain_of, dbpath, snapshotter::Snapshot};

impl Driver {
    /// Clones the files of the stopped head, and mends what the last snapshot found fragmented. `None`: this file system cannot clone.
    pub(super) async fn clone_head(&mut self, db: &Path) -> Result<Option<TreeClone>, JobError> {
        if !self.ctx.file_system.shares_bytes {
            return Ok(None);
        }
        let (from, to) = (db.to_owned(), self.heads.new_clone());
        let windows = std::mem::take(&mut self.fragmented);
        let made = tokio::task::spawn_blocking(move || {
            ranges::remove_clone(&to)?;
            let begun = Instant::now();
            let clone = match ranges::clone_tree(&from, &to, &dbpath::keeps) {
                Ok(clone) => clone,
                Err(CloneError::Unsupported(dir)) => {
                    tracing::warn!(dir = %dir.display(), "the head cannot be cloned: it is held while its snapshot is written");
                    return Ok(None);
                }
                Err(error) => return Err(io::Error::other(error)),
            };
            let cloned = begun.elapsed();
            let mended = ranges::mend(&from, &windows).unwrap_or_else(|error| {
                tracing::warn!(%error, "a fragmented file of the head could not be rewritten; its content is as it was");
                MendReport::default()
            });
            Ok::<_, io::Error>(Some((clone, cloned, mended, begun.elapsed() - cloned)))
        });
        let Some((clone, cloned, mended, mending)) = made.await.map_err(io::Error::other)?? else { return Ok(None) };
        metrics::histogram!("holdfast_head_clone_seconds").record(cloned.as_secs_f64());
        tracing::info!(
            job = %self.record.id(), clone_ms = millis(cloned), mended_bytes = mended.bytes, mend_ms = millis(mending), "head cloned"
        );
        Ok(Some(clone))
    }

    /// What a snapshot written from a clone is compared with: the clone of its parent, if it is here.
    pub(super) fn since(&self, is_clone: bool, parent: Option<RootId>) -> Option<Since> {
        let id = parent.filter(|_| is_clone && self.ctx.file_system.finds_changes())?.to_string().parse().ok()?;
        match BoundClone::open(&self.heads.clone_of(&id)) {
            Ok(clone) => clone.map(Since::new),
            Err(error) => {
                tracing::warn!(job = %self.record.id(), %error, "the clone of the snapshot before cannot be read: everything is read");
                None
            }
        }
    }

    /// Binds the clone to the snapshot that was committed from it; the older ones go.
    pub(super) async fn keep_clone(&mut self, clone: TreeClone, snapshot: &Snapshot) -> Result<(), JobError> {
        let (root, to) = (snapshot.root.id, self.heads.clone_of(&snapshot.id()));
        let bound = tokio::task::spawn_blocking(move || clone.bind(root, &to)).await;
        bound.map_err(io::Error::other)??;
        self.heads.remove_clones(Some(&snapshot.id()))?;
        Ok(())
    }

    /// Says how a snapshot found out what changed, loudly when its sample missed; and remembers what to mend.
    pub(super) async fn found_changes(
        &mut self,
        snapshot: &Snapshot,
        report: RangesReport,
        survey: Survey,
        held: Duration,
    ) -> Result<(), JobError> {
        let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let per_gib = survey.worst.as_ref().map_or(0, ranges::FileExtents::per_gib);
        let compared = report.files_compared > 0 || report.refused.is_some();
        let found = ChangesFound {
            snapshot: snapshot.id().to_string(),
            at: snapshot.root.committed_at,
            refused: report
                .refused
                .map(|refusal| chain_of(&refusal))
                .or_else(|| (!compared).then(|| "there is no clone of the snapshot before".to_owned())),
            unchanged_bytes: count(report.unchanged_bytes),
            read_bytes: if compared { count(report.read_bytes) } else { count(snapshot.root.logical_bytes) },
            sampled: count(report.sampled),
            missed: count(report.missed),
            first_miss: report.first_miss.as_ref().map(|miss| format!("{} at {}", miss.path, miss.offset)),
            held_ms: count(millis(held)),
            extents: count(survey.extents),
            extents_per_gib: count(per_gib),
        };
        if report.is_alert() {
            metrics::counter!("holdfast_ranges_missed_total").increment(report.missed);
            tracing::error!(
                job = %self.record.id(), snapshot = %found.snapshot, missed = found.missed, sampled = found.sampled,
                first = found.first_miss.as_deref().unwrap_or_default(),
                "the file system called blocks unchanged that have changed: the snapshot was read whole and is right; check the head's disk"
            );
        }
        tracing::info!(
            job = %self.record.id(), snapshot = %found.snapshot, unchanged_bytes = found.unchanged_bytes,
            read_bytes = found.read_bytes, sampled = found.sampled, extents = found.extents, per_gib,
            windows_to_mend = survey.windows_beyond, refused = found.refused.as_deref().unwrap_or_default(), "changes found"
        );
        self.fragmented = survey.windows;
        self.record.changes(found).await?;
        Ok(())
    }
}

/// Counts the extents of a clone; nothing where the file system cannot tell.
pub(super) async fn survey(clone: PathBuf) -> Survey {
    let counted = tokio::task::spawn_blocking(move || ranges::survey(&clone, &dbpath::keeps)).await;
    match counted.map_err(io::Error::other).and_then(|counted| counted) {
        Ok(survey) => survey,
        Err(error) => {
            tracing::debug!(%error, "count extents");
            Survey::default()
        }
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
