//! Groups: tenants.

use axum::{Json, extract::State, http::StatusCode};
use holdfast_domain::{GroupId, Role};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{Caller, fault, meta_fault},
    extract::{JsonOf, QueryOf},
    instant::rfc3339_of,
    pages::{Order, Page, PageQuery},
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
    /// Its snapshots, and slices and catalogs of its ledgers, are stored encrypted under a key of its own. This cannot be changed later. Names
    /// of collections, times and counts are not covered, nor are heads and the agent's spool: those need an encrypted disk.
    #[serde(default)]
    encrypt: bool,
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
    /// Whether its snapshots are encrypted under a key of its own.
    encrypted: bool,
}

impl From<holdfast_metadb::Group> for GroupView {
    fn from(group: holdfast_metadb::Group) -> Self {
        Self {
            id: group.id.to_string(),
            name: group.name,
            created: rfc3339_of(group.created),
            encrypted: group.key.is_some(),
        }
    }
}

/// Refuses names that a group cannot have.
pub(crate) fn check_name(name: &str) -> Result<(), ApiError> {
    let fits = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || !name.chars().all(fits) {
        let detail = format!("a group's name has 1 to {NAME_CHARS_MAX} letters, digits, `-`, `_` or `.`");
        return Err(ApiError::bad_request(detail));
    }
    Ok(())
}

/// Makes a group.
#[utoipa::path(post, path = "/groups", tag = "groups", request_body = NewGroup, responses(
    (status = 201, body = GroupView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn create_group(
    State(state): State<WebState>,
    caller: Caller,
    JsonOf(new): JsonOf<NewGroup>,
) -> Result<(StatusCode, Json<GroupView>), ApiError> {
    check_name(&new.name)?;
    if state.metadb().group_by_name(&new.name).await.map_err(fault)?.is_some() {
        return Err(ApiError::conflict("groupExists", format!("there is a group {:?} already", new.name)));
    }
    let id = GroupId::random();
    // The key is kept before anything names it.
    let key = if new.encrypt { Some(state.blockstore().create_key(&id).await.map_err(fault)?) } else { None };
    let group = match state.metadb().create_group_as(id, &new.name, key.clone()).await {
        Ok(group) => group,
        Err(error) => {
            if let Some(key) = key
                && let Err(error) = state.metadb().forget_group_key(&key).await
            {
                tracing::warn!(%error, key, "the key of a group that was not made stays");
            }
            return Err(fault(error));
        }
    };
    // Whoever makes a group owns it; a key owns nothing.
    if let Some((person, _)) = caller.person() {
        state.metadb().put_member(&group.id, &person.user.id, &[Role::Owner]).await.map_err(meta_fault)?;
    }
    state.audit(&caller, Some(&group.id), "group created", &group.name).await;
    Ok((StatusCode::CREATED, Json(group.into())))
}

/// The groups that the caller sees, by name.
#[utoipa::path(get, path = "/groups", tag = "groups", params(PageQuery), responses(
    (status = 200, body = [GroupView]), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_groups(
    State(state): State<WebState>,
    caller: Caller,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Page<GroupView>, ApiError> {
    let all = state.metadb().groups().await.map_err(fault)?;
    let seen = all.into_iter().filter(|group| caller.sees(&group.id)).collect();
    Ok(query.cut(seen, Order::Up, |group: &holdfast_metadb::Group| group.name.clone())?.map(Into::into))
}
