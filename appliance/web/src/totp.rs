//! The second factor: time-based codes (RFC 6238: SHA-1, 6 digits, 30 s, one step of tolerance) and recovery codes.
//!
//! Invariants: the secret is stored sealed and shown once; a factor counts once a code of it was shown; a code is taken once, and none older
//! than one that was taken; a recovery code is taken once.

use axum::{Json, extract::State, http::StatusCode};
use holdfast_metadb::{Totp, TotpPolicy, User, hash_secret};
use serde::{Deserialize, Serialize};
use totp_rs::{Builder, Secret};
use utoipa::ToSchema;

use crate::{
    caller::{Own, fault},
    extract::JsonOf,
    limits,
    problem::{ApiError, Problem},
    sign_in,
    state::WebState,
};

/// Bytes of a secret, as RFC 4226 asks for.
const SECRET_BYTES: usize = 20;
/// Recovery codes given out at once.
const RECOVERY_CODES: usize = 10;
/// Random bytes of a recovery code: 80 bits, 16 letters.
const RECOVERY_BYTES: usize = 10;

/// A new second factor, not in force yet.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NewTotp {
    /// The secret in base32, to type in.
    secret: String,
    /// `otpauth://` URI, to show as a QR code.
    uri: String,
}

/// A code.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Code {
    /// Six digits.
    code: String,
}

/// Setting up a second factor.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BeginTotp {
    /// The password, again: here or in the directory. Whoever signs in by a provider sends none and has signed in just now.
    password: String,
}

/// Codes that work once each, when the second factor is lost. Shown once.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RecoveryCodes {
    /// The codes.
    recovery_codes: Vec<String>,
}

pub(crate) fn code_needed() -> ApiError {
    let detail = "the password is right: now send a code of your second factor, or a recovery code, as `totp`";
    ApiError::new(StatusCode::UNAUTHORIZED, "totpRequired", "A code is needed", detail)
}

pub(crate) fn wrong_code() -> ApiError {
    let detail = "the code is wrong, was used already, or its time is over: wait for the next one";
    ApiError::new(StatusCode::UNAUTHORIZED, "totpWrong", "The code is not right", detail)
}

fn factor(user: &User, secret: &[u8]) -> Result<totp_rs::Totp, ApiError> {
    let built = Builder::new()
        .with_secret(Secret::from(secret))
        .with_account_name(user.email.replace(':', "-"))
        .with_issuer(Some("Holdfast"))
        .build();
    built.map_err(|error| ApiError::from_class(holdfast_domain::ErrorClass::Bug, &error))
}

fn now_seconds() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0)
}

/// The time step of a code that is right now.
fn step_of(state: &WebState, user: &User, totp: &Totp, code: &str) -> Result<Option<i64>, ApiError> {
    let secret = state.open_totp(&user.id, totp.sealed())?;
    let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    let step = factor(user, &secret)?.check(&digits, now_seconds());
    Ok(step.and_then(|step| i64::try_from(step).ok()))
}

/// Takes a code of the second factor or a recovery code: true once for each.
pub(crate) async fn take(state: &WebState, user: &User, code: &str) -> Result<bool, ApiError> {
    let Some(totp) = user.totp.as_ref().filter(|totp| totp.confirmed) else { return Ok(false) };
    if let Some(step) = step_of(state, user, totp, code)? {
        return state.metadb().take_totp_step(&user.id, step).await.map_err(fault);
    }
    let hash = hash_secret(&normal_recovery(code));
    state.metadb().take_recovery(&user.id, &hash).await.map_err(fault)
}

fn normal_recovery(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// New recovery codes, and what is stored of them.
fn new_recovery() -> (Vec<String>, Vec<String>) {
    let one = || {
        let text = hex::encode(rand::random::<[u8; RECOVERY_BYTES]>());
        text.as_bytes().chunks(5).map(|part| String::from_utf8_lossy(part).into_owned()).collect::<Vec<_>>().join("-")
    };
    let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| one()).collect();
    let hashes = codes.iter().map(|code| hash_secret(&normal_recovery(code))).collect();
    (codes, hashes)
}

