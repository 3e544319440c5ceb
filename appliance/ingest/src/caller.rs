//! Who asks, and whether they may: protocol version, key, group, job, assignment epoch; in this order, before any body is read.

use axum::{
    extract::{FromRequestParts, RawPathParams, Request},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use holdfast_agent_api::{EPOCH_HEADER, PROTOCOL_HEADER};
use holdfast_domain::{BackupJobId, Classify as _};
use holdfast_metadb::{Agent, BackupJob};

use crate::{problem::ApiError, state::IngestState};

/// What `Upgrade` names in answers with status 426.
const UPGRADE: &str = "holdfast/1";

/// Layer over everything that agents ask.
pub(crate) async fn check_protocol(request: Request, next: Next) -> Response {
    match protocol(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            let upgrade = refusal.status() == StatusCode::UPGRADE_REQUIRED;
            let mut response = refusal.into_response();
            if upgrade {
                response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static(UPGRADE));
            }
            response
        }
    }
}

fn protocol(headers: &HeaderMap) -> Result<(), ApiError> {
    let text = headers.get(PROTOCOL_HEADER).and_then(|v| v.to_str().ok());
    holdfast_agent_api::check_protocol(text).map_err(|refusal| {
        let status = if refusal.upgrade { StatusCode::UPGRADE_REQUIRED } else { StatusCode::BAD_REQUEST };
        ApiError::new(status, "protocolVersion", "The protocol version does not fit", refusal.detail)
    })
}

/// The value of `Authorization: Bearer`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim()).filter(|key| !key.is_empty())
}

/// An agent with a valid key.
#[derive(Clone, Debug)]
pub(crate) struct AgentCaller {
    /// The agent.
    pub(crate) agent: Agent,
}

impl FromRequestParts<IngestState> for AgentCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &IngestState) -> Result<Self, ApiError> {
        let refuse =
            |detail: &str| ApiError::new(StatusCode::UNAUTHORIZED, "agentKey", "The agent is not known", detail);
        let key =
            bearer(&parts.headers).ok_or_else(|| refuse("the header Authorization must carry the agent's key"))?;
        let agent = state.metadb().authenticate_agent(key).await;
        let agent = agent.map_err(|error| ApiError::from_class(error.class(), &error))?;
        let agent = agent.ok_or_else(|| refuse("the agent's key is not valid (any more): enrol the agent again"))?;
        Ok(Self { agent })
    }
}

/// An agent with a valid key, on behalf of a running job of its group that is assigned to it.
#[derive(Clone, Debug)]
pub(crate) struct JobCaller {
    /// The job.
    pub(crate) job: BackupJob,
}

impl FromRequestParts<IngestState> for JobCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &IngestState) -> Result<Self, ApiError> {
        let AgentCaller { agent } = AgentCaller::from_request_parts(parts, state).await?;
        let id = job_id(parts, state).await?;
        let epoch =
            parts.headers.get(EPOCH_HEADER).and_then(|v| v.to_str().ok()).and_then(|t| t.trim().parse::<i64>().ok());
        let epoch = epoch.ok_or_else(|| {
            ApiError::bad_request(format!("the header {EPOCH_HEADER} must carry the assignment epoch"))
        })?;
        let found =
            state.metadb().backup_job(&id).await.map_err(|error| ApiError::from_class(error.class(), &error))?;
        let forbid = |code, title, detail: String| Err(ApiError::new(StatusCode::FORBIDDEN, code, title, detail));
        // A job of another group is answered as one that does not exist, so that ids tell nothing.
        let Some(job) = found.filter(|job| job.group == agent.group) else {
            return forbid(
                "notYourJob",
                "The job is not this agent's",
                format!("the agent's group has no backup job {id}"),
            );
        };
        if !job.state.runs() {
            let detail = format!("the backup of {} is {:?}: ask for the configuration", job.rs, job.state);
            return forbid("jobStopped", "The backup does not run", detail);
        }
        let assigned = &job.assignment;
        if assigned.agent.as_ref() != Some(&agent.id) || assigned.epoch != epoch {
            let detail = format!(
                "the backup of {} is assigned anew (epoch {}, the request has {epoch}): ask for the configuration",
                job.rs, assigned.epoch
            );
            return forbid("staleAssignment", "The job is assigned to another agent", detail);
        }
        Ok(Self { job })
    }
}

async fn job_id(parts: &mut Parts, state: &IngestState) -> Result<BackupJobId, ApiError> {
    let params = RawPathParams::from_request_parts(parts, state).await;
    let params = params.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let text = params.iter().find(|(name, _)| *name == "job").map(|(_, value)| value.to_owned());
    text.unwrap_or_default()
        .parse()
        .map_err(|error: holdfast_domain::ParseIdError| ApiError::bad_request(error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn versions() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(PROTOCOL_HEADER, value.parse().unwrap());
            protocol(&headers).map_err(|e| e.status())
        };
        assert!(with("1").is_ok());
        assert_eq!(with("2").unwrap_err(), StatusCode::UPGRADE_REQUIRED);
        assert_eq!(with("0").unwrap_err(), StatusCode::UPGRADE_REQUIRED);
        assert_eq!(with("x").unwrap_err(), StatusCode::BAD_REQUEST);
        assert_eq!(protocol(&HeaderMap::new()).unwrap_err().status(), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn bearers() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(with("Bearer abc"), Some("abc".into()));
        assert_eq!(with("bearer  abc "), Some("abc".into()));
        assert_eq!(with("Basic abc"), None);
        assert_eq!(with("Bearer "), None);
    }
}
