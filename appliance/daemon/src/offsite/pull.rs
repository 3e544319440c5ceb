//! Another Holdfast, as a source of snapshots: its REST API, over TLS that trusts the pinned CA alone.
//!
//! Invariants: with a CA the certificate must be of it and for the fixed name that every appliance shows, whatever the URL's host is; without
//! one the system's rules hold; plain HTTP goes to loopback addresses only. Answers are bounded. The key is not logged.

use std::{net::IpAddr, sync::Arc, time::Duration};

use blockstore_engine::{
    BlockAddress, CopyError, CopySource, ErrorClass, Root, SourceFault, StoredBlock, Wanted,
    copy::address::ANSWER_BYTES_MAX,
};
use holdfast_agent_api::TLS_SERVER_NAME;
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};

/// How long one request may take: the largest answer at 200 KB/s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Attempts at one request; waits 1, 2, 4 s between. A source that is away for longer is for the next run.
const ATTEMPTS_MAX: u32 = 4;
/// Largest list of snapshots and largest root, in bytes; blocks have records around their frames.
const BODY_BYTES_MAX: usize = 32 << 20;

/// Why another Holdfast did not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum PullError {
    /// The order itself: URL or CA.
    #[error("{0}")]
    Setup(String),
    /// The way there.
    #[error("reach the source")]
    Http(#[from] reqwest::Error),
    /// It said no.
    #[error("the source answered {status}: {detail}")]
    Refused {
        /// Status.
        status: u16,
        /// What it said.
        detail: String,
    },
    /// What it sent is not what was asked for.
    #[error("the source's answer {0}")]
    Answer(&'static str),
}

impl PullError {
    pub(super) fn class(&self) -> ErrorClass {
        match self {
            Self::Setup(_) => ErrorClass::Operator,
            Self::Http(error) if error.is_builder() => ErrorClass::Operator,
            Self::Http(_) => ErrorClass::Retry,
            Self::Refused { status: 401 | 403, .. } => ErrorClass::Operator,
            Self::Refused { status: 404 | 409, .. } => ErrorClass::Caller,
            Self::Refused { status: 400..=499, .. } => ErrorClass::Bug,
            Self::Refused { detail, .. } if detail.contains("damaged") => ErrorClass::Corrupt,
            Self::Refused { .. } => ErrorClass::Retry,
            Self::Answer(_) => ErrorClass::Corrupt,
        }
    }
}

impl From<PullError> for CopyError {
    fn from(error: PullError) -> Self {
        Self::Source(SourceFault { class: error.class(), source: Box::new(error) })
    }
}

/// A snapshot that the other side offers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Offered {
    pub(super) id: String,
    pub(super) group: String,
    pub(super) group_name: String,
    pub(super) rs: String,
    pub(super) job: String,
    pub(super) optime: OfferedTime,
    pub(super) label: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct OfferedTime {
    pub(super) t: u32,
}

/// A connection to another Holdfast.
pub(super) struct Remote {
    http: reqwest::Client,
    base: Url,
    key: String,
}

impl Remote {
    pub(super) async fn new(url: &str, ca: Option<&str>, key: String) -> Result<Self, PullError> {
        let setup = |detail: String| PullError::Setup(detail);
        let mut base = Url::parse(url).map_err(|error| setup(format!("{url:?} is not a URL: {error}")))?;
        let host = base.host_str().ok_or_else(|| setup(format!("{url} names no host")))?.to_owned();
        let bare = host.trim_matches(['[', ']']).to_owned();
        let port = base.port_or_known_default().ok_or_else(|| setup(format!("{url} names no port")))?;
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        let is_loopback =
            bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        match (base.scheme(), ca) {
            ("https", Some(ca)) => {
                let trust = holdfast_service::client_config(ca)
                    .map_err(|error| setup(format!("the CA certificate: {}", crate::chain_of(&error))))?;
                let found = tokio::net::lookup_host((bare.as_str(), port)).await;
                let addresses: Vec<_> = found.map_err(|error| setup(format!("look up {bare}: {error}")))?.collect();
                builder =
                    builder.tls_backend_preconfigured(trust).no_proxy().resolve_to_addrs(TLS_SERVER_NAME, &addresses);
                base.set_host(Some(TLS_SERVER_NAME)).map_err(|error| setup(error.to_string()))?;
                base.set_port(Some(port)).map_err(|()| setup(format!("{url} takes no port")))?;
            }
            ("https", None) => {}
            ("http", None) if is_loopback => {}
            ("http", _) => {
                return Err(setup(format!(
                    "{url} would send everything in the clear: plain HTTP is for loopback addresses only, use https"
                )));
            }
            (other, _) => return Err(setup(format!("{other} is not a way to reach a Holdfast: https is"))),
        }
        Ok(Self { http: builder.build()?, base, key })
    }

    /// The snapshots that the key may copy.
    pub(super) async fn offered(&self) -> Result<Vec<Offered>, PullError> {
        let body = self.call(Method::GET, &["snapshots"], None).await?;
        serde_json::from_slice(&body).map_err(|_| PullError::Answer("is no list of snapshots"))
    }

    async fn call(&self, method: Method, below: &[&str], body: Option<&Value>) -> Result<Answer, PullError> {
        let mut wait = Duration::from_secs(1);
        for _ in 1..ATTEMPTS_MAX {
            match self.attempt(method.clone(), below, body).await {
                Err(error) if error.class() == ErrorClass::Retry => {
                    tracing::debug!(error = crate::chain_of(&error), "ask the source again");
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                done => return done,
            }
        }
        self.attempt(method, below, body).await
    }

    async fn attempt(&self, method: Method, below: &[&str], body: Option<&Value>) -> Result<Answer, PullError> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| PullError::Setup("the URL cannot be a base of paths".into()))?
            .pop_if_empty()
            .extend(["api", "v1", "offsite"])
            .extend(below);
        let mut request = self.http.request(method, url).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut response = request.send().await?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(part) = response.chunk().await? {
            if bytes.len() + part.len() > BODY_BYTES_MAX {
                return Err(PullError::Answer("is larger than any may be"));
            }
            bytes.extend_from_slice(&part);
        }
        if status.is_success() { Ok(bytes.into()) } else { Err(refusal(status, &bytes)) }
    }
}