/// Begins to set up a second factor: show the URI as a QR code, then confirm with a code of it.
#[utoipa::path(post, path = "/account/totp", tag = "account", request_body = BeginTotp, responses(
    (status = 201, body = NewTotp), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn begin_totp(
    State(state): State<WebState>,
    own: Own,
    JsonOf(body): JsonOf<BeginTotp>,
) -> Result<(StatusCode, Json<NewTotp>), ApiError> {
    let user = &own.person.user;
    if state.access_policy().await?.totp == TotpPolicy::Off {
        return Err(ApiError::refused("totpOff", "this appliance is set to work without second factors"));
    }
    if user.has_totp() {
        return Err(ApiError::conflict("totpEnabled", "there is a second factor already: remove it first"));
    }
    sign_in::prove(&state, &own, &body.password).await?;
    let secret: [u8; SECRET_BYTES] = rand::random();
    let totp = Totp::new(state.seal_totp(&user.id, &secret)?);
    state.metadb().put_totp(&user.id, Some(&totp), &[]).await.map_err(fault)?;
    let uri = factor(user, &secret)?.to_url();
    let uri = uri.map_err(|error| ApiError::from_class(holdfast_domain::ErrorClass::Bug, &error))?;
    Ok((StatusCode::CREATED, Json(NewTotp { secret: Secret::from(secret).to_base32(), uri })))
}

/// Puts the second factor in force, with a code of it. The recovery codes are shown in this answer alone.
#[utoipa::path(post, path = "/account/totp/confirm", tag = "account", request_body = Code, responses(
    (status = 200, body = RecoveryCodes), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn confirm_totp(
    State(state): State<WebState>,
    own: Own,
    JsonOf(body): JsonOf<Code>,
) -> Result<Json<RecoveryCodes>, ApiError> {
    let user = &own.person.user;
    limits::prove(&state, &own.session).await?;
    let begun = user.totp.clone().filter(|totp| !totp.confirmed);
    let mut totp = begun.ok_or_else(|| ApiError::conflict("totpNotBegun", "no second factor is being set up"))?;
    let step = step_of(&state, user, &totp, &body.code)?.ok_or_else(wrong_code)?;
    limits::proved(&state, &own.session).await?;
    totp.confirmed = true;
    totp.last_step = step;
    let (codes, hashes) = new_recovery();
    state.metadb().put_totp(&user.id, Some(&totp), &hashes).await.map_err(fault)?;
    // Whoever had the password alone is out.
    state.metadb().end_sessions(&user.id, Some(&own.session.hash)).await.map_err(fault)?;
    state.audit(&own.caller, None, "second factor set up", &user.email).await;
    Ok(Json(RecoveryCodes { recovery_codes: codes }))
}

/// Removes the second factor.
#[utoipa::path(delete, path = "/account/totp", tag = "account", responses(
    (status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn remove_totp(State(state): State<WebState>, own: Own) -> Result<StatusCode, ApiError> {
    let user = &own.person.user;
    if own.person.needs_totp(state.access_policy().await?.totp) {
        return Err(ApiError::refused("totpNeeded", "the policy of this appliance asks you for a second factor"));
    }
    state.metadb().put_totp(&user.id, None, &[]).await.map_err(fault)?;
    state.audit(&own.caller, None, "second factor removed", &user.email).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes new recovery codes; the old ones no longer work.
#[utoipa::path(post, path = "/account/totp/recovery-codes", tag = "account", responses(
    (status = 200, body = RecoveryCodes), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn renew_recovery(State(state): State<WebState>, own: Own) -> Result<Json<RecoveryCodes>, ApiError> {
    let user = &own.person.user;
    let totp = user.totp.clone().filter(|totp| totp.confirmed);
    let totp = totp.ok_or_else(|| ApiError::conflict("totpDisabled", "there is no second factor"))?;
    let (codes, hashes) = new_recovery();
    state.metadb().put_totp(&user.id, Some(&totp), &hashes).await.map_err(fault)?;
    state.audit(&own.caller, None, "recovery codes renewed", &user.email).await;
    Ok(Json(RecoveryCodes { recovery_codes: codes }))
}
