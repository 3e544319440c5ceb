//! Scans: the server gives out their numbers. Under an older number nothing can be added, because every slice raises its
//! scan's `nextSeq` in a transaction whose filter names the number.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use blockstore_engine::{KeyId, Keyring};
use bson::{Bson, Document, doc};
use futures::TryStreamExt as _;
use holdfast_domain::BackupJobId;
use mongodb::ClientSession;
use serde::{Deserialize, Serialize};

use crate::{
    EndScan, Ledger, LedgerError, ScanGrant, ScanState, ScanTail, StartScan, StoredScan, SyncError, SyncPhase,
    db::{Tries, form, on, passing},
    seal::Seal,
    sync_state::{phase_bson, state_key},
};

/// Longest name of a database with its collection, in bytes (the server's own limit is 255).
const NAME_BYTES_MAX: usize = 255;
/// Longest name of a member with its initialSyncId, in bytes.
const MEMBER_BYTES_MAX: usize = 512;

/// `_id` of a scan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ScanKey {
    pub(crate) job: BackupJobId,
    pub(crate) chain: i64,
    pub(crate) uuid: String,
}

/// A collection's present scan. Takes unknown fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ScanDoc {
    #[serde(rename = "_id")]
    pub(crate) key: ScanKey,
    pub(crate) db: String,
    pub(crate) name: String,
    /// Empty where they are sealed.
    pub(crate) options: Document,
    pub(crate) indexes: Vec<Document>,
    /// Options and indexes of a collection whose group encrypts: they may hold values, in validators and filters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sealed: Option<SealedDetails>,
    pub(crate) member: String,
    pub(crate) scan: i64,
    pub(crate) next_seq: i64,
    pub(crate) token: Option<String>,
    pub(crate) ended: bool,
    pub(crate) gone: bool,
    /// Estimates of the source.
    pub(crate) documents: i64,
    pub(crate) bytes: i64,
    /// What is stored.
    pub(crate) documents_stored: i64,
    pub(crate) raw_bytes_stored: i64,
    /// Slices that the head loaded, and compressed bytes of those that it did not.
    pub(crate) loaded_seq: i64,
    pub(crate) backlog: i64,
    /// Set when the sync is dropped: nothing is taken any more.
    #[serde(default)]
    pub(crate) dropped: bool,
}

/// See [`ScanDoc::sealed`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SealedDetails {
    key: KeyId,
    #[serde(with = "serde_bytes")]
    data: Vec<u8>,
}

/// What is in [`SealedDetails`].
#[derive(Serialize, Deserialize)]
struct Details {
    options: Document,
    indexes: Vec<Document>,
}

fn bound_to(key: &ScanKey) -> Document {
    doc! { "record": "scan v1", "job": key.job.clone(), "chain": key.chain, "uuid": &key.uuid }
}

impl ScanDoc {
    /// Takes options and indexes out of sight.
    fn seal(&mut self, keys: &Keyring, key: KeyId) -> Result<(), LedgerError> {
        let op = "describe a collection";
        let details =
            Details { options: std::mem::take(&mut self.options), indexes: std::mem::take(&mut self.indexes) };
        let plain = bson::serialize_to_vec(&details).map_err(form(op))?;
        let sealed = Seal::new(keys, Some(key)).close("the scan", &bound_to(&self.key), &plain)?;
        self.sealed = Some(SealedDetails { key, data: sealed.into_owned() });
        Ok(())
    }

    /// As the head needs it.
    pub(crate) fn opened(mut self, keys: &Keyring) -> Result<StoredScan, LedgerError> {
        if let Some(SealedDetails { key, data }) = self.sealed.take() {
            let what = format!("scan of collection {} of {}", self.key.uuid, self.key.job);
            let plain = Seal::new(keys, Some(key)).open(&what, &bound_to(&self.key), data)?;
            let details: Details = bson::deserialize_from_slice(&plain).map_err(form("read a scan"))?;
            (self.options, self.indexes) = (details.options, details.indexes);
        }
        Ok(self.into())
    }

    pub(crate) fn tail(&self) -> ScanTail {
        ScanTail { next_seq: self.next_seq, token: self.token.clone() }
    }

    pub(crate) fn as_agent_sees(&self) -> ScanState {
        ScanState {
            uuid: self.key.uuid.clone(),
            db: self.db.clone(),
            name: self.name.clone(),
            scan: self.scan,
            member: self.member.clone(),
            tail: self.tail(),
            ended: self.ended,
            gone: self.gone,
        }
    }
}

