//! Who needs which bytes: unique, shared and logical bytes per snapshot, and what would be freed if any set of snapshots were gone.
//!
//! Invariants: exact for the moment at which it was taken: every block is counted once, under the exact set of snapshots that reach it. Kept in
//! `usage` under the number of the account, its header last, so that a reader sees a whole one or the one before.

use std::collections::{HashMap, HashSet};

use bson::{Bson, DateTime, Document, doc};
use futures::TryStreamExt;

use super::CollectError;
use super::classes::{Classes, Ranges};
use super::writers::Found;
use crate::error::{RootError, StoreFault};
use crate::id::RootId;
use crate::stats::number;
use crate::store::{BlockRow, Store};
use crate::txn::retrying;

const ACCOUNT_ID: &str = "account";
/// Ranges in one stored document, at most: far below 16 MB.
const CHUNK_RANGES: usize = 100_000;
/// Classes in one stored document, at most.
const CHUNK_CLASSES: usize = 10_000;

/// Blocks (nodes and pages included) and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// Distinct blocks.
    pub blocks: u64,
    /// Their raw bytes.
    pub raw_bytes: u64,
    /// Bytes of their stored frames: what is freed when they go.
    pub stored_bytes: u64,
}

impl Amount {
    pub(crate) fn count(&mut self, row: &BlockRow) {
        self.add(Self { blocks: 1, raw_bytes: u64::from(row.raw_len), stored_bytes: u64::from(row.frame_len) });
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.blocks += other.blocks;
        self.raw_bytes += other.raw_bytes;
        self.stored_bytes += other.stored_bytes;
    }

    pub(super) fn encode(self) -> Document {
        let signed = |n| i64::try_from(n).unwrap_or(i64::MAX);
        doc! { "b": signed(self.blocks), "w": signed(self.raw_bytes), "s": signed(self.stored_bytes) }
    }

    pub(super) fn decode(document: &Document) -> Self {
        Self { blocks: number(document, "b"), raw_bytes: number(document, "w"), stored_bytes: number(document, "s") }
    }
}

/// What one snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotUsage {
    /// The snapshot.
    pub id: RootId,
    /// Its job.
    pub job: String,
    /// Wall clock of its writer.
    pub committed_at: DateTime,
    /// Whether it lay in the trash.
    pub trashed: bool,
    /// Sum of the sizes of its files in bytes.
    pub logical_bytes: u64,
    /// What no other snapshot reaches: freed if it alone were gone.
    pub unique: Amount,
    /// What other snapshots reach too.
    pub shared: Amount,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// When it was taken, wall clock.
    pub at: DateTime,
    /// `gc.epoch` at that time.
    pub epoch: i64,
    /// All snapshots, trash included, by job and commit.
    pub snapshots: Vec<SnapshotUsage>,
    /// What any snapshot reaches.
    pub live: Amount,
    /// What none reaches and a run would free now.
    pub garbage: Amount,
    /// What none reaches, but a writer that was registered may be using.
    pub held: Amount,
    classes: Vec<(Ranges, Amount)>,
}

impl Account {
    pub(crate) fn new((at, epoch): (DateTime, i64), roots: &[Found], classes: &Classes, tally: &Tally) -> Self {
        let classes = tally.by_class.iter().map(|(class, amount)| (classes.ranges(*class), *amount)).collect();
        let snapshots = roots.iter().map(|root| SnapshotUsage {
            id: root.id,
            job: root.job.clone(),
            committed_at: root.committed_at,
            trashed: root.trashed_at.is_some(),
            logical_bytes: root.logical_bytes,
            unique: Amount::default(),
            shared: Amount::default(),
        });
        let mut account = Self {
            at,
            epoch,
            snapshots: snapshots.collect(),
            live: Amount::default(),
            garbage: tally.garbage,
            held: tally.held,
            classes,
        };
        account.classes.sort_by(|a, b| a.0.cmp(&b.0));
        account.sum_up();
        account
    }

