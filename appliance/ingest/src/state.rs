//! What every handler shares. Cheap to clone; nothing in it outlives the process but in the databases.

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use blockstore_engine::KeyId;
use holdfast_agent_api::SLICE_BODY_BYTES_MAX;
use holdfast_blockstore::{ApplianceStore, StoreError};
use holdfast_domain::{Classify as _, GroupId};
use holdfast_ledger::Ledger;
use holdfast_metadb::MetaDb;
use holdfast_service::MasterKey;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{
    assignments::{ASSIGNMENT_SECONDS, Assignments},
    in_flight::InFlight,
    plans::Plans,
    pressure::{Bounds, Pressure},
    problem::ApiError,
    sum_lists::SumLists,
};

/// Downloads that one instance serves at once; each holds up to about 12 MB of batches.
const DOWNLOADS_MAX: usize = 8;
/// When to come again while all places are taken, in seconds.
const DOWNLOADS_RETRY_SECONDS: u64 = 10;

/// What the service is made of.
pub struct IngestParts {
    /// The app database.
    pub metadb: MetaDb,
    /// The ledger.
    pub ledger: Ledger,
    /// The blockstore.
    pub blockstore: ApplianceStore,
    /// Opens stored connection strings.
    pub master_key: Arc<MasterKey>,
    /// Hex SHA-256 of the keys of every CA that agents shall trust now.
    pub ca_pins: Vec<String>,
    /// Bytes that payloads may hold in memory at once.
    pub payload_bytes_in_flight_max: u64,
    /// Free bytes of the blockstore below which nothing is taken.
    pub space_reserve_bytes: u64,
    /// Sync bytes of one chain, stored and not loaded, above which sync slices wait.
    pub sync_backlog_bytes_max: u64,
    /// How long an agent may be silent before another one takes its jobs; None: 60 s.
    pub assignment_lease: Option<Duration>,
    /// Cancelled when the process shuts down.
    pub shutdown: CancellationToken,
}

struct Inner {
    parts: IngestParts,
    in_flight: InFlight,
    pressure: Pressure,
    plans: Plans,
    sum_lists: SumLists,
    assignments: Assignments,
    downloads: Arc<Semaphore>,
}

/// Shared by all handlers.
#[derive(Clone)]
pub struct IngestState(Arc<Inner>);

impl IngestState {
    /// From its parts.
    #[must_use]
    pub fn new(parts: IngestParts) -> Self {
        let bounds = Bounds {
            space_reserve_bytes: parts.space_reserve_bytes,
            sync_backlog_bytes_max: parts.sync_backlog_bytes_max,
        };
        let lease = parts.assignment_lease.unwrap_or(Duration::from_secs(ASSIGNMENT_SECONDS));
        Self(Arc::new(Inner {
            in_flight: InFlight::new(parts.payload_bytes_in_flight_max, SLICE_BODY_BYTES_MAX),
            pressure: Pressure::new(bounds),
            plans: Plans::default(),
            sum_lists: SumLists::default(),
            assignments: Assignments::new(lease),
            downloads: Arc::new(Semaphore::new(DOWNLOADS_MAX)),
            parts,
        }))
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

    /// The key that this group's slices are stored under. None: the group does not encrypt.
    pub(crate) async fn group_key(&self, group: &GroupId) -> Result<Option<KeyId>, ApiError> {
        self.blockstore().key_of(group).await.map_err(|error| match &error {
            // What was sent stays with the agent until it is taken.
            StoreError::NoKey(_) => {
                let detail = format!("{error}; nothing of this group is stored until it is there again");
                let title = "The group's key is not at hand";
                ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "noGroupKey", title, detail).retry_after(30)
            }
            other => ApiError::from_class(other.class(), other),
        })
    }

    pub(crate) fn ca_pins(&self) -> &[String] {
        &self.0.parts.ca_pins
    }

    pub(crate) fn in_flight(&self) -> &InFlight {
        &self.0.in_flight
    }

    pub(crate) fn pressure(&self) -> &Pressure {
        &self.0.pressure
    }

    pub(crate) fn plans(&self) -> &Plans {
        &self.0.plans
    }

    pub(crate) fn sum_lists(&self) -> &SumLists {
        &self.0.sum_lists
    }

    pub(crate) fn assignments(&self) -> &Assignments {
        &self.0.assignments
    }

    pub(crate) fn stopping(&self) -> bool {
        self.0.parts.shutdown.is_cancelled()
    }

    pub(crate) async fn stopped(&self) {
        self.0.parts.shutdown.cancelled().await;
    }

    /// A stored connection string, opened.
    pub(crate) fn open_uri(&self, group: &GroupId, sealed: &[u8]) -> Result<String, ApiError> {
        let refuse = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, "a stored connection string cannot be opened with this master key");
            ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "operatorNeeded",
                "The server needs its operator",
                "a stored connection string cannot be opened: this instance has another master key",
            )
            .retry_after(30)
        };
        let plain = self
            .0
            .parts
            .master_key
            .open(&format!("groups/{group}/deployments/uri"), sealed)
            .map_err(|error| refuse(&error))?;
        String::from_utf8(plain).map_err(|error| refuse(&error))
    }

    /// A place among the running downloads.
    pub(crate) fn download_slot(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        self.0.downloads.clone().try_acquire_owned().map_err(|_| {
            let detail = format!("{DOWNLOADS_MAX} downloads run here already: come again");
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Too many downloads", detail)
                .retry_after(DOWNLOADS_RETRY_SECONDS)
        })
    }
}
