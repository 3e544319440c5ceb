//! Raw BSON, walked and written without decoding: an oplog passes through a head at tens of thousands of entries a second,
//! and a value that is decoded and encoded again may come out changed.
//!
//! Invariants: every length is checked against its bounds before it is used; no input panics. Values are handed on as the
//! bytes they were. Called by the translator, the loader and the spill of transactions; it must never judge what a value
//! means.

mod writer;

use holdfast_domain::Ts;

pub(crate) use writer::Writer;

/// The bytes are no BSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not BSON: {0}")]
pub struct RawError(pub &'static str);

/// Type bytes used here.
pub(crate) mod kind {
    pub(crate) const DOUBLE: u8 = 0x01;
    pub(crate) const STRING: u8 = 0x02;
    pub(crate) const DOCUMENT: u8 = 0x03;
    pub(crate) const ARRAY: u8 = 0x04;
    pub(crate) const BINARY: u8 = 0x05;
    pub(crate) const BOOL: u8 = 0x08;
    pub(crate) const INT32: u8 = 0x10;
    pub(crate) const TIMESTAMP: u8 = 0x11;
    pub(crate) const INT64: u8 = 0x12;
}

/// Smallest document: length and end.
const DOCUMENT_BYTES_MIN: usize = 5;

/// One field of a document or array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    /// Type byte.
    pub(crate) kind: u8,
    /// Name, without its end.
    pub(crate) key: &'a [u8],
    /// Value.
    pub(crate) value: &'a [u8],
    /// Type, name and value: what is copied to keep the field.
    pub(crate) whole: &'a [u8],
}

impl<'a> Element<'a> {
    /// Text of a string.
    pub(crate) fn text(&self) -> Option<&'a str> {
        (self.kind == kind::STRING)
            .then(|| self.value.get(4..self.value.len() - 1))
            .flatten()
            .and_then(|b| str::from_utf8(b).ok())
    }

    /// Bytes of a subdocument.
    pub(crate) fn document(&self) -> Option<&'a [u8]> {
        (self.kind == kind::DOCUMENT).then_some(self.value)
    }

    /// Bytes of an array.
    pub(crate) fn array(&self) -> Option<&'a [u8]> {
        (self.kind == kind::ARRAY).then_some(self.value)
    }

    /// A timestamp.
    pub(crate) fn ts(&self) -> Option<Ts> {
        (self.kind == kind::TIMESTAMP).then(|| self.value.first_chunk::<8>()).flatten().map(|b| {
            let value = u64::from_le_bytes(*b);
            // High half: seconds; low half: increment.
            Ts {
                t: u32::try_from(value >> 32).unwrap_or(u32::MAX),
                i: u32::try_from(value & 0xffff_ffff).unwrap_or(u32::MAX),
            }
        })
    }

    /// A whole number of any numeric type.
    pub(crate) fn integer(&self) -> Option<i64> {
        match self.kind {
            kind::INT32 => self.value.first_chunk::<4>().map(|b| i64::from(i32::from_le_bytes(*b))),
            kind::INT64 => self.value.first_chunk::<8>().map(|b| i64::from_le_bytes(*b)),
            kind::DOUBLE => self
                .value
                .first_chunk::<8>()
                .map(|b| f64::from_le_bytes(*b))
                .filter(|v| v.fract() == 0.0 && v.abs() < 9e15)
                .map(
                    #[allow(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
                    |v| v as i64,
                ),
            _ => None,
        }
    }

    /// True as the server understands it: a boolean or a number that is not 0.
    pub(crate) fn truthy(&self) -> bool {
        match self.kind {
            kind::BOOL => self.value == [1],
            _ => self.integer().is_some_and(|v| v != 0),
        }
    }

    /// The 16 bytes of a UUID (binary of subtype 4).
    pub(crate) fn uuid(&self) -> Option<[u8; 16]> {
        match (self.kind, self.value.split_first_chunk::<5>()) {
            (kind::BINARY, Some(([16, 0, 0, 0, 4], rest))) => rest.try_into().ok(),
            _ => None,
        }
    }
}

/// The fields of a document or array, in order.
#[derive(Clone, Debug)]
pub(crate) struct Elements<'a> {
    rest: &'a [u8],
}

