//! The session's cookie.
//!
//! HttpOnly, SameSite=Strict, path `/`; over TLS Secure with the `__Host-` prefix, so that no other host or plain HTTP can set or see it.

use axum::http::{HeaderMap, HeaderValue, header};

const NAME: &str = "holdfast";
const NAME_SECURE: &str = "__Host-holdfast";

const fn name(secure: bool) -> &'static str {
    if secure { NAME_SECURE } else { NAME }
}

/// The session's secret in a request.
pub(crate) fn read(headers: &HeaderMap, secure: bool) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, value)| *key == name(secure) && !value.is_empty()).map(|(_, value)| value.to_owned())
}

/// `Set-Cookie` for a new session that lasts so many seconds.
pub(crate) fn set(secret: &str, seconds: u64, secure: bool) -> Option<HeaderValue> {
    let flag = if secure { "; Secure" } else { "" };
    let text = format!("{}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{flag}", name(secure));
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
