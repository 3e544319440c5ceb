//! The session's cookie.
//!
//! HttpOnly, SameSite=Strict, path `/`; over TLS Secure with the `__Host-` prefix, so that no other host or plain HTTP can set or see it.

use axum::http::{HeaderMap, HeaderValue, header};

const NAME: &str = "holdfast";
const NAME_SECURE: &str = "__Host-holdfast";

/// Names the browser that began a sign-in elsewhere.
const SIGN_IN: &str = "holdfast-sign-in";
const SIGN_IN_SECURE: &str = "__Host-holdfast-sign-in";

const fn name(secure: bool) -> &'static str {
    if secure { NAME_SECURE } else { NAME }
}

const fn sign_in(secure: bool) -> &'static str {
    if secure { SIGN_IN_SECURE } else { SIGN_IN }
}

/// The session's secret in a request.
pub(crate) fn read(headers: &HeaderMap, secure: bool) -> Option<String> {
    read_of(headers, name(secure))
}

/// The secret of the browser that began a sign-in elsewhere.
pub(crate) fn read_sign_in(headers: &HeaderMap, secure: bool) -> Option<String> {
    read_of(headers, sign_in(secure))
}

fn read_of(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, value)| *key == name && !value.is_empty()).map(|(_, value)| value.to_owned())
}

/// `Set-Cookie` for a new session that lasts so many seconds.
pub(crate) fn set(secret: &str, seconds: u64, secure: bool) -> Option<HeaderValue> {
    set_of(name(secure), secret, seconds, secure)
}

/// `Set-Cookie` for the browser that begins a sign-in elsewhere.
pub(crate) fn set_sign_in(secret: &str, seconds: u64, secure: bool) -> Option<HeaderValue> {
    set_of(sign_in(secure), secret, seconds, secure)
}

/// `Set-Cookie` that forgets that the browser began one.
pub(crate) fn clear_sign_in(secure: bool) -> Option<HeaderValue> {
    set_sign_in("", 0, secure)
}

fn set_of(name: &str, secret: &str, seconds: u64, secure: bool) -> Option<HeaderValue> {
    let flag = if secure { "; Secure" } else { "" };
    let text = format!("{name}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{flag}");
    HeaderValue::from_str(&text).ok()
}

/// `Set-Cookie` that removes it.
pub(crate) fn clear(secure: bool) -> Option<HeaderValue> {
    set("", 0, secure)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn written_and_read() {
        let set = set("hfs_x", 60, true).unwrap();
        let text = set.to_str().unwrap();
        for part in ["__Host-holdfast=hfs_x", "Path=/", "HttpOnly", "SameSite=Strict", "Secure", "Max-Age=60"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("Domain"));
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, "a=b; __Host-holdfast=hfs_x; holdfast=other".parse().unwrap());
        assert_eq!(read(&headers, true).as_deref(), Some("hfs_x"));
        assert_eq!(read(&headers, false).as_deref(), Some("other"));
        headers.insert(header::COOKIE, "__Host-holdfast=".parse().unwrap());
        assert_eq!(read(&headers, true), None);
    }
}
