//! A head that is open: its server runs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bson::{Document, doc};
use futures::TryStreamExt;
use holdfast_domain::{OpTime, Ts};
use holdfast_mongod::{Mongod, MongodOptions, StartError, create_keyfile};
use mongodb::Client;

use super::{
    applier::{Applier, ApplyOps},
    batch,
    catalog::{self, Catalog, DbHashes, server},
    catchup::STATE,
    chains::{Chains, MEMORY_BYTES_MAX},
    error::HeadError,
    feeder::{Applied, Feeder},
    heal::{self, Difference},
    position::{LOCAL, MARKER, MARKER_ID, MARKER_NS, Position},
    probe,
};

/// Folder of the database files in the head's folder: what a snapshot copies.
const DBPATH: &str = "db";
/// Log of the head's server, beside the database files.
const LOG: &str = "mongod.log";
/// `_id` of the document that says which phase of an initial sync a head is in.
pub(super) const PHASE_ID: &str = "phase";

/// How a head is opened.
#[derive(Clone, Debug)]
pub struct HeadOptions {
    /// The mongod binary: of the source's major release.
    pub binary: PathBuf,
    /// TCP port on 127.0.0.1.
    pub port: u16,
    /// WiredTiger's cache in GiB, at least 0.25.
    pub cache_gb: f64,
    /// The source's `directoryPerDB`: fixed when the head is created.
    pub directory_per_db: bool,
    /// The source's `wiredTigerDirectoryForIndexes`: fixed when the head is created.
    pub directory_for_indexes: bool,
    /// Key file of the heads; made if it is missing.
    pub keyfile: PathBuf,
}

/// What a head is fit for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It follows the oplog.
    Steady,
    /// Documents are being loaded; see [`super::Loader`].
    Loading,
    /// Documents are loaded; the oplog from before the scan is being applied over them.
    CatchingUp,
}

impl Phase {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Loading => "loading",
            Self::CatchingUp => "catchingUp",
        }
    }
}

/// An open head. Dropping it kills its server; [`Head::stop`] stops it cleanly.
#[derive(Debug)]
pub struct Head {
    dir: PathBuf,
    mongod: Mongod,
    pub(super) feeder: Feeder,
    pub(super) phase: Phase,
}

impl Head {
    /// The database files of the head in a folder.
    #[must_use]
    pub fn dbpath(dir: &Path) -> PathBuf {
        dir.join(DBPATH)
    }

    /// Makes a new, empty head that stands before the first entry, and opens it.
    ///
    /// # Errors
    /// The folder holds database files, the binary is not fit, or its server does not start.
    pub async fn create(dir: &Path, options: &HeadOptions) -> Result<Self, HeadError> {
        let dbpath = Self::dbpath(dir);
        let io_error = |source| HeadError::Io { what: "create", path: dbpath.clone(), source };
        fs::create_dir_all(&dbpath).map_err(io_error)?;
        if fs::read_dir(&dbpath).map_err(io_error)?.next().is_some() {
            return Err(HeadError::NotEmpty(dbpath));
        }
        let (mongod, release) = start(dir, options).await?;
        let client = mongod.client();
        client.database(LOCAL).create_collection(MARKER).await.map_err(server("write the marker"))?;
        let marker = Position::START
            .document()
            .to_vec()
            .map_err(|_| HeadError::Answer { what: "the marker", field: "valid BSON" })?;
        store(&ApplyOps::new(client), &[batch::put(MARKER_NS, &marker)], "write the marker").await?;
        Self::assemble(dir, mongod, release, Position::START, Phase::Steady)
    }

    /// Opens a head: the journal recovers it if it was not stopped cleanly.
    ///
    /// # Errors
    /// The folder holds no finished head, the binary is not fit, or its server does not start.
    pub async fn open(dir: &Path, options: &HeadOptions) -> Result<Self, HeadError> {
        let none = |why| HeadError::NoHead { dir: dir.to_owned(), why };
        if !Self::dbpath(dir).is_dir() {
            return Err(none("no database files"));
        }
        let (mongod, release) = match start(dir, options).await {
            // Its version collection is renewed once in its life; it died at that moment.
            Err(HeadError::Start(StartError::Exited { log, .. }))
                if log.contains("missing featureCompatibilityVersion document") =>
            {
                return Err(none("it died while its version document was being written"));
            }
            other => other?,
        };
        let client = mongod.client();
        let position = read_position(&client).await?.ok_or_else(|| none("its marker is missing"))?;
        let state = client.database(LOCAL).collection::<Document>(STATE);
        let phase =
            match state.find_one(doc! { "_id": PHASE_ID }).await.map_err(server("read the phase of the head"))? {
                None => Phase::Steady,
                Some(document) if document.get_str("phase").is_ok_and(|phase| phase == Phase::Loading.name()) => {
                    Phase::Loading
                }
                Some(_) => Phase::CatchingUp,
            };
        Self::assemble(dir, mongod, release, position, phase)
    }

    fn assemble(
        dir: &Path,
        mongod: Mongod,
        release: (u32, u32),
        position: Position,
        phase: Phase,
    ) -> Result<Self, HeadError> {
        let applier: Box<dyn Applier> = Box::new(ApplyOps::new(mongod.client()));
        let feeder = Feeder::new(applier, Chains::new(dir, MEMORY_BYTES_MAX)?, position, release);
        Ok(Self { dir: dir.to_owned(), mongod, feeder, phase })
    }

