//! MMS HTTP service: the REST API under `/api/v1`.
//!
//! Purpose: what people and programs ask of the appliance. Thin handlers, one file per resource; states and rules are in `domain`, documents
//! in `metadb`, `ledger` and the blockstore.
//!
//! Invariants:
//! - Stateless: any number of instances serve the same databases.
//! - Every request of the API passes [`caller::admit`], which decides by the route's row ([`rows`]) and the table of roles in `domain`; what
//!   a caller may not see does not exist.
//! - The description (OpenAPI 3.1) is generated from the routes that are served; `openapi.json` beside this crate is its
//!   committed copy.
//! - Requests refuse unknown fields. Every error is problem+json, from one mapping. What changes something by a cookie must come from
//!   a page of ours ([`origin`]).
//! - Connection strings, passwords and secrets come in and are never shown again.
//!
//! Called by `holdfast-app`. It must never take over a daemon's work: it writes requests, the daemon carries them out.

mod access_settings;
mod account;
mod agents;
mod api_keys;
mod arrivals;
mod audit_log;
mod backup_defaults;
mod backups;
mod blockstore;
mod blockstore_history;
mod blockstore_requests;
mod caller;
mod cookie;
mod cut;
mod daemons;
mod deliveries;
mod deployments;
mod diagnostics;
mod email_changes;
mod events;
mod extract;
mod group_keys;
mod group_verdict;
mod groups;
mod idempotency;
mod instant;
mod invitations;
mod jobs;
mod join_requests;
mod ldap;
mod ldap_settings;
mod limits;
mod logs;
mod mail;
mod members;
mod monitoring;
mod nearest;
mod offsite;
mod offsite_copies;
mod oidc;
mod oidc_settings;
mod origin;
mod overview;
mod pages;
mod password_resets;
mod passwords;
mod payload_stores;
mod peer;
mod points;
mod policies;
mod problem;
mod public_url;
mod rates;
mod restore_estimates;
mod restore_history;
mod restore_links;
mod restores;
mod retention;
mod revision;
mod roles;
mod rows;
mod settings;
mod setup;
mod setup_file;
mod sftp_targets;
mod sign_in;
mod sign_in_settings;
mod sign_ups;
mod snapshots;
mod state;
mod static_app;
mod terminations;
mod timeline;
mod tls_settings;
mod totp;
mod users;
mod verdict;

use axum::{
    Json, Router,
    http::StatusCode,
    middleware::{from_fn, from_fn_with_state},
    routing::get,
};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub use limits::sign_in_family;
pub use monitoring::watch_rollups;
pub use passwords::{HashError, check_password, hash_password};
pub use problem::{ApiError, Problem};
pub use public_url::watch_public_url;
pub use rows::{Need, ROWS, Row};
pub use setup::{new_code, normal_code};
pub use setup_file::{SetUp, SetupFile};
pub use state::{WebParts, WebState};
pub use tls_settings::watch_browser_certificate;

/// Where the API lives.
const API: &str = "/api/v1";
/// Name of the way to authenticate in the description.
const SCHEME: &str = "apiKey";
/// Name of the other way.
const SESSION: &str = "session";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Holdfast",
        description = "Continuous backup of MongoDB replica sets. Programs send `Authorization: Bearer <API key>` with every request; browsers a session's cookie.",
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
        let cookie = ApiKey::Cookie(ApiKeyValue::new("__Host-holdfast"));
        components.add_security_scheme(SESSION, SecurityScheme::ApiKey(cookie));
        let one = |name| SecurityRequirement::new(name, Vec::<String>::new());
        api.security = Some(vec![one(SCHEME), one(SESSION)]);
    }
}

