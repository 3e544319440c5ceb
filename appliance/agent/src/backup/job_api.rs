//! The requests of one job, retried while the appliance does not answer, until the job is called off.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use holdfast_agent_api::{
    AppendSlice, CloseChain, CompleteSync, EndScan, LedgerTail, OpenChain, PayloadReceipt, Problem, SYNC_SLICE_HEADER,
    ScanGrant, ScanTail, StartScan, SyncSliceHeader, SyncState, paths,
};
use holdfast_domain::{BackupJobId, Hash32};
use http::Method;
use serde::{Serialize, de::DeserializeOwned};
use tokio_util::sync::CancellationToken;

use super::{bandwidth::Bandwidth, error::JobError};
use crate::{
    api::ServerApi,
    retry::{ServerHealth, until_done},
    transport::TransportError,
};

/// How long a small request may take.
const JSON_TIMEOUT: Duration = Duration::from_secs(60);

/// What became of a request that can conflict.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome<T, C> {
    /// Done (perhaps earlier: every request is idempotent).
    Done(T),
    /// Something else is there already.
    Conflict(C),
}

/// The appliance, spoken to for one job under one assignment.
pub(crate) struct JobApi {
    pub(crate) server: Arc<ServerApi>,
    pub(crate) job: BackupJobId,
    pub(crate) epoch: i64,
    pub(crate) cancel: CancellationToken,
    pub(crate) health: ServerHealth,
    pub(crate) bandwidth: Bandwidth,
}

impl JobApi {
    /// Opens the next chain, or tells where the ledger stands instead.
    pub(crate) async fn open_chain(&self, open: &OpenChain) -> Result<Outcome<LedgerTail, LedgerTail>, JobError> {
        self.conflicting("open a chain", Method::POST, paths::chains(&self.job), open).await
    }

    pub(crate) async fn close_chain(
        &self,
        chain: i64,
        close: &CloseChain,
    ) -> Result<Outcome<LedgerTail, LedgerTail>, JobError> {
        self.conflicting("close the chain", Method::POST, paths::chain(&self.job, chain, "close"), close).await
    }

    pub(crate) async fn append(
        &self,
        chain: i64,
        slice: &AppendSlice,
    ) -> Result<Outcome<LedgerTail, LedgerTail>, JobError> {
        self.conflicting("append a slice", Method::POST, paths::chain(&self.job, chain, "entries"), slice).await
    }

    pub(crate) async fn put_payload(
        &self,
        chain: i64,
        hash: &Hash32,
        frame: &Bytes,
    ) -> Result<Outcome<PayloadReceipt, LedgerTail>, JobError> {
        let path = paths::payload(&self.job, chain, hash);
        self.put("send an oplog slice", path, frame, None).await
    }

    pub(crate) async fn sync_state(&self, chain: i64) -> Result<SyncState, JobError> {
        let path = paths::chain(&self.job, chain, "sync");
        let done = until_done("ask how far the initial sync is", &self.cancel, &self.health, None, || {
            self.server.json(Method::GET, path.clone(), None::<&()>, Some(self.epoch), JSON_TIMEOUT)
        });
        Ok(done.await?)
    }

    pub(crate) async fn start_scan(&self, chain: i64, scan: &StartScan) -> Result<ScanGrant, JobError> {
        let path = paths::chain(&self.job, chain, "collections");
        let done = until_done("start a scan", &self.cancel, &self.health, None, || {
            self.server.json(Method::POST, path.clone(), Some(scan), Some(self.epoch), JSON_TIMEOUT)
        });
        Ok(done.await?)
    }

    pub(crate) async fn put_sync_slice(
        &self,
        path: String,
        header: &SyncSliceHeader,
        frame: &Bytes,
    ) -> Result<Outcome<(), ScanTail>, JobError> {
        let header = serde_json::to_string(header)
            .map_err(|error| TransportError::Setup(format!("a header cannot be written: {error}")))?;
        self.bandwidth.take(frame.len(), &self.cancel).await?;
        let done = until_done("send a sync slice", &self.cancel, &self.health, None, || {
            self.server.put_frame(path.clone(), frame.clone(), self.epoch, Some((SYNC_SLICE_HEADER, &header)))
        });
        match done.await {
            Ok(_) => Ok(Outcome::Done(())),
            Err(error) => conflict(error).map(Outcome::Conflict),
        }
    }

    pub(crate) async fn end_scan(&self, chain: i64, uuid: &str, scan: i64, end: &EndScan) -> Result<(), JobError> {
        self.no_answer("end a scan", paths::end_scan(&self.job, chain, uuid, scan), end).await
    }

    pub(crate) async fn complete_sync(&self, chain: i64, complete: &CompleteSync) -> Result<(), JobError> {
        let path = paths::chain(&self.job, chain, "sync/complete");
        self.no_answer("complete the initial sync", path, complete).await
    }

    pub(crate) async fn put_catalog(&self, chain: i64, frame: &Bytes) -> Result<(), JobError> {
        let path = paths::chain(&self.job, chain, "catalog");
        self.bandwidth.take(frame.len(), &self.cancel).await?;
        let done = until_done("send the catalog", &self.cancel, &self.health, None, || {
            self.server.put_frame(path.clone(), frame.clone(), self.epoch, None)
        });
        done.await?;
        Ok(())
    }

    async fn no_answer(&self, what: &str, path: String, body: &impl Serialize) -> Result<(), JobError> {
        let done = until_done(what, &self.cancel, &self.health, None, || {
            self.server.no_answer(Method::POST, path.clone(), body, Some(self.epoch))
        });
        Ok(done.await?)
    }

    async fn put<T: DeserializeOwned, C: DeserializeOwned>(
        &self,
        what: &str,
        path: String,
        frame: &Bytes,
        describes: Option<(&'static str, &str)>,
    ) -> Result<Outcome<T, C>, JobError> {
        self.bandwidth.take(frame.len(), &self.cancel).await?;
        let done = until_done(what, &self.cancel, &self.health, None, || {
            self.server.put_frame(path.clone(), frame.clone(), self.epoch, describes)
        });
        match done.await {
            Ok(body) => Ok(Outcome::Done(self.server.parse_bytes(what, &body)?)),
            Err(error) => conflict(error).map(Outcome::Conflict),
        }
    }

    async fn conflicting<T: DeserializeOwned, C: DeserializeOwned>(
        &self,
        what: &str,
        method: Method,
        path: String,
        body: &impl Serialize,
    ) -> Result<Outcome<T, C>, JobError> {
        let done = until_done(what, &self.cancel, &self.health, None, || {
            self.server.json(method.clone(), path.clone(), Some(body), Some(self.epoch), JSON_TIMEOUT)
        });
        match done.await {
            Ok(value) => Ok(Outcome::Done(value)),
            Err(error) => conflict(error).map(Outcome::Conflict),
        }
    }
}

/// The present state that a 409 brings: inside the problem, or as the whole body.
fn conflict<C: DeserializeOwned>(error: TransportError) -> Result<C, JobError> {
    if error.assignment_lost() {
        return Err(error.into());
    }
    if let TransportError::Refused { problem, body, .. } = &error
        && problem.status == 409
    {
        let Problem { tail, .. } = problem.as_ref();
        let inside = tail.clone().and_then(|tail| serde_json::from_value(tail).ok());
        if let Some(state) = inside.or_else(|| serde_json::from_slice(body).ok()) {
            return Ok(state);
        }
    }
    Err(error.into())
}
