//! The certificate that browsers see: uploaded here, shown by every instance within seconds, beside the leaf of the appliance's own CA.
//!
//! Stored as one setting of the app database: the chain as it is, the private key sealed with the master key. Each instance looks every
//! [`LOOK_EVERY`] whether it changed ([`watch_browser_certificate`]). Agents, which ask for the appliance's fixed name, and programs on
//! this machine go on seeing the leaf. Invariants: the key is never shown, logged or audited; what does not fit is refused before it is
//! stored; one that ran out is not shown any more.

use std::time::{Duration, SystemTime};

use axum::{Json, extract::State, http::StatusCode};
use bson::{DateTime, doc, oid::ObjectId, spec::BinarySubtype};
use holdfast_service::BrowserCertificate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{Caller, fault},
    extract::JsonOf,
    instant::{rfc3339, rfc3339_of},
    problem::{ApiError, Problem},
    state::WebState,
};

/// Name of the setting.
const NAME: &str = "browserCertificate";
/// How soon an instance sees a change.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// From so many days before the end on, the certificate should be renewed.
const RENEW_DAYS: i64 = 21;
const DAY_SECONDS: i64 = 86_400;

/// As stored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    /// Tells one upload from another.
    revision: ObjectId,
    /// PEM.
    chain: String,
    /// The key, PEM, sealed.
    key: bson::Binary,
    uploaded_at: DateTime,
    uploaded_by: String,
}

/// The certificate that browsers see.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CertificateView {
    /// Host names that it is for.
    names: Vec<String>,
    /// Who issued it.
    issuer: String,
    /// Valid from, RFC 3339.
    not_before: String,
    /// Valid to, RFC 3339.
    not_after: String,
    /// Whole days that are left; negative: it ran out, and the appliance's own certificate is shown.
    days_left: i64,
    /// It runs out within three weeks, or did.
    renew: bool,
    /// The host of the public URL is among its names. If not, browsers that use that URL do not see it.
    covers_public_url: bool,
    /// When it was uploaded, RFC 3339.
    uploaded_at: String,
    /// Who uploaded it.
    uploaded_by: String,
}

/// What browsers see.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TlsView {
    /// The certificate that was uploaded; null: browsers see the one of the appliance's own CA.
    certificate: Option<CertificateView>,
    /// Host of the public URL.
    public_host: String,
}

/// A certificate with its key.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SetTls {
    /// Certificates, PEM: its own first, then those of the authorities between.
    #[serde(default)]
    chain: String,
    /// The private key, PEM, without a password. It is stored sealed and never shown.
    #[serde(default)]
    key: String,
}

fn host_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit_once(':').filter(|(_, port)| port.chars().all(|c| c.is_ascii_digit()));
    host.map_or(authority, |(host, _)| host).to_ascii_lowercase()
}

async fn stored(state: &WebState) -> Result<Option<Stored>, ApiError> {
    let found = state.metadb().appliance_setting(NAME).await.map_err(fault)?;
    let stored = found.map(bson::deserialize_from_document::<Stored>).transpose();
    stored.map_err(|error| ApiError::from_class(holdfast_domain::ErrorClass::Corrupt, &error))
}

fn opened(state: &WebState, stored: &Stored, at: SystemTime) -> Result<BrowserCertificate, ApiError> {
    let key = state.open_setting(NAME, &stored.key.bytes)?;
    BrowserCertificate::parse(&stored.chain, &key, at)
        .map_err(|error| ApiError::refused("certificate", error.to_string()))
}

fn view(state: &WebState, stored: &Stored) -> Result<CertificateView, ApiError> {
    // As it was when it was taken: one that ran out since must still be shown here.
    let at = stored.uploaded_at.to_system_time();
    let certificate = opened(state, stored, at)?;
    let now = jiff::Timestamp::now().as_second();
    let days_left = (certificate.not_after - now).div_euclid(DAY_SECONDS);
    Ok(CertificateView {
        covers_public_url: certificate.covers(&host_of(&state.public_url())),
        names: certificate.names,
        issuer: certificate.issuer,
        not_before: rfc3339(certificate.not_before),
        not_after: rfc3339(certificate.not_after),
        days_left,
        renew: days_left < RENEW_DAYS,
        uploaded_at: rfc3339_of(stored.uploaded_at),
        uploaded_by: stored.uploaded_by.clone(),
    })
}

