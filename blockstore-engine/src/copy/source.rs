//! Where a copy comes from: a snapshot of another store, in this process or behind a network.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use bson::DateTime;

use super::address::BlockAddress;
use super::error::{CopyError, SourceFault};
use super::wire::StoredBlock;
use crate::engine::Blockstore;
use crate::error::{ErrorClass, RootError};
use crate::id::{BlockId, RootId};
use crate::reader::SnapshotReader;
use crate::root::{COPY_PIN, Pin, Root};

/// How long a source keeps its snapshot without being asked again: longer than a puller may be out of reach.
pub const HOLD_FOR: Duration = Duration::from_secs(2 * 3600);

/// A block that a copy needs.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its id.
    pub id: BlockId,
    /// Its raw length where the tree tells it; nodes and pages tell none.
    pub raw_len: Option<u32>,
    /// Where it stands in the snapshot.
    pub address: BlockAddress,
}

/// One snapshot of another store. Answers are not trusted: the copy checks every one of them.
pub trait CopySource: Send + Sync + 'static {
    /// Makes the source keep the snapshot for [`HOLD_FOR`] from now on. Called first, and again while the copy goes on.
    fn hold(&self) -> impl Future<Output = Result<(), CopyError>> + Send;

    /// Lets it go again. What fails is left to the end that the hold has.
    fn release(&self) -> impl Future<Output = ()> + Send;

    /// The snapshot.
    fn root(&self) -> impl Future<Output = Result<Root, CopyError>> + Send;

    /// These blocks, in any order; at most [`super::address::BLOCKS_MAX`] and [`super::address::ANSWER_BYTES_MAX`] a call.
    fn blocks(&self, wanted: &[Wanted]) -> impl Future<Output = Result<Vec<StoredBlock>, CopyError>> + Send;
}

/// A snapshot of a store that this process has open.
pub struct StoreSource {
    store: Blockstore,
    id: RootId,
    reader: tokio::sync::OnceCell<SnapshotReader>,
    pin: String,
}

impl StoreSource {
    /// `by` names the copy: its pin on the snapshot is called `copy:<by>`.
    #[must_use]
    pub fn new(store: Blockstore, id: RootId, by: &str) -> Self {
        Self { store, id, reader: tokio::sync::OnceCell::new(), pin: format!("{COPY_PIN}{by}") }
    }

    async fn reader(&self) -> Result<&SnapshotReader, CopyError> {
        self.reader
            .get_or_try_init(async || {
                let root = self.store.root(&self.id).await.map_err(|error| fault(error.class(), error))?;
                let gone = || fault(ErrorClass::Caller, RootError::NotFound(self.id));
                Ok(self.store.reader(root.ok_or_else(gone)?))
            })
            .await
    }
}

fn fault(class: ErrorClass, source: impl Error + Send + Sync + 'static) -> CopyError {
    CopyError::Source(SourceFault { class, source: Box::new(source) })
}

impl CopySource for StoreSource {
    async fn hold(&self) -> Result<(), CopyError> {
        let until = DateTime::from_millis(
            DateTime::now().timestamp_millis().saturating_add(i64::try_from(HOLD_FOR.as_millis()).unwrap_or(i64::MAX)),
        );
        let pin = Pin { by: self.pin.clone(), until: Some(until) };
        self.store.pin(&self.id, pin).await.map_err(|error| fault(error.class(), error))
    }

    async fn release(&self) {
        if let Err(error) = self.store.unpin(&self.id, &self.pin).await {
            tracing::debug!(%error, root = %self.id, "the pin of a copy stays until its end");
        }
    }

    async fn root(&self) -> Result<Root, CopyError> {
        use crate::source::FrameSource;
        Ok(self.reader().await?.root().clone())
    }

    async fn blocks(&self, wanted: &[Wanted]) -> Result<Vec<StoredBlock>, CopyError> {
        let ids: Vec<_> = wanted.iter().map(|one| one.id).collect();
        self.reader().await?.stored_by_id(&ids).await.map_err(|error| fault(error.class(), error))
    }
}
