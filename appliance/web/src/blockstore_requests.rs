//! Long work on the blockstore: asked for here, carried out by a daemon.

use axum::{Json, extract::State, http::StatusCode};
use holdfast_domain::{Action, Resource, SnapshotId};
use holdfast_metadb::{BlockstoreRequest, BlockstoreWork, DATABASE_STORE, PayloadStoreState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{Caller, fault, forbidden},
    extract::{JsonOf, PathOf},
    instant::rfc3339_of,
    problem::{ApiError, Problem},
    restores::word,
    settings::RetentionView,
    state::WebState,
};

/// What shall be done.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum NewBlockstoreRequest {
    /// Collect garbage now.
    Collect {},
    /// Say what a collection would free now.
    Plan {},
    /// Say what another retention would free, counted afresh.
    WhatIf {
        /// The retention, for every backup.
        retention: RetentionView,
    },
    /// Read back one snapshot, or everything.
    Verify {
        /// Id of the snapshot.
        snapshot: Option<String>,
    },
    /// Move all payloads of one store to another, beside backups. New payloads must go elsewhere already.
    Move {
        /// Number of the store that is emptied; 0 is the database.
        from: u8,
        /// Number of the store that takes all of it.
        to: u8,
    },
}

/// How far a request is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RequestProgressView {
    /// What is being done.
    phase: String,
    /// Done.
    done: u64,
    /// In all; 0 when not known.
    total: u64,
    /// Of what.
    unit: String,
}

/// A request.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BlockstoreRequestView {
    /// Id.
    id: String,
    /// `collect`, `plan`, `whatIf`, `verify` or `move`.
    kind: String,
    /// What was asked for.
    #[schema(value_type = Object)]
    work: serde_json::Value,
    /// `queued`, `running`, `done`, `failed` or `cancelled`.
    state: String,
    /// Who asked.
    asked_by: String,
    /// RFC 3339.
    asked_at: String,
    /// RFC 3339.
    started_at: Option<String>,
    /// RFC 3339.
    ended_at: Option<String>,
    /// How far it is.
    progress: RequestProgressView,
    /// What was found and done; its fields depend on the kind. Amounts are {blocks, rawBytes, storedBytes}.
    #[schema(value_type = Option<Object>)]
    result: Option<serde_json::Value>,
    /// Why it failed.
    error: Option<String>,
}

/// Documents of the database as JSON: times as RFC 3339, numbers as numbers.
fn plain(value: bson::Bson) -> serde_json::Value {
    match value {
        bson::Bson::DateTime(at) => rfc3339_of(at).into(),
        bson::Bson::Document(document) => {
            document.into_iter().map(|(name, value)| (name, plain(value))).collect::<serde_json::Map<_, _>>().into()
        }
        bson::Bson::Array(values) => values.into_iter().map(plain).collect(),
        other => other.into_relaxed_extjson(),
    }
}

impl From<BlockstoreRequest> for BlockstoreRequestView {
    fn from(request: BlockstoreRequest) -> Self {
        let work = serde_json::to_value(&request.work).unwrap_or_default();
        let progress = request.progress;
        Self {
            id: request.id,
            kind: work["kind"].as_str().unwrap_or_default().to_owned(),
            work,
            state: word(request.state),
            asked_by: request.asked_by,
            asked_at: rfc3339_of(request.asked_at),
            started_at: request.started_at.map(rfc3339_of),
            ended_at: request.ended_at.map(rfc3339_of),
            progress: RequestProgressView {
                phase: progress.phase,
                done: progress.done,
                total: progress.total,
                unit: progress.unit,
            },
            result: request.result.map(|result| plain(bson::Bson::Document(result))),
            error: request.error,
        }
    }
}

