//! One connection: TCP or a proxy's tunnel, then TLS with pinned CAs; or plain TCP to loopback.

use std::{
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use holdfast_agent_api::TLS_SERVER_NAME;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use url::Url;

use super::{
    error::TransportError,
    pins::{PinSet, PinnedCa},
    proxy::Proxy,
};

/// A connected stream.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Where to connect, and how.
pub(super) struct Connector {
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
    proxy: Option<Proxy>,
}

impl Connector {
    pub(super) fn new(url: &Url, pins: PinSet, proxy: Option<Proxy>) -> Result<Self, TransportError> {
        let setup = TransportError::Setup;
        let host = url.host_str().ok_or_else(|| setup(format!("{url} names no host")))?;
        let host = host.trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default().ok_or_else(|| setup(format!("{url} names no port")))?;
        match url.scheme() {
            "http" if is_loopback(&host) => Ok(Self { host, port, tls: None, proxy: None }),
            "http" => Err(setup(format!(
                "{url} would send everything in the clear: plain HTTP is for loopback addresses only, use https"
            ))),
            "https" if pins.is_empty() => Err(setup(format!(
                "no certificate authority is pinned for {url}: enrol with a token of the appliance that has one"
            ))),
            "https" => {
                let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
                let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
                    .with_safe_default_protocol_versions()
                    .map_err(|error| setup(format!("TLS cannot be set up: {error}")))?
                    .dangerous() // only the name of the method: our verifier is stricter than the usual one
                    .with_custom_certificate_verifier(Arc::new(PinnedCa::new(pins, provider)))
                    .with_no_client_auth();
                config.alpn_protocols = vec![b"http/1.1".to_vec()];
                Ok(Self { host, port, tls: Some(TlsConnector::from(Arc::new(config))), proxy })
            }
            other => Err(setup(format!("{other} is not a way to reach an appliance: http and https are"))),
        }
    }

    /// `host:port`, for messages and the header `Host`.
    pub(super) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    pub(super) async fn connect(&self) -> std::io::Result<Stream> {
        let tcp = match &self.proxy {
            Some(proxy) => proxy.tunnel(&self.host, self.port).await?,
            None => TcpStream::connect((self.host.as_str(), self.port)).await?,
        };
        tcp.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Stream::Plain(tcp)),
            Some(tls) => {
                let name = ServerName::try_from(TLS_SERVER_NAME).expect("the constant is a DNS name");
                Ok(Stream::Tls(Box::new(tls.connect(name, tcp).await?)))
            }
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn connector(url: &str, pins: &[String]) -> Result<Connector, TransportError> {
        Connector::new(&Url::parse(url).unwrap(), PinSet::new(pins), None)
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for good in ["http://127.0.0.1:8081", "http://localhost:8081", "http://[::1]:8081", "http://127.9.9.9:1"] {
            assert!(connector(good, &[]).is_ok(), "{good}");
        }
        for bad in ["http://10.0.0.1:8081", "http://appliance:8081", "http://127.0.0.1.example.com", "ftp://127.0.0.1"]
        {
            assert!(connector(bad, &[]).is_err(), "{bad}");
        }
    }

    #[test]
    fn https_needs_a_pin() {
        assert!(connector("https://appliance:8081", &[]).is_err());
        assert!(connector("https://appliance:8081", &["ab".into()]).is_ok());
    }
}
