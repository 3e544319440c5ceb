//! Frames larger than one document: cut into parts of at most 8 MiB, part 0 written last, for it commits.
//!
//! Two uploads of the same raw bytes may be compressed differently. So the later parts carry the hash of their frame in
//! their key, and part 0, which has none there, names the frame it belongs to: parts of two frames never mix.

use bson::{Binary, Bson, Document, doc, spec::BinarySubtype};
use holdfast_domain::Hash32;
use mongodb::Collection;

use crate::{
    Ledger, LedgerError,
    db::{Tries, duplicate, on, passing},
};

/// Most bytes of a part: half of what a document may hold.
pub(crate) const PART_BYTES_MAX: usize = 8 << 20;

/// What part 0 says of its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) hash: Hash32,
    pub(crate) bytes: i64,
    pub(crate) parts: i32,
}

fn binary(bytes: &[u8]) -> Bson {
    Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() })
}

impl Frame {
    pub(crate) fn of(frame: &[u8]) -> Self {
        let parts = frame.len().div_ceil(PART_BYTES_MAX).max(1);
        Self {
            hash: Hash32::of(frame),
            bytes: i64::try_from(frame.len()).expect("a frame in memory is shorter than 2^63 bytes"),
            parts: i32::try_from(parts).expect("a frame in memory has fewer than 2^31 parts"),
        }
    }

    /// Reads it from part 0.
    pub(crate) fn from_part(part: &Document) -> Option<Self> {
        Some(Self {
            hash: part.get_str("frame").ok()?.parse().ok()?,
            bytes: part.get_i64("frameBytes").ok()?,
            parts: part.get_i32("parts").ok()?,
        })
    }

    /// Part 0 of this frame under `key`, with `more` beside.
    pub(crate) fn first_part(&self, key: &Document, frame: &[u8], more: Document) -> Document {
        let first = &frame[..frame.len().min(PART_BYTES_MAX)];
        let mut doc = doc! {
            "_id": part_key(key, 0, None), "frame": self.hash, "frameBytes": self.bytes, "parts": self.parts,
        };
        doc.extend(more);
        doc.insert("data", binary(first));
        doc
    }
}

/// `_id` of a part.
pub(crate) fn part_key(key: &Document, part: i32, frame: Option<Hash32>) -> Document {
    let mut id = key.clone();
    id.insert("part", part);
    if let Some(frame) = frame {
        id.insert("frame", frame);
    }
    id
}

/// What became of an insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    Now,
    Before,
}

/// Takes the bytes out of a part.
fn data(part: &mut Document) -> Option<Vec<u8>> {
    match part.remove("data") {
        Some(Bson::Binary(binary)) => Some(binary.bytes),
        _ => None,
    }
}

impl Ledger {
    /// Writes a frame's parts after the first one. Durable on a majority when it returns.
    pub(crate) async fn put_later_parts(
        &self,
        collection: &str,
        key: &Document,
        frame: &[u8],
        facts: &Frame,
    ) -> Result<(), LedgerError> {
        for (n, chunk) in frame.chunks(PART_BYTES_MAX).enumerate().skip(1) {
            let n = i32::try_from(n).expect("a frame in memory has fewer than 2^31 parts");
            let part = doc! { "_id": part_key(key, n, Some(facts.hash)), "data": binary(chunk) };
            self.insert_part(collection, part).await?;
        }
        Ok(())
    }

    /// Inserts a part. One that is there is read back by a majority, in the same session: it is durable then.
    pub(crate) async fn insert_part(&self, collection: &str, part: Document) -> Result<Inserted, LedgerError> {
        let parts: Collection<Document> = self.db.collection(collection);
        let mut tries = Tries::new();
        let mut session = self.session().await?;
        loop {
            match parts.insert_one(&part).session(&mut session).await {
                Ok(_) => return Ok(Inserted::Now),
                Err(e) if duplicate(&e) => {
                    let id = doc! { "_id": part.get("_id").cloned() };
                    let found = parts.find_one(id).projection(doc! { "_id": 1 }).session(&mut session).await;
                    match found {
                        Ok(Some(_)) => return Ok(Inserted::Before),
                        // The other writer's insert was rolled back: it is ours to write.
                        Ok(None) if tries.pause().await => {}
                        Err(e) if passing(&e) && tries.pause().await => {}
                        Ok(None) => return Err(on("store a part")(e)),
                        Err(e) => return Err(on("store a part")(e)),
                    }
                }
                Err(e) if passing(&e) && tries.pause().await => {}
                Err(e) => return Err(on("store a part")(e)),
            }
        }
    }

    /// Part 0 without its bytes.
    pub(crate) async fn part_facts(&self, collection: &str, key: &Document) -> Result<Option<Document>, LedgerError> {
        let parts: Collection<Document> = self.db.collection(collection);
        let id = doc! { "_id": part_key(key, 0, None) };
        let mut tries = Tries::new();
        loop {
            match parts.find_one(id.clone()).projection(doc! { "data": 0 }).await {
                Ok(found) => return Ok(found),
                Err(e) if passing(&e) && tries.pause().await => {}
                Err(e) => return Err(on("read a part")(e)),
            }
        }
    }

    /// The whole frame and part 0's other fields. None: no part 0, so nothing was committed under this key.
    pub(crate) async fn read_frame(
        &self,
        collection: &str,
        key: &Document,
        what: &str,
        frame_bytes_max: usize,
    ) -> Result<Option<(Document, Vec<u8>)>, LedgerError> {
        let parts: Collection<Document> = self.db.collection(collection);
        let op = "read a part";
        let corrupt = |detail: &str| LedgerError::Corrupt { what: what.to_owned(), detail: detail.to_owned() };
        let Some(mut first) = parts.find_one(doc! { "_id": part_key(key, 0, None) }).await.map_err(on(op))? else {
            return Ok(None);
        };
        let facts = Frame::from_part(&first).ok_or_else(|| corrupt("its first part does not describe the rest"))?;
        let size = usize::try_from(facts.bytes).ok().filter(|n| *n <= frame_bytes_max);
        let size = size.ok_or_else(|| corrupt("its size is out of bounds"))?;
        if usize::try_from(facts.parts).ok() != Some(size.div_ceil(PART_BYTES_MAX).max(1)) {
            return Err(corrupt("its number of parts does not fit its size"));
        }
        let mut frame = data(&mut first).ok_or_else(|| corrupt("its first part has no bytes"))?;
        for n in 1..facts.parts {
            let found = parts.find_one(doc! { "_id": part_key(key, n, Some(facts.hash)) }).await.map_err(on(op))?;
            let more = found.and_then(|mut part| data(&mut part)).ok_or_else(|| corrupt("a part is missing"))?;
            if frame.len() + more.len() > size {
                return Err(corrupt("its parts are longer than its size"));
            }
            frame.extend_from_slice(&more);
        }
        if frame.len() != size || Hash32::of(&frame) != facts.hash {
            return Err(corrupt("its bytes are not those that were stored"));
        }
        Ok(Some((first, frame)))
    }
}
