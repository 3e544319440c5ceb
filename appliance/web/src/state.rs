//! What every handler shares. Cheap to clone.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use bson::Document;
use holdfast_blockstore::ApplianceStore;
use holdfast_domain::{GroupId, UserId};
use holdfast_ledger::Ledger;
use holdfast_metadb::{AccessPolicy, AuditEntry, MetaDb};
use holdfast_service::{BrowserCertificateSlot, MasterKey};
use ipnet::IpNet;
use tokio_util::sync::CancellationToken;

use crate::{
    caller::{Caller, fault},
    events::Hub,
    monitoring::Noted,
    problem::ApiError,
    rates::Rates,
};

/// How long an instance goes by the access policy that it read: a change reaches every instance within this time.
const POLICY_FRESH: Duration = Duration::from_secs(2);

/// What the service is made of.
pub struct WebParts {
    /// The app database.
    pub metadb: MetaDb,
    /// The ledger.
    pub ledger: Ledger,
    /// The blockstore.
    pub blockstore: ApplianceStore,
    /// Seals connection strings before they are stored.
    pub master_key: Arc<MasterKey>,
    /// Pin of the appliance's CA, for enrolment tokens; empty when ingest serves plain HTTP on loopback.
    pub ca_pin: String,
    /// How browsers and monitoring agents reach web.
    pub web_url: String,
    /// How backup agents and downloads reach ingest.
    pub ingest_url: String,
    /// Proxies whose word about the client's address is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Tell browsers to use nothing but HTTPS here (HSTS).
    pub hsts: bool,
    /// Ends the streams that would else hold up the end of the process.
    pub shutdown: CancellationToken,
}

struct Inner {
    parts: WebParts,
    web_url: OnceLock<String>,
    /// As it was set in the app.
    public_url: Mutex<Option<Arc<str>>>,
    policy: Mutex<Option<(Instant, AccessPolicy)>>,
    hub: Hub,
    browser_certificate: BrowserCertificateSlot,
    rates: Rates,
    noted: Noted,
}

/// Shared by all handlers.
#[derive(Clone)]
pub struct WebState(Arc<Inner>);

impl WebState {
    /// From its parts.
    #[must_use]
    pub fn new(parts: WebParts) -> Self {
        let hub = Hub::new(parts.metadb.clone(), parts.shutdown.clone());
        Self(Arc::new(Inner {
            parts,
            web_url: OnceLock::new(),
            public_url: Mutex::new(None),
            policy: Mutex::new(None),
            hub,
            browser_certificate: BrowserCertificateSlot::default(),
            rates: Rates::default(),
            noted: Noted::default(),
        }))
    }

    /// Says how web is really reached, once its port is known. Only the first call counts.
    pub fn set_web_url(&self, url: &str) {
        let _ = self.0.web_url.set(url.to_owned());
    }

    /// Where this service's listener finds the certificate that was uploaded for browsers.
    #[must_use]
    pub fn browser_certificate(&self) -> BrowserCertificateSlot {
        self.0.browser_certificate.clone()
    }

    pub(crate) fn metadb(&self) -> &MetaDb {
        &self.0.parts.metadb
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.0.parts.ledger
    }

    pub(crate) fn blockstore(&self) -> &ApplianceStore {
        &self.0.parts.blockstore
    }

    pub(crate) fn master_key(&self) -> &MasterKey {
        &self.0.parts.master_key
    }

    pub(crate) fn ca_pin(&self) -> &str {
        &self.0.parts.ca_pin
    }

    /// How web is reached as it is configured: agents and certificates go by it.
    pub(crate) fn web_url(&self) -> &str {
        self.0.web_url.get().unwrap_or(&self.0.parts.web_url)
    }

    /// How people reach this server: as it was set in the app, else as it is configured. Without a slash at its end.
    pub(crate) fn public_url(&self) -> Arc<str> {
        let set = self.0.public_url.lock().unwrap_or_else(PoisonError::into_inner).clone();
        set.unwrap_or_else(|| self.web_url().trim_end_matches('/').into())
    }

    /// Goes by this public URL from now on; None: by the configured one.
    pub(crate) fn note_public_url(&self, url: Option<&str>) {
        *self.0.public_url.lock().unwrap_or_else(PoisonError::into_inner) = url.map(Into::into);
    }

    pub(crate) fn ingest_url(&self) -> &str {
        &self.0.parts.ingest_url
    }

    pub(crate) fn trusted_proxies(&self) -> &[IpNet] {
        &self.0.parts.trusted_proxies
    }

    /// Browsers reach this server by HTTPS.
    pub(crate) fn secure(&self) -> bool {
        self.web_url().starts_with("https://")
    }

    pub(crate) fn hsts(&self) -> bool {
        self.0.parts.hsts && self.secure()
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.0.hub
    }

    /// How many requests each caller made.
    pub(crate) fn rates(&self) -> &Rates {
        &self.0.rates
    }

    /// What is remembered between reports of monitoring agents.
    pub(crate) fn noted(&self) -> &Noted {
        &self.0.noted
    }

    pub(crate) fn shutdown(&self) -> &CancellationToken {
        &self.0.parts.shutdown
    }

    /// The access policy, at most two seconds old.
    pub(crate) async fn access_policy(&self) -> Result<AccessPolicy, ApiError> {
        let known = *self.0.policy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((read, policy)) = known
            && read.elapsed() < POLICY_FRESH
        {
            return Ok(policy);
        }
        let policy = self.metadb().access_policy().await.map_err(fault)?;
        self.note_policy(policy);
        Ok(policy)
    }

