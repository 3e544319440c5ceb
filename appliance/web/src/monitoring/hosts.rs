//! Hosts of a group: what they are, how they are, what is noticed about them.

use std::collections::HashMap;

use axum::{Json, extract::State};
use holdfast_agent_api::{HostFacts, HostRole};
use holdfast_domain::HostId;
use holdfast_metadb::MonitoredHost;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    caller::{InGroup, fault},
    extract::{PathOf, QueryOf},
    instant::rfc3339_of,
    pages::{Order, Page, PageQuery},
    problem::{ApiError, Problem},
    restores::word,
    state::WebState,
};

/// A certificate that ends within so many days is noticed.
const CERTIFICATE_DAYS: i64 = 30;
const DAY_MILLIS: i64 = 86_400_000;

/// A host.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HostView {
    /// Id.
    id: String,
    /// `host:port`.
    host: String,
    /// `standalone`, `member`, `mongos`, `config` or `shard`.
    role: String,
    /// Name of its replica set.
    set: Option<String>,
    /// Name of its shard.
    shard: Option<String>,
    /// Id of its sharded cluster.
    cluster: Option<String>,
    /// `PRIMARY`, `SECONDARY`, `ARBITER` ...; `UP` of what is no member; `DOWN` when it does not answer.
    state: String,
    /// It answered its agent when it was seen last.
    up: bool,
    /// Why it does not answer, or is read only in part.
    error: Option<String>,
    /// Hidden from clients.
    hidden: bool,
    /// An arbiter.
    arbiter: bool,
    /// It applies writes this much later on purpose, in seconds.
    delay_seconds: i64,
    /// Priority in elections.
    priority: Option<f64>,
    /// Votes in elections.
    votes: Option<i64>,
    /// How far it is behind, in seconds.
    lag_seconds: Option<f64>,
    /// The member that it copies from.
    syncs_from: Option<String>,
    /// Server version.
    version: Option<String>,
    /// Since when it runs, RFC 3339.
    started: Option<String>,
    /// When its agent reported it last, RFC 3339, by the agent's clock.
    seen: String,
    /// When it was no longer found, RFC 3339.
    gone: Option<String>,
    /// What is measured of it besides itself: `disk/sda1`, `db/shop`.
    parts: Vec<String>,
    /// What to look at: no login needed, a certificate that ends soon, warnings at the start; sentences.
    notices: Vec<String>,
}

/// What is noticed about a host.
fn notices(facts: &HostFacts, now: i64) -> Vec<String> {
    let mut all = Vec::new();
    if facts.exposed {
        all.push("It takes anyone who reaches it, from other machines too: turn authorization on, or bind it to addresses that only you reach.".to_owned());
    } else if facts.unauthenticated {
        all.push("It asks for no login: turn authorization on.".to_owned());
    }
    if let Some(ends) = facts.certificate_ends {
        let days = (ends - now).div_euclid(DAY_MILLIS);
        if days < 0 {
            all.push("Its certificate has ended: put a new one in its place.".to_owned());
        } else if days <= CERTIFICATE_DAYS {
            all.push(format!("Its certificate ends in {days} days: put a new one in its place."));
        }
    }
    if !facts.startup_warnings.is_empty() {
        all.push(format!("It gave {} warnings when it started.", facts.startup_warnings.len()));
    }
    let missing = facts.privileges.iter().filter(|p| !p.granted).map(|p| p.need.as_str()).collect::<Vec<_>>();
    if !missing.is_empty() {
        all.push(format!("Its agent's user may not {}: `holdfast-agent role` makes one that may.", missing.join(", ")));
    }
    all
}

fn view(host: MonitoredHost, facts: Option<&HostFacts>, now: i64) -> HostView {
    let MonitoredHost { id, host, report, gone, .. } = host;
    let time = |millis: i64| rfc3339_of(bson::DateTime::from_millis(millis));
    HostView {
        id: id.to_string(),
        host,
        role: word(report.role),
        set: report.set,
        shard: report.shard,
        cluster: report.cluster,
        state: report.state,
        up: report.up,
        error: report.error,
        hidden: report.hidden,
        arbiter: report.arbiter,
        delay_seconds: report.delay_seconds,
        priority: report.priority,
        votes: report.votes,
        lag_seconds: report.lag_seconds,
        syncs_from: report.syncs_from,
        version: report.version,
        started: report.started.map(time),
        seen: time(report.at),
        gone: gone.map(rfc3339_of),
        parts: report.parts,
        notices: facts.map(|facts| notices(facts, now)).unwrap_or_default(),
    }
}

