//! The blockstore as a whole: what it holds, what is free, what was verified, what another retention would free.
//!
//! Only global keys see it. Numbers are the engine's own; what would take long is asked for as a request (`blockstore_requests.rs`).

use std::{collections::HashMap, time::Duration};

use axum::{Json, extract::State};
use blockstore_engine::{Account, Amount, ErrorClass as EngineClass, Purpose, Root, RootId, verify::rolling::SLICES};
use bson::DateTime;
use holdfast_domain::{SnapshotFacts, plan_retention};
use holdfast_ledger::SnapshotMeta;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::fault,
    extract::JsonOf,
    instant::rfc3339_of,
    payload_stores::{StoreView, store_views},
    points::class_of,
    problem::{ApiError, Problem},
    settings::RetentionView,
    state::WebState,
};

/// Bad blocks and snapshots named in an answer, at most.
const NAMED_MAX: usize = 1000;
/// How long the stores may take to say what lies in them; what is not known then is left out.
pub(crate) const USAGE_WITHIN: Duration = Duration::from_secs(10);

/// Blocks and their bytes.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AmountView {
    /// Distinct blocks.
    blocks: u64,
    /// Bytes before compression.
    raw_bytes: u64,
    /// Bytes as they are stored.
    stored_bytes: u64,
}

impl From<Amount> for AmountView {
    fn from(amount: Amount) -> Self {
        Self { blocks: amount.blocks, raw_bytes: amount.raw_bytes, stored_bytes: amount.stored_bytes }
    }
}

/// What snapshots need, at the time of the last account.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AccountView {
    /// When it was taken, RFC 3339.
    at: String,
    /// Needed by any snapshot.
    live: AmountView,
    /// Of that, needed by more than one snapshot.
    shared: AmountView,
    /// Of that, needed by one snapshot alone.
    unique: AmountView,
    /// Freed if a collection ran now and the grace of all that lies in the trash were over.
    reclaimable: AmountView,
    /// Needed by no snapshot, but maybe by a backup that is being written.
    held: AmountView,
}

/// The last collection.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LastCollectionView {
    /// RFC 3339.
    started_at: String,
    /// RFC 3339.
    finished_at: String,
    /// Snapshots that were removed for good.
    unlinked: u64,
    /// Blocks that were deleted.
    deleted: AmountView,
    /// Bytes that new blocks can use, wherever they lay.
    freed_for_reuse_bytes: u64,
    /// Bytes that the disks got back, packs included.
    freed_on_disk_bytes: u64,
}

/// Verification.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VerificationView {
    /// Every block was read back since then, RFC 3339; null: some never was.
    all_since: Option<String>,
    /// Shares of the store that were never read back, of 256.
    never: u16,
}

/// A snapshot with bad blocks.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DamagedView {
    /// Its id.
    snapshot: String,
    /// Group, by name.
    group: String,
    /// Replica set.
    rs: String,
    /// When it was committed, RFC 3339.
    committed_at: String,
}

/// The blockstore.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BlockstoreView {
    /// Snapshots, those in the trash included.
    snapshots: u64,
    /// Of those, in the trash.
    trashed: u64,
    /// Sum of the sizes of all snapshots' files.
    logical_bytes: u64,
    /// Distinct blocks that are stored.
    blocks: u64,
    /// Their bytes before compression.
    raw_bytes: u64,
    /// Their bytes as they are stored.
    stored_bytes: u64,
    /// Whether the last three are exact, not scaled from a sample (of more than a million blocks).
    exact: bool,
    /// Bytes on disks and in buckets in all. Null while a store does not answer.
    disk_bytes: Option<u64>,
    /// Bytes that are free for reuse inside the database's files.
    reusable_bytes: u64,
    /// Backups that are being written now.
    writers: u64,
    /// Null before the first collection.
    account: Option<AccountView>,
    /// Null before the first.
    last_collection: Option<LastCollectionView>,
    /// Verification.
    verification: VerificationView,
    /// Snapshots with bad blocks, at most 1000.
    damaged: Vec<DamagedView>,
    /// Where payloads lie.
    stores: Vec<StoreView>,
}

/// Answers an error of the engine.
pub(crate) fn engine_fault<E: std::error::Error + 'static>(class: EngineClass, error: E) -> ApiError {
    ApiError::from_class(class_of(class), &error)
}