    /// Where the head stands.
    #[must_use]
    pub fn position(&self) -> Position {
        self.feeder.position()
    }

    /// The last entry that was applied whole.
    #[must_use]
    pub fn head_optime(&self) -> OpTime {
        self.position().optime()
    }

    /// What the head is fit for.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// A client of the head's server. What it writes makes the head differ from its source.
    #[must_use]
    pub fn client(&self) -> Client {
        self.mongod.client()
    }

    /// The head's server.
    #[must_use]
    pub fn mongod(&self) -> &Mongod {
        &self.mongod
    }

    pub(super) fn require(&self, phase: Phase) -> Result<(), HeadError> {
        if self.phase == phase {
            Ok(())
        } else {
            Err(HeadError::WrongPhase { is: self.phase.name(), wanted: phase.name() })
        }
    }

    /// Applies concatenated oplog entries: those with `ts` at or before `up_to`, or all. Entries that were applied before are
    /// skipped; after an open the feed begins at [`Position::feed_from`] or earlier. `Applied::done` says that `up_to` was
    /// passed and nothing more is needed.
    ///
    /// # Errors
    /// See [`HeadError`]; [`HeadError::remedy`] says what helps. After any error, and after this future was dropped, call
    /// [`Head::resume`] before the next feed.
    pub async fn apply(&mut self, raw_entries: &[u8], up_to: Option<Ts>) -> Result<Applied, HeadError> {
        self.require(Phase::Steady)?;
        self.feeder.feed(raw_entries, up_to).await
    }

    /// Reads the position again after a failed or dropped call. Open transactions are forgotten: the feed begins at
    /// [`Position::feed_from`].
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn resume(&mut self) -> Result<Position, HeadError> {
        let none = HeadError::NoHead { dir: self.dir.clone(), why: "its marker is missing" };
        let position = read_position(&self.client()).await?.ok_or(none)?;
        self.feeder.resume(position, Chains::new(&self.dir, MEMORY_BYTES_MAX)?);
        Ok(position)
    }

    /// The collections and views of the head.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn catalog(&self) -> Result<Catalog, HeadError> {
        catalog::read(&self.client()).await
    }

    /// What differs from the source's catalog, taken while the source stood where the head stands.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn compare_catalog(&self, source: &Catalog) -> Result<Vec<Difference>, HeadError> {
        Ok(heal::compare(source, &self.catalog().await?))
    }

    /// The server's hash of every collection (dbHash), without `local`, `config` and `system.profile`.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn db_hashes(&self) -> Result<DbHashes, HeadError> {
        catalog::db_hashes(&self.client()).await
    }

    /// Stops the server cleanly: afterwards the files can be copied. A snapshot may be taken only when the position returned
    /// is [`Position::at_boundary`].
    ///
    /// # Errors
    /// It did not stop cleanly: the files must be opened again before they are copied.
    pub async fn stop(self) -> Result<Position, HeadError> {
        let position = self.position();
        self.mongod.stop().await.map_err(HeadError::Stop)?;
        Ok(position)
    }

    /// Kills the server at once; the journal recovers the files at the next open.
    pub async fn kill(self) {
        self.mongod.kill().await;
    }
}

/// Writes what this module keeps in `local`, durably.
pub(super) async fn store(applier: &dyn Applier, ops: &[Vec<u8>], what: &'static str) -> Result<(), HeadError> {
    applier.batch(batch::durable(ops)?).await.map_err(|failed| failed.into_error(what))
}

async fn read_position(client: &Client) -> Result<Option<Position>, HeadError> {
    let markers = client.database(LOCAL).collection::<Document>(MARKER);
    let found = markers.find_one(doc! { "_id": MARKER_ID }).await.map_err(server("read the marker"))?;
    found.as_ref().map(Position::from_document).transpose()
}

/// Documents of the state of an initial sync.
pub(super) async fn read_state(client: &Client) -> Result<Vec<Document>, HeadError> {
    let what = "read the state of the initial sync";
    let cursor = client.database(LOCAL).collection::<Document>(STATE).find(doc! {}).await.map_err(server(what))?;
    cursor.try_collect().await.map_err(server(what))
}

async fn start(dir: &Path, options: &HeadOptions) -> Result<(Mongod, (u32, u32)), HeadError> {
    let capabilities = probe::probe(&options.binary, dir).await?;
    capabilities.check(&options.binary)?;
    create_keyfile(&options.keyfile).map_err(|error| HeadError::Start(StartError::KeyFile(error)))?;
    let mut server = MongodOptions::head(&options.binary, Head::dbpath(dir), options.port, &options.keyfile);
    server.log = dir.join(LOG);
    server.cache_gb = options.cache_gb;
    server.directory_per_db = options.directory_per_db;
    server.wired_tiger_directory_for_indexes = options.directory_for_indexes;
    let mongod = Mongod::start(server).await.map_err(HeadError::Start)?;
    Ok((mongod, (capabilities.release.0, capabilities.release.1)))
}
