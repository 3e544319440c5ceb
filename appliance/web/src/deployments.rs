//! Deployments: what shall be looked at, and what agents found.
//!
//! The connection string goes in and never comes out: it is sealed before it is stored, only the agent gets it, answers and logs show hosts
//! alone.

use axum::{Json, extract::State, http::StatusCode};
use holdfast_agent_api::SourceMember;
use holdfast_domain::DeploymentId;
use holdfast_metadb::{Deployment, DeploymentState, MetaError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{InGroup, fault, meta_fault},
    extract::{JsonOf, PathOf, QueryOf},
    instant::rfc3339_of,
    pages::{Order, Page, PageQuery, stamp},
    problem::{ApiError, Problem},
    restores::word,
    state::WebState,
};

/// Longest connection string, in characters.
const URI_CHARS_MAX: usize = 8192;
/// Beginnings of a connection string.
const SCHEMES: [&str; 2] = ["mongodb://", "mongodb+srv://"];

/// A deployment to look at.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewDeployment {
    /// Connection string of one member or more, as the agent's machine reaches them.
    uri: String,
    /// False: the connection string is not stored, and the agent must have it in its own file.
    #[serde(default = "yes")]
    store_credentials: bool,
}

const fn yes() -> bool {
    true
}

/// A privilege that backing up needs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PrivilegeView {
    /// What for.
    need: String,
    /// Granted.
    granted: bool,
    /// The server's words when not.
    error: Option<String>,
}

/// A member of a replica set, as the agent saw it when it looked last.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MemberStateView {
    /// `host:port`.
    host: String,
    /// `PRIMARY`, `SECONDARY`, `ARBITER`, `DOWN` and what else the server says.
    state: String,
    /// Hidden from clients.
    hidden: bool,
    /// It applies writes this much later on purpose, in seconds.
    delay_seconds: i64,
}

impl From<SourceMember> for MemberStateView {
    fn from(member: SourceMember) -> Self {
        Self { host: member.host, state: member.state, hidden: member.hidden, delay_seconds: member.delay_seconds }
    }
}

/// A deployment.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeploymentView {
    /// Id.
    id: String,
    /// Name of the replica set, once known.
    rs: Option<String>,
    /// Its members, `host:port`; before they are known, the hosts of the connection string.
    hosts: Vec<String>,
    /// Its members with their states; empty before an agent looked.
    members: Vec<MemberStateView>,
    /// When the agent looked, RFC 3339: the states are those of then.
    discovered: Option<String>,
    /// `discovering`, `found` or `refused`.
    state: String,
    /// Why it cannot be backed up, and what to do.
    refusal: Option<String>,
    /// What the agent may and may not do there.
    privileges: Vec<PrivilegeView>,
    /// Server version.
    version: Option<String>,
    /// Bytes of its data files.
    storage_bytes: Option<u64>,
    /// The connection string is stored (sealed).
    credentials_stored: bool,
    /// Agent that looked.
    agent: Option<String>,
    /// When it was added, RFC 3339.
    created: String,
}

fn view(deployment: Deployment) -> DeploymentView {
    let credentials_stored = deployment.uri_sealed().is_some();
    let source = deployment.source;
    let members = source.as_ref().map(|s| s.members.clone()).unwrap_or_default();
    let privileges = deployment.privileges.into_iter();
    DeploymentView {
        id: deployment.id.to_string(),
        rs: deployment.rs,
        hosts: deployment.members,
        members: members.into_iter().map(Into::into).collect(),
        discovered: deployment.discovered.map(rfc3339_of),
        state: word(deployment.state),
        refusal: deployment.refusal,
        privileges: privileges.map(|p| PrivilegeView { need: p.need, granted: p.granted, error: p.error }).collect(),
        version: source.as_ref().map(|s| s.version.clone()),
        storage_bytes: source.as_ref().map(|s| s.storage_bytes),
        credentials_stored,
        agent: deployment.agent.map(|id| id.to_string()),
        created: rfc3339_of(deployment.created),
    }
}

