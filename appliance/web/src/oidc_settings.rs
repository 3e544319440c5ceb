//! The provider of sign-ins: its settings and their test.

use axum::{Json, extract::State};
use bson::doc;
use holdfast_metadb::{OidcSettings, sealed_binary};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{Caller, fault},
    extract::JsonOf,
    oidc::{self, Provider, kept_secret, redirect_uri},
    problem::{ApiError, Problem},
    sign_in_settings::{ArrivalRules, check_text, checked_ca, facts},
    state::WebState,
};

/// Scopes at most.
const SCOPES_MAX: usize = 20;

/// The provider. An empty `issuer`: none is set.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OidcView {
    /// Issuer, an URL.
    issuer: String,
    /// What the button says.
    label: String,
    /// Client id.
    client_id: String,
    /// There is a client secret (it is never shown).
    secret_set: bool,
    /// Scopes beyond `openid`.
    scopes: Vec<String>,
    /// Claim that names the person's groups; empty: none.
    groups_claim: String,
    /// Addresses count as verified where the provider says nothing about it.
    trust_email: bool,
    /// Certificates of CAs of one's own, PEM; null: those of the machine.
    ca: Option<String>,
    /// Who gets in.
    arrivals: ArrivalRules,
    /// Where the provider sends browsers back to: register it there.
    redirect_uri: String,
}

/// The provider to use.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SetOidc {
    /// Issuer, an URL; empty: no provider.
    issuer: String,
    /// What the button says, such as `Example ID`.
    label: String,
    /// Client id.
    client_id: String,
    /// Client secret; left out: the one that is stored stays; empty: a public client.
    secret: Option<String>,
    /// Scopes beyond `openid`.
    scopes: Vec<String>,
    /// Claim that names the person's groups; empty: none.
    groups_claim: String,
    /// Addresses count as verified where the provider says nothing about it.
    trust_email: bool,
    /// Certificates of CAs of one's own, PEM.
    ca: Option<String>,
    /// Who gets in.
    arrivals: ArrivalRules,
}

/// What the provider said.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OidcTested {
    /// A sentence to show.
    detail: String,
}

fn fresh() -> OidcSettings {
    OidcSettings {
        scopes: vec!["email".into(), "profile".into()],
        groups_claim: "groups".into(),
        ..OidcSettings::default()
    }
}

fn view(state: &WebState, set: &OidcSettings) -> OidcView {
    OidcView {
        issuer: set.issuer.clone(),
        label: set.label.clone(),
        client_id: set.client_id.clone(),
        secret_set: set.secret_sealed.is_some(),
        scopes: set.scopes.clone(),
        groups_claim: set.groups_claim.clone(),
        trust_email: set.trust_email,
        ca: set.ca.clone(),
        arrivals: (&set.arrivals).into(),
        redirect_uri: redirect_uri(state),
    }
}

/// The provider of sign-ins.
#[utoipa::path(get, path = "/settings/oidc", tag = "settings",
    responses((status = 200, body = OidcView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_oidc(State(state): State<WebState>) -> Result<Json<OidcView>, ApiError> {
    let set = state.metadb().oidc_settings().await.map_err(fault)?;
    Ok(Json(view(&state, &set.unwrap_or_else(fresh))))
}

/// Refuses what no provider could be reached with.
fn check(set: &SetOidc) -> Result<(), ApiError> {
    let texts = [&set.issuer, &set.label, &set.client_id, &set.groups_claim];
    for text in texts.into_iter().chain(&set.scopes).chain(set.secret.as_ref()) {
        check_text(text, "a field")?;
    }
    if set.issuer.is_empty() {
        return Ok(());
    }
    let wrong = || ApiError::bad_request("the issuer is no URL: `https://id.example.org` is expected");
    let url: url::Url = set.issuer.parse().map_err(|_| wrong())?;
    url.host_str().ok_or_else(wrong)?;
    if !kept_secret(&url) {
        let detail = "who signs in would be said in the clear: an issuer begins with https://";
        return Err(ApiError::refused("issuerInTheClear", detail));
    }
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err(wrong());
    }
    if set.client_id.is_empty() || set.label.trim().is_empty() {
        return Err(ApiError::bad_request(
            "clientId and label are needed: the id as the provider gave it, and a name for the button",
        ));
    }
    let scope = |text: &String| !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && c != '"' && c != '\\');
    if set.scopes.len() > SCOPES_MAX || !set.scopes.iter().all(scope) {
        return Err(ApiError::bad_request("scopes: words without spaces are expected, such as `email`"));
    }
    Ok(())
}

