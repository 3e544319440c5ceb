//! Groups: tenants.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{Caller, fault},
    extract::JsonOf,
    instant::rfc3339_of,
    problem::{ApiError, Problem},
    state::WebState,
};

/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 100;

/// A new group.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewGroup {
    /// Its name: letters, digits, `-`, `_` and `.`; unique.
    name: String,
}

/// A group.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GroupView {
    /// Id.
    id: String,
    /// Name.
    name: String,
    /// When it was made, RFC 3339.
    created: String,
}

impl From<holdfast_metadb::Group> for GroupView {
    fn from(group: holdfast_metadb::Group) -> Self {
        Self { id: group.id.to_string(), name: group.name, created: rfc3339_of(group.created) }
    }
}

/// Makes a group.
#[utoipa::path(post, path = "/groups", tag = "groups", request_body = NewGroup, responses(
    (status = 201, body = GroupView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn create_group(
    State(state): State<WebState>,
    caller: Caller,
    JsonOf(new): JsonOf<NewGroup>,
) -> Result<(StatusCode, Json<GroupView>), ApiError> {
    caller.require_global_admin()?;
    let fits = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    if new.name.is_empty() || new.name.chars().count() > NAME_CHARS_MAX || !new.name.chars().all(fits) {
        let detail = format!("a group's name has 1 to {NAME_CHARS_MAX} letters, digits, `-`, `_` or `.`");
        return Err(ApiError::bad_request(detail));
    }
    if state.metadb().group_by_name(&new.name).await.map_err(fault)?.is_some() {
        return Err(ApiError::conflict("groupExists", format!("there is a group {:?} already", new.name)));
    }
    let group = state.metadb().create_group(&new.name).await.map_err(fault)?;
    state.audit(&caller, Some(&group.id), "group created", &group.name).await;
    Ok((StatusCode::CREATED, Json(group.into())))
}

/// The groups that the key sees.
#[utoipa::path(get, path = "/groups", tag = "groups", responses(
    (status = 200, body = [GroupView]), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_groups(
    State(state): State<WebState>,
    caller: Caller,
) -> Result<Json<Vec<GroupView>>, ApiError> {
    let all = state.metadb().groups().await.map_err(fault)?;
    Ok(Json(all.into_iter().filter(|group| caller.sees(&group.id)).map(Into::into).collect()))
}
