//! Sends what the outbox holds: payloads side by side, ledger entries in order.
//!
//! Where the ledger stands is known from its answers only. An entry is computed here too, with the same hash, so that a server that stored something
//! else is noticed at once.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt as _, stream::FuturesOrdered};
use holdfast_agent_api::{AppendSlice, LedgerTail};
use holdfast_domain::{EntryBody, EntryPosition, LedgerEntry, PayloadRef};
use tokio_util::task::AbortOnDropHandle;

use super::{context::JobContext, cutter::OplogSlice, error::JobError, job_api::Outcome, outbox::Outbox};

/// Payloads on their way at a time: fills a line with a long delay.
const UPLOADS_MAX: usize = 4;
/// Without news from the outbox it is looked at this often.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A slice whose payload the server has.
struct Uploaded {
    id: u64,
    slice: OplogSlice,
    payload: PayloadRef,
}

/// Sends until the outbox is finished and empty; then tells where the ledger stands.
pub(crate) async fn send(
    ctx: &Arc<JobContext>,
    outbox: &Arc<Outbox>,
    mut tail: LedgerTail,
) -> Result<LedgerTail, JobError> {
    let chain = tail.at.chain;
    let mut uploads: FuturesOrdered<AbortOnDropHandle<Result<Option<Uploaded>, JobError>>> = FuturesOrdered::new();
    let mut next = 0;
    loop {
        let changed = outbox.changed();
        while uploads.len() < UPLOADS_MAX
            && let Some(id) = outbox.next_from(next)
        {
            next = id + 1;
            let (ctx, outbox) = (Arc::clone(ctx), Arc::clone(outbox));
            uploads
                .push_back(AbortOnDropHandle::new(tokio::spawn(async move { upload(&ctx, &outbox, chain, id).await })));
        }
        if uploads.is_empty() && outbox.drained() {
            return Ok(tail);
        }
        tokio::select! {
            () = ctx.api.cancel.cancelled() => return Err(JobError::Cancelled),
            Some(done) = uploads.next(), if !uploads.is_empty() => {
                let done = done.map_err(|error| JobError::Bug(format!("an upload ended: {error}")))?;
                if let Some(uploaded) = done? {
                    append(ctx, outbox, &mut tail, uploaded).await?;
                }
            }
            () = changed => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

async fn upload(ctx: &JobContext, outbox: &Outbox, chain: i64, id: u64) -> Result<Option<Uploaded>, JobError> {
    let _room = match outbox.size_on_disk(id) {
        Some(bytes) => Some(ctx.budget.spool(bytes).await),
        None => None,
    };
    let Some(mut slice) = outbox.load(id)? else { return Ok(None) };
    let sent = ctx.api.put_payload(chain, &slice.frame.hash, &slice.frame.bytes).await?;
    // The bytes are at the server: let go of them while the slice waits for its turn.
    slice.frame.bytes = bytes::Bytes::new();
    match sent {
        Outcome::Done(receipt) => Ok(Some(Uploaded { id, slice, payload: receipt.payload })),
        Outcome::Conflict(tail) => Err(JobError::ChainEnded(Box::new(tail))),
    }
}

/// The entry that follows `tail` for this slice.
pub(crate) fn entry_after(ctx: &JobContext, tail: &LedgerTail, slice: &OplogSlice, payload: PayloadRef) -> LedgerEntry {
    LedgerEntry {
        job: ctx.api.job.clone(),
        at: EntryPosition { chain: tail.at.chain, seq: tail.at.seq + 1 },
        first: slice.first,
        last: slice.last,
        prev: tail.hash,
        body: EntryBody::Slice { payload },
    }
}

async fn append(ctx: &JobContext, outbox: &Outbox, tail: &mut LedgerTail, done: Uploaded) -> Result<(), JobError> {
    let Uploaded { id, slice, payload } = done;
    let follows = if tail.at.seq == 0 { slice.first == tail.last } else { slice.after == tail.last };
    if !follows {
        if slice.last <= tail.last && tail.at.seq > 0 {
            return Ok(()); // the ledger has it already, told by a conflict before
        }
        return Err(JobError::Rewind(Box::new(tail.clone())));
    }
    let entry = entry_after(ctx, tail, &slice, payload.clone());
    let request = AppendSlice {
        seq: entry.at.seq,
        prev: entry.prev,
        first: entry.first,
        last: entry.last,
        payload,
        summary: slice.summary,
    };
    match ctx.api.append(tail.at.chain, &request).await? {
        Outcome::Done(now) => {
            if now.hash != entry.hash() || now.at != entry.at || now.last != entry.last {
                return Err(JobError::Bug(format!(
                    "the server's ledger entry {:?} is not the one that was sent",
                    now.at
                )));
            }
            *tail = now;
            outbox.acknowledge(id);
        }
        Outcome::Conflict(now) if now.closed.is_some() || now.at.chain != tail.at.chain => {
            return Err(JobError::ChainEnded(Box::new(now)));
        }
        Outcome::Conflict(now) => match outbox.ending_at(now.last) {
            // What was sent before, by this agent, without hearing the answer.
            Some(known) if now.at.seq > tail.at.seq => {
                *tail = now;
                outbox.acknowledge(known);
            }
            _ => return Err(JobError::Rewind(Box::new(now))),
        },
    }
    ctx.set_ledger(tail);
    let sent = tail.last;
    ctx.report.update(|report| report.sent_optime = Some(sent));
    Ok(())
}
