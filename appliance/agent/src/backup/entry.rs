//! An oplog entry, read without decoding it: only the fields that cutting, checking and counting need.
//!
//! Documents inside `o` and `o2` are never walked, but for the list of operations in `applyOps`.

use bson::{RawArray, RawBsonRef, RawDocument};
use holdfast_domain::{OpKind, OpTime, SummaryBuilder, Ts};

use super::error::JobError;

/// Term of an entry that has none: the very first of an oplog.
const NO_TERM: i64 = -1;
/// How deep `applyOps` may lie within `applyOps` before what is deeper is no longer counted.
const APPLY_OPS_DEPTH_MAX: u32 = 4;

/// What is read of an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    /// The whole document.
    pub(crate) raw: &'a RawDocument,
    /// Optime.
    pub(crate) at: OpTime,
    op: &'a str,
    ns: &'a str,
    object: Option<&'a RawDocument>,
    prev: Option<OpTime>,
    transaction: bool,
}

impl<'a> Entry<'a> {
    /// Reads an entry.
    pub(crate) fn read(raw: &'a RawDocument) -> Result<Self, JobError> {
        let bad = |why: &str| JobError::Unintelligible(format!("an oplog entry of the source cannot be read: {why}"));
        let mut entry =
            Entry { raw, at: OpTime::default(), op: "", ns: "", object: None, prev: None, transaction: false };
        let (mut ts, mut term) = (None, NO_TERM);
        for field in raw.iter() {
            let (key, value) = field.map_err(|error| bad(&error.to_string()))?;
            match (key.as_str(), value) {
                ("ts", RawBsonRef::Timestamp(value)) => ts = Some(Ts::from(value)),
                ("t", RawBsonRef::Int64(value)) => term = value,
                ("op", RawBsonRef::String(value)) => entry.op = value,
                ("ns", RawBsonRef::String(value)) => entry.ns = value,
                ("o", RawBsonRef::Document(value)) => entry.object = Some(value),
                ("txnNumber", RawBsonRef::Int64(_)) => entry.transaction = true,
                ("prevOpTime", RawBsonRef::Document(value)) => entry.prev = optime_of(value),
                _ => {}
            }
        }
        entry.at = OpTime { ts: ts.ok_or_else(|| bad("it has no cluster time"))?, term };
        Ok(entry)
    }

    /// Name of the command, for entries that are one.
    fn command(&self) -> Option<(&'a str, RawBsonRef<'a>)> {
        if self.op != "c" {
            return None;
        }
        let (key, value) = self.object?.iter().next()?.ok()?;
        Some((key.as_str(), value))
    }

    /// The part before, for an entry that continues or ends a transaction.
    pub(crate) fn previous_part(&self) -> Option<OpTime> {
        let (name, _) = self.command()?;
        let part = self.transaction && matches!(name, "applyOps" | "commitTransaction" | "abortTransaction");
        self.prev.filter(|prev| part && prev.ts != Ts::ZERO)
    }

    /// Counts the entry and what is inside it.
    pub(crate) fn count(&self, into: &mut SummaryBuilder) {
        match (self.op, self.command()) {
            ("c", Some((name, value))) => count_command(self.at, self.ns, name, value, into, 0),
            (op, _) => count_kind(self.at, self.ns, op, into),
        }
    }
}

/// `{ts, t}` as an optime; None when it is none.
pub(crate) fn optime_of(value: &RawDocument) -> Option<OpTime> {
    let ts = value.get_timestamp("ts").ok()?;
    Some(OpTime { ts: ts.into(), term: value.get_i64("t").unwrap_or(NO_TERM) })
}

fn count_kind(at: OpTime, ns: &str, op: &str, into: &mut SummaryBuilder) {
    match op {
        "i" => into.count(at.ts, ns, OpKind::Insert),
        "u" => into.count(at.ts, ns, OpKind::Update),
        "d" => into.count(at.ts, ns, OpKind::Delete),
        _ => {}
    }
}

fn count_command(at: OpTime, ns: &str, name: &str, value: RawBsonRef<'_>, into: &mut SummaryBuilder, depth: u32) {
    match (name, value) {
        ("applyOps", RawBsonRef::Array(ops)) => {
            if depth < APPLY_OPS_DEPTH_MAX {
                count_inner(at, ops, into, depth + 1);
            }
        }
        ("commitTransaction" | "abortTransaction", _) => {}
        (_, RawBsonRef::String(target)) if name == "renameCollection" => into.ddl(at, target, name),
        (_, RawBsonRef::String(target)) => into.ddl(at, &format!("{}.{target}", database(ns)), name),
        _ => into.ddl(at, database(ns), name),
    }
}

