//! A run of ledger entries with their payloads as one object, so that an object store alone can restore an instant. Pure.
//!
//! Invariants: a segment holds consecutive entries of one chain, each with its hash and its place in the hash chain, each slice with its
//! zstd frame as the ledger keeps it; what does not fit together is refused whole. Its name says what is in it, so that a listing alone
//! tells which seconds can be restored; nothing is restored on the name's word. `docs/mirror.md` draws names and bytes.
//! Written by the daemon's mirror, read by recovery.

use std::{fmt, ops::Range, str::FromStr};

use blockstore_engine::{KeyId, Keyring};
use bson::Document;
use holdfast_domain::{BackupJobId, EntryBody, EntryPosition, Hash32, LedgerEntry, Ts};
use serde::{Deserialize, Serialize};

use crate::{LedgerError, SliceFrame, StoredEntry, payload::verified, seal::Seal};

/// First bytes of a segment: name and version.
const MAGIC: [u8; 4] = *b"HFL\x01";
/// Frames of one segment end with the one that reaches this, in bytes: a request is short, and few are needed for a busy source.
pub const SEGMENT_FRAMES_BYTES: usize = 8 << 20;
/// Entries of a segment at most: bounds its header to some MB.
pub const SEGMENT_ENTRIES_MAX: usize = 1000;
/// Largest header that is read, in bytes.
const HEADER_BYTES_MAX: usize = 32 << 20;
/// Folder of the segments of all jobs.
const FOLDER: &str = "ledger";
/// Folder of what is known of the jobs.
const FACTS_FOLDER: &str = "jobs";

/// What a segment's name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentName {
    /// Whose ledger.
    pub job: BackupJobId,
    /// Number of the chain.
    pub chain: i64,
    /// First entry.
    pub first: i64,
    /// Last entry.
    pub last: i64,
    /// Cluster time of the last oplog entry in it.
    pub end: Ts,
    /// Bytes of the segment.
    pub bytes: u64,
}

impl SegmentName {
    /// Folder of a job's segments.
    #[must_use]
    pub fn folder(job: &BackupJobId) -> String {
        format!("{FOLDER}/{job}")
    }

    /// Folder of all segments.
    #[must_use]
    pub const fn root() -> &'static str {
        FOLDER
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { job, chain, first, last, end, bytes } = self;
        write!(f, "{FOLDER}/{job}/{chain:08x}/{first:012x}-{last:012x}-{:08x}{:08x}-{bytes:08x}.seg", end.t, end.i)
    }
}

/// The name is not a segment's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the name is not that of a part of a ledger")]
pub struct NotASegment;

impl FromStr for SegmentName {
    type Err = NotASegment;

    fn from_str(name: &str) -> Result<Self, NotASegment> {
        let parsed = || {
            let rest = name.strip_prefix(FOLDER)?.strip_prefix('/')?.strip_suffix(".seg")?;
            let mut parts = rest.split('/');
            let (job, chain, run) = (parts.next()?, parts.next()?, parts.next()?);
            let fields: Vec<&str> = run.split('-').collect();
            let [first, last, end, bytes] = fields[..] else { return None };
            let number = |text: &str| i64::from_str_radix(text, 16).ok();
            let end = u64::from_str_radix(end, 16).ok()?;
            let found = Self {
                job: job.parse().ok()?,
                chain: number(chain)?,
                first: number(first)?,
                last: number(last)?,
                end: Ts { t: u32::try_from(end >> 32).ok()?, i: u32::try_from(end & 0xffff_ffff).ok()? },
                bytes: u64::from_str_radix(bytes, 16).ok()?,
            };
            // One name for one segment.
            (parts.next().is_none() && found.first <= found.last && found.to_string() == name).then_some(found)
        };
        parsed().ok_or(NotASegment)
    }
}

/// What is known of a job besides its ledger: for people who look for a backup without the app database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobFacts {
    /// The job.
    pub job: BackupJobId,
    /// Id of its group.
    pub group: String,
    /// Name of the group.
    pub group_name: String,
    /// Id of the deployment.
    pub deployment: String,
    /// Name of the replica set.
    pub rs: String,
}

