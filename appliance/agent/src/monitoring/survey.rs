//! What belongs to a deployment, found from any one of its hosts: members with arbiters, hidden and delayed ones; routers, config servers and shards.
//!
//! Reads only. What a server may not be asked (no privilege) is left out, not guessed.

use std::collections::BTreeMap;

use bson::{Document, doc};
use holdfast_agent_api::HostRole;

use super::path::{documents, number, text, texts, whole};
use crate::backup::{JobError, Source, run};

/// A router that was not heard of for so long is gone, in milliseconds.
const MONGOS_SILENT_MILLIS: i64 = 5 * 60_000;

/// A host, and what it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Found {
    pub(super) host: String,
    pub(super) role: HostRole,
    pub(super) set: Option<String>,
    pub(super) shard: Option<String>,
    pub(super) cluster: Option<String>,
    pub(super) hidden: bool,
    pub(super) arbiter: bool,
    pub(super) delay_seconds: i64,
    pub(super) priority: Option<f64>,
    pub(super) votes: Option<i64>,
}

/// What a part of a cluster has in common.
#[derive(Clone, Debug, Default)]
struct Part {
    role: HostRole,
    shard: Option<String>,
    cluster: Option<String>,
}

/// A cluster, as its config servers describe it.
#[derive(Debug, Default)]
struct Cluster {
    id: String,
    /// Name and hosts.
    shards: Vec<(String, Vec<String>)>,
    config: Vec<String>,
    mongos: Vec<String>,
}

/// Looks around, from the first host that answers.
///
/// # Errors
/// None of the hosts answers.
pub(super) async fn survey(source: &Source) -> Result<Vec<Found>, JobError> {
    let mut why = None;
    for host in source.hosts() {
        match greet(source, &host).await {
            Ok(hello) => return look_from(source, &host, &hello).await,
            Err(error) => why = why.or(Some(error)),
        }
    }
    Err(why.unwrap_or_else(|| JobError::Setup("the connection string names no host".into())))
}

async fn greet(source: &Source, host: &str) -> Result<Document, JobError> {
    let failed = |source| JobError::Source { doing: "greet the server", member: host.to_owned(), source };
    match run(&source.client(host)?, "admin", doc! { "hello": 1 }).await {
        // An arbiter has no users: what it says to anyone must do.
        Err(_) if source.has_login() => {
            run(&source.anonymous(host)?, "admin", doc! { "hello": 1 }).await.map_err(failed)
        }
        answer => answer.map_err(failed),
    }
}

async fn ask(source: &Source, host: &str, db: &str, command: Document) -> Option<Document> {
    run(&source.client(host).ok()?, db, command).await.ok()
}

async fn all(source: &Source, host: &str, db: &str, command: Document) -> Vec<Document> {
    let answer = ask(source, host, db, command).await.unwrap_or_default();
    documents(&answer, "cursor.firstBatch").into_iter().cloned().collect()
}

async fn look_from(source: &Source, host: &str, hello: &Document) -> Result<Vec<Found>, JobError> {
    if text(hello, "msg") == Some("isdbgrid") {
        return Ok(cluster(source, host, Some(host)).await);
    }
    if hello.contains_key("configsvr") {
        return Ok(cluster(source, host, None).await);
    }
    let status = ask(source, host, "admin", doc! { "serverStatus": 1, "metrics": 0, "wiredTiger": 0 }).await;
    let config = status.as_ref().and_then(|status| text(status, "sharding.configsvrConnectionString"));
    if let Some(config) = config.map(hosts_of) {
        for host in &config {
            if greet(source, host).await.is_ok() {
                return Ok(cluster(source, host, None).await);
            }
        }
    }
    if text(hello, "setName").is_some() {
        let member = Part { role: HostRole::Member, ..Part::default() };
        return Ok(members(source, host, hello, &member).await);
    }
    Ok(vec![Found { host: host.to_owned(), ..Found::default() }])
}

/// `rs/a:1,b:2` without the name.
fn hosts_of(connection: &str) -> Vec<String> {
    let hosts = connection.split_once('/').map_or(connection, |(_, hosts)| hosts);
    hosts.split(',').map(str::trim).filter(|host| !host.is_empty()).map(str::to_owned).collect()
}

/// The members of a set, as one of them knows them.
async fn members(source: &Source, host: &str, hello: &Document, part: &Part) -> Vec<Found> {
    let set = text(hello, "setName").map(str::to_owned);
    let config = ask(source, host, "admin", doc! { "replSetGetConfig": 1 }).await.unwrap_or_default();
    members_of(hello, &config, set, part)
}

