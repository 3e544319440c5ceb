//! MMS HTTP service: the REST API under `/api/v1`.
//!
//! Purpose: what people and programs ask of the appliance. Thin handlers, one file per resource; states and rules are in `domain`, documents
//! in `metadb`, `ledger` and the blockstore.
//!
//! Invariants:
//! - Stateless: any number of instances serve the same databases.
//! - Every path of the API but its own description needs a key ([`caller::require_key`]); what a key may not see does not exist.
//! - The description (OpenAPI 3.1) is generated from the routes that are served; `openapi.json` beside this crate is its
//!   committed copy.
//! - Requests refuse unknown fields. Every error is problem+json, from one mapping. There are no cookies, hence no CSRF.
//! - Connection strings and secrets come in and are never shown again.
//!
//! Called by `holdfast-app`. It must never take over a daemon's work: it writes requests, the daemon carries them out.

mod agents;
mod api_keys;
mod backups;
mod caller;
mod daemons;
mod deployments;
mod extract;
mod groups;
mod instant;
mod points;
mod problem;
mod restores;
mod settings;
mod snapshots;
mod state;
mod timeline;

use axum::{
    Json, Router,
    http::StatusCode,
    middleware::{from_fn, from_fn_with_state},
    routing::get,
};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub use problem::{ApiError, Problem};
pub use state::{WebParts, WebState};

/// Where the API lives.
const API: &str = "/api/v1";
/// Name of the way to authenticate in the description.
const SCHEME: &str = "apiKey";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Holdfast",
        description = "Continuous backup of MongoDB replica sets. Every request carries `Authorization: Bearer <API key>`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/api/v1")),
    modifiers(&WithKey)
)]
struct Description;

struct WithKey;

impl Modify for WithKey {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let components = api.components.get_or_insert_default();
        components.add_security_scheme(SCHEME, SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        api.security = Some(vec![SecurityRequirement::new(SCHEME, Vec::<String>::new())]);
    }
}

fn api() -> (Router<WebState>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(groups::create_group, groups::list_groups))
        .routes(routes!(api_keys::create_global_key))
        .routes(routes!(api_keys::create_group_key, api_keys::list_group_keys))
        .routes(routes!(api_keys::revoke_group_key))
        .routes(routes!(agents::create_enroll_token))
        .routes(routes!(agents::list_agents))
        .routes(routes!(agents::revoke_agent))
        .routes(routes!(deployments::add_deployment, deployments::list_deployments))
        .routes(routes!(deployments::show_deployment))
        .routes(routes!(backups::list_backups))
        .routes(routes!(backups::show_backup, settings::change_settings))
        .routes(routes!(backups::start_backup))
        .routes(routes!(backups::stop_backup))
        .routes(routes!(backups::resync_backup))
        .routes(routes!(backups::move_backup))
        .routes(routes!(snapshots::list_snapshots, snapshots::take_snapshot))
        .routes(routes!(snapshots::show_snapshot_request))
        .routes(routes!(snapshots::pin_snapshot))
        .routes(routes!(snapshots::unpin_snapshot))
        .routes(routes!(snapshots::delete_snapshot))
        .routes(routes!(restores::create_restore, restores::list_restores))
        .routes(routes!(restores::show_restore))
        .routes(routes!(timeline::show_timeline))
        .routes(routes!(daemons::list_daemons))
        .split_for_parts()
}

/// The description of the API, OpenAPI 3.1.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    api().1
}

/// Everything that this service answers.
pub fn router(state: WebState) -> Router {
    let (resources, description) = api();
    let resources = resources
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(state.clone(), caller::require_key));
    Router::new()
        .nest(API, resources)
        .route("/api/v1/openapi.json", get(async move || Json(description)))
        .route("/healthz", get(async || "ok\n"))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(problem::render))
        .with_state(state)
}

async fn unknown() -> ApiError {
    ApiError::not_found("this server knows no such path")
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
