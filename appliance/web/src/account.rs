//! A person's own account: profile, password, sessions, groups.

use axum::{Json, extract::State, http::StatusCode};
use bson::doc;
use holdfast_metadb::{OneTimeKind, Session, User, normal_email};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{Own, fault, meta_fault, visible_group},
    email_changes,
    extract::{JsonOf, PathOf},
    instant::rfc3339_of,
    members::roles_doc,
    passwords::{allowed, hash_password},
    problem::{ApiError, Problem},
    sign_in,
    state::WebState,
};

/// The account as it is now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AccountChanged {
    /// Id.
    id: String,
    /// E-mail address.
    email: String,
    /// Name.
    name: String,
    /// The address that was asked for: it counts once the link that was sent to it is used, within a day.
    email_pending: Option<String>,
}

/// What shall change; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ChangeAccount {
    /// Name.
    name: Option<String>,
    /// E-mail address; needs the password, and is confirmed by a link that is sent to it.
    email: Option<String>,
    /// The password, for a new address.
    password: Option<String>,
}

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ChangePassword {
    /// The present one.
    current: String,
    /// The new one.
    new: String,
}

/// A session.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionView {
    /// Id.
    id: String,
    /// It is the one that asks.
    current: bool,
    /// When it began, RFC 3339.
    created: String,
    /// When it was last used, to a minute.
    last_seen: String,
    /// When it ends at the latest.
    expires: String,
    /// The address it was begun from.
    address: String,
    /// What the browser says of itself.
    agent: String,
}

/// Changes the name; asks for another address, which counts once it is confirmed.
#[utoipa::path(put, path = "/account", tag = "account", request_body = ChangeAccount, responses(
    (status = 200, body = AccountChanged), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn change_account(
    State(state): State<WebState>,
    own: Own,
    JsonOf(change): JsonOf<ChangeAccount>,
) -> Result<Json<AccountChanged>, ApiError> {
    let old = &own.person.user;
    let mut user: User = old.clone();
    if let Some(name) = &change.name {
        name.trim().clone_into(&mut user.name);
    }
    user.check().map_err(meta_fault)?;
    let pending = change.email.as_deref().map(normal_email).filter(|email| *email != old.email);
    if let Some(email) = &pending {
        User::new(email, &user.name, None, Vec::new()).check().map_err(meta_fault)?;
        // The address is where a new password is sent to: it is not changed by whoever finds an open browser.
        sign_in::prove(&state, &own, change.password.as_deref().unwrap_or_default()).await?;
        email_changes::ask(&state, &own, email).await?;
    }
    if user.name != old.name {
        state.metadb().put_profile(&user).await.map_err(meta_fault)?;
        let (before, after) = (doc! { "name": &old.name }, doc! { "name": &user.name });
        state.audit_change(&own.caller, None, "account changed", &user.email, Some(before), Some(after)).await;
    }
    let User { id, email, name, .. } = user;
    Ok(Json(AccountChanged { id: id.to_string(), email, name, email_pending: pending }))
}

/// Changes the password. Every other session ends.
#[utoipa::path(post, path = "/account/password", tag = "account", request_body = ChangePassword, responses(
    (status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn change_password(
    State(state): State<WebState>,
    own: Own,
    JsonOf(change): JsonOf<ChangePassword>,
) -> Result<StatusCode, ApiError> {
    let user = &own.person.user;
    if user.origin != "local" {
        let detail = "you sign in elsewhere, by your provider or directory: change your password there";
        return Err(ApiError::refused("passwordElsewhere", detail));
    }
    sign_in::prove(&state, &own, &change.current).await?;
    let policy = state.access_policy().await?;
    allowed(&change.new, policy.password_chars_min, &[&user.email, &user.name])?;
    let phc = hash_password(&change.new).await.map_err(crate::hash_fault)?;
    state.metadb().put_password(&user.id, &phc).await.map_err(meta_fault)?;
    state.metadb().void_one_time(OneTimeKind::PasswordReset, &user.id).await.map_err(fault)?;
    state.metadb().end_sessions(&user.id, Some(&own.session.hash)).await.map_err(fault)?;
    state.audit(&own.caller, None, "password changed", &user.email).await;
    Ok(StatusCode::NO_CONTENT)
}

/// The person's sessions.
#[utoipa::path(get, path = "/account/sessions", tag = "account", responses(
    (status = 200, body = [SessionView]), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_sessions(State(state): State<WebState>, own: Own) -> Result<Json<Vec<SessionView>>, ApiError> {
    let all = state.metadb().sessions(&own.person.user.id).await.map_err(fault)?;
    let view = |session: Session| SessionView {
        current: session.hash == own.session.hash,
        id: session.id,
        created: rfc3339_of(session.created),
        last_seen: rfc3339_of(session.last_seen),
        expires: rfc3339_of(session.expires),
        address: session.address,
        agent: session.agent,
    };
    Ok(Json(all.into_iter().map(view).collect()))
}

/// Ends one of the person's sessions at once.
#[utoipa::path(delete, path = "/account/sessions/{session}", tag = "account", params(("session" = String, Path, description = "id")),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn end_session(
    State(state): State<WebState>,
    own: Own,
    PathOf(id): PathOf<String>,
) -> Result<StatusCode, ApiError> {
    if !state.metadb().end_session(&own.person.user.id, &id).await.map_err(fault)? {
        return Err(ApiError::not_found(format!("you have no session {id:?}")));
    }
    state.audit(&own.caller, None, "session ended", &own.person.user.email).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends all of the person's sessions but the one that asks.
#[utoipa::path(delete, path = "/account/sessions", tag = "account", responses(
    (status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn end_other_sessions(State(state): State<WebState>, own: Own) -> Result<StatusCode, ApiError> {
    state.metadb().end_sessions(&own.person.user.id, Some(&own.session.hash)).await.map_err(fault)?;
    state.audit(&own.caller, None, "other sessions ended", &own.person.user.email).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Leaves a group. Its last owner cannot.
#[utoipa::path(delete, path = "/account/groups/{group}", tag = "account", params(("group" = String, Path, description = "id or name")),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn leave_group(
    State(state): State<WebState>,
    own: Own,
    PathOf(text): PathOf<String>,
) -> Result<StatusCode, ApiError> {
    let group = visible_group(&state, &own.caller, &text).await?;
    let member = own.person.members.iter().find(|m| m.group == group.id);
    let member = member.ok_or_else(|| ApiError::not_found(format!("you do not belong to group {text:?}")))?;
    state.metadb().put_member(&group.id, &own.person.user.id, &[]).await.map_err(meta_fault)?;
    let (email, before) = (&own.person.user.email, Some(roles_doc(&member.roles)));
    state.audit_change(&own.caller, Some(&group.id), "group left", email, before, None).await;
    Ok(StatusCode::NO_CONTENT)
}
