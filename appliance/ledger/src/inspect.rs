//! What raw slices hold: walked before they are stored, because afterwards they are promised to be restorable.
//!
//! Called by ingest on what agents send, and by readers that want to be sure.

use holdfast_domain::{OpTime, Ts};

use crate::{
    PayloadError,
    walk::{check_document, split_document},
};

/// Largest document or oplog entry: 16 MiB, and 16 KiB for what the server adds to it.
pub const ENTRY_BYTES_MAX: usize = (16 << 20) + (16 << 10);
/// Term of an entry that has none.
const NO_TERM: i64 = -1;

/// What an oplog slice's raw BSON holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadFacts {
    /// Bytes of the raw BSON.
    pub raw_bytes: i64,
    /// Oplog entries.
    pub entries: i64,
    /// Optime of the first.
    pub first: OpTime,
    /// Optime of the last.
    pub last: OpTime,
}

/// What a sync slice's raw BSON holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentFacts {
    /// Bytes of the raw BSON.
    pub raw_bytes: i64,
    /// Documents.
    pub documents: i64,
}

fn each<'a>(
    raw: &'a [u8],
    mut document: impl FnMut(usize, &'a [u8]) -> Result<(), PayloadError>,
) -> Result<usize, PayloadError> {
    let (mut rest, mut index) = (raw, 0);
    while !rest.is_empty() {
        let (doc, after) = split_document(rest).map_err(|detail| PayloadError::Document { index, detail })?;
        if doc.len() > ENTRY_BYTES_MAX {
            return Err(PayloadError::Document { index, detail: "it is larger than 16 MiB and 16 KiB" });
        }
        document(index, doc)?;
        rest = after;
        index += 1;
    }
    if index == 0 { Err(PayloadError::Empty) } else { Ok(index) }
}

fn to_i64(n: usize) -> i64 {
    i64::try_from(n).expect("a slice in memory is shorter than 2^63 bytes")
}

fn eight(value: &[u8]) -> [u8; 8] {
    value.try_into().expect("the walk gives values of this type eight bytes")
}

/// Walks an oplog slice: whole BSON documents, each with a cluster time greater than the one before.
///
/// # Errors
/// [`PayloadError`] saying which entry is wrong.
pub fn inspect_payload(raw: &[u8]) -> Result<PayloadFacts, PayloadError> {
    let mut ends: Option<(OpTime, OpTime)> = None;
    let entries = each(raw, |index, doc| {
        let (mut ts, mut term) = (None, NO_TERM);
        check_document(doc, |e| match (e.name, e.kind) {
            (b"ts", 0x11) => {
                let bits = u64::from_le_bytes(eight(e.value));
                ts = Some(Ts { t: (bits >> 32) as u32, i: (bits & 0xffff_ffff) as u32 });
            }
            (b"t", 0x12) => term = i64::from_le_bytes(eight(e.value)),
            _ => {}
        })
        .map_err(|detail| PayloadError::Document { index, detail })?;
        let optime = OpTime { ts: ts.ok_or(PayloadError::Order { index })?, term };
        match &mut ends {
            Some((_, last)) if optime.ts <= last.ts => return Err(PayloadError::Order { index }),
            Some((_, last)) => *last = optime,
            none => *none = Some((optime, optime)),
        }
        Ok(())
    })?;
    let (first, last) = ends.ok_or(PayloadError::Empty)?;
    Ok(PayloadFacts { raw_bytes: to_i64(raw.len()), entries: to_i64(entries), first, last })
}

/// Walks a sync slice: whole BSON documents.
///
/// # Errors
/// [`PayloadError`] saying which document is wrong.
pub fn inspect_documents(raw: &[u8]) -> Result<DocumentFacts, PayloadError> {
    let documents =
        each(raw, |index, doc| check_document(doc, |_| ()).map_err(|detail| PayloadError::Document { index, detail }))?;
    Ok(DocumentFacts { raw_bytes: to_i64(raw.len()), documents: to_i64(documents) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use bson::doc;

    fn entry(t: u32, i: u32) -> Vec<u8> {
        bson::serialize_to_vec(&doc! { "ts": bson::Timestamp { time: t, increment: i }, "t": 3_i64, "op": "n" })
            .unwrap()
    }

    #[test]
    fn facts_of_a_good_slice() {
        let raw = [entry(5, 9), entry(6, 1), entry(6, 2)].concat();
        let at = |t, i| OpTime { ts: Ts { t, i }, term: 3 };
        let facts = inspect_payload(&raw).unwrap();
        assert_eq!(facts, PayloadFacts { raw_bytes: raw.len() as i64, entries: 3, first: at(5, 9), last: at(6, 2) });
        assert_eq!(inspect_documents(&raw).unwrap().documents, 3);
        let bare = bson::serialize_to_vec(&doc! { "ts": bson::Timestamp { time: 1, increment: 1 } }).unwrap();
        assert_eq!(inspect_payload(&bare).unwrap().first.term, -1);
    }

    #[test]
    fn bad_slices() {
        assert_eq!(inspect_payload(&[]), Err(PayloadError::Empty));
        assert_eq!(inspect_documents(&[]), Err(PayloadError::Empty));
        let order = [entry(6, 1), entry(6, 1)].concat();
        assert_eq!(inspect_payload(&order), Err(PayloadError::Order { index: 1 }));
        let no_ts = bson::serialize_to_vec(&doc! { "ts": 5 }).unwrap();
        assert_eq!(inspect_payload(&no_ts), Err(PayloadError::Order { index: 0 }));
        let cut = [entry(5, 1), entry(6, 1)].concat();
        assert!(matches!(inspect_payload(&cut[..cut.len() - 1]), Err(PayloadError::Document { index: 1, .. })));
        let big = bson::serialize_to_vec(&doc! { "b": "x".repeat(ENTRY_BYTES_MAX) }).unwrap();
        assert!(matches!(inspect_documents(&big), Err(PayloadError::Document { index: 0, .. })));
    }
}
