//! Revisions of what people change: `ETag` in answers, `If-Match` in requests, so that nobody writes over what they have not seen.
//!
//! The tag of a resource counts the changes of what people can set of it; what the appliance itself notes there (a state, a position) does
//! not count. A change whose `If-Match` names other revisions is answered 412 and changes nothing; one without the header is made whatever
//! was there, as programs that set a known state want it.

use axum::{
    Json,
    extract::FromRequestParts,
    http::{HeaderValue, header, request::Parts},
    response::{IntoResponse, Response},
};
use holdfast_metadb::Seen;
use serde::Serialize;

use crate::problem::ApiError;

/// Tags of one request at most.
const TAGS_MAX: usize = 16;

/// What the sender of a request saw.
#[derive(Debug)]
pub(crate) struct IfMatch(pub(crate) Seen);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let lines = parts.headers.get_all(header::IF_MATCH).into_iter().map(|line| line.to_str().unwrap_or("\"\""));
        seen(lines).map(Self)
    }
}

/// Reads the header's lines.
fn seen<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Seen, ApiError> {
    let tags: Vec<&str> = lines.flat_map(|line| line.split(',')).map(str::trim).filter(|tag| !tag.is_empty()).collect();
    if tags.is_empty() || tags.contains(&"*") {
        return Ok(Seen::ANY);
    }
    if tags.len() > TAGS_MAX {
        return Err(ApiError::bad_request(format!("If-Match names at most {TAGS_MAX} tags")));
    }
    // Proxies that compress weaken a tag on the way; ours names a revision and not its bytes. A tag that is none of ours fits nothing.
    let revision = |tag: &&str| {
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        tag.strip_prefix('"')?.strip_suffix('"')?.parse::<i64>().ok()
    };
    Ok(Seen::at(tags.iter().filter_map(revision).collect()))
}

/// An answer with its revision.
#[derive(Debug)]
pub(crate) struct Tagged<T>(pub(crate) i64, pub(crate) T);

impl<T: Serialize> IntoResponse for Tagged<T> {
    fn into_response(self) -> Response {
        let Self(revision, body) = self;
        let mut response = Json(body).into_response();
        if let Ok(tag) = HeaderValue::from_str(&format!("\"{revision}\"")) {
            response.headers_mut().insert(header::ETAG, tag);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn headers() {
        let of = |lines: &[&'static str]| seen(lines.iter().copied()).unwrap();
        assert_eq!(of(&[]), Seen::ANY);
        assert_eq!(of(&["*"]), Seen::ANY);
        assert_eq!(of(&["\"3\""]), Seen::at(vec![3]));
        assert_eq!(of(&["\"3\", W/\"4\"", "\"5\""]), Seen::at(vec![3, 4, 5]));
        for foreign in ["3", "\"x\"", "\"\"", "abc"] {
            assert_eq!(of(&[foreign]), Seen::at(Vec::new()), "{foreign}");
        }
        assert!(seen(std::iter::repeat_n("\"1\"", TAGS_MAX + 1)).is_err());
    }
}
