//! Requests that another site makes a browser send (CSRF).
//!
//! Browsers say where a request comes from in `Sec-Fetch-Site`, older ones in `Origin`; a page cannot forge either. An unsafe request that
//! says that it comes from elsewhere is refused whatever it carries, but for a key in `Authorization`, which no other site can add. One that
//! rides on a cookie must say that it comes from here: silence is refused too.

use axum::http::{HeaderMap, Method, header};

/// What a request says of its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A page of ours, or the person at the address bar.
    Here,
    /// Another site.
    Elsewhere,
    /// Nothing.
    Silent,
}

/// True for methods that change something.
pub(crate) fn is_unsafe(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Reads the headers. `public` are the URLs by which browsers reach this server.
pub(crate) fn origin(headers: &HeaderMap, public: &[&str]) -> Origin {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("sec-fetch-site") {
        Some("same-origin" | "none") => return Origin::Here,
        Some(_) => return Origin::Elsewhere,
        None => {}
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Origin::Silent };
    let origin = origin.to_str().unwrap_or("null");
    let host = text("host").unwrap_or_default();
    let same_host = origin.split_once("://").is_some_and(|(_, authority)| !host.is_empty() && authority == host);
    let is_public = |url: &&str| origin.eq_ignore_ascii_case(url.trim_end_matches('/'));
    if same_host || public.iter().any(is_public) { Origin::Here } else { Origin::Elsewhere }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn of(pairs: &[(&'static str, &str)]) -> Origin {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        origin(&headers, &["https://10.0.0.1:8080", "https://backup.example/"])
    }

    #[test]
    fn what_headers_say() {
        assert_eq!(of(&[("sec-fetch-site", "same-origin")]), Origin::Here);
        assert_eq!(of(&[("sec-fetch-site", "none")]), Origin::Here);
        for site in ["cross-site", "same-site", "rubbish"] {
            assert_eq!(
                of(&[("sec-fetch-site", site), ("origin", "https://backup.example")]),
                Origin::Elsewhere,
                "{site}"
            );
        }
        assert_eq!(of(&[("origin", "https://backup.example")]), Origin::Here);
        assert_eq!(of(&[("origin", "https://h:8080"), ("host", "h:8080")]), Origin::Here);
        for bad in ["https://evil.example", "null", "https://backup.example.evil", "h:8080"] {
            assert_eq!(of(&[("origin", bad), ("host", "h:8080")]), Origin::Elsewhere, "{bad}");
        }
        assert_eq!(of(&[("host", "h")]), Origin::Silent);
    }
}
