//! Agents of a group: enrolment tokens, who is enrolled, revoking.

use axum::{Json, extract::State, http::StatusCode};
use holdfast_agent_api::EnrollToken;
use holdfast_domain::AgentId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    caller::{InGroup, fault},
    extract::{PathOf, QueryOf},
    instant::rfc3339_of,
    pages::{Order, Page, PageQuery},
    problem::{ApiError, Problem},
    state::WebState,
};

/// A token, shown once.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EnrollTokenView {
    /// The token: carries the appliance's addresses and the hash of its CA's key.
    enroll_token: String,
    /// The one line to run beside the databases.
    command: String,
    /// Until when it can be used, RFC 3339.
    expires: String,
}

/// An agent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AgentView {
    /// Id.
    id: String,
    /// Host name of its machine.
    hostname: String,
    /// Version.
    version: String,
    /// When it last asked for its configuration, RFC 3339, by the server's clock.
    last_seen: String,
    /// Its keys no longer work.
    revoked: bool,
    /// Its monitoring part; null: it never asked.
    monitoring: Option<MonitoringAgentView>,
}

/// The monitoring part of an agent, as it said last.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MonitoringAgentView {
    /// It is the one that monitors its group; the others stand by.
    active: bool,
    /// How far its clock is before this server's, in milliseconds.
    clock_ahead_millis: i64,
    /// Bytes of measurements that wait on its disk.
    spool_bytes: i64,
    /// Memory that it holds, in bytes.
    resident_bytes: i64,
}

/// Makes an enrolment token.
#[utoipa::path(post, path = "/groups/{group}/enrollTokens", tag = "agents", params(("group" = String, Path, description = "id or name")),
    responses((status = 201, body = EnrollTokenView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn create_enroll_token(
    State(state): State<WebState>,
    of: InGroup,
) -> Result<(StatusCode, Json<EnrollTokenView>), ApiError> {
    let (record, secret) = state.metadb().create_enroll_token(&of.group.id).await.map_err(fault)?;
    let token = EnrollToken {
        ingest_url: state.ingest_url().to_owned(),
        web_url: state.web_url().to_owned(),
        ca_pin: state.ca_pin().to_owned(),
        secret,
    };
    let enroll_token = token.encode();
    let command =
        format!("holdfast-agent run --server {} --enroll {enroll_token} --state holdfast-agent", state.ingest_url());
    state.audit(&of.caller, Some(&of.group.id), "enrolment token created", "").await;
    Ok((StatusCode::CREATED, Json(EnrollTokenView { enroll_token, command, expires: rfc3339_of(record.expires) })))
}

/// The group's agents, by the name of their machine.
#[utoipa::path(get, path = "/groups/{group}/agents", tag = "agents", params(("group" = String, Path, description = "id or name"), PageQuery),
    responses((status = 200, body = [AgentView]), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_agents(
    State(state): State<WebState>,
    of: InGroup,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Page<AgentView>, ApiError> {
    let agents = state.metadb().agents(&of.group.id).await.map_err(fault)?;
    let view = |agent: holdfast_metadb::Agent| AgentView {
        id: agent.id.to_string(),
        hostname: agent.hostname,
        version: agent.version,
        last_seen: rfc3339_of(agent.last_seen),
        revoked: agent.revoked.is_some(),
        monitoring: agent.monitoring.map(|said| MonitoringAgentView {
            active: said.active,
            clock_ahead_millis: said.clock_ahead_millis,
            spool_bytes: said.spool_bytes,
            resident_bytes: said.resident_bytes,
        }),
    };
    let page = query.cut(agents, Order::Up, |agent| format!("{}/{}", agent.hostname, agent.id))?;
    Ok(page.map(view))
}

/// Revokes an agent's keys at once. Its jobs go to another agent of the group.
#[utoipa::path(delete, path = "/groups/{group}/agents/{agent}", tag = "agents",
    params(("group" = String, Path, description = "id or name"), ("agent" = String, Path, description = "id")),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn revoke_agent(
    State(state): State<WebState>,
    of: InGroup,
    path: PathOf<(String, AgentId)>,
) -> Result<StatusCode, ApiError> {
    let PathOf((_, agent)) = path;
    let all = state.metadb().agents(&of.group.id).await.map_err(fault)?;
    if !all.iter().any(|a| a.id == agent) {
        return Err(ApiError::not_found(format!("the group has no agent {agent}")));
    }
    state.metadb().revoke_agent(&agent).await.map_err(fault)?;
    state.audit(&of.caller, Some(&of.group.id), "agent revoked", agent.as_str()).await;
    Ok(StatusCode::NO_CONTENT)
}
