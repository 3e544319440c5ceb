//! Serves a router until the process's token is cancelled.
//!
//! Invariants: a peer that sends nothing, or its headers or its body drop by drop, holds nothing for longer than the times below; the number
//! of connections is bounded; a peer that takes nothing of its answer is cut off ([`crate::bounded`]). An answer may take as long as it needs.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use axum_server::{
    Handle,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use rustls::ServerConfig;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower_http::timeout::RequestBodyTimeoutLayer;

use crate::{
    bounded::{Bounded, STALL_MAX},
    error_class::ErrorClass,
};

/// How long requests under way may go on after the token is cancelled; longer ones are cut, and clients resume.
pub const GRACE: Duration = Duration::from_secs(10);

/// What peers may take of a listener.
#[derive(Clone, Copy, Debug)]
pub struct ServeLimits {
    /// Longest time until a connection's first request has begun, and from one request to the end of the next one's headers: also how long a
    /// connection may be idle.
    pub headers: Duration,
    /// Longest pause within a body.
    pub body_pause: Duration,
    /// Connections at once. Each costs a file descriptor and about 50 KiB.
    pub connections_max: usize,
}

impl Default for ServeLimits {
    /// Idle for 75 s, as browsers expect of servers; a body may pause for a minute, as an agent does whose disk or line is busy.
    fn default() -> Self {
        Self { headers: Duration::from_secs(75), body_pause: Duration::from_secs(60), connections_max: 8192 }
    }
}

/// Why a listener does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Plain HTTP is allowed on loopback addresses only.
    #[error("{0} without TLS: only a loopback address is allowed")]
    PlainHttp(SocketAddr),
    /// The address is taken or not allowed.
    #[error("listen on {addr}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The listener ended with an error.
    #[error("serve on {addr}")]
    Ended {
        /// The address.
        addr: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ServeError {
    /// What the caller can do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::PlainHttp(_) | Self::Listen { .. } => ErrorClass::Operator,
            Self::Ended { .. } => ErrorClass::Retry,
        }
    }
}

/// A listener that serves.
#[derive(Debug)]
pub struct Served {
    addr: SocketAddr,
    task: JoinHandle<io::Result<()>>,
}

impl Served {
    /// The address it listens on, with the real port.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Waits until it has ended: after the token and at most [`GRACE`], or by an error.
    ///
    /// # Errors
    /// It ended by itself.
    pub async fn ended(self) -> Result<(), ServeError> {
        let addr = self.addr;
        match self.task.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(source)) => Err(ServeError::Ended { addr, source }),
            Err(error) => Err(ServeError::Ended { addr, source: io::Error::other(error) }),
        }
    }
}

/// Listens on `addr` (port 0: any free one), with TLS when settings are given, and serves in the background until the
/// token is cancelled. It accepts when this returns. Handlers find the peer in `ConnectInfo<SocketAddr>`.
///
/// # Errors
/// See [`ServeError`].
pub async fn serve(
    addr: SocketAddr,
    router: Router,
    tls: Option<Arc<ServerConfig>>,
    token: CancellationToken,
) -> Result<Served, ServeError> {
    serve_within(addr, router, tls, token, ServeLimits::default()).await
}

