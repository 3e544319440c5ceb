//! The client: a small pool of connections, one attempt per call.

use std::{
    error::Error,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use holdfast_agent_api::{PROTOCOL_HEADER, PROTOCOL_VERSION, Problem};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use url::Url;

use super::{connect::Connector, error::TransportError, pins::PinSet, proxy::Proxy};

/// How long connecting (with proxy and TLS) may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Connections kept for later.
const IDLE_CONNECTIONS_MAX: usize = 8;
/// Largest body of an answer, in bytes: sync states of sets with very many collections are the largest.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Longest `Retry-After` that is honoured.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(300);

/// How to reach the appliance.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// `https://host:port`, or `http://` to a loopback address.
    pub url: String,
    /// Whom to trust.
    pub pins: PinSet,
    /// A proxy on the way.
    pub proxy: Option<Proxy>,
}

/// A client of one appliance.
pub struct Client {
    connector: Connector,
    base: String,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

/// One request.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) timeout: Duration,
}

/// A success.
pub(crate) struct Answer {
    pub(crate) body: Bytes,
}

impl Client {
    /// A client. Nothing is connected yet.
    ///
    /// # Errors
    /// [`TransportError::Setup`] when the URL or the pins cannot be used.
    pub fn new(options: &ClientOptions) -> Result<Self, TransportError> {
        let bad = |error| TransportError::Setup(format!("{} is not a URL: {error}", options.url));
        let url = Url::parse(&options.url).map_err(bad)?;
        let connector = Connector::new(&url, options.pins.clone(), options.proxy.clone())?;
        Ok(Self { connector, base: url.path().trim_end_matches('/').to_owned(), idle: Mutex::default() })
    }

    /// `host:port` of the appliance.
    #[must_use]
    pub fn authority(&self) -> String {
        self.connector.authority()
    }

    /// Drops idle connections, so that the next request shakes hands anew: after new pins came.
    pub fn forget_connections(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// One attempt.
    pub(crate) async fn call(&self, call: &Call) -> Result<Answer, TransportError> {
        let (status, headers, body) = match tokio::time::timeout(call.timeout, self.attempt(call)).await {
            Ok(done) => done?,
            Err(_) => return Err(TransportError::Timeout { host: self.authority(), after: call.timeout }),
        };
        if status.is_success() {
            return Ok(Answer { body });
        }
        let retry_after = headers.get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
        let retry_after = retry_after.map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
        let problem = serde_json::from_slice::<Problem>(&body).unwrap_or_else(|_| Problem {
            status: status.as_u16(),
            code: String::new(),
            title: status.canonical_reason().unwrap_or_default().to_owned(),
            detail: format!("{} answered {} to {} {}", self.authority(), status, call.method, call.path),
            request_id: String::new(),
            tail: None,
        });
        let problem = Box::new(Problem { status: status.as_u16(), ..problem });
        Err(TransportError::Refused { problem, retry_after, body })
    }

    async fn attempt(&self, call: &Call) -> Result<(http::StatusCode, HeaderMap, Bytes), TransportError> {
        let broken = |source: Box<dyn Error + Send + Sync>| TransportError::Connect { host: self.authority(), source };
        let (mut sender, mut kept) = match self.take_idle().await {
            Some(sender) => (sender, true),
            None => (self.open().await?, false),
        };
        let response: Response<Incoming> = loop {
            match sender.try_send_request(self.request(call)?).await {
                Ok(response) => break response,
                // A kept connection that the server closed meanwhile: nothing was sent, a fresh one gets the request.
                Err(error) if kept && (error.message().is_some() || error.error().is_closed()) => {
                    (sender, kept) = (self.open().await?, false);
                }
                Err(error) => return Err(broken(Box::new(error.into_error()))),
            }
        };
        let (parts, mut incoming) = response.into_parts();
        let mut body = BytesMut::new();
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|error| broken(Box::new(error)))?;
            if let Some(data) = frame.data_ref() {
                if body.len() + data.len() > ANSWER_BYTES_MAX {
                    return Err(broken("the answer is larger than any answer may be".into()));
                }
                body.extend_from_slice(data);
            }
        }
        self.keep(sender);
        Ok((parts.status, parts.headers, body.freeze()))
    }

    fn request(&self, call: &Call) -> Result<Request<Full<Bytes>>, TransportError> {
        let setup =
            |error: &dyn std::fmt::Display| TransportError::Setup(format!("a request cannot be built: {error}"));
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(format!("{}{}", self.base, call.path))
            .body(Full::new(call.body.clone()))
            .map_err(|error| setup(&error))?;
        let headers = request.headers_mut();
        headers.extend(call.headers.clone());
        let host = HeaderValue::from_str(&self.authority()).map_err(|error| setup(&error))?;
        headers.insert(header::HOST, host);
        headers.insert(HeaderName::from_static(PROTOCOL_HEADER), HeaderValue::from(PROTOCOL_VERSION));
        let agent = concat!("holdfast-agent/", env!("CARGO_PKG_VERSION"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
        Ok(request)
    }

    async fn open(&self) -> Result<SendRequest<Full<Bytes>>, TransportError> {
        let broken = |source: Box<dyn Error + Send + Sync>| TransportError::Connect { host: self.authority(), source };
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, self.connector.connect())
            .await
            .map_err(|_| TransportError::Timeout { host: self.authority(), after: CONNECT_TIMEOUT })?
            .map_err(|error| broken(Box::new(error)))?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(Box::new(error)))?;
        // Ends by itself when the sender is dropped or the peer closes; the error reaches the sender too.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(sender)
    }

    async fn take_idle(&self) -> Option<SendRequest<Full<Bytes>>> {
        loop {
            let mut sender = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            // Its last answer may still be on the way through the connection's task: that takes no time worth counting.
            if sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    fn keep(&self, sender: SendRequest<Full<Bytes>>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_CONNECTIONS_MAX {
            idle.push(sender);
        }
    }
}