fn account_view(account: &Account) -> AccountView {
    let trashed: Vec<RootId> = account.snapshots.iter().filter(|one| one.trashed).map(|one| one.id).collect();
    let freed = account.freed_if(&trashed);
    let sum = |a: Amount, b: Amount| Amount {
        blocks: a.blocks + b.blocks,
        raw_bytes: a.raw_bytes + b.raw_bytes,
        stored_bytes: a.stored_bytes + b.stored_bytes,
    };
    let unique = account.snapshots.iter().fold(Amount::default(), |all, one| sum(all, one.unique));
    let live = account.live;
    let shared = Amount {
        blocks: live.blocks.saturating_sub(unique.blocks),
        raw_bytes: live.raw_bytes.saturating_sub(unique.raw_bytes),
        stored_bytes: live.stored_bytes.saturating_sub(unique.stored_bytes),
    };
    AccountView {
        at: rfc3339_of(account.at),
        live: live.into(),
        shared: shared.into(),
        unique: unique.into(),
        reclaimable: sum(freed, account.garbage).into(),
        held: account.held.into(),
    }
}

/// Snapshots with bad blocks, by name.
async fn damaged(state: &WebState, roots: &[Root]) -> Result<Vec<DamagedView>, ApiError> {
    let groups: HashMap<_, _> =
        state.metadb().groups().await.map_err(fault)?.into_iter().map(|group| (group.id, group.name)).collect();
    let bad = roots.iter().filter(|root| root.quarantined).take(NAMED_MAX);
    Ok(bad
        .map(|root| {
            let meta = SnapshotMeta::decode(&root.meta).ok();
            let name = |meta: &SnapshotMeta| groups.get(&meta.group).cloned().unwrap_or_else(|| meta.group.to_string());
            DamagedView {
                snapshot: root.id.to_string(),
                group: meta.as_ref().map(name).unwrap_or_default(),
                rs: meta.map(|meta| meta.rs).unwrap_or_default(),
                committed_at: rfc3339_of(root.committed_at),
            }
        })
        .collect())
}

/// What packs gave back to their disks in the last sweep.
async fn freed_in_packs(state: &WebState) -> Result<u64, ApiError> {
    let note = state.metadb().appliance_setting("lastSweep").await.map_err(fault)?;
    let stores = note.as_ref().and_then(|note| note.get_array("stores").ok());
    let freed = stores.into_iter().flatten().filter_map(|store| store.as_document()?.get_i64("deletedBytes").ok());
    Ok(freed.filter_map(|bytes| u64::try_from(bytes).ok()).sum())
}

/// What the blockstore holds, what is free, what was verified.
#[utoipa::path(get, path = "/blockstore", tag = "blockstore",
    responses((status = 200, body = BlockstoreView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_blockstore(State(state): State<WebState>) -> Result<Json<BlockstoreView>, ApiError> {
    let store = state.blockstore();
    let stats = store.stats().await.map_err(|e| engine_fault(e.class(), e))?;
    let roots = store.all_roots().await.map_err(|e| engine_fault(e.class(), e))?;
    let account = store.account().await.map_err(|e| engine_fault(e.class(), e))?;
    let last = store.last_collection().await.map_err(|e| engine_fault(e.class(), e))?;
    let times = store.slice_times().await.map_err(|e| engine_fault(e.class(), e))?;
    let stores = store_views(&state, true).await?;
    let never = SLICES.saturating_sub(u16::try_from(times.len()).unwrap_or(SLICES));
    let in_packs = freed_in_packs(&state).await?;
    Ok(Json(BlockstoreView {
        snapshots: roots.len() as u64,
        trashed: roots.iter().filter(|root| root.trashed_at.is_some()).count() as u64,
        logical_bytes: roots.iter().map(|root| root.logical_bytes).sum(),
        blocks: stats.blocks,
        raw_bytes: stats.raw_bytes,
        stored_bytes: stats.stored_bytes,
        exact: stats.exact,
        disk_bytes: stores.iter().filter(|one| one.is_in_use()).map(StoreView::disk_bytes).sum(),
        reusable_bytes: stats.reusable_bytes,
        writers: stats.writers,
        account: account.as_ref().map(account_view),
        last_collection: last.map(|last| LastCollectionView {
            started_at: rfc3339_of(last.started_at),
            finished_at: rfc3339_of(last.finished_at),
            unlinked: last.unlinked,
            deleted: last.deleted.into(),
            freed_for_reuse_bytes: last.freed_bytes,
            freed_on_disk_bytes: last.freed_on_disk + in_packs,
        }),
        verification: VerificationView {
            all_since: if never == 0 { times.values().min().copied().map(rfc3339_of) } else { None },
            never,
        },
        damaged: damaged(&state, &roots).await?,
        stores,
    }))
}

/// Which retention to ask about.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct WhatIf {
    /// The retention, for every backup.
    retention: RetentionView,
}

/// What that retention would free.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WhatIfView {
    /// The account that it was computed from, RFC 3339.
    account_at: String,
    /// Snapshots that would go, those in the trash not counted; ids, at most 1000.
    snapshots: Vec<String>,
    /// How many.
    count: u64,
    /// Snapshots that are younger than the account and would go: what they hold is not in the sum.
    younger: u64,
    /// Freed in all, with what lies in the trash already.
    freed: AmountView,
}

