//! The appliance's own log: what web, ingest and daemons said, newest first.

use axum::{Json, extract::State};
use holdfast_metadb::{LOG_LINES_MAX, LogFilter, LogLevel, StoredLogLine};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    caller::fault,
    extract::QueryOf,
    instant::rfc3339_of,
    problem::{ApiError, Problem},
    restores::word,
    state::WebState,
};

/// Lines of a page when nothing is said.
const PAGE: i64 = 200;
/// Longest text that is searched for, in characters.
const TEXT_CHARS_MAX: usize = 200;

/// A line.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogLineView {
    /// Id; sorts by time.
    id: String,
    /// When, RFC 3339, by the clock of its machine.
    at: String,
    /// `web`, `ingest`, `web and ingest` or `daemon`.
    program: String,
    /// Its machine or name, and its process.
    instance: String,
    /// `error`, `warn` or `info`.
    level: String,
    /// The part of the program.
    target: String,
    /// What it says.
    message: String,
    /// Its fields, `name=value`.
    fields: String,
}

impl From<StoredLogLine> for LogLineView {
    fn from(line: StoredLogLine) -> Self {
        Self {
            level: word(line.level()),
            at: rfc3339_of(line.at),
            id: line.id,
            program: line.program,
            instance: line.instance,
            target: line.target,
            message: line.message,
            fields: line.fields,
        }
    }
}

impl LogLineView {
    /// As a line of a file.
    pub(crate) fn text(&self) -> String {
        let Self { at, program, instance, level, target, message, fields, .. } = self;
        format!("{at} {level:5} {program} ({instance}) {target}: {message} {fields}").replace(['\n', '\r'], " ")
    }
}

/// A page, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogPage {
    /// Lines.
    lines: Vec<LogLineView>,
    /// Give it as `before` for the next page; null: this is the last.
    next: Option<String>,
}

/// Which lines.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LogQuery {
    /// Of this program: `web`, `ingest`, `web and ingest` or `daemon`.
    program: Option<String>,
    /// As bad as this, or worse: `error`, `warn` or `info` (all).
    level: Option<String>,
    /// With this text, letters large or small.
    text: Option<String>,
    /// Older than this line, as the page before said.
    before: Option<String>,
    /// Lines of the page, 1 to 1000; 200 when nothing is said.
    limit: Option<i64>,
}

/// What the appliance's programs said, newest first. Kept: about the last hundred thousand lines.
#[utoipa::path(get, path = "/logs", tag = "appliance", params(LogQuery),
    responses((status = 200, body = LogPage), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_log_lines(
    State(state): State<WebState>,
    QueryOf(query): QueryOf<LogQuery>,
) -> Result<Json<LogPage>, ApiError> {
    let level = query.level.as_deref().map(|name| LogLevel::named(name).ok_or(name)).transpose();
    let level = level.map_err(|name| ApiError::bad_request(format!("a level is error, warn or info, not {name:?}")))?;
    if query.text.as_ref().is_some_and(|text| text.chars().count() > TEXT_CHARS_MAX) {
        return Err(ApiError::bad_request(format!("the text is longer than {TEXT_CHARS_MAX} characters")));
    }
    let text = query.text.filter(|text| !text.is_empty());
    let filter = LogFilter { program: query.program, level, text, before: query.before };
    let limit = query.limit.unwrap_or(PAGE).clamp(1, LOG_LINES_MAX - 1);
    let mut lines = state.metadb().log_lines(&filter, limit + 1).await.map_err(fault)?;
    let more = lines.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    if more {
        lines.pop();
    }
    let next = lines.last().filter(|_| more).map(|line| line.id.clone());
    Ok(Json(LogPage { lines: lines.into_iter().map(Into::into).collect(), next }))
}

/// The newest lines as text, oldest first; at most so many pages of a thousand.
pub(crate) async fn newest(state: &WebState, pages: usize) -> Result<String, ApiError> {
    let mut filter = LogFilter::default();
    let mut lines: Vec<LogLineView> = Vec::new();
    for _ in 0..pages {
        let page = state.metadb().log_lines(&filter, LOG_LINES_MAX).await.map_err(fault)?;
        let Some(last) = page.last() else { break };
        filter.before = Some(last.id.clone());
        lines.extend(page.into_iter().map(LogLineView::from));
    }
    lines.reverse();
    Ok(lines.iter().map(|line| line.text() + "\n").collect())
}
