//! What a change of retention would do, shown before it is saved.
//!
//! The plan is the one that the daemon carries out ([`plan_retention`]); nothing is changed here.

use axum::{Json, extract::State};
use blockstore_engine::{Account, Purpose, RootId};
use holdfast_domain::{Range, SnapshotFacts, plan_retention};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    caller::{OfBackup, fault},
    extract::JsonOf,
    instant::{rfc3339, rfc3339_of},
    points::{Points, class_of},
    problem::{ApiError, Problem},
    settings::RetentionView,
    state::WebState,
};

/// A snapshot that would go to the trash.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GoingView {
    /// Id.
    id: String,
    /// The optime's second, RFC 3339, UTC.
    at: String,
    /// Bytes that it added to the store when it was taken; blocks that others use too stay.
    stored_bytes: u64,
}

/// What would become free, counted exactly from the last account of the blockstore.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FreedView {
    /// When the account was taken, RFC 3339: the sum is that of then.
    account_at: String,
    /// Bytes that would become free beyond what lies in the trash already.
    stored_bytes: u64,
    /// Snapshots that would go and are younger than the account: what they hold is not in the sum.
    younger: u64,
}

/// What would become free if these went too.
fn freed(account: &Account, goes: &[RootId]) -> FreedView {
    let mut gone: Vec<RootId> = account.snapshots.iter().filter(|one| one.trashed).map(|one| one.id).collect();
    let already = account.freed_if(&gone).stored_bytes;
    gone.extend(goes);
    let known = |id: &&RootId| account.snapshots.iter().any(|one| one.id == **id);
    FreedView {
        account_at: rfc3339_of(account.at),
        stored_bytes: account.freed_if(&gone).stored_bytes.saturating_sub(already),
        younger: (goes.len() - goes.iter().filter(known).count()) as u64,
    }
}

/// Seconds that could be restored one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct LostSecondsView {
    /// The first, since 1970.
    from: u32,
    /// The last.
    to: u32,
}

/// Of what can be restored to the second now, what lies before the snapshot that the new window starts from.
fn lost(ranges: &[Range], kept: impl Iterator<Item = u32>, window_from: i64) -> Vec<LostSecondsView> {
    let Some(base) = kept.filter(|at| i64::from(*at) <= window_from).max() else { return Vec::new() };
    let before = ranges.iter().filter(|range| range.from.t < base);
    before.map(|range| LostSecondsView { from: range.from.t, to: range.to.t.min(base - 1) }).collect()
}

/// What a policy would do now.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RetentionPreviewView {
    /// Snapshots that stay.
    kept: u64,
    /// Snapshots that would go to the trash, oldest first.
    goes: Vec<GoingView>,
    /// What that frees, exactly; null before the first collection of the blockstore.
    freed: Option<FreedView>,
    /// Any second from here on stays restorable, RFC 3339: the start of the oplog window.
    window_from: String,
    /// Seconds that can be restored now and could not be any more. The ledger's entries cannot be brought back.
    no_longer: Vec<LostSecondsView>,
    /// Until when the snapshots can be taken out of the trash again, RFC 3339; null: none goes, or no daemon has said.
    undo_until: Option<String>,
}

/// What a retention would do if it were saved now. Changes nothing.
#[utoipa::path(post, path = "/groups/{group}/backups/{rs}/retention/preview", tag = "backups", request_body = RetentionView,
    params(("group" = String, Path, description = "id or name"), ("rs" = String, Path, description = "name of the replica set")),
    responses((status = 200, body = RetentionPreviewView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn preview_retention(
    State(state): State<WebState>,
    of: OfBackup,
    JsonOf(wanted): JsonOf<RetentionView>,
) -> Result<Json<RetentionPreviewView>, ApiError> {
    let policy = wanted.policy()?;
    let points = Points::read(&state, &of.job).await?;
    let live = bson::DateTime::now();
    let now = jiff::Timestamp::now().as_second();
    let mut facts = Vec::with_capacity(points.snapshots.len());
    for found in &points.snapshots {
        if found.root.purpose == Purpose::Snapshot && found.root.trashed_at.is_none() {
            let at = i64::from(found.meta.optime.ts.t);
            let (pinned, good) = (found.root.is_pinned(live), !found.root.quarantined);
            facts.push(SnapshotFacts { id: found.id()?, at, pinned, good });
        }
    }
    let plan = plan_retention(&policy, &facts, now);
    let account = state.blockstore().account().await;
    let account = account.map_err(|error| ApiError::from_class(class_of(error.class()), &error))?;
    let ids: Vec<RootId> = plan.trash.iter().filter_map(|id| id.as_str().parse().ok()).collect();
    let goes = points.snapshots.iter().filter(|s| plan.trash.iter().any(|id| id.as_str() == s.root.id.to_string()));
    let goes = goes.map(|s| GoingView {
        id: s.root.id.to_string(),
        at: rfc3339(i64::from(s.meta.optime.ts.t)),
        stored_bytes: s.root.stored_bytes,
    });
    let window_from = now - i64::from(policy.oplog_window_days) * 86_400;
    let kept =
        points.snapshots.iter().filter(|s| plan.keep.iter().any(|kept| kept.id.as_str() == s.root.id.to_string()));
    let no_longer = lost(&points.ranges(), kept.map(|s| s.meta.optime.ts.t), window_from);
    let grace = state.metadb().trash_grace_seconds().await.map_err(fault)?.filter(|_| !plan.trash.is_empty());
    Ok(Json(RetentionPreviewView {
        no_longer,
        undo_until: grace.map(|seconds| rfc3339(now.saturating_add(seconds))),
        kept: plan.keep.len() as u64,
        goes: goes.collect(),
        freed: account.as_ref().map(|account| freed(account, &ids)),
        window_from: rfc3339(window_from),
    }))
}

#[cfg(test)]
mod tests {
    use holdfast_domain::Ts;

    use super::*;

    #[test]
    fn what_lies_before_the_window_s_snapshot_is_lost() {
        let range = |from, to| Range { from: Ts { t: from, i: 1 }, to: Ts { t: to, i: 1 } };
        let ranges = [range(100, 200), range(300, 900)];
        let lost = |kept: &[u32], from| lost(&ranges, kept.iter().copied(), from);
        assert_eq!(
            lost(&[100, 500, 800], 600),
            [LostSecondsView { from: 100, to: 200 }, LostSecondsView { from: 300, to: 499 }]
        );
        assert_eq!(lost(&[100, 800], 600), []);
        assert_eq!(lost(&[700], 600), [], "no snapshot stands before the window: all stays that is there");
    }
}
