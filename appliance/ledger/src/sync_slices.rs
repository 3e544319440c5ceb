//! Storing sync slices: parts first, then one transaction that raises the scan's `nextSeq` and inserts part 0.

use blockstore_engine::KeyId;
use bson::{Document, doc};
use holdfast_agent_api::SLICE_BODY_BYTES_MAX;
use holdfast_domain::{BackupJobId, Hash32};
use mongodb::{ClientSession, Collection};

use crate::{
    Ledger, LedgerError, PayloadError, PutSlice, SyncError, SyncSliceHeader,
    db::{Tries, duplicate, on},
    error::DatabaseCause as _,
    parts::Frame,
    scans::{ScanDoc, check_uuid, scan_key},
    seal::Seal,
};

/// Longest resume token, in bytes of base64.
const TOKEN_BYTES_MAX: usize = 64 << 10;

/// Names a slice within its chain.
pub(crate) fn slice_key(uuid: &str, scan: i64, seq: i64) -> Document {
    doc! { "uuid": uuid, "scan": scan, "seq": seq }
}

/// What an encrypted slice is bound to: its place and what it holds.
pub(crate) fn bound_to(job: &BackupJobId, chain: i64, key: &Document, facts: &Document) -> Document {
    doc! { "record": "sync slice v1", "job": job.clone(), "chain": chain, "slice": key.clone(), "facts": facts.clone() }
}

/// What part 0 says of a slice's raw bytes.
pub(crate) fn facts(hash: Hash32, raw_bytes: i64, documents: i64) -> Document {
    doc! { "hash": hash, "rawBytes": raw_bytes, "documents": documents }
}

/// Where a slice is put and what it is.
struct Slice<'a> {
    job: &'a BackupJobId,
    chain: i64,
    uuid: &'a str,
    scan: i64,
    seq: i64,
    header: &'a SyncSliceHeader,
    /// As it is stored.
    frame: &'a [u8],
    cut: Frame,
    facts: Document,
    seal: Seal<'a>,
}

impl Slice<'_> {
    fn key(&self) -> Document {
        slice_key(self.uuid, self.scan, self.seq)
    }
}

impl Ledger {
    /// Stores a sync slice, the next one of its scan, encrypted under the group's `key_id` if it has one. The same again is
    /// [`PutSlice::Same`]. The caller has checked the bytes against the header.
    ///
    /// # Errors
    /// [`SyncError::Conflict`] with what is stored when it is not the next one or has other bytes;
    /// [`SyncError::StaleScan`], [`SyncError::Dropped`], [`SyncError::NoScan`], [`SyncError::NoSync`]; [`LedgerError::NoKey`]
    /// when the key is not at hand.
    #[expect(clippy::too_many_arguments, reason = "the slice's key is four of them, as in its path")]
    pub async fn put_sync_slice(
        &self,
        job: &BackupJobId,
        chain: i64,
        uuid: &str,
        scan: i64,
        seq: i64,
        header: &SyncSliceHeader,
        frame: &[u8],
        key_id: Option<KeyId>,
    ) -> Result<PutSlice, SyncError> {
        check_uuid(uuid)?;
        if frame.len() > SLICE_BODY_BYTES_MAX {
            return Err(PayloadError::TooLarge { max: SLICE_BODY_BYTES_MAX }.into());
        }
        if header.token.as_ref().is_some_and(|token| token.len() > TOKEN_BYTES_MAX) {
            return Err(SyncError::Invalid { detail: "the resume token is too long".to_owned() });
        }
        let (seal, what) = (Seal::new(&self.keys, key_id), "the sync slice");
        let facts = facts(seal.name(what, header.hash)?, header.raw_bytes, header.documents);
        let frame = seal.close(what, &bound_to(job, chain, &slice_key(uuid, scan, seq), &facts), frame)?;
        let slice = Slice { job, chain, uuid, scan, seq, header, frame: &frame, cut: Frame::of(&frame), facts, seal };
        let mut tries = Tries::new();
        loop {
            if self.place(&slice).await? == Place::Stored {
                return Ok(PutSlice::Same);
            }
            let collection = Self::sync_name(job, chain);
            self.put_later_parts(&collection, &slice.key(), &frame, &slice.cut).await?;
            if self.commit_slice(&slice).await? {
                return Ok(PutSlice::Stored);
            }
            // Someone else put it, or began another scan, or dropped the sync, between the two: look again.
            if !tries.pause().await {
                let doc = self.scan_doc(job, chain, uuid).await?;
                return Err(SyncError::Conflict { tail: doc.map(|doc| doc.tail()).unwrap_or_default() });
            }
        }
    }