/// The group's hosts, by name.
#[utoipa::path(get, path = "/groups/{group}/hosts", tag = "monitoring", params(("group" = String, Path, description = "id or name"), PageQuery),
    responses((status = 200, body = [HostView]), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_hosts(
    State(state): State<WebState>,
    of: InGroup,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Page<HostView>, ApiError> {
    let hosts = state.metadb().monitored_hosts(&of.group.id, false).await.map_err(fault)?;
    let facts = state.metadb().all_host_facts(&of.group.id).await.map_err(fault)?;
    let facts: HashMap<&str, &HostFacts> = facts.iter().map(|facts| (facts.host.as_str(), facts)).collect();
    let now = jiff::Timestamp::now().as_millisecond();
    let page = query.cut(hosts, Order::Up, |host| format!("{}/{}", host.host, host.id))?;
    Ok(page.map(|host| {
        let facts = facts.get(host.host.as_str()).copied();
        view(host, facts, now)
    }))
}

/// A host of the group that a path names.
pub(super) async fn host_in(state: &WebState, of: &InGroup, id: &HostId) -> Result<MonitoredHost, ApiError> {
    let found = state.metadb().monitored_host(&of.group.id, id).await.map_err(fault)?;
    found.ok_or_else(|| ApiError::not_found(format!("the group has no host {id}")))
}

/// One host.
#[utoipa::path(get, path = "/groups/{group}/hosts/{host}", tag = "monitoring",
    params(("group" = String, Path, description = "id or name"), ("host" = String, Path, description = "id")),
    responses((status = 200, body = HostView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_host(
    State(state): State<WebState>,
    of: InGroup,
    path: PathOf<(String, HostId)>,
) -> Result<Json<HostView>, ApiError> {
    let PathOf((_, id)) = path;
    let host = host_in(&state, &of, &id).await?;
    let facts = state.metadb().host_facts(&of.group.id, &id).await.map_err(fault)?;
    Ok(Json(view(host, facts.as_ref(), jiff::Timestamp::now().as_millisecond())))
}

/// One thing that monitoring needs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HostPrivilegeView {
    /// What for.
    need: String,
    /// Granted.
    granted: bool,
    /// The server's words when not.
    error: Option<String>,
}

/// A collection of a host.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HostCollectionView {
    /// `database.collection`.
    ns: String,
    /// Documents.
    count: Option<i64>,
    /// Bytes of documents, uncompressed.
    size_bytes: Option<i64>,
    /// Bytes of its file.
    storage_bytes: Option<i64>,
    /// Bytes of its indexes.
    index_bytes: Option<i64>,
    /// Time that reads took since the process started, in milliseconds.
    read_millis: i64,
    /// Time that writes took since the process started, in milliseconds.
    write_millis: i64,
}

/// What seldom changes of a host.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HostFactsView {
    /// When it was read, RFC 3339.
    at: Option<String>,
    /// `hostInfo`, as the server gave it.
    #[schema(value_type = Object)]
    host_info: serde_json::Value,
    /// `getCmdLineOpts`, as the server gave it, without secrets.
    #[schema(value_type = Object)]
    command_line: serde_json::Value,
    /// Warnings that the server gave when it started.
    startup_warnings: Vec<String>,
    /// What monitoring needs, and whether it is allowed.
    privileges: Vec<HostPrivilegeView>,
    /// It asks for no login.
    unauthenticated: bool,
    /// It asks for no login and listens where other machines reach it.
    exposed: bool,
    /// When its certificate ends, RFC 3339.
    certificate_ends: Option<String>,
    /// The largest and the busiest collections.
    collections: Vec<HostCollectionView>,
}

/// Start-up warnings, command line, machine, privileges and collections of a host.
#[utoipa::path(get, path = "/groups/{group}/hosts/{host}/facts", tag = "monitoring",
    params(("group" = String, Path, description = "id or name"), ("host" = String, Path, description = "id")),
    responses((status = 200, body = HostFactsView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_facts(
    State(state): State<WebState>,
    of: InGroup,
    path: PathOf<(String, HostId)>,
) -> Result<Json<HostFactsView>, ApiError> {
    let PathOf((_, id)) = path;
    host_in(&state, &of, &id).await?;
    let facts = state.metadb().host_facts(&of.group.id, &id).await.map_err(fault)?;
    let read = facts.is_some();
    let facts = facts.unwrap_or_default();
    let time = |millis: i64| rfc3339_of(bson::DateTime::from_millis(millis));
    Ok(Json(HostFactsView {
        at: read.then(|| time(facts.at)),
        host_info: facts.host_info,
        command_line: facts.command_line,
        startup_warnings: facts.startup_warnings,
        privileges: facts
            .privileges
            .into_iter()
            .map(|p| HostPrivilegeView { need: p.need, granted: p.granted, error: p.error })
            .collect(),
        unauthenticated: facts.unauthenticated,
        exposed: facts.exposed,
        certificate_ends: facts.certificate_ends.map(time),
        collections: facts
            .collections
            .into_iter()
            .map(|c| HostCollectionView {
                ns: c.ns,
                count: c.count,
                size_bytes: c.size_bytes,
                storage_bytes: c.storage_bytes,
                index_bytes: c.index_bytes,
                read_millis: c.read_millis,
                write_millis: c.write_millis,
            })
            .collect(),
    }))
}

/// Word of a role, for labels.
pub(super) fn role_word(role: HostRole) -> String {
    word(role)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noticed_says_what_to_do() {
        let facts = HostFacts {
            exposed: true,
            unauthenticated: true,
            certificate_ends: Some(9 * DAY_MILLIS),
            ..HostFacts::default()
        };
        let said = notices(&facts, 0);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].contains("authorization") && said[1].contains("in 9 days"));
        assert!(notices(&HostFacts { certificate_ends: Some(90 * DAY_MILLIS), ..HostFacts::default() }, 0).is_empty());
    }
}
