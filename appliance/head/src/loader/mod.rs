//! Loads a head from the slices of an initial sync.
//!
//! Collections are created with the source's UUIDs and options, documents are inserted without secondary indexes, the oplog
//! from before the scan is applied over them, then the indexes are built: only then is the head equal to its source.
//!
//! Invariants:
//! - What [`Loader::insert`] has acknowledged is durable. A slice that comes again has one effect.
//! - A higher scan number empties the collection first.
//! - After a crash a loader goes on from the head's own files ([`Loader::begin`] on the head that was opened again): names
//!   come from its catalog, everything else from `local.holdfast_catchup`, written in the same atomic step as the marker.
//!
//! Called by the daemon's head manager. Several collections, or slices of several, may be loaded at once.

mod create;
mod insert;

use std::collections::{HashMap, HashSet};

use bson::{Document, RawDocumentBuf};
use futures::{StreamExt, TryStreamExt, stream};
use holdfast_domain::Ts;
use mongodb::{Client, error::ErrorKind};
use tokio::sync::Mutex;

use super::{
    applier::{Applier, ApplyOps},
    batch,
    catalog::{self, server},
    catchup::{Model, STATE, STATE_NS},
    error::HeadError,
    feeder::Applied,
    open::{Head, PHASE_ID, Phase, read_state, store},
    position::{LOCAL, Position},
    raw::Writer,
    uuid::CollectionUuid,
};

/// Collections whose indexes are built at once.
const BUILDS_AT_ONCE: usize = 2;
/// The collection is there already.
const NAMESPACE_EXISTS: i32 = 48;
/// Prefix of the `_id` under which the progress of a collection is kept.
const PROGRESS: &str = "load.";

/// What is being done when the state is written, for errors.
const WRITE_STATE: &str = "write the state of the initial sync";

/// A collection as the scan's first request describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct CollectionSpec {
    /// UUID.
    pub uuid: CollectionUuid,
    /// Database.
    pub db: String,
    /// Name when it was listed.
    pub name: String,
    /// Options from listCollections.
    pub options: RawDocumentBuf,
    /// Specifications from listIndexes.
    pub indexes: Vec<RawDocumentBuf>,
}

/// Which slice of a collection's scans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SliceKey {
    /// Scan number.
    pub scan: i64,
    /// Sequence number of the slice in the scan, from 0.
    pub seq: i64,
}

/// What [`Loader::insert`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inserted {
    /// Documents of the slice.
    pub documents: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The slice had been loaded before.
    pub again: bool,
}

/// How far a collection is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Progress {
    /// The slice that comes next.
    next: SliceKey,
    /// Documents of it that are loaded already (capped collections only).
    documents: i64,
}

impl Progress {
    fn operation(&self, uuid: CollectionUuid) -> Vec<u8> {
        let mut writer = Writer::new(128);
        writer.text("_id", &format!("{PROGRESS}{uuid}")).int64("scan", self.next.scan).int64("seq", self.next.seq);
        batch::put(STATE_NS, &writer.int64("documents", self.documents).finish())
    }
}

/// State of a load.
#[derive(Debug)]
struct State {
    model: Model,
    progress: HashMap<CollectionUuid, Progress>,
    /// Announced collections that a head does not hold.
    left_out: HashSet<CollectionUuid>,
}

/// See the module.
#[derive(Debug)]
pub struct Loader {
    head: Head,
    client: Client,
    applier: ApplyOps,
    state: Mutex<State>,
}

async fn set_phase(applier: &ApplyOps, phase: Phase) -> Result<(), HeadError> {
    let document = Writer::new(64).text("_id", PHASE_ID).text("phase", phase.name()).finish();
    store(applier, &[batch::put(STATE_NS, &document)], "write the phase of the head").await
}

impl Loader {
    /// Begins an initial sync on a head that was just created, or goes on with one on a head that was opened again.
    ///
    /// # Errors
    /// The head has followed an oplog already, or its server does not answer.
    pub async fn begin(mut head: Head) -> Result<Self, HeadError> {
        let client = head.client();
        let applier = ApplyOps::new(client.clone());
        if head.phase() == Phase::Steady {
            if head.position() != Position::START {
                return Err(HeadError::WrongPhase { is: Phase::Steady.name(), wanted: Phase::Loading.name() });
            }
            match client.database(LOCAL).create_collection(STATE).await {
                // A crash came between the collection and the phase.
                Err(error) if matches!(error.kind.as_ref(), ErrorKind::Command(error) if error.code == NAMESPACE_EXISTS) =>
                    {}
                other => other.map_err(server("write the phase of the head"))?,
            }
            set_phase(&applier, Phase::Loading).await?;
            head.phase = Phase::Loading;
        }
        let documents = read_state(&client).await?;
        let mut model = Model::restore(&catalog::names(&client).await?, &documents)?;
        let progress = documents.iter().filter_map(progress_of).collect();
        if head.phase() == Phase::CatchingUp {
            head.feeder.model = Some(std::mem::take(&mut model));
        }
        Ok(Self { head, client, applier, state: Mutex::new(State { model, progress, left_out: HashSet::new() }) })
    }

