//! The handle, its schema, and how a transaction is driven.
//!
//! Every write is `w: majority, j: true`, every read is a majority read at the primary. A transaction is begun, tried and
//! settled by three calls in a loop; the loop is bounded by time ([`RETRY_SECONDS_MAX`]) and its pauses grow.

use std::time::{Duration, Instant};

use blockstore_engine::Keyring;
use bson::{Document, doc};
use holdfast_domain::BackupJobId;
use mongodb::{
    ClientSession, Collection, Database, IndexModel,
    error::Error,
    options::{Acknowledgment, DatabaseOptions, IndexOptions, ReadConcern, WriteConcern},
};

use crate::error::{CODE_DUPLICATE, DatabaseCause, LedgerError, server_code};

/// A write is tried again for this long, in seconds, over elections and conflicts; then the caller hears of it. Shorter than
/// an agent's request timeout, so that the agent gets an answer.
const RETRY_SECONDS_MAX: u64 = 25;
/// First pause between tries.
const PAUSE_MIN: Duration = Duration::from_millis(5);
/// Longest pause between tries.
const PAUSE_MAX: Duration = Duration::from_millis(800);
/// Version of the collections and indexes.
const SCHEMA_VERSION: i32 = 1;

/// Server code: the collection exists.
const CODE_NAMESPACE_EXISTS: i32 = 48;

/// The ledgers of all jobs, in one database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger {
    pub(crate) db: Database,
    /// Keys of the groups that encrypt, as far as this process has them.
    pub(crate) keys: Keyring,
}

/// Adds what was tried to the driver's error.
pub(crate) fn on(op: &'static str) -> impl Fn(Error) -> LedgerError {
    move |source| LedgerError::Database { op, source }
}

/// Adds what was tried to a decoder's error.
pub(crate) fn form(op: &'static str) -> impl Fn(bson::error::Error) -> LedgerError {
    move |source| LedgerError::Form { op, source }
}

/// True for a duplicate key.
pub(crate) fn duplicate(error: &Error) -> bool {
    server_code(error) == Some(CODE_DUPLICATE)
}

