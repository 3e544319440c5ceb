//! The web app's files, as `npm run build` left them in `appliance/ui/dist`, inside the binary.
//!
//! Files named by their content (`assets/`) are kept for ever by browsers, `index.html` is asked for each time. Every path that is no file
//! and none of the API is the app's own: it gets `index.html`. A binary that was built without the app says how to build it.

use std::{collections::HashMap, io::Write as _, sync::LazyLock};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use flate2::{Compression, write::GzEncoder};
use rust_embed::RustEmbed;

use crate::{problem::ApiError, state::WebState};

/// The folder is read when this crate is built; it may be missing.
#[derive(RustEmbed)]
#[folder = "../ui/dist"]
#[allow_missing = true]
struct Dist;

const INDEX: &str = "index.html";
/// Folder of the files that are named by their content.
const HASHED: &str = "assets/";
/// What is not smaller by so much is sent as it is.
const GZIP_BYTES_SAVED_MIN: usize = 64;
/// Scripts come from here alone, none from the page itself. Styles may stand in the page: the component library writes them there.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; \
                   connect-src 'self'; manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
/// Two years, as lists of preloaded sites ask for.
const HSTS: &str = "max-age=63072000";

struct File {
    plain: Bytes,
    /// None where it would not be smaller.
    gzip: Option<Bytes>,
    etag: String,
    kind: HeaderValue,
}

/// All files, compressed once.
static FILES: LazyLock<HashMap<String, File>> = LazyLock::new(|| {
    let one = |name: &str| {
        let file = Dist::get(name)?;
        let plain = Bytes::from(file.data.into_owned());
        let etag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
        Some((name.to_owned(), File { gzip: gzip(&plain), plain, etag, kind: kind(name) }))
    };
    Dist::iter().filter_map(|name| one(&name)).collect()
});

fn gzip(plain: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain).ok()?;
    let packed = encoder.finish().ok()?;
    (packed.len() + GZIP_BYTES_SAVED_MIN < plain.len()).then(|| Bytes::from(packed))
}

fn kind(name: &str) -> HeaderValue {
    HeaderValue::from_static(match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "woff2" => "font/woff2",
        "txt" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    })
}

/// Answers every path that no route has.
pub(crate) async fn serve(State(state): State<WebState>, request: Request) -> Response {
    let path = request.uri().path();
    if path == "/api" || path.starts_with("/api/") {
        return crate::unknown().await.into_response();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return crate::wrong_method().await.into_response();
    }
    let name = path.trim_start_matches('/');
    let mut response = match (FILES.get(name), FILES.get(INDEX)) {
        (Some(file), _) => answer(name, file, request.headers()),
        // A missing asset is of another version of the app: the page must not be taken for it.
        (None, Some(_)) if name.starts_with(HASHED) => ApiError::not_found("there is no such file").into_response(),
        (None, Some(index)) => answer(INDEX, index, request.headers()),
        (None, None) => not_built(),
    };
    let headers = response.headers_mut();
    let set = [
        ("content-security-policy", CSP),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("permissions-policy", "camera=(), microphone=(), geolocation=()"),
        ("x-frame-options", "DENY"),
    ];
    for (name, value) in set {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if state.hsts() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
    }
    response
}

fn answer(name: &str, file: &File, asked: &HeaderMap) -> Response {
    let has = |header: header::HeaderName, word: &str| {
        let values = asked.get_all(header).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|line| line.split(',')).any(|part| part.split(';').next().unwrap_or_default().trim() == word)
    };
    let cache = if name.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response =
        if has(header::IF_NONE_MATCH, &file.etag) || has(header::IF_NONE_MATCH, &format!("W/{}", file.etag)) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let packed = file.gzip.as_ref().filter(|_| has(header::ACCEPT_ENCODING, "gzip"));
            let mut response = Body::from(packed.unwrap_or(&file.plain).clone()).into_response();
            if packed.is_some() {
                response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            response.headers_mut().insert(header::CONTENT_TYPE, file.kind.clone());
            response
        };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    // Weak: the same tag stands for the compressed and the plain form.
    if let Ok(etag) = HeaderValue::from_str(&format!("W/{}", file.etag)) {
        headers.insert(header::ETAG, etag);
    }
    response
}

fn not_built() -> Response {
    let text = "This server was built without the web app: run `npm ci && npm run build` in appliance/ui, then build holdfast-app again.\n\
                The API is at /api/v1, described by /api/v1/openapi.json.\n";
    let mut response = (StatusCode::NOT_FOUND, text).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn file() -> File {
        let plain = Bytes::from(vec![b'a'; 10_000]);
        File { gzip: gzip(&plain), plain, etag: "\"e\"".into(), kind: kind("x.js") }
    }

    fn asked(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (header::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn what_is_kept_and_what_is_asked_for_again() {
        let hashed = answer("assets/x-1.js", &file(), &asked(&[]));
        assert_eq!(hashed.headers()["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(hashed.headers()["content-type"], "text/javascript; charset=utf-8");
        assert!(hashed.headers().get("content-encoding").is_none());
        let index = answer(INDEX, &file(), &asked(&[("accept-encoding", "br, gzip;q=0.8")]));
        assert_eq!(
            (&index.headers()["cache-control"], &index.headers()["content-encoding"]),
            (&"no-cache".parse().unwrap(), &"gzip".parse().unwrap())
        );
        let same = answer(INDEX, &file(), &asked(&[("if-none-match", "W/\"e\"")]));
        assert_eq!(same.status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn only_what_gets_smaller_is_compressed() {
        assert!(gzip(&[7; 80]).is_none() && gzip(&[7; 5000]).is_some());
    }

    #[test]
    fn no_inline_script_is_allowed() {
        let script = CSP.split(';').find(|part| part.trim().starts_with("script-src")).unwrap();
        assert_eq!(script.trim(), "script-src 'self'");
        assert!(CSP.contains("frame-ancestors 'none'") && CSP.starts_with("default-src 'none'"));
    }
}
