//! Backup HTTP service: configuration, sync slices and oplog slices of backup agents in; restore downloads out.
//!
//! Purpose: the one door between agents and the appliance. Thin: a file per resource checks who asks and what came, the ledger decides.
//!
//! Invariants:
//! - Stateless: any number of instances serve the same databases; an agent or a browser may talk to any of them, also in mid-download.
//! - Nothing is acknowledged before the ledger said that a majority has it. Every request of an agent may be repeated.
//! - Every request of an agent passes the same checks in the same order: protocol version, key, group, job, assignment epoch
//!   (`caller.rs`). No handler reads a body before them.
//! - Memory is bounded: bodies and their raw bytes take room in [`InFlight`] before they are read; JSON, downloads and held
//!   requests have bounds of their own.
//! - Oplog slices are never refused for lag, only at the space reserve; lag slows sync slices (`pressure.rs`).
//! - Secrets of links and keys of agents are never logged (`redact.rs`).
//!
//! Called by `holdfast-app`. It must never trim, pin or trash anything.

mod assignments;
mod caller;
mod catalogs;
mod chains;
mod config;
mod discoveries;
mod download_count;
mod enroll;
mod entries;
mod extract;
mod frame;
mod in_flight;
mod payloads;
mod plans;
mod pressure;
mod problem;
mod range;
mod redact;
mod restores;
mod state;
mod sum_lists;
mod sync;
mod watcher;

use axum::{
    Router,
    http::StatusCode,
    middleware::from_fn,
    routing::{get, post, put},
};
use tower_http::catch_panic::CatchPanicLayer;

pub use in_flight::InFlight;
pub use problem::ApiError;
pub use state::{IngestParts, IngestState};
pub use watcher::watch_assignments;

/// Everything that this service answers.
pub fn router(state: IngestState) -> Router {
    let job = Router::new()
        .route("/chains", post(chains::open))
        .route("/chains/{chain}/close", post(chains::close))
        .route("/chains/{chain}/sync", get(sync::show))
        .route("/chains/{chain}/sync/complete", post(sync::complete))
        .route("/chains/{chain}/collections", post(sync::start_scan))
        .route("/chains/{chain}/collections/{uuid}/scans/{scan}/slices/{seq}", put(sync::put_slice))
        .route("/chains/{chain}/collections/{uuid}/scans/{scan}/end", post(sync::end_scan))
        .route("/chains/{chain}/payloads/{hash}", put(payloads::put))
        .route("/chains/{chain}/entries", post(entries::append))
        .route("/chains/{chain}/catalog", put(catalogs::put));
    let agent = Router::new()
        .route("/enroll", post(enroll::enroll))
        .route("/keys/rotate", post(enroll::rotate))
        .route("/config", post(config::config))
        .route("/discoveries/{deployment}", post(discoveries::report))
        .nest("/jobs/{job}", job)
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn(caller::check_protocol));
    Router::new()
        .nest("/agent/v1", agent)
        .route("/restores/{secret}/{file}", get(restores::download))
        .route("/healthz", get(async || "ok\n"))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(problem::render))
        .with_state(state)
}

async fn unknown() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "notFound", "There is no such thing", "this server knows no such path")
}

async fn wrong_method() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "methodNotAllowed",
        "The method does not fit",
        "this path is there, but not for this method",
    )
}

fn panicked(panic: Box<dyn std::any::Any + Send + 'static>) -> axum::response::Response {
    let text =
        panic.downcast_ref::<&str>().map(|s| (*s).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    let error = std::io::Error::other(format!("panic: {}", text.unwrap_or_default()));
    axum::response::IntoResponse::into_response(ApiError::from_class(holdfast_domain::ErrorClass::Bug, &error))
}