impl From<ScanDoc> for StoredScan {
    fn from(doc: ScanDoc) -> Self {
        Self {
            uuid: doc.key.uuid,
            db: doc.db,
            name: doc.name,
            options: doc.options,
            indexes: doc.indexes,
            scan: doc.scan,
            next_seq: doc.next_seq,
            loaded_seq: doc.loaded_seq,
            ended: doc.ended,
            gone: doc.gone,
            documents: doc.documents,
            bytes: doc.bytes,
            documents_stored: doc.documents_stored,
            raw_bytes_stored: doc.raw_bytes_stored,
        }
    }
}

/// `_id` of one scan, as a filter.
pub(crate) fn scan_key(job: &BackupJobId, chain: i64, uuid: &str) -> Document {
    doc! { "_id": { "job": job.clone(), "chain": chain, "uuid": uuid } }
}

/// `_id`s of every scan of a chain.
pub(crate) fn scan_range(job: &BackupJobId, chain: i64) -> Document {
    let bound = |uuid: Bson| doc! { "job": job.clone(), "chain": chain, "uuid": uuid };
    doc! { "$gte": bound(Bson::MinKey), "$lte": bound(Bson::MaxKey) }
}

/// A UUID as it is named everywhere: 32 lowercase hex digits.
pub(crate) fn check_uuid(uuid: &str) -> Result<(), SyncError> {
    if uuid.len() == 32 && uuid.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(());
    }
    Err(SyncError::Invalid { detail: "a collection's UUID has 32 lowercase hexadecimal digits".to_owned() })
}

fn document(what: &str, base64: &str) -> Result<Document, SyncError> {
    let invalid = || SyncError::Invalid { detail: format!("{what} is not a BSON document in base64") };
    let bytes = STANDARD.decode(base64).map_err(|_| invalid())?;
    bson::deserialize_from_slice(&bytes).map_err(|_| invalid())
}

fn new_scan(job: &BackupJobId, chain: i64, request: &StartScan) -> Result<ScanDoc, SyncError> {
    check_uuid(&request.uuid)?;
    let invalid = |detail: &str| Err(SyncError::Invalid { detail: detail.to_owned() });
    if request.db.is_empty() || request.name.is_empty() || request.db.len() + request.name.len() > NAME_BYTES_MAX {
        return invalid("the collection's name has an impossible length");
    }
    if request.member.len() > MEMBER_BYTES_MAX {
        return invalid("the member's name is too long");
    }
    let Ok(indexes) = document("indexes", &request.indexes)?.get_array("indexes").cloned() else {
        return invalid("indexes has no array of that name");
    };
    let indexes = indexes.into_iter().map(|index| match index {
        Bson::Document(index) => Ok(index),
        _ => Err(SyncError::Invalid { detail: "an index is not a document".to_owned() }),
    });
    Ok(ScanDoc {
        key: ScanKey { job: job.clone(), chain, uuid: request.uuid.clone() },
        db: request.db.clone(),
        name: request.name.clone(),
        options: document("options", &request.options)?,
        indexes: indexes.collect::<Result<_, _>>()?,
        sealed: None,
        member: request.member.clone(),
        scan: 0,
        next_seq: 0,
        token: None,
        ended: false,
        gone: false,
        documents: request.documents.max(0),
        bytes: request.bytes.max(0),
        documents_stored: 0,
        raw_bytes_stored: 0,
        loaded_seq: 0,
        backlog: 0,
        dropped: false,
    })
}

impl Ledger {
    pub(crate) async fn scan_docs(&self, job: &BackupJobId, chain: i64) -> Result<Vec<ScanDoc>, LedgerError> {
        let op = "list the scans of a sync";
        let filter = doc! { "_id": scan_range(job, chain) };
        let cursor = self.scans_collection().find(filter).sort(doc! { "_id": 1 }).await.map_err(on(op))?;
        cursor.try_collect().await.map_err(on(op))
    }

    pub(crate) async fn scan_docs_in(
        &self,
        session: &mut ClientSession,
        job: &BackupJobId,
        chain: i64,
    ) -> Result<Vec<ScanDoc>, LedgerError> {
        let op = "list the scans of a sync";
        let filter = doc! { "_id": scan_range(job, chain) };
        let mut cursor = self.scans_collection().find(filter).session(&mut *session).await.map_err(on(op))?;
        cursor.stream(session).try_collect().await.map_err(on(op))
    }

    pub(crate) async fn scan_doc(
        &self,
        job: &BackupJobId,
        chain: i64,
        uuid: &str,
    ) -> Result<Option<ScanDoc>, LedgerError> {
        let mut tries = Tries::new();
        loop {
            match self.scans_collection().find_one(scan_key(job, chain, uuid)).await {
                Ok(found) => return Ok(found),
                Err(e) if passing(&e) && tries.pause().await => {}
                Err(e) => return Err(on("read a scan")(e)),
            }
        }
    }

