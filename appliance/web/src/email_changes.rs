//! Another address of an account: it counts once a link that was sent to it is used. The old address hears of it twice: when it is asked for
//! and when it is done. Who asks does not learn whether the new address has an account.

use std::time::Duration;

use axum::{extract::State, http::StatusCode};
use bson::doc;
use holdfast_domain::UserId;
use holdfast_metadb::{AuditEntry, OneTimeKind, User};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    caller::{Own, Peer, fault, meta_fault},
    extract::JsonOf,
    limits,
    mail::{self, Message},
    problem::{ApiError, Problem},
    state::WebState,
};

/// How long the link holds: a day.
const LIFETIME: Duration = Duration::from_secs(86_400);

/// The link's secret.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfirmEmail {
    /// As in the link.
    token: String,
}

/// Sends the link to the new address, and word of it to the old one. A link of before no longer works.
pub(crate) async fn ask(state: &WebState, own: &Own, email: &str) -> Result<(), ApiError> {
    if !mail::is_set(state).await? {
        let detail = "an address is changed by a link that is sent to it, and no mail server is set: ask an administrator to \
                      set one, or to make an account of the new address";
        return Err(ApiError::refused("mailNotSet", detail));
    }
    limits::mail(state, email, own.caller.address()).await?;
    let user = own.person.user.clone();
    let (background, new) = (state.clone(), email.to_owned());
    // In the background: how long it takes would tell whether there is an account of the new address.
    mail::in_background(async move {
        let (state, metadb) = (&background, background.metadb());
        metadb.void_one_time(OneTimeKind::EmailChange, &user.id).await.map_err(fault)?;
        let message = if metadb.user_by_email(&new).await.map_err(fault)?.is_some() {
            Message::email_taken(&new, &user.email)
        } else {
            let facts = doc! { "user": user.id.clone(), "from": &user.email, "to": &new };
            let secret = metadb.create_one_time(OneTimeKind::EmailChange, facts, LIFETIME).await.map_err(fault)?;
            let link = format!("{}/confirm-email#token={secret}", state.public_url());
            Message::confirm_email(&new, &user.email, &link)
        };
        mail::post(state, message).await?;
        mail::post(state, Message::email_asked(&user.email, &new)).await?;
        Ok(())
    });
    let (before, after) = (doc! { "email": &own.person.user.email }, doc! { "email": email });
    let target = &own.person.user.email;
    state.audit_change(&own.caller, None, "new address asked for", target, Some(before), Some(after)).await;
    Ok(())
}

fn over() -> ApiError {
    let detail = "the link is not valid: it was used, its time is over, or the account has changed since. Ask for a new one in your account";
    ApiError::new(StatusCode::NOT_FOUND, "linkOver", "The link is not valid", detail)
}

/// Confirms the new address of an account, by the secret of the mail that was sent there. Links that went to the old address end.
#[utoipa::path(post, path = "/account/email/confirm", tag = "account", request_body = ConfirmEmail, security(()), responses(
    (status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn confirm_email(
    State(state): State<WebState>,
    Peer(address): Peer,
    JsonOf(confirm): JsonOf<ConfirmEmail>,
) -> Result<StatusCode, ApiError> {
    limits::secret(&state, address).await?;
    let facts = state.metadb().take_one_time(OneTimeKind::EmailChange, &confirm.token).await.map_err(fault)?;
    let facts = facts.ok_or_else(over)?;
    let text = |name: &str| facts.get_str(name).unwrap_or_default().to_owned();
    let id = text("user").parse::<UserId>().map_err(|_| over())?;
    let user = state.metadb().user(&id).await.map_err(fault)?;
    let old = user.filter(|user: &User| user.disabled.is_none() && user.email == text("from")).ok_or_else(over)?;
    let new = User { email: text("to"), ..old.clone() };
    state.metadb().put_profile(&new).await.map_err(meta_fault)?;
    // Such a link lies in the mailbox that the account has left.
    state.metadb().void_one_time(OneTimeKind::PasswordReset, &id).await.map_err(fault)?;
    mail::post(&state, Message::email_changed(&old.email, &new.email)).await?;
    let entry = AuditEntry {
        who: new.email.clone(),
        kind: "user".into(),
        address: address.to_string(),
        action: "address changed".into(),
        target: new.email.clone(),
        before: Some(doc! { "email": &old.email }),
        after: Some(doc! { "email": &new.email }),
        ..AuditEntry::default()
    };
    state.note(entry).await;
    Ok(StatusCode::NO_CONTENT)
}
