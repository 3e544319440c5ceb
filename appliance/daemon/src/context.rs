//! What every task of the daemon shares. Made once at start; cheap to clone by `Arc`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use blockstore_engine::ranges::FileSystem;
use holdfast_blockstore::ApplianceStore;
use holdfast_domain::{BackupJobId, DaemonId, EntryPosition};
use holdfast_ledger::{Ledger, StorageOptions};
use holdfast_metadb::{DaemonSettings, MetaDb};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    binaries::{Binaries, NoBinary},
    board::Board,
    head::HeadOptions,
    layout::Layout,
    ports::{HeadPorts, PortRange},
};

/// Heads in initial load at a time: each keeps a disk busy.
pub const LOADING_MAX: usize = 2;
/// Restores at a time.
pub const RESTORES_MAX: usize = 2;
/// Proofs at a time.
pub const PROOFS_MAX: usize = 1;

/// The daemon's handles and pools.
#[derive(Debug)]
pub struct Context {
    /// This daemon.
    pub id: DaemonId,
    /// Its settings.
    pub settings: DaemonSettings,
    /// The app database.
    pub metadb: MetaDb,
    /// The ledger.
    pub ledger: Ledger,
    /// The blockstore.
    pub store: ApplianceStore,
    /// Folders.
    pub layout: Layout,
    /// Private mongods' binaries.
    pub binaries: Binaries,
    /// Ports of heads.
    pub head_ports: Arc<HeadPorts>,
    /// Ports of restores and proofs.
    pub restore_ports: Arc<PortRange>,
    /// Slots of initial loads.
    pub loading: Arc<Semaphore>,
    /// Slots of restores.
    pub restores: Arc<Semaphore>,
    /// Slots of proofs.
    pub proofs: Arc<Semaphore>,
    /// What holds the head folder.
    pub file_system: FileSystem,
    /// What open heads still need of the ledger.
    pub needs: HeadNeeds,
    /// What the tasks do now.
    pub board: Board,
    /// Cancelled when the daemon shall end.
    pub shutdown: CancellationToken,
}

/// The first slice that each head may still need, as its driver says. A head that is not listed needs all of its chain.
#[derive(Debug, Default)]
pub struct HeadNeeds(Mutex<HashMap<BackupJobId, EntryPosition>>);

impl HeadNeeds {
    /// From here on.
    pub fn put(&self, job: &BackupJobId, from: EntryPosition) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(job.clone(), from);
    }

    /// What is known of a job's head.
    #[must_use]
    pub fn get(&self, job: &BackupJobId) -> Option<EntryPosition> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(job).copied()
    }
}

impl Context {
    /// Length of a lease.
    #[must_use]
    pub const fn lease(&self) -> Duration {
        Duration::from_secs(self.settings.lease_seconds)
    }

    /// Options of a private mongod for files of this source, on this port.
    ///
    /// # Errors
    /// [`NoBinary`] when this daemon has no mongod of that release.
    pub fn head_options(
        &self,
        server_version: &str,
        storage: StorageOptions,
        port: u16,
    ) -> Result<HeadOptions, NoBinary> {
        let binary = self.binaries.for_source(server_version)?;
        Ok(HeadOptions {
            binary: binary.path.clone(),
            port,
            cache_gb: self.settings.head_cache_gb,
            directory_per_db: storage.directory_per_db,
            directory_for_indexes: storage.directory_for_indexes,
            keyfile: self.layout.keyfile(),
        })
    }
}
