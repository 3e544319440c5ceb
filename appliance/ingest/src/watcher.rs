//! The reconciler that reads all assignments every few seconds. Timer only, no input, idempotent; it changes nothing in any database.

use holdfast_domain::Classify as _;
use holdfast_metadb::BackupJobFilter;

use crate::{assignments::READ_EVERY, config::assigned, state::IngestState};

/// Runs until the process stops. One per instance; several instances may run it at once.
pub async fn watch_assignments(state: IngestState) {
    let running = BackupJobFilter { running: true, ..BackupJobFilter::default() };
    let every = READ_EVERY.min(state.assignments().length() / 6);
    loop {
        match state.metadb().backup_jobs(&running).await {
            Ok(jobs) => {
                let all: Vec<_> = jobs.iter().map(assigned).collect();
                state.assignments().read(&all);
            }
            Err(error) => {
                state.assignments().failed();
                tracing::warn!(%error, class = ?error.class(), "assignments could not be read");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = state.stopped() => return,
        }
    }
}