    /// Whether the slice is the next one or is stored.
    async fn place(&self, slice: &Slice<'_>) -> Result<Place, SyncError> {
        let Some(doc) = self.scan_doc(slice.job, slice.chain, slice.uuid).await? else {
            return Err(self.refused(slice).await);
        };
        if doc.dropped {
            return Err(SyncError::Dropped);
        }
        if doc.scan != slice.scan {
            return Err(SyncError::StaleScan { current: doc.scan });
        }
        let conflict = |doc: &ScanDoc| Err(SyncError::Conflict { tail: doc.tail() });
        if slice.seq >= doc.next_seq || slice.seq < 0 {
            let next = slice.seq == doc.next_seq && !doc.ended;
            return if next { Ok(Place::Next) } else { conflict(&doc) };
        }
        let collection = Self::sync_name(slice.job, slice.chain);
        let stored = self.part_facts(&collection, &slice.key()).await?;
        // It may have been stored plain, before slices were encrypted.
        let same = match stored {
            Some(part) => {
                let name = Seal::of(&self.keys, &part, "the sync slice")?.name("the sync slice", slice.header.hash)?;
                part.get("hash") == Some(&name.into())
            }
            None => false,
        };
        if same { Ok(Place::Stored) } else { conflict(&doc) }
    }

    /// The sync is over or never was. Parts that came late may have made the collection again: away with it.
    async fn refused(&self, slice: &Slice<'_>) -> SyncError {
        let error = self.no_scan(slice.job, slice.chain).await;
        if matches!(error, SyncError::Dropped) {
            let name = Self::sync_name(slice.job, slice.chain);
            if let Err(source) = self.db.collection::<Document>(&name).drop().await {
                return LedgerError::Database { op: "drop a late slice", source }.into();
            }
        }
        error
    }

    /// True when the slice is stored now; false when its place was taken meanwhile.
    async fn commit_slice(&self, slice: &Slice<'_>) -> Result<bool, SyncError> {
        let mut session = self.session().await?;
        let mut tries = Tries::new();
        loop {
            self.begin(&mut session).await?;
            let tried = self.try_commit_slice(&mut session, slice).await;
            match self.settle(&mut session, &mut tries, tried).await {
                Some(Err(e)) if e.database().is_some_and(duplicate) => return Ok(false),
                Some(done) => return done,
                None => {}
            }
        }
    }

    async fn try_commit_slice(&self, session: &mut ClientSession, slice: &Slice<'_>) -> Result<bool, SyncError> {
        let op = "store a sync slice";
        let header = slice.header;
        let mut filter = scan_key(slice.job, slice.chain, slice.uuid);
        filter.extend(doc! {
            "scan": slice.scan, "nextSeq": slice.seq, "ended": false, "dropped": { "$ne": true },
        });
        let update = doc! {
            "$set": { "nextSeq": slice.seq + 1, "token": header.token.clone() },
            "$inc": {
                "backlog": slice.cut.bytes, "documentsStored": header.documents, "rawBytesStored": header.raw_bytes,
            },
        };
        let done = self.scans_collection().update_one(filter, update).session(&mut *session).await;
        if done.map_err(on(op))?.matched_count == 0 {
            return Ok(false);
        }
        let mut more = slice.facts.clone();
        slice.seal.mark(&mut more);
        let part = slice.cut.first_part(&slice.key(), slice.frame, more);
        let parts: Collection<Document> = self.db.collection(&Self::sync_name(slice.job, slice.chain));
        parts.insert_one(part).session(&mut *session).await.map_err(on(op))?;
        Ok(true)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Next,
    Stored,
}