/// Body of an answer, as the engine takes it.
type Answer = bytes::Bytes;

fn refusal(status: StatusCode, body: &[u8]) -> PullError {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| problem.get(name).and_then(Value::as_str);
    let detail = text("detail").or_else(|| text("title")).unwrap_or("no reason was given").to_owned();
    PullError::Refused { status: status.as_u16(), detail }
}

/// One snapshot of it.
pub(super) struct RemoteSnapshot {
    pub(super) remote: Arc<Remote>,
    pub(super) id: String,
}

impl CopySource for RemoteSnapshot {
    async fn hold(&self) -> Result<(), CopyError> {
        self.remote.call(Method::POST, &["snapshots", &self.id, "hold"], None).await?;
        Ok(())
    }

    async fn release(&self) {
        // One attempt: the hold ends by itself.
        if let Err(error) = self.remote.attempt(Method::DELETE, &["snapshots", &self.id, "hold"], None).await {
            tracing::debug!(error = crate::chain_of(&error), snapshot = self.id, "the source keeps it for two hours");
        }
    }

    async fn root(&self) -> Result<Root, CopyError> {
        let body = self.remote.call(Method::GET, &["snapshots", &self.id, "root"], None).await?;
        let root: Root = bson::deserialize_from_slice(&body).map_err(|_| PullError::Answer("is no root"))?;
        if root.id.to_string() != self.id {
            return Err(PullError::Answer("is another root than the one that was asked for").into());
        }
        Ok(root)
    }

    async fn blocks(&self, wanted: &[Wanted]) -> Result<Vec<StoredBlock>, CopyError> {
        const { assert!(ANSWER_BYTES_MAX < BODY_BYTES_MAX as u64, "an answer must fit its bound") };
        let addresses: Vec<&BlockAddress> = wanted.iter().map(|one| &one.address).collect();
        let body = json!({ "addresses": addresses });
        let answer = self.remote.call(Method::POST, &["snapshots", &self.id, "blocks"], Some(&body)).await?;
        Ok(StoredBlock::decode_all(&answer).map_err(PullError::Answer)?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn nothing_goes_in_the_clear_over_a_network() {
        holdfast_service::install_crypto_provider();
        for bad in ["http://10.0.0.1:8080", "http://holdfast.example", "ftp://127.0.0.1", "not a url"] {
            assert!(matches!(Remote::new(bad, None, "k".into()).await, Err(PullError::Setup(_))), "{bad}");
        }
        assert!(Remote::new("http://127.0.0.1:8080", None, "k".into()).await.is_ok());
        assert!(matches!(Remote::new("https://127.0.0.1:1", Some("none"), "k".into()).await, Err(PullError::Setup(_))));
    }

    #[test]
    fn refusals_say_what_to_do() {
        let body = br#"{"detail":"the API key is not valid","code":"apiKey"}"#;
        let wrong_key = refusal(StatusCode::UNAUTHORIZED, body);
        assert_eq!(wrong_key.class(), ErrorClass::Operator);
        assert!(wrong_key.to_string().contains("not valid"));
        assert_eq!(refusal(StatusCode::NOT_FOUND, b"").class(), ErrorClass::Caller);
        assert_eq!(refusal(StatusCode::SERVICE_UNAVAILABLE, b"").class(), ErrorClass::Retry);
    }
}
