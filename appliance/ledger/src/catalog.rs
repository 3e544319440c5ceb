//! The newest list of the source's collections, with which the head compares itself. May be larger than a document.

use blockstore_engine::KeyId;
use bson::{Document, doc};
use holdfast_domain::{BackupJobId, Hash32, OpTime};
use mongodb::Collection;
use serde::{Deserialize, Serialize};

use crate::{
    Ledger, LedgerError, PayloadError, PutPayloadError,
    db::{form, on},
    frame::{compress, decompress_bounded},
    parts::Frame,
    seal::{SEAL_BYTES, Seal},
};

/// Largest catalog, in raw bytes: about half a million collections.
const CATALOG_RAW_BYTES_MAX: usize = 256 << 20;
/// Reads of a catalog that a newer one replaces meanwhile.
const READS_MAX: usize = 5;
const COLLECTION: &str = "ledger_catalogs";

/// What part 0 says.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Facts {
    before: OpTime,
    after: OpTime,
    hash: Hash32,
    raw: i64,
}

fn key(job: &BackupJobId, chain: i64, after: OpTime) -> Document {
    doc! { "job": job.clone(), "chain": chain, "at": bson::Timestamp::from(after.ts) }
}

/// What an encrypted catalog is bound to.
fn bound_to(key: &Document, facts: &Document) -> Document {
    doc! { "record": "catalog v1", "at": key.clone(), "facts": facts.clone() }
}

fn of_chain(job: &BackupJobId, chain: i64) -> Document {
    doc! { "_id.job": job.clone(), "_id.chain": chain }
}

impl Ledger {
    /// Keeps a catalog, the raw BSON of an `agent_api::Catalog`, in place of older ones of the chain; encrypted under the
    /// group's `key_id` if it has one.
    ///
    /// # Errors
    /// [`PutPayloadError::Payload`] when it is too large; [`LedgerError::NoKey`] when the key is not at hand.
    pub async fn put_catalog(
        &self,
        job: &BackupJobId,
        chain: i64,
        before: OpTime,
        after: OpTime,
        raw: &[u8],
        key_id: Option<KeyId>,
    ) -> Result<(), PutPayloadError> {
        if raw.len() > CATALOG_RAW_BYTES_MAX {
            return Err(PayloadError::TooLarge { max: CATALOG_RAW_BYTES_MAX }.into());
        }
        let frame = compress(raw)?;
        let raw_bytes = i64::try_from(raw.len()).unwrap_or(i64::MAX);
        let (seal, what) = (Seal::new(&self.keys, key_id), "the catalog");
        let facts = Facts { before, after, hash: seal.name(what, Hash32::of(raw))?, raw: raw_bytes };
        let facts = bson::serialize_to_document(&facts).map_err(form("describe a catalog"))?;
        let key = key(job, chain, after);
        let frame = seal.close(what, &bound_to(&key, &facts), &frame)?;
        let cut = Frame::of(&frame);
        self.put_later_parts(COLLECTION, &key, &frame, &cut).await?;
        let mut more = doc! { "facts": facts };
        seal.mark(&mut more);
        self.insert_part(COLLECTION, cut.first_part(&key, &frame, more)).await?;
        let mut older = of_chain(job, chain);
        older.insert("_id.at", doc! { "$lt": bson::Timestamp::from(after.ts) });
        let catalogs: Collection<Document> = self.db.collection(COLLECTION);
        catalogs.delete_many(older).await.map_err(on("remove older catalogs"))?;
        Ok(())
    }

    /// The newest catalog of a chain: optimes before and after it was taken, and its raw BSON, verified.
    ///
    /// # Errors
    /// [`LedgerError::Corrupt`], [`LedgerError::NoKey`], [`LedgerError::Database`].
    pub async fn latest_catalog(
        &self,
        job: &BackupJobId,
        chain: i64,
    ) -> Result<Option<(OpTime, OpTime, Vec<u8>)>, LedgerError> {
        let op = "read a catalog";
        let catalogs: Collection<Document> = self.db.collection(COLLECTION);
        for last in (0..READS_MAX).rev() {
            let mut newest = of_chain(job, chain);
            newest.insert("_id.part", 0);
            let found = catalogs.find_one(newest).projection(doc! { "data": 0 }).sort(doc! { "_id.at": -1 }).await;
            let Some(part) = found.map_err(on(op))? else { return Ok(None) };
            let described = part.get_document("facts").cloned().unwrap_or_default();
            let facts: Facts = bson::deserialize_from_document(described.clone()).map_err(form(op))?;
            let what = format!("catalog of {job} at {}", facts.after);
            let key = key(job, chain, facts.after);
            let frame = match self.read_frame(COLLECTION, &key, &what, CATALOG_RAW_BYTES_MAX + SEAL_BYTES).await {
                Ok(Some((_, frame))) => frame,
                // A newer one replaced it between the two reads.
                Ok(None) => continue,
                Err(LedgerError::Corrupt { .. }) if last > 0 => continue,
                Err(e) => return Err(e),
            };
            let corrupt = |detail: String| LedgerError::Corrupt { what: what.clone(), detail };
            let seal = Seal::of(&self.keys, &part, &what)?;
            let frame = seal.open(&what, &bound_to(&key, &described), frame)?;
            let raw = decompress_bounded(&frame, CATALOG_RAW_BYTES_MAX).map_err(|e| corrupt(e.to_string()))?;
            if seal.name(&what, Hash32::of(&raw))? != facts.hash {
                return Err(corrupt("its raw bytes have another hash".into()));
            }
            return Ok(Some((facts.before, facts.after, raw)));
        }
        Ok(None)
    }

    /// Removes the catalogs of a chain that is trimmed away.
    pub(crate) async fn remove_catalogs(&self, job: &BackupJobId, chain: i64) -> Result<(), LedgerError> {
        let catalogs: Collection<Document> = self.db.collection(COLLECTION);
        catalogs.delete_many(of_chain(job, chain)).await.map(|_| ()).map_err(on("remove catalogs"))
    }
}
