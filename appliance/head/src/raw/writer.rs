//! Writes raw BSON: what a head sends is put together from the bytes that it was fed.

use holdfast_domain::{OpTime, Ts};

use super::{DOCUMENT_BYTES_MIN, Element, kind};

/// Writes one document (or array) field by field.
#[derive(Debug)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    open: Vec<usize>,
}

impl Writer {
    /// An empty document with room for `capacity` bytes.
    pub(crate) fn new(capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity + DOCUMENT_BYTES_MIN);
        bytes.extend([0; 4]);
        Self { bytes, open: vec![0] }
    }

    fn key(&mut self, kind: u8, key: &str) -> &mut Self {
        self.bytes.push(kind);
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.push(0);
        self
    }

    /// A field as it stands elsewhere.
    pub(crate) fn copy(&mut self, element: &Element<'_>) -> &mut Self {
        self.bytes.extend_from_slice(element.whole);
        self
    }

    /// A value of a kind under a name that is given as bytes.
    pub(crate) fn raw(&mut self, key: &[u8], kind: u8, value: &[u8]) -> &mut Self {
        self.bytes.push(kind);
        self.bytes.extend_from_slice(key);
        self.bytes.push(0);
        self.bytes.extend_from_slice(value);
        self
    }

    /// A string.
    pub(crate) fn text(&mut self, key: &str, text: &str) -> &mut Self {
        self.key(kind::STRING, key);
        self.bytes.extend(length(text.len() + 1));
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        self
    }

    /// A subdocument.
    pub(crate) fn document(&mut self, key: &str, document: &[u8]) -> &mut Self {
        self.key(kind::DOCUMENT, key).bytes.extend_from_slice(document);
        self
    }

    /// A boolean.
    pub(crate) fn bool(&mut self, key: &str, value: bool) -> &mut Self {
        self.key(kind::BOOL, key).bytes.push(u8::from(value));
        self
    }

    /// A 32-bit number.
    pub(crate) fn int32(&mut self, key: &str, value: i32) -> &mut Self {
        self.key(kind::INT32, key).bytes.extend(value.to_le_bytes());
        self
    }

    /// A 64-bit number.
    pub(crate) fn int64(&mut self, key: &str, value: i64) -> &mut Self {
        self.key(kind::INT64, key).bytes.extend(value.to_le_bytes());
        self
    }

    /// A timestamp.
    pub(crate) fn ts(&mut self, key: &str, ts: Ts) -> &mut Self {
        self.key(kind::TIMESTAMP, key).bytes.extend(ts.i.to_le_bytes());
        self.bytes.extend(ts.t.to_le_bytes());
        self
    }

    /// An optime as a subdocument {ts, t}.
    pub(crate) fn optime(&mut self, key: &str, at: OpTime) -> &mut Self {
        self.begin(kind::DOCUMENT, key).ts("ts", at.ts).int64("t", at.term).end()
    }

    /// A UUID.
    pub(crate) fn uuid(&mut self, key: &str, uuid: [u8; 16]) -> &mut Self {
        self.key(kind::BINARY, key).bytes.extend([16, 0, 0, 0, 4]);
        self.bytes.extend(uuid);
        self
    }

    /// Opens a subdocument or array.
    pub(crate) fn begin(&mut self, kind: u8, key: &str) -> &mut Self {
        self.key(kind, key);
        self.open.push(self.bytes.len());
        self.bytes.extend([0; 4]);
        self
    }

    /// Closes what was opened last.
    pub(crate) fn end(&mut self) -> &mut Self {
        if let Some(start) = self.open.pop() {
            self.bytes.push(0);
            let len = length(self.bytes.len() - start);
            if let Some(head) = self.bytes.get_mut(start..start + 4) {
                head.copy_from_slice(&len);
            }
        }
        self
    }

    /// The document: whatever is open is closed.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        while !self.open.is_empty() {
            self.end();
        }
        std::mem::take(&mut self.bytes)
    }
}

/// A length as BSON writes it. What is longer than 2 GB cannot arise (batches are bounded) and is refused by the server.
fn length(len: usize) -> [u8; 4] {
    i32::try_from(len).unwrap_or(i32::MAX).to_le_bytes()
}
