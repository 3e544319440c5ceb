//! How a process opens the appliance's blockstore: the engine with the payload stores and keys that the app database says.
//!
//! Invariants: every process opens it by [`ApplianceStore::open`]; a payload store that cannot be reached never prevents opening, it is told by
//! [`ApplianceStore::faults`] and by whatever needs it; a running process learns of a new store, key or default within [`RELOAD_EVERY`],
//! or at once by [`ApplianceStore::reload`]. There is one master key: credentials are sealed with it, and what wraps the groups' keys is derived
//! from it. It must never decide where payloads go: documents say that.

mod credentials;
mod error;
mod keys;
mod stores;

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use blockstore_engine::{Blockstore, EngineOptions, KeyId, Keyring, NoPackStore, StoreNumber};
use holdfast_domain::GroupId;
use holdfast_metadb::{MetaDb, MetaError};
use holdfast_service::MasterKey;
use mongodb::Database;
use tokio_util::task::AbortOnDropHandle;

pub use credentials::S3Credentials;
pub use error::StoreError;
pub use stores::{pack_location, target};

/// How often a running process looks whether stores or keys changed: one small document.
pub const RELOAD_EVERY: Duration = Duration::from_secs(2);
/// Stores that could not be opened are tried again this often.
const TRY_AGAIN_EVERY: Duration = Duration::from_secs(10);

/// What it takes to open the blockstore.
pub struct OpenRequest {
    /// Where stores and keys are configured.
    pub metadb: MetaDb,
    /// The blockstore's database.
    pub database: Database,
    /// Opens credentials and keys.
    pub master_key: Arc<MasterKey>,
    /// How the engine works in this process. Its stores, its keys and where it writes are replaced by what is configured.
    pub options: EngineOptions,
}

struct Inner {
    store: Blockstore,
    keys: Keyring,
    metadb: MetaDb,
    master_key: Arc<MasterKey>,
    /// The revision that was loaded last; one reload at a time.
    loaded: tokio::sync::Mutex<i64>,
    /// What the operator was told of already.
    told: Mutex<Vec<NoPackStore>>,
}

/// The blockstore of the appliance. Cheap to clone; the last clone ends the reloading.
#[derive(Clone)]
pub struct ApplianceStore {
    inner: Arc<Inner>,
    _reloading: Arc<AbortOnDropHandle<()>>,
}

impl std::fmt::Debug for ApplianceStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApplianceStore")
    }
}

impl Deref for ApplianceStore {
    type Target = Blockstore;
    fn deref(&self) -> &Blockstore {
        &self.inner.store
    }
}

