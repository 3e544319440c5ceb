//! The REST API, as the command line uses it: JSON in and out, problems as sentences.

use std::{
    fmt,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use reqwest::{
    Certificate, Method, StatusCode,
    header::{ETAG, IF_MATCH, LINK},
};
use serde_json::Value;
use tokio::time::sleep;
use url::Url;

/// Longest wait for an answer: above the longest that the API holds a request (a restore's wait for the ledger).
const ANSWER_SECONDS_MAX: u64 = 90;
/// Longest wait for a connection.
const CONNECT_SECONDS_MAX: u64 = 10;
/// How long a part of the appliance may be away (it restarts, its database elects) before a command that waits gives up.
const AWAY_MAX: Duration = Duration::from_secs(120);
/// Pages of one list at most: two hundred thousand elements.
const PAGES_MAX: usize = 400;
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

    /// The answer; of a list all pages of it.
    pub(crate) async fn get(&self, segments: &[&str]) -> anyhow::Result<Value> {
        let mut answer = self.answer(Method::GET, self.url(segments)?, None, None).await?;
        for _ in 1..PAGES_MAX {
            let (Some(next), Some(all)) = (&answer.next, answer.value.as_array_mut()) else { break };
            let mut page = self.answer(Method::GET, next.clone(), None, None).await?;
            all.append(page.value.as_array_mut().context("a page of a list is not a list")?);
            answer.next = page.next;
        }
        Ok(answer.value)
    }

    /// The answer with its revision, to be given to [`Self::put_seen`].
    pub(crate) async fn get_tagged(&self, segments: &[&str]) -> anyhow::Result<(Value, Option<String>)> {
        let answer = self.answer(Method::GET, self.url(segments)?, None, None).await?;
        Ok((answer.value, answer.tag))
    }

    /// Sets it, if it is still at the revision that was read.
    pub(crate) async fn put_seen(&self, segments: &[&str], body: Value, seen: Option<String>) -> anyhow::Result<Value> {
        Ok(self.answer(Method::PUT, self.url(segments)?, Some(&body), seen.as_deref()).await?.value)
    }

    /// The same with a query, whose values are encoded.
    pub(crate) async fn get_with(&self, segments: &[&str], query: &[(&str, String)]) -> anyhow::Result<Value> {
        self.send(Method::GET, segments, query, None).await
    }

    /// An answer that is a file, into this file, which must not exist. Returns its size.
    pub(crate) async fn download(&self, segments: &[&str], to: &Path) -> anyhow::Result<u64> {
        use std::io::Write as _;
        let request = self.http.get(self.url(segments)?).bearer_auth(&self.key);
        let mut response = request.send().await.with_context(|| format!("talk to the appliance at {}", self.base))?;
        let status = response.status();
        if !status.is_success() {
            let bytes = response.bytes().await.context("read the appliance's answer")?;
            return Err(refusal(status, &bytes).into());
        }
        let mut file = std::fs::File::create_new(to).with_context(|| format!("make the file {}", to.display()))?;
        let mut size = 0;
        while let Some(part) = response.chunk().await.context("read the appliance's answer")? {
            file.write_all(&part).with_context(|| format!("write {}", to.display()))?;
            size += part.len() as u64;
        }
        file.sync_all().with_context(|| format!("write {}", to.display()))?;
        Ok(size)
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
        Ok(self.answer(method, url, body.as_ref(), None).await?.value)
    }

    async fn answer(
        &self,
        method: Method,
        url: Url,
        body: Option<&Value>,
        seen: Option<&str>,
    ) -> anyhow::Result<Answer> {
        let mut request = self.http.request(method, url.clone()).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(seen) = seen {
            request = request.header(IF_MATCH, seen);
        }
        let response = request.send().await.with_context(|| format!("talk to the appliance at {}", self.base))?;
        let status = response.status();
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (tag, next) = (text(ETAG), text(LINK).and_then(|link| next_page(&url, &link)));
        let bytes = response.bytes().await.context("read the appliance's answer")?;
        if !status.is_success() {
            return Err(refusal(status, &bytes).into());
        }
        let value = match bytes.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&bytes).context("the appliance's answer is not JSON")?,
        };
        Ok(Answer { value, tag, next })
    }
}

/// A success.
struct Answer {
    value: Value,
    /// Its revision.
    tag: Option<String>,
    /// Where the next page of the list is.
    next: Option<Url>,
}

/// The next page that a `Link` header names: of the same list, whatever it says.
fn next_page(of: &Url, link: &str) -> Option<Url> {
    let (target, rest) = link.strip_prefix('<')?.split_once('>')?;
    let next = rest.contains("rel=\"next\"").then(|| of.join(target).ok())??;
    (next.origin() == of.origin() && next.path() == of.path()).then_some(next)
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

    #[test]
    fn the_next_page_is_of_the_same_list() {
        let of = Url::parse("https://h:8080/api/v1/groups?limit=2").unwrap();
        let next = |link: &str| next_page(&of, link).map(String::from);
        let good = next("<?cursor=61&limit=2>; rel=\"next\"");
        assert_eq!(good.as_deref(), Some("https://h:8080/api/v1/groups?cursor=61&limit=2"));
        for bad in
            ["<?cursor=61>; rel=\"prev\"", "<https://evil/api/v1/groups>; rel=\"next\"", "</x>; rel=\"next\"", "?c"]
        {
            assert_eq!(next(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn what_is_away_is_asked_again_and_a_refusal_is_not() {
        assert_eq!(attempts(503, 2).await, (3, true));
        assert_eq!(attempts(409, 2).await, (1, false));
        assert_eq!(attempts(500, 2).await, (1, false));
    }
}