    fn sum_up(&mut self) {
        for (ranges, amount) in &self.classes {
            self.live.add(*amount);
            let is_unique = matches!(ranges[..], [(from, to)] if to - from == 1);
            for (from, to) in ranges.iter() {
                let (from, to) = (*from as usize, (*to as usize).min(self.snapshots.len()));
                for snapshot in self.snapshots.get_mut(from..to).unwrap_or_default() {
                    if is_unique { snapshot.unique.add(*amount) } else { snapshot.shared.add(*amount) }
                }
            }
        }
    }

    /// What would be freed if these snapshots were gone, beyond `garbage`: exact for the moment of the account. Snapshots that it does not know
    /// free nothing.
    #[must_use]
    pub fn freed_if(&self, gone: &[RootId]) -> Amount {
        let gone: HashSet<_> = gone.iter().collect();
        let is_gone: Vec<bool> = self.snapshots.iter().map(|snapshot| gone.contains(&snapshot.id)).collect();
        let mut freed = Amount::default();
        for (ranges, amount) in &self.classes {
            let mut indices = ranges.iter().flat_map(|(from, to)| *from..*to);
            if indices.all(|index| is_gone.get(index as usize).copied().unwrap_or(false)) {
                freed.add(*amount);
            }
        }
        freed
    }

    /// Keeps it as the last one.
    pub(crate) async fn save(&self, store: &Store) -> Result<(), CollectError> {
        let run = RootId::random().to_string();
        let mut chunk = Vec::new();
        let (mut ranges_held, mut number) = (0, 0_i64);
        let mut rest = self.classes.iter().peekable();
        while let Some((ranges, amount)) = rest.next() {
            let mut class = amount.encode();
            let flat = ranges.iter().flat_map(|(from, to)| [i64::from(*from), i64::from(*to)]);
            class.insert("r", flat.map(Bson::Int64).collect::<Vec<_>>());
            chunk.push(Bson::Document(class));
            ranges_held += ranges.len();
            if chunk.len() >= CHUNK_CLASSES || ranges_held >= CHUNK_RANGES || rest.peek().is_none() {
                let id = doc! { "run": &run, "n": number };
                let document = doc! { "_id": id.clone(), "classes": std::mem::take(&mut chunk) };
                let is_chunk = doc! { "_id": id };
                retrying!("keeping the account", store.usage.replace_one(is_chunk.clone(), &document).upsert(true))?;
                ranges_held = 0;
                number += 1;
            }
        }
        let signed = |n| i64::try_from(n).unwrap_or(i64::MAX);
        let snapshots = self.snapshots.iter().map(|snapshot| {
            Bson::Document(doc! {
                "id": snapshot.id.to_string(),
                "job": &snapshot.job,
                "committedAt": snapshot.committed_at,
                "trashed": snapshot.trashed,
                "logical": signed(snapshot.logical_bytes),
            })
        });
        let header = doc! {
            "_id": ACCOUNT_ID,
            "run": &run,
            "at": self.at,
            "epoch": self.epoch,
            "garbage": self.garbage.encode(),
            "held": self.held.encode(),
            "chunks": number,
            "snapshots": snapshots.collect::<Vec<_>>(),
        };
        let is_header = doc! { "_id": ACCOUNT_ID };
        retrying!("keeping the account", store.usage.replace_one(is_header.clone(), &header).upsert(true))?;
        let older = doc! { "_id.run": { "$exists": true, "$ne": &run } };
        retrying!("dropping the account before", store.usage.delete_many(older.clone()))?;
        Ok(())
    }