fn api() -> (Router<WebState>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(setup::show_setup))
        .routes(routes!(setup::try_code))
        .routes(routes!(setup::claim))
        .routes(routes!(sign_in::sign_in))
        .routes(routes!(sign_in::show_session, sign_in::sign_out))
        .routes(routes!(sign_in::verify_again))
        .routes(routes!(account::change_account))
        .routes(routes!(email_changes::confirm_email))
        .routes(routes!(account::change_password))
        .routes(routes!(account::list_sessions, account::end_other_sessions))
        .routes(routes!(account::end_session))
        .routes(routes!(account::leave_group))
        .routes(routes!(totp::begin_totp, totp::remove_totp))
        .routes(routes!(totp::confirm_totp))
        .routes(routes!(totp::renew_recovery))
        .routes(routes!(api_keys::create_own_key, api_keys::list_own_keys))
        .routes(routes!(api_keys::revoke_own_key))
        .routes(routes!(password_resets::ask_reset))
        .routes(routes!(password_resets::confirm_reset))
        .routes(routes!(sign_ups::sign_up))
        .routes(routes!(sign_ups::confirm_sign_up))
        .routes(routes!(users::list_users, users::create_user))
        .routes(routes!(users::show_user, users::change_user))
        .routes(routes!(members::list_members))
        .routes(routes!(members::set_roles, members::remove_member))
        .routes(routes!(invitations::create_invitation, invitations::list_invitations))
        .routes(routes!(invitations::revoke_invitation))
        .routes(routes!(invitations::look_at_invitation))
        .routes(routes!(invitations::accept_invitation))
        .routes(routes!(join_requests::request_join))
        .routes(routes!(join_requests::list_join_requests))
        .routes(routes!(join_requests::answer_join_request))
        .routes(routes!(audit_log::all_audit))
        .routes(routes!(audit_log::group_audit))
        .routes(routes!(events::events))
        .routes(routes!(events::appliance_events))
        .routes(routes!(access_settings::show_access, access_settings::set_access))
        .routes(routes!(public_url::show_public_url, public_url::set_public_url))
        .routes(routes!(backup_defaults::show_backup_defaults, backup_defaults::set_backup_defaults))
        .routes(routes!(tls_settings::show_tls, tls_settings::set_tls, tls_settings::remove_tls))
        .routes(routes!(mail::show_mail, mail::set_mail))
        .routes(routes!(mail::test_mail))
        .routes(routes!(oidc::begin_oidc))
        .routes(routes!(oidc::finish_oidc))
        .routes(routes!(oidc::send_code))
        .routes(routes!(oidc_settings::show_oidc, oidc_settings::set_oidc))
        .routes(routes!(oidc_settings::test_oidc))
        .routes(routes!(ldap_settings::show_ldap, ldap_settings::set_ldap))
        .routes(routes!(ldap_settings::test_ldap))
        .routes(routes!(groups::create_group, groups::list_groups))
        .routes(routes!(api_keys::create_global_key, api_keys::list_global_keys))
        .routes(routes!(api_keys::revoke_global_key))
        .routes(routes!(api_keys::create_group_key, api_keys::list_group_keys))
        .routes(routes!(api_keys::revoke_group_key))
        .routes(routes!(agents::create_enroll_token))
        .routes(routes!(agents::list_agents))
        .routes(routes!(agents::revoke_agent))
        .routes(routes!(deployments::add_deployment, deployments::list_deployments))
        .routes(routes!(deployments::show_deployment, deployments::remove_deployment))
        .routes(routes!(deployments::look_again))
        .routes(routes!(backups::list_backups))
        .routes(routes!(backups::show_backup, settings::change_settings))
        .routes(routes!(backups::start_backup))
        .routes(routes!(backups::stop_backup))
        .routes(routes!(backups::resync_backup))
        .routes(routes!(backups::move_backup))
        .routes(routes!(
            terminations::show_termination,
            terminations::terminate_backup,
            terminations::take_back_termination
        ))
        .routes(routes!(snapshots::list_snapshots, snapshots::take_snapshot))
        .routes(routes!(snapshots::show_snapshot_request))
        .routes(routes!(snapshots::pin_snapshot))
        .routes(routes!(snapshots::unpin_snapshot))
        .routes(routes!(snapshots::delete_snapshot, snapshots::show_snapshot, snapshots::label_snapshot))
        .routes(routes!(snapshots::restore_from_trash))
        .routes(routes!(restores::create_restore, restores::list_restores))
        .routes(routes!(restores::show_restore))
        .routes(routes!(restore_history::list_group_restores))
        .routes(routes!(restore_links::revoke_link))
        .routes(routes!(restore_estimates::estimate_restore))
        .routes(routes!(deliveries::ask_delivery, deliveries::cancel_delivery))
        .routes(routes!(sftp_targets::show_sftp_key))
        .routes(routes!(sftp_targets::look_at_sftp_server))
        .routes(routes!(sftp_targets::list_sftp_targets, sftp_targets::add_sftp_target))
        .routes(routes!(sftp_targets::remove_sftp_target))
        .routes(routes!(sftp_targets::test_sftp_target))
        .routes(routes!(timeline::show_timeline))
        .routes(routes!(overview::show_overview))
        .routes(routes!(policies::show_policies, policies::set_group_policy))
        .routes(routes!(policies::set_backup_policy))
        .routes(routes!(cut::show_cut))
        .routes(routes!(retention::preview_retention))
        .routes(routes!(daemons::list_daemons))
        .routes(routes!(daemons::change_daemon))
        .routes(routes!(jobs::list_jobs))
        .routes(routes!(logs::list_log_lines))
        .routes(routes!(diagnostics::download_diagnostics))
        .routes(routes!(offsite::list_offsite_snapshots))
        .routes(routes!(offsite::hold_offsite_snapshot, offsite::release_offsite_snapshot))
        .routes(routes!(offsite::show_offsite_root))
        .routes(routes!(offsite::read_offsite_blocks))
        .routes(routes!(offsite_copies::create_offsite_copy, offsite_copies::list_offsite_copies))
        .routes(routes!(offsite_copies::show_offsite_copy, offsite_copies::remove_offsite_copy))
        .routes(routes!(offsite_copies::run_offsite_copy))
        .routes(routes!(offsite_copies::list_pulled_snapshots))
        .routes(routes!(offsite_copies::restore_pulled_snapshot))
        .routes(routes!(group_keys::export_key))
        .routes(routes!(blockstore::show_blockstore))
        .routes(routes!(blockstore::what_if))
        .routes(routes!(blockstore_history::show_history))
        .routes(routes!(blockstore::show_report))
        .routes(routes!(blockstore_requests::create_blockstore_request, blockstore_requests::list_blockstore_requests))
        .routes(routes!(blockstore_requests::show_blockstore_request, blockstore_requests::cancel_blockstore_request))
        .routes(routes!(payload_stores::list_stores, payload_stores::add_store))
        .routes(routes!(payload_stores::change_store))
        .routes(routes!(monitoring::table::list_metrics))
        .routes(routes!(monitoring::hosts::list_hosts))
        .routes(routes!(monitoring::hosts::show_host))
        .routes(routes!(monitoring::hosts::show_facts))
        .routes(routes!(monitoring::measurements::show_measurements))
        .routes(routes!(monitoring::pings::list_pings))
        .routes(routes!(monitoring::host_events::list_host_events))
        .routes(routes!(monitoring::open_metrics::show_open_metrics))
        .routes(routes!(monitoring::settings::show_monitoring, monitoring::settings::set_monitoring))
        .split_for_parts()
}

