//! Every error of the REST API: one type, one mapping from classes to statuses, one body (problem+json).
//!
//! Handlers return [`ApiError`]; [`render`] is the outermost layer and the only place that writes a body, because only there the id of
//! the request is known. Errors of our own side (5xx) are logged there, once, with their chain; the answer does not carry the chain.

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use holdfast_domain::ErrorClass;
use serde::Serialize;
use utoipa::ToSchema;

/// Header with the id of the request, in requests (when a proxy gave one) and answers.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id that is taken over from a proxy, in characters.
const REQUEST_ID_CHARS_MAX: usize = 64;
/// When to try again after a passing fault of our own side, in seconds.
const RETRY_SECONDS: u64 = 2;

/// An answer that is not a success.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    retry_after_seconds: Option<u64>,
    chain: Option<String>,
}

/// Body of every error (RFC 9457), `Content-Type: application/problem+json`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// Stable code in camelCase, for programs.
    pub code: String,
    /// One line, the same for every problem of this code.
    pub title: String,
    /// What happened here and what to do about it.
    pub detail: String,
    /// Id of the request, as in the server's log.
    pub request_id: String,
}

impl ApiError {
    /// `code` is stable, `title` is the same for every problem of it, `detail` says what happened here and what to do.
    pub fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, title, detail: detail.into(), retry_after_seconds: None, chain: None }
    }

    /// The request itself is wrong.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "badRequest", "The request is wrong", detail)
    }

    /// Says when to come again, in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// The thing named does not exist, or this key may not know of it.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "notFound", "There is no such thing", detail)
    }

    /// The request does not fit the present state.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, "The request does not fit the present state", detail)
    }

    /// Someone changed it since the caller read it; nothing was done.
    pub fn changed() -> Self {
        let detail = "someone changed this since you read it, and nothing was written over that: read it again, then make your change to what is there now";
        Self::new(StatusCode::PRECONDITION_FAILED, "changedMeanwhile", "It was changed meanwhile", detail)
    }

    /// The request is understood and cannot be carried out as things are; someone must change something first.
    pub fn refused(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, "This cannot be done as things are", detail)
    }

    /// The mapping from classes to statuses, for faults of what lies behind this process. `Caller` is 400; handlers that know better
    /// (a conflict, a thing that is gone) answer before they come here.
    pub fn from_class(class: ErrorClass, error: &(dyn std::error::Error + 'static)) -> Self {
        let chain = chain_of(error);
        let (status, code, title, detail, retry) = match class {
            ErrorClass::Caller => {
                return Self::bad_request(chain);
            }
            ErrorClass::Retry | ErrorClass::Cancelled => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "The server cannot do this now",
                "a database of the appliance does not answer; try again",
                Some(RETRY_SECONDS),
            ),
            ErrorClass::Operator => (
                StatusCode::SERVICE_UNAVAILABLE,
                "operatorNeeded",
                "The server needs its operator",
                "the appliance needs its operator (space, credentials or a database); the server's log says what",
                Some(30),
            ),
            ErrorClass::Corrupt => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "corrupt",
                "Stored bytes are damaged",
                "stored bytes are not what they were; nothing is served from them. The server's log says which",
                None,
            ),
            ErrorClass::Bug => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "The server failed",
                "the server failed in a way that it should not; its log has the request id",
                None,
            ),
        };
        Self { status, code, title, detail: detail.to_owned(), retry_after_seconds: retry, chain: Some(chain) }
    }

    /// What happened, for a command line.
    pub(crate) fn said(&self) -> String {
        self.chain.as_ref().map_or_else(|| self.detail.clone(), |chain| format!("{}: {chain}", self.detail))
    }

    /// Status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

/// An error with its sources, as one line.
fn chain_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let line = source.to_string();
        if !text.ends_with(&line) {
            text.push_str(": ");
            text.push_str(&line);
        }
        next = source.source();
    }
    text
}

/// What [`render`] needs of an error; travels in the response's extensions.
#[derive(Clone)]
struct Unrendered {
    problem: Problem,
    chain: Option<String>,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(Unrendered {
            problem: Problem {
                status: self.status.as_u16(),
                code: self.code.to_owned(),
                title: self.title.to_owned(),
                detail: self.detail,
                request_id: String::new(),
            },
            chain: self.chain,
        });
        response
    }
}

/// Outermost layer: gives every request an id, writes the body of every error, logs those of our own side.
pub(crate) async fn render(request: Request, next: Next) -> Response {
    let given = request.headers().get(&REQUEST_ID).and_then(|v| v.to_str().ok());
    let good = |id: &&str| {
        !id.is_empty() && id.len() <= REQUEST_ID_CHARS_MAX && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let id = given.filter(good).map_or_else(|| hex::encode(rand::random::<[u8; 8]>()), str::to_owned);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    let status = response.status();
    if let Some(Unrendered { mut problem, chain }) = response.extensions_mut().remove::<Unrendered>() {
        if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
            tracing::error!(%method, path, id, status = status.as_u16(), error = chain.as_deref().unwrap_or(&problem.detail), "request failed");
        } else {
            tracing::info!(%method, path, id, status = status.as_u16(), code = problem.code, error = chain.as_deref().unwrap_or(&problem.detail), "request refused");
        }
        problem.request_id.clone_from(&id);
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        *response.body_mut() = Body::from(body);
    } else {
        tracing::debug!(%method, path, id, status = status.as_u16(), "request answered");
    }
    // Answers hold links and keys that are shown once: nobody on the way keeps them. The web app's files say for themselves.
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    // Nothing that the API answers is a page: a browser that is made to show it as one runs none of it. The web app's files have their own.
    let headers = response.headers_mut();
    let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}
