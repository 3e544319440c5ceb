//! What every part of a job's work needs.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use holdfast_agent_api::LedgerTail;
use tokio::sync::watch;

use super::{budget::Budget, error::JobError, job_api::JobApi, report::Reporter, source::Source};

/// What may change while a job runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Wishes {
    /// The operator's choice of a member.
    pub(crate) member: Option<String>,
    /// The head wants a catalog now.
    pub(crate) catalog_wanted: bool,
}

/// A job under one assignment.
pub(crate) struct JobContext {
    pub(crate) api: JobApi,
    pub(crate) source: Source,
    pub(crate) report: Reporter,
    pub(crate) budget: Budget,
    /// Folder of this job below the state directory.
    pub(crate) dir: PathBuf,
    /// Bound of the spool, in bytes.
    pub(crate) spool_bytes_max: u64,
    pub(crate) wishes: watch::Receiver<Wishes>,
    /// Where the ledger stood at the last answer.
    pub(crate) ledger: Mutex<Option<LedgerTail>>,
}

impl JobContext {
    /// The operator's choice of a member.
    pub(crate) fn wanted_member(&self) -> Option<String> {
        self.wishes.borrow().member.clone()
    }

    /// Sleeps, or ends when the job is called off.
    pub(crate) async fn sleep(&self, time: Duration) -> Result<(), JobError> {
        tokio::select! {
            () = self.api.cancel.cancelled() => Err(JobError::Cancelled),
            () = tokio::time::sleep(time) => Ok(()),
        }
    }

    /// Where the ledger stood at the last answer.
    pub(crate) fn ledger(&self) -> Option<LedgerTail> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers where the ledger stands.
    pub(crate) fn set_ledger(&self, tail: &LedgerTail) {
        *self.ledger.lock().unwrap_or_else(PoisonError::into_inner) = Some(tail.clone());
    }
}
