//! The first-boot claim: whoever has the set-up code becomes the administrator, once.

use axum::{Json, extract::State, http::HeaderMap, http::StatusCode, response::Response};
use holdfast_domain::Role;
use holdfast_metadb::{Claim, Claimant, User};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{Peer, fault, meta_fault},
    extract::JsonOf,
    groups::check_name,
    limits,
    passwords::{allowed, hash_password},
    problem::{ApiError, Problem},
    sign_in,
    state::WebState,
};

/// How far the set-up is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SetupView {
    /// An administrator has an account.
    claimed: bool,
    /// Version of the server.
    version: &'static str,
    /// Who may make an account: `open`, `invitation` or `closed`.
    sign_up: String,
    /// Shortest password, in characters.
    password_chars_min: u32,
    /// What the button of the sign-in provider says; null: there is none.
    oidc: Option<String>,
    /// People of a directory sign in with their name and password there.
    ldap: bool,
}

/// A claim.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewClaim {
    /// The set-up code: `holdfast up` prints it, the server's log and the file `setup.code` in its data directory hold it.
    code: String,
    /// The administrator's e-mail address.
    email: String,
    /// The administrator's name.
    name: String,
    /// A password.
    password: String,
    /// Name of the first group; one that there is already is joined.
    group: String,
}

/// A set-up code to look at.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TriedCode {
    /// As it is typed.
    code: String,
}

/// Whether an administrator has an account, and what a page before the sign-in must know.
#[utoipa::path(get, path = "/setup", tag = "setup", security(()), responses(
    (status = 200, body = SetupView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_setup(State(state): State<WebState>) -> Result<Json<SetupView>, ApiError> {
    let policy = state.access_policy().await?;
    Ok(Json(SetupView {
        claimed: state.metadb().claimed().await.map_err(fault)?,
        version: env!("CARGO_PKG_VERSION"),
        sign_up: crate::restores::word(policy.sign_up),
        password_chars_min: policy.password_chars_min,
        oidc: state.metadb().oidc_settings().await.map_err(fault)?.map(|set| set.label),
        ldap: state.metadb().ldap_settings().await.map_err(fault)?.is_some(),
    }))
}

/// Looks whether a set-up code is the right one, before anything else is typed. It changes nothing; guesses are counted.
#[utoipa::path(post, path = "/setup/code", tag = "setup", request_body = TriedCode, security(()), responses(
    (status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn try_code(
    State(state): State<WebState>,
    Peer(address): Peer,
    JsonOf(tried): JsonOf<TriedCode>,
) -> Result<StatusCode, ApiError> {
    limits::setup(&state, address).await?;
    if state.metadb().claimed().await.map_err(fault)? {
        return Err(claimed());
    }
    match state.metadb().is_setup_code(&normal_code(&tried.code)).await.map_err(fault)? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(wrong_code()),
    }
}

/// Claims the appliance with its set-up code: makes the administrator's account and the first group, and signs in.
#[utoipa::path(post, path = "/setup/claim", tag = "setup", request_body = NewClaim, security(()), responses(
    (status = 201, body = sign_in::CurrentSession), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn claim(
    State(state): State<WebState>,
    Peer(address): Peer,
    headers: HeaderMap,
    JsonOf(new): JsonOf<NewClaim>,
) -> Result<Response, ApiError> {
    limits::setup(&state, address).await?;
    if state.metadb().claimed().await.map_err(fault)? {
        return Err(claimed());
    }
    let code = normal_code(&new.code);
    if !state.metadb().is_setup_code(&code).await.map_err(fault)? {
        return Err(wrong_code());
    }
    check_name(&new.group)?;
    allowed(&new.password, state.access_policy().await?.password_chars_min, &[&new.email, &new.name, &new.group])?;
    let mut user = User::new(&new.email, &new.name, None, vec![Role::Owner]);
    user.check().map_err(meta_fault)?;
    user.password = Some(hash_password(&new.password).await.map_err(crate::hash_fault)?);
    match state.metadb().claim(Claimant::Code(&code), &user, &new.group).await.map_err(meta_fault)? {
        Claim::Done(_) => sign_in::begin(&state, &user, address, &headers, "appliance claimed").await,
        Claim::Claimed => Err(claimed()),
        Claim::WrongCode => Err(wrong_code()),
    }
}

/// A code as people type it, as it is stored: letters in upper case, nothing between them.
#[must_use]
pub fn normal_code(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

/// A new set-up code for people to type: 20 letters and digits in groups, 100 bits. Stored is what [`normal_code`] makes of it.
#[must_use]
pub fn new_code() -> String {
    // Without the letters and digits that are mistaken for each other.
    const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let letters: Vec<char> =
        rand::random::<[u8; 20]>().iter().map(|byte| char::from(LETTERS[usize::from(byte & 31)])).collect();
    letters.chunks(5).map(|part| part.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

fn claimed() -> ApiError {
    ApiError::conflict("claimed", "this appliance has an administrator: sign in, or ask them for an invitation")
}

fn wrong_code() -> ApiError {
    let detail = "the set-up code is wrong: the server's log and the file setup.code in its data directory hold it";
    ApiError::new(StatusCode::FORBIDDEN, "setupCode", "The set-up code is not right", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_typed_in_many_ways() {
        let code = new_code();
        assert_eq!(code.len(), 23);
        assert_eq!(normal_code(&format!(" {} ", code.to_lowercase())), normal_code(&code));
        assert_eq!(normal_code(&code).len(), 20);
        assert_ne!(code, new_code());
    }
}
