//! Blocks of a new appliance in a folder instead of the database.
//!
//! Used where the database is embedded: a block is written once instead of three times there, and what is freed goes back to the disk. An
//! appliance that has snapshots or stores already is left as the operator has it, but for a folder that was moved together with its appliance.

use std::path::Path;

use anyhow::Context as _;
use holdfast_metadb::{MetaError, PayloadStoreLocation, PayloadStoreState, PayloadStores};

use crate::databases::Databases;

/// Bytes of a full pack.
const PACK_BYTES: u32 = 32 << 20;
/// What the engine puts into every folder of packs.
const MARKER: &str = "holdfast-packs";

/// Makes the folder the default store, if nothing else was ever chosen.
pub(crate) async fn keep_blocks_in(databases: &Databases, folder: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(folder.is_absolute(), "{} is not an absolute path", folder.display());
    let path = folder.to_str().context("its path is not UTF-8")?.to_owned();
    let stats = databases.blockstore.stats().await?;
    let is_new = stats.roots == 0 && stats.blocks == 0;
    let has_marker = folder.join(MARKER).exists();
    let change = |stores: &mut PayloadStores| -> Result<bool, MetaError> {
        if stores.revision == 0 && is_new {
            let number = stores.add(PayloadStoreLocation::Directory { path: path.clone() }, PACK_BYTES, None)?;
            stores.set_default(number)?;
            return Ok(true);
        }
        Ok(has_marker && follow(stores, &path))
    };
    // Asked first, so that a start changes nothing when nothing is to be changed.
    if change(&mut databases.metadb.payload_stores().await?)? {
        databases.metadb.change_payload_stores(change).await?;
        databases.blockstore.reload().await?;
    }
    Ok(())
}

/// The folder was moved with its appliance: it is there, and where it was is none. The engine makes sure that it is the same.
fn follow(stores: &mut PayloadStores, path: &str) -> bool {
    let known = |store: &holdfast_metadb::PayloadStore| matches!(&store.location, PayloadStoreLocation::Directory { path: known } if known == path);
    if stores.stores.iter().any(known) {
        return false;
    }
    let mut lost = stores.stores.iter_mut().filter(|store| {
        store.state != PayloadStoreState::Retired
            && matches!(&store.location, PayloadStoreLocation::Directory { path } if !Path::new(path).exists())
    });
    match (lost.next(), lost.next()) {
        (Some(store), None) => {
            tracing::info!(store = store.number, path, "the folder of packs was moved");
            store.location = PayloadStoreLocation::Directory { path: path.to_owned() };
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn only_a_folder_that_is_gone_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let mut stores = PayloadStores::default();
        std::fs::create_dir(path("old")).unwrap();
        stores.add(PayloadStoreLocation::Directory { path: path("old") }, PACK_BYTES, None).unwrap();
        assert!(!follow(&mut stores, &path("old")), "known");
        assert!(!follow(&mut stores, &path("new")), "the old one is there");
        std::fs::rename(path("old"), path("new")).unwrap();
        assert!(follow(&mut stores, &path("new")));
        assert_eq!(stores.get(1).unwrap().location, PayloadStoreLocation::Directory { path: path("new") });
        assert!(!follow(&mut stores, &path("new")));
    }
}
