//! One scan of one collection: raw batches in natural order, majority committed, sent as sync slices with the resume token after each.
//!
//! A slice ends where a batch ends, because only there is a token. The token holds on this member only; what a failure means is decided in
//! [`Trouble`]. The server gives out scan numbers: a collection that must be read anew gets a new one.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bson::{Document, RawDocument, RawDocumentBuf, doc};
use futures::TryStreamExt as _;
use holdfast_agent_api::{
    EndScan, SLICE_RAW_BYTES_MAX, SYNC_SLICE_RAW_BYTES, ScanTail, StartScan, SyncSliceHeader, paths,
};
use mongodb::raw_batch_cursor::RawBatchCursor;
use tokio_util::task::AbortOnDropHandle;

use super::{
    context::JobContext,
    error::{JobError, code},
    frame::FrameBuilder,
    initial_sync::SyncRun,
    job_api::Outcome,
    listing::{Listed, sizes, uuid_bson},
    source::{Member, operation_time},
};

/// Aimed size of a batch, in bytes: small enough that two scans fit into the agent's memory, large enough not to cost round trips.
const BATCH_BYTES: i64 = 2 << 20;
/// Documents of a batch at most, whatever the average says.
const BATCH_DOCUMENTS_MAX: i64 = 20_000;
/// A batch above this is large. Bytes.
const LARGE_BATCH_BYTES: usize = 6 << 20;
/// Largest batch that the server sends: 16 MiB and one document's overhead.
const SERVER_BATCH_BYTES_MAX: usize = SLICE_RAW_BYTES_MAX - SYNC_SLICE_RAW_BYTES;
/// How often a cursor is opened again without any progress in between.
const REOPENS_MAX: u32 = 20;
/// Pause before a cursor is opened again.
const REOPEN_PAUSE: Duration = Duration::from_millis(300);
/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// What a failed read means for the scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// Open the cursor again after the last token, by UUID: the collection was renamed, or the cursor is gone.
    Reopen,
    /// The token is worth nothing any more: a new scan.
    Anew,
    /// The collection no longer exists.
    Gone,
    /// The member: another one, or the same later.
    Member,
}

fn trouble(error: &JobError) -> Trouble {
    match error.code() {
        Some(code::NAMESPACE_NOT_FOUND) => Trouble::Gone,
        Some(code::KEY_NOT_FOUND | code::CAPPED_POSITION_LOST) => Trouble::Anew,
        Some(code::QUERY_PLAN_KILLED | code::CURSOR_NOT_FOUND | code::CURSOR_KILLED) => Trouble::Reopen,
        _ => Trouble::Member,
    }
}

/// How a scan's reading ended.
enum Read {
    Ended,
    Anew,
    Gone,
    /// The server knows better where the scan stands.
    From(ScanTail),
}

fn encode(raw: &RawDocument) -> String {
    STANDARD.encode(raw.as_bytes())
}

fn decode(token: &str) -> Result<Document, JobError> {
    let bad = || JobError::Unintelligible("a resume token from the server cannot be read".into());
    let raw = RawDocumentBuf::from_bytes(STANDARD.decode(token).map_err(|_| bad())?).map_err(|_| bad())?;
    Document::try_from(raw).map_err(|_| bad())
}

/// Scans a collection to its end, or until it is gone.
pub(crate) async fn scan(sync: &SyncRun<'_>, member: &Member, listed: &Listed, uuid: &str) -> Result<(), JobError> {
    let ctx = sync.ctx;
    let (documents, bytes, average) = sizes(member, listed).await;
    let indexes: Vec<bson::RawBson> = listed.indexes.iter().cloned().map(bson::RawBson::Document).collect();
    let mut holder = RawDocumentBuf::new();
    holder.append(bson::cstr!("indexes"), bson::RawArrayBuf::from_iter(indexes));
    let mut start = StartScan {
        uuid: uuid.to_owned(),
        db: listed.db.clone(),
        name: listed.name.clone(),
        options: encode(&listed.options),
        indexes: encode(&holder),
        member: member.identity.clone(),
        anew: false,
        documents,
        bytes,
    };
    let batch_size = (BATCH_BYTES / average.max(1)).clamp(1, BATCH_DOCUMENTS_MAX);
    loop {
        let grant = ctx.api.start_scan(sync.chain, &start).await?;
        let mut scan = Scan {
            sync,
            member,
            db: &listed.db,
            uuid,
            number: grant.scan,
            batch_size: u32::try_from(batch_size).unwrap_or(1),
            seq: grant.tail.next_seq,
            sending: None,
            large: average > LARGE_BATCH_BYTES as i64,
        };
        let mut tail = grant.tail;
        let gone = loop {
            if tail.next_seq > 0 && tail.token.is_none() {
                break Some(false); // the last slice was sent; only its end was not said
            }
            match scan.read(tail).await? {
                Read::Ended => break Some(false),
                Read::Gone => break Some(true),
                Read::Anew => break None,
                Read::From(known) => tail = known,
            }
        };
        match gone {
            None => {
                start.anew = true;
                ctx.sleep(REOPEN_PAUSE).await?;
            }
            Some(gone) => {
                let end = EndScan { slices: scan.seq, gone };
                ctx.api.end_scan(sync.chain, uuid, scan.number, &end).await?;
                tracing::debug!(ns = %format_args!("{}.{}", listed.db, listed.name), scan = scan.number, slices = scan.seq, gone, "scan ended");
                return Ok(());
            }
        }
    }
}