/// Walks one document that fills `bytes` exactly.
pub(crate) fn elements(bytes: &[u8]) -> Result<Elements<'_>, RawError> {
    let Some((head, rest)) = bytes.split_first_chunk::<4>() else { return Err(RawError("shorter than a length")) };
    if usize::try_from(i32::from_le_bytes(*head)) != Ok(bytes.len()) {
        return Err(RawError("length differs from the bytes"));
    }
    match rest.split_last() {
        Some((0, fields)) => Ok(Elements { rest: fields }),
        _ => Err(RawError("no end of document")),
    }
}

impl<'a> Elements<'a> {
    fn take(&mut self) -> Result<Element<'a>, RawError> {
        let all = self.rest;
        let (&kind, after) = all.split_first().ok_or(RawError("no type"))?;
        let key_len = cstring_len(after)?;
        let key = after.get(..key_len).ok_or(RawError("name over the end"))?;
        let value = after.get(key_len + 1..).ok_or(RawError("name over the end"))?;
        let len = value_len(kind, value)?;
        let value = value.get(..len).ok_or(RawError("value over the end"))?;
        let total = 1 + key_len + 1 + len;
        let whole = all.get(..total).ok_or(RawError("value over the end"))?;
        self.rest = all.get(total..).ok_or(RawError("value over the end"))?;
        Ok(Element { kind, key, value, whole })
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>, RawError>;
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let taken = self.take();
        if taken.is_err() {
            self.rest = &[];
        }
        Some(taken)
    }
}

fn cstring_len(bytes: &[u8]) -> Result<usize, RawError> {
    bytes.iter().position(|b| *b == 0).ok_or(RawError("name without end"))
}

fn length_at(value: &[u8], least: usize) -> Result<usize, RawError> {
    let head = value.first_chunk::<4>().ok_or(RawError("no length"))?;
    let len = usize::try_from(i32::from_le_bytes(*head)).map_err(|_| RawError("negative length"))?;
    if len < least { Err(RawError("length too small")) } else { Ok(len) }
}

fn value_len(kind: u8, value: &[u8]) -> Result<usize, RawError> {
    let string = |value: &[u8]| {
        let len = 4 + length_at(value, 1)?;
        if value.get(len - 1) == Some(&0) { Ok(len) } else { Err(RawError("string without end")) }
    };
    Ok(match kind {
        0x01 | 0x09 | 0x11 | 0x12 => 8,
        0x02 | 0x0d | 0x0e => string(value)?,
        0x03 | 0x04 => {
            let len = length_at(value, DOCUMENT_BYTES_MIN)?;
            if value.get(len - 1) != Some(&0) {
                return Err(RawError("no end of document"));
            }
            len
        }
        0x05 => 5 + length_at(value, 0)?,
        0x06 | 0x0a | 0x7f | 0xff => 0,
        0x07 => 12,
        0x08 => 1,
        0x0b => {
            let pattern = cstring_len(value)?;
            pattern + 1 + cstring_len(value.get(pattern + 1..).ok_or(RawError("name without end"))?)? + 1
        }
        0x0c => string(value)? + 12,
        0x0f => length_at(value, 14)?,
        0x10 => 4,
        0x13 => 16,
        _ => return Err(RawError("unknown type")),
    })
}

/// The first field with this name.
pub(crate) fn find<'a>(document: &'a [u8], key: &str) -> Result<Option<Element<'a>>, RawError> {
    for element in elements(document)? {
        let element = element?;
        if element.key == key.as_bytes() {
            return Ok(Some(element));
        }
    }
    Ok(None)
}

/// Concatenated documents, one after the other. After an error it ends.
#[derive(Clone, Debug)]
pub(crate) struct Documents<'a> {
    rest: &'a [u8],
}

/// Splits concatenated documents.
pub(crate) fn documents(bytes: &[u8]) -> Documents<'_> {
    Documents { rest: bytes }
}

