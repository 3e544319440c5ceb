//! Restore downloads: `GET` and `HEAD /restores/{secret}/{file}`, and `{file}.sums`.
//!
//! The secret in the path is the right to download; there is no other. A download of `tar` or `tar.zst` can be cut into ranges, resumed, and
//! continued at another instance: the entity tag names the frozen layout. When it is not the one that the restore became ready with, a
//! bare range (one without `If-Range`) is refused with 412, since it would be joined to bytes that it does not fit.
//!
//! Uses are counted in bytes that were really handed to the connection, also when it breaks; a request begins while fewer bytes were sent than
//! uses x size (`tar.gz`, whose size nobody knows: while fewer requests were served than uses).

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use blockstore_engine::{RootId, archive::ArchiveFormat as EngineFormat};
use futures::{StreamExt as _, TryStreamExt as _};
use holdfast_domain::{ArchiveFormat, Classify as _, RestoreState};
use holdfast_metadb::{DownloadError, RestoreJob, hash_secret};

use crate::{
    download_count::Counted,
    extract::PathOf,
    plans::read_error,
    problem::ApiError,
    range::{Wanted, names, wanted},
    state::IngestState,
};

/// Ending of the list of sums.
const SUMS: &str = ".sums";
/// When to ask again for a restore that is being made, in seconds.
const NOT_READY_SECONDS: u64 = 5;

/// `GET` and `HEAD /restores/{secret}/{file}`.
pub(crate) async fn download(
    State(state): State<IngestState>,
    method: Method,
    PathOf((secret, file)): PathOf<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let job = state.metadb().restore_job_by_link(&hash_secret(&secret)).await;
    let job = job.map_err(|error| ApiError::from_class(error.class(), &error))?.ok_or_else(unknown)?;
    let (name, sums) = file.strip_suffix(SUMS).map_or((file.as_str(), false), |name| (name, true));
    if !name.ends_with(&format!(".{}", job.format)) {
        return Err(unknown());
    }
    let root = ready_root(&job)?;
    let format = engine_format(job.format);
    let plan = state.plans().get(state.blockstore(), &root, format).await?;
    let asked = Asked { job: &job, method, headers: &headers, name, size: plan.len() };
    if sums {
        return send_sums(&state, &asked, root, plan);
    }
    let etag = plan.etag();
    if let Some(answer) = asked.preconditions(&etag)? {
        return Ok(answer);
    }
    let Some(len) = plan.len() else {
        return send_gzip(&state, &asked, plan, &etag).await;
    };
    let bare = asked.header(header::IF_RANGE).is_none() && asked.header(header::IF_MATCH).is_none();
    let range = if asked.if_range_holds(&etag) { asked.header(header::RANGE) } else { None };
    let range = if asked.method == Method::HEAD { Wanted::Whole } else { wanted(range, len) };
    let mut response = asked.head(&etag);
    let part = match range {
        Wanted::Whole => 0..len,
        Wanted::Part(part) => {
            if bare && job.etag.as_ref().is_some_and(|frozen| frozen.trim_matches('"') != etag.trim_matches('"')) {
                return Err(layout_changed());
            }
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            set(&mut response, header::CONTENT_RANGE, &format!("bytes {}-{}/{len}", part.start, part.end - 1));
            part
        }
        Wanted::Unsatisfiable => {
            let detail = format!("the archive has {len} bytes; none of them is in the range");
            let refusal = ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, "range", "The range holds no byte", detail);
            let mut response = refusal.into_response();
            set(&mut response, header::CONTENT_RANGE, &format!("bytes */{len}"));
            return Ok(response);
        }
    };
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    set(&mut response, header::CONTENT_LENGTH, &(part.end - part.start).to_string());
    if asked.method == Method::HEAD {
        return Ok(response);
    }
    asked.check_uses()?;
    let slot = state.download_slot()?;
    let bytes = plan.stream(part).map_err(log_broken(&job));
    let counted = Counted::new(state.metadb().clone(), job.id.clone(), slot, bytes.boxed());
    *response.body_mut() = Body::from_stream(counted);
    Ok(response)
}

/// What was asked, and of what.
struct Asked<'a> {
    job: &'a RestoreJob,
    method: Method,
    headers: &'a HeaderMap,
    name: &'a str,
    size: Option<u64>,
}