type Sending = AbortOnDropHandle<Result<Outcome<(), ScanTail>, JobError>>;

struct Scan<'a> {
    sync: &'a SyncRun<'a>,
    member: &'a Member,
    db: &'a str,
    uuid: &'a str,
    number: i64,
    batch_size: u32,
    /// Number of the next slice.
    seq: i64,
    /// The slice on its way: at most one, so that slices arrive in order.
    sending: Option<Sending>,
    /// The last batch was large, so the next one will be.
    large: bool,
}

impl Scan<'_> {
    fn ctx(&self) -> &Arc<JobContext> {
        self.sync.ctx
    }

    async fn open(&self, token: Option<&Document>) -> Result<RawBatchCursor, JobError> {
        let mut find = doc! {
            "find": uuid_bson(self.uuid)?, "hint": { "$natural": 1 }, "$_requestResumeToken": true,
            "batchSize": i64::from(self.batch_size), "readConcern": { "level": "majority" },
        };
        if let Some(token) = token {
            find.insert("$_resumeAfter", token.clone());
        }
        self.member.cursor(self.db, find, self.batch_size, None, "scan a collection").await
    }

    /// Reads from a tail on to the end.
    async fn read(&mut self, tail: ScanTail) -> Result<Read, JobError> {
        self.seq = tail.next_seq;
        let mut token = tail.token.as_deref().map(decode).transpose()?;
        let mut reopens = 0;
        loop {
            let before = self.seq;
            let done = self.read_cursor(&mut token).await;
            // What is on its way decides where the scan stands.
            if let Some(known) = self.settle().await? {
                return Ok(Read::From(known));
            }
            let error = match done {
                Ok(Some(known)) => return Ok(Read::From(known)),
                Ok(None) => return Ok(Read::Ended),
                Err(error @ JobError::Source { .. }) => error,
                Err(error) => return Err(error),
            };
            reopens = if self.seq > before { 1 } else { reopens + 1 };
            tracing::info!(
                error = crate::retry::with_sources(&error),
                db = self.db,
                uuid = self.uuid,
                "a scan was interrupted"
            );
            match trouble(&error) {
                Trouble::Gone => return Ok(Read::Gone),
                Trouble::Anew => return Ok(Read::Anew),
                Trouble::Reopen if reopens <= REOPENS_MAX => self.ctx().sleep(REOPEN_PAUSE).await?,
                Trouble::Reopen | Trouble::Member => return Err(error),
            }
        }
    }

    /// One cursor, from `token` on, which follows the last slice handed over. Some: the server knows better.
    async fn read_cursor(&mut self, token: &mut Option<Document>) -> Result<Option<ScanTail>, JobError> {
        let mut cursor = None;
        let mut open: Option<(FrameBuilder, i64)> = None;
        let mut after: Option<RawDocumentBuf> = None;
        let mut place = None;
        loop {
            self.sync.throttle.pause_if_suffering(self.ctx(), self.member).await?;
            let failed = |source| self.member.error("scan a collection", source);
            match (self.large, &place) {
                (true, None) => place = Some(self.ctx().budget.large().await),
                (true, Some(_)) => {}
                (false, _) => place = None,
            }
            // Opened only now, because the first batch comes with it.
            let cursor = match &mut cursor {
                Some(cursor) => cursor,
                None => cursor.insert(self.open(token.as_ref()).await?),
            };
            let next = tokio::time::timeout(ANSWER_TIMEOUT, cursor.try_next()).await;
            let next = next.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()));
            let Some(batch) = next.map_err(failed)? else { break };
            let reply = batch.as_raw_document();
            self.sync.end.raise(operation_time(reply));
            let bad = || JobError::Unintelligible("a batch of a scan cannot be read".into());
            let state = reply.get_document("cursor").map_err(|_| bad())?;
            let docs = batch.doc_slices().map_err(failed)?;
            self.large = docs.as_bytes().len() > LARGE_BATCH_BYTES;
            // Before it grows over the largest slice: what is there ends after the batch before.
            if let Some((frame, _)) = &open
                && frame.raw_bytes() + docs.as_bytes().len() > SERVER_BATCH_BYTES_MAX
                && let Some(known) = self.hand_over(open.take(), after.as_deref(), token).await?
            {
                return Ok(Some(known));
            }
            for value in docs {
                let raw = value.ok().and_then(|value| value.as_document()).ok_or_else(bad)?;
                let (frame, documents) = match &mut open {
                    Some(open) => open,
                    None => open.insert((FrameBuilder::new()?, 0)),
                };
                frame.push(raw.as_bytes())?;
                *documents += 1;
            }
            after = state.get_document("postBatchResumeToken").ok().map(ToOwned::to_owned);
            let ended = state.get_i64("id").map_err(|_| bad())? == 0;
            drop(batch);
            if ended {
                break;
            }
            if open.as_ref().is_some_and(|(frame, _)| frame.raw_bytes() >= SYNC_SLICE_RAW_BYTES)
                && let Some(known) = self.hand_over(open.take(), after.as_deref(), token).await?
            {
                return Ok(Some(known));
            }
        }
        self.hand_over(open, None, token).await
    }

    /// Sends a slice in the background, after the one before has arrived. `after` None: it is the last.
    async fn hand_over(
        &mut self,
        open: Option<(FrameBuilder, i64)>,
        after: Option<&RawDocument>,
        token: &mut Option<Document>,
    ) -> Result<Option<ScanTail>, JobError> {
        let Some((frame, documents)) = open else { return Ok(None) };
        if let Some(known) = self.settle().await? {
            return Ok(Some(known));
        }
        let frame = frame.finish()?;
        let room = self.ctx().budget.sync(frame.bytes.len()).await;
        let raw_bytes = i64::try_from(frame.raw_bytes).unwrap_or(i64::MAX);
        let header = SyncSliceHeader { hash: frame.hash, raw_bytes, documents, token: after.map(encode) };
        let path = paths::sync_slice(&self.ctx().api.job, self.sync.chain, self.uuid, self.number, self.seq);
        let ctx = Arc::clone(self.ctx());
        self.sending = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            let sent = ctx.api.put_sync_slice(path, &header, &frame.bytes).await;
            drop(room);
            sent
        })));
        self.seq += 1;
        *token = after.map(Document::try_from).transpose().map_err(|error| {
            JobError::Unintelligible(format!("a resume token of the source cannot be read: {error}"))
        })?;
        self.sync.sent(frame.raw_bytes);
        Ok(None)
    }

    /// Waits for the slice on its way. Some: the server has something else there.
    async fn settle(&mut self) -> Result<Option<ScanTail>, JobError> {
        let Some(sending) = self.sending.take() else { return Ok(None) };
        match sending.await.map_err(|error| JobError::Bug(format!("a sending ended: {error}")))?? {
            Outcome::Done(()) => Ok(None),
            Outcome::Conflict(known) => {
                tracing::info!(
                    uuid = self.uuid,
                    next_seq = known.next_seq,
                    "the server has another slice there; going on after it"
                );
                Ok(Some(known))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: i32) -> JobError {
        let answer = bson::doc! { "code": code, "codeName": "x", "errmsg": "x" };
        let error: mongodb::error::CommandError =
            bson::deserialize_from_document(answer).expect("a command error is written like this");
        JobError::Source { doing: "x", member: "x".into(), source: mongodb::error::ErrorKind::Command(error).into() }
    }

    #[test]
    fn what_errors_mean() {
        assert_eq!(trouble(&error(26)), Trouble::Gone);
        assert_eq!([211, 136].map(|c| trouble(&error(c))), [Trouble::Anew; 2]);
        assert_eq!([175, 43, 237].map(|c| trouble(&error(c))), [Trouble::Reopen; 3]);
        assert_eq!([13436, 11600].map(|c| trouble(&error(c))), [Trouble::Member; 2]);
    }
}
