//! Reading sync slices, for the head that loads them.

use bson::{Bson, Document, doc};
use futures::TryStreamExt as _;
use holdfast_agent_api::SLICE_BODY_BYTES_MAX;
use holdfast_domain::BackupJobId;
use mongodb::Collection;

use crate::{
    Ledger, LedgerError, StoredScan,
    db::{Tries, on},
    payload::verified,
    scans::scan_key,
    seal::{SEAL_BYTES, Seal},
    sync_slices::{bound_to, facts, slice_key},
};

impl Ledger {
    /// Every collection of the sync with its present scan, by UUID. Empty once the sync is dropped.
    ///
    /// # Errors
    /// [`LedgerError::Database`], [`LedgerError::NoKey`], [`LedgerError::Corrupt`].
    pub async fn scans(&self, job: &BackupJobId, chain: i64) -> Result<Vec<StoredScan>, LedgerError> {
        let opened = self.scan_docs(job, chain).await?.into_iter().map(|scan| scan.opened(&self.keys));
        opened.collect()
    }

    /// Raw BSON of a sync slice, verified: documents one after the other. None when it is not stored (yet, or any more).
    ///
    /// # Errors
    /// [`LedgerError::Corrupt`], [`LedgerError::NoKey`], [`LedgerError::Database`].
    pub async fn read_sync_slice(
        &self,
        job: &BackupJobId,
        chain: i64,
        uuid: &str,
        scan: i64,
        seq: i64,
    ) -> Result<Option<Vec<u8>>, LedgerError> {
        let what = format!("sync slice {chain}/{uuid}/{scan}/{seq} of {job}");
        let collection = Self::sync_name(job, chain);
        let key = slice_key(uuid, scan, seq);
        let found = self.read_frame(&collection, &key, &what, SLICE_BODY_BYTES_MAX + SEAL_BYTES).await?;
        let Some((part, frame)) = found else { return Ok(None) };
        let hash = part.get_str("hash").ok().and_then(|hash| hash.parse().ok());
        let (Some(hash), Ok(raw_bytes), Ok(documents)) = (hash, part.get_i64("rawBytes"), part.get_i64("documents"))
        else {
            return Err(LedgerError::Corrupt { what, detail: "its first part does not describe it".into() });
        };
        let seal = Seal::of(&self.keys, &part, &what)?;
        let facts = facts(hash, raw_bytes, documents);
        let frame = seal.open(&what, &bound_to(job, chain, &key, &facts), frame)?;
        verified(&frame, raw_bytes, hash, seal, what).map(Some)
    }

    /// Compressed bytes stored and not yet loaded by the head, over all collections. One indexed read.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub async fn backlog(&self, job: &BackupJobId, chain: i64) -> Result<u64, LedgerError> {
        let op = "sum the backlog of a sync";
        let waiting = doc! { "_id.job": job.clone(), "_id.chain": chain, "backlog": { "$gt": 0 } };
        let sum = [doc! { "$match": waiting }, doc! { "$group": { "_id": null, "sum": { "$sum": "$backlog" } } }];
        let mut found = self.scans_collection().aggregate(sum).await.map_err(on(op))?;
        let sum = found.try_next().await.map_err(on(op))?;
        Ok(match sum.as_ref().and_then(|doc| doc.get("sum")) {
            Some(Bson::Int64(n)) => u64::try_from(*n).unwrap_or(0),
            Some(Bson::Int32(n)) => u64::try_from(*n).unwrap_or(0),
            _ => 0,
        })
    }

    /// The head has loaded every slice of this scan up to and with `seq`. An older scan's mark changes nothing.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub async fn mark_loaded(
        &self,
        job: &BackupJobId,
        chain: i64,
        uuid: &str,
        scan: i64,
        seq: i64,
    ) -> Result<(), LedgerError> {
        let op = "mark a slice as loaded";
        let parts: Collection<Document> = self.db.collection(&Self::sync_name(job, chain));
        let mut tries = Tries::new();
        loop {
            let Some(doc) = self.scan_doc(job, chain, uuid).await? else { return Ok(()) };
            let end = seq.saturating_add(1).min(doc.next_seq);
            if doc.scan != scan || end <= doc.loaded_seq {
                return Ok(());
            }
            let mut bytes = 0_i64;
            let range = doc! { "_id": {
                "$gte": slice_key(uuid, scan, doc.loaded_seq), "$lt": slice_key(uuid, scan, end),
            }, "_id.part": 0 };
            let mut cursor = parts.find(range).projection(doc! { "frameBytes": 1 }).await.map_err(on(op))?;
            while let Some(part) = cursor.try_next().await.map_err(on(op))? {
                bytes += part.get_i64("frameBytes").unwrap_or(0);
            }
            let mut as_read = scan_key(job, chain, uuid);
            as_read.extend(doc! { "scan": scan, "loadedSeq": doc.loaded_seq });
            let update = doc! { "$set": { "loadedSeq": end }, "$inc": { "backlog": -bytes } };
            let done = self.scans_collection().update_one(as_read, update).await.map_err(on(op))?;
            // Another marker was faster (a daemon that lost its lease): look again; give up quietly, a mark is only a hint.
            if done.matched_count > 0 || !tries.pause().await {
                return Ok(());
            }
        }
    }
}
