//! API keys of a group and global ones: made, listed, revoked. A key is shown once.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use holdfast_metadb::{ApiKey, NewApiKey, Role};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{Caller, InGroup, fault},
    extract::{JsonOf, PathOf},
    instant::rfc3339_of,
    problem::{ApiError, Problem},
    restores::word,
    state::WebState,
};

/// Longest label, in characters.
const LABEL_CHARS_MAX: usize = 100;
/// Longest life of a key, in days.
const DAYS_MAX: u32 = 3650;

/// What a key may do.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum RoleName {
    /// Everything in its group, or everywhere.
    Admin,
    /// Back up and restore.
    Operator,
    /// Only look.
    Viewer,
}

impl From<RoleName> for Role {
    fn from(role: RoleName) -> Self {
        match role {
            RoleName::Admin => Self::Admin,
            RoleName::Operator => Self::Operator,
            RoleName::Viewer => Self::Viewer,
        }
    }
}

/// A new key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewKey {
    /// What it is for; stands in the audit trail.
    label: String,
    /// What it may do.
    role: RoleName,
    /// How many days it works; for ever when nothing is said.
    days: Option<u32>,
}

/// A key.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyView {
    /// Id.
    id: String,
    /// The key itself: only in the answer that made it.
    key: Option<String>,
    /// What it is for.
    label: String,
    /// `admin`, `operator` or `viewer`.
    role: String,
    /// When it was made, RFC 3339.
    created: String,
    /// Until when it works, RFC 3339.
    expires: Option<String>,
    /// It no longer works.
    revoked: bool,
}

fn view(facts: ApiKey, key: Option<String>) -> KeyView {
    KeyView {
        id: facts.hash,
        key,
        label: facts.label,
        role: word(facts.role),
        created: rfc3339_of(facts.created),
        expires: facts.expires.map(rfc3339_of),
        revoked: facts.revoked.is_some(),
    }
}

/// Makes a key that sees this group alone.
#[utoipa::path(post, path = "/groups/{group}/apiKeys", tag = "apiKeys", request_body = NewKey, params(("group" = String, Path, description = "id or name")),
    responses((status = 201, body = KeyView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn create_group_key(
    State(state): State<WebState>,
    of: InGroup,
    JsonOf(new): JsonOf<NewKey>,
) -> Result<(StatusCode, Json<KeyView>), ApiError> {
    of.caller.require_admin()?;
    create(&state, &of.caller, Some(of.group.id), new).await
}

/// Makes a key that sees every group.
#[utoipa::path(post, path = "/apiKeys", tag = "apiKeys", request_body = NewKey,
    responses((status = 201, body = KeyView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn create_global_key(
    State(state): State<WebState>,
    caller: Caller,
    JsonOf(new): JsonOf<NewKey>,
) -> Result<(StatusCode, Json<KeyView>), ApiError> {
    caller.require_global_admin()?;
    create(&state, &caller, None, new).await
}

async fn create(
    state: &WebState,
    caller: &Caller,
    group: Option<holdfast_domain::GroupId>,
    new: NewKey,
) -> Result<(StatusCode, Json<KeyView>), ApiError> {
    if new.label.is_empty() || new.label.chars().count() > LABEL_CHARS_MAX {
        return Err(ApiError::bad_request(format!("a label has 1 to {LABEL_CHARS_MAX} characters")));
    }
    if new.days.is_some_and(|days| !(1..=DAYS_MAX).contains(&days)) {
        return Err(ApiError::bad_request(format!("days are 1 to {DAYS_MAX}")));
    }
    let lifetime = new.days.map(|days| Duration::from_secs(u64::from(days) * 86_400));
    let request = NewApiKey { group: group.clone(), role: new.role.into(), label: new.label.clone(), lifetime };
    let (facts, key) = state.metadb().create_api_key(request).await.map_err(fault)?;
    state.audit(caller, group.as_ref(), "API key created", &new.label).await;
    Ok((StatusCode::CREATED, Json(view(facts, Some(key)))))
}

/// The group's keys.
#[utoipa::path(get, path = "/groups/{group}/apiKeys", tag = "apiKeys", params(("group" = String, Path, description = "id or name")),
    responses((status = 200, body = [KeyView]), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_group_keys(
    State(state): State<WebState>,
    of: InGroup,
) -> Result<Json<Vec<KeyView>>, ApiError> {
    of.caller.require_admin()?;
    let all = state.metadb().api_keys(Some(&of.group.id)).await.map_err(fault)?;
    Ok(Json(all.into_iter().map(|key| view(key, None)).collect()))
}

/// Revokes a key of the group at once.
#[utoipa::path(delete, path = "/groups/{group}/apiKeys/{key}", tag = "apiKeys",
    params(("group" = String, Path, description = "id or name"), ("key" = String, Path, description = "id of the key")),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn revoke_group_key(
    State(state): State<WebState>,
    of: InGroup,
    path: PathOf<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let PathOf((_, id)) = path;
    of.caller.require_admin()?;
    let all = state.metadb().api_keys(Some(&of.group.id)).await.map_err(fault)?;
    if !all.iter().any(|key| key.hash == id) {
        return Err(ApiError::not_found(format!("the group has no API key {id:?}")));
    }
    state.metadb().revoke_api_key(&id).await.map_err(fault)?;
    state.audit(&of.caller, Some(&of.group.id), "API key revoked", &id).await;
    Ok(StatusCode::NO_CONTENT)
}