async fn shown(state: &WebState) -> Result<TlsView, ApiError> {
    let certificate = stored(state).await?.map(|stored| view(state, &stored)).transpose()?;
    Ok(TlsView { certificate, public_host: host_of(&state.public_url()) })
}

/// The certificate that browsers see.
#[utoipa::path(get, path = "/settings/tls", tag = "settings",
    responses((status = 200, body = TlsView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_tls(State(state): State<WebState>) -> Result<Json<TlsView>, ApiError> {
    Ok(Json(shown(&state).await?))
}

/// Uploads a certificate and its key for browsers. Every instance shows it within seconds, without a restart.
#[utoipa::path(put, path = "/settings/tls", tag = "settings", request_body = SetTls,
    responses((status = 200, body = TlsView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn set_tls(
    State(state): State<WebState>,
    caller: Caller,
    JsonOf(new): JsonOf<SetTls>,
) -> Result<Json<TlsView>, ApiError> {
    let certificate = BrowserCertificate::parse(&new.chain, &new.key, SystemTime::now());
    let certificate = certificate.map_err(|error| ApiError::refused("certificate", error.to_string()))?;
    let sealed = state.seal_setting(NAME, &new.key)?;
    let stored = Stored {
        revision: ObjectId::new(),
        chain: new.chain,
        key: bson::Binary { subtype: BinarySubtype::Generic, bytes: sealed },
        uploaded_at: DateTime::now(),
        uploaded_by: caller.name().to_owned(),
    };
    let value = bson::serialize_to_document(&stored);
    let value = value.map_err(|error| ApiError::from_class(holdfast_domain::ErrorClass::Bug, &error))?;
    state.metadb().put_appliance_setting(NAME, value).await.map_err(fault)?;
    let facts = doc! { "names": certificate.names.clone(), "notAfter": rfc3339(certificate.not_after) };
    state.browser_certificate().put(Some(certificate));
    state.audit_change(&caller, None, "certificate uploaded", "settings/tls", None, Some(facts)).await;
    Ok(Json(shown(&state).await?))
}

/// Takes the uploaded certificate away: browsers see that of the appliance's own CA again.
#[utoipa::path(delete, path = "/settings/tls", tag = "settings",
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn remove_tls(State(state): State<WebState>, caller: Caller) -> Result<StatusCode, ApiError> {
    if !state.metadb().remove_appliance_setting(NAME).await.map_err(fault)? {
        return Err(ApiError::not_found("no certificate was uploaded: browsers see the appliance's own already"));
    }
    state.browser_certificate().put(None);
    state.audit(&caller, None, "certificate removed", "settings/tls").await;
    Ok(StatusCode::NO_CONTENT)
}

/// Keeps what this instance shows to browsers as it was uploaded, at this instance or another. Ends with the process.
pub async fn watch_browser_certificate(state: WebState) {
    let mut shown: Option<ObjectId> = None;
    let mut told = false;
    loop {
        match stored(&state).await {
            Ok(found) => {
                told = false;
                let revision = found.as_ref().map(|stored| stored.revision);
                if revision != shown {
                    take(&state, found.as_ref());
                    shown = revision;
                }
            }
            // What is shown stays; said once until it is seen again.
            Err(_) if told => {}
            Err(_) => {
                told = true;
                tracing::warn!("the certificate for browsers cannot be read: what is shown stays as it is");
            }
        }
        if state.shutdown().run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_none() {
            return;
        }
    }
}

fn take(state: &WebState, found: Option<&Stored>) {
    let slot = state.browser_certificate();
    let Some(stored) = found else {
        slot.put(None);
        tracing::info!("browsers see the certificate of the appliance's own CA");
        return;
    };
    match opened(state, stored, SystemTime::now()) {
        Ok(certificate) => {
            tracing::info!(names = ?certificate.names, "browsers see the certificate that was uploaded");
            slot.put(Some(certificate));
        }
        Err(_) => {
            slot.put(None);
            tracing::error!("the certificate that was uploaded for browsers cannot be used: upload one anew");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_urls() {
        for (url, host) in [
            ("https://Backup.example.com:8080", "backup.example.com"),
            ("https://backup.example.com/x?y", "backup.example.com"),
            ("https://[::1]:8080/", "[::1]"),
            ("backup", "backup"),
        ] {
            assert_eq!(host_of(url), host, "{url}");
        }
    }
}