impl JobFacts {
    /// Name of their object.
    #[must_use]
    pub fn name(job: &BackupJobId) -> String {
        format!("{FACTS_FOLDER}/{job}.json")
    }

    /// Folder of all of them.
    #[must_use]
    pub const fn folder() -> &'static str {
        FACTS_FOLDER
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    entries: Vec<Line>,
}

/// One entry in the header. Takes unknown fields.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    entry: LedgerEntry,
    hash: Hash32,
    received_at: bson::DateTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<Document>,
    /// Bytes of its frame; 0: it has none.
    frame_bytes: i64,
    /// Key with which the slice is named in the entry, where the group encrypts. The frame itself is as it was received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<KeyId>,
}

/// Collects a segment.
#[derive(Default)]
pub struct SegmentBuilder {
    lines: Vec<Line>,
    frames: Vec<u8>,
}

impl SegmentBuilder {
    /// Adds the next entry, with its frame when it is a slice, and with what the source was when it opens a chain.
    ///
    /// # Errors
    /// [`LedgerError::Corrupt`] when it does not follow the one before.
    pub fn push(
        &mut self,
        stored: &StoredEntry,
        source: Option<Document>,
        frame: Option<&SliceFrame>,
    ) -> Result<(), LedgerError> {
        if let Some(before) = self.lines.last() {
            follows(&before.entry, before.hash, &stored.entry)?;
        }
        let bytes = frame.map_or(0, |frame| frame.bytes.len());
        let key = frame.and_then(|frame| frame.key);
        self.lines.push(Line {
            entry: stored.entry.clone(),
            hash: stored.hash,
            received_at: stored.received_at,
            detail: stored.detail.clone(),
            source,
            frame_bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
            key,
        });
        if let Some(frame) = frame {
            self.frames.extend_from_slice(&frame.bytes);
        }
        Ok(())
    }

    /// True when nothing more should be added.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.lines.len() >= SEGMENT_ENTRIES_MAX || self.frames.len() >= SEGMENT_FRAMES_BYTES
    }

    /// The last entry, and its hash.
    #[must_use]
    pub fn last(&self) -> Option<(&LedgerEntry, Hash32)> {
        self.lines.last().map(|line| (&line.entry, line.hash))
    }

    /// Name and bytes; `None` when nothing was added.
    ///
    /// # Errors
    /// [`LedgerError::Form`], never with entries of a ledger.
    pub fn finish(self) -> Result<Option<(SegmentName, Vec<u8>)>, LedgerError> {
        let (Some(first), Some(last)) = (self.lines.first(), self.lines.last()) else { return Ok(None) };
        let (job, at, from, end) = (last.entry.job.clone(), last.entry.at, first.entry.at.seq, last.entry.last.ts);
        let form = |source| LedgerError::Form { op: "describe a part of the ledger", source };
        let header = bson::serialize_to_vec(&Header { entries: self.lines }).map_err(form)?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&u32::try_from(header.len()).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(&self.frames);
        let name = SegmentName { job, chain: at.chain, first: from, last: at.seq, end, bytes: bytes.len() as u64 };
        Ok(Some((name, bytes)))
    }
}

/// A segment that was read: every entry has its hash and follows the one before.
#[derive(Debug)]
pub struct Segment {
    entries: Vec<Copied>,
    bytes: bytes::Bytes,
}

/// One entry of a segment.
#[derive(Debug)]
struct Copied {
    stored: StoredEntry,
    source: Option<Document>,
    frame: Range<usize>,
    key: Option<KeyId>,
}

