//! What a second blockstore needs beside copies, since nobody else looks after it: its packs are swept after its garbage was collected, and a
//! share of it is read back after every run.
//!
//! Invariants: of what is verified, everything has its turn within the setting as long as runs come as often as the order says; what is bad is
//! quarantined and its copies are marked by the engine, and the run's result names them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use blockstore_engine::{
    Blockstore, PayloadError, RollingOptions, StoreNumber, SweepRequest, VerifyError, verify::SLICES,
};
use tokio_util::sync::CancellationToken;

/// Packs of which less than this is still needed are copied together, in percent.
const COMPACT_BELOW_PERCENT: u8 = 50;
/// Damaged copies named in a result, at most.
const NAMED_MAX: usize = 20;

/// Deletes the packs of a second store that hold nothing any more, and copies half-dead ones together.
///
/// # Errors
/// The store's; a store of packs that cannot be used now is passed over.
pub async fn sweep(copy: &str, target: &Blockstore, cancel: &CancellationToken) -> Result<(), PayloadError> {
    for state in target.payload_stores() {
        let number: StoreNumber = state.number;
        if let Some(fault) = state.fault {
            tracing::warn!(copy, store = %number, fault = crate::chain_of(&fault), "packs of a second store are not swept");
            continue;
        }
        let request = SweepRequest { store: number, compact_below_percent: COMPACT_BELOW_PERCENT, dry_run: false };
        let report = target.sweep_packs(request, cancel.clone()).await?;
        tracing::info!(
            copy, store = %number, deleted_packs = report.deleted_packs, freed_on_disk_bytes = report.deleted_bytes,
            copied_bytes = report.copied_bytes, "packs of a second store were swept"
        );
        for (pack, reason) in &report.bad_packs {
            tracing::error!(copy, store = %number, pack, reason, "a pack of a second store cannot be read");
        }
        target.mirror_roots(number).await?;
    }
    Ok(())
}

/// Reads back what is due of a second store; a sentence when something is bad. `within_seconds`: how old a verification may become, 0 for never
/// verifying; `every_seconds`: how often this comes.
///
/// # Errors
/// The store's.
pub async fn verify(
    copy: &str,
    target: &Blockstore,
    within_seconds: u64,
    every_seconds: u64,
    cancel: &CancellationToken,
) -> Result<Option<String>, VerifyError> {
    if within_seconds == 0 {
        return Ok(None);
    }
    let (age, share) = schedule(within_seconds, every_seconds);
    let options = RollingOptions { age, share: (share, u32::from(SLICES)), ..RollingOptions::default() };
    let report = target.verify_rolling(&options, Arc::new(|_| {}), cancel.clone()).await?;
    if report.bad.is_empty() {
        return Ok(None);
    }
    let damaged: BTreeSet<String> = report.bad.iter().flat_map(|bad| &bad.snapshots).map(ToString::to_string).collect();
    for bad in &report.bad {
        tracing::error!(copy, block = %bad.id, reason = bad.reason, "a block of a second store is bad");
    }
    let more = if damaged.len() > NAMED_MAX { " and others" } else { "" };
    let damaged: Vec<_> = damaged.into_iter().take(NAMED_MAX).collect();
    Ok(Some(format!(
        "{} stored blocks of the second store are bad; damaged copies: {}{more}. Their snapshots are as they were: look at the disk of the \
         second store before you rely on it",
        report.bad.len(),
        if damaged.is_empty() { "none".to_owned() } else { damaged.join(", ") },
    )))
}

/// The age from which slices are due, and how many are read after one run: a round takes at most a quarter of the time.
fn schedule(within_seconds: u64, every_seconds: u64) -> (Duration, u32) {
    let slices = u64::from(SLICES);
    let share = (slices * every_seconds).div_ceil((within_seconds / 4).max(1)).clamp(1, slices);
    (Duration::from_secs(within_seconds / 2), u32::try_from(share).unwrap_or(u32::from(SLICES)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_make_a_round_within_a_quarter_of_the_time() {
        let day = 24 * 3600;
        assert_eq!(schedule(30 * day, 3600), (Duration::from_secs(15 * day), 2));
        assert_eq!(schedule(30 * day, day).1, 35);
        assert_eq!(schedule(30 * day, 30 * day).1, 256, "seldom: all of it");
        assert_eq!(schedule(1, 3600), (Duration::ZERO, 256));
    }
}
