//! What a job says about itself, for operators. Nothing is decided on it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use holdfast_agent_api::JobReport;
use holdfast_domain::{BackupJobId, Progress};
use tokio::sync::Notify;

/// Which part of the job speaks: each clears only its own errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Job,
    Sync,
    Tail,
}

#[derive(Debug)]
struct State {
    report: JobReport,
    errors: [Option<String>; 3],
    syncing: bool,
}

/// The report of one job, shared by its parts, kept over its restarts.
#[derive(Clone, Debug)]
pub(crate) struct Reporter {
    state: Arc<Mutex<State>>,
    /// Rung when something changed that an operator should not wait for.
    urgent: Arc<Notify>,
}

impl Reporter {
    pub(crate) fn new(job: BackupJobId, urgent: Arc<Notify>) -> Self {
        let report = JobReport {
            job,
            phase: "start".into(),
            progress: None,
            member: None,
            source_optime: None,
            sent_optime: None,
            oplog_window: None,
            spool_bytes: 0,
            error: None,
        };
        Self { state: Arc::new(Mutex::new(State { report, errors: [None, None, None], syncing: false })), urgent }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes it.
    pub(crate) fn update(&self, change: impl FnOnce(&mut JobReport)) {
        change(&mut self.state().report);
    }

    /// While an initial sync runs its phases are shown, not the tail's.
    pub(crate) fn syncing(&self, syncing: bool) {
        self.state().syncing = syncing;
    }

    /// A new phase, a verb phrase.
    pub(crate) fn phase(&self, part: Part, phase: &str) {
        let mut state = self.state();
        if (state.syncing && part == Part::Tail) || state.report.phase == phase {
            return;
        }
        tracing::info!(job = %state.report.job, phase, "phase");
        state.report.phase = phase.to_owned();
        if !phase.contains("scan") {
            state.report.progress = None;
        }
        drop(state);
        self.urgent.notify_one();
    }

    /// How far.
    pub(crate) fn progress(&self, progress: Progress) {
        self.state().report.progress = Some(progress);
    }

    /// An error of one part, logged once; None: all is well again there.
    pub(crate) fn error(&self, part: Part, error: Option<String>) {
        let mut state = self.state();
        let slot = part as usize;
        if state.errors[slot] == error {
            return;
        }
        match &error {
            Some(error) => tracing::warn!(job = %state.report.job, error, "the backup does not get on"),
            None => tracing::info!(job = %state.report.job, "the backup gets on again"),
        }
        state.errors[slot] = error;
        state.report.error = [Part::Tail, Part::Sync, Part::Job].iter().find_map(|p| state.errors[*p as usize].clone());
        drop(state);
        self.urgent.notify_one();
    }

    /// As it is now.
    pub(crate) fn now(&self) -> JobReport {
        self.state().report.clone()
    }
}