fn count_inner(at: OpTime, ops: &RawArray, into: &mut SummaryBuilder, depth: u32) {
    for op in ops {
        let Ok(RawBsonRef::Document(op)) = op else { continue };
        let (mut kind, mut ns, mut object) = ("", "", None);
        for field in op.iter() {
            match field {
                Ok((key, RawBsonRef::String(value))) if key.as_str() == "op" => kind = value,
                Ok((key, RawBsonRef::String(value))) if key.as_str() == "ns" => ns = value,
                Ok((key, RawBsonRef::Document(value))) if key.as_str() == "o" => object = Some(value),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        if kind != "c" {
            count_kind(at, ns, kind, into);
        } else if let Some(Ok((name, value))) = object.and_then(|o| o.iter().next()) {
            count_command(at, ns, name.as_str(), value, into, depth);
        }
    }
}

fn database(ns: &str) -> &str {
    ns.split('.').next().unwrap_or(ns)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use bson::{Document, RawDocumentBuf, Timestamp, doc};
    use holdfast_domain::SliceSummary;

    use super::*;

    fn summary(entries: &[Document]) -> SliceSummary {
        let mut builder = SummaryBuilder::default();
        for entry in entries {
            let raw = RawDocumentBuf::try_from(entry).unwrap();
            Entry::read(&raw).unwrap().count(&mut builder);
        }
        builder.finish()
    }

    fn entry(op: &str, ns: &str, o: Document) -> Document {
        doc! { "op": op, "ns": ns, "o": o, "ts": Timestamp { time: 125, increment: 7 }, "t": 3_i64, "v": 2_i64 }
    }

    #[test]
    fn reads_the_optime_and_takes_a_missing_term_for_the_first_entry() {
        let raw = RawDocumentBuf::try_from(&entry("i", "a.b", doc! { "ts": 1, "t": 5_i64 })).unwrap();
        assert_eq!(Entry::read(&raw).unwrap().at, OpTime { ts: Ts { t: 125, i: 7 }, term: 3 });
        let first =
            doc! { "op": "n", "ns": "", "o": { "msg": "initiating set" }, "ts": Timestamp { time: 1, increment: 1 } };
        let raw = RawDocumentBuf::try_from(&first).unwrap();
        assert_eq!(Entry::read(&raw).unwrap().at.term, -1);
        let raw = RawDocumentBuf::try_from(&doc! { "op": "n" }).unwrap();
        assert!(Entry::read(&raw).is_err());
    }

    #[test]
    fn counts_inside_transactions_and_marks_commands() {
        let inner = doc! { "applyOps": [
            { "op": "i", "ns": "a.x", "o": { "op": "d", "ns": "no" } },
            { "op": "i", "ns": "a.x", "o": { "_id": 2 } },
            { "op": "d", "ns": "a.y", "o": { "_id": 2 } },
            { "op": "c", "ns": "a.$cmd", "o": { "create": "z" } },
        ], "partialTxn": true };
        let s = summary(&[
            entry("c", "admin.$cmd", inner),
            entry("c", "admin.$cmd", doc! { "commitTransaction": 1 }),
            entry("u", "a.x", doc! { "$v": 2 }),
            entry("n", "", doc! { "msg": "periodic noop" }),
            entry("c", "a.$cmd", doc! { "renameCollection": "a.x", "to": "a.w" }),
            entry("c", "a.$cmd", doc! { "dropDatabase": 1 }),
        ]);
        let counts: Vec<_> = s.counts.iter().map(|c| (c.minute, c.ns.as_str(), c.kind, c.count)).collect();
        assert_eq!(
            counts,
            [
                (120, "a", OpKind::Ddl, 1),
                (120, "a.x", OpKind::Insert, 2),
                (120, "a.x", OpKind::Update, 1),
                (120, "a.x", OpKind::Ddl, 1),
                (120, "a.y", OpKind::Delete, 1),
                (120, "a.z", OpKind::Ddl, 1),
            ]
        );
        let marks: Vec<_> = s.ddl.iter().map(|m| (m.command.as_str(), m.ns.as_str())).collect();
        assert_eq!(marks, [("create", "a.z"), ("renameCollection", "a.x"), ("dropDatabase", "a")]);
    }

    #[test]
    fn a_part_names_the_part_before_only_in_transactions() {
        let before = doc! { "ts": Timestamp { time: 9, increment: 9 }, "t": 1_i64 };
        let mut part = entry("c", "admin.$cmd", doc! { "applyOps": [] });
        part.insert("txnNumber", 4_i64);
        part.insert("prevOpTime", before.clone());
        let prev = |d: &Document| {
            let raw = RawDocumentBuf::try_from(d).unwrap();
            Entry::read(&raw).unwrap().previous_part()
        };
        assert_eq!(prev(&part), Some(OpTime { ts: Ts { t: 9, i: 9 }, term: 1 }));
        part.insert("prevOpTime", doc! { "ts": Timestamp { time: 0, increment: 0 }, "t": -1_i64 });
        assert_eq!(prev(&part), None, "the first part");
        let mut retried = entry("i", "a.b", doc! { "_id": 1 });
        retried.insert("txnNumber", 4_i64);
        retried.insert("prevOpTime", before);
        assert_eq!(prev(&retried), None, "a retryable write is no transaction");
    }
}