/// [`serve`] with limits of its own.
///
/// # Errors
/// See [`ServeError`].
pub async fn serve_within(
    addr: SocketAddr,
    router: Router,
    tls: Option<Arc<ServerConfig>>,
    token: CancellationToken,
    limits: ServeLimits,
) -> Result<Served, ServeError> {
    if tls.is_none() && !addr.ip().is_loopback() {
        return Err(ServeError::PlainHttp(addr));
    }
    let failed = |source| ServeError::Listen { addr, source };
    let listener = tokio::net::TcpListener::bind(addr).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    let handle = Handle::new();
    let mut server = axum_server::from_tcp(listener.into_std().map_err(failed)?)
        .map_err(failed)?
        .handle(handle.clone())
        .first_request_timeout(limits.headers);
    server.http_builder().http1().header_read_timeout(limits.headers);
    server.http_builder().http2().keep_alive_interval(limits.headers / 2).keep_alive_timeout(limits.headers / 2);
    let bounded = Bounded::new(limits.connections_max, STALL_MAX);
    let router = router.layer(RequestBodyTimeoutLayer::new(limits.body_pause));
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move {
        token.cancelled().await;
        handle.graceful_shutdown(Some(GRACE));
    });
    let task = match tls {
        Some(config) => {
            let acceptor = RustlsAcceptor::new(RustlsConfig::from_config(config)).acceptor(bounded);
            tokio::spawn(server.acceptor(acceptor).serve(service))
        }
        None => tokio::spawn(server.acceptor(bounded).serve(service)),
    };
    Ok(Served { addr, task })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use axum::{extract::ConnectInfo, routing::get};

    use super::*;
    use crate::{
        ca::{AGENT_SERVER_NAME, Ca, pin_of},
        tls::client_config,
    };

    fn any() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    fn router() -> Router {
        Router::new()
            .route("/", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() }))
            .route("/slow", get(|| async { tokio::time::sleep(Duration::from_millis(300)).await }))
    }

    #[tokio::test]
    async fn tls_by_our_own_ca_and_only_by_it() {
        crate::install_crypto_provider();
        let dir = tempfile::tempdir().unwrap();
        let ca = Ca::load_or_create(dir.path()).unwrap();
        let token = CancellationToken::new();
        let served =
            serve(any(), router(), Some(ca.leaf(&["web.example".into()]).unwrap()), token.clone()).await.unwrap();
        let port = served.addr().port();
        let client = |pem: &str| {
            let config = client_config(pem).unwrap();
            reqwest::Client::builder()
                .tls_backend_preconfigured(config)
                .resolve(AGENT_SERVER_NAME, served.addr())
                .resolve("web.example", served.addr())
                .resolve("other.example", served.addr())
                .build()
                .unwrap()
        };
        let ours = client(ca.pem());
        for host in ["127.0.0.1", "localhost", AGENT_SERVER_NAME, "web.example"] {
            let answer = ours.get(format!("https://{host}:{port}/")).send().await.unwrap();
            assert_eq!(answer.text().await.unwrap(), "127.0.0.1", "{host}");
        }
        assert!(ours.get(format!("https://other.example:{port}/")).send().await.is_err(), "a name that the leaf lacks");
        let stranger = Ca::load_or_create(&dir.path().join("other")).unwrap();
        assert!(client(stranger.pem()).get(format!("https://localhost:{port}/")).send().await.is_err(), "another CA");

        // What an agent does: the chain's last certificate has the pinned key.
        let config = Arc::new(client_config(ca.pem()).unwrap());
        let stream = tokio::net::TcpStream::connect(served.addr()).await.unwrap();
        let name = AGENT_SERVER_NAME.try_into().unwrap();
        let stream = tokio_rustls::TlsConnector::from(config).connect(name, stream).await.unwrap();
        let chain = stream.get_ref().1.peer_certificates().unwrap();
        assert_eq!(chain.len(), 2);
        assert_eq!(pin_of(&chain[1]).unwrap(), ca.pin());
        drop(stream);
        drop(ours);
        token.cancel();
        served.ended().await.unwrap();
    }

    #[tokio::test]
    async fn requests_under_way_are_finished() {
        crate::install_crypto_provider();
        let token = CancellationToken::new();
        let served = serve(any(), router(), None, token.clone()).await.unwrap();
        let url = format!("http://{}/slow", served.addr());
        let request = tokio::spawn(async move { reqwest::get(url).await.unwrap().status().as_u16() });
        tokio::time::sleep(Duration::from_millis(100)).await;
        let addr = served.addr();
        token.cancel();
        assert_eq!(request.await.unwrap(), 200);
        served.ended().await.unwrap();
        assert!(tokio::net::TcpStream::connect(addr).await.is_err());
    }

    /// Reads until the peer closes; how long that took.
    async fn until_closed(stream: &mut tokio::net::TcpStream) -> (String, Duration) {
        let begun = std::time::Instant::now();
        let mut bytes = Vec::new();
        let read = tokio::io::AsyncReadExt::read_to_end(stream, &mut bytes);
        let _ = tokio::time::timeout(Duration::from_secs(20), read).await.expect("the server closes");
        (String::from_utf8_lossy(&bytes).into_owned(), begun.elapsed())
    }

    #[tokio::test]
    async fn who_sends_drop_by_drop_is_cut_off() {
        use tokio::io::AsyncWriteExt as _;
        crate::install_crypto_provider();
        let router = router().route(
            "/body",
            axum::routing::post(|body: axum::body::Body| async move {
                axum::body::to_bytes(body, 1 << 20).await.map_or("cut off", |_| "whole")
            }),
        );
        let limits = ServeLimits {
            headers: Duration::from_millis(500),
            body_pause: Duration::from_millis(500),
            connections_max: 100,
        };
        let token = CancellationToken::new();
        let served = serve_within(any(), router, None, token.clone(), limits).await.unwrap();
        let connect = || tokio::net::TcpStream::connect(served.addr());
        // Nothing at all; half a header, gone on with byte by byte; silence after an answer.
        let mut silent = connect().await.unwrap();
        assert!(until_closed(&mut silent).await.1 < Duration::from_secs(10));
        let mut slow = connect().await.unwrap();
        slow.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n").await.unwrap();
        let dripping = async {
            for n in 0..100 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                if slow.write_all(b"x").await.is_err() {
                    return n;
                }
            }
            100
        };
        assert!(dripping.await < 100, "each byte wins time");
        let mut idle = connect().await.unwrap();
        idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let (answer, took) = until_closed(&mut idle).await;
        assert!(answer.starts_with("HTTP/1.1 200") && took < Duration::from_secs(10), "{answer} {took:?}");
        // A body that stops.
        let mut half = connect().await.unwrap();
        half.write_all(b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc").await.unwrap();
        let (answer, _) = until_closed(&mut half).await;
        assert!(answer.ends_with("cut off"), "{answer}");
        // An answer may take longer than any of these.
        let slow = reqwest::get(format!("http://{}/slow", served.addr())).await.unwrap();
        assert_eq!(slow.status().as_u16(), 200);
        token.cancel();
    }

    #[tokio::test]
    async fn connections_are_bounded_and_their_places_come_free() {
        crate::install_crypto_provider();
        let limits = ServeLimits { connections_max: 2, ..ServeLimits::default() };
        let token = CancellationToken::new();
        let served = serve_within(any(), router(), None, token.clone(), limits).await.unwrap();
        let url = format!("http://{}/", served.addr());
        let client = || reqwest::Client::builder().no_proxy().build().unwrap();
        let (one, two) = (client(), client());
        for client in [&one, &two] {
            assert_eq!(client.get(&url).send().await.unwrap().status().as_u16(), 200);
        }
        assert!(client().get(&url).send().await.is_err(), "a third connection");
        drop(one);
        for _ in 0..100 {
            if client().get(&url).send().await.is_ok() {
                token.cancel();
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the place of a closed connection stays taken");
    }

    #[tokio::test]
    async fn plain_http_stays_on_this_machine() {
        let result = serve("0.0.0.0:0".parse().unwrap(), router(), None, CancellationToken::new()).await;
        assert!(matches!(result, Err(ServeError::PlainHttp(_))));
        let first = serve(any(), router(), None, CancellationToken::new()).await.unwrap();
        let second = serve(first.addr(), router(), None, CancellationToken::new()).await;
        assert!(matches!(second, Err(ServeError::Listen { .. })));
    }
}
