//! An HTTP proxy on the way to the appliance: only for TLS, by `CONNECT`.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use url::Url;

use super::error::TransportError;

/// Longest answer of a proxy to `CONNECT`, in bytes.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// Where the proxy is, and what it wants to hear.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    host: String,
    port: u16,
    authorization: Option<String>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Proxy({}:{})", self.host, self.port)
    }
}

impl Proxy {
    /// Reads `http://[user:password@]host[:port]`.
    ///
    /// # Errors
    /// [`TransportError::Setup`] when it is anything else.
    pub fn parse(text: &str) -> Result<Self, TransportError> {
        let bad = |why: &str| TransportError::Setup(format!("the proxy must be given as http://host:port: {why}"));
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = Url::parse(&text).map_err(|error| bad(&error.to_string()))?;
        if url.scheme() != "http" {
            return Err(bad("only HTTP proxies are supported"));
        }
        let host = url.host_str().ok_or_else(|| bad("it has no host"))?.trim_matches(['[', ']']).to_owned();
        let authorization = (!url.username().is_empty()).then(|| {
            let decode = |part: &str| percent_decode(part);
            let pair = format!("{}:{}", decode(url.username()), decode(url.password().unwrap_or_default()));
            format!("Basic {}", STANDARD.encode(pair))
        });
        Ok(Self { host, port: url.port().unwrap_or(80), authorization })
    }

    /// The proxy that the environment names for `host` (`HTTPS_PROXY`, `NO_PROXY`, also in small letters).
    ///
    /// # Errors
    /// [`TransportError::Setup`] when the variable holds no proxy.
    pub fn from_env(host: &str) -> Result<Option<Self>, TransportError> {
        let var = |name: &str| {
            [name.to_owned(), name.to_lowercase()].iter().find_map(|n| std::env::var(n).ok()).filter(|v| !v.is_empty())
        };
        if var("NO_PROXY").is_some_and(|list| excluded(&list, host)) {
            return Ok(None);
        }
        var("HTTPS_PROXY").map(|text| Self::parse(&text)).transpose()
    }

    /// A tunnel to `host:port`.
    pub(super) async fn tunnel(&self, host: &str, port: u16) -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let target = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(value) = &self.authorization {
            request.push_str(&format!("Proxy-Authorization: {value}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        // Byte by byte: what follows the empty line already belongs to the tunnel.
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() >= ANSWER_BYTES_MAX {
                return Err(std::io::Error::other("the proxy's answer is too long"));
            }
            answer.push(stream.read_u8().await?);
        }
        let line = String::from_utf8_lossy(&answer);
        let line = line.lines().next().unwrap_or_default();
        match line.split_whitespace().nth(1) {
            Some(status) if status.starts_with('2') => Ok(stream),
            _ => Err(std::io::Error::other(format!("the proxy {}:{} refused: {line}", self.host, self.port))),
        }
    }
}

fn excluded(list: &str, host: &str) -> bool {
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let entry = entry.trim_start_matches('.');
        entry == "*" || host == entry || host.ends_with(&format!(".{entry}"))
    })
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn forms() {
        let proxy = Proxy::parse("http://me:p%40ss@proxy.example:3128").unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("proxy.example", 3128));
        assert_eq!(proxy.authorization.as_deref(), Some("Basic bWU6cEBzcw=="));
        assert_eq!(Proxy::parse("proxy:8080").unwrap().port, 8080);
        assert!(Proxy::parse("socks5://proxy:1080").is_err());
        assert!(!format!("{proxy:?}").contains("ss"), "no password in logs");
    }

    #[test]
    fn exclusions() {
        assert!(excluded("localhost, .example.com", "a.example.com"));
        assert!(excluded("*", "x"));
        assert!(!excluded("example.com", "badexample.com"));
    }
}
