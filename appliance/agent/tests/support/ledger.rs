//! The ledger of one job in memory: the compare-and-set of the real one, every check included.

use std::collections::HashMap;

use bson::{RawDocument, RawDocumentBuf};
use holdfast_agent_api::{AppendSlice, LedgerTail, OpenChain};
use holdfast_domain::{
    BackupJobId, CloseReason, EntryBody, EntryPosition, Hash32, LedgerEntry, OpTime, PayloadRef, SliceSummary,
};

pub struct Stored {
    pub entry: LedgerEntry,
    pub summary: SliceSummary,
}

#[derive(Default)]
pub struct Ledger {
    pub entries: Vec<Stored>,
    pub payloads: HashMap<(i64, Hash32), Vec<u8>>,
    pub sources: Vec<holdfast_agent_api::SourceInfo>,
    pub details: Vec<String>,
}

/// Splits raw BSON into its documents.
pub fn split(raw: &[u8]) -> Vec<RawDocumentBuf> {
    let (mut at, mut out) = (0, Vec::new());
    while at < raw.len() {
        let length = u32::from_le_bytes(raw[at..at + 4].try_into().unwrap()) as usize;
        out.push(RawDocument::from_bytes(&raw[at..at + length]).unwrap().to_owned());
        at += length;
    }
    out
}

fn optime(raw: &RawDocument) -> OpTime {
    OpTime { ts: raw.get_timestamp("ts").unwrap().into(), term: raw.get_i64("t").unwrap_or(-1) }
}

impl Ledger {
    pub fn tail(&self) -> Option<LedgerTail> {
        let last = &self.entries.last()?.entry;
        let closed = match last.body {
            EntryBody::Close { reason } => Some(reason),
            _ => None,
        };
        Some(LedgerTail { at: last.at, hash: last.hash(), last: last.last, closed })
    }

    fn add(&mut self, entry: LedgerEntry, summary: SliceSummary) -> LedgerTail {
        self.entries.push(Stored { entry, summary });
        self.tail().unwrap()
    }

    pub fn open(&mut self, job: &BackupJobId, open: OpenChain) -> Result<LedgerTail, Option<LedgerTail>> {
        let tail = self.tail();
        if let Some(tail) = &tail
            && tail.closed.is_none()
        {
            let last = &self.entries.last().unwrap().entry;
            let same = matches!(last.body, EntryBody::Open) && last.prev == open.prev && last.first == open.start;
            return if same { Ok(tail.clone()) } else { Err(Some(tail.clone())) };
        }
        if open.prev != tail.as_ref().map_or(Hash32::ZERO, |t| t.hash) {
            return Err(tail);
        }
        self.sources.push(open.source);
        let chain = tail.map_or(0, |t| t.at.chain + 1);
        let entry = LedgerEntry {
            job: job.clone(),
            at: EntryPosition { chain, seq: 0 },
            first: open.start,
            last: open.start,
            prev: open.prev,
            body: EntryBody::Open,
        };
        Ok(self.add(entry, SliceSummary::default()))
    }

    pub fn close(
        &mut self,
        job: &BackupJobId,
        prev: Hash32,
        reason: CloseReason,
        detail: String,
    ) -> Result<LedgerTail, Option<LedgerTail>> {
        let tail = self.tail();
        match tail {
            Some(tail) if tail.closed.is_none() && tail.hash == prev => {
                self.details.push(detail);
                let at = EntryPosition { seq: tail.at.seq + 1, ..tail.at };
                let (first, last) = (tail.last, tail.last);
                let entry = LedgerEntry { job: job.clone(), at, first, last, prev, body: EntryBody::Close { reason } };
                Ok(self.add(entry, SliceSummary::default()))
            }
            other => Err(other),
        }
    }

    pub fn put(&mut self, chain: i64, hash: Hash32, raw: Vec<u8>) -> PayloadRef {
        assert_eq!(Hash32::of(&raw), hash, "the payload's hash");
        let entries = split(&raw).len() as i64;
        let payload = PayloadRef { hash, raw_bytes: raw.len() as i64, entries, day: 20_260_101 };
        self.payloads.insert((chain, hash), raw);
        payload
    }

    pub fn append(
        &mut self,
        job: &BackupJobId,
        chain: i64,
        slice: AppendSlice,
    ) -> Result<LedgerTail, Option<LedgerTail>> {
        let tail = self.tail().ok_or(None)?;
        let at = EntryPosition { chain, seq: slice.seq };
        let entry = LedgerEntry {
            job: job.clone(),
            at,
            first: slice.first,
            last: slice.last,
            prev: slice.prev,
            body: EntryBody::Slice { payload: slice.payload.clone() },
        };
        if self.entries.last().is_some_and(|last| last.entry == entry) {
            return Ok(tail); // the same again
        }
        let next = EntryPosition { chain: tail.at.chain, seq: tail.at.seq + 1 };
        if tail.closed.is_some() || at != next || slice.prev != tail.hash {
            return Err(Some(tail));
        }
        let documents =
            split(self.payloads.get(&(chain, slice.payload.hash)).expect("the payload is stored before its entry"));
        assert_eq!(documents.len() as i64, slice.payload.entries);
        assert_eq!((optime(&documents[0]), optime(documents.last().unwrap())), (slice.first, slice.last));
        if tail.at.seq == 0 {
            assert_eq!(slice.first, tail.last, "the first slice begins at the start point");
        } else {
            assert!(slice.first.ts > tail.last.ts, "{} after {}", slice.first, tail.last);
        }
        assert!(slice.payload.raw_bytes <= 4 << 20 || slice.payload.entries == 1, "a large slice is one entry");
        Ok(self.add(entry, slice.summary))
    }

    /// All entries of a chain, in order.
    pub fn oplog(&self, chain: i64) -> Vec<RawDocumentBuf> {
        let of_chain = self.entries.iter().filter(|s| s.entry.at.chain == chain);
        of_chain
            .filter_map(|s| match &s.entry.body {
                EntryBody::Slice { payload } => Some(split(&self.payloads[&(chain, payload.hash)])),
                _ => None,
            })
            .flatten()
            .collect()
    }
}