impl Segment {
    /// Reads the segment that this name promises.
    ///
    /// # Errors
    /// [`LedgerError::Corrupt`].
    pub fn decode(name: &SegmentName, bytes: bytes::Bytes) -> Result<Self, LedgerError> {
        let corrupt = |detail: &str| LedgerError::Corrupt { what: name.to_string(), detail: detail.to_owned() };
        if bytes.len() as u64 != name.bytes || bytes.len() < 8 || !bytes.starts_with(&MAGIC) {
            return Err(corrupt("it is torn, or something else"));
        }
        let header_bytes = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        let frames_at = usize::try_from(header_bytes).ok().filter(|n| *n <= HEADER_BYTES_MAX).map(|n| n + 8);
        let frames_at = frames_at.filter(|at| *at <= bytes.len()).ok_or_else(|| corrupt("its header is cut off"))?;
        let header: Header =
            bson::deserialize_from_slice(&bytes[8..frames_at]).map_err(|_| corrupt("its header does not decode"))?;
        let mut entries: Vec<Copied> = Vec::with_capacity(header.entries.len());
        let mut at = frames_at;
        for line in header.entries {
            let Line { entry, hash, received_at, detail, source, frame_bytes, key } = line;
            if entry.hash() != hash || entry.job != name.job || entry.at.chain != name.chain {
                return Err(corrupt("an entry is not the one that was hashed"));
            }
            if let Some(Copied { stored: before, .. }) = entries.last() {
                follows(&before.entry, before.hash, &entry)?;
            }
            let end = usize::try_from(frame_bytes).ok().and_then(|n| at.checked_add(n)).filter(|n| *n <= bytes.len());
            let end = end.ok_or_else(|| corrupt("a payload is cut off"))?;
            let stored = StoredEntry { entry, hash, summary: Default::default(), received_at, detail };
            entries.push(Copied { stored, source, frame: at..end, key });
            at = end;
        }
        let ends = entries.first().zip(entries.last()).map(|(a, b)| (a.stored.entry.at.seq, b.stored.entry.at.seq));
        if at != bytes.len() || ends != Some((name.first, name.last)) {
            return Err(corrupt("it does not hold what its name says"));
        }
        Ok(Self { entries, bytes })
    }

    /// The entries, in order.
    pub fn entries(&self) -> impl Iterator<Item = &StoredEntry> {
        self.entries.iter().map(|copied| &copied.stored)
    }

    /// What the source was, of the entry that opens the chain.
    #[must_use]
    pub fn source(&self) -> Option<&Document> {
        self.entries.iter().find_map(|copied| copied.source.as_ref())
    }

    /// Raw BSON of the slice at this place in the segment: its length and hash are what the entry says. Empty for an entry that is no
    /// slice. `None`: there are fewer entries. `keys` is needed where the group encrypts.
    ///
    /// # Errors
    /// [`LedgerError::Corrupt`], [`LedgerError::NoKey`].
    pub fn raw(&self, index: usize, keys: &Keyring) -> Option<Result<Vec<u8>, LedgerError>> {
        let Copied { stored, frame, key, .. } = self.entries.get(index)?;
        let EntryBody::Slice { payload } = &stored.entry.body else { return Some(Ok(Vec::new())) };
        let EntryPosition { chain, seq } = stored.entry.at;
        let what = format!("payload of slice {chain}/{seq} of {}", stored.entry.job);
        Some(verified(&self.bytes[frame.clone()], payload.raw_bytes, payload.hash, Seal::new(keys, *key), what))
    }
}

/// Refuses an entry that does not come directly after another.
///
/// # Errors
/// [`LedgerError::Corrupt`].
pub fn follows(before: &LedgerEntry, hash: Hash32, entry: &LedgerEntry) -> Result<(), LedgerError> {
    let detail = if entry.prev != hash {
        "it names another predecessor"
    } else if entry.at.chain != before.at.chain || entry.at.seq != before.at.seq + 1 {
        "entries are missing before it"
    } else if before.closes() {
        "it follows the end of its chain"
    } else {
        return Ok(());
    };
    let what = format!("entry {}/{} of {}", entry.at.chain, entry.at.seq, entry.job);
    Err(LedgerError::Corrupt { what, detail: detail.to_owned() })
}

