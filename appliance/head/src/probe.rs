//! What a mongod binary can be trusted with: tried on a throw-away server, not read from a list.
//!
//! From 6.2 on applyOps applies a batch one by one and says ok all the same, and `alwaysUpsert` is gone; a head on such a
//! server would diverge silently. So a binary that does not keep the promises is refused, whatever its version says.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, PoisonError},
    time::SystemTime,
};

use bson::{Document, doc};
use holdfast_mongod::{Mongod, MongodOptions, free_port, version};
use mongodb::Client;

use super::error::HeadError;

/// What a binary does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Release: major, minor, patch.
    pub release: (u32, u32, u32),
    /// A batch of inserts, updates and deletes whose second operation fails leaves nothing of the first, and says that it
    /// failed.
    pub atomic_batch: bool,
    /// `alwaysUpsert` is obeyed: true creates what an update does not find, false reports it.
    pub obeys_always_upsert: bool,
}

/// Releases whose oplog this program's translation is proved with.
const PROVED: [(u32, u32); 2] = [(5, 0), (6, 0)];

type Key = (PathBuf, Option<SystemTime>, u64);
static KNOWN: LazyLock<Mutex<HashMap<Key, Capabilities>>> = LazyLock::new(Mutex::default);

impl Capabilities {
    /// Whether heads may be opened with this binary.
    ///
    /// # Errors
    /// A sentence that says why not and what to do.
    pub fn check(&self, binary: &Path) -> Result<(), HeadError> {
        proved(self.release, binary)?;
        let unfit = |why: &str| Err(HeadError::Unfit { binary: binary.to_owned(), why: why.to_owned() });
        if !self.atomic_batch {
            return unfit("a batch of operations of which one fails leaves the others behind");
        }
        if !self.obeys_always_upsert {
            return unfit("it does not obey alwaysUpsert, so an update of a missing document goes unnoticed");
        }
        Ok(())
    }
}

fn proved(release: (u32, u32, u32), binary: &Path) -> Result<(), HeadError> {
    let (major, minor, _) = release;
    if PROVED.contains(&(major, minor)) {
        Ok(())
    } else {
        Err(HeadError::Unproved { binary: binary.to_owned(), major, minor })
    }
}

/// Tries a binary on a throw-away server in a folder under `scratch`; a binary that is not proved is not even started. What
/// was found is kept as long as the process lives and the file does not change.
///
/// # Errors
/// The binary is of an unproved release, or does not start.
pub async fn probe(binary: &Path, scratch: &Path) -> Result<Capabilities, HeadError> {
    let io_error = |what, path: &Path| {
        let path = path.to_owned();
        move |source| HeadError::Io { what, path, source }
    };
    let meta = fs::metadata(binary).map_err(io_error("look at", binary))?;
    let key = (binary.to_owned(), meta.modified().ok(), meta.len());
    if let Some(known) = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Ok(*known);
    }
    let release = version(binary).map_err(|source| HeadError::Version { binary: binary.to_owned(), source })?;
    proved(release, binary)?;
    let port = free_port().map_err(io_error("find a port for", binary))?;
    let folder = scratch.join(format!("probe-{}-{port}", std::process::id()));
    fs::create_dir_all(&folder).map_err(io_error("create", &folder))?;
    let tried = try_server(binary, &folder, port).await;
    fs::remove_dir_all(&folder).map_err(io_error("remove", &folder))?;
    let (atomic_batch, obeys_always_upsert) = tried?;
    let found = Capabilities { release, atomic_batch, obeys_always_upsert };
    tracing::debug!(binary = %binary.display(), ?found, "probed");
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).insert(key, found);
    Ok(found)
}

async fn try_server(binary: &Path, folder: &Path, port: u16) -> Result<(bool, bool), HeadError> {
    let server =
        Mongod::start(MongodOptions::plain(binary, folder.join("db"), port)).await.map_err(HeadError::Start)?;
    let tried = try_promises(&server.client()).await;
    // Nothing of it is kept, so it need not stop cleanly.
    server.kill().await;
    tried.map_err(|source| HeadError::Server { what: "probe the binary", source })
}

async fn try_promises(client: &Client) -> mongodb::error::Result<(bool, bool)> {
    let admin = client.database("admin");
    let collection = client.database("probe").collection::<Document>("c");
    collection.insert_one(doc! { "_id": 0 }).await?;
    let insert = |id: i32| doc! { "op": "i", "ns": "probe.c", "o": { "_id": id } };
    let update = |id: i32| doc! { "op": "u", "ns": "probe.c", "o2": { "_id": id }, "o": { "$v": 2, "diff": { "u": { "x": 1 } } } };
    let apply = |ops: Vec<Document>, upsert: bool| {
        admin.run_command(doc! { "applyOps": ops, "bypassDocumentValidation": true, "alwaysUpsert": upsert })
    };
    let failed = apply(vec![insert(1), update(99)], false).await.is_err();
    let nothing_left = collection.count_documents(doc! { "_id": { "$in": [1, 99] } }).await? == 0;
    let whole = apply(vec![insert(2), update(2)], false).await.is_ok()
        && collection.count_documents(doc! { "_id": 2, "x": 1 }).await? == 1;
    let reported =
        apply(vec![update(3)], false).await.is_err() && collection.count_documents(doc! { "_id": 3 }).await? == 0;
    let upserted =
        apply(vec![update(4)], true).await.is_ok() && collection.count_documents(doc! { "_id": 4 }).await? == 1;
    Ok((failed && nothing_left && whole, reported && upserted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_proved_releases_that_keep_the_promises_are_taken() {
        let good = Capabilities { release: (6, 0, 5), atomic_batch: true, obeys_always_upsert: true };
        let binary = Path::new("/m/mongod");
        assert!(good.check(binary).is_ok());
        assert!(Capabilities { release: (5, 0, 32), ..good }.check(binary).is_ok());
        for release in [(4, 4, 1), (6, 2, 0), (7, 0, 0), (8, 0, 1)] {
            let said = Capabilities { release, ..good }.check(binary).map_err(|e| e.to_string());
            assert!(
                said.is_err_and(
                    |said| said.contains(&format!("{}.{}", release.0, release.1)) && said.contains("Install")
                )
            );
        }
        assert!(matches!(Capabilities { atomic_batch: false, ..good }.check(binary), Err(HeadError::Unfit { .. })));
        assert!(matches!(
            Capabilities { obeys_always_upsert: false, ..good }.check(binary),
            Err(HeadError::Unfit { .. })
        ));
    }
}
