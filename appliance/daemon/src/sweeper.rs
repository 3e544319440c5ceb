//! What follows a run of the collector where blocks lie in packs: packs that hold nothing any more are deleted, half-dead ones are copied
//! together, copies of the roots are brought up to date.
//!
//! Invariants: a store that cannot be used is passed over and does not keep the others from it; what was done is noted, so that
//! operators see what the disk got back. Any daemon may do it, several at once.

use blockstore_engine::{PayloadError, StoreNumber, SweepReport, SweepRequest};
use bson::{Bson, DateTime, Document, doc};
use tokio_util::sync::CancellationToken;

use crate::{chain_of, context::Context};

/// Packs of which less than this is still needed are copied together, in percent.
const COMPACT_BELOW_PERCENT: u8 = 50;
/// Name of the note among the appliance's settings.
const NOTE: &str = "lastSweep";

/// Sweeps every usable store; what each gave back, as it is noted.
pub async fn sweep(ctx: &Context, cancel: &CancellationToken) -> Vec<Document> {
    let mut swept = Vec::new();
    for number in ctx.store.usable_packs() {
        if cancel.is_cancelled() {
            break;
        }
        ctx.board.update("reconciler", "collector", |v| v.phase = format!("sweep payload store {number}"));
        match one(ctx, number, cancel).await {
            Ok(report) => {
                tracing::info!(
                    store = %number, deleted_packs = report.deleted_packs, freed_on_disk_bytes = report.deleted_bytes,
                    copied_bytes = report.copied_bytes, "packs were swept"
                );
                for (pack, reason) in &report.bad_packs {
                    tracing::error!(store = %number, pack, reason, "a pack cannot be read");
                }
                swept.push(note(number, &report));
            }
            Err(PayloadError::Cancelled | PayloadError::Gone) => break,
            Err(error) => {
                tracing::warn!(store = %number, error = chain_of(&error), "sweep packs");
                swept.push(doc! { "number": i32::from(number.get()), "error": chain_of(&error) });
            }
        }
    }
    let stores: Vec<Bson> = swept.iter().cloned().map(Bson::Document).collect();
    if !stores.is_empty() {
        let note = doc! { "at": DateTime::now(), "stores": stores };
        if let Err(error) = ctx.metadb.put_appliance_setting(NOTE, note).await {
            tracing::warn!(%error, "note what was swept");
        }
    }
    swept
}

async fn one(ctx: &Context, number: StoreNumber, cancel: &CancellationToken) -> Result<SweepReport, PayloadError> {
    let request = SweepRequest { store: number, compact_below_percent: COMPACT_BELOW_PERCENT, dry_run: false };
    let report = ctx.store.sweep_packs(request, cancel.clone()).await?;
    let mirrored = ctx.store.mirror_roots(number).await?;
    if mirrored.without_key > 0 {
        tracing::warn!(store = %number, roots = mirrored.without_key, "roots were not copied: their keys are not at hand");
    }
    Ok(report)
}

/// A report as a document.
pub fn note(number: StoreNumber, report: &SweepReport) -> Document {
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    doc! {
        "number": i32::from(number.get()),
        "packs": signed(report.packs),
        "bytes": signed(report.bytes),
        "busyPacks": signed(report.busy_packs),
        "deletedPacks": signed(report.deleted_packs),
        "deletedBytes": signed(report.deleted_bytes),
        "copiedBytes": signed(report.copied_bytes),
        "deadBytes": signed(report.dead_bytes),
        "badPacks": signed(report.bad_packs.len() as u64),
    }
}