impl ApplianceStore {
    /// Opens the blockstore with the stores and keys of now, and keeps both current.
    ///
    /// # Errors
    /// The databases', options of the engine. No store of packs prevents it.
    pub async fn open(request: OpenRequest) -> Result<Self, StoreError> {
        let OpenRequest { metadb, database, master_key, options } = request;
        let keys = Keyring::default();
        let options = EngineOptions {
            packs: Vec::new(),
            write_to: blockstore_engine::PayloadStore::Mongo,
            keys: keys.clone(),
            ..options
        };
        let store = Blockstore::open(database, options).await?;
        let (loaded, told) = (tokio::sync::Mutex::new(-1), Mutex::default());
        let inner = Arc::new(Inner { store, keys, metadb, master_key, loaded, told });
        inner.reload().await?;
        let reloading = tokio::spawn(keep_current(Arc::downgrade(&inner)));
        Ok(Self { inner, _reloading: Arc::new(AbortOnDropHandle::new(reloading)) })
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Blockstore {
        &self.inner.store
    }

    /// The keys of groups that this process has: a ring that gets more while it runs. For what is encrypted beside blocks.
    #[must_use]
    pub fn keyring(&self) -> Keyring {
        self.inner.keys.clone()
    }

    /// Loads stores and keys again now, and tries stores again that could not be opened.
    ///
    /// # Errors
    /// The app database's.
    pub async fn reload(&self) -> Result<(), StoreError> {
        self.inner.reload().await
    }

    /// Payload stores that cannot be used, and why.
    #[must_use]
    pub fn faults(&self) -> Vec<NoPackStore> {
        self.inner.store.payload_stores().into_iter().filter_map(|state| state.fault).collect()
    }

    /// Numbers of the pack stores that can be used.
    #[must_use]
    pub fn usable_packs(&self) -> Vec<StoreNumber> {
        let states = self.inner.store.payload_stores();
        states.into_iter().filter(|state| state.fault.is_none()).map(|state| state.number).collect()
    }

    /// The key that a group's snapshots are stored under, at hand in this process. None: the group does not encrypt, or does not exist.
    ///
    /// # Errors
    /// The app database's; [`StoreError::NoKey`] when the key is lost or wrapped by another master key.
    pub async fn key_of(&self, group: &GroupId) -> Result<Option<KeyId>, StoreError> {
        let group = self.inner.metadb.group(group).await?;
        let Some(id) = group.and_then(|group| group.key) else { return Ok(None) };
        let key = keys::parse_id(&id)?;
        if !self.inner.keys.contains(key) {
            self.inner.load_keys().await?;
        }
        if self.inner.keys.contains(key) { Ok(Some(key)) } else { Err(StoreError::NoKey(id)) }
    }
}

impl Inner {
    async fn reload(&self) -> Result<(), StoreError> {
        let mut loaded = self.loaded.lock().await;
        let configured = self.metadb.payload_stores().await?;
        self.load_keys().await?;
        let (packs, write_to) = stores::to_engine(&configured, &self.master_key);
        self.store.set_payload_stores(&packs, write_to).await?;
        *loaded = configured.revision;
        self.tell();
        Ok(())
    }

    async fn load_keys(&self) -> Result<(), MetaError> {
        for key in self.metadb.group_keys().await? {
            let known = keys::parse_id(&key.id).is_ok_and(|id| self.keys.contains(id));
            if known {
                continue;
            }
            match keys::unwrap(&self.master_key, &key) {
                Ok(unwrapped) => {
                    self.keys.insert(&unwrapped);
                }
                // Whoever needs it is refused with its name.
                Err(error) => {
                    tracing::error!(key = key.id, group = %key.group, %error, "a group's key cannot be unwrapped")
                }
            }
        }
        Ok(())
    }

    /// Logs what changed about the stores that cannot be used: once, not at every attempt.
    fn tell(&self) {
        let now: Vec<_> = self.store.payload_stores().into_iter().filter_map(|state| state.fault).collect();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for fault in now.iter().filter(|fault| !told.contains(fault)) {
            tracing::warn!(store = %fault.number, reason = fault.reason, "a payload store cannot be used");
        }
        for back in told.iter().filter(|old| !now.iter().any(|fault| fault.number == old.number)) {
            tracing::info!(store = %back.number, "the payload store can be used again, or is not configured any more");
        }
        *told = now;
    }

    async fn is_current(&self) -> Result<bool, MetaError> {
        let revision = self.metadb.payload_stores().await?.revision;
        Ok(*self.loaded.lock().await == revision)
    }
}

/// Reloads when something changed, or when a store that is away may be back.
async fn keep_current(inner: std::sync::Weak<Inner>) {
    let mut since_attempt = Duration::ZERO;
    loop {
        tokio::time::sleep(RELOAD_EVERY).await;
        let Some(inner) = inner.upgrade() else { return };
        since_attempt += RELOAD_EVERY;
        let has_faults = inner.store.payload_stores().iter().any(|state| state.fault.is_some());
        let due = match inner.is_current().await {
            Ok(current) => !current || (has_faults && since_attempt >= TRY_AGAIN_EVERY),
            // The database is away: whoever needs it says so.
            Err(error) => {
                tracing::debug!(%error, "looking for changed payload stores");
                false
            }
        };
        if due {
            since_attempt = Duration::ZERO;
            if let Err(error) = inner.reload().await {
                tracing::warn!(error = error.chain(), "load the payload stores");
            }
        }
    }
}
