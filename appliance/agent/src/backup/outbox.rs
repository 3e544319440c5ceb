//! Slices between the reader of the oplog and the sender: in memory while the server answers, on disk while it does not.
//!
//! Invariants: slices leave in the order in which they came, and each only after the server acknowledged it; memory and disk are bounded, and
//! at the bound the reader waits (the source's own oplog is the next buffer). One reader, one sender.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use holdfast_agent_api::LedgerTail;
use holdfast_domain::OpTime;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;

use super::{
    budget::Budget,
    cutter::OplogSlice,
    error::JobError,
    spool::{self, SpoolDir, Spooled},
};
use crate::retry::ServerHealth;

/// Nothing goes to disk before the server has failed for this long: a restart of it is not worth the writes.
const SPILL_AFTER: Duration = Duration::from_secs(2);
/// How often a waiting reader looks whether it should spill.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A slice to be sent.
pub(crate) struct Item {
    /// Its number in the order of the oplog.
    pub(crate) id: u64,
    pub(crate) last: OpTime,
    place: Place,
}

enum Place {
    Memory { slice: OplogSlice, _room: OwnedSemaphorePermit },
    Disk(Spooled),
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    next_id: u64,
    disk_bytes: u64,
    finished: bool,
}

/// The queue.
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    // Only the reader writes to disk; the lock is never held across an await.
    spool: Mutex<SpoolDir>,
    changed: Notify,
    disk_bytes_max: u64,
}

impl Outbox {
    /// Opens the queue of a chain with what its spool holds that follows `tail`. The rest is removed.
    pub(crate) fn open(dir: &Path, tail: &LedgerTail, disk_bytes_max: u64) -> Result<Self, JobError> {
        let (spool, found) = SpoolDir::open(dir)?;
        let mut queue = Queue::default();
        let mut expect = tail.last;
        let mut at_start = tail.at.seq == 0;
        for spooled in found {
            let follows =
                if at_start { spooled.first == expect } else { spooled.after == expect && spooled.last > expect };
            if follows {
                (expect, at_start) = (spooled.last, false);
                queue.disk_bytes += spooled.bytes;
                queue.push(spooled.last, Place::Disk(spooled));
            } else {
                spool::remove(&spooled.path);
            }
        }
        Ok(Self { queue: Mutex::new(queue), spool: Mutex::new(spool), changed: Notify::new(), disk_bytes_max })
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Last optime that is here already.
    pub(crate) fn last(&self) -> Option<OpTime> {
        self.queue().items.back().map(|item| item.last)
    }

    /// Bytes on disk.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.queue().disk_bytes
    }

