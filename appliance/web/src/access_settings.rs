//! Settings of the appliance about people: sign-up, second factor, who makes groups, passwords, sessions.

use axum::extract::State;
use holdfast_metadb::{AccessPolicy, GroupCreation, SignUp, TotpPolicy};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{Caller, fault, meta_fault},
    extract::JsonOf,
    problem::{ApiError, Problem},
    revision::{IfMatch, Tagged},
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

/// Who may make a group.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum GroupCreationName {
    /// Global owners.
    #[default]
    Administrators,
    /// Everyone with an account; whoever makes one owns it.
    Everyone,
}

/// The policy.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AccessSettings {
    /// Who may make an account.
    pub(crate) sign_up: SignUpName,
    /// Who needs a second factor.
    pub(crate) totp: TotpName,
    /// Who may make a group.
    #[serde(default)]
    pub(crate) group_creation: GroupCreationName,
    /// Shortest password, in characters: 8 to 128.
    pub(crate) password_chars_min: u32,
    /// A session ends when it is not used for so many minutes: 5 to 10,080. New sessions go by it.
    pub(crate) session_idle_minutes: u32,
    /// A session ends after so many hours: 1 to 720. New sessions go by it.
    pub(crate) session_hours: u32,
    /// How long a proof of identity counts for restores and deletes, in minutes: 1 to 1,440.
    pub(crate) verified_minutes: u32,
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
            group_creation: match policy.group_creation {
                GroupCreation::Administrators => GroupCreationName::Administrators,
                GroupCreation::Everyone => GroupCreationName::Everyone,
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
            group_creation: match settings.group_creation {
                GroupCreationName::Administrators => GroupCreation::Administrators,
                GroupCreationName::Everyone => GroupCreation::Everyone,
            },
            password_chars_min: settings.password_chars_min,
            session_idle_minutes: settings.session_idle_minutes,
            session_hours: settings.session_hours,
            verified_minutes: settings.verified_minutes,
        }
    }
}

/// Sign-up, second factor, groups, passwords, sessions.
#[utoipa::path(get, path = "/settings/access", tag = "settings",
    responses((status = 200, body = AccessSettings), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_access(State(state): State<WebState>) -> Result<Tagged<AccessSettings>, ApiError> {
    let (policy, revision) = state.metadb().access_policy_at().await.map_err(fault)?;
    Ok(Tagged(revision, policy.into()))
}

/// Sets sign-up, second factor, groups, passwords, sessions. Other instances follow within two seconds.
#[utoipa::path(put, path = "/settings/access", tag = "settings", request_body = AccessSettings,
    responses((status = 200, body = AccessSettings), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn set_access(
    State(state): State<WebState>,
    caller: Caller,
    IfMatch(seen): IfMatch,
    JsonOf(settings): JsonOf<AccessSettings>,
) -> Result<Tagged<AccessSettings>, ApiError> {
    let old = state.metadb().access_policy().await.map_err(fault)?;
    let new = AccessPolicy::from(settings);
    let revision = state.metadb().put_access_policy_seen(&new, &seen).await.map_err(meta_fault)?;
    state.note_policy(new);
    let doc = |policy: &AccessPolicy| bson::serialize_to_document(policy).ok();
    state.audit_change(&caller, None, "access policy changed", "settings/access", doc(&old), doc(&new)).await;
    Ok(Tagged(revision, new.into()))
}
