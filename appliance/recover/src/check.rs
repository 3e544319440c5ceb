//! Whether everything is there: every block of every snapshot, every entry of every ledger.
//!
//! Out of a store of packs a block counts as there when a pack that can be read lists it; its bytes are checked when it is restored. Out of
//! a database every block is read. Parts of ledgers are read and checked whole in both cases.

use std::{path::Path, sync::Arc};

use blockstore_engine::Recovery;
use holdfast_ledger::stretches;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{
    RecoverFault, Source,
    contents::{Backup, Contents, SnapshotLine},
    restore::{OnStep, Step},
    slices,
    source::Kind,
};

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    /// Snapshots that are whole.
    pub whole: Vec<String>,
    /// What is wrong, in sentences.
    pub faults: Vec<String>,
}

/// Looks at everything. `scratch`: a folder of its own, which goes afterwards.
///
/// # Errors
/// The source's; what is wrong with what it holds is in the report.
pub async fn check(
    source: &Source,
    contents: &Contents,
    scratch: &Path,
    on_step: OnStep,
    cancel: CancellationToken,
) -> Result<CheckReport, RecoverFault> {
    let mut report = CheckReport::default();
    let recovery = match &source.kind {
        Kind::Packs { options, .. } => {
            let says = Arc::clone(&on_step);
            let progress = Arc::new(move |p: blockstore_engine::Progress| {
                says(Step {
                    what: "read the lists of the packs",
                    done: p.files,
                    total: p.files_total,
                    is_bytes: false,
                });
            });
            Some(Recovery::open(options, source.keys.clone(), scratch, progress).await?)
        }
        Kind::Database { .. } => None,
    };
    for (pack, reason) in recovery.iter().flat_map(Recovery::bad_packs) {
        report.faults.push(format!("{pack}: {reason}"));
    }
    for backup in &contents.backups {
        let total = backup.snapshots.len() as u64;
        for (done, one) in backup.snapshots.iter().enumerate() {
            on_step(Step { what: "look for the blocks of snapshots", done: done as u64, total, is_bytes: false });
            match fault(source, recovery.as_ref(), one, &cancel).await? {
                None => report.whole.push(one.id.to_string()),
                Some(fault) => report.faults.push(format!("snapshot {}: {fault}", one.id)),
            }
        }
        ledger(source, backup, &on_step, &mut report).await?;
    }
    Ok(report)
}

/// What is wrong with a snapshot.
async fn fault(
    source: &Source,
    recovery: Option<&Recovery>,
    one: &SnapshotLine,
    cancel: &CancellationToken,
) -> Result<Option<String>, RecoverFault> {
    if cancel.is_cancelled() {
        return Err(RecoverFault::Cancelled);
    }
    let found = match (&source.kind, recovery) {
        (Kind::Database { store, .. }, _) => {
            let unseen = Arc::new(|_| {});
            let reader = store.reader(one.root.clone());
            match cancel.run_until_cancelled(reader.verify(unseen)).await {
                None => return Err(RecoverFault::Cancelled),
                Some(verified) => verified.map(|report| report.bad_count),
            }
        }
        (Kind::Packs { .. }, Some(recovery)) => recovery.snapshot(one.root.clone()).absent_blocks().await,
        (Kind::Packs { .. }, None) => Ok(0),
    };
    Ok(match found {
        Ok(0) => None,
        Ok(blocks) => Some(format!("{blocks} of its blocks are lost")),
        Err(error) => Some(chain(&error)),
    })
}

/// Snapshots of a backup that are whole, newest first: what to say when one is not.
pub(crate) async fn whole(recovery: &Recovery, backup: &Backup, but: &SnapshotLine) -> Vec<String> {
    let mut out = Vec::new();
    for one in backup.snapshots.iter().rev().filter(|one| one.id != but.id) {
        if matches!(recovery.snapshot(one.root.clone()).absent_blocks().await, Ok(0)) {
            out.push(format!("{} ({})", one.id, one.instant.at));
        }
    }
    out
}

async fn ledger(
    source: &Source,
    backup: &Backup,
    on_step: &OnStep,
    report: &mut CheckReport,
) -> Result<(), RecoverFault> {
    let name = format!("{}/{}", backup.group, backup.rs);
    report.faults.extend(backup.faults.iter().map(|fault| format!("{name}: {fault}")));
    let runs: Vec<(i64, i64)> = match &source.kind {
        Kind::Packs { .. } => stretches(&backup.segments).iter().map(|one| (one.chain, one.first)).collect(),
        Kind::Database { ledger, .. } => {
            ledger.chains(&backup.job).await?.iter().map(|chain| (chain.chain, chain.first_seq)).collect()
        }
    };
    for (chain_number, first) in runs {
        let mut slices = source.slices(backup, chain_number, first);
        let mut done = 0;
        loop {
            use holdfast_head::Runs as _;
            match slices::Slices::next(&mut slices).await {
                Ok(Some(_)) => done += 1,
                Ok(None) => break,
                Err(error) if error.class() == holdfast_domain::ErrorClass::Retry => return Err(error),
                Err(error) => {
                    let good = slices.good.map_or_else(|| "nothing".to_owned(), |at| at.to_string());
                    report.faults.push(format!("{name}: chain {chain_number} is good up to {good}: {}", chain(&error)));
                    break;
                }
            }
            on_step(Step { what: "read the ledger", done, total: 0, is_bytes: false });
        }
    }
    Ok(())
}

/// An error and its sources in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}
