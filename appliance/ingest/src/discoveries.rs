//! What agents found where they were asked to look.

use axum::{extract::State, http::StatusCode};
use holdfast_agent_api::DiscoveryReport;
use holdfast_domain::{Classify as _, DeploymentId};
use holdfast_metadb::Discovery;

use crate::{
    caller::AgentCaller,
    extract::{JsonOf, PathOf},
    problem::ApiError,
    state::IngestState,
};

/// `POST /agent/v1/discoveries/{deployment}`.
pub(crate) async fn report(
    State(state): State<IngestState>,
    caller: AgentCaller,
    PathOf(id): PathOf<DeploymentId>,
    JsonOf(report): JsonOf<DiscoveryReport>,
) -> Result<StatusCode, ApiError> {
    let found = state.metadb().deployment(&id).await.map_err(|error| ApiError::from_class(error.class(), &error))?;
    let ours = found.is_some_and(|deployment| deployment.group == caller.agent.group);
    if !ours {
        let detail = format!("the agent's group has no deployment {id}");
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "notYourDeployment",
            "The deployment is not this agent's",
            detail,
        ));
    }
    if report.refusal.is_some() == report.source.is_some() {
        return Err(ApiError::bad_request("a report has either a refusal or a source"));
    }
    let found = Discovery {
        agent: caller.agent.id.clone(),
        refusal: report.refusal.clone(),
        source: report.source,
        privileges: report.privileges,
    };
    let noted = state.metadb().record_discovery(&id, &found).await;
    noted.map_err(|error| ApiError::from_class(error.class(), &error))?;
    tracing::info!(deployment = %id, agent = %caller.agent.id, refusal = report.refusal, "deployment looked at");
    Ok(StatusCode::NO_CONTENT)
}