/// Segments of one chain that lead from `from` on without a gap, in order, each as far as any goes.
#[must_use]
pub fn path(names: &[SegmentName], chain: i64, from: i64) -> Vec<SegmentName> {
    let mut of_chain: Vec<&SegmentName> = names.iter().filter(|name| name.chain == chain).collect();
    of_chain.sort_by_key(|name| name.first);
    let (mut next, mut at, mut out) = (from, 0, Vec::new());
    loop {
        let mut best: Option<&SegmentName> = None;
        while let Some(name) = of_chain.get(at).filter(|name| name.first <= next) {
            best = if best.is_none_or(|best| best.last < name.last) { Some(name) } else { best };
            at += 1;
        }
        match best.filter(|best| best.last >= next) {
            Some(best) => {
                next = best.last + 1;
                out.push(best.clone());
            }
            None => return out,
        }
    }
}

/// An unbroken stretch of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Number of the chain.
    pub chain: i64,
    /// First entry.
    pub first: i64,
    /// Last entry.
    pub last: i64,
    /// Cluster time of its last oplog entry.
    pub end: Ts,
}

/// Unbroken stretches of the chains of one job, oldest first: a chain with a gap gives several.
#[must_use]
pub fn stretches(names: &[SegmentName]) -> Vec<Stretch> {
    let mut sorted: Vec<&SegmentName> = names.iter().collect();
    sorted.sort_by_key(|name| (name.chain, name.first));
    let mut out: Vec<Stretch> = Vec::new();
    for name in sorted {
        match out.last_mut() {
            Some(one) if one.chain == name.chain && name.first <= one.last + 1 => {
                one.end = one.end.max(name.end);
                one.last = one.last.max(name.last);
            }
            _ => out.push(Stretch { chain: name.chain, first: name.first, last: name.last, end: name.end }),
        }
    }
    out
}

