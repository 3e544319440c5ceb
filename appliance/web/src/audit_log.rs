//! The audit log: pages of it, and all of it as a file.

use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use bson::oid::ObjectId;
use futures::stream;
use holdfast_metadb::{AuditFilter, StoredAuditEntry};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    caller::{InGroup, fault},
    extract::QueryOf,
    instant::rfc3339_of,
    problem::{ApiError, Problem},
    state::WebState,
};

/// Entries of one page.
const PAGE_MAX: i64 = 500;
/// Entries of a page when nothing is said.
const PAGE: i64 = 100;
/// Pages of an export: a million entries; the file says when there were more.
const EXPORT_PAGES_MAX: usize = 2000;

/// Something that someone did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditView {
    /// Id.
    id: String,
    /// When, RFC 3339.
    at: String,
    /// Id of the group; null: the appliance.
    group: Option<String>,
    /// Address of the person or label of the key; empty: not signed in.
    who: String,
    /// `user`, `apiKey`, `operator` (the server's command line), `nobody`, or empty.
    kind: String,
    /// The address that the request came from.
    address: String,
    /// What was done.
    action: String,
    /// To what.
    target: String,
    /// More.
    detail: String,
    /// What was changed, before.
    before: Option<serde_json::Value>,
    /// After.
    after: Option<serde_json::Value>,
}

impl From<StoredAuditEntry> for AuditView {
    fn from(entry: StoredAuditEntry) -> Self {
        let json = |doc: bson::Document| bson::Bson::Document(doc).into_relaxed_extjson();
        Self {
            id: entry.id.to_hex(),
            at: rfc3339_of(entry.at),
            group: entry.group.map(|id| id.to_string()),
            who: entry.who,
            kind: entry.kind,
            address: entry.address,
            action: entry.action,
            target: entry.target,
            detail: entry.detail,
            before: entry.before.map(json),
            after: entry.after.map(json),
        }
    }
}

/// A page, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditPage {
    /// Entries.
    entries: Vec<AuditView>,
    /// Give it as `cursor` for the next page; null: this is the last.
    next: Option<String>,
}

/// How it is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum AuditFormat {
    /// A page.
    #[default]
    Json,
    /// Everything, one JSON object a line.
    Lines,
    /// Everything, as a table.
    Csv,
}

/// Which part.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// As the page before said.
    cursor: Option<String>,
    /// Entries of the page, 1 to 500; 100 when nothing is said.
    limit: Option<i64>,
    /// Of this person or key alone.
    who: Option<String>,
    /// `json` (a page), `lines` or `csv` (all of it, as a file).
    #[serde(default)]
    #[param(inline)]
    format: AuditFormat,
}

/// What people and keys did in the group, newest first.
#[utoipa::path(get, path = "/groups/{group}/audit", tag = "audit", params(("group" = String, Path, description = "id or name"), AuditQuery),
    responses((status = 200, body = AuditPage), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn group_audit(
    State(state): State<WebState>,
    of: InGroup,
    QueryOf(query): QueryOf<AuditQuery>,
) -> Result<Response, ApiError> {
    answer(state, Some(of.group.id), query).await
}

/// What people and keys did on the appliance and in all groups, newest first.
#[utoipa::path(get, path = "/audit", tag = "audit", params(AuditQuery),
    responses((status = 200, body = AuditPage), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn all_audit(
    State(state): State<WebState>,
    QueryOf(query): QueryOf<AuditQuery>,
) -> Result<Response, ApiError> {
    answer(state, None, query).await
}

async fn answer(
    state: WebState,
    group: Option<holdfast_domain::GroupId>,
    query: AuditQuery,
) -> Result<Response, ApiError> {
    let cursor = query.cursor.as_deref().map(ObjectId::parse_str).transpose();
    let before = cursor.map_err(|_| ApiError::bad_request("the cursor is not one that a page gave"))?;
    let filter = AuditFilter { group, who: query.who, before };
    if query.format != AuditFormat::Json {
        return Ok(export(state, filter, query.format));
    }
    let limit = query.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let mut entries = state.metadb().audit_page(&filter, limit + 1).await.map_err(fault)?;
    let more = entries.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    if more {
        entries.pop();
    }
    let next = entries.last().filter(|_| more).map(|entry| entry.id.to_hex());
    Ok(Json(AuditPage { entries: entries.into_iter().map(Into::into).collect(), next }).into_response())
}

/// A body that is read page by page while it is sent: its size in memory is that of a page.
fn export(state: WebState, filter: AuditFilter, format: AuditFormat) -> Response {
    let (kind, name) = match format {
        AuditFormat::Csv => ("text/csv; charset=utf-8; header=present", "attachment; filename=\"audit.csv\""),
        AuditFormat::Lines | AuditFormat::Json => ("application/x-ndjson", "attachment; filename=\"audit.jsonl\""),
    };
    let start = (state, filter, 0_usize, true);
    let pages = stream::try_unfold(start, move |(state, mut filter, page, more)| async move {
        if !more {
            return Ok(None);
        }
        let entries = state.metadb().audit_page(&filter, PAGE_MAX).await.map_err(std::io::Error::other)?;
        let full = entries.len() == usize::try_from(PAGE_MAX).unwrap_or(usize::MAX);
        filter.before = entries.last().map(|entry| entry.id).or(filter.before);
        let mut text = String::new();
        if format == AuditFormat::Csv && page == 0 {
            text.push_str("at,group,who,kind,address,action,target,detail,before,after\r\n");
        }
        for entry in entries {
            line(&mut text, &AuditView::from(entry), format);
        }
        let more = full && page + 1 < EXPORT_PAGES_MAX;
        if full && !more {
            text.push_str("# more entries follow: ask with a cursor\r\n");
        }
        Ok::<_, std::io::Error>(Some((Bytes::from(text), (state, filter, page + 1, more))))
    });
    let mut response = Body::from_stream(pages).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(name));
    response
}

fn line(text: &mut String, view: &AuditView, format: AuditFormat) {
    if format != AuditFormat::Csv {
        text.push_str(&serde_json::to_string(view).unwrap_or_default());
        text.push('\n');
        return;
    }
    let json = |value: &Option<serde_json::Value>| value.as_ref().map(ToString::to_string).unwrap_or_default();
    let (before, after) = (json(&view.before), json(&view.after));
    let group = view.group.as_deref().unwrap_or_default();
    let cells: [&str; 10] = [
        &view.at,
        group,
        &view.who,
        &view.kind,
        &view.address,
        &view.action,
        &view.target,
        &view.detail,
        &before,
        &after,
    ];
    text.push_str(&cells.map(cell).join(","));
    text.push_str("\r\n");
}

/// A cell of a table. What a spreadsheet would take for a formula gets a quote before it.
fn cell(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_no_formulas() {
        assert_eq!(cell("a\"b"), "\"a\"\"b\"");
        assert_eq!(cell("=1+1"), "\"'=1+1\"");
        assert_eq!(cell("@x"), "\"'@x\"");
    }
}