fn members_of(hello: &Document, config: &Document, set: Option<String>, part: &Part) -> Vec<Found> {
    let plain = |host: String, arbiter: bool| Found {
        host,
        role: part.role,
        set: set.clone(),
        shard: part.shard.clone(),
        cluster: part.cluster.clone(),
        arbiter,
        ..Found::default()
    };
    let configured = documents(config, "config.members");
    if configured.is_empty() {
        // Not allowed to see the configuration: hidden members are not known then.
        let mut found: Vec<Found> =
            ["hosts", "passives"].iter().flat_map(|list| texts(hello, list)).map(|host| plain(host, false)).collect();
        found.extend(texts(hello, "arbiters").into_iter().map(|host| plain(host, true)));
        return found;
    }
    let one = |member: &&Document| {
        let delay = whole(member, "secondaryDelaySecs").or_else(|| whole(member, "slaveDelay")).unwrap_or(0);
        Some(Found {
            hidden: number(member, "hidden") == Some(1.0),
            delay_seconds: delay,
            priority: number(member, "priority"),
            votes: whole(member, "votes"),
            ..plain(text(member, "host")?.to_owned(), number(member, "arbiterOnly") == Some(1.0))
        })
    };
    configured.iter().filter_map(one).collect()
}

/// A whole cluster. `host` is a router or a config server; `own` is the name under which we reached the router.
async fn cluster(source: &Source, host: &str, own: Option<&str>) -> Vec<Found> {
    let seen = describe(source, host, own).await;
    let cluster = Some(seen.id.clone()).filter(|id| !id.is_empty());
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    for mongos in seen.mongos {
        let router =
            Found { host: mongos.clone(), role: HostRole::Mongos, cluster: cluster.clone(), ..Found::default() };
        found.insert(mongos, router);
    }
    let config = Part { role: HostRole::Config, shard: None, cluster: cluster.clone() };
    let mut parts = vec![(config, seen.config)];
    for (name, hosts) in seen.shards {
        parts.push((Part { role: HostRole::Shard, shard: Some(name), cluster: cluster.clone() }, hosts));
    }
    for (part, hosts) in parts {
        let mut known = Vec::new();
        for host in &hosts {
            if let Ok(hello) = greet(source, host).await {
                known = members(source, host, &hello, &part).await;
                break;
            }
        }
        if known.is_empty() {
            // Nobody answers: they are there, and down.
            known = hosts
                .into_iter()
                .map(|host| Found {
                    host,
                    role: part.role,
                    shard: part.shard.clone(),
                    cluster: part.cluster.clone(),
                    ..Found::default()
                })
                .collect();
        }
        found.extend(known.into_iter().map(|member| (member.host.clone(), member)));
    }
    found.into_values().collect()
}

async fn describe(source: &Source, host: &str, own: Option<&str>) -> Cluster {
    let find = |collection: &str| doc! { "find": collection, "batchSize": 5_000 };
    let version = all(source, host, "config", find("version")).await;
    let id = version.iter().find_map(|doc| doc.get_object_id("clusterId").ok()).map(|id| id.to_hex());
    let shards = all(source, host, "config", find("shards")).await;
    let shards = shards.iter().filter_map(|doc| Some((text(doc, "_id")?.to_owned(), hosts_of(text(doc, "host")?))));
    let status = ask(source, host, "admin", doc! { "serverStatus": 1, "metrics": 0 }).await.unwrap_or_default();
    let config = text(&status, "sharding.configsvrConnectionString").map(hosts_of).unwrap_or_default();
    // A config server that does not say so is one of them itself.
    let config = if config.is_empty() && own.is_none() { vec![host.to_owned()] } else { config };
    let now = bson::DateTime::now().timestamp_millis();
    let alive =
        |doc: &Document| doc.get_datetime("ping").map_or(0, |at| at.timestamp_millis()) > now - MONGOS_SILENT_MILLIS;
    let routers = all(source, host, "config", find("mongos")).await;
    let mut mongos: Vec<String> =
        routers.iter().filter(|doc| alive(doc)).filter_map(|doc| text(doc, "_id").map(str::to_owned)).collect();
    if let Some(own) = own {
        // The router names itself otherwise than we do: it is the same one.
        let itself = text(&status, "host").unwrap_or_default();
        mongos.retain(|name| name != itself && name != own);
        mongos.push(own.to_owned());
    }
    Cluster { id: id.unwrap_or_default(), shards: shards.collect(), config, mongos }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_by_configuration_and_without_it() {
        let hello = doc! { "setName": "rs", "hosts": ["a:1"], "passives": ["p:1"], "arbiters": ["c:1"] };
        let config = doc! { "config": { "members": [
            { "host": "a:1", "priority": 1.0, "votes": 1 },
            { "host": "b:1", "priority": 0.0, "hidden": true, "secondaryDelaySecs": 60_i64, "votes": 1 },
            { "host": "c:1", "arbiterOnly": true, "votes": 1 },
        ] } };
        let part = Part { role: HostRole::Member, ..Part::default() };
        let found = members_of(&hello, &config, Some("rs".into()), &part);
        assert_eq!(found.iter().map(|f| f.host.as_str()).collect::<Vec<_>>(), ["a:1", "b:1", "c:1"]);
        assert!(found[1].hidden && found[1].delay_seconds == 60 && found[2].arbiter && !found[0].arbiter);
        let found = members_of(&hello, &Document::new(), Some("rs".into()), &part);
        assert_eq!(found.len(), 3);
        assert!(found[2].arbiter && found[2].set.as_deref() == Some("rs"));
        assert_eq!(hosts_of("cfg/x:1, y:2"), ["x:1", "y:2"]);
    }
}
