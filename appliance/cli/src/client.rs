//! The REST API, as the command line uses it: JSON in and out, problems as sentences.

use std::{
    fmt,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use reqwest::{Certificate, Method, StatusCode};
use serde_json::Value;
use tokio::time::sleep;
use url::Url;

/// Longest wait for an answer: above the longest that the API holds a request (a restore's wait for the ledger).
const ANSWER_SECONDS_MAX: u64 = 90;
/// Longest wait for a connection.
const CONNECT_SECONDS_MAX: u64 = 10;
/// How long a part of the appliance may be away (it restarts, its database elects) before a command that waits gives up.
const AWAY_MAX: Duration = Duration::from_secs(120);
/// Pause between two tries meanwhile.
const AWAY_PAUSE: Duration = Duration::from_secs(1);

/// The API said no.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) detail: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Refused {}

/// The appliance answered that it, or a database behind it, is away for now.
pub(crate) fn answers_away(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| matches!(refused.status, 502..=504))
}

/// It answered so, or not at all. Not for the first request of a command: a wrong address should be told at once.
pub(crate) fn is_away(error: &anyhow::Error) -> bool {
    answers_away(error) || error.downcast_ref::<reqwest::Error>().is_some()
}

/// Does it again while the error is of that kind, two minutes at most; then the last error stands.
pub(crate) async fn outlasting<T, F>(
    away: fn(&anyhow::Error) -> bool,
    mut attempt: impl FnMut() -> F,
) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let until = Instant::now() + AWAY_MAX;
    loop {
        match attempt().await {
            Err(error) if away(&error) && Instant::now() < until => sleep(AWAY_PAUSE).await,
            done => return done,
        }
    }
}

/// A connection to one appliance.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    key: String,
}

impl Client {
    pub(crate) fn new(url: &str, key: String, ca: Option<&Path>) -> anyhow::Result<Self> {
        let base = Url::parse(url).with_context(|| format!("{url:?} is not a URL"))?;
        let mut builder = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(CONNECT_SECONDS_MAX))
            .read_timeout(Duration::from_secs(ANSWER_SECONDS_MAX));
        if let Some(ca) = ca {
            let pem = std::fs::read(ca).with_context(|| format!("read the CA certificate {}", ca.display()))?;
            let certificate =
                Certificate::from_pem(&pem).with_context(|| format!("{} holds no certificate", ca.display()))?;
            builder = builder.tls_certs_only([certificate]);
        }
        Ok(Self { http: builder.build().context("set up HTTP")?, base, key })
    }

    /// The HTTP client, for downloads by link.
    pub(crate) const fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// URL of `path` segments below `/api/v1`; each segment is encoded, whatever it holds.
    fn url(&self, segments: &[&str]) -> anyhow::Result<Url> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| anyhow::anyhow!("{} cannot be a base of paths", self.base))?
            .pop_if_empty()
            .extend(["api", "v1"])
            .extend(segments);
        Ok(url)
    }

    pub(crate) async fn get(&self, segments: &[&str]) -> anyhow::Result<Value> {
        self.send(Method::GET, segments, &[], None).await
    }

    /// The same with a query, whose values are encoded.
    pub(crate) async fn get_with(&self, segments: &[&str], query: &[(&str, String)]) -> anyhow::Result<Value> {
        self.send(Method::GET, segments, query, None).await
    }

    pub(crate) async fn post(&self, segments: &[&str], body: Value) -> anyhow::Result<Value> {
        self.send(Method::POST, segments, &[], Some(body)).await
    }

    pub(crate) async fn patch(&self, segments: &[&str], body: Value) -> anyhow::Result<Value> {
        self.send(Method::PATCH, segments, &[], Some(body)).await
    }

    pub(crate) async fn delete(&self, segments: &[&str]) -> anyhow::Result<Value> {
        self.send(Method::DELETE, segments, &[], None).await
    }

    async fn send(
        &self,
        method: Method,
        segments: &[&str],
        query: &[(&str, String)],
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let mut url = self.url(segments)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.http.request(method, url).bearer_auth(&self.key);
        if let Some(body) = &body {
            request = request.json(body);
        }
        let response = request.send().await.with_context(|| format!("talk to the appliance at {}", self.base))?;
        let status = response.status();
        let bytes = response.bytes().await.context("read the appliance's answer")?;
        if !status.is_success() {
            return Err(refusal(status, &bytes).into());
        }
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).context("the appliance's answer is not JSON")
    }
}

/// Reads problem+json; anything else becomes a sentence with the status.
pub(crate) fn refusal(status: StatusCode, body: &[u8]) -> Refused {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| problem.get(name).and_then(Value::as_str).map(str::to_owned);
    Refused {
        status: status.as_u16(),
        code: text("code").unwrap_or_else(|| "http".to_owned()),
        detail: text("detail").or_else(|| text("title")).unwrap_or_else(|| format!("the appliance answered {status}")),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Attempts that it takes when the first `fails` of them are refused with this status; and whether it succeeds.
    async fn attempts(status: u16, fails: u32) -> (u32, bool) {
        let made = Cell::new(0);
        let attempt = || async {
            made.set(made.get() + 1);
            let refused = Refused { status, code: "c".into(), detail: "d".into() };
            // As callers do: the reason lies below what was tried.
            if made.get() > fails { Ok(()) } else { Err(anyhow::Error::new(refused).context("ask")) }
        };
        let done = outlasting(answers_away, attempt).await;
        (made.get(), done.is_ok())
    }

    #[tokio::test]
    async fn what_is_away_is_asked_again_and_a_refusal_is_not() {
        assert_eq!(attempts(503, 2).await, (3, true));
        assert_eq!(attempts(409, 2).await, (1, false));
        assert_eq!(attempts(500, 2).await, (1, false));
    }
}