/// Stretches of `first..=last` of a chain that no segment holds.
#[must_use]
pub fn gaps(names: &[SegmentName], chain: i64, first: i64, last: i64) -> Vec<Range<i64>> {
    let mut of_chain: Vec<&SegmentName> = names.iter().filter(|name| name.chain == chain).collect();
    of_chain.sort_by_key(|name| name.first);
    let (mut next, mut out) = (first, Vec::new());
    for name in of_chain {
        if name.first > next {
            out.push(next..name.first.min(last + 1));
        }
        next = next.max(name.last + 1);
        if next > last {
            break;
        }
    }
    if next <= last {
        out.push(next..last + 1);
    }
    out.retain(|gap| !gap.is_empty());
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use holdfast_domain::{CloseReason, OpTime, PayloadRef};

    use super::*;
    use crate::compress;

    fn job() -> BackupJobId {
        "0123456789abcdef01234567".parse().unwrap()
    }

    fn optime(t: u32) -> OpTime {
        OpTime { ts: Ts { t, i: 1 }, term: 1 }
    }

    /// An opening entry, slices, a closing entry.
    fn chain(slices: i64) -> Vec<(StoredEntry, Vec<u8>)> {
        let mut out: Vec<(StoredEntry, Vec<u8>)> = Vec::new();
        for seq in 0..=slices + 1 {
            let raw = vec![7; usize::try_from(seq).unwrap() * 50];
            let body = match seq {
                0 => EntryBody::Open,
                n if n > slices => EntryBody::Close { reason: CloseReason::Stopped },
                n => EntryBody::Slice {
                    payload: PayloadRef { hash: Hash32::of(&raw), raw_bytes: n * 50, entries: 1, day: 20_261_122 },
                },
            };
            let prev = out.last().map_or(Hash32::ZERO, |(before, _)| before.hash);
            let at = optime(u32::try_from(seq).unwrap() + 100);
            let entry =
                LedgerEntry { job: job(), at: EntryPosition { chain: 2, seq }, first: at, last: at, prev, body };
            let frame =
                if matches!(entry.body, EntryBody::Slice { .. }) { compress(&raw).unwrap() } else { Vec::new() };
            let hash = entry.hash();
            let received_at = bson::DateTime::from_millis(5);
            out.push((StoredEntry { entry, hash, summary: Default::default(), received_at, detail: None }, frame));
        }
        out
    }

    fn segment(entries: &[(StoredEntry, Vec<u8>)]) -> (SegmentName, Vec<u8>) {
        let mut builder = SegmentBuilder::default();
        for (stored, frame) in entries {
            let source = (stored.entry.at.seq == 0).then(|| bson::doc! { "rs": "rs0" });
            let frame = SliceFrame { bytes: frame.clone(), key: None };
            builder.push(stored, source, (!frame.bytes.is_empty()).then_some(&frame)).unwrap();
        }
        builder.finish().unwrap().unwrap()
    }

    #[test]
    fn entries_and_payloads_come_back() {
        let all = chain(3);
        let (name, bytes) = segment(&all);
        assert_eq!((name.first, name.last, name.end), (0, 4, Ts { t: 104, i: 1 }));
        assert_eq!(name.to_string().parse::<SegmentName>().unwrap(), name);
        let (read, none) = (Segment::decode(&name, bytes.into()).unwrap(), Keyring::default());
        assert_eq!(read.entries().cloned().collect::<Vec<_>>(), all.iter().map(|(e, _)| e.clone()).collect::<Vec<_>>());
        assert_eq!(read.source().unwrap().get_str("rs").unwrap(), "rs0");
        assert_eq!(read.raw(2, &none).unwrap().unwrap(), vec![7; 100]);
        assert_eq!(read.raw(0, &none).unwrap().unwrap(), Vec::<u8>::new());
        assert!(read.raw(5, &none).is_none());
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let all = chain(3);
        let mut builder = SegmentBuilder::default();
        let frame = |n: usize| SliceFrame { bytes: all[n].1.clone(), key: None };
        builder.push(&all[1].0, None, Some(&frame(1))).unwrap();
        assert!(builder.push(&all[3].0, None, Some(&frame(3))).is_err(), "a hole");
        let (name, bytes) = segment(&all[1..4]);
        for cut in 0..bytes.len() {
            assert!(Segment::decode(&name, bytes[..cut].to_vec().into()).is_err(), "cut at {cut}");
        }
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 4;
            let read = Segment::decode(&name, flipped.into());
            // The time of receipt alone proves nothing and is not hashed; everything that is replayed is.
            let good = read.and_then(|read| {
                (0..3).map(|n| read.raw(n, &Keyring::default()).unwrap()).collect::<Result<Vec<_>, _>>()
            });
            assert!(good.is_err() || good.unwrap() == [vec![7; 50], vec![7; 100], vec![7; 150]], "flipped at {at}");
        }
        let other = SegmentName { first: 2, ..name };
        assert!(Segment::decode(&other, bytes.into()).is_err());
    }

    #[test]
    fn names_of_other_things_are_none() {
        for name in ["", "ledger/x", "ledger/0123456789abcdef01234567/00000000/a-b-c-d.seg", "jobs/1.json"] {
            assert!(name.parse::<SegmentName>().is_err(), "{name}");
        }
    }

    fn named(chain: i64, first: i64, last: i64) -> SegmentName {
        let end = optime(u32::try_from(chain * 1000 + last).unwrap()).ts;
        SegmentName { job: job(), chain, first, last, end, bytes: 1 }
    }

    #[test]
    fn gaps_paths_and_spans_of_a_listing() {
        let names = [named(0, 0, 4), named(0, 5, 9), named(0, 3, 7), named(0, 12, 20), named(1, 0, 2)];
        assert_eq!(gaps(&names, 0, 0, 25), [10..12, 21..26]);
        assert_eq!(gaps(&names, 0, 2, 9), Vec::<Range<i64>>::new());
        assert!(gaps(&names, 0, 2, 10).iter().eq([&(10..11)]));
        assert!(gaps(&[], 3, 1, 2).iter().eq([&(1..3)]));
        let way: Vec<_> = path(&names, 0, 4).iter().map(|name| (name.first, name.last)).collect();
        assert_eq!(way, [(3, 7), (5, 9)]);
        assert!(path(&names, 0, 10).is_empty());
        let found: Vec<_> = stretches(&names).iter().map(|s| (s.chain, s.first, s.last, s.end.t)).collect();
        assert_eq!(found, [(0, 0, 9, 9), (0, 12, 20, 20), (1, 0, 2, 1002)]);
    }
}