    /// Goes by this policy from now on.
    pub(crate) fn note_policy(&self, policy: AccessPolicy) {
        *self.0.policy.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), policy));
    }

    fn sealed(&self, context: &str, value: &[u8]) -> Result<Vec<u8>, ApiError> {
        let sealed = self.0.parts.master_key.seal(context, value);
        sealed.map_err(|error| ApiError::from_class(holdfast_domain::ErrorClass::Bug, &error))
    }

    /// A secret of the appliance's own, sealed for one place, as hex.
    pub(crate) fn seal_text(&self, context: &str, text: &str) -> Result<String, ApiError> {
        let sealed = self.0.parts.master_key.seal(context, text.as_bytes());
        sealed.map(hex::encode).map_err(|error| ApiError::from_class(holdfast_domain::ErrorClass::Bug, &error))
    }

    /// Opens what [`Self::seal_text`] sealed.
    pub(crate) fn open_text(&self, context: &str, sealed: &str) -> Result<String, ApiError> {
        let corrupt = |error: &(dyn std::error::Error + 'static)| {
            ApiError::from_class(holdfast_domain::ErrorClass::Corrupt, error)
        };
        let sealed = hex::decode(sealed).map_err(|error| corrupt(&error))?;
        String::from_utf8(self.opened(context, &sealed)?).map_err(|error| corrupt(&error))
    }

    /// Notes who did what. A trail that cannot be written does not undo what was done; it is logged instead.
    fn opened(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>, ApiError> {
        let opened = self.0.parts.master_key.open(context, sealed);
        opened.map_err(|error| ApiError::from_class(holdfast_domain::ErrorClass::Corrupt, &error))
    }

    /// A connection string, sealed for the group that it belongs to; ingest opens it for the group's agents.
    pub(crate) fn seal_uri(&self, group: &GroupId, uri: &str) -> Result<Vec<u8>, ApiError> {
        self.sealed(&format!("groups/{group}/deployments/uri"), uri.as_bytes())
    }

    /// Opens what [`WebState::seal_uri`] made, for the group's agents only.
    pub(crate) fn open_uri(&self, group: &GroupId, sealed: &[u8]) -> Result<String, ApiError> {
        let bytes = self.opened(&format!("groups/{group}/deployments/uri"), sealed)?;
        String::from_utf8(bytes).map_err(|error| ApiError::from_class(holdfast_domain::ErrorClass::Corrupt, &error))
    }

    /// A second factor's secret, sealed for its person.
    pub(crate) fn seal_totp(&self, user: &UserId, secret: &[u8]) -> Result<Vec<u8>, ApiError> {
        self.sealed(&format!("users/{user}/totp"), secret)
    }

    /// Opens what [`WebState::seal_totp`] made.
    pub(crate) fn open_totp(&self, user: &UserId, sealed: &[u8]) -> Result<Vec<u8>, ApiError> {
        self.opened(&format!("users/{user}/totp"), sealed)
    }

    /// A password of another service, sealed for the setting that it belongs to.
    pub(crate) fn seal_setting(&self, name: &str, secret: &str) -> Result<Vec<u8>, ApiError> {
        self.sealed(&format!("settings/{name}"), secret.as_bytes())
    }

    /// Opens what [`WebState::seal_setting`] made.
    pub(crate) fn open_setting(&self, name: &str, sealed: &[u8]) -> Result<String, ApiError> {
        let bytes = self.opened(&format!("settings/{name}"), sealed)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Keys the hashes of requests that carry an idempotency key.
    pub(crate) fn idempotency_key(&self) -> Result<[u8; 32], ApiError> {
        let key = self.0.parts.master_key.derive("idempotency");
        key.map_err(|error| ApiError::from_class(holdfast_domain::ErrorClass::Bug, &error))
    }

    /// An answer, sealed for the caller who got it.
    pub(crate) fn seal_answer(&self, who: &str, answer: &[u8]) -> Result<Vec<u8>, ApiError> {
        self.sealed(&format!("idempotency/{who}"), answer)
    }

    /// Opens what [`WebState::seal_answer`] made.
    pub(crate) fn open_answer(&self, who: &str, sealed: &[u8]) -> Result<Vec<u8>, ApiError> {
        self.opened(&format!("idempotency/{who}"), sealed)
    }

    /// Notes who did what.
    pub(crate) async fn audit(&self, caller: &Caller, group: Option<&GroupId>, action: &str, target: &str) {
        self.audit_change(caller, group, action, target, None, None).await;
    }

    /// Notes who changed what, from what to what. Never give it a secret.
    pub(crate) async fn audit_change(
        &self,
        caller: &Caller,
        group: Option<&GroupId>,
        action: &str,
        target: &str,
        before: Option<Document>,
        after: Option<Document>,
    ) {
        self.note(AuditEntry {
            group: group.cloned(),
            who: caller.name().to_owned(),
            kind: caller.kind().to_owned(),
            address: caller.address().to_string(),
            action: action.to_owned(),
            target: target.to_owned(),
            detail: String::new(),
            before,
            after,
        })
        .await;
    }

    /// Appends to the audit log. A log that cannot be written does not undo what was done; that is logged instead.
    pub(crate) async fn note(&self, entry: AuditEntry) {
        let AuditEntry { who, action, target, address, .. } = &entry;
        tracing::info!(who, action, subject = target, address, "done");
        let (action, target) = (action.clone(), target.clone());
        if let Err(error) = self.metadb().audit(entry).await {
            tracing::error!(%error, action, subject = target, "the audit log cannot be written");
        }
    }
}
