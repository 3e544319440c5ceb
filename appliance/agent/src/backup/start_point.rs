//! The start point B of a chain: far enough back that no transaction that is open during the scan loses its first part.
//!
//! B is at most the majority point and at most the first part of every open transaction. A transaction that begins between the two
//! reads would be missed, so the oplog is read from B until it has passed what a second read saw, and every first part that lies
//! before B lowers it: a lower B is always sound. Nothing is sent before that is done.

use bson::{Timestamp, doc};
use futures::TryStreamExt as _;
use holdfast_domain::{OpTime, Ts};

use super::{
    entry::Entry,
    error::JobError,
    oplog::{OplogCursor, Resume, entries, judge},
    source::{Member, operation_time, optime_field},
};

/// Parts of one transaction that are followed back at most: 16 MB each, so far beyond what a transaction may hold.
const PARTS_MAX: usize = 100_000;

/// Finds B on this member.
pub(crate) async fn find_start(member: &Member) -> Result<OpTime, JobError> {
    let (open, _) = oldest_open(member).await?;
    let majority = member.majority_point().await?;
    let mut start = open.map_or(majority, |open| open.min(majority));
    let mut second: Option<(Option<OpTime>, Ts)> = None;
    loop {
        let mut cursor = OplogCursor::open(member, start.ts).await?;
        // Only now: what begins before this read is in it, what begins after it lies behind the point up to which is read.
        let (open, until) = match second {
            Some(known) => known,
            None => *second.insert(oldest_open(member).await?),
        };
        match open.filter(|open| *open < start) {
            Some(lower) => start = lower,
            None => match lower_start(member, &mut cursor, start, until).await? {
                Some(lower) => start = lower,
                None => return Ok(start),
            },
        }
    }
}

/// Reads from `start` until past `until`. Some: a transaction met on the way began before `start`.
async fn lower_start(
    member: &Member,
    cursor: &mut OplogCursor,
    start: OpTime,
    until: Ts,
) -> Result<Option<OpTime>, JobError> {
    let mut first = true;
    let mut lowest: Option<OpTime> = None;
    loop {
        let Some(batch) = cursor.next().await? else {
            return Err(JobError::NoMember(format!("{} ended the oplog cursor", member.host)));
        };
        let mut passed = false;
        for entry in entries(&batch)? {
            let entry = entry?;
            if first && judge(start, Some(entry.at), OpTime::default(), entry.at) != Resume::Fits {
                return Err(JobError::NoMember(format!("{} no longer has the entry {start}", member.host)));
            }
            first = false;
            if let Some(previous) = entry.previous_part().filter(|previous| *previous < start) {
                let part = first_part(member, previous).await?;
                lowest = Some(lowest.map_or(part, |l| l.min(part)));
            }
            passed |= entry.at.ts >= until;
        }
        if passed {
            return Ok(lowest);
        }
    }
}

/// Follows a transaction back to its first part.
async fn first_part(member: &Member, mut part: OpTime) -> Result<OpTime, JobError> {
    for _ in 0..PARTS_MAX {
        let find = doc! { "find": "oplog.rs", "filter": { "ts": Timestamp::from(part.ts) }, "limit": 1, "readConcern": { "level": "majority" } };
        let raw = member.first("local", find, "read the first part of a transaction").await?;
        let raw = raw.ok_or_else(|| {
            JobError::NoMember(format!(
                "an open transaction began before the oldest entry of {}'s oplog ({part})",
                member.host
            ))
        })?;
        match Entry::read(&raw)?.previous_part() {
            Some(before) => part = before,
            None => return Ok(part),
        }
    }
    Err(JobError::Unintelligible(format!("a transaction at {part} has more parts than there can be")))
}

/// The first part of the oldest open transaction, and the operation time of the read.
async fn oldest_open(member: &Member) -> Result<(Option<OpTime>, Ts), JobError> {
    let doing = "read the open transactions";
    let find = doc! {
        "find": "transactions", "filter": { "state": { "$in": ["prepared", "inProgress"] }, "startOpTime": { "$exists": true } },
        "sort": { "startOpTime": 1 }, "limit": 1, "singleBatch": true,
    };
    let mut cursor = member.cursor("config", find, 1, None, doing).await?;
    let failed = |source| member.error(doing, source);
    let batch = cursor.try_next().await.map_err(failed)?;
    let batch = batch.ok_or_else(|| JobError::Unintelligible("an empty answer to a find".into()))?;
    let time = operation_time(batch.as_raw_document());
    if time == Ts::ZERO {
        return Err(JobError::Unintelligible("an answer of the source has no operationTime".into()));
    }
    let first = batch.doc_slices().map_err(failed)?.into_iter().next().and_then(Result::ok);
    let open = first.and_then(|value| value.as_document().and_then(|raw| optime_field(raw, "startOpTime")));
    Ok((open, time))
}
