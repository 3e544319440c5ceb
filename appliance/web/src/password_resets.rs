//! A forgotten password: a link by mail, used once. The answer does not tell whether there is such an account.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use bson::doc;
use holdfast_domain::UserId;
use holdfast_metadb::{AuditEntry, OneTimeKind, User};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{Peer, fault, meta_fault},
    extract::JsonOf,
    limits,
    mail::{self, Message},
    passwords::{allowed, hash_password},
    problem::{ApiError, Problem},
    state::WebState,
};

/// How long a link holds that someone asked for themselves: an hour.
const LIFETIME: Duration = Duration::from_secs(3600);
/// How long the link of a new account holds: 7 days.
const LIFETIME_NEW: Duration = Duration::from_secs(7 * 86_400);

/// Who forgot.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskReset {
    /// E-mail address.
    email: String,
}

/// What happens next.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResetAsked {
    /// A sentence to show.
    pub(crate) detail: &'static str,
}

/// A new password, by the link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfirmReset {
    /// The secret of the link.
    token: String,
    /// The new password.
    password: String,
}

fn over() -> ApiError {
    let detail = "the link is not valid: it was used, or its time is over. Ask for a new one";
    ApiError::new(StatusCode::NOT_FOUND, "linkOver", "The link is not valid", detail)
}

async fn make_link(state: &WebState, user: &UserId, lifetime: Duration) -> Result<String, ApiError> {
    let facts = doc! { "user": user.clone() };
    let secret = state.metadb().create_one_time(OneTimeKind::PasswordReset, facts, lifetime).await.map_err(fault)?;
    Ok(format!("{}/reset#token={secret}", state.public_url()))
}

/// The link by which the person of a new account sets a password.
pub(crate) async fn link(state: &WebState, user: &UserId) -> Result<String, ApiError> {
    make_link(state, user, LIFETIME_NEW).await
}

/// Asks for a link. The answer is the same for every address.
#[utoipa::path(post, path = "/password-resets", tag = "account", request_body = AskReset, security(()), responses(
    (status = 202, body = ResetAsked), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn ask_reset(
    State(state): State<WebState>,
    Peer(address): Peer,
    JsonOf(ask): JsonOf<AskReset>,
) -> Result<(StatusCode, Json<ResetAsked>), ApiError> {
    limits::mail(&state, &ask.email, address).await?;
    // In the background: how long it takes would tell whether there is such an account.
    let background = state.clone();
    mail::in_background(async move {
        let found = background.metadb().user_by_email(&ask.email).await.map_err(fault)?;
        let Some(user) = found.filter(|user| user.disabled.is_none() && user.origin == "local") else { return Ok(()) };
        let link = make_link(&background, &user.id, LIFETIME).await?;
        if !mail::post(&background, Message::reset(&user.email, &link)).await? {
            tracing::warn!("a password reset was asked for and no mail server is set");
        }
        let entry = AuditEntry {
            kind: "nobody".into(),
            address: address.to_string(),
            action: "password reset asked for".into(),
            target: user.email,
            ..AuditEntry::default()
        };
        background.note(entry).await;
        Ok(())
    });
    let detail = "if there is an account of this address, a mail with a link is on its way; it works for an hour";
    Ok((StatusCode::ACCEPTED, Json(ResetAsked { detail })))
}

/// Sets a new password by the secret of a link. Every session of the account ends, and the person's own API keys are revoked.
#[utoipa::path(post, path = "/password-resets/confirm", tag = "account", request_body = ConfirmReset, security(()), responses(
    (status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn confirm_reset(
    State(state): State<WebState>,
    Peer(address): Peer,
    JsonOf(confirm): JsonOf<ConfirmReset>,
) -> Result<StatusCode, ApiError> {
    limits::secret(&state, address).await?;
    // The policy first: a password that is refused must not use up the link.
    let chars_min = state.access_policy().await?.password_chars_min;
    let facts = state.metadb().look_at_one_time(OneTimeKind::PasswordReset, &confirm.token).await.map_err(fault)?;
    let user = match facts.and_then(|facts| facts.get_str("user").ok().and_then(|id| id.parse::<UserId>().ok())) {
        // Whoever signs in elsewhere has no password here.
        Some(id) => {
            let found = state.metadb().user(&id).await.map_err(fault)?;
            found.filter(|user: &User| user.disabled.is_none() && user.origin == "local")
        }
        None => None,
    };
    let user = user.ok_or_else(over)?;
    allowed(&confirm.password, chars_min, &[&user.email, &user.name])?;
    let phc = hash_password(&confirm.password).await.map_err(crate::hash_fault)?;
    let taken = state.metadb().take_one_time(OneTimeKind::PasswordReset, &confirm.token).await.map_err(fault)?;
    taken.ok_or_else(over)?;
    state.metadb().put_password(&user.id, &phc).await.map_err(meta_fault)?;
    state.metadb().void_one_time(OneTimeKind::PasswordReset, &user.id).await.map_err(fault)?;
    state.metadb().end_sessions(&user.id, None).await.map_err(fault)?;
    // Whoever had the old password may have made keys with it.
    let revoked = state.metadb().revoke_api_keys_of(&user.id).await.map_err(fault)?;
    // The mailbox is proved: strangers who guess do not hold up the sign-in that follows.
    limits::signed_in(&state, &user.email, address).await?;
    let entry = AuditEntry {
        who: user.email.clone(),
        kind: "user".into(),
        address: address.to_string(),
        action: "password set by link".into(),
        target: user.email,
        detail: format!("own API keys revoked: {revoked}"),
        ..AuditEntry::default()
    };
    state.note(entry).await;
    Ok(StatusCode::NO_CONTENT)
}
