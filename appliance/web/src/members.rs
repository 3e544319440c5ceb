//! Who belongs to a group. Nobody changes their own role; only owners make and unmake owners; the last owner stays.

use std::collections::BTreeMap;

use axum::{extract::State, http::StatusCode};
use bson::{Document, doc};
use holdfast_domain::{GroupId, Role, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{Caller, InGroup, fault, forbidden, meta_fault},
    extract::{JsonOf, PathOf, QueryOf},
    instant::rfc3339_of,
    pages::{Order, Page, PageQuery},
    problem::{ApiError, Problem},
    revision::{IfMatch, Tagged},
    roles::{PersonView, RoleName, names, some_roles},
    state::WebState,
};

/// A member.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MemberView {
    /// The person.
    user: PersonView,
    /// Roles in this group.
    roles: Vec<RoleName>,
    /// Since when, RFC 3339.
    since: String,
    /// Counts the changes of the roles: the member's tag, for `If-Match`.
    revision: i64,
}

/// Roles for someone.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetRoles {
    /// All that the person shall have there; at least one.
    roles: Vec<RoleName>,
}

/// Refuses a hand-out of roles that is not the caller's to make. `before` and `after` are all roles that the person had and will have.
pub(crate) fn check_grant(
    caller: &Caller,
    group: Option<&GroupId>,
    before: &[Role],
    after: &[Role],
) -> Result<(), ApiError> {
    let given = after.iter().filter(|role| !before.contains(role));
    let taken = before.iter().filter(|role| !after.contains(role));
    match given.chain(taken).find(|role| !caller.may_grant(**role, group)) {
        None => Ok(()),
        Some(role) => {
            Err(forbidden(format!("the role {} is not yours to give or take: only owners do", role.as_str())))
        }
    }
}

/// Refuses changes of one's own standing, by session, by one's own key, or by a key that one made.
pub(crate) fn not_self(caller: &Caller, user: &UserId) -> Result<(), ApiError> {
    if caller.behind() == Some(user) {
        let detail = "nobody changes their own role: ask another owner or user admin";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "ownRole", "This is your own account", detail));
    }
    Ok(())
}

pub(crate) fn roles_doc(roles: &[Role]) -> Document {
    doc! { "roles": roles.iter().map(|role| role.as_str()).collect::<Vec<_>>() }
}

/// The group's members, by address.
#[utoipa::path(get, path = "/groups/{group}/members", tag = "people",
    params(("group" = String, Path, description = "id or name"), PageQuery),
    responses((status = 200, body = [MemberView]), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_members(
    State(state): State<WebState>,
    of: InGroup,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Page<MemberView>, ApiError> {
    let members = state.metadb().members(&of.group.id).await.map_err(fault)?;
    let ids: Vec<UserId> = members.iter().map(|member| member.user.clone()).collect();
    let users = state.metadb().users_by_ids(&ids).await.map_err(fault)?;
    let mut of_user: BTreeMap<_, _> = members.into_iter().map(|member| (member.user.clone(), member)).collect();
    let view = |user: &holdfast_metadb::User| {
        let member = of_user.remove(&user.id)?;
        let since = rfc3339_of(member.since);
        Some((
            user.email.clone(),
            MemberView { user: user.into(), roles: names(&member.roles), since, revision: member.rev },
        ))
    };
    let views = users.iter().filter_map(view).collect();
    Ok(query.cut(views, Order::Up, |(email, _): &(String, MemberView)| email.clone())?.map(|(_, view)| view))
}

/// Sets a member's roles.
#[utoipa::path(put, path = "/groups/{group}/members/{user}", tag = "people", request_body = SetRoles,
    params(("group" = String, Path, description = "id or name"), ("user" = String, Path, description = "id of the person")),
    responses((status = 200, body = MemberView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn set_roles(
    State(state): State<WebState>,
    of: InGroup,
    path: PathOf<(String, UserId)>,
    IfMatch(seen): IfMatch,
    JsonOf(set): JsonOf<SetRoles>,
) -> Result<Tagged<MemberView>, ApiError> {
    let PathOf((_, id)) = path;
    let group = &of.group.id;
    let roles = some_roles(&set.roles)?;
    not_self(&of.caller, &id)?;
    let member = member_of(&state, &of, &id).await?;
    check_grant(&of.caller, Some(group), &member.roles, &roles)?;
    state.metadb().put_member_seen(group, &id, &roles, &seen).await.map_err(meta_fault)?;
    let revision = member_of(&state, &of, &id).await?.rev;
    let user = state.metadb().user(&id).await.map_err(fault)?;
    let user = user.ok_or_else(|| ApiError::not_found("the account is gone"))?;
    let (before, after) = (roles_doc(&member.roles), roles_doc(&roles));
    state.audit_change(&of.caller, Some(group), "roles changed", &user.email, Some(before), Some(after)).await;
    let since = rfc3339_of(member.since);
    Ok(Tagged(revision, MemberView { user: (&user).into(), roles: names(&roles), since, revision }))
}

async fn member_of(state: &WebState, of: &InGroup, id: &UserId) -> Result<holdfast_metadb::Member, ApiError> {
    let found = state.metadb().member(&of.group.id, id).await.map_err(fault)?;
    found.ok_or_else(|| ApiError::not_found(format!("the group has no member {id}")))
}

/// Takes a person out of the group. To leave it oneself: DELETE /account/groups/{group}.
#[utoipa::path(delete, path = "/groups/{group}/members/{user}", tag = "people",
    params(("group" = String, Path, description = "id or name"), ("user" = String, Path, description = "id of the person")),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn remove_member(
    State(state): State<WebState>,
    of: InGroup,
    path: PathOf<(String, UserId)>,
    IfMatch(seen): IfMatch,
) -> Result<StatusCode, ApiError> {
    let PathOf((_, id)) = path;
    not_self(&of.caller, &id)?;
    let member = member_of(&state, &of, &id).await?;
    check_grant(&of.caller, Some(&of.group.id), &member.roles, &[])?;
    state.metadb().put_member_seen(&of.group.id, &id, &[], &seen).await.map_err(meta_fault)?;
    let user = state.metadb().user(&id).await.map_err(fault)?;
    let email = user.map_or_else(|| id.to_string(), |user| user.email);
    let before = Some(roles_doc(&member.roles));
    state.audit_change(&of.caller, Some(&of.group.id), "member removed", &email, before, None).await;
    Ok(StatusCode::NO_CONTENT)
}