/// Adds a deployment: an agent of the group looks at it.
#[utoipa::path(post, path = "/groups/{group}/deployments", tag = "deployments", request_body = NewDeployment,
    params(("group" = String, Path, description = "id or name")),
    responses((status = 202, body = DeploymentView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn add_deployment(
    State(state): State<WebState>,
    of: InGroup,
    JsonOf(new): JsonOf<NewDeployment>,
) -> Result<(StatusCode, Json<DeploymentView>), ApiError> {
    let hosts = hosts_of(&new.uri)?;
    let sealed = if new.store_credentials { Some(state.seal_uri(&of.group.id, &new.uri)?) } else { None };
    let made = state.metadb().create_deployment(&of.group.id, None, hosts.clone(), sealed).await.map_err(fault)?;
    state.audit(&of.caller, Some(&of.group.id), "deployment added", &hosts.join(",")).await;
    Ok((StatusCode::ACCEPTED, Json(view(made))))
}

/// Hosts of a connection string, without credentials. The string itself is in no message.
fn hosts_of(uri: &str) -> Result<Vec<String>, ApiError> {
    let bad = |why: &str| ApiError::bad_request(format!("the connection string is refused: {why}"));
    if uri.len() > URI_CHARS_MAX {
        return Err(bad("it is too long"));
    }
    let rest = SCHEMES.iter().find_map(|scheme| uri.strip_prefix(scheme));
    let rest = rest.ok_or_else(|| bad("it must begin with mongodb:// or mongodb+srv://"))?;
    // The driver's own words may quote the string: they are not passed on.
    mongodb::options::ConnectionString::parse(uri).map_err(|_| bad("the driver does not understand it"))?;
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    let hosts: Vec<String> = hosts.split(',').filter(|h| !h.is_empty()).map(str::to_owned).collect();
    if hosts.is_empty() { Err(bad("it names no host")) } else { Ok(hosts) }
}

/// The group's deployments, oldest first.
#[utoipa::path(get, path = "/groups/{group}/deployments", tag = "deployments", params(("group" = String, Path, description = "id or name"), PageQuery),
    responses((status = 200, body = [DeploymentView]), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_deployments(
    State(state): State<WebState>,
    of: InGroup,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Page<DeploymentView>, ApiError> {
    let all = state.metadb().deployments(&of.group.id).await.map_err(fault)?;
    let page = query.cut(all, Order::Up, |deployment| format!("{}{}", stamp(deployment.created), deployment.id))?;
    Ok(page.map(view))
}

/// One deployment.
#[utoipa::path(get, path = "/groups/{group}/deployments/{deployment}", tag = "deployments",
    params(("group" = String, Path, description = "id or name"), ("deployment" = String, Path, description = "id")),
    responses((status = 200, body = DeploymentView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_deployment(
    State(state): State<WebState>,
    of: InGroup,
    path: PathOf<(String, DeploymentId)>,
) -> Result<Json<DeploymentView>, ApiError> {
    let PathOf((_, id)) = path;
    Ok(Json(view(in_group(&state, &of, &id).await?)))
}

/// Has an agent look at it again: its members and their states, its privileges, its size.
#[utoipa::path(post, path = "/groups/{group}/deployments/{deployment}/look", tag = "deployments",
    params(("group" = String, Path, description = "id or name"), ("deployment" = String, Path, description = "id")),
    responses((status = 202, body = DeploymentView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn look_again(
    State(state): State<WebState>,
    of: InGroup,
    path: PathOf<(String, DeploymentId)>,
) -> Result<(StatusCode, Json<DeploymentView>), ApiError> {
    let PathOf((_, id)) = path;
    let found = in_group(&state, &of, &id).await?;
    state.metadb().rediscover(&found.id).await.map_err(meta_fault)?;
    state.audit(&of.caller, Some(&of.group.id), "deployment looked at again", &name(&found)).await;
    Ok((StatusCode::ACCEPTED, Json(view(in_group(&state, &of, &id).await?))))
}

/// Removes a deployment that has no backup. Nothing that is stored is lost by it: it can be added again.
#[utoipa::path(delete, path = "/groups/{group}/deployments/{deployment}", tag = "deployments",
    params(("group" = String, Path, description = "id or name"), ("deployment" = String, Path, description = "id")),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn remove_deployment(
    State(state): State<WebState>,
    of: InGroup,
    path: PathOf<(String, DeploymentId)>,
) -> Result<StatusCode, ApiError> {
    let PathOf((_, id)) = path;
    let found = in_group(&state, &of, &id).await?;
    match state.metadb().remove_deployment(&id).await {
        Ok(_) => {}
        Err(MetaError::Exists { .. }) => {
            let detail = format!(
                "{} has a backup, and its snapshots would have no name any more: terminate the backup first, and come again when nothing of it is left",
                name(&found)
            );
            return Err(ApiError::conflict("backedUp", detail));
        }
        Err(error) => return Err(fault(error)),
    }
    state.audit(&of.caller, Some(&of.group.id), "deployment removed", &name(&found)).await;
    Ok(StatusCode::NO_CONTENT)
}

/// How people know it: the name of its replica set, or its hosts.
fn name(deployment: &Deployment) -> String {
    deployment.rs.clone().unwrap_or_else(|| deployment.members.join(","))
}

/// A deployment of this group.
async fn in_group(state: &WebState, of: &InGroup, id: &DeploymentId) -> Result<Deployment, ApiError> {
    let found = state.metadb().deployment(id).await.map_err(fault)?.filter(|d| d.group == of.group.id);
    found.ok_or_else(|| ApiError::not_found(format!("the group has no deployment {id}")))
}

/// A deployment that can be backed up, by the name of its replica set.
pub(crate) async fn found_deployment(state: &WebState, of: &InGroup, rs: &str) -> Result<Deployment, ApiError> {
    let found = state.metadb().deployment_by_rs(&of.group.id, rs).await.map_err(fault)?;
    let found = found.ok_or_else(|| {
        let detail =
            format!("the group has no deployment {rs:?}: add it with `holdfast deployments add {} URI`", of.group.name);
        ApiError::not_found(detail)
    })?;
    match found.state {
        DeploymentState::Found => Ok(found),
        DeploymentState::Discovering => {
            Err(ApiError::conflict("notDiscovered", format!("no agent has looked at {rs} yet: see that one runs")))
        }
        DeploymentState::Refused => {
            let why = found.refusal.unwrap_or_else(|| "the agent refused it".into());
            Err(ApiError::refused("refused", format!("{rs} cannot be backed up: {why}")))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn hosts_without_credentials() {
        let uri = "mongodb://backup:s3cret%40@a:27017,b:27018/?replicaSet=rs0&authSource=admin";
        assert_eq!(hosts_of(uri).unwrap(), ["a:27017", "b:27018"]);
        assert_eq!(hosts_of("mongodb+srv://u:p@cluster.example.com/").unwrap(), ["cluster.example.com"]);
        for bad in ["", "http://a", "mongodb://", "mongodb://u:secret@a:99999999/?x"] {
            let error = format!("{:?}", hosts_of(bad).unwrap_err());
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
