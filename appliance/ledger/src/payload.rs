//! Payloads of oplog slices: stored durably before an entry names them, verified when read.
//!
//! The bytes sent are walked by the caller (ingest: [`crate::inspect_payload`]); here their facts are kept beside them, and an
//! append must name exactly those.

use bson::{Document, doc};
use holdfast_agent_api::{SLICE_BODY_BYTES_MAX, SLICE_RAW_BYTES_MAX};
use holdfast_domain::{BackupJobId, Hash32, PayloadRef};
use serde::{Deserialize, Serialize};

use crate::{
    Ledger, LedgerError, PayloadError, PayloadFacts, PutPayloadError,
    db::form,
    frame::decompress_bounded,
    parts::{Frame, Inserted},
};

/// Facts of a payload, as part 0 keeps them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredFacts {
    raw_bytes: i64,
    entries: i64,
    first: holdfast_domain::OpTime,
    last: holdfast_domain::OpTime,
}

impl From<PayloadFacts> for StoredFacts {
    fn from(f: PayloadFacts) -> Self {
        Self { raw_bytes: f.raw_bytes, entries: f.entries, first: f.first, last: f.last }
    }
}

impl From<StoredFacts> for PayloadFacts {
    fn from(f: StoredFacts) -> Self {
        Self { raw_bytes: f.raw_bytes, entries: f.entries, first: f.first, last: f.last }
    }
}

/// The first field in which two payloads differ.
pub(crate) fn difference(a: &PayloadFacts, b: &PayloadFacts) -> Option<&'static str> {
    [
        ("rawBytes", a.raw_bytes == b.raw_bytes),
        ("entries", a.entries == b.entries),
        ("first", a.first == b.first),
        ("last", a.last == b.last),
    ]
    .into_iter()
    .find_map(|(field, same)| (!same).then_some(field))
}

fn key(chain: i64, hash: Hash32) -> Document {
    doc! { "chain": chain, "hash": hash }
}

impl Ledger {
    /// Stores a payload durably. The same again gives the same receipt. An entry may name it from then on.
    ///
    /// # Errors
    /// [`PutPayloadError`].
    pub async fn put_payload(
        &self,
        job: &BackupJobId,
        chain: i64,
        hash: Hash32,
        frame: &[u8],
        facts: &PayloadFacts,
    ) -> Result<PayloadRef, PutPayloadError> {
        check_bounds(frame, facts)?;
        let day = self.open_day(job).await?;
        let collection = Self::day_name(job, day);
        let receipt = PayloadRef { hash, raw_bytes: facts.raw_bytes, entries: facts.entries, day };
        if !self.same_payload(&collection, chain, hash, facts).await? {
            let (key, cut) = (key(chain, hash), Frame::of(frame));
            self.put_later_parts(&collection, &key, frame, &cut).await?;
            let op = "describe a payload";
            let stored = bson::serialize_to_document(&StoredFacts::from(*facts)).map_err(form(op))?;
            let first = cut.first_part(&key, frame, doc! { "facts": stored });
            if self.insert_part(&collection, first).await? == Inserted::Before {
                self.same_payload(&collection, chain, hash, facts).await?;
            }
        }
        Ok(receipt)
    }

    /// True when it is stored with these facts.
    async fn same_payload(
        &self,
        collection: &str,
        chain: i64,
        hash: Hash32,
        facts: &PayloadFacts,
    ) -> Result<bool, PutPayloadError> {
        match self.stored_facts(collection, chain, hash).await? {
            None => Ok(false),
            Some(stored) => match difference(&stored, facts) {
                None => Ok(true),
                Some(field) => Err(PutPayloadError::Mismatch { field }),
            },
        }
    }

    async fn stored_facts(
        &self,
        collection: &str,
        chain: i64,
        hash: Hash32,
    ) -> Result<Option<PayloadFacts>, LedgerError> {
        let Some(part) = self.part_facts(collection, &key(chain, hash)).await? else { return Ok(None) };
        let facts = part.get_document("facts").cloned().unwrap_or_default();
        let facts: StoredFacts = bson::deserialize_from_document(facts).map_err(form("read a payload's facts"))?;
        Ok(Some(facts.into()))
    }

    /// What is stored under a receipt.
    pub(crate) async fn payload_facts(
        &self,
        job: &BackupJobId,
        chain: i64,
        payload: &PayloadRef,
    ) -> Result<Option<PayloadFacts>, LedgerError> {
        self.stored_facts(&Self::day_name(job, payload.day), chain, payload.hash).await
    }

    /// Raw BSON of a payload: its length and hash are what the entry says. At most about 27 MiB.
    ///
    /// # Errors
    /// [`LedgerError::Missing`], [`LedgerError::Corrupt`], [`LedgerError::Database`].
    pub async fn read_payload(
        &self,
        job: &BackupJobId,
        chain: i64,
        payload: &PayloadRef,
    ) -> Result<Vec<u8>, LedgerError> {
        let what = format!("payload {} of {job}", payload.hash);
        let collection = Self::day_name(job, payload.day);
        let key = key(chain, payload.hash);
        let found = self.read_frame(&collection, &key, &what, SLICE_BODY_BYTES_MAX).await?;
        let Some((_, frame)) = found else { return Err(LedgerError::Missing { what }) };
        verified(&frame, payload.raw_bytes, payload.hash, what)
    }
}

impl Ledger {
    /// The zstd frame of a payload as it is stored: its bytes are those that were received. At most about 27 MiB.
    ///
    /// # Errors
    /// As [`Ledger::read_payload`].
    pub async fn payload_frame(
        &self,
        job: &BackupJobId,
        chain: i64,
        payload: &PayloadRef,
    ) -> Result<Vec<u8>, LedgerError> {
        let what = format!("payload {} of {job}", payload.hash);
        let (collection, key) = (Self::day_name(job, payload.day), key(chain, payload.hash));
        let found = self.read_frame(&collection, &key, &what, SLICE_BODY_BYTES_MAX).await?;
        found.map(|(_, frame)| frame).ok_or(LedgerError::Missing { what })
    }
}

/// Raw bytes of a frame, if they have this length and hash.
pub(crate) fn verified(frame: &[u8], raw_bytes: i64, hash: Hash32, what: String) -> Result<Vec<u8>, LedgerError> {
    let max = usize::try_from(raw_bytes).ok().filter(|n| *n <= SLICE_RAW_BYTES_MAX);
    let Some(max) = max else {
        return Err(LedgerError::Corrupt { what, detail: "its size is out of bounds".into() });
    };
    match decompress_bounded(frame, max) {
        Ok(raw) if raw.len() == max && Hash32::of(&raw) == hash => Ok(raw),
        Ok(_) => Err(LedgerError::Corrupt { what, detail: "its raw bytes have another length or hash".into() }),
        Err(e) => Err(LedgerError::Corrupt { what, detail: e.to_string() }),
    }
}

fn check_bounds(frame: &[u8], facts: &PayloadFacts) -> Result<(), PayloadError> {
    if frame.len() > SLICE_BODY_BYTES_MAX {
        return Err(PayloadError::TooLarge { max: SLICE_BODY_BYTES_MAX });
    }
    match usize::try_from(facts.raw_bytes) {
        Ok(0) => return Err(PayloadError::Empty),
        Ok(n) if n <= SLICE_RAW_BYTES_MAX => {}
        _ => return Err(PayloadError::TooLarge { max: SLICE_RAW_BYTES_MAX }),
    }
    if facts.entries < 1 || facts.first.ts > facts.last.ts {
        return Err(PayloadError::Empty);
    }
    Ok(())
}
