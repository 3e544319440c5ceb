//! The restores of a group, of all its backups, page by page.

use axum::{Json, extract::State};
use holdfast_domain::RestoreJobId;
use holdfast_metadb::{RestoreCursor, RestoreJob};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    caller::{InGroup, fault},
    extract::QueryOf,
    problem::{ApiError, Problem},
    restores::{Names, RestoreView, view_of},
    state::WebState,
};

/// Restores of a page when nothing is said.
const PAGE: i64 = 50;
/// Most of a page.
const PAGE_MAX: i64 = 200;

/// Which part.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RestoresQuery {
    /// As the page before said.
    cursor: Option<String>,
    /// Restores of the page, 1 to 200; 50 when nothing is said.
    limit: Option<i64>,
}

/// A page, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RestoresPage {
    /// Restores.
    restores: Vec<RestoreView>,
    /// Give it as `cursor` for the next page; null: this is the last.
    next: Option<String>,
}

/// The restores of a group, newest first: who, why, what, when, and how far their links are used.
#[utoipa::path(get, path = "/groups/{group}/restores", tag = "restores",
    params(("group" = String, Path, description = "id or name"), RestoresQuery),
    responses((status = 200, body = RestoresPage), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_group_restores(
    State(state): State<WebState>,
    of: InGroup,
    QueryOf(query): QueryOf<RestoresQuery>,
) -> Result<Json<RestoresPage>, ApiError> {
    let after = query.cursor.as_deref().map(read_cursor).transpose()?;
    let limit = query.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let mut jobs = state.metadb().restores_page(&of.group.id, after.as_ref(), limit + 1).await.map_err(fault)?;
    let more = jobs.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    if more {
        jobs.pop();
    }
    let next = jobs.last().filter(|_| more).map(write_cursor);
    let names = Names::read(&state, &of.group.id).await?;
    Ok(Json(RestoresPage { restores: jobs.into_iter().map(|job| view_of(job, &names)).collect(), next }))
}

/// Two restores may be asked for in one millisecond: the id decides.
fn write_cursor(job: &RestoreJob) -> String {
    format!("{}-{}", job.created.timestamp_millis(), job.id)
}

fn read_cursor(text: &str) -> Result<RestoreCursor, ApiError> {
    let bad = || ApiError::bad_request("the cursor is not one that a page gave: begin again without a cursor");
    let (created, id) = text.split_once('-').ok_or_else(bad)?;
    let created = created.parse().map(bson::DateTime::from_millis).map_err(|_| bad())?;
    let id = id.parse::<RestoreJobId>().map_err(|_| bad())?;
    Ok(RestoreCursor { created, id })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn cursors() {
        let id = RestoreJobId::random();
        let read = read_cursor(&format!("1795388892123-{id}")).unwrap();
        assert_eq!((read.created.timestamp_millis(), read.id), (1_795_388_892_123, id));
        for bad in ["", "5", "x-0123456789abcdef01234567", "5-zz"] {
            assert!(read_cursor(bad).is_err(), "{bad}");
        }
    }
}
