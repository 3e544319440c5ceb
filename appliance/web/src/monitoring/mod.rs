//! Monitoring: reports of agents in, hosts and measurements out.
//!
//! Two doors. Agents come by `/agent/v1/monitoring` with their key ([`agents`], [`config`], [`reports`]); people and programs by the API
//! like everywhere else ([`hosts`], [`measurements`], [`table`], [`open_metrics`], [`pings`], [`host_events`]).
//!
//! Invariants: a report is stored once, whatever is sent again; what an agent found while another one held the lease is dropped; a report is
//! unpacked within bounds, and only a few of them at once.

mod agents;
mod config;
pub(crate) mod host_events;
pub(crate) mod hosts;
pub(crate) mod measurements;
mod noted;
pub(crate) mod open_metrics;
pub(crate) mod pings;
mod reports;
mod rollups;
pub(crate) mod settings;
pub(crate) mod table;

use axum::{Router, middleware::from_fn, routing::post};

use crate::state::WebState;

pub(crate) use noted::Noted;
pub use rollups::watch_rollups;

/// What agents ask.
pub(crate) fn agent_router() -> Router<WebState> {
    Router::new()
        .route("/monitoring/config", post(config::config))
        .route("/monitoring/reports", post(reports::take))
        .fallback(crate::unknown)
        .method_not_allowed_fallback(crate::wrong_method)
        .layer(from_fn(agents::check_protocol))
}
