//! Sends the reports of the spool, oldest first, each until it is taken.

use std::{sync::Arc, time::Duration};

use holdfast_domain::{Classify as _, ErrorClass};
use tokio_util::sync::CancellationToken;

use super::{assemble::Shared, finding::now_millis};
use crate::{
    api::ServerApi,
    retry::{ServerHealth, pause_before, until_done, with_sources},
};

/// A refusal that only an operator can end is tried again after so long.
const OPERATOR_PAUSE: Duration = Duration::from_secs(15);
/// Tries in a row before the bounds of the spool are looked at again.
const TRIES: u32 = 3;

/// Works until called off.
pub(super) async fn run(server: Arc<ServerApi>, shared: Shared, cancel: CancellationToken) {
    let health = ServerHealth::default();
    while !cancel.is_cancelled() {
        shared.with(|spool| spool.trim(now_millis()));
        let Some((report, frame)) = shared.with(super::spool::Spool::first) else {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = shared.more.notified() => {}
            }
            continue;
        };
        let frame = bytes::Bytes::from(frame);
        let sent =
            until_done("send measurements", &cancel, &health, Some(TRIES), || server.monitoring_report(frame.clone()));
        let error = match sent.await {
            Ok(_) => {
                shared.with(|spool| spool.done(&report));
                continue;
            }
            Err(error) => error,
        };
        let pause = match error.class() {
            ErrorClass::Cancelled => return,
            ErrorClass::Retry => pause_before(TRIES),
            ErrorClass::Operator => OPERATOR_PAUSE,
            ErrorClass::Caller | ErrorClass::Bug | ErrorClass::Corrupt => {
                tracing::warn!(error = with_sources(&error), "the appliance cannot use a report: it is dropped");
                shared.with(|spool| spool.done(&report));
                continue;
            }
        };
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
