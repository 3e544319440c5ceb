//! Top-level `Timestamp(0,0)`: the server overwrites it with its own clock in inserts and replacements, but not in deltas.
//!
//! So the document is written with `Timestamp(0,1)` in its place, which keeps the order of the fields, and a delta sets it to
//! (0,0) afterwards.

use holdfast_domain::Ts;

use super::{
    super::raw::{self, Element, RawError, Writer, kind},
    op::{Op, OpKind},
};

const PLACEHOLDER: Ts = Ts { t: 0, i: 1 };

fn is_zero(element: &Element<'_>) -> bool {
    element.kind == kind::TIMESTAMP && element.key != b"_id" && element.ts() == Some(Ts::ZERO)
}

/// Whether a document holds one at its top level.
pub(crate) fn has_zero(document: &[u8]) -> Result<bool, RawError> {
    for element in raw::elements(document)? {
        if is_zero(&element?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether `o` is a whole document: an insert, or an update that replaces.
fn is_document(op: &Op<'_>) -> Result<bool, RawError> {
    Ok(match op.kind {
        OpKind::Insert => true,
        OpKind::Update => raw::find(op.o, "$v")?.is_none(),
        _ => false,
    })
}

/// The two operations that write a document with such a field; None for all other operations.
pub(crate) fn split(op: &Op<'_>, ns: &str) -> Result<Option<[Vec<u8>; 2]>, RawError> {
    if !is_document(op)? || !has_zero(op.o)? {
        return Ok(None);
    }
    let mut document = Writer::new(op.o.len());
    let mut delta = Writer::new(256);
    delta.int32("$v", 2).begin(kind::DOCUMENT, "diff").begin(kind::DOCUMENT, "u");
    let placeholder = (u64::from(PLACEHOLDER.t) << 32 | u64::from(PLACEHOLDER.i)).to_le_bytes();
    let mut id = None;
    for element in raw::elements(op.o)? {
        let element = element?;
        if is_zero(&element) {
            document.raw(element.key, kind::TIMESTAMP, &placeholder);
            delta.raw(element.key, kind::TIMESTAMP, &[0; 8]);
        } else {
            document.copy(&element);
        }
        if element.key == b"_id" {
            id = Some(element);
        }
    }
    let first = op.encode_with(ns, &document.finish());
    let mut o2 = Writer::new(64);
    if let Some(id) = &id {
        o2.copy(id);
    }
    let o2 = o2.finish();
    // A replacement may lack `_id`; then the update's own filter names the document.
    let o2 = if id.is_some() { o2.as_slice() } else { op.o2.unwrap_or(o2.as_slice()) };
    let delta = delta.finish();
    let second = Op { kind: OpKind::Update, o: &delta, o2: Some(o2), b: None, ..*op };
    Ok(Some([first, second.encode_with(ns, &delta)]))
}
