//! The operator's port of a process: health, metrics, what its jobs do, the log level.
//!
//! Loopback only and without authentication, so nothing secret may be in what the callers' closures return.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    logging::LogLevel,
    metrics::{CONTENT_TYPE, Metrics},
    serve::{ServeError, Served, serve},
};

/// How often buffered observations are folded; between two scrapes they would pile up.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// How long a closure may take before the port answers that it hangs, which is what the operator wants to know.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

type Answer<T> = Arc<dyn Fn() -> BoxFuture<'static, T> + Send + Sync>;

/// What the port shows. Build it, then [`DebugPort::start`].
#[derive(Clone)]
pub struct DebugPort {
    metrics: Option<Metrics>,
    level: LogLevel,
    health: Answer<Result<(), String>>,
    jobs: Answer<Value>,
}

impl DebugPort {
    /// A port that says "ok" and shows no jobs.
    pub fn new(level: LogLevel) -> Self {
        Self {
            metrics: None,
            level,
            health: Arc::new(|| Box::pin(async { Ok(()) })),
            jobs: Arc::new(|| Box::pin(async { json!([]) })),
        }
    }

    /// Serves these metrics at `/metrics`.
    #[must_use]
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// Answers `/healthz`: `Ok` is 200, `Err` is 503 with the sentence.
    #[must_use]
    pub fn health<F, R>(mut self, health: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.health = Arc::new(move || Box::pin(health()));
        self
    }

    /// Answers `/debug/jobs`.
    #[must_use]
    pub fn jobs<F, R>(mut self, jobs: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Value> + Send + 'static,
    {
        self.jobs = Arc::new(move || Box::pin(jobs()));
        self
    }

    /// Listens on `addr` (port 0: any free one) until the token is cancelled.
    ///
    /// # Errors
    /// The address is not loopback, or is taken.
    pub async fn start(self, addr: SocketAddr, token: CancellationToken) -> Result<Served, ServeError> {
        if let Some(metrics) = self.metrics.clone() {
            let token = token.clone();
            tokio::spawn(async move {
                while token.run_until_cancelled(tokio::time::sleep(UPKEEP_EVERY)).await.is_some() {
                    metrics.upkeep();
                }
            });
        }
        // Without TLS, which serve allows on loopback only.
        serve(addr, self.router(), None, token).await
    }

    fn router(self) -> Router {
        Router::new()
            .route("/healthz", get(healthz))
            .route("/metrics", get(metrics))
            .route("/debug/jobs", get(jobs))
            .route("/debug/log", get(log).put(log).post(log))
            .with_state(self)
    }
}

async fn healthz(State(port): State<DebugPort>) -> Response {
    match tokio::time::timeout(ANSWER_TIMEOUT, (port.health)()).await {
        Ok(Ok(())) => Json(json!({ "status": "ok" })).into_response(),
        Ok(Err(reason)) => {
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "status": "failing", "reason": reason }))).into_response()
        }
        Err(_) => hangs(),
    }
}

async fn metrics(State(port): State<DebugPort>) -> Response {
    match &port.metrics {
        Some(metrics) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics.render()).into_response(),
        None => (StatusCode::NOT_FOUND, "this process keeps no metrics\n").into_response(),
    }
}

async fn jobs(State(port): State<DebugPort>) -> Response {
    match tokio::time::timeout(ANSWER_TIMEOUT, (port.jobs)()).await {
        Ok(value) => Json(value).into_response(),
        Err(_) => hangs(),
    }
}

fn hangs() -> Response {
    (
        StatusCode::SERVICE_UNAVAILABLE,
        Json(json!({ "status": "failing", "reason": "no answer from inside the process" })),
    )
        .into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogQuery {
    level: Option<String>,
}

async fn log(State(port): State<DebugPort>, Query(query): Query<LogQuery>) -> Response {
    if let Some(level) = query.level {
        if let Err(error) = port.level.set(&level) {
            return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response();
        }
        tracing::info!(filter = level, "log filter changed");
    }
    Json(json!({ "level": port.level.get() })).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[tokio::test]
    async fn shows_health_metrics_jobs_and_changes_the_level() {
        crate::install_crypto_provider();
        let (recorded, recorder) = Metrics::detached();
        ::metrics::with_local_recorder(&recorder, || ::metrics::counter!("heads_opened").increment(1));
        let token = CancellationToken::new();
        // Not the process's logger: other tests share that one. The layer must live as long as its handle is used.
        let (_layer, level) = crate::logging::layer("info".into(), false, std::io::sink);
        let port = DebugPort::new(level)
            .metrics(recorded)
            .health(|| async { Err("no database".to_owned()) })
            .jobs(|| async { json!([{ "job": "j1" }]) })
            .start("127.0.0.1:0".parse().unwrap(), token.clone())
            .await
            .unwrap();
        let url = format!("http://{}", port.addr());
        let client = reqwest::Client::new();
        let fetch = |path: &str| {
            let request = client.get(format!("{url}{path}"));
            async move {
                let answer = request.send().await.unwrap();
                (answer.status().as_u16(), answer.text().await.unwrap())
            }
        };
        let (status, body) = fetch("/healthz").await;
        assert_eq!(status, 503);
        assert!(body.contains("no database"));
        let (status, body) = fetch("/metrics").await;
        assert_eq!(status, 200);
        assert!(body.contains("heads_opened_total 1") && body.ends_with("# EOF\n"));
        assert_eq!(fetch("/debug/jobs").await, (200, "[{\"job\":\"j1\"}]".to_owned()));
        assert_eq!(fetch("/debug/log?level=trace").await, (200, "{\"level\":\"trace\"}".to_owned()));
        assert_eq!(fetch("/debug/log?level=a=b=c").await.0, 400);
        assert_eq!(fetch("/debug/log").await, (200, "{\"level\":\"trace\"}".to_owned()));
        token.cancel();
        port.ended().await.unwrap();
    }
}