impl Asked<'_> {
    fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// `If-Match` and `If-None-Match`.
    fn preconditions(&self, etag: &str) -> Result<Option<Response>, ApiError> {
        if self.header(header::IF_MATCH).is_some_and(|tags| !names(tags, etag, false)) {
            return Err(layout_changed());
        }
        if self.header(header::IF_NONE_MATCH).is_some_and(|tags| names(tags, etag, true)) {
            let mut response = self.head(etag);
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(Some(response));
        }
        Ok(None)
    }

    /// `If-Range`: only an equal strong tag lets the range hold.
    fn if_range_holds(&self, etag: &str) -> bool {
        self.header(header::IF_RANGE).is_none_or(|tag| tag.trim() == etag)
    }

    /// The head of an answer.
    fn head(&self, etag: &str) -> Response {
        let mut response = StatusCode::OK.into_response();
        let kind = match self.job.format {
            ArchiveFormat::Tar => "application/x-tar",
            ArchiveFormat::TarZst => "application/zstd",
            ArchiveFormat::TarGz => "application/gzip",
        };
        set(&mut response, header::CONTENT_TYPE, kind);
        set(&mut response, header::ETAG, etag);
        set(&mut response, header::CACHE_CONTROL, "private, no-transform");
        let plain: String = self.name.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
        set(&mut response, header::CONTENT_DISPOSITION, &format!("attachment; filename=\"{plain}\""));
        response
    }

    /// Refuses when the uses are spent.
    fn check_uses(&self) -> Result<(), ApiError> {
        let (uses, sent) = (self.job.uses, self.job.bytes_sent);
        let spent = match self.size {
            Some(size) => sent >= uses.saturating_mul(i64::try_from(size).unwrap_or(i64::MAX)),
            None => self.job.requests_sent >= uses,
        };
        if spent {
            let detail = format!("this link was good for {uses} downloads, and they are spent: ask for another one");
            return Err(gone("linkSpent", detail));
        }
        Ok(())
    }
}

/// The root to send, when the link works.
fn ready_root(job: &RestoreJob) -> Result<RootId, ApiError> {
    if job.expires <= bson::DateTime::now() {
        return Err(gone("linkExpired", "this link has expired: ask for another one"));
    }
    match job.state {
        RestoreState::Ready => {}
        RestoreState::Queued | RestoreState::Running => {
            let detail = "this restore is still being made: come again";
            let refusal =
                ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "notReady", "The restore is not ready", detail);
            return Err(refusal.retry_after(NOT_READY_SECONDS));
        }
        RestoreState::Failed => {
            let why = job.error.clone().unwrap_or_else(|| "it could not be made".into());
            return Err(gone("restoreFailed", format!("this restore failed: {why}")));
        }
        RestoreState::Expired => return Err(gone("linkExpired", "this link has expired: ask for another one")),
    }
    let root = job.root.as_ref().ok_or_else(unknown)?;
    root.parse().map_err(|_| unknown())
}

fn send_sums(
    state: &IngestState,
    asked: &Asked<'_>,
    root: RootId,
    plan: crate::plans::Plan,
) -> Result<Response, ApiError> {
    asked.check_uses()?;
    let mut response = StatusCode::OK.into_response();
    set(&mut response, header::CONTENT_TYPE, "text/plain; charset=utf-8");
    set(&mut response, header::CACHE_CONTROL, "private, no-transform");
    if asked.method == Method::HEAD {
        return Ok(response);
    }
    if let Some(list) = state.sum_lists().get(&root) {
        *response.body_mut() = Body::from(list);
    } else {
        let slot = state.download_slot()?;
        let lines = state.sum_lists().keeping(root, plan.sums().map_err(log_broken(asked.job)));
        // The guard rides along with the stream and is dropped with it.
        *response.body_mut() = Body::from_stream(lines.map(move |line| {
            let _ = &slot;
            line
        }));
    }
    Ok(response)
}

async fn send_gzip(
    state: &IngestState,
    asked: &Asked<'_>,
    plan: crate::plans::Plan,
    etag: &str,
) -> Result<Response, ApiError> {
    let mut response = asked.head(etag);
    set(&mut response, header::ACCEPT_RANGES, "none");
    if asked.method == Method::HEAD {
        return Ok(response);
    }
    asked.check_uses()?;
    let slot = state.download_slot()?;
    // Counts the request and checks the uses in one step.
    state.metadb().begin_download(&asked.job.id).await.map_err(|error| match &error {
        DownloadError::Meta(inner) => ApiError::from_class(inner.class(), inner),
        refused => gone("linkSpent", refused.to_string()),
    })?;
    let bytes = plan.stream(plan.whole()).map_err(log_broken(asked.job));
    let counted = Counted::new(state.metadb().clone(), asked.job.id.clone(), slot, bytes.boxed());
    *response.body_mut() = Body::from_stream(counted);
    Ok(response)
}

/// Logs the error that ends a stream: the status line is gone by then, the connection is cut instead.
fn log_broken(
    job: &RestoreJob,
) -> impl FnMut(blockstore_engine::archive::ArchiveError) -> std::io::Error + Send + 'static {
    let restore = Arc::<str>::from(job.id.as_str());
    move |error| {
        let answer = read_error(&error);
        tracing::error!(%restore, error = %std::error::Error::source(&error).map_or_else(|| error.to_string(), |s| format!("{error}: {s}")), "a download was cut");
        std::io::Error::other(format!("{}", answer.status()))
    }
}

fn set(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn unknown() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "notFound", "There is no such thing", "this link does not exist")
}

fn gone(code: &'static str, detail: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::GONE, code, "The link does not work any more", detail)
}

fn layout_changed() -> ApiError {
    let detail = "the bytes of this archive changed since the download began: begin again from its start";
    ApiError::new(StatusCode::PRECONDITION_FAILED, "layoutChanged", "The archive changed", detail)
}

const fn engine_format(format: ArchiveFormat) -> EngineFormat {
    match format {
        ArchiveFormat::Tar => EngineFormat::Tar,
        ArchiveFormat::TarZst => EngineFormat::TarZst,
        ArchiveFormat::TarGz => EngineFormat::TarGz,
    }
}
