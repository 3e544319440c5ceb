//! Named steps of the protocol at which a test may freeze a participant.
//!
//! Invariants: without a hook a step costs one comparison and waits for nothing; nothing in the protocol depends on a hook. Called by writers
//! and collector runs between every two steps that others can see; set only through [`crate::Blockstore::with_stops`].

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Asked at each step with its name; the participant goes on when the future ends.
pub type Stops = Arc<dyn Fn(&'static str) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Waits where a hook says so.
pub(crate) async fn stop(stops: Option<&Stops>, step: &'static str) {
    if let Some(stops) = stops {
        stops(step).await;
    }
}
