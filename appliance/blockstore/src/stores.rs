//! From the documents that configure payload stores to what the engine takes.

use std::num::NonZeroU64;

use blockstore_engine::{
    ErrorClass, NoPackStore, PackLocation, PackStoreOptions, PayloadStore as Target, S3Options, StoreNumber,
};
use holdfast_metadb::{DATABASE_STORE, PayloadStore, PayloadStoreLocation, PayloadStoreState, PayloadStores};
use holdfast_service::MasterKey;

use crate::S3Credentials;

/// All stores that are not retired, and where new payloads go.
pub(crate) fn to_engine(
    configured: &PayloadStores,
    key: &MasterKey,
) -> (Vec<Result<PackStoreOptions, NoPackStore>>, Target) {
    let in_use = configured.stores.iter().filter(|store| store.state != PayloadStoreState::Retired);
    let options = in_use.filter_map(|store| {
        let number = StoreNumber::new(store.number)?;
        Some(pack_options(number, store, key))
    });
    (options.collect(), target(configured.default))
}

/// A store by its number as documents say it.
#[must_use]
pub fn target(number: u8) -> Target {
    match StoreNumber::new(number) {
        Some(packs) if number != DATABASE_STORE => Target::Packs(packs),
        _ => Target::Mongo,
    }
}

/// Where a store lies, with its credentials opened. None: another master key sealed them.
#[must_use]
pub fn pack_location(location: &PayloadStoreLocation, key: &MasterKey) -> Option<PackLocation> {
    Some(match location {
        PayloadStoreLocation::Directory { path } => PackLocation::Directory(path.into()),
        PayloadStoreLocation::S3 { endpoint, region, bucket, prefix, virtual_hosted, ca_pem, credentials } => {
            let opened = S3Credentials::open(credentials, key)?;
            PackLocation::S3(S3Options {
                endpoint: endpoint.clone(),
                region: region.clone(),
                bucket: bucket.clone(),
                prefix: prefix.clone(),
                access_key_id: opened.access_key_id,
                secret_access_key: opened.secret_access_key,
                virtual_hosted: *virtual_hosted,
                ca_pem: ca_pem.clone().map(String::into_bytes),
                request_timeout: S3Options::REQUEST_TIMEOUT,
            })
        }
    })
}

fn pack_options(number: StoreNumber, store: &PayloadStore, key: &MasterKey) -> Result<PackStoreOptions, NoPackStore> {
    let location = pack_location(&store.location, key).ok_or_else(|| NoPackStore {
        number,
        reason: "its credentials were sealed by another master key".into(),
        class: ErrorClass::Operator,
    })?;
    Ok(PackStoreOptions {
        pack_bytes: store.pack_bytes,
        bandwidth_bytes_per_second: store.bandwidth_bytes_per_second.and_then(NonZeroU64::new),
        ..PackStoreOptions::new(number, location)
    })
}