/// The description of the API, OpenAPI 3.1.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    api().1
}

/// Everything that this service answers.
pub fn router(state: WebState) -> Router {
    passwords::warm();
    let (resources, description) = api();
    let resources = resources
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(state.clone(), caller::admit));
    Router::new()
        .nest(API, resources)
        .nest("/agent/v1", monitoring::agent_router())
        .route("/api/v1/openapi.json", get(async move || Json(description)))
        .route("/healthz", get(async || "ok\n"))
        .fallback(static_app::serve)
        .method_not_allowed_fallback(wrong_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(problem::render))
        .with_state(state)
}

pub(crate) async fn unknown() -> ApiError {
    ApiError::not_found("this server knows no such path")
}

pub(crate) async fn wrong_method() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "methodNotAllowed",
        "The method does not fit",
        "this path is there, but not for this method",
    )
}

/// A password that cannot be hashed is our fault.
pub(crate) fn hash_fault(error: HashError) -> ApiError {
    ApiError::from_class(holdfast_domain::ErrorClass::Bug, &error)
}

fn panicked(panic: Box<dyn std::any::Any + Send + 'static>) -> axum::response::Response {
    let text =
        panic.downcast_ref::<&str>().map(|s| (*s).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    let error = std::io::Error::other(format!("panic: {}", text.unwrap_or_default()));
    axum::response::IntoResponse::into_response(ApiError::from_class(holdfast_domain::ErrorClass::Bug, &error))
}
