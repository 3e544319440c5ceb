//! Oplog slices of a chain, in order, read ahead of the one who applies them.
//!
//! Invariants: slices come in sequence, each verified by hash and linkage; the bytes read ahead are bounded; passing errors of the database
//! are waited out here, everything else ends the feed with the error. Used by the head's driver, restores and proofs.

use std::{sync::Arc, time::Duration};

use holdfast_domain::{BackupJobId, Classify as _, CloseReason, EntryBody, EntryPosition, ErrorClass, Hash32, OpTime};
use holdfast_ledger::{Ledger, LedgerError};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinHandle,
};

use crate::head::{Run, Runs};

/// Raw bytes read ahead, at most; a slice larger than that passes alone. Eight slices of 4 MiB.
const AHEAD_BYTES_MAX: u32 = 32 << 20;
/// Slices read ahead, at most: bounds the small ones.
const AHEAD_SLICES_MAX: usize = 32;
/// Entries read at once. Their summaries are at most 100 KB each.
const ENTRIES_PER_READ: i64 = 32;
/// How often the end of the ledger is looked at.
const POLL: Duration = Duration::from_millis(300);
/// Pause after a passing error.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// A run of oplog entries, or the chain's end.
#[derive(Debug)]
pub struct Slice {
    /// Where.
    pub at: EntryPosition,
    /// First optime.
    pub first: OpTime,
    /// Last optime.
    pub last: OpTime,
    /// Oplog entries in it.
    pub entries: i64,
    /// Raw BSON documents, one after the other; empty at the end.
    pub raw: Vec<u8>,
    /// True when a command other than CRUD is in it.
    pub has_ddl: bool,
    /// The chain ends here.
    pub closes: Option<CloseReason>,
    _permit: Option<OwnedSemaphorePermit>,
}

/// Why a feed ended.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The ledger.
    #[error("read the ledger")]
    Ledger(#[from] LedgerError),
    /// An entry does not follow the one before.
    #[error("entry {}/{} does not follow the one before it", .0.chain, .0.seq)]
    Order(EntryPosition),
    /// The reading task is gone.
    #[error("the feed ended")]
    Ended,
}

impl FeedError {
    /// See [`ErrorClass`].
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Ledger(error) => error.class(),
            Self::Order(_) => ErrorClass::Corrupt,
            Self::Ended => ErrorClass::Retry,
        }
    }
}

/// Reads a chain ahead. Ends when dropped.
#[derive(Debug)]
pub struct Feed {
    slices: mpsc::Receiver<Result<Slice, FeedError>>,
    task: JoinHandle<()>,
}

impl Feed {
    /// Starts at the slice `from_seq`; follows the chain as it grows.
    #[must_use]
    pub fn start(ledger: Ledger, job: BackupJobId, chain: i64, from_seq: i64) -> Self {
        let (send, slices) = mpsc::channel(AHEAD_SLICES_MAX);
        let reader = Reader {
            ledger,
            job,
            chain,
            next: from_seq.max(1),
            before: None,
            room: Arc::new(Semaphore::new(AHEAD_BYTES_MAX as usize)),
        };
        Self { slices, task: tokio::spawn(reader.run(send)) }
    }

    /// The next slice; waits for it. Cancel safe.
    ///
    /// # Errors
    /// [`FeedError`]; the feed is over then.
    pub async fn next(&mut self) -> Result<Slice, FeedError> {
        self.slices.recv().await.unwrap_or(Err(FeedError::Ended))
    }
}

impl Runs for Feed {
    type Error = FeedError;

    async fn next(&mut self) -> Result<Option<Run>, FeedError> {
        let Slice { first, last, raw, closes, .. } = Self::next(self).await?;
        Ok(Some(Run { first, last, raw, closes: closes.is_some() }))
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Reader {
    ledger: Ledger,
    job: BackupJobId,
    chain: i64,
    next: i64,
    before: Option<Hash32>,
    room: Arc<Semaphore>,
}

impl Reader {
    async fn run(mut self, send: mpsc::Sender<Result<Slice, FeedError>>) {
        loop {
            match self.read(&send).await {
                Ok(true) => return,
                Ok(false) => tokio::time::sleep(POLL).await,
                Err(error) if error.class() == ErrorClass::Retry => {
                    tracing::debug!(job = %self.job, error = %crate::chain_of(&error), "read the ledger");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(error) => {
                    // A closed channel means that nobody wants to know.
                    let _ = send.send(Err(error)).await;
                    return;
                }
            }
        }
    }

    /// Sends what there is. True: over.
    async fn read(&mut self, send: &mpsc::Sender<Result<Slice, FeedError>>) -> Result<bool, FeedError> {
        loop {
            let entries = self.ledger.entries(&self.job, self.chain, self.next, ENTRIES_PER_READ).await?;
            if entries.is_empty() {
                return Ok(false);
            }
            for stored in entries {
                let entry = stored.entry;
                if entry.at.seq != self.next || self.before.is_some_and(|before| before != entry.prev) {
                    return Err(FeedError::Order(entry.at));
                }
                let mut slice = Slice {
                    at: entry.at,
                    first: entry.first,
                    last: entry.last,
                    entries: 0,
                    raw: Vec::new(),
                    has_ddl: !stored.summary.ddl.is_empty() || stored.summary.ddl_omitted > 0,
                    closes: None,
                    _permit: None,
                };
                match &entry.body {
                    EntryBody::Open => {}
                    EntryBody::Close { reason } => slice.closes = Some(*reason),
                    EntryBody::Slice { payload } => {
                        let bytes = u32::try_from(payload.raw_bytes).unwrap_or(AHEAD_BYTES_MAX).min(AHEAD_BYTES_MAX);
                        let permit = Arc::clone(&self.room).acquire_many_owned(bytes).await;
                        slice._permit = permit.ok();
                        slice.raw = self.ledger.read_payload(&self.job, self.chain, payload).await?;
                        slice.entries = payload.entries;
                    }
                }
                let closes = slice.closes.is_some();
                if send.send(Ok(slice)).await.is_err() {
                    return Ok(true);
                }
                self.next += 1;
                self.before = Some(stored.hash);
                if closes {
                    return Ok(true);
                }
            }
        }
    }
}