impl Ledger {
    /// Opens the ledgers in this database: creates what is missing. Any number of processes may do so at once. `keys` are
    /// those of the groups that encrypt; the ring may get more later.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub async fn open(db: Database, keys: Keyring) -> Result<Self, LedgerError> {
        let db = Self::with_concerns(&db);
        let ledger = Self { db, keys };
        ledger.create_schema().await?;
        Ok(ledger)
    }

    /// The database with majority on both sides, at the primary.
    pub(crate) fn with_concerns(db: &Database) -> Database {
        let concern = WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build();
        let options = DatabaseOptions::builder()
            .read_concern(ReadConcern::majority())
            .write_concern(concern)
            .selection_criteria(mongodb::options::SelectionCriteria::ReadPreference(
                mongodb::options::ReadPreference::Primary,
            ))
            .build();
        db.client().database_with_options(db.name(), options)
    }

    async fn create_schema(&self) -> Result<(), LedgerError> {
        let op = "create the collections of the ledger";
        for name in [
            "ledger_entries",
            "ledger_days",
            "sync_states",
            "sync_scans",
            "ledger_catalogs",
            "ledger_meta",
            "ledger_rollups",
            "ledger_events",
            "ledger_rollup_ends",
        ] {
            self.create(name).await?;
        }
        let index = |name: &str, keys: Document| {
            IndexModel::builder().keys(keys).options(IndexOptions::builder().name(name.to_owned()).build()).build()
        };
        let by_time = index("by_time", doc! { "_id.job": 1, "_id.chain": 1, "entry.last.ts": 1 });
        let day_named = IndexModel::builder()
            .keys(doc! { "_id.job": 1, "entry.body.slice.payload.day": 1 })
            .options(
                IndexOptions::builder()
                    .name("day_named".to_owned())
                    .partial_filter_expression(doc! { "entry.body.slice.payload.day": { "$exists": true } })
                    .build(),
            )
            .build();
        self.entries_collection().create_indexes([by_time, day_named]).await.map_err(on(op))?;
        let backlog = IndexModel::builder()
            .keys(doc! { "_id.job": 1, "_id.chain": 1, "backlog": 1 })
            .options(
                IndexOptions::builder()
                    .name("backlog".to_owned())
                    .partial_filter_expression(doc! { "backlog": { "$gt": 0 } })
                    .build(),
            )
            .build();
        self.scans_collection().create_indexes([backlog]).await.map_err(on(op))?;
        let meta: Collection<Document> = self.db.collection("ledger_meta");
        let version = doc! { "$max": { "version": SCHEMA_VERSION } };
        match meta.update_one(doc! { "_id": "schema" }, version).upsert(true).await {
            Ok(_) => Ok(()),
            Err(e) if duplicate(&e) => Ok(()),
            Err(e) => Err(on(op)(e)),
        }
    }

    /// Creates a collection unless it exists: a transaction must find it.
    pub(crate) async fn create(&self, name: &str) -> Result<(), LedgerError> {
        self.create_with(name, None).await
    }

    /// As [`Self::create`], for documents that hold compressed bytes: the server need not try to compress them again.
    pub(crate) async fn create_uncompressed(&self, name: &str) -> Result<(), LedgerError> {
        self.create_with(name, Some(doc! { "wiredTiger": { "configString": "block_compressor=none" } })).await
    }

    async fn create_with(&self, name: &str, storage_engine: Option<Document>) -> Result<(), LedgerError> {
        let mut tries = Tries::new();
        loop {
            let mut action = self.db.create_collection(name);
            if let Some(options) = &storage_engine {
                action = action.storage_engine(options.clone());
            }
            match action.await {
                Ok(()) => return Ok(()),
                Err(e) if server_code(&e) == Some(CODE_NAMESPACE_EXISTS) => return Ok(()),
                Err(e) if passing(&e) && tries.pause().await => {}
                Err(e) => return Err(on("create a collection")(e)),
            }
        }
    }

    pub(crate) fn entries_collection(&self) -> Collection<crate::read::EntryDoc> {
        self.db.collection("ledger_entries")
    }

    pub(crate) fn days_collection(&self) -> Collection<Document> {
        self.db.collection("ledger_days")
    }

    pub(crate) fn scans_collection(&self) -> Collection<crate::scans::ScanDoc> {
        self.db.collection("sync_scans")
    }

    pub(crate) fn states_collection(&self) -> Collection<crate::sync_state::StateDoc> {
        self.db.collection("sync_states")
    }

    /// Payload parts of a job's day. Ids are hex and the day a number, so the name is bounded and harmless.
    pub(crate) fn day_name(job: &BackupJobId, day: i32) -> String {
        format!("oplog_{job}_{day:08}")
    }

    /// Sync slices of a chain.
    pub(crate) fn sync_name(job: &BackupJobId, chain: i64) -> String {
        format!("sync_{job}_{chain}")
    }

    /// A causally consistent session.
    pub(crate) async fn session(&self) -> Result<ClientSession, LedgerError> {
        self.db.client().start_session().causal_consistency(true).await.map_err(on("start a session"))
    }

    /// Begins a transaction.
    pub(crate) async fn begin(&self, session: &mut ClientSession) -> Result<(), LedgerError> {
        session
            .start_transaction()
            .read_concern(ReadConcern::snapshot())
            .write_concern(WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build())
            .await
            .map_err(on("begin a transaction"))
    }

    /// Ends one try: commits what succeeded, rolls back what did not. None: it was a passing conflict, try again.
    pub(crate) async fn settle<T, E>(
        &self,
        session: &mut ClientSession,
        tries: &mut Tries,
        tried: Result<T, E>,
    ) -> Option<Result<T, E>>
    where
        E: From<LedgerError> + DatabaseCause,
    {
        let value = match tried {
            Ok(value) => value,
            Err(e) => {
                // An abort that fails leaves a transaction that the server ends by itself; the first error counts.
                let _ = session.abort_transaction().await;
                let again = e.database().is_some_and(transient) && tries.pause().await;
                return if again { None } else { Some(Err(e)) };
            }
        };
        loop {
            match session.commit_transaction().await {
                Ok(()) => return Some(Ok(value)),
                Err(e) if e.contains_label("UnknownTransactionCommitResult") && tries.pause().await => {}
                Err(e) if transient(&e) && tries.pause().await => return None,
                Err(e) => return Some(Err(E::from(on("commit a transaction")(e)))),
            }
        }
    }
}

/// A try that met another transaction or an election; nothing of it took effect.
fn transient(error: &Error) -> bool {
    error.contains_label("TransientTransactionError") || passing(error)
}

/// Errors outside of transactions that pass by themselves: the driver retries once, an election takes longer.
pub(crate) fn passing(error: &Error) -> bool {
    use mongodb::error::ErrorKind;
    error.contains_label("RetryableWriteError")
        || matches!(
            error.kind.as_ref(),
            ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. } | ErrorKind::ServerSelection { .. }
        )
        || server_code(error).is_some_and(|code| CODES_PASSING.contains(&code))
}

/// Server codes of a node that is no longer or not yet primary, shuts down, or met a conflict: HostUnreachable,
/// HostNotFound, NetworkTimeout, ShutdownInProgress, PrimarySteppedDown, SocketException, WriteConflict, NotWritablePrimary,
/// InterruptedAtShutdown, InterruptedDueToReplStateChange, NotPrimaryNoSecondaryOk, NotPrimaryOrSecondary,
/// SnapshotUnavailable.
const CODES_PASSING: [i32; 13] = [6, 7, 89, 91, 189, 9001, 112, 10107, 11600, 11602, 13435, 13436, 246];

/// Bounds the tries of one operation.
#[derive(Debug)]
pub(crate) struct Tries {
    until: Instant,
    pause: Duration,
}

impl Tries {
    pub(crate) fn new() -> Self {
        Self { until: Instant::now() + Duration::from_secs(RETRY_SECONDS_MAX), pause: PAUSE_MIN }
    }

    /// Waits before another try; false when the time is over.
    pub(crate) async fn pause(&mut self) -> bool {
        if Instant::now() + self.pause >= self.until {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        true
    }
}
