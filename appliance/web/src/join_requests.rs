//! Requests to join a group. Whether a group of that name exists is not told to who asks.

use std::collections::BTreeMap;

use axum::{extract::State, http::StatusCode};
use holdfast_domain::{JoinRequestId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{InGroup, Own, fault, find_group, meta_fault},
    extract::{JsonOf, PathOf, QueryOf},
    instant::rfc3339_of,
    limits,
    members::{check_grant, not_self, roles_doc},
    pages::{Order, Page, PageQuery, stamp},
    problem::{ApiError, Problem},
    roles::{PersonView, RoleName, roles},
    state::WebState,
};

/// Longest message, in characters.
const MESSAGE_CHARS_MAX: usize = 500;

/// A request to join.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewJoinRequest {
    /// Name or id of the group.
    group: String,
    /// Why.
    #[serde(default)]
    message: String,
}

/// A request that waits.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JoinRequestView {
    /// Id.
    id: String,
    /// Who.
    user: PersonView,
    /// Why.
    message: String,
    /// When, RFC 3339.
    created: String,
}

/// An answer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnswerJoinRequest {
    /// Roles that the person will have; none: refused.
    roles: Vec<RoleName>,
}

/// Asks to join a group. The answer is the same whether there is such a group or not.
#[utoipa::path(post, path = "/joinRequests", tag = "people", request_body = NewJoinRequest, responses(
    (status = 202, description = "noted, if there is such a group"), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn request_join(
    State(state): State<WebState>,
    own: Own,
    JsonOf(new): JsonOf<NewJoinRequest>,
) -> Result<StatusCode, ApiError> {
    limits::secret(&state, own.caller.address()).await?;
    if new.message.chars().count() > MESSAGE_CHARS_MAX {
        return Err(ApiError::bad_request(format!("a message has at most {MESSAGE_CHARS_MAX} characters")));
    }
    let Some(group) = find_group(&state, &new.group).await? else { return Ok(StatusCode::ACCEPTED) };
    if own.person.members.iter().any(|m| m.group == group.id) {
        return Err(ApiError::conflict("member", "you belong to this group already"));
    }
    let user = &own.person.user;
    state.metadb().request_join(&group.id, &user.id, &new.message).await.map_err(fault)?;
    state.audit(&own.caller, Some(&group.id), "asked to join", &user.email).await;
    Ok(StatusCode::ACCEPTED)
}

/// Requests to join the group, oldest first.
#[utoipa::path(get, path = "/groups/{group}/joinRequests", tag = "people", params(("group" = String, Path, description = "id or name"), PageQuery),
    responses((status = 200, body = [JoinRequestView]), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_join_requests(
    State(state): State<WebState>,
    of: InGroup,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Page<JoinRequestView>, ApiError> {
    let all = state.metadb().join_requests(&of.group.id).await.map_err(fault)?;
    let page = query.cut(all, Order::Up, |request| format!("{}{}", stamp(request.created), request.id))?;
    let (all, page) = page.take();
    let ids: Vec<UserId> = all.iter().map(|request| request.user.clone()).collect();
    let users = state.metadb().users_by_ids(&ids).await.map_err(fault)?;
    let users: BTreeMap<_, _> = users.into_iter().map(|user| (user.id.clone(), user)).collect();
    let views = all.into_iter().filter_map(|request| {
        let user = users.get(&request.user)?;
        let created = rfc3339_of(request.created);
        Some(JoinRequestView { id: request.id.to_string(), user: user.into(), message: request.message, created })
    });
    Ok(page.of(views.collect()))
}

/// Answers a request: with roles the person joins, without it is refused.
#[utoipa::path(post, path = "/groups/{group}/joinRequests/{request}", tag = "people", request_body = AnswerJoinRequest,
    params(("group" = String, Path, description = "id or name"), ("request" = String, Path, description = "id")),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn answer_join_request(
    State(state): State<WebState>,
    of: InGroup,
    path: PathOf<(String, JoinRequestId)>,
    JsonOf(answer): JsonOf<AnswerJoinRequest>,
) -> Result<StatusCode, ApiError> {
    let PathOf((_, id)) = path;
    let group = &of.group.id;
    let unknown = || ApiError::not_found(format!("there is no request {id}"));
    let roles = roles(&answer.roles);
    check_grant(&of.caller, Some(group), &[], &roles)?;
    let all = state.metadb().join_requests(group).await.map_err(fault)?;
    let request = all.into_iter().find(|request| request.id == id).ok_or_else(unknown)?;
    not_self(&of.caller, &request.user)?;
    state.metadb().answer_join(group, &id, &roles).await.map_err(meta_fault)?.ok_or_else(unknown)?;
    let action = if roles.is_empty() { "request to join refused" } else { "request to join approved" };
    let email = state.metadb().user(&request.user).await.map_err(fault)?.map(|user| user.email).unwrap_or_default();
    state.audit_change(&of.caller, Some(group), action, &email, None, Some(roles_doc(&roles))).await;
    Ok(StatusCode::NO_CONTENT)
}
