//! How people reach the appliance: the URL in links that are mailed and shown.
//!
//! The configuration file says one; set here it counts instead, for people alone. Agents and the certificate of the listeners go by the
//! configuration file, and so does whether cookies are for HTTPS only: a wrong URL here makes wrong links and locks nobody out.

use std::time::Duration;

use axum::extract::State;
use bson::doc;
use holdfast_metadb::normal_url;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{Caller, fault, meta_fault},
    extract::JsonOf,
    problem::{ApiError, Problem},
    revision::{IfMatch, Tagged},
    state::WebState,
};

/// How often an instance looks whether the URL was changed at another.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How people reach the appliance.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PublicUrlView {
    /// What was set here; null: the configuration file's counts.
    url: Option<String>,
    /// What the configuration file says.
    configured: String,
}

/// How people shall reach it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetPublicUrl {
    /// Scheme, host and port: `https://backup.example.com`. Null: as the configuration file says.
    #[serde(default)]
    url: Option<String>,
}

fn view(state: &WebState, url: Option<String>) -> PublicUrlView {
    PublicUrlView { url, configured: state.web_url().to_owned() }
}

/// The URL in links that are mailed and shown.
#[utoipa::path(get, path = "/settings/publicUrl", tag = "settings",
    responses((status = 200, body = PublicUrlView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_public_url(State(state): State<WebState>) -> Result<Tagged<PublicUrlView>, ApiError> {
    let (url, revision) = state.metadb().public_url().await.map_err(fault)?;
    Ok(Tagged(revision, view(&state, url)))
}

/// Sets the URL in links that are mailed and shown. Other instances follow within two seconds.
#[utoipa::path(put, path = "/settings/publicUrl", tag = "settings", request_body = SetPublicUrl,
    responses((status = 200, body = PublicUrlView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn set_public_url(
    State(state): State<WebState>,
    caller: Caller,
    IfMatch(seen): IfMatch,
    JsonOf(set): JsonOf<SetPublicUrl>,
) -> Result<Tagged<PublicUrlView>, ApiError> {
    let wanted = set.url.as_deref().filter(|url| !url.trim().is_empty());
    let wanted = wanted.map(normal_url).transpose().map_err(ApiError::bad_request)?;
    if state.secure() && wanted.as_deref().is_some_and(|url| url.starts_with("http://")) {
        let detail = "this server is reached by HTTPS, and browsers keep nobody signed in over plain HTTP: give a URL that begins with https://";
        return Err(ApiError::refused("publicUrlNotSecure", detail));
    }
    let (before, _) = state.metadb().public_url().await.map_err(fault)?;
    let revision = state.metadb().put_public_url(wanted.as_deref(), &seen).await.map_err(meta_fault)?;
    state.note_public_url(wanted.as_deref());
    let url = |url: &Option<String>| Some(doc! { "url": url.clone() });
    state.audit_change(&caller, None, "public URL changed", "settings/publicUrl", url(&before), url(&wanted)).await;
    Ok(Tagged(revision, view(&state, wanted)))
}

/// Keeps the URL that this instance goes by as it was set, at this instance or another. Ends with the process.
pub async fn watch_public_url(state: WebState) {
    let mut told = false;
    loop {
        match state.metadb().public_url().await {
            Ok((url, _)) => {
                told = false;
                state.note_public_url(url.as_deref());
            }
            // What it goes by stays; said once until it is read again.
            Err(_) if told => {}
            Err(error) => {
                told = true;
                tracing::warn!(%error, "the public URL cannot be read: links are made as before");
            }
        }
        if state.shutdown().run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_none() {
            return;
        }
    }
}
