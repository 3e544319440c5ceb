//! Serves a router until the process's token is cancelled.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use axum_server::{
    Handle,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use rustls::ServerConfig;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::error_class::ErrorClass;

/// How long requests under way may go on after the token is cancelled; longer ones are cut, and clients resume.
pub const GRACE: Duration = Duration::from_secs(10);

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
    if tls.is_none() && !addr.ip().is_loopback() {
        return Err(ServeError::PlainHttp(addr));
    }
    let failed = |source| ServeError::Listen { addr, source };
    let listener = tokio::net::TcpListener::bind(addr).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    let handle = Handle::new();
    let server = axum_server::from_tcp(listener.into_std().map_err(failed)?).map_err(failed)?.handle(handle.clone());
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move {
        token.cancelled().await;
        handle.graceful_shutdown(Some(GRACE));
    });
    let task = match tls {
        Some(config) => {
            let acceptor = RustlsAcceptor::new(RustlsConfig::from_config(config));
            tokio::spawn(server.acceptor(acceptor).serve(service))
        }
        None => tokio::spawn(server.serve(service)),
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

    #[tokio::test]
    async fn plain_http_stays_on_this_machine() {
        let result = serve("0.0.0.0:0".parse().unwrap(), router(), None, CancellationToken::new()).await;
        assert!(matches!(result, Err(ServeError::PlainHttp(_))));
        let first = serve(any(), router(), None, CancellationToken::new()).await.unwrap();
        let second = serve(first.addr(), router(), None, CancellationToken::new()).await;
        assert!(matches!(second, Err(ServeError::Listen { .. })));
    }
}
