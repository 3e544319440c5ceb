//! Which agent asks: protocol version and key, before any body is read.

use axum::{
    extract::{FromRequestParts, Request},
    http::{StatusCode, request::Parts},
    middleware::Next,
    response::Response,
};
use holdfast_agent_api::PROTOCOL_HEADER;
use holdfast_metadb::Agent;

use crate::{
    caller::{bearer, fault},
    problem::ApiError,
    state::WebState,
};

/// Layer over everything that agents ask.
pub(super) async fn check_protocol(request: Request, next: Next) -> Result<Response, ApiError> {
    let text = request.headers().get(PROTOCOL_HEADER).and_then(|value| value.to_str().ok());
    match holdfast_agent_api::check_protocol(text) {
        Ok(()) => Ok(next.run(request).await),
        Err(refusal) => {
            let status = if refusal.upgrade { StatusCode::UPGRADE_REQUIRED } else { StatusCode::BAD_REQUEST };
            Err(ApiError::new(status, "protocolVersion", "The protocol version does not fit", refusal.detail))
        }
    }
}

/// An agent with a valid key.
#[derive(Clone, Debug)]
pub(super) struct AgentCaller {
    /// The agent.
    pub(super) agent: Agent,
}

impl FromRequestParts<WebState> for AgentCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, ApiError> {
        let refuse =
            |detail: &str| ApiError::new(StatusCode::UNAUTHORIZED, "agentKey", "The agent is not known", detail);
        let key =
            bearer(&parts.headers).ok_or_else(|| refuse("the header Authorization must carry the agent's key"))?;
        let agent = state.metadb().authenticate_agent(key).await.map_err(fault)?;
        let agent = agent.ok_or_else(|| refuse("the agent's key is not valid (any more): enrol the agent again"))?;
        Ok(Self { agent })
    }
}
