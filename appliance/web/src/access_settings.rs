//! Settings of the appliance about people: sign-up, second factor, passwords, sessions.

use axum::{Json, extract::State};
use holdfast_metadb::{AccessPolicy, SignUp, TotpPolicy};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{Caller, fault},
    extract::JsonOf,
    problem::{ApiError, Problem},
    state::WebState,
};

/// Who may make an account.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum SignUpName {
    /// Anyone with a mailbox.
    Open,
    /// Who is invited.
    Invitation,
    /// Nobody: user admins make accounts.
    Closed,
}

/// Who needs a second factor.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum TotpName {
    /// Nobody can set one up.
    Off,
    /// Who wants.
    Optional,
    /// Who holds a global role.
    GlobalRoles,
    /// Everyone.
    All,
}

/// The policy.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AccessSettings {
    /// Who may make an account.
    sign_up: SignUpName,
    /// Who needs a second factor.
    totp: TotpName,
    /// Shortest password, in characters: 8 to 128.
    password_chars_min: u32,
    /// A session ends when it is not used for so many minutes: 5 to 10,080. New sessions go by it.
    session_idle_minutes: u32,
    /// A session ends after so many hours: 1 to 720. New sessions go by it.
    session_hours: u32,
    /// How long a proof of identity counts for restores and deletes, in minutes: 1 to 1,440.
    verified_minutes: u32,
}

impl From<AccessPolicy> for AccessSettings {
    fn from(policy: AccessPolicy) -> Self {
        Self {
            sign_up: match policy.sign_up {
                SignUp::Open => SignUpName::Open,
                SignUp::Invitation => SignUpName::Invitation,
                SignUp::Closed => SignUpName::Closed,
            },
            totp: match policy.totp {
                TotpPolicy::Off => TotpName::Off,
                TotpPolicy::Optional => TotpName::Optional,
                TotpPolicy::GlobalRoles => TotpName::GlobalRoles,
                TotpPolicy::All => TotpName::All,
            },
            password_chars_min: policy.password_chars_min,
            session_idle_minutes: policy.session_idle_minutes,
            session_hours: policy.session_hours,
            verified_minutes: policy.verified_minutes,
        }
    }
}

impl From<AccessSettings> for AccessPolicy {
    fn from(settings: AccessSettings) -> Self {
        Self {
            sign_up: match settings.sign_up {
                SignUpName::Open => SignUp::Open,
                SignUpName::Invitation => SignUp::Invitation,
                SignUpName::Closed => SignUp::Closed,
            },
            totp: match settings.totp {
                TotpName::Off => TotpPolicy::Off,
                TotpName::Optional => TotpPolicy::Optional,
                TotpName::GlobalRoles => TotpPolicy::GlobalRoles,
                TotpName::All => TotpPolicy::All,
            },
            password_chars_min: settings.password_chars_min,
            session_idle_minutes: settings.session_idle_minutes,
            session_hours: settings.session_hours,
            verified_minutes: settings.verified_minutes,
        }
    }
}

/// Sign-up, second factor, passwords, sessions.
#[utoipa::path(get, path = "/settings/access", tag = "settings",
    responses((status = 200, body = AccessSettings), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_access(State(state): State<WebState>) -> Result<Json<AccessSettings>, ApiError> {
    Ok(Json(state.metadb().access_policy().await.map_err(fault)?.into()))
}

/// Sets sign-up, second factor, passwords, sessions. Other instances follow within two seconds.
#[utoipa::path(put, path = "/settings/access", tag = "settings", request_body = AccessSettings,
    responses((status = 200, body = AccessSettings), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn set_access(
    State(state): State<WebState>,
    caller: Caller,
    JsonOf(settings): JsonOf<AccessSettings>,
) -> Result<Json<AccessSettings>, ApiError> {
    let old = state.metadb().access_policy().await.map_err(fault)?;
    let new = AccessPolicy::from(settings);
    state.metadb().put_access_policy(&new).await.map_err(fault)?;
    state.note_policy(new);
    let doc = |policy: &AccessPolicy| bson::serialize_to_document(policy).ok();
    state.audit_change(&caller, None, "access policy changed", "settings/access", doc(&old), doc(&new)).await;
    Ok(Json(new.into()))
}
