//! The requests of the protocol, typed. Serialises, sends, parses; retries nothing and decides nothing.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use bytes::Bytes;
use holdfast_agent_api::{
    ConfigRequest, ConfigResponse, DiscoveryReport, EPOCH_HEADER, EnrollRequest, EnrollResponse, MonitoringReceipt,
    MonitoringRequest, MonitoringResponse, paths,
};
use holdfast_domain::DeploymentId;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde::{Serialize, de::DeserializeOwned};

use crate::transport::{Answer, Call, Client, TransportError};

/// How long a small request may take.
const JSON_TIMEOUT: Duration = Duration::from_secs(60);
/// Slowest line that bodies are sent over, in bytes a second: bounds how long a large body may take.
const LINE_BYTES_PER_SECOND_MIN: u64 = 8 << 10;

/// The appliance, spoken to as one agent.
pub struct ServerApi {
    client: Client,
    key: RwLock<String>,
}

impl ServerApi {
    /// `key` may be empty before enrolment.
    #[must_use]
    pub fn new(client: Client, key: String) -> Arc<Self> {
        Arc::new(Self { client, key: RwLock::new(key) })
    }

    /// Takes a new key for all requests that follow.
    pub fn set_key(&self, key: String) {
        *self.key.write().unwrap_or_else(PoisonError::into_inner) = key;
    }

    /// Shakes hands anew at the next request.
    pub fn forget_connections(&self) {
        self.client.forget_connections();
    }

    /// `host:port`.
    #[must_use]
    pub fn authority(&self) -> String {
        self.client.authority()
    }

    /// Exchanges the token's secret for a key.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn enroll(&self, request: &EnrollRequest) -> Result<EnrollResponse, TransportError> {
        self.json(Method::POST, paths::ENROLL.into(), Some(request), None, JSON_TIMEOUT).await
    }

    /// Asks what to do.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn config(&self, request: &ConfigRequest) -> Result<ConfigResponse, TransportError> {
        let timeout = JSON_TIMEOUT + Duration::from_secs(request.wait_seconds);
        self.json(Method::POST, paths::CONFIG.into(), Some(request), None, timeout).await
    }

    /// Asks for a new key.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn rotate_key(&self) -> Result<EnrollResponse, TransportError> {
        self.json(Method::POST, paths::ROTATE_KEY.into(), None::<&()>, None, JSON_TIMEOUT).await
    }

    /// Reports what a deployment is.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn discovery(&self, id: &DeploymentId, report: &DiscoveryReport) -> Result<(), TransportError> {
        self.no_answer(Method::POST, paths::discovery(id), report, None).await
    }

    /// Asks what to monitor.
    ///
    /// # Errors
    /// [`TransportError`].
    pub async fn monitoring_config(&self, request: &MonitoringRequest) -> Result<MonitoringResponse, TransportError> {
        self.json(Method::POST, paths::MONITORING_CONFIG.into(), Some(request), None, JSON_TIMEOUT).await
    }

    /// Sends a report: one zstd frame.
    pub(crate) async fn monitoring_report(&self, frame: Bytes) -> Result<MonitoringReceipt, TransportError> {
        let mut headers = self.headers(None)?;
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zstd"));
        let timeout = JSON_TIMEOUT + Duration::from_secs(frame.len() as u64 / LINE_BYTES_PER_SECOND_MIN);
        let path = paths::MONITORING_REPORTS.to_owned();
        let answer = self.client.call(&Call { method: Method::POST, path, headers, body: frame, timeout }).await?;
        self.parse(paths::MONITORING_REPORTS, &answer)
    }

    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: String,
        body: Option<&impl Serialize>,
        epoch: Option<i64>,
        timeout: Duration,
    ) -> Result<T, TransportError> {
        let what = format!("{method} {path}");
        let call = self.call_of(method, path, body, epoch, timeout)?;
        let answer = self.client.call(&call).await?;
        self.parse(&what, &answer)
    }

    pub(crate) async fn no_answer(
        &self,
        method: Method,
        path: String,
        body: &impl Serialize,
        epoch: Option<i64>,
    ) -> Result<(), TransportError> {
        let call = self.call_of(method, path, Some(body), epoch, JSON_TIMEOUT)?;
        self.client.call(&call).await.map(drop)
    }

    /// Sends one zstd frame.
    pub(crate) async fn put_frame(
        &self,
        path: String,
        frame: Bytes,
        epoch: i64,
        describes: Option<(&'static str, &str)>,
    ) -> Result<Bytes, TransportError> {
        let mut headers = self.headers(Some(epoch))?;
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zstd"));
        if let Some((name, value)) = describes {
            headers.insert(HeaderName::from_static(name), header_value(value)?);
        }
        let timeout = JSON_TIMEOUT + Duration::from_secs(frame.len() as u64 / LINE_BYTES_PER_SECOND_MIN);
        let call = Call { method: Method::PUT, path, headers, body: frame, timeout };
        self.client.call(&call).await.map(|answer| answer.body)
    }

    pub(crate) fn parse_bytes<T: DeserializeOwned>(&self, what: &str, body: &[u8]) -> Result<T, TransportError> {
        serde_json::from_slice(body).map_err(|error| TransportError::Unintelligible {
            host: self.authority(),
            what: what.to_owned(),
            why: error.to_string(),
        })
    }

    fn parse<T: DeserializeOwned>(&self, what: &str, answer: &Answer) -> Result<T, TransportError> {
        self.parse_bytes(what, &answer.body)
    }

    fn call_of(
        &self,
        method: Method,
        path: String,
        body: Option<&impl Serialize>,
        epoch: Option<i64>,
        timeout: Duration,
    ) -> Result<Call, TransportError> {
        let mut headers = self.headers(epoch)?;
        let body = match body {
            None => Bytes::new(),
            Some(value) => {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                let json = serde_json::to_vec(value);
                json.map_err(|error| TransportError::Setup(format!("a request cannot be written: {error}")))?.into()
            }
        };
        Ok(Call { method, path, headers, body, timeout })
    }

    fn headers(&self, epoch: Option<i64>) -> Result<HeaderMap, TransportError> {
        let mut headers = HeaderMap::new();
        let key = self.key.read().unwrap_or_else(PoisonError::into_inner).clone();
        if !key.is_empty() {
            let mut value = header_value(&format!("Bearer {key}"))?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        if let Some(epoch) = epoch {
            headers.insert(HeaderName::from_static(EPOCH_HEADER), HeaderValue::from(epoch));
        }
        Ok(headers)
    }
}

fn header_value(text: &str) -> Result<HeaderValue, TransportError> {
    HeaderValue::from_str(text).map_err(|error| TransportError::Setup(format!("a header cannot be written: {error}")))
}
