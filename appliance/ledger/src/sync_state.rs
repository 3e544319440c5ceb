//! State of a chain's initial sync: open, complete, dropped.
//!
//! The state's document is written in the transactions that open a chain, begin a scan and complete the sync, so that these
//! exclude each other. Dropping marks the state, then every scan (each slice writes its scan's document), then drops the
//! collection: a slice that comes later finds its scan marked and is refused.

use bson::{Bson, Document, doc};
use holdfast_domain::{BackupJobId, OpTime};
use mongodb::ClientSession;
use serde::{Deserialize, Serialize};

use crate::{
    CompleteSync, Ledger, LedgerError, SyncError, SyncInfo, SyncPhase, SyncState,
    db::{Tries, form, on, passing},
};

/// `_id` of a state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StateKey {
    pub(crate) job: BackupJobId,
    pub(crate) chain: i64,
}

/// A state as stored. Takes unknown fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StateDoc {
    #[serde(rename = "_id")]
    pub(crate) key: StateKey,
    pub(crate) phase: SyncPhase,
    /// It was completed; stays true after it was dropped.
    #[serde(default)]
    pub(crate) complete: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) end: Option<OpTime>,
    /// Scans begun; makes every beginning a write of this document.
    #[serde(default)]
    pub(crate) scans_begun: i64,
}

/// A phase as it stands in the database.
pub(crate) fn phase_bson(phase: SyncPhase) -> Bson {
    Bson::String(
        match phase {
            SyncPhase::Open => "open",
            SyncPhase::Complete => "complete",
            SyncPhase::Dropped => "dropped",
        }
        .to_owned(),
    )
}

pub(crate) fn state_key(job: &BackupJobId, chain: i64) -> Document {
    doc! { "_id": { "job": job.clone(), "chain": chain } }
}

fn optime_bson(optime: OpTime) -> Result<Document, LedgerError> {
    bson::serialize_to_document(&optime).map_err(form("write an optime"))
}

impl Ledger {
    /// Within the transaction that opens a chain.
    pub(crate) async fn open_sync(
        &self,
        session: &mut ClientSession,
        job: &BackupJobId,
        chain: i64,
    ) -> Result<(), LedgerError> {
        let key = StateKey { job: job.clone(), chain };
        let state = StateDoc { key, phase: SyncPhase::Open, complete: false, end: None, scans_begun: 0 };
        let inserted = self.states_collection().insert_one(state).session(session).await;
        inserted.map(|_| ()).map_err(on("open an initial sync"))
    }

    pub(crate) async fn state(&self, job: &BackupJobId, chain: i64) -> Result<Option<StateDoc>, LedgerError> {
        let found = self.states_collection().find_one(state_key(job, chain)).await;
        found.map_err(on("read the state of an initial sync"))
    }

    /// The sync without its collections; None when the chain has none.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub async fn sync_info(&self, job: &BackupJobId, chain: i64) -> Result<Option<SyncInfo>, LedgerError> {
        let state = self.state(job, chain).await?;
        Ok(state.map(|s| SyncInfo { phase: s.phase, complete: s.complete, end: s.end }))
    }

    /// The sync as an agent sees it.
    ///
    /// # Errors
    /// [`SyncError::NoSync`], [`SyncError::Ledger`].
    pub async fn sync_state(&self, job: &BackupJobId, chain: i64) -> Result<SyncState, SyncError> {
        let state = self.state(job, chain).await?.ok_or(SyncError::NoSync)?;
        let scans = self.scan_docs(job, chain).await?.into_iter().map(|scan| scan.as_agent_sees()).collect();
        Ok(SyncState { scans, end: state.end, complete: state.complete })
    }

    /// Raises the sync's end point, while it is open; later it is final.
    ///
    /// # Errors
    /// [`SyncError::NoSync`], [`SyncError::Ledger`].
    pub async fn note_end(&self, job: &BackupJobId, chain: i64, end: OpTime) -> Result<(), SyncError> {
        let mut filter = state_key(job, chain);
        filter.insert("phase", phase_bson(SyncPhase::Open));
        let update = doc! { "$max": { "end": optime_bson(end)? } };
        let done = self.states_collection().update_one(filter, update).await.map_err(on("raise a sync's end"))?;
        if done.matched_count == 0 && self.state(job, chain).await?.is_none() {
            return Err(SyncError::NoSync);
        }
        Ok(())
    }

    /// Everything is listed and scanned: the end point becomes final. The same again is the same.
    ///
    /// # Errors
    /// [`SyncError::Incomplete`] when a scan has not ended or their number differs; [`SyncError::Dropped`].
    pub async fn complete_sync(&self, job: &BackupJobId, chain: i64, request: &CompleteSync) -> Result<(), SyncError> {
        let mut session = self.session().await?;
        let mut tries = Tries::new();
        loop {
            self.begin(&mut session).await?;
            let tried = self.try_complete(&mut session, job, chain, request).await;
            if let Some(done) = self.settle(&mut session, &mut tries, tried).await {
                return done;
            }
        }
    }

    async fn try_complete(
        &self,
        session: &mut ClientSession,
        job: &BackupJobId,
        chain: i64,
        request: &CompleteSync,
    ) -> Result<(), SyncError> {
        let op = "complete an initial sync";
        let key = state_key(job, chain);
        let found = self.states_collection().find_one(key.clone()).session(&mut *session).await;
        let state = found.map_err(on(op))?.ok_or(SyncError::NoSync)?;
        match state.phase {
            SyncPhase::Open => {}
            _ if state.complete => return Ok(()),
            _ => return Err(SyncError::Dropped),
        }
        let scans = self.scan_docs_in(session, job, chain).await?;
        if let Some(scan) = scans.iter().find(|scan| !scan.ended) {
            let detail = format!("{}.{} has not ended", scan.db, scan.name);
            return Err(SyncError::Incomplete { detail });
        }
        let there = scans.iter().filter(|scan| !scan.gone).count();
        if i64::try_from(there).ok() != Some(request.collections) {
            let detail = format!("{there} collections are stored, {} were scanned", request.collections);
            return Err(SyncError::Incomplete { detail });
        }
        let update = doc! {
            "$set": { "phase": phase_bson(SyncPhase::Complete), "complete": true },
            "$max": { "end": optime_bson(request.end)? },
        };
        let done = self.states_collection().update_one(key, update).session(&mut *session).await;
        done.map(|_| ()).map_err(|e| on(op)(e).into())
    }

    /// Drops the sync's slices: the head has them, or the chain was given up. Late slices are refused from then on. May be
    /// called again at any time; a chain without a sync is fine.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub async fn drop_sync(&self, job: &BackupJobId, chain: i64) -> Result<(), LedgerError> {
        let op = "drop an initial sync";
        let mark = doc! { "$set": { "phase": phase_bson(SyncPhase::Dropped) } };
        let scans = doc! { "_id": crate::scans::scan_range(job, chain) };
        let mut tries = Tries::new();
        loop {
            let dropped = async {
                self.states_collection().update_one(state_key(job, chain), mark.clone()).await?;
                let marked = doc! { "$set": { "dropped": true } };
                self.scans_collection().update_many(scans.clone(), marked).await?;
                self.db.collection::<Document>(&Self::sync_name(job, chain)).drop().await?;
                self.scans_collection().delete_many(scans.clone()).await
            };
            match dropped.await {
                Ok(_) => return Ok(()),
                Err(e) if passing(&e) && tries.pause().await => {}
                Err(e) => return Err(on(op)(e)),
            }
        }
    }
}
