//! Cuts the stream of oplog entries into slices.
//!
//! A slice ends before the entry that would take it over [`OPLOG_SLICE_RAW_BYTES`], so that a larger entry is a slice alone, or when
//! its first entry is [`FLUSH_AGE`] old. Nothing is dropped, nothing reordered.

use std::time::{Duration, Instant};

use holdfast_agent_api::OPLOG_SLICE_RAW_BYTES;
use holdfast_domain::{OpTime, SliceSummary, SummaryBuilder};

use super::{
    entry::Entry,
    error::JobError,
    frame::{Frame, FrameBuilder},
};

/// A slice is cut when its first entry is this old. Below the protocol's 5 s, because a write must be restorable within 10 s in all.
pub(crate) const FLUSH_AGE: Duration = Duration::from_secs(2);

/// A run of consecutive entries, compressed, with all that its ledger entry needs but its place.
#[derive(Clone, Debug)]
pub(crate) struct OplogSlice {
    /// Optime of the entry before `first`; equal to `first` for the first slice of a chain.
    pub(crate) after: OpTime,
    pub(crate) first: OpTime,
    pub(crate) last: OpTime,
    pub(crate) entries: i64,
    pub(crate) summary: SliceSummary,
    pub(crate) frame: Frame,
}

/// The slice that grows.
struct Open {
    after: OpTime,
    first: OpTime,
    entries: i64,
    summary: SummaryBuilder,
    frame: FrameBuilder,
    since: Instant,
}

/// Cuts.
pub(crate) struct Cutter {
    last: OpTime,
    /// The next entry is `last` itself: the first of a chain.
    inclusive: bool,
    open: Option<Open>,
}

impl Cutter {
    /// Goes on after `last`; with `inclusive` `last` itself is the first entry.
    pub(crate) fn new(last: OpTime, inclusive: bool) -> Self {
        Self { last, inclusive, open: None }
    }

    /// The last entry taken, and whether it is still to come.
    pub(crate) fn position(&self) -> (OpTime, bool) {
        (self.last, self.inclusive)
    }

    /// When the open slice must be cut, if there is one.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.open.as_ref().map(|open| open.since + FLUSH_AGE)
    }

    /// Takes one entry; finished slices go to `out`.
    pub(crate) fn push(&mut self, entry: &Entry<'_>, now: Instant, out: &mut Vec<OplogSlice>) -> Result<(), JobError> {
        let follows = if self.inclusive { entry.at == self.last } else { entry.at.ts > self.last.ts };
        if !follows {
            return Err(JobError::Bug(format!("entry {} does not follow {}", entry.at, self.last)));
        }
        let bytes = entry.raw.as_bytes();
        if self.open.as_ref().is_some_and(|open| open.frame.raw_bytes() + bytes.len() > OPLOG_SLICE_RAW_BYTES) {
            out.extend(self.cut()?);
        }
        let new_term = entry.at.term > self.last.term && self.last.term >= 0;
        let open = match &mut self.open {
            Some(open) => open,
            None => self.open.insert(Open {
                after: self.last,
                first: entry.at,
                entries: 0,
                summary: SummaryBuilder::default(),
                frame: FrameBuilder::new()?,
                since: now,
            }),
        };
        if new_term {
            open.summary.election(entry.at);
        }
        entry.count(&mut open.summary);
        open.frame.push(bytes)?;
        open.entries += 1;
        let full = open.frame.raw_bytes() >= OPLOG_SLICE_RAW_BYTES;
        (self.last, self.inclusive) = (entry.at, false);
        if full {
            out.extend(self.cut()?);
        }
        Ok(())
    }

    /// Cuts what there is.
    pub(crate) fn cut(&mut self) -> Result<Option<OplogSlice>, JobError> {
        let Some(open) = self.open.take() else { return Ok(None) };
        Ok(Some(OplogSlice {
            after: open.after,
            first: open.first,
            last: self.last,
            entries: open.entries,
            summary: open.summary.finish(),
            frame: open.frame.finish()?,
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use bson::{RawDocumentBuf, Timestamp, doc, spec::BinarySubtype};
    use holdfast_domain::Ts;

    use super::*;

    fn at(i: u32) -> OpTime {
        OpTime { ts: Ts { t: 100, i }, term: 1 }
    }

    fn raw(i: u32, term: i64, bytes: usize) -> RawDocumentBuf {
        let payload = bson::Binary { subtype: BinarySubtype::Generic, bytes: vec![i as u8; bytes] };
        let ts = Timestamp { time: 100, increment: i };
        RawDocumentBuf::try_from(&doc! { "op": "i", "ns": "a.b", "o": { "p": payload }, "ts": ts, "t": term }).unwrap()
    }

    fn cut_all(cutter: &mut Cutter, raws: &[RawDocumentBuf]) -> Vec<OplogSlice> {
        let mut out = Vec::new();
        for raw in raws {
            cutter.push(&Entry::read(raw).unwrap(), Instant::now(), &mut out).unwrap();
        }
        out.extend(cutter.cut().unwrap());
        out
    }

    #[test]
    fn cut_by_size_a_large_entry_alone_and_nothing_lost() {
        let sizes = [100, 3 << 20, 2 << 20, 16 << 20, 50, 60];
        let raws: Vec<_> = (2..).zip(sizes).map(|(i, size)| raw(i, 1, size)).collect();
        let slices = cut_all(&mut Cutter::new(at(1), false), &raws);
        assert_eq!(slices.iter().map(|s| s.entries).collect::<Vec<_>>(), [2, 1, 1, 2]);
        assert_eq!(slices[0].after, at(1));
        for pair in slices.windows(2) {
            assert_eq!(pair[1].after, pair[0].last);
        }
        let joined: Vec<u8> = slices.iter().flat_map(|s| zstd::decode_all(s.frame.bytes.as_ref()).unwrap()).collect();
        assert_eq!(joined, raws.iter().flat_map(|r| r.as_bytes().to_vec()).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_entry_of_a_chain_is_its_start_itself() {
        let mut cutter = Cutter::new(at(5), true);
        let slices = cut_all(&mut cutter, &[raw(5, 1, 1), raw(6, 1, 1)]);
        assert_eq!((slices[0].after, slices[0].first, slices[0].last), (at(5), at(5), at(6)));
        let mut cutter = Cutter::new(at(5), true);
        assert!(cutter.push(&Entry::read(&raw(6, 1, 1)).unwrap(), Instant::now(), &mut Vec::new()).is_err());
        let mut cutter = Cutter::new(at(5), false);
        assert!(cutter.push(&Entry::read(&raw(5, 1, 1)).unwrap(), Instant::now(), &mut Vec::new()).is_err());
    }

    #[test]
    fn a_new_term_is_an_election_and_age_sets_the_deadline() {
        let mut cutter = Cutter::new(at(1), false);
        assert!(cutter.deadline().is_none());
        let now = Instant::now();
        cutter.push(&Entry::read(&raw(2, 1, 1)).unwrap(), now, &mut Vec::new()).unwrap();
        assert_eq!(cutter.deadline(), Some(now + FLUSH_AGE));
        cutter.push(&Entry::read(&raw(3, 2, 1)).unwrap(), now + FLUSH_AGE, &mut Vec::new()).unwrap();
        assert_eq!(cutter.deadline(), Some(now + FLUSH_AGE), "of the first entry");
        let slice = cutter.cut().unwrap().unwrap();
        assert_eq!(slice.summary.elections, [OpTime { ts: Ts { t: 100, i: 3 }, term: 2 }]);
    }
}
