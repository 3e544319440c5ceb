//! What every handler shares. Cheap to clone.

use std::sync::{Arc, OnceLock};

use blockstore_engine::Blockstore;
use holdfast_domain::GroupId;
use holdfast_ledger::Ledger;
use holdfast_metadb::{AuditEntry, MetaDb};
use holdfast_service::MasterKey;

use crate::{caller::Caller, problem::ApiError};

/// What the service is made of.
pub struct WebParts {
    /// The app database.
    pub metadb: MetaDb,
    /// The ledger.
    pub ledger: Ledger,
    /// The blockstore.
    pub blockstore: Blockstore,
    /// Seals connection strings before they are stored.
    pub master_key: Arc<MasterKey>,
    /// Pin of the appliance's CA, for enrolment tokens; empty when ingest serves plain HTTP on loopback.
    pub ca_pin: String,
    /// How browsers and monitoring agents reach web.
    pub web_url: String,
    /// How backup agents and downloads reach ingest.
    pub ingest_url: String,
}

struct Inner {
    parts: WebParts,
    web_url: OnceLock<String>,
}

/// Shared by all handlers.
#[derive(Clone)]
pub struct WebState(Arc<Inner>);

impl WebState {
    /// From its parts.
    #[must_use]
    pub fn new(parts: WebParts) -> Self {
        Self(Arc::new(Inner { parts, web_url: OnceLock::new() }))
    }

    /// Says how web is really reached, once its port is known. Only the first call counts.
    pub fn set_web_url(&self, url: &str) {
        let _ = self.0.web_url.set(url.to_owned());
    }

    pub(crate) fn metadb(&self) -> &MetaDb {
        &self.0.parts.metadb
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.0.parts.ledger
    }

    pub(crate) fn blockstore(&self) -> &Blockstore {
        &self.0.parts.blockstore
    }

    pub(crate) fn ca_pin(&self) -> &str {
        &self.0.parts.ca_pin
    }

    pub(crate) fn web_url(&self) -> &str {
        self.0.web_url.get().unwrap_or(&self.0.parts.web_url)
    }

    pub(crate) fn ingest_url(&self) -> &str {
        &self.0.parts.ingest_url
    }

    /// A connection string, sealed for the group that it belongs to; ingest opens it for the group's agents.
    pub(crate) fn seal_uri(&self, group: &GroupId, uri: &str) -> Result<Vec<u8>, ApiError> {
        let context = format!("groups/{group}/deployments/uri");
        let sealed = self.0.parts.master_key.seal(&context, uri.as_bytes());
        sealed.map_err(|error| ApiError::from_class(holdfast_domain::ErrorClass::Bug, &error))
    }

    /// Notes who did what. A trail that cannot be written does not undo what was done; it is logged instead.
    pub(crate) async fn audit(&self, caller: &Caller, group: Option<&GroupId>, action: &str, target: &str) {
        let entry = AuditEntry {
            group: group.cloned(),
            who: caller.name().to_owned(),
            action: action.to_owned(),
            target: target.to_owned(),
            detail: String::new(),
        };
        tracing::info!(who = entry.who, action, subject = target, "done");
        if let Err(error) = self.metadb().audit(entry).await {
            tracing::error!(%error, action, subject = target, "the audit trail cannot be written");
        }
    }
}
