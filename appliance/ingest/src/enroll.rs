//! How an agent becomes known, and how its key changes.

use axum::{Json, extract::State, http::StatusCode};
use holdfast_agent_api::{EnrollRequest, EnrollResponse, KEY_OVERLAP_SECONDS};
use holdfast_domain::Classify as _;
use holdfast_metadb::{EnrollError, Enrolled};

use crate::{caller::AgentCaller, extract::JsonOf, problem::ApiError, state::IngestState};

/// Longest text that an agent may say of itself, in characters.
const TEXT_CHARS_MAX: usize = 256;

/// `POST /agent/v1/enroll`.
pub(crate) async fn enroll(
    State(state): State<IngestState>,
    JsonOf(request): JsonOf<EnrollRequest>,
) -> Result<Json<EnrollResponse>, ApiError> {
    for text in [&request.hostname, &request.version, &request.instance] {
        if text.is_empty() || text.chars().count() > TEXT_CHARS_MAX {
            return Err(ApiError::bad_request(format!(
                "hostname, version and instance have 1 to {TEXT_CHARS_MAX} characters"
            )));
        }
    }
    let enrolled = state.metadb().enroll(&request.secret, &request.hostname, &request.version, &request.instance).await;
    let Enrolled { agent, key } = enrolled.map_err(|error| match &error {
        EnrollError::Meta(inner) => ApiError::from_class(inner.class(), inner),
        refused => ApiError::new(
            StatusCode::UNAUTHORIZED,
            "enrollToken",
            "The enrolment token is not valid",
            format!("{refused} (`holdfast agents enroll GROUP`)"),
        ),
    })?;
    tracing::info!(agent = %agent.id, group = %agent.group, hostname = agent.hostname, "agent enrolled");
    Ok(Json(EnrollResponse { agent: agent.id, group: agent.group, key }))
}

/// `POST /agent/v1/keys/rotate`.
pub(crate) async fn rotate(
    State(state): State<IngestState>,
    caller: AgentCaller,
) -> Result<Json<EnrollResponse>, ApiError> {
    let overlap = std::time::Duration::from_secs(KEY_OVERLAP_SECONDS);
    let key = state.metadb().rotate_agent_key(&caller.agent.id, overlap).await;
    let key = key.map_err(|error| ApiError::from_class(error.class(), &error))?;
    tracing::info!(agent = %caller.agent.id, "the agent's key was changed");
    Ok(Json(EnrollResponse { agent: caller.agent.id, group: caller.agent.group, key }))
}
