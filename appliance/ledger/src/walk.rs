//! Walks BSON bytes without trusting them and without copying.
//!
//! Own code instead of the bson crate because a source may hold strings that are not UTF-8 (the server does not check them)
//! and a backup must take them as they are; here only the structure is checked: lengths, types, ends, depth.

/// Deepest nesting taken. The server refuses documents deeper than 180 (200 with what the oplog wraps around them).
const DEPTH_MAX: usize = 256;
/// Smallest document: length and end.
const DOCUMENT_BYTES_MIN: usize = 5;

/// Cuts the first document off `bytes`: its bytes and the rest.
pub(crate) fn split_document(bytes: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    let length: [u8; 4] = bytes.get(..4).and_then(|b| b.try_into().ok()).ok_or("its length is cut off")?;
    let length = usize::try_from(i32::from_le_bytes(length)).map_err(|_| "its length is negative")?;
    if length < DOCUMENT_BYTES_MIN {
        return Err("its length is too small");
    }
    if length > bytes.len() {
        return Err("it is cut off");
    }
    Ok(bytes.split_at(length))
}

/// An element of the outermost document.
pub(crate) struct Element<'a> {
    pub(crate) kind: u8,
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
}

/// Checks a whole document and shows its outermost elements.
pub(crate) fn check_document<'a>(doc: &'a [u8], mut seen: impl FnMut(Element<'a>)) -> Result<(), &'static str> {
    elements(doc, 0, &mut seen)
}

fn elements<'a>(doc: &'a [u8], depth: usize, seen: &mut dyn FnMut(Element<'a>)) -> Result<(), &'static str> {
    if depth > DEPTH_MAX {
        return Err("it is nested too deeply");
    }
    let (doc, rest) = split_document(doc)?;
    if !rest.is_empty() || doc.last() != Some(&0) {
        return Err("a document does not end where it says");
    }
    let mut at = &doc[4..doc.len() - 1];
    while let Some((&kind, after)) = at.split_first() {
        let end = after.iter().position(|b| *b == 0).ok_or("a field name has no end")?;
        let (name, value) = (&after[..end], &after[end + 1..]);
        let size = value_size(kind, value)?;
        if size > value.len() {
            return Err("a value is cut off");
        }
        let (value, next) = value.split_at(size);
        match kind {
            0x03 | 0x04 => elements(value, depth + 1, &mut |_| ())?,
            0x0f => code_with_scope(value, depth)?,
            _ => {}
        }
        if depth == 0 {
            seen(Element { kind, name, value });
        }
        at = next;
    }
    Ok(())
}

fn length_at(value: &[u8]) -> Result<usize, &'static str> {
    let length: [u8; 4] = value.get(..4).and_then(|b| b.try_into().ok()).ok_or("a length is cut off")?;
    usize::try_from(i32::from_le_bytes(length)).map_err(|_| "a length is negative")
}

/// A string's bytes with its length; its last byte must be zero.
fn string_size(value: &[u8]) -> Result<usize, &'static str> {
    let size = 4 + length_at(value)?;
    match value.get(4..size).and_then(<[u8]>::last) {
        Some(0) => Ok(size),
        _ => Err("a string does not end where it says"),
    }
}

fn cstring_size(value: &[u8]) -> Result<usize, &'static str> {
    value.iter().position(|b| *b == 0).map(|n| n + 1).ok_or("a regular expression has no end")
}

/// Bytes of a value of this type; may exceed what is there, which the caller checks.
fn value_size(kind: u8, value: &[u8]) -> Result<usize, &'static str> {
    Ok(match kind {
        0x01 | 0x09 | 0x11 | 0x12 => 8,
        0x02 | 0x0d | 0x0e => string_size(value)?,
        0x03 | 0x04 | 0x0f => length_at(value)?,
        0x05 => 5 + length_at(value)?,
        0x06 | 0x0a | 0x7f | 0xff => 0,
        0x07 => 12,
        0x08 => 1,
        0x0b => {
            let first = cstring_size(value)?;
            first + cstring_size(&value[first..])?
        }
        0x0c => string_size(value)? + 12,
        0x10 => 4,
        0x13 => 16,
        _ => return Err("a value has an unknown type"),
    })
}

fn code_with_scope(value: &[u8], depth: usize) -> Result<(), &'static str> {
    let code = value.get(4..).ok_or("code is cut off")?;
    let size = string_size(code)?;
    elements(&code[size..], depth + 1, &mut |_| ())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use bson::{Bson, doc};

    fn rich() -> Vec<u8> {
        let doc = doc! {
            "f": 1.5, "s": "x\0y", "d": { "a": [1, "b", { "c": Bson::Null }] }, "bin": bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![1, 2] },
            "oid": bson::oid::ObjectId::new(), "b": true, "dt": bson::DateTime::now(), "re": bson::Regex { pattern: bson::raw::CString::try_from("a").unwrap(), options: bson::raw::CString::try_from("i").unwrap() },
            "code": Bson::JavaScriptCode("x".into()), "i": 1, "ts": bson::Timestamp { time: 1, increment: 2 }, "l": 1_i64,
            "cw": bson::JavaScriptCodeWithScope { code: "y".into(), scope: doc! { "z": 1 } }, "min": Bson::MinKey, "max": Bson::MaxKey, "u": Bson::Undefined, "sym": Bson::Symbol("q".into()),
            "dec": Bson::Decimal128("1.5".parse().unwrap()),
        };
        bson::serialize_to_vec(&doc).unwrap()
    }

    #[test]
    fn every_type_passes_and_no_cut_does() {
        let bytes = rich();
        let mut names = 0;
        check_document(&bytes, |_| names += 1).unwrap();
        assert_eq!(names, 18);
        for end in 0..bytes.len() {
            assert!(check_document(&bytes[..end], |_| ()).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn flipped_bytes_never_panic() {
        let bytes = rich();
        for n in 0..bytes.len() {
            for bit in 0..8 {
                let mut other = bytes.clone();
                other[n] ^= 1 << bit;
                let _ = check_document(&other, |_| ());
            }
        }
    }

    #[test]
    fn strings_of_other_encodings_pass() {
        let mut bytes = bson::serialize_to_vec(&doc! { "s": "ab" }).unwrap();
        let at = bytes.windows(2).position(|w| w == b"ab").unwrap();
        bytes[at] = 0xff;
        check_document(&bytes, |_| ()).unwrap();
    }

    #[test]
    fn depth_is_bounded() {
        let mut doc = doc! {};
        for _ in 0..DEPTH_MAX + 1 {
            doc = doc! { "a": doc };
        }
        assert!(check_document(&bson::serialize_to_vec(&doc).unwrap(), |_| ()).is_err());
    }
}
