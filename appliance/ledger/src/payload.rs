//! Payloads of oplog slices: stored durably before an entry names them, verified when read.
//!
//! The bytes sent are walked by the caller (ingest: [`crate::inspect_payload`]); here their facts are kept beside them, and an
//! append must name exactly those.

use blockstore_engine::KeyId;
use bson::{Document, doc};
use holdfast_agent_api::{SLICE_BODY_BYTES_MAX, SLICE_RAW_BYTES_MAX};
use holdfast_domain::{BackupJobId, Hash32, PayloadRef};
use serde::{Deserialize, Serialize};

use crate::{
    Ledger, LedgerError, PayloadError, PayloadFacts, PutPayloadError,
    db::form,
    frame::decompress_bounded,
    parts::{Frame, Inserted},
    seal::{SEAL_BYTES, Seal},
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

/// What an encrypted payload is bound to: its ledger, its name there, its facts. Its number is not known when it is stored; the entry that
/// gives it one names the same hash, and its own hash chains it.
fn bound_to(job: &BackupJobId, chain: i64, hash: Hash32, facts: &Document) -> Document {
    doc! { "record": "oplog slice v1", "job": job.clone(), "chain": chain, "hash": hash, "facts": facts.clone() }
}

/// The zstd frame of a slice, as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceFrame {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The key under which it is stored; its name in the entry is keyed with it too.
    pub key: Option<KeyId>,
}

impl Ledger {
    /// Stores a payload durably, encrypted under the group's `key` if it has one. The same again gives the same receipt. An
    /// entry may name it from then on, as the receipt does: where there is a key, the hash there is not that of the raw bytes.
    ///
    /// # Errors
    /// [`PutPayloadError`]; [`LedgerError::NoKey`] when the key is not at hand.
    #[expect(clippy::too_many_arguments, reason = "the payload's key is two of them, as in its path")]
    pub async fn put_payload(
        &self,
        job: &BackupJobId,
        chain: i64,
        hash: Hash32,
        frame: &[u8],
        facts: &PayloadFacts,
        key_id: Option<KeyId>,
    ) -> Result<PayloadRef, PutPayloadError> {
        check_bounds(frame, facts)?;
        let seal = Seal::new(&self.keys, key_id);
        let hash = seal.name("the payload", hash)?;
        let day = self.open_day(job).await?;
        let collection = Self::day_name(job, day);
        let receipt = PayloadRef { hash, raw_bytes: facts.raw_bytes, entries: facts.entries, day };
        if !self.same_payload(&collection, chain, hash, facts).await? {
            let op = "describe a payload";
            let stored = bson::serialize_to_document(&StoredFacts::from(*facts)).map_err(form(op))?;
            let frame = seal.close("the payload", &bound_to(job, chain, hash, &stored), frame)?;
            let (key, cut) = (key(chain, hash), Frame::of(&frame));
            self.put_later_parts(&collection, &key, &frame, &cut).await?;
            let mut more = doc! { "facts": stored };
            seal.mark(&mut more);
            let first = cut.first_part(&key, &frame, more);
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
    /// [`LedgerError::Missing`], [`LedgerError::Corrupt`], [`LedgerError::NoKey`], [`LedgerError::Database`].
    pub async fn read_payload(
        &self,
        job: &BackupJobId,
        chain: i64,
        payload: &PayloadRef,
    ) -> Result<Vec<u8>, LedgerError> {
        let frame = self.payload_frame(job, chain, payload).await?;
        let what = what(job, payload);
        verified(&frame.bytes, payload.raw_bytes, payload.hash, Seal::new(&self.keys, frame.key), what)
    }
}

impl Ledger {
    /// The zstd frame of a payload, decrypted: its bytes are those that were received. At most about 27 MiB.
    ///
    /// # Errors
    /// As [`Ledger::read_payload`].
    pub async fn payload_frame(
        &self,
        job: &BackupJobId,
        chain: i64,
        payload: &PayloadRef,
    ) -> Result<SliceFrame, LedgerError> {
        let what = what(job, payload);
        let (collection, key) = (Self::day_name(job, payload.day), key(chain, payload.hash));
        let found = self.read_frame(&collection, &key, &what, SLICE_BODY_BYTES_MAX + SEAL_BYTES).await?;
        let Some((part, frame)) = found else { return Err(LedgerError::Missing { what }) };
        let seal = Seal::of(&self.keys, &part, &what)?;
        let facts = part.get_document("facts").cloned().unwrap_or_default();
        let bytes = seal.open(&what, &bound_to(job, chain, payload.hash, &facts), frame)?;
        Ok(SliceFrame { bytes, key: seal.key() })
    }
}

fn what(job: &BackupJobId, payload: &PayloadRef) -> String {
    format!("payload {} of {job}", payload.hash)
}

/// Raw bytes of a frame, if they have this length and stored hash.
pub(crate) fn verified(
    frame: &[u8],
    raw_bytes: i64,
    hash: Hash32,
    seal: Seal<'_>,
    what: String,
) -> Result<Vec<u8>, LedgerError> {
    let max = usize::try_from(raw_bytes).ok().filter(|n| *n <= SLICE_RAW_BYTES_MAX);
    let Some(max) = max else {
        return Err(LedgerError::Corrupt { what, detail: "its size is out of bounds".into() });
    };
    match decompress_bounded(frame, max) {
        Ok(raw) if raw.len() == max && seal.name(&what, Hash32::of(&raw))? == hash => Ok(raw),
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
