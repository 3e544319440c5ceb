//! What a monitoring agent shall do: whether it is the active one of its group, how often to read, where to look.
//!
//! Asking renews the lease of the one that holds it. Who stands by gets the lease as it is and watches it; when by its own clock the lease is
//! over, it asks with what it saw, and the compare-and-set decides.

use axum::{
    Json,
    body::{Body, to_bytes},
    extract::State,
};
use holdfast_agent_api::{JSON_BODY_BYTES_MAX, MonitoringRequest, MonitoringResponse, MonitoringSeed};
use holdfast_metadb::{Agent, MetaError, MonitoringAgent};

use super::agents::AgentCaller;
use crate::{caller::fault, problem::ApiError, state::WebState};

/// `POST /agent/v1/monitoring/config`.
pub(super) async fn config(
    State(state): State<WebState>,
    caller: AgentCaller,
    body: Body,
) -> Result<Json<MonitoringResponse>, ApiError> {
    // Documents on the wire take unknown fields, unlike those of the API.
    let bytes = to_bytes(body, JSON_BODY_BYTES_MAX).await.map_err(|_| ApiError::bad_request("the body ended early"))?;
    let request: MonitoringRequest = serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::bad_request(format!("the body is not what is expected: {error}")))?;
    let agent = caller.agent;
    let metadb = state.metadb();
    metadb.touch_agent(&agent.id, &request.hostname, &request.version).await.map_err(fault)?;
    let epoch = lease(&state, &agent, &request).await?;
    let now = jiff::Timestamp::now().as_millisecond();
    let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let said = MonitoringAgent {
        clock_ahead_millis: request.clock_millis.saturating_sub(now),
        spool_bytes: signed(request.spool_bytes),
        resident_bytes: signed(request.resident_bytes),
        active: epoch.is_some(),
    };
    metadb.note_monitoring_agent(&agent.id, &said).await.map_err(fault)?;
    let settings = metadb.monitoring_settings().await.map_err(fault)?;
    let seeds = if epoch.is_some() { seeds(&state, &agent).await? } else { Vec::new() };
    let ca_pins = [state.ca_pin().to_owned()].into_iter().filter(|pin| !pin.is_empty()).collect();
    let lease = metadb.monitoring_lease(&agent.group).await.map_err(fault)?.lease;
    Ok(Json(MonitoringResponse { lease, epoch, period_seconds: settings.period_seconds, seeds, ca_pins }))
}

/// The epoch under which this agent is active from now on.
async fn lease(state: &WebState, agent: &Agent, request: &MonitoringRequest) -> Result<Option<i64>, ApiError> {
    let metadb = state.metadb();
    let now = metadb.monitoring_lease(&agent.group).await.map_err(fault)?.lease;
    let mine = now.owner == agent.id.as_str();
    if mine && request.epoch == Some(now.epoch) {
        if request.release {
            return match metadb.release_monitoring(&agent.group, &agent.id, now.epoch).await {
                Ok(()) | Err(MetaError::Fenced) => Ok(None),
                Err(error) => Err(fault(error)),
            };
        }
        return match metadb.beat_monitoring(&agent.group, &agent.id, now.epoch).await {
            Ok(()) => Ok(Some(now.epoch)),
            Err(MetaError::Fenced) => Ok(None),
            Err(error) => Err(fault(error)),
        };
    }
    // An agent that was started anew takes its own lease; a free one and one that is over are anyone's.
    let wants = !request.release && (mine || now.owner.is_empty() || request.take.as_ref() == Some(&now));
    if wants {
        let taken = metadb.take_monitoring(&agent.group, &now, &agent.id).await.map_err(fault)?;
        if let Some(epoch) = taken {
            tracing::info!(agent = %agent.id, group = %agent.group, epoch, before = now.owner, "agent monitors its group");
        }
        return Ok(taken);
    }
    Ok(None)
}

/// Connection strings that the appliance keeps for the group.
async fn seeds(state: &WebState, agent: &Agent) -> Result<Vec<MonitoringSeed>, ApiError> {
    let mut seeds = Vec::new();
    for deployment in state.metadb().deployments(&agent.group).await.map_err(fault)? {
        if let Some(sealed) = deployment.uri_sealed() {
            let uri = state.open_uri(&agent.group, sealed)?;
            seeds.push(MonitoringSeed { deployment: deployment.id, uri });
        }
    }
    Ok(seeds)
}
