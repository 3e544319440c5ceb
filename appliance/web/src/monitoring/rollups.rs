//! Makes rollups of the hours that are over: a reconciler, in every instance of web.
//!
//! Timer only, no input, idempotent, bounded per run. Two instances that make the same hour write the same document.

use std::time::Duration;

use crate::state::WebState;

/// Pause between two looks. The first hour of a new series has to wait for its end anyway.
const EVERY: Duration = Duration::from_secs(60);

/// Works until the process ends.
pub async fn watch_rollups(state: WebState) {
    loop {
        tokio::select! {
            () = state.shutdown().cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        loop {
            match state.metadb().roll_up(jiff::Timestamp::now().as_second()).await {
                Ok(0) => break,
                Ok(made) => tracing::debug!(made, "rollups made"),
                Err(error) => {
                    tracing::warn!(%error, "rollups cannot be made now: measurements of closed hours are read from samples");
                    break;
                }
            }
            if state.shutdown().is_cancelled() {
                return;
            }
        }
    }
}