    /// Why there is no such scan.
    pub(crate) async fn no_scan(&self, job: &BackupJobId, chain: i64) -> SyncError {
        match self.state(job, chain).await {
            Ok(None) => SyncError::NoSync,
            Ok(Some(state)) if state.phase == SyncPhase::Dropped => SyncError::Dropped,
            Ok(Some(_)) => SyncError::NoScan,
            Err(e) => e.into(),
        }
    }

    /// Begins a scan of a collection. The open scan of the same member goes on unless `anew`; otherwise the scan gets the next
    /// number, and what is stored under older ones is removed.
    ///
    /// # Errors
    /// [`SyncError::NoSync`], [`SyncError::Complete`], [`SyncError::Dropped`], [`SyncError::Invalid`]; [`LedgerError::NoKey`]
    /// when the group's `key_id` is not at hand.
    pub async fn start_scan(
        &self,
        job: &BackupJobId,
        chain: i64,
        request: &StartScan,
        key_id: Option<KeyId>,
    ) -> Result<ScanGrant, SyncError> {
        let mut fresh = new_scan(job, chain, request)?;
        if let Some(key) = key_id {
            fresh.seal(&self.keys, key)?;
        }
        let mut session = self.session().await?;
        let mut tries = Tries::new();
        let doc = loop {
            self.begin(&mut session).await?;
            let tried = self.try_start_scan(&mut session, &fresh, request.anew).await;
            if let Some(done) = self.settle(&mut session, &mut tries, tried).await {
                break done?;
            }
        };
        if doc.next_seq == 0 {
            let name = Self::sync_name(job, chain);
            self.create_uncompressed(&name).await?;
            let older = doc! { "_id": {
                "$gte": { "uuid": &request.uuid, "scan": 0_i64 }, "$lt": { "uuid": &request.uuid, "scan": doc.scan },
            } };
            let removed = self.db.collection::<Document>(&name).delete_many(older).await;
            removed.map_err(on("remove the slices of an older scan"))?;
        }
        Ok(ScanGrant { scan: doc.scan, tail: doc.tail() })
    }

    async fn try_start_scan(
        &self,
        session: &mut ClientSession,
        fresh: &ScanDoc,
        anew: bool,
    ) -> Result<ScanDoc, SyncError> {
        let op = "begin a scan";
        let (job, chain) = (&fresh.key.job, fresh.key.chain);
        let mut open = state_key(job, chain);
        open.insert("phase", phase_bson(SyncPhase::Open));
        let begun = doc! { "$inc": { "scans_begun": 1_i64 } };
        let done = self.states_collection().update_one(open, begun).session(&mut *session).await.map_err(on(op))?;
        if done.matched_count == 0 {
            let state = self.states_collection().find_one(state_key(job, chain)).session(&mut *session).await;
            return Err(match state.map_err(on(op))?.map(|s| s.phase) {
                None => SyncError::NoSync,
                Some(SyncPhase::Dropped) => SyncError::Dropped,
                Some(_) => SyncError::Complete,
            });
        }
        let key = scan_key(job, chain, &fresh.key.uuid);
        let found = self.scans_collection().find_one(key.clone()).session(&mut *session).await.map_err(on(op))?;
        let mut doc = fresh.clone();
        if let Some(found) = found {
            if !anew && !found.ended && found.member == fresh.member {
                return Ok(found);
            }
            doc.scan = found.scan + 1;
        }
        let put = self.scans_collection().replace_one(key, &doc).upsert(true).session(&mut *session).await;
        put.map_err(on(op))?;
        Ok(doc)
    }

    /// Ends a scan: its slices are complete, or its collection is gone. The same again is the same.
    ///
    /// # Errors
    /// [`SyncError::StaleScan`], [`SyncError::Conflict`] when another number of slices is stored.
    pub async fn end_scan(
        &self,
        job: &BackupJobId,
        chain: i64,
        uuid: &str,
        scan: i64,
        request: &EndScan,
    ) -> Result<(), SyncError> {
        check_uuid(uuid)?;
        let mut filter = scan_key(job, chain, uuid);
        filter.extend(doc! { "scan": scan, "dropped": { "$ne": true } });
        if !request.gone {
            filter.insert("nextSeq", request.slices);
        }
        let update = doc! { "$set": { "ended": true, "gone": request.gone } };
        let done = self.scans_collection().update_one(filter, update).await.map_err(on("end a scan"))?;
        if done.matched_count > 0 {
            return Ok(());
        }
        match self.scan_doc(job, chain, uuid).await? {
            None => Err(self.no_scan(job, chain).await),
            Some(doc) if doc.dropped => Err(SyncError::Dropped),
            Some(doc) if doc.scan != scan => Err(SyncError::StaleScan { current: doc.scan }),
            Some(doc) => Err(SyncError::Conflict { tail: doc.tail() }),
        }
    }
}
