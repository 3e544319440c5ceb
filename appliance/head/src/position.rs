//! Where a head stands, and the marker that says so inside the dbpath.
//!
//! The marker is the document `_id: "head"` of `local.holdfast`. It is written in the same atomic command as the operations
//! it speaks of, so after a crash it is exact. It travels in snapshots and restored files, documented and harmless.

use bson::{Document, doc};
use holdfast_domain::{OpTime, Ts};

use super::{
    error::HeadError,
    raw::{Writer, kind},
};

/// Database of the marker: never in an oplog.
pub(crate) const LOCAL: &str = "local";
/// Collection of the marker.
pub(crate) const MARKER: &str = "holdfast";
/// Namespace of the marker.
pub(crate) const MARKER_NS: &str = "local.holdfast";
/// `_id` of the marker.
pub(crate) const MARKER_ID: &str = "head";

/// How far a head has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Last entry that was applied whole. `Ts::ZERO` before the first.
    pub ts: Ts,
    /// Its term.
    pub term: i64,
    /// Operations already applied of the entry (or transaction) that comes next. 0 at an entry boundary.
    pub ops: u64,
    /// First entry of the oldest open transaction; equal to the last applied entry where none is open. A feed begins here, this
    /// entry included (the last applied entry may itself be the first of a transaction).
    pub feed_from: OpTime,
    /// Transactions are open: a feed that leaves out the entry at `feed_from` is refused.
    pub open: bool,
    /// The head was fixed at this instant, inside a prepared transaction: it cannot be fed on.
    pub bound: Option<Ts>,
}

/// In a document a top-level Timestamp(0,0) is overwritten by the server's clock; (0,1) stands for it. No entry has either.
const ZERO_STORED: Ts = Ts { t: 0, i: 1 };

fn stored(ts: Ts) -> Ts {
    if ts == Ts::ZERO { ZERO_STORED } else { ts }
}

fn loaded(ts: Ts) -> Ts {
    if ts == ZERO_STORED { Ts::ZERO } else { ts }
}

impl Position {
    /// Before the first entry.
    pub const START: Self =
        Self { ts: Ts::ZERO, term: -1, ops: 0, feed_from: OpTime { ts: Ts::ZERO, term: -1 }, open: false, bound: None };

    /// The last entry that was applied whole.
    #[must_use]
    pub fn optime(&self) -> OpTime {
        OpTime { ts: self.ts, term: self.term }
    }

    /// Whether a snapshot may be taken here: nothing is half applied.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        self.ops == 0
    }

    fn ops_signed(&self) -> i64 {
        i64::try_from(self.ops).unwrap_or(i64::MAX)
    }

    /// The marker as a document, for the first insert.
    pub(crate) fn document(&self) -> Document {
        doc! {
            "_id": MARKER_ID,
            "ts": stored(self.ts),
            "t": self.term,
            "ops": self.ops_signed(),
            "feedFrom": { "ts": stored(self.feed_from.ts), "t": self.feed_from.term },
            "open": self.open,
            "bound": self.bound,
        }
    }

    /// An operation for `applyOps` that moves the marker here.
    pub(crate) fn operation(&self) -> Vec<u8> {
        let mut writer = Writer::new(256);
        writer.text("op", "u").text("ns", MARKER_NS);
        writer.begin(kind::DOCUMENT, "o2").text("_id", MARKER_ID).end();
        writer.begin(kind::DOCUMENT, "o").int32("$v", 2).begin(kind::DOCUMENT, "diff").begin(kind::DOCUMENT, "u");
        writer.ts("ts", stored(self.ts)).int64("t", self.term).int64("ops", self.ops_signed());
        writer.optime("feedFrom", OpTime { ts: stored(self.feed_from.ts), term: self.feed_from.term });
        writer.bool("open", self.open);
        if let Some(bound) = self.bound {
            writer.ts("bound", bound);
        }
        writer.finish()
    }

    /// Reads the marker.
    pub(crate) fn from_document(marker: &Document) -> Result<Self, HeadError> {
        let lacks = |field| HeadError::Answer { what: "the marker local.holdfast", field };
        let feed_from = marker.get_document("feedFrom").map_err(|_| lacks("feedFrom"))?;
        Ok(Self {
            ts: loaded(marker.get_timestamp("ts").map_err(|_| lacks("ts"))?.into()),
            term: marker.get_i64("t").map_err(|_| lacks("t"))?,
            ops: marker.get_i64("ops").ok().and_then(|ops| u64::try_from(ops).ok()).ok_or_else(|| lacks("ops"))?,
            feed_from: OpTime {
                ts: loaded(feed_from.get_timestamp("ts").map_err(|_| lacks("feedFrom.ts"))?.into()),
                term: feed_from.get_i64("t").map_err(|_| lacks("feedFrom.t"))?,
            },
            open: marker.get_bool("open").map_err(|_| lacks("open"))?,
            bound: marker.get_timestamp("bound").ok().map(Into::into),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_marker_is_read_as_it_was_written() {
        let at = OpTime { ts: Ts { t: 7, i: 1 }, term: 4 };
        for position in [
            Position::START,
            Position { ts: Ts { t: 9, i: 3 }, term: 4, ops: 17, feed_from: at, open: true, bound: None },
            Position {
                ts: Ts { t: 9, i: 3 },
                term: 4,
                ops: 0,
                feed_from: at,
                open: false,
                bound: Some(Ts { t: 9, i: 5 }),
            },
        ] {
            assert_eq!(Position::from_document(&position.document()).unwrap(), position);
            let operation = Document::from_reader(position.operation().as_slice()).unwrap();
            let set = operation.get_document("o").unwrap().get_document("diff").unwrap().get_document("u").unwrap();
            assert_eq!(Position::from_document(set).unwrap(), position);
        }
        assert!(Position::from_document(&doc! {"ts": 1}).is_err());
    }
}
