//! Makes sure that a pack store is the one that the database knows under its number.
//!
//! Invariants: a directory that is not mounted, or another bucket, is never written to nor swept as if it were the known one; neither
//! is one that another database knows, whose packs nothing here names. The database decides who names a new store; its name lies in the
//! store too (object `holdfast-packs`).

use bson::{Document, doc};
use object_store::path::Path;

use super::packs::PackStore;
use crate::error::{ErrorClass, NoPackStore, OpenError, StoreFault};
use crate::store::Store;
use crate::txn::{is_duplicate, retrying};

/// Name of the object that names the store.
pub(crate) const MARKER: &str = "holdfast-packs";
const MARKER_HEAD: &str = "holdfast packs 1 ";

pub(super) async fn check(store: &Store, packs: &PackStore) -> Result<(), OpenError> {
    let other = |reason| OpenError::OtherPackStore { number: packs.number, reason };
    let marker = Path::from(MARKER);
    let found = match packs.get(&marker).await? {
        None => None,
        Some(bytes) => Some(decode(&bytes).ok_or(other("its marker does not decode"))?),
    };
    let number = i32::from(packs.number.get());
    let known: Result<Option<Document>, StoreFault> =
        retrying!("reading the pack stores", store.pack_stores.find_one(doc! { "_id": number }));
    let known = match known? {
        Some(known) => known,
        // To this database all that lies there would be garbage.
        None if found.is_some() => return Err(other("it belongs to another blockstore")),
        None => {
            let name = hex::encode(rand::random::<[u8; 16]>());
            let fresh = doc! { "_id": number, "name": name, "ready": false };
            let _: () = retrying!("registering a pack store", async {
                match store.pack_stores.insert_one(&fresh).await {
                    Err(error) if is_duplicate(&error) => Ok(()),
                    other => other.map(|_| ()),
                }
            })?;
            // Of two that do so at once, one was first.
            let read = retrying!("reading the pack stores", store.pack_stores.find_one(doc! { "_id": number }))?;
            read.ok_or(other("it was taken out of the database meanwhile"))?
        }
    };
    let name = known.get_str("name").map_err(|_| other("its document does not decode"))?;
    let twice = doc! { "name": name, "_id": { "$ne": number } };
    if retrying!("reading the pack stores", store.pack_stores.find_one(twice.clone()))?.is_some() {
        return Err(other("it is in use under another number"));
    }
    match found {
        Some(found) if found == name => {}
        Some(_) => return Err(other("another store lies there")),
        None if known.get_bool("ready").unwrap_or(false) => {
            return Err(other("nothing lies there: it may not be mounted"));
        }
        None => packs.put(&marker, format!("{MARKER_HEAD}{name}\n").into()).await?,
    }
    let ready = doc! { "$set": { "ready": true } };
    retrying!("registering a pack store", store.pack_stores.update_one(doc! { "_id": number }, ready.clone()))?;
    Ok(())
}

/// Whether the store is (still) where it was: a directory may have been unmounted while it was in use.
pub(super) async fn still_there(packs: &PackStore) -> Result<(), NoPackStore> {
    let fault = |reason: String| NoPackStore { number: packs.number, reason, class: ErrorClass::Retry };
    match packs.get(&Path::from(MARKER)).await {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(fault("its marker is gone: it may not be mounted".into())),
        Err(error) => Err(fault(format!("{error}: {}", error.source))),
    }
}

fn decode(bytes: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(bytes).ok()?.strip_prefix(MARKER_HEAD)?.strip_suffix('\n')?;
    (name.len() == 32 && hex::decode(name).is_ok()).then(|| name.to_owned())
}
