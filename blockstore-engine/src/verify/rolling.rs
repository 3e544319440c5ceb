//! The rolling verification: the id space in [`SLICES`] slices, each read back when its last time is too long ago.
//!
//! Invariants: a slice counts as verified only when all of its blocks were read (those that are quarantined wait for their repair); one of which
//! some could not be read for want of a key has had its turn and keeps its old time; the oldest go first; at most the share of one call.
//! Bad blocks that a call found and did not name, since it ended early, are named by the next.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bson::{DateTime, Document, doc};
use futures::TryStreamExt;
use tokio_util::sync::CancellationToken;

use super::{BAD_NAMED_MAX, VerifyError, keep};
use crate::engine::Blockstore;
use crate::error::{ErrorClass, ReadError, StoreFault};
use crate::gc::{Pace, RowScan};
use crate::id::{BlockId, RootId};
use crate::keys::KeyId;
use crate::reader::{FETCH_IDS_MAX, From, NotVerified, fetch_blocks};
use crate::store::Row;
use crate::txn::{Causal, retrying};

/// Slices of the id space: by the first byte of an id, so that all are of about the same size.
pub const SLICES: u16 = 256;
/// What is said of a bad block that another call or a writer found.
const FOUND_BEFORE: &str = "found to be bad earlier, and not named then";

/// How much one call verifies.
#[derive(Debug, Clone)]
pub struct RollingOptions {
    /// Blocks whose last time is longer ago are due. Default 30 days.
    pub age: Duration,
    /// At most this share of the store in one call: numerator and denominator. Default 1 of 30.
    pub share: (u32, u32),
    /// While writers are registered, pause after each step for this many times the step's time. Default 3.
    pub give_way: u32,
}

impl Default for RollingOptions {
    fn default() -> Self {
        Self { age: Duration::from_secs(30 * 24 * 3600), share: (1, 30), give_way: 3 }
    }
}

/// How far a verification is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Slices done.
    pub slices: u16,
    /// Slices to do in this call.
    pub slices_total: u16,
    /// Blocks read.
    pub blocks: u64,
    /// Raw bytes read.
    pub bytes: u64,
}

/// Called often, from async tasks: must return at once.
pub type OnVerify = Arc<dyn Fn(VerifyProgress) + Send + Sync>;

/// A bad block and who needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedBlock {
    /// The block, node or page.
    pub id: BlockId,
    /// What is wrong with it.
    pub reason: String,
    /// The snapshots that need it.
    pub snapshots: Vec<RootId>,
}

/// What a call of [`Blockstore::verify_rolling`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollingReport {
    /// Slices that were verified.
    pub slices: u16,
    /// Blocks that could not be read, since this process lacks their key; their slices do not count as verified.
    pub unread: u64,
    /// The keys of those.
    pub missing_keys: BTreeSet<KeyId>,
    /// Blocks, nodes and pages that were read.
    pub blocks: u64,
    /// Their raw bytes.
    pub bytes: u64,
    /// What was bad, quarantined now.
    pub bad: Vec<NamedBlock>,
    /// When the slice that waits longest was verified; `None`: one never was.
    pub oldest: Option<DateTime>,
}

impl RollingReport {
    /// What could not be looked at, to be said in a sentence; `None` when everything was.
    #[must_use]
    pub fn not_verified(&self) -> Option<NotVerified> {
        (self.unread > 0).then(|| NotVerified { blocks: self.unread, keys: self.missing_keys.clone() })
    }
}

impl Blockstore {
    /// Verifies the slices of the store that are due, oldest first, at most the given share. Names the snapshots of what is bad, and of what others
    /// found to be bad before and did not name.
    ///
    /// # Errors
    /// `Request` for a share that is not between 0 and 1; `Cancelled` (finished slices count); a failing database.
    pub async fn verify_rolling(
        &self,
        options: &RollingOptions,
        progress: OnVerify,
        cancel: CancellationToken,
    ) -> Result<RollingReport, VerifyError> {
        let (part, whole) = options.share;
        if whole == 0 || part == 0 || part > whole {
            return Err(VerifyError::Request("a share must be above 0 and at most 1"));
        }
        let most = u64::from(SLICES) * u64::from(part);
        let most = usize::try_from(most.div_ceil(u64::from(whole))).unwrap_or(usize::MAX);
        let age = i64::try_from(options.age.as_millis()).unwrap_or(i64::MAX);
        let due_before = DateTime::now().timestamp_millis().saturating_sub(age);
        let mut named = self.name_bad_blocks(&cancel).await?;
        let times = self.turns().await?;
        let mut due: Vec<u16> = (0..SLICES).collect();
        due.retain(|slice| times.get(slice).is_none_or(|at| at.timestamp_millis() <= due_before));
        due.sort_by_key(|slice| times.get(slice).map_or(i64::MIN, |at| at.timestamp_millis()));
        due.truncate(most);
        let mut check = Check {
            store: self,
            causal: Causal::default(),
            pace: Pace::new(options.give_way),
            done: VerifyProgress {
                slices_total: u16::try_from(due.len()).unwrap_or(SLICES),
                ..VerifyProgress::default()
            },
            progress,
            cancel: cancel.clone(),
            bad: HashMap::new(),
            not_verified: NotVerified::default(),
        };
        let mut verified = 0;
        for slice in due {
            let (blocks, bad, unread) = (check.done.blocks, check.bad.len(), check.not_verified.blocks);
            check.slice(slice).await?;
            let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
            let found = check.bad.len().saturating_sub(bad) as u64;
            let mut result = doc! {
                "_id": { "slice": i32::from(slice) },
                "blocks": count(check.done.blocks - blocks),
                "bad": count(found),
            };
            let now = DateTime::now();
            if check.not_verified.blocks == unread {
                result.insert("at", now);
                verified += 1;
            } else {
                // Its turn is over, so that it does not hold up the others.
                result.insert("tried", now);
                result.insert("unread", count(check.not_verified.blocks - unread));
                if let Some(at) = self.slice_times().await?.get(&slice) {
                    result.insert("at", *at);
                }
            }
            keep(&self.engine, result).await?;
            check.done.slices += 1;
            (check.progress)(check.done);
        }
        let (done, mut reasons) = (check.done, check.bad);
        let NotVerified { blocks: unread, keys: missing_keys } = check.not_verified;
        if !reasons.is_empty() {
            named.extend(self.name_bad_blocks(&cancel).await?);
        }
        let mut bad: Vec<NamedBlock> = named
            .into_iter()
            .map(|(id, snapshots)| {
                let reason = reasons.remove(&id).unwrap_or_else(|| FOUND_BEFORE.to_owned());
                NamedBlock { id, reason, snapshots }
            })
            .collect();
        bad.sort_by_key(|bad| bad.id);
        let times = self.slice_times().await?;
        let all = times.len() == usize::from(SLICES);
        let oldest = times.into_values().min().filter(|_| all);
        Ok(RollingReport { slices: verified, unread, missing_keys, blocks: done.blocks, bytes: done.bytes, bad, oldest })
    }

