//! What slows senders down: the backlog of an initial sync, and the space that is left.
//!
//! Lag refuses sync slices only (429): an oplog slice that is refused can lose the source's window. At the space reserve both are refused
//! (503): then nothing can be stored durably anyway. Both answers say when to come again. What is measured is kept for a moment, so that
//! a thousand slices do not ask a thousand times.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use holdfast_domain::{BackupJobId, Classify as _};
use holdfast_ledger::{Ledger, SpaceFacts};

use crate::problem::ApiError;

/// How long a measurement holds.
const FRESH: Duration = Duration::from_secs(1);
/// When a sender of sync slices shall come again, in seconds.
const BACKLOG_RETRY_SECONDS: u64 = 3;
/// When a sender shall come again at the space reserve, in seconds.
const SPACE_RETRY_SECONDS: u64 = 15;
/// Chains whose backlog is remembered; the memory is emptied beyond.
const BACKLOGS_MAX: usize = 1024;

/// The bounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Free bytes of the blockstore's file system below which nothing is taken.
    pub(crate) space_reserve_bytes: u64,
    /// Sync bytes stored and not yet loaded, of one chain, above which sync slices wait.
    pub(crate) sync_backlog_bytes_max: u64,
}

/// Measures and decides.
#[derive(Debug)]
pub(crate) struct Pressure {
    bounds: Bounds,
    space: Mutex<Option<(Instant, SpaceFacts)>>,
    backlogs: Mutex<HashMap<(BackupJobId, i64), (Instant, u64)>>,
}

impl Pressure {
    /// With these bounds.
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, space: Mutex::new(None), backlogs: Mutex::new(HashMap::new()) }
    }

    /// Is there room for an oplog slice?
    pub(crate) async fn space(&self, ledger: &Ledger) -> Result<(), ApiError> {
        let known = *self.space.lock().unwrap_or_else(PoisonError::into_inner);
        let facts = match known {
            Some((at, facts)) if at.elapsed() < FRESH => facts,
            _ => {
                let facts = ledger.space().await.map_err(|error| ApiError::from_class(error.class(), &error))?;
                *self.space.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), facts));
                facts
            }
        };
        let free = facts.available_bytes();
        metrics::gauge!("holdfast_ingest_free_bytes").set(free as f64);
        if free >= self.bounds.space_reserve_bytes {
            return Ok(());
        }
        let detail = format!(
            "the blockstore has {free} bytes left, its reserve is {}: free space or add a disk; sending goes on by itself then",
            self.bounds.space_reserve_bytes
        );
        let refusal = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "spaceReserve", "The blockstore is full", detail);
        Err(refusal.retry_after(SPACE_RETRY_SECONDS))
    }

    /// Is there room for a sync slice of this chain, and does the head keep up with it?
    pub(crate) async fn sync(&self, ledger: &Ledger, job: &BackupJobId, chain: i64) -> Result<(), ApiError> {
        self.space(ledger).await?;
        let key = (job.clone(), chain);
        let known = self.backlogs.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        let bytes = match known {
            Some((at, bytes)) if at.elapsed() < FRESH => bytes,
            _ => {
                let backlog =
                    ledger.backlog(job, chain).await.map_err(|error| ApiError::from_class(error.class(), &error))?;
                let bytes = backlog;
                let mut backlogs = self.backlogs.lock().unwrap_or_else(PoisonError::into_inner);
                if backlogs.len() >= BACKLOGS_MAX {
                    backlogs.clear();
                }
                backlogs.insert(key, (Instant::now(), bytes));
                bytes
            }
        };
        if bytes <= self.bounds.sync_backlog_bytes_max {
            return Ok(());
        }
        let detail = format!("{bytes} bytes of the initial sync wait for the head: it catches up first");
        let refusal = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "syncBacklog", "The head does not keep up", detail);
        Err(refusal.retry_after(BACKLOG_RETRY_SECONDS))
    }
}
