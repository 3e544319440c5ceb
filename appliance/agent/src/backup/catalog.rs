//! The source's catalog between two majority points: what the head compares itself with.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use holdfast_agent_api::{Catalog, CatalogCollection};
use holdfast_domain::{Classify as _, ErrorClass};

use super::{
    context::JobContext, error::JobError, frame::FrameBuilder, listing, member_choice::Wishes, source::Member,
};

/// A catalog is sent this often.
const EVERY: Duration = Duration::from_secs(3600);
/// One that is asked for is sent at most this often.
const WANTED_EVERY: Duration = Duration::from_secs(20);
/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(10);
/// How often a member's majority point is waited for before the catalog is given up for now.
const REACH_TRIES: u32 = 6;

/// Lists, between two majority points that enclose all that the lists may have seen.
pub(crate) async fn take(member: &Member) -> Result<Catalog, JobError> {
    let before = member.majority_point().await?;
    let listing = listing::list(member).await?;
    let mut tries = 0;
    while !member.reached(listing.time).await? {
        tries += 1;
        if tries >= REACH_TRIES {
            return Err(JobError::NoMember(format!("the majority point of {} stands still", member.host)));
        }
    }
    let after = member.majority_point().await?;
    let collections = listing.collections.into_iter().map(|c| CatalogCollection {
        db: c.db,
        name: c.name,
        kind: c.kind,
        uuid: c.uuid,
        options: c.options,
        indexes: c.indexes,
    });
    Ok(Catalog { before, after, collections: collections.collect() })
}

async fn send(ctx: &JobContext, chain: i64) -> Result<(), JobError> {
    let wanted = ctx.wanted_member();
    let member = ctx.source.pick(Wishes { wanted: wanted.as_deref(), ..Wishes::default() }).await?;
    let catalog = take(&member).await?;
    let raw = bson::serialize_to_vec(&catalog)
        .map_err(|error| JobError::Bug(format!("a catalog cannot be written: {error}")))?;
    let mut frame = FrameBuilder::new()?;
    frame.push(&raw)?;
    ctx.api.put_catalog(chain, &frame.finish()?.bytes).await?;
    tracing::info!(job = %ctx.api.job, collections = catalog.collections.len(), before = %catalog.before, after = %catalog.after, "catalog sent");
    Ok(())
}

/// Sends catalogs of a chain whose initial sync is complete: at once, hourly, and when asked for. A catalog that fails is tried again and
/// never disturbs the tail; ends only when the job does.
pub(crate) async fn keep_sending(ctx: &Arc<JobContext>, chain: i64) -> Result<(), JobError> {
    let mut wishes = ctx.wishes.clone();
    let mut last: Option<Instant> = None;
    loop {
        let due = last
            .is_none_or(|at| at.elapsed() >= EVERY || (wishes.borrow().catalog_wanted && at.elapsed() >= WANTED_EVERY));
        if due {
            match send(ctx, chain).await {
                Ok(()) => last = Some(Instant::now()),
                Err(error) if error.class() == ErrorClass::Cancelled => return Err(error),
                Err(error) => {
                    tracing::warn!(error = crate::retry::with_sources(&error), "cannot take a catalog now");
                    ctx.sleep(PAUSE).await?;
                    continue;
                }
            }
        }
        tokio::select! {
            () = ctx.api.cancel.cancelled() => return Err(JobError::Cancelled),
            changed = wishes.changed() => {
                if changed.is_err() {
                    return Err(JobError::Cancelled);
                }
            }
            () = tokio::time::sleep(WANTED_EVERY) => {}
        }
    }
}