/// What another retention would free, answered at once from the last account. A fresh answer is asked for as a request.
#[utoipa::path(post, path = "/blockstore/whatIf", tag = "blockstore", request_body = WhatIf,
    responses((status = 200, body = WhatIfView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn what_if(
    State(state): State<WebState>,
    JsonOf(asked): JsonOf<WhatIf>,
) -> Result<Json<WhatIfView>, ApiError> {
    let policy = asked.retention.policy()?;
    let account = state.blockstore().account().await.map_err(|e| engine_fault(e.class(), e))?;
    let account = account.ok_or_else(|| {
        let detail = "no collection has run yet: ask for a fresh answer (POST /blockstore/requests, kind whatIf)";
        ApiError::conflict("noAccount", detail)
    })?;
    let now = DateTime::now();
    let mut facts: HashMap<String, Vec<SnapshotFacts>> = HashMap::new();
    let mut gone: Vec<RootId> = Vec::new();
    let roots = state.blockstore().all_roots().await.map_err(|e| engine_fault(e.class(), e))?;
    for root in roots.into_iter().filter(|root| root.purpose == Purpose::Snapshot) {
        if root.trashed_at.is_some() {
            gone.push(root.id);
            continue;
        }
        let meta = SnapshotMeta::decode(&root.meta).map_err(fault)?;
        let id = root.id.to_string().parse();
        facts.entry(root.job.clone()).or_default().push(SnapshotFacts {
            id: id.map_err(|error| ApiError::from_class(holdfast_domain::ErrorClass::Bug, &error))?,
            at: i64::from(meta.optime.ts.t),
            pinned: root.is_pinned(now),
            good: !root.quarantined,
        });
    }
    let plan = |facts: &Vec<SnapshotFacts>| plan_retention(&policy, facts, now.timestamp_millis() / 1000).trash;
    let would: Vec<RootId> = facts.values().flat_map(plan).filter_map(|id| id.as_str().parse().ok()).collect();
    let younger = would.iter().filter(|id| !account.snapshots.iter().any(|one| one.id == **id)).count();
    gone.extend(&would);
    Ok(Json(WhatIfView {
        account_at: rfc3339_of(account.at),
        snapshots: would.iter().take(NAMED_MAX).map(ToString::to_string).collect(),
        count: would.len() as u64,
        younger: younger as u64,
        freed: account.freed_if(&gone).into(),
    }))
}

/// What the last verification of a snapshot found.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CheckView {
    /// The snapshot.
    snapshot: String,
    /// When, RFC 3339.
    at: String,
    /// Blocks read.
    blocks: u64,
    /// Their bytes.
    bytes: u64,
    /// Bad ones.
    bad_count: u64,
    /// Files with bad blocks, at most 1000 lines.
    bad: Vec<String>,
}

/// What verification found.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReportView {
    /// The rolling verification.
    verification: VerificationView,
    /// Snapshots with bad blocks.
    damaged: Vec<DamagedView>,
    /// Snapshots that were verified on demand, newest first.
    checks: Vec<CheckView>,
}

/// What verification found, and when.
#[utoipa::path(get, path = "/blockstore/report", tag = "blockstore",
    responses((status = 200, body = ReportView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_report(State(state): State<WebState>) -> Result<Json<ReportView>, ApiError> {
    let store = state.blockstore();
    let times = store.slice_times().await.map_err(|e| engine_fault(e.class(), e))?;
    let never = SLICES.saturating_sub(u16::try_from(times.len()).unwrap_or(SLICES));
    let roots = store.all_roots().await.map_err(|e| engine_fault(e.class(), e))?;
    let checks = store.snapshot_checks().await.map_err(|e| engine_fault(e.class(), e))?;
    let line = |bad: &blockstore_engine::BadBlock| match &bad.path {
        Some(path) => format!("{path}: {}", bad.reason),
        None => bad.reason.clone(),
    };
    Ok(Json(ReportView {
        verification: VerificationView {
            all_since: if never == 0 { times.values().min().copied().map(rfc3339_of) } else { None },
            never,
        },
        damaged: damaged(&state, &roots).await?,
        checks: checks
            .into_iter()
            .take(NAMED_MAX)
            .map(|check| CheckView {
                snapshot: check.root.to_string(),
                at: rfc3339_of(check.at),
                blocks: check.report.blocks,
                bytes: check.report.bytes,
                bad_count: check.report.bad_count,
                bad: check.report.bad.iter().take(NAMED_MAX).map(line).collect(),
            })
            .collect(),
    }))
}
