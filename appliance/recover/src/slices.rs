//! The ledger from a snapshot on, one run of oplog entries after the other.
//!
//! Invariants: entries come in sequence, each checked by its hash and by the entry before it, across segments too; a payload is given out
//! only when its hash and length are the entry's. The next segment is fetched while one is applied; no more is held.

use std::collections::VecDeque;

use blockstore_engine::{Aside, Keyring};
use holdfast_domain::{BackupJobId, EntryBody, Hash32, LedgerEntry, OpTime};
use holdfast_head::{Run, Runs};
use holdfast_ledger::{Ledger, LedgerError, Segment, SegmentName, StoredEntry, follows, path};
use tokio_util::task::AbortOnDropHandle;

use crate::{RecoverFault, Source, contents::Backup, source::Kind};

/// Entries read from the database at once.
const ENTRIES_PER_READ: i64 = 32;

/// See the module.
pub(crate) struct Slices {
    from: From,
    next: i64,
    before: Option<(LedgerEntry, Hash32)>,
    /// Where the last entry that was given out ends.
    pub(crate) good: Option<OpTime>,
}

type Fetching = AbortOnDropHandle<Result<Segment, RecoverFault>>;

enum From {
    Database {
        ledger: Ledger,
        job: BackupJobId,
        chain: i64,
        read: VecDeque<StoredEntry>,
    },
    Segments {
        aside: Aside,
        keys: Keyring,
        names: VecDeque<SegmentName>,
        /// The one that is fetched ahead.
        ahead: Option<Fetching>,
        open: Option<(Segment, usize)>,
    },
}

impl Source {
    /// The ledger of a backup from this entry on.
    pub(crate) fn slices(&self, backup: &Backup, chain: i64, from_seq: i64) -> Slices {
        let from = match &self.kind {
            Kind::Database { ledger, .. } => {
                From::Database { ledger: ledger.clone(), job: backup.job.clone(), chain, read: VecDeque::new() }
            }
            Kind::Packs { aside, .. } => From::Segments {
                aside: aside.clone(),
                keys: self.keys.clone(),
                names: path(&backup.segments, chain, from_seq).into(),
                ahead: None,
                open: None,
            },
        };
        Slices { from, next: from_seq, before: None, good: None }
    }
}

/// Fetches and decodes a segment.
pub(crate) async fn fetch(aside: &Aside, name: &SegmentName) -> Result<Segment, RecoverFault> {
    let text = name.to_string();
    match aside.get(&text).await? {
        Some(bytes) => Ok(Segment::decode(name, bytes)?),
        None => Err(LedgerError::Missing { what: text }.into()),
    }
}

impl Slices {
    /// The next entry with its raw bytes.
    async fn entry(&mut self) -> Result<Option<(StoredEntry, Vec<u8>)>, RecoverFault> {
        let next = self.next;
        match &mut self.from {
            From::Database { ledger, job, chain, read } => {
                if read.is_empty() {
                    *read = ledger.entries(job, *chain, next, ENTRIES_PER_READ).await?.into();
                }
                let Some(stored) = read.pop_front() else { return Ok(None) };
                let raw = match &stored.entry.body {
                    EntryBody::Slice { payload } => ledger.read_payload(job, *chain, payload).await?,
                    _ => Vec::new(),
                };
                Ok(Some((stored, raw)))
            }
            From::Segments { aside, keys, names, ahead, open } => loop {
                if let Some((segment, at)) = open {
                    let found = segment.entries().nth(*at).cloned().zip(segment.raw(*at, keys));
                    *at += 1;
                    match found {
                        // Segments may overlap.
                        Some((stored, _)) if stored.entry.at.seq < next => continue,
                        Some((stored, raw)) => return Ok(Some((stored, raw?))),
                        None => *open = None,
                    }
                }
                let fetching = match ahead.take().or_else(|| begin(aside, names)) {
                    Some(fetching) => fetching,
                    None => return Ok(None),
                };
                *ahead = begin(aside, names);
                let segment = fetching.await.map_err(|error| {
                    let source = std::io::Error::other(error);
                    RecoverFault::Io { what: "fetch a part of", path: "the ledger".into(), source }
                })??;
                *open = Some((segment, 0));
            },
        }
    }
}

fn begin(aside: &Aside, names: &mut VecDeque<SegmentName>) -> Option<Fetching> {
    let (name, aside) = (names.pop_front()?, aside.clone());
    Some(AbortOnDropHandle::new(tokio::spawn(async move { fetch(&aside, &name).await })))
}

impl Runs for Slices {
    type Error = RecoverFault;

    async fn next(&mut self) -> Result<Option<Run>, RecoverFault> {
        let Some((stored, raw)) = self.entry().await? else { return Ok(None) };
        let StoredEntry { entry, hash, .. } = stored;
        match &self.before {
            Some((before, before_hash)) => follows(before, *before_hash, &entry)?,
            None if entry.at.seq != self.next => {
                let what = format!("entry {}/{} of {}", entry.at.chain, self.next, entry.job);
                return Err(LedgerError::Missing { what }.into());
            }
            None => {}
        }
        self.next = entry.at.seq + 1;
        self.good = Some(entry.last);
        let run = Run { first: entry.first, last: entry.last, raw, closes: entry.closes() };
        self.before = Some((entry, hash));
        Ok(Some(run))
    }
}