/// Asks for long work on the blockstore. `collect` and `move` need a global owner.
#[utoipa::path(post, path = "/blockstore/requests", tag = "blockstore", request_body = NewBlockstoreRequest,
    responses((status = 202, body = BlockstoreRequestView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn create_blockstore_request(
    State(state): State<WebState>,
    caller: Caller,
    JsonOf(new): JsonOf<NewBlockstoreRequest>,
) -> Result<(StatusCode, Json<BlockstoreRequestView>), ApiError> {
    // What frees or moves blocks is for those who may take stores away.
    let owner = caller.may(Action::Delete, Resource::Blockstore, None);
    let need_owner = || if owner { Ok(()) } else { Err(forbidden("collecting and moving blocks need a global owner")) };
    let work = match new {
        NewBlockstoreRequest::Collect {} => {
            need_owner()?;
            BlockstoreWork::Collect
        }
        NewBlockstoreRequest::Plan {} => BlockstoreWork::Plan,
        NewBlockstoreRequest::WhatIf { retention: wanted } => BlockstoreWork::WhatIf { retention: wanted.policy()? },
        NewBlockstoreRequest::Verify { snapshot } => {
            BlockstoreWork::Verify { snapshot: snapshot.map(|id| known_snapshot(&id)).transpose()? }
        }
        NewBlockstoreRequest::Move { from, to } => {
            need_owner()?;
            begin_move(&state, from, to).await?;
            BlockstoreWork::Move { from, to }
        }
    };
    let request = state.metadb().ask_blockstore(work, caller.name()).await.map_err(fault)?;
    let view = BlockstoreRequestView::from(request);
    state.audit(&caller, None, &format!("blockstore: {} asked for", view.kind), &view.id).await;
    Ok((StatusCode::ACCEPTED, Json(view)))
}

fn known_snapshot(id: &str) -> Result<SnapshotId, ApiError> {
    id.parse().map_err(|_| ApiError::bad_request(format!("{id:?} is not the id of a snapshot")))
}

/// Nothing new goes to the store from now on.
async fn begin_move(state: &WebState, from: u8, to: u8) -> Result<(), ApiError> {
    if from == to {
        return Err(ApiError::bad_request("payloads cannot be moved to where they are"));
    }
    let changed = state.metadb().change_payload_stores(|stores| {
        let fits = |number: u8| {
            number == DATABASE_STORE || stores.get(number).is_some_and(|store| store.state == PayloadStoreState::Active)
        };
        let fits = fits(to);
        if !fits {
            let detail = format!("store {to} does not exist or takes nothing new");
            return Err(holdfast_metadb::MetaError::Invalid { what: "the move", detail });
        }
        stores.drain(from)
    });
    changed.await.map_err(fault)
}

/// The newest requests, newest first.
#[utoipa::path(get, path = "/blockstore/requests", tag = "blockstore",
    responses((status = 200, body = [BlockstoreRequestView]), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_blockstore_requests(
    State(state): State<WebState>,
) -> Result<Json<Vec<BlockstoreRequestView>>, ApiError> {
    let requests = state.metadb().blockstore_requests().await.map_err(fault)?;
    Ok(Json(requests.into_iter().map(Into::into).collect()))
}

/// A request.
#[utoipa::path(get, path = "/blockstore/requests/{request}", tag = "blockstore",
    params(("request" = String, Path, description = "id of the request")),
    responses((status = 200, body = BlockstoreRequestView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_blockstore_request(
    State(state): State<WebState>,
    path: PathOf<String>,
) -> Result<Json<BlockstoreRequestView>, ApiError> {
    let PathOf(id) = path;
    let found = state.metadb().blockstore_request(&id).await.map_err(fault)?;
    Ok(Json(found.ok_or_else(|| ApiError::not_found(format!("there is no request {id:?}")))?.into()))
}

/// Calls a request off: what it did so far stays.
#[utoipa::path(delete, path = "/blockstore/requests/{request}", tag = "blockstore",
    params(("request" = String, Path, description = "id of the request")),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn cancel_blockstore_request(
    State(state): State<WebState>,
    caller: Caller,
    path: PathOf<String>,
) -> Result<StatusCode, ApiError> {
    let PathOf(id) = path;
    if state.metadb().blockstore_request(&id).await.map_err(fault)?.is_none() {
        return Err(ApiError::not_found(format!("there is no request {id:?}")));
    }
    if !state.metadb().cancel_blockstore_request(&id).await.map_err(fault)? {
        return Err(ApiError::conflict("requestEnded", "the request has ended already"));
    }
    state.audit(&caller, None, "blockstore: request called off", &id).await;
    Ok(StatusCode::NO_CONTENT)
}
