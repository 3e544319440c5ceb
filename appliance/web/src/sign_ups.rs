//! Accounts that people make themselves, where the policy lets them: the address is proved by a mail before there is an account.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use bson::doc;
use holdfast_metadb::{OneTimeKind, SignUp, User};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    caller::{Peer, fault, meta_fault},
    extract::JsonOf,
    limits,
    mail::{self, Message},
    password_resets::ResetAsked,
    passwords::{allowed, hash_password},
    problem::{ApiError, Problem},
    sign_in,
    state::WebState,
};

/// How long the link holds: a day.
const LIFETIME: Duration = Duration::from_secs(86_400);

/// Who wants an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSignUp {
    /// E-mail address.
    email: String,
    /// Name.
    name: String,
}

/// The link's secret and a password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfirmSignUp {
    /// The secret of the link.
    token: String,
    /// A password.
    password: String,
}

async fn check_open(state: &WebState) -> Result<u32, ApiError> {
    let policy = state.access_policy().await?;
    match policy.sign_up {
        SignUp::Open => Ok(policy.password_chars_min),
        SignUp::Invitation | SignUp::Closed => Err(ApiError::refused(
            "signUpClosed",
            "this appliance takes no sign-ups: ask its administrator for an invitation",
        )),
    }
}

/// Asks for an account. The answer is the same for every address.
#[utoipa::path(post, path = "/sign-ups", tag = "account", request_body = NewSignUp, security(()), responses(
    (status = 202, body = ResetAsked), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn sign_up(
    State(state): State<WebState>,
    Peer(address): Peer,
    JsonOf(new): JsonOf<NewSignUp>,
) -> Result<(StatusCode, Json<ResetAsked>), ApiError> {
    check_open(&state).await?;
    let user = User::new(&new.email, &new.name, None, Vec::new());
    user.check().map_err(meta_fault)?;
    limits::mail(&state, &new.email, address).await?;
    let background = state.clone();
    mail::in_background(async move {
        let state = background;
        let message = if state.metadb().user_by_email(&user.email).await.map_err(fault)?.is_some() {
            Message::known(&user.email, &state.public_url())
        } else {
            let facts = doc! { "email": &user.email, "name": &user.name };
            let secret = state.metadb().create_one_time(OneTimeKind::SignUp, facts, LIFETIME).await.map_err(fault)?;
            let link = format!("{}/sign-up#token={secret}", state.public_url());
            Message::sign_up(&user.email, &link)
        };
        if !mail::post(&state, message).await? {
            tracing::warn!("someone signed up and no mail server is set: no mail can be sent");
        }
        Ok(())
    });
    let detail = "a mail is on its way; its link works for a day";
    Ok((StatusCode::ACCEPTED, Json(ResetAsked { detail })))
}

/// Makes the account, by the secret of the mail, and signs in.
#[utoipa::path(post, path = "/sign-ups/confirm", tag = "account", request_body = ConfirmSignUp, security(()), responses(
    (status = 201, body = sign_in::CurrentSession), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn confirm_sign_up(
    State(state): State<WebState>,
    Peer(address): Peer,
    headers: HeaderMap,
    JsonOf(confirm): JsonOf<ConfirmSignUp>,
) -> Result<Response, ApiError> {
    limits::secret(&state, address).await?;
    let chars_min = check_open(&state).await?;
    let over = || {
        let detail = "the link is not valid: it was used, or its time is over. Sign up again";
        ApiError::new(StatusCode::NOT_FOUND, "linkOver", "The link is not valid", detail)
    };
    let facts = state.metadb().look_at_one_time(OneTimeKind::SignUp, &confirm.token).await.map_err(fault)?;
    let facts = facts.ok_or_else(over)?;
    let text = |name: &str| facts.get_str(name).unwrap_or_default();
    // The policy before the link is used up.
    allowed(&confirm.password, chars_min, &[text("email"), text("name")])?;
    let phc = hash_password(&confirm.password).await.map_err(crate::hash_fault)?;
    let taken = state.metadb().take_one_time(OneTimeKind::SignUp, &confirm.token).await.map_err(fault)?;
    taken.ok_or_else(over)?;
    let user = User::new(text("email"), text("name"), Some(phc), Vec::new());
    state.metadb().create_user(&user).await.map_err(meta_fault)?;
    sign_in::begin(&state, &user, address, &headers, "signed up").await
}
