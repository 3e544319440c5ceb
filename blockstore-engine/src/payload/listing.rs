//! What lies in a pack store: for whoever shows it, and for the collector's accounts.

use object_store::path::Path;

use super::format::{PACKS, PackId};
use crate::engine::Blockstore;
use crate::error::PayloadError;
use crate::id::{RootId, StoreNumber};

/// How much lies in a pack store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PackUsage {
    /// Packs.
    pub packs: u64,
    /// Their bytes on disk or in the bucket, whether blocks name them or not.
    pub bytes: u64,
}

impl Blockstore {
    /// How much lies in a pack store. Lists all of it: one request per 1000 packs in a bucket.
    ///
    /// # Errors
    /// `NoStore`, a failing pack store.
    pub async fn pack_usage(&self, number: StoreNumber) -> Result<PackUsage, PayloadError> {
        let store = self.engine.payloads.packs(number)?;
        let names = store.names(&Path::from(PACKS)).await?;
        let packs = names.iter().filter(|(name, _)| PackId::from_path(name).is_some());
        Ok(packs
            .fold(PackUsage::default(), |sum, (_, bytes)| PackUsage { packs: sum.packs + 1, bytes: sum.bytes + bytes }))
    }

    /// Registrations that have packs in a store, whether they still live or not.
    ///
    /// # Errors
    /// As [`Self::pack_usage`].
    pub async fn pack_writers(&self, number: StoreNumber) -> Result<Vec<RootId>, PayloadError> {
        let store = self.engine.payloads.packs(number)?;
        Ok(store.writers().await?)
    }

    /// Packs of one registration and their bytes, ascending.
    ///
    /// # Errors
    /// As [`Self::pack_usage`].
    pub async fn packs_of(&self, number: StoreNumber, writer: RootId) -> Result<Vec<(PackId, u64)>, PayloadError> {
        let store = self.engine.payloads.packs(number)?;
        Ok(store.packs_of(writer).await?.into_iter().map(|pack| (pack.id, pack.bytes)).collect())
    }
}