/// Sets the provider of sign-ins.
#[utoipa::path(put, path = "/settings/oidc", tag = "settings", request_body = SetOidc,
    responses((status = 200, body = OidcView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn set_oidc(
    State(state): State<WebState>,
    caller: Caller,
    JsonOf(mut set): JsonOf<SetOidc>,
) -> Result<Json<OidcView>, ApiError> {
    set.issuer = set.issuer.trim().to_owned();
    check(&set)?;
    let old = state.metadb().oidc_settings().await.map_err(fault)?;
    // Sending a stored secret to another provider would give it away.
    let same = old.as_ref().is_some_and(|old| (&old.issuer, &old.client_id) == (&set.issuer, &set.client_id));
    let secret_sealed = match (set.secret, old.as_ref()) {
        (Some(secret), _) if secret.is_empty() => None,
        (Some(secret), _) => Some(sealed_binary(state.seal_setting(oidc::NAME, &secret)?)),
        (None, Some(old)) if same => old.secret_sealed.clone(),
        (None, _) => None,
    };
    let new = OidcSettings {
        issuer: set.issuer,
        label: set.label.trim().to_owned(),
        client_id: set.client_id,
        secret_sealed,
        scopes: set.scopes,
        groups_claim: set.groups_claim,
        trust_email: set.trust_email,
        ca: checked_ca(set.ca)?,
        arrivals: set.arrivals.checked(&state).await?,
    };
    state.metadb().put_oidc_settings(&new).await.map_err(fault)?;
    let words = |set: &OidcSettings| {
        doc! {
            "issuer": &set.issuer, "clientId": &set.client_id, "trustEmail": set.trust_email, "groupsClaim": &set.groups_claim,
            "arrivals": facts(&set.arrivals),
        }
    };
    let (before, after) = (old.as_ref().map(words), Some(words(&new)));
    state.audit_change(&caller, None, "provider of sign-ins changed", "settings/oidc", before, after).await;
    Ok(Json(view(&state, &new)))
}

/// Reads the provider's description and keys now and says what came. The client's secret is proved by a sign-in alone.
#[utoipa::path(post, path = "/settings/oidc/test", tag = "settings",
    responses((status = 200, body = OidcTested), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn test_oidc(State(state): State<WebState>, caller: Caller) -> Result<Json<OidcTested>, ApiError> {
    let set = state.metadb().oidc_settings().await.map_err(fault)?;
    let set = set.ok_or_else(|| ApiError::refused("oidcNotSet", "no provider is set: save its settings first"))?;
    let issuer = set.issuer.clone();
    let provider = Provider::discover(&state, set).await?;
    let provider = provider.map_err(|why| ApiError::refused("oidcFailed", format!("{issuer} did not help: {why}")))?;
    state.audit(&caller, None, "provider of sign-ins tested", &issuer).await;
    let detail = match provider.keys() {
        0 => {
            return Err(ApiError::refused(
                "oidcFailed",
                format!("{issuer} publishes no keys: no sign-in can be checked"),
            ));
        }
        keys => format!(
            "{issuer} describes itself as it should and publishes {keys} key(s). Whether the client id and secret are right shows \
             the first sign-in"
        ),
    };
    Ok(Json(OidcTested { detail }))
}