    /// Whether documents are still being loaded or the oplog is being applied.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.head.phase()
    }

    /// Where the head stands.
    #[must_use]
    pub fn position(&self) -> Position {
        self.head.position()
    }

    /// The slice of a collection that comes next; None when nothing of it was loaded.
    pub async fn next_slice(&self, uuid: CollectionUuid) -> Option<SliceKey> {
        self.state.lock().await.progress.get(&uuid).map(|progress| progress.next)
    }

    /// A collection that was scanned does not exist any more: discards what was loaded of it.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn gone(&self, uuid: CollectionUuid) -> Result<(), HeadError> {
        self.head.require(Phase::Loading)?;
        self.discard(uuid).await
    }

    /// Empties a collection for a new scan.
    ///
    /// # Errors
    /// The collection was never announced, or the server does not answer.
    pub async fn reset(&self, uuid: CollectionUuid) -> Result<(), HeadError> {
        self.head.require(Phase::Loading)?;
        self.empty(uuid).await
    }

    /// Applies concatenated oplog entries of the chain, from its start on, over what was loaded. The first call ends the
    /// load. Entries that were applied before are skipped; after a crash the feed begins at [`Position::feed_from`].
    ///
    /// # Errors
    /// As [`Head::apply`]; [`HeadError::NeedsResync`] where what was scanned cannot be brought to the source's state.
    pub async fn catch_up(&mut self, raw_entries: &[u8]) -> Result<Applied, HeadError> {
        if self.head.phase() == Phase::Loading {
            set_phase(&self.applier, Phase::CatchingUp).await?;
            self.head.phase = Phase::CatchingUp;
            self.head.feeder.model = Some(std::mem::take(&mut self.state.get_mut().model));
        }
        self.head.require(Phase::CatchingUp)?;
        self.head.feeder.feed(raw_entries, None).await
    }

    /// Reads the position again after a failed or dropped [`Loader::catch_up`].
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn resume(&mut self) -> Result<Position, HeadError> {
        let position = self.head.resume().await?;
        if self.head.phase() == Phase::CatchingUp {
            let documents = read_state(&self.client).await?;
            self.head.feeder.model = Some(Model::restore(&catalog::names(&self.client).await?, &documents)?);
        }
        Ok(position)
    }

    /// Builds the indexes and hands out the head, which from now on follows the oplog. `end`: the end point of the sync, which
    /// must have been applied.
    ///
    /// # Errors
    /// [`HeadError::NeedsResync`] where something is left over, or an index cannot be built.
    pub async fn finish(mut self, end: Ts) -> Result<Head, HeadError> {
        self.head.require(Phase::CatchingUp)?;
        let position = self.head.position();
        if position.ts < end || !position.at_boundary() {
            return Err(HeadError::BeforeEnd { position: position.optime(), end });
        }
        let model = self.head.feeder.model.as_ref().ok_or(HeadError::Interrupted)?;
        let leftovers = model.leftovers();
        if !leftovers.is_empty() {
            return Err(HeadError::NeedsResync(leftovers.join("; ")));
        }
        tracing::debug!(collections = model.len(), "initial sync: building indexes");
        stream::iter(model.to_build())
            .map(|(uuid, ns, specs)| self.build(uuid, ns, specs))
            .buffer_unordered(BUILDS_AT_ONCE)
            .try_collect::<()>()
            .await?;
        // The commit of the initial sync: without its state the head is steady.
        self.client
            .database(LOCAL)
            .collection::<Document>(STATE)
            .drop()
            .await
            .map_err(server("end the initial sync"))?;
        self.head.feeder.model = None;
        self.head.feeder.settle_all().await?;
        self.head.phase = Phase::Steady;
        Ok(self.head)
    }

    async fn build(&self, uuid: CollectionUuid, ns: String, specs: Vec<Vec<u8>>) -> Result<(), HeadError> {
        use super::applier::Failed;
        let (db, name) = ns.split_once('.').unwrap_or((&ns, ""));
        match self.applier.create_indexes(db, name, Some(uuid), &specs).await {
            Ok(()) => Ok(()),
            Err(Failed::Refused { code, message }) => {
                Err(HeadError::NeedsResync(format!("the indexes of {ns} cannot be built: {code}: {message}")))
            }
            Err(other) => Err(other.into_error("build indexes")),
        }
    }

    /// Stops the server cleanly; [`Head::open`] and [`Loader::begin`] go on.
    ///
    /// # Errors
    /// As [`Head::stop`].
    pub async fn stop(self) -> Result<Position, HeadError> {
        self.head.stop().await
    }

    /// Kills the server at once; [`Head::open`] and [`Loader::begin`] go on.
    pub async fn kill(self) {
        self.head.kill().await;
    }

    /// A client of the head's server.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }
}

fn progress_of(document: &Document) -> Option<(CollectionUuid, Progress)> {
    let uuid = document.get_str("_id").ok()?.strip_prefix(PROGRESS)?.parse().ok()?;
    let next = SliceKey { scan: document.get_i64("scan").ok()?, seq: document.get_i64("seq").ok()? };
    Some((uuid, Progress { next, documents: document.get_i64("documents").ok()? }))
}