    /// The last one that was kept.
    pub(crate) async fn load(store: &Store) -> Result<Option<Self>, CollectError> {
        let bad = || CollectError::Root(RootError::BadDocument("usage"));
        let header = retrying!("reading the account", store.usage.find_one(doc! { "_id": ACCOUNT_ID }))?;
        let Some(header) = header else { return Ok(None) };
        let run = header.get_str("run").map_err(|_| bad())?;
        let filter = doc! { "_id.run": run };
        let found: Result<Vec<Document>, StoreFault> =
            retrying!("reading the account", async { store.usage.find(filter.clone()).await?.try_collect().await });
        let found = found?;
        if found.len() as u64 != number(&header, "chunks") {
            // Replaced between the two reads; the next reader finds the new one.
            return Ok(None);
        }
        let mut classes = Vec::new();
        for chunk in &found {
            for class in chunk.get_array("classes").map_err(|_| bad())? {
                let class = class.as_document().ok_or_else(bad)?;
                let flat: Option<Vec<u32>> = class
                    .get_array("r")
                    .map_err(|_| bad())?
                    .iter()
                    .map(|n| n.as_i64().and_then(|n| u32::try_from(n).ok()))
                    .collect();
                let flat = flat.filter(|flat| flat.len() % 2 == 0).ok_or_else(bad)?;
                let ranges: Ranges = flat.chunks(2).map(|pair| (pair[0], pair[1])).collect();
                classes.push((ranges, Amount::decode(class)));
            }
        }
        classes.sort_by(|a, b| a.0.cmp(&b.0));
        let snapshot = |one: &Bson| {
            let one = one.as_document()?;
            Some(SnapshotUsage {
                id: one.get_str("id").ok()?.parse().ok()?,
                job: one.get_str("job").ok()?.to_owned(),
                committed_at: *one.get_datetime("committedAt").ok()?,
                trashed: one.get_bool("trashed").ok()?,
                logical_bytes: number(one, "logical"),
                unique: Amount::default(),
                shared: Amount::default(),
            })
        };
        let snapshots: Option<Vec<_>> =
            header.get_array("snapshots").map_err(|_| bad())?.iter().map(snapshot).collect();
        let amount = |field| header.get_document(field).map(Amount::decode).map_err(|_| bad());
        let mut account = Self {
            at: *header.get_datetime("at").map_err(|_| bad())?,
            epoch: header.get_i64("epoch").map_err(|_| bad())?,
            snapshots: snapshots.ok_or_else(bad)?,
            live: Amount::default(),
            garbage: amount("garbage")?,
            held: amount("held")?,
            classes,
        };
        account.sum_up();
        Ok(Some(account))
    }
}

/// Sums while the index is scanned.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) by_class: HashMap<u32, Amount>,
    pub(crate) garbage: Amount,
    pub(crate) held: Amount,
    /// Rows that stay, per registration in their places: what the sweep compares with.
    pub(crate) by_writer: HashMap<RootId, u64>,
}

impl Tally {
    pub(crate) fn stays(&mut self, row: &BlockRow) {
        *self.by_writer.entry(row.at.writer).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::id::BlockId;

    #[test]
    fn sums_by_sets_answer_every_question() {
        let root = |_| Found {
            id: RootId::random(),
            job: "job".into(),
            committed_at: DateTime::now(),
            tree: BlockId::of(b"tree"),
            logical_bytes: 7,
            trashed_at: None,
            is_pinned: false,
            is_sealed: true,
        };
        let roots: Vec<_> = (0..3).map(root).collect();
        let mut classes = Classes::default();
        let single: Vec<_> = (0..3).map(|index| classes.single(index)).collect();
        let outer = classes.union(single[0], single[2]);
        let mut tally = Tally::default();
        let amount = |bytes| Amount { blocks: 1, raw_bytes: bytes * 2, stored_bytes: bytes };
        for (class, bytes) in [(single[0], 1), (single[1], 10), (outer, 100)] {
            tally.by_class.insert(class, amount(bytes));
        }
        let account = Account::new((DateTime::now(), 3), &roots, &classes, &tally);
        let freed = |indices: &[usize]| {
            account.freed_if(&indices.iter().map(|index| roots[*index].id).collect::<Vec<_>>()).stored_bytes
        };
        assert_eq!(freed(&[]), 0);
        assert_eq!([freed(&[0]), freed(&[1]), freed(&[2])], [1, 10, 0]);
        assert_eq!([freed(&[0, 2]), freed(&[0, 1, 2]), freed(&[1, 2])], [101, 111, 10]);
        assert_eq!(account.live.stored_bytes, 111);
        let usage: Vec<_> =
            account.snapshots.iter().map(|one| (one.unique.stored_bytes, one.shared.stored_bytes)).collect();
        assert_eq!(usage, [(1, 100), (10, 0), (0, 100)]);
    }
}