impl<'a> Iterator for Documents<'a> {
    type Item = Result<&'a [u8], RawError>;
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut self.rest);
        let len = match length_at(rest, DOCUMENT_BYTES_MIN) {
            Ok(len) => len,
            Err(error) => return Some(Err(error)),
        };
        let (Some(document), Some(after)) = (rest.get(..len), rest.get(len..)) else {
            return Some(Err(RawError("document over the end")));
        };
        if document.last() != Some(&0) {
            return Some(Err(RawError("no end of document")));
        }
        self.rest = after;
        Some(Ok(document))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use bson::{Bson, doc};
    use holdfast_domain::OpTime;
    use proptest::prelude::*;

    use super::*;

    fn every_type() -> bson::Document {
        doc! {
            "double": 1.5, "text": "é", "doc": {"a": {"b": 1}}, "array": [1, "x"], "bin": Bson::Binary(bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![1, 2] }),
            "undefined": Bson::Undefined, "oid": bson::oid::ObjectId::from_bytes([7; 12]), "bool": true, "date": bson::DateTime::from_millis(5), "null": Bson::Null,
            "regex": Bson::RegularExpression(bson::Regex { pattern: bson::raw::CString::try_from("a").unwrap(), options: bson::raw::CString::try_from("i").unwrap() }),
            "symbol": Bson::Symbol("s".into()), "code": Bson::JavaScriptCode("c".into()),
            "scope": Bson::JavaScriptCodeWithScope(bson::JavaScriptCodeWithScope { code: "c".into(), scope: doc! {"a": 1} }),
            "i32": 3, "ts": Bson::Timestamp(bson::Timestamp { time: 9, increment: 8 }), "i64": 4_i64, "dec": Bson::Decimal128(bson::Decimal128::from_bytes([3; 16])),
            "min": Bson::MinKey, "max": Bson::MaxKey, "": 1,
        }
    }

    #[test]
    fn every_type_is_walked_to_its_end() {
        let document = every_type();
        let bytes = document.to_vec().unwrap();
        let found: Vec<_> = elements(&bytes).unwrap().map(Result::unwrap).collect();
        assert_eq!(found.len(), document.len());
        for (element, key) in found.iter().zip(document.keys()) {
            assert_eq!(element.key, key.as_bytes());
        }
        let mut writer = Writer::new(0);
        for element in &found {
            writer.copy(element);
        }
        assert_eq!(writer.finish(), bytes);
        assert_eq!(find(&bytes, "ts").unwrap().unwrap().ts(), Some(Ts { t: 9, i: 8 }));
        assert_eq!(find(&bytes, "i64").unwrap().unwrap().integer(), Some(4));
        assert_eq!(find(&bytes, "text").unwrap().unwrap().text(), Some("é"));
        assert!(find(&bytes, "none").unwrap().is_none());
    }

    #[test]
    fn what_is_written_is_what_the_bson_crate_writes() {
        let bytes = Writer::new(10)
            .text("a", "x")
            .begin(kind::DOCUMENT, "d")
            .int32("i", 1)
            .int64("j", 2)
            .end()
            .bool("b", true)
            .optime("o", OpTime { ts: Ts { t: 1, i: 2 }, term: 3 })
            .uuid("u", [5; 16])
            .finish();
        let uuid = Bson::Binary(bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![5; 16] });
        let want = doc! {"a": "x", "d": {"i": 1, "j": 2_i64}, "b": true, "o": {"ts": Bson::Timestamp(bson::Timestamp { time: 1, increment: 2 }), "t": 3_i64}, "u": uuid};
        assert_eq!(bytes, want.to_vec().unwrap());
        assert_eq!(find(&bytes, "u").unwrap().unwrap().uuid(), Some([5; 16]));
    }

    #[test]
    fn concatenated_documents_are_split() {
        let (a, b) = (doc! {"a": 1}.to_vec().unwrap(), doc! {}.to_vec().unwrap());
        let both: Vec<u8> = [a.clone(), b.clone()].concat();
        assert_eq!(documents(&both).collect::<Result<Vec<_>, _>>().unwrap(), vec![a.as_slice(), b.as_slice()]);
        assert!(documents(&both[..both.len() - 1]).any(|d| d.is_err()));
        assert_eq!(documents(&[1, 0, 0, 0]).count(), 1, "ends after an error");
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = documents(&bytes).count();
            if let Ok(fields) = elements(&bytes) { for field in fields.flatten() { let _ = (field.text(), field.ts(), field.integer(), field.uuid(), field.truthy()); } }
        }

        #[test]
        fn a_flipped_byte_never_panics(at in 0usize..600, to in any::<u8>()) {
            let mut bytes = every_type().to_vec().unwrap();
            let at = at % bytes.len();
            bytes[at] = to;
            if let Ok(fields) = elements(&bytes) { for field in fields.flatten() { let _ = (field.text(), field.ts(), field.integer(), field.uuid(), field.truthy()); } }
        }
    }
}