    /// When each slice was verified last; a slice that never was is not there.
    ///
    /// # Errors
    /// A failing database.
    pub async fn slice_times(&self) -> Result<HashMap<u16, DateTime>, VerifyError> {
        self.slices(|doc| doc.get_datetime("at").ok().copied()).await
    }

    /// When each slice had its last turn, verified or not.
    async fn turns(&self) -> Result<HashMap<u16, DateTime>, VerifyError> {
        self.slices(|doc| ["at", "tried"].into_iter().filter_map(|key| doc.get_datetime(key).ok().copied()).max()).await
    }

    async fn slices(&self, time: fn(&Document) -> Option<DateTime>) -> Result<HashMap<u16, DateTime>, VerifyError> {
        let filter = doc! { "_id.slice": { "$exists": true } };
        let checks = &self.engine.store.checks;
        let found: Result<Vec<Document>, StoreFault> = retrying!("reading results of verifications", async {
            checks.find(filter.clone()).await?.try_collect().await
        });
        let decode = |doc: &Document| {
            let slice = doc.get_document("_id").ok()?.get_i32("slice").ok()?;
            Some((u16::try_from(slice).ok().filter(|slice| *slice < SLICES)?, time(doc)?))
        };
        Ok(found?.iter().filter_map(decode).collect())
    }
}

struct Check<'a> {
    store: &'a Blockstore,
    causal: Causal,
    pace: Pace,
    done: VerifyProgress,
    progress: OnVerify,
    cancel: CancellationToken,
    bad: HashMap<BlockId, String>,
    /// Blocks under a key that this process does not have.
    not_verified: NotVerified,
}

impl Check<'_> {
    async fn slice(&mut self, slice: u16) -> Result<(), VerifyError> {
        let engine = &self.store.engine;
        let from = u64::from(slice) << 56;
        let mut scan = RowScan::new(from, u128::from(from) + (1 << 56));
        loop {
            let rows = scan.next(engine, &self.causal).await?;
            if rows.is_empty() {
                return Ok(());
            }
            let mut ids = Vec::new();
            for (id, row) in rows {
                match row {
                    // Known to be bad: waits for its repair.
                    Row::Good(row) if row.quarantined => {}
                    Row::Broken { quarantined: true } => {}
                    Row::Good(_) => ids.push(id),
                    Row::Broken { .. } => self.found(id, "its row in the index does not decode".into()).await?,
                }
            }
            for ids in ids.chunks(FETCH_IDS_MAX) {
                let started = Instant::now();
                self.read(ids).await?;
                self.pace.give_way(engine, started.elapsed(), &self.cancel).await?;
            }
        }
    }

    async fn read(&mut self, ids: &[BlockId]) -> Result<(), VerifyError> {
        let engine = &self.store.engine;
        let mut faults = Vec::new();
        for (id, raw) in fetch_blocks(engine, &self.causal, ids, From::Database).await? {
            match raw {
                Ok(raw) => {
                    self.done.blocks += 1;
                    self.done.bytes += raw.len() as u64;
                }
                Err(error) if error.class() == ErrorClass::Corrupt => faults.push((id, error)),
                // Encrypted under a key that this process does not have: not ours to judge, and not verified.
                Err(ReadError::NoKey { key, .. }) => self.not_verified.add(key),
                Err(error) => return Err(error.into()),
            }
        }
        if !faults.is_empty() {
            // A block that was collected meanwhile is not missing.
            let ids: Vec<_> = faults.iter().map(|(id, _)| *id).collect();
            let mut session = self.causal.session(engine.store.db.client()).await?;
            let rows = engine.store.rows(&mut session, &ids).await?;
            for (id, error) in faults.into_iter().filter(|(id, _)| rows.contains_key(id)) {
                self.found(id, error.to_string()).await?;
            }
        }
        (self.progress)(self.done);
        Ok(())
    }

    async fn found(&mut self, id: BlockId, reason: String) -> Result<(), VerifyError> {
        tracing::error!(%id, reason, "a stored block is bad: quarantined");
        self.store.quarantine(&[id]).await?;
        if self.bad.len() < BAD_NAMED_MAX {
            self.bad.insert(id, reason);
        }
        Ok(())
    }
}
