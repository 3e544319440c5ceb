//! A batch of inserts, updates and deletes for one `applyOps` command, which the server applies whole or not at all.

use bson::RawDocumentBuf;
use holdfast_domain::OpTime;

use super::{
    error::HeadError,
    position::Position,
    raw::{Writer, kind},
};

/// Operations of one command: 100 to 1,000 are fastest by measurement.
pub(crate) const OPS_MAX: usize = 500;
/// Bytes of one command, but for a single operation that is larger.
pub(crate) const BYTES_MAX: usize = 12 << 20;

/// One operation of a batch, and where the head stands once it is applied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    start: usize,
    end: usize,
    /// The entry it belongs to.
    at: OpTime,
    /// None for the first half of an operation that was split.
    after: Option<Position>,
}

/// Operations that wait.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl Batch {
    /// Nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Operations.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether operations of this many bytes still fit.
    pub(crate) fn fits(&self, bytes: usize) -> bool {
        self.is_empty() || (self.spans.len() < OPS_MAX && self.bytes.len() + bytes <= BYTES_MAX)
    }

    /// Adds one operation.
    pub(crate) fn push(&mut self, op: &[u8], at: OpTime, after: Option<Position>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(op);
        self.spans.push(Span { start, end: self.bytes.len(), at, after });
    }

    /// Every operation for itself, to find the one that fails.
    pub(crate) fn split(&self) -> impl Iterator<Item = (&[u8], OpTime, Option<Position>)> {
        self.spans.iter().filter_map(|span| Some((self.bytes.get(span.start..span.end)?, span.at, span.after)))
    }

    /// Forgets everything but keeps the room.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
    }

    /// The command, with the marker's operation at its end.
    pub(crate) fn command(&self, marker: Option<&[u8]>, how: How) -> Result<RawDocumentBuf, HeadError> {
        command(self.split().map(|(op, ..)| op).chain(marker), self.bytes.len() + 16 * self.spans.len() + 512, how)
    }
}

/// How a command is to be done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct How {
    /// An update that finds no document creates it.
    pub(crate) always_upsert: bool,
    /// The answer comes when the journal holds it: a crash takes the last tenth of a second otherwise.
    pub(crate) journal: bool,
}

/// A command that writes these operations durably. Used for what this module keeps in `local`: the server ignores a wait for
/// the journal that an ordinary write to `local` asks for, but obeys one of `applyOps`.
pub(crate) fn durable(ops: &[Vec<u8>]) -> Result<RawDocumentBuf, HeadError> {
    let bytes = ops.iter().map(|op| op.len() + 16).sum::<usize>() + 256;
    command(ops.iter().map(Vec::as_slice), bytes, How { always_upsert: true, journal: true })
}

/// An operation that writes a document, in the place of one with the same `_id`.
pub(crate) fn put(ns: &str, document: &[u8]) -> Vec<u8> {
    Writer::new(document.len() + 128).text("op", "i").text("ns", ns).document("o", document).finish()
}

/// An operation that removes a document.
pub(crate) fn remove(ns: &str, id: &str) -> Vec<u8> {
    let id = Writer::new(64).text("_id", id).finish();
    Writer::new(128).text("op", "d").text("ns", ns).document("o", &id).finish()
}

/// An `applyOps` command of these operations.
pub(crate) fn command<'a>(
    ops: impl Iterator<Item = &'a [u8]>,
    capacity: usize,
    how: How,
) -> Result<RawDocumentBuf, HeadError> {
    let mut writer = Writer::new(capacity);
    writer.begin(kind::ARRAY, "applyOps");
    let mut key = String::new();
    for (at, op) in ops.enumerate() {
        key.clear();
        // Writing to a string cannot fail.
        let _ = std::fmt::Write::write_fmt(&mut key, format_args!("{at}"));
        writer.document(&key, op);
    }
    writer.end().bool("bypassDocumentValidation", true).bool("alwaysUpsert", how.always_upsert);
    if how.journal {
        writer.begin(kind::DOCUMENT, "writeConcern").int32("w", 1).bool("j", true).end();
    }
    RawDocumentBuf::from_bytes(writer.finish())
        .map_err(|_| HeadError::Answer { what: "an applyOps command of this module", field: "valid lengths" })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use bson::{Document, doc};

    use super::*;

    #[test]
    fn the_command_is_what_the_server_expects() {
        let mut batch = Batch::default();
        let op = doc! {"op": "d", "ns": "a.b", "o": {"_id": 1}};
        for _ in 0..11 {
            batch.push(&op.to_vec().unwrap(), OpTime::default(), None);
        }
        let command = batch.command(Some(&doc! {"m": 1}.to_vec().unwrap()), How::default()).unwrap();
        let command = Document::from_reader(command.as_bytes()).unwrap();
        let mut ops = vec![op; 11];
        ops.push(doc! {"m": 1});
        assert_eq!(command, doc! {"applyOps": ops, "bypassDocumentValidation": true, "alwaysUpsert": false});
        batch.clear();
        assert!(batch.is_empty() && batch.fits(usize::MAX), "a single operation fits alone, whatever its size");
        batch.push(&[0; 10], OpTime::default(), None);
        assert!(batch.fits(100) && !batch.fits(BYTES_MAX));
    }
}
