//! The newest list of the source's collections, with which the head compares itself. May be larger than a document.

use bson::{Document, doc};
use holdfast_domain::{BackupJobId, Hash32, OpTime};
use mongodb::Collection;
use serde::{Deserialize, Serialize};

use crate::{
    Ledger, LedgerError, PayloadError, PutPayloadError,
    db::{form, on},
    frame::{compress, decompress_bounded},
    parts::Frame,
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

fn of_chain(job: &BackupJobId, chain: i64) -> Document {
    doc! { "_id.job": job.clone(), "_id.chain": chain }
}

impl Ledger {
    /// Keeps a catalog, the raw BSON of an `agent_api::Catalog`, in place of older ones of the chain.
    ///
    /// # Errors
    /// [`PutPayloadError::Payload`] when it is too large.
    pub async fn put_catalog(
        &self,
        job: &BackupJobId,
        chain: i64,
        before: OpTime,
        after: OpTime,
        raw: &[u8],
    ) -> Result<(), PutPayloadError> {
        if raw.len() > CATALOG_RAW_BYTES_MAX {
            return Err(PayloadError::TooLarge { max: CATALOG_RAW_BYTES_MAX }.into());
        }
        let frame = compress(raw)?;
        let raw_bytes = i64::try_from(raw.len()).unwrap_or(i64::MAX);
        let facts = Facts { before, after, hash: Hash32::of(raw), raw: raw_bytes };
        let facts = bson::serialize_to_document(&facts).map_err(form("describe a catalog"))?;
        let (key, cut) = (key(job, chain, after), Frame::of(&frame));
        self.put_later_parts(COLLECTION, &key, &frame, &cut).await?;
        self.insert_part(COLLECTION, cut.first_part(&key, &frame, doc! { "facts": facts })).await?;
        let mut older = of_chain(job, chain);
        older.insert("_id.at", doc! { "$lt": bson::Timestamp::from(after.ts) });
        let catalogs: Collection<Document> = self.db.collection(COLLECTION);
        catalogs.delete_many(older).await.map_err(on("remove older catalogs"))?;
        Ok(())
    }

    /// The newest catalog of a chain: optimes before and after it was taken, and its raw BSON, verified.
    ///
    /// # Errors
    /// [`LedgerError::Corrupt`], [`LedgerError::Database`].
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
            let facts = part.get_document("facts").cloned().unwrap_or_default();
            let facts: Facts = bson::deserialize_from_document(facts).map_err(form(op))?;
            let what = format!("catalog of {job} at {}", facts.after);
            let key = key(job, chain, facts.after);
            let frame = match self.read_frame(COLLECTION, &key, &what, CATALOG_RAW_BYTES_MAX).await {
                Ok(Some((_, frame))) => frame,
                // A newer one replaced it between the two reads.
                Ok(None) => continue,
                Err(LedgerError::Corrupt { .. }) if last > 0 => continue,
                Err(e) => return Err(e),
            };
            let corrupt = |detail: String| LedgerError::Corrupt { what: what.clone(), detail };
            let raw = decompress_bounded(&frame, CATALOG_RAW_BYTES_MAX).map_err(|e| corrupt(e.to_string()))?;
            if Hash32::of(&raw) != facts.hash {
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