    /// The reader adds a slice, and waits for room.
    pub(crate) async fn push(
        &self,
        slice: OplogSlice,
        budget: &Budget,
        health: &ServerHealth,
        cancel: &CancellationToken,
    ) -> Result<(), JobError> {
        loop {
            let changed = self.changed.notified();
            let spilled = self.spill(health)?;
            if spilled || self.holds(true) {
                // Behind slices on disk everything goes to disk, and never behind one in memory: a crash would leave a hole.
                if !self.holds(false) && self.has_disk_room(slice.frame.bytes.len()) {
                    let spooled = self.write(&slice)?;
                    self.add(slice.last, Place::Disk(spooled));
                    return Ok(());
                }
            } else if let Some(room) = budget.try_slice(slice.frame.bytes.len()) {
                let last = slice.last;
                self.add(last, Place::Memory { slice, _room: room });
                return Ok(());
            }
            tokio::select! {
                () = cancel.cancelled() => return Err(JobError::Cancelled),
                () = changed => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    /// Puts what is in memory on disk when the server has not answered for a while. True when it does not answer.
    pub(crate) fn spill(&self, health: &ServerHealth) -> Result<bool, JobError> {
        if health.failing().is_none_or(|(since, _)| since < SPILL_AFTER) {
            return Ok(false);
        }
        loop {
            // The oldest first, so that what is on disk never has a hole.
            let slice = self.queue().items.iter().find_map(|item| match &item.place {
                Place::Memory { slice, .. } => Some((item.id, slice.clone())),
                Place::Disk(_) => None,
            });
            let Some((id, slice)) = slice else { return Ok(true) };
            if !self.has_disk_room(slice.frame.bytes.len()) {
                return Ok(true);
            }
            let spooled = self.write(&slice)?;
            let mut queue = self.queue();
            match queue.items.iter().position(|item| item.id == id) {
                Some(at) => {
                    queue.disk_bytes += spooled.bytes;
                    queue.items[at].place = Place::Disk(spooled);
                }
                None => spool::remove(&spooled.path), // acknowledged meanwhile
            }
        }
    }

    fn holds(&self, on_disk: bool) -> bool {
        self.queue().items.iter().any(|item| matches!(item.place, Place::Disk(_)) == on_disk)
    }

    fn has_disk_room(&self, bytes: usize) -> bool {
        self.queue().disk_bytes + bytes as u64 <= self.disk_bytes_max
    }

    fn write(&self, slice: &OplogSlice) -> Result<Spooled, JobError> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner).write(slice)
    }

    fn add(&self, last: OpTime, place: Place) {
        let mut queue = self.queue();
        if let Place::Disk(spooled) = &place {
            queue.disk_bytes += spooled.bytes;
        }
        queue.push(last, place);
        drop(queue);
        self.changed.notify_waiters();
    }

    /// The reader will add no more.
    pub(crate) fn finish(&self) {
        self.queue().finished = true;
        self.changed.notify_waiters();
    }

    /// True when all was sent and no more will come.
    pub(crate) fn drained(&self) -> bool {
        let queue = self.queue();
        queue.finished && queue.items.is_empty()
    }

    /// Waits until something was added, acknowledged or finished. The caller must create it before it looks.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    /// Number of the first slice whose number is at least `from`.
    pub(crate) fn next_from(&self, from: u64) -> Option<u64> {
        self.queue().items.iter().map(|item| item.id).find(|id| *id >= from)
    }

    /// Size of the slice's file; None when it is in memory or gone.
    pub(crate) fn size_on_disk(&self, id: u64) -> Option<usize> {
        match &self.queue().items.iter().find(|item| item.id == id)?.place {
            Place::Disk(spooled) => usize::try_from(spooled.bytes).ok(),
            Place::Memory { .. } => None,
        }
    }

    /// The slice with its bytes. None: acknowledged meanwhile. Blocking when it is on disk.
    pub(crate) fn load(&self, id: u64) -> Result<Option<OplogSlice>, JobError> {
        let spooled = match self.queue().items.iter().find(|item| item.id == id).map(|item| &item.place) {
            None => return Ok(None),
            Some(Place::Memory { slice, .. }) => return Ok(Some(slice.clone())),
            Some(Place::Disk(spooled)) => spooled.clone(),
        };
        spool::read(&spooled).map(Some)
    }

    /// Everything up to and with `id` is acknowledged.
    pub(crate) fn acknowledge(&self, id: u64) {
        let mut queue = self.queue();
        while queue.items.front().is_some_and(|item| item.id <= id) {
            if let Some(Item { place: Place::Disk(spooled), .. }) = queue.items.pop_front() {
                queue.disk_bytes = queue.disk_bytes.saturating_sub(spooled.bytes);
                spool::remove(&spooled.path);
            }
        }
        drop(queue);
        self.changed.notify_waiters();
    }

    /// The number of the slice that ends at `last`.
    pub(crate) fn ending_at(&self, last: OpTime) -> Option<u64> {
        self.queue().items.iter().find(|item| item.last == last).map(|item| item.id)
    }
}

impl Queue {
    fn push(&mut self, last: OpTime, place: Place) {
        let id = self.next_id;
        self.next_id += 1;
        self.items.push_back(Item { id, last, place });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use holdfast_domain::{EntryPosition, Hash32};

    use super::{
        super::spool::tests::{at, slice},
        *,
    };
    use crate::{retry::until_done, transport::TransportError};

    fn tail(seq: i64, last: u32) -> LedgerTail {
        LedgerTail { at: EntryPosition { chain: 0, seq }, hash: Hash32::ZERO, last: at(last), closed: None }
    }

    async fn fail(health: &ServerHealth) {
        let failed = || async { Err::<(), _>(TransportError::Timeout { host: "x".into(), after: Duration::ZERO }) };
        let _ = until_done("test", &CancellationToken::new(), health, Some(1), failed).await;
    }

    #[tokio::test]
    async fn an_outage_goes_to_disk_in_order_and_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let (budget, cancel, health) = (Budget::default(), CancellationToken::new(), ServerHealth::default());
        let outbox = Outbox::open(dir.path(), &tail(3, 1), 1 << 20).unwrap();
        outbox.push(slice(2, 9, 100), &budget, &health, &cancel).await.unwrap();
        assert_eq!(outbox.disk_bytes(), 0, "the server answers");
        fail(&health).await;
        tokio::time::sleep(SPILL_AFTER).await;
        for n in 1..4 {
            outbox.push(slice(n * 10, n * 10 + 9, 100), &budget, &health, &cancel).await.unwrap();
        }
        assert!(outbox.disk_bytes() > 400);
        drop(outbox);
        let again = Outbox::open(dir.path(), &tail(3, 1), 1 << 20).unwrap();
        assert_eq!(again.last(), Some(at(39)));
        assert_eq!(again.load(0).unwrap().unwrap().first, at(2));
        again.acknowledge(0);
        drop(again);
        let again = Outbox::open(dir.path(), &tail(4, 9), 1 << 20).unwrap();
        assert_eq!((again.ending_at(at(19)), again.last()), (Some(0), Some(at(39))));
        drop(again);
        let other = Outbox::open(dir.path(), &tail(4, 15), 1 << 20).unwrap();
        assert_eq!((other.last(), other.disk_bytes()), (None, 0), "what does not follow the ledger is discarded");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn at_the_bound_the_reader_waits() {
        let dir = tempfile::tempdir().unwrap();
        let (budget, cancel, health) = (Budget::default(), CancellationToken::new(), ServerHealth::default());
        fail(&health).await;
        tokio::time::sleep(SPILL_AFTER).await;
        let outbox = Outbox::open(dir.path(), &tail(0, 2), 6000).unwrap();
        outbox.push(slice(2, 9, 4000), &budget, &health, &cancel).await.unwrap();
        let second = outbox.push(slice(10, 19, 4000), &budget, &health, &cancel);
        let waited = tokio::time::timeout(Duration::from_millis(600), second).await;
        assert!(waited.is_err() && outbox.last() == Some(at(9)));
        let second = outbox.push(slice(10, 19, 4000), &budget, &health, &cancel);
        let (pushed, ()) = tokio::join!(second, async { outbox.acknowledge(0) });
        pushed.unwrap();
        assert_eq!(outbox.next_from(0), Some(1));
    }
}
