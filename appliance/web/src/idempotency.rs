//! Requests with the header `Idempotency-Key`: the same again gives the same answer and makes nothing twice.
//!
//! Invariants:
//! - A key belongs to its caller (a person, or an API key) and to one request: method, path and body. Another request by it is refused.
//! - What was answered is kept for a day, sealed with the master key: it may hold a secret that is shown once.
//! - Only what was done is kept. A refusal and a fault made nothing: the key is free again.
//! - A caller who goes away does not break the request off: what they hear when they ask again is how it ended.
//!
//! Called by [`crate::caller::admit`], after it let the request through and before its handler. The one gap: a process that dies between
//! what it did and the note of its answer; the same request is then carried out again, and judged by the rules of its route.

use std::{pin::pin, time::Duration};

use axum::{
    body::{Body, HttpBody as _, to_bytes},
    extract::Request,
    http::{HeaderName, HeaderValue, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use holdfast_domain::{ErrorClass, Hash32};
use holdfast_metadb::{HeldKey, Keyed};
use serde::{Deserialize, Serialize};

use crate::{
    caller::{Caller, fault},
    origin::is_unsafe,
    problem::ApiError,
    state::WebState,
};

/// The header with the key.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer is that of an earlier request.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Longest key, in characters.
const KEY_CHARS_MAX: usize = 200;
/// Largest body of a request with a key, in bytes: as large as JSON bodies may be.
const BODY_BYTES_MAX: usize = 256 << 10;
/// Largest answer that is kept, in bytes: what makes something answers with the thing that it made.
const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// How often a request that is carried out says so: a fifth of what the app database waits for.
const BEAT: Duration = Duration::from_secs(1);
/// When to ask again while the same request is under way, in seconds.
const UNDER_WAY_SECONDS: u64 = 1;

/// An answer, as it is kept.
#[derive(Serialize, Deserialize)]
struct Answer {
    status: u16,
    kind: Option<String>,
    /// Its revision, where it has one.
    #[serde(default)]
    tag: Option<String>,
    #[serde(with = "serde_bytes_of_hex")]
    body: Vec<u8>,
}

/// Bodies are mostly text, but need not be.
mod serde_bytes_of_hex {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex::encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        hex::decode(String::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// Carries a request out, once for each key. Without a key, or without a caller, it is carried out as it is.
pub(crate) async fn once(
    state: &WebState,
    caller: Option<Caller>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let key = request.headers().get(&KEY).cloned();
    let (Some(key), Some(caller), true) = (key, caller, is_unsafe(request.method())) else {
        return Ok(next.run(request).await);
    };
    let key = checked(&key)?;
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| {
        let detail = format!("the body ended early, or it is larger than {BODY_BYTES_MAX} bytes");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "tooLarge", "The body is too large", detail)
    })?;
    let who = format!("{}/{}", caller.kind(), caller.fingerprint());
    let print = fingerprint(state, &parts, &bytes)?;
    match state.metadb().take_key(&who, &key, &print).await.map_err(fault)? {
        Keyed::Answered(sealed) => replay(state, &who, &sealed),
        Keyed::UnderWay => {
            let detail = "the same request is being carried out: ask again in a second, its answer will be yours";
            Err(ApiError::conflict("requestUnderWay", detail).retry_after(UNDER_WAY_SECONDS))
        }
        Keyed::Other => {
            let detail =
                "this Idempotency-Key was sent with another request before: send a new key with every new request";
            Err(ApiError::refused("idempotencyKeyUsed", detail))
        }
        Keyed::New(held) => {
            let request = Request::from_parts(parts, Body::from(bytes));
            let carried = tokio::spawn(carry_out(state.clone(), who, held, request, next));
            carried.await.map_err(|error| ApiError::from_class(ErrorClass::Bug, &error))
        }
    }
}

fn checked(key: &HeaderValue) -> Result<String, ApiError> {
    let text = key.to_str().unwrap_or_default().trim();
    if text.is_empty() || text.len() > KEY_CHARS_MAX {
        let detail = format!("the header Idempotency-Key has 1 to {KEY_CHARS_MAX} visible ASCII characters");
        return Err(ApiError::bad_request(detail));
    }
    Ok(text.to_owned())
}

/// Tells one request from every other, and nothing of its body to whoever reads the database.
fn fingerprint(state: &WebState, parts: &Parts, body: &[u8]) -> Result<String, ApiError> {
    let mut bytes = state.idempotency_key()?.to_vec();
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    for part in [parts.method.as_str().as_bytes(), target.as_bytes(), body] {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    Ok(Hash32::of(&bytes).to_string())
}

async fn carry_out(state: WebState, who: String, held: HeldKey, request: Request, next: Next) -> Response {
    let mut running = pin!(next.run(request));
    let mut beat = tokio::time::interval(BEAT);
    beat.reset();
    let response = loop {
        tokio::select! {
            response = &mut running => break response,
            _ = beat.tick() => if let Err(error) = state.metadb().beat_key(&held).await {
                tracing::warn!(%error, "an idempotency key cannot be held");
            }
        }
    };
    let size = response.body().size_hint().exact();
    // A cookie is for the browser that asked; a long answer is read, not made.
    let keeps = response.status().is_success()
        && !response.headers().contains_key(header::SET_COOKIE)
        && size.is_some_and(|bytes| bytes <= ANSWER_BYTES_MAX);
    if !keeps {
        if let Err(error) = state.metadb().give_key_back(&held).await {
            tracing::warn!(%error, "an idempotency key is not free until its holder counts as gone");
        }
        return response;
    }
    let (parts, body) = response.into_parts();
    let body = match to_bytes(body, usize::try_from(ANSWER_BYTES_MAX).unwrap_or(usize::MAX)).await {
        Ok(body) => body,
        Err(error) => {
            let error = std::io::Error::other(error);
            return ApiError::from_class(ErrorClass::Bug, &error).into_response();
        }
    };
    let text = |name| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (kind, tag) = (text(header::CONTENT_TYPE), text(header::ETAG));
    let answer = Answer { status: parts.status.as_u16(), kind, tag, body: body.to_vec() };
    if let Err(error) = keep(&state, &who, &held, &answer).await {
        // What was asked for is done: its answer is given, and only the same again cannot be told so.
        tracing::warn!(error = ?error, "an answer is not kept");
    }
    Response::from_parts(parts, Body::from(body))
}

async fn keep(state: &WebState, who: &str, held: &HeldKey, answer: &Answer) -> Result<(), ApiError> {
    let bytes = serde_json::to_vec(answer).map_err(|error| ApiError::from_class(ErrorClass::Bug, &error))?;
    state.metadb().keep_answer(held, state.seal_answer(who, &bytes)?).await.map_err(fault)
}

fn replay(state: &WebState, who: &str, sealed: &[u8]) -> Result<Response, ApiError> {
    let bytes = state.open_answer(who, sealed)?;
    let answer: Answer =
        serde_json::from_slice(&bytes).map_err(|error| ApiError::from_class(ErrorClass::Corrupt, &error))?;
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = (status, answer.body).into_response();
    response.headers_mut().remove(header::CONTENT_TYPE);
    for (name, value) in [(header::CONTENT_TYPE, answer.kind), (header::ETAG, answer.tag)] {
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn keys_are_short_and_visible() {
        assert_eq!(checked(&HeaderValue::from_static(" a-1 ")).unwrap(), "a-1");
        assert!(checked(&HeaderValue::from_static("")).is_err());
        assert!(checked(&HeaderValue::from_str(&"x".repeat(KEY_CHARS_MAX + 1)).unwrap()).is_err());
        assert!(checked(&HeaderValue::from_bytes(b"\xff").unwrap()).is_err());
    }

    #[test]
    fn an_answer_comes_back_to_the_byte() {
        let answer = Answer { status: 201, kind: Some("application/json".into()), tag: None, body: vec![0, 255, b'{'] };
        let back: Answer = serde_json::from_slice(&serde_json::to_vec(&answer).unwrap()).unwrap();
        assert_eq!((back.status, back.kind, back.body), (answer.status, answer.kind, answer.body));
    }
}
