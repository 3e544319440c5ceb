//! Looks at a deployment: what it is, whether it can be backed up, and what is not allowed. Reads only.

use std::time::Duration;

use bson::{Document, doc};
use holdfast_agent_api::{DiscoveryReport, SourceInfo, SourceMember};
use mongodb::{Client, error::ErrorKind};

use super::{
    error::{JobError, command_code},
    privileges,
    source::{SetState, Source, number, run, set_state},
};
use crate::retry::with_sources;

/// How long the hosts of a connection string are tried before the report says that none answers.
const TRY_FOR: Duration = Duration::from_secs(20);
/// Pause between tries.
const PAUSE: Duration = Duration::from_secs(2);

/// Server's code: not authorised.
const UNAUTHORIZED: i32 = 13;
/// Server's code: the login failed.
const AUTHENTICATION_FAILED: i32 = 18;

/// What a host turned out to be.
enum Found {
    Set(Box<SourceInfo>, Client),
    Refused(String),
    /// An arbiter or a member that is not ready: another host may tell more.
    Elsewhere(String),
}

/// Looks at a deployment by its connection string.
pub(crate) async fn discover(uri: &str) -> DiscoveryReport {
    let since = std::time::Instant::now();
    loop {
        match look(uri).await {
            Ok(report) => return report,
            Err(error) if since.elapsed() > TRY_FOR || matches!(error, JobError::Setup(_)) => {
                return refused(format!("the agent cannot look at this deployment: {}", with_sources(&error)));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

fn refused(why: String) -> DiscoveryReport {
    DiscoveryReport { refusal: Some(why), source: None, privileges: Vec::new() }
}

async fn look(uri: &str) -> Result<DiscoveryReport, JobError> {
    let source = Source::parse(uri, "the deployment").await?;
    let mut why = None;
    for host in source.hosts() {
        let client = source.client(&host)?;
        match look_at(&client, &host).await {
            Ok(Found::Set(info, client)) => {
                let privileges = privileges::check(&client).await;
                return Ok(DiscoveryReport { refusal: None, source: Some(*info), privileges });
            }
            Ok(Found::Refused(sentence)) => return Ok(refused(sentence)),
            Ok(Found::Elsewhere(sentence)) => why = Some(JobError::NoMember(sentence)),
            // The same login at the next host would be one more failure in the source's log.
            Err(error) => match login_refusal(&error, &host) {
                Some(sentence) => return Ok(refused(sentence)),
                None => why = why.or(Some(error)),
            },
        }
    }
    Err(why.unwrap_or_else(|| JobError::Setup("the connection string names no host".into())))
}

async fn look_at(client: &Client, host: &str) -> Result<Found, JobError> {
    let failed = |source| JobError::Source { doing: "greet the server", member: host.to_owned(), source };
    let hello = run(client, "admin", doc! { "hello": 1 }).await.map_err(failed)?;
    if let Some(refusal) = refusal_by_hello(&hello, host) {
        return Ok(Found::Refused(refusal));
    }
    if number(&hello, "arbiterOnly") == Some(1) {
        return Ok(Found::Elsewhere(format!("{host} is an arbiter and holds no data: name another member")));
    }
    let options = command_line(client).await;
    if let Some(refusal) = refusal_by_role(client, &hello, &options, host).await {
        return Ok(Found::Refused(refusal));
    }
    source_info(client, host).await.map(|info| Found::Set(Box::new(info), client.clone()))
}

/// A login that is wrong or may do nothing stays so: trying again says nothing new.
fn login_refusal(error: &JobError, host: &str) -> Option<String> {
    let JobError::Source { source, .. } = error else { return None };
    if matches!(&*source.kind, ErrorKind::Authentication { .. }) || command_code(source) == Some(AUTHENTICATION_FAILED)
    {
        return Some(format!(
            "{host} refuses the login of the connection string: check its user, password and authSource (the database that the user was created in)"
        ));
    }
    (command_code(source) == Some(UNAUTHORIZED)).then(|| {
        format!(
            "{host} does not allow this: the connection string names no user, or one without the privileges that a backup needs (`holdfast-agent role` makes one that has them)"
        )
    })
}

fn refusal_by_hello(hello: &Document, host: &str) -> Option<String> {
    if hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid") {
        return Some(format!(
            "{host} is a mongos: sharded clusters are not backed up yet. Nothing of this deployment is backed up"
        ));
    }
    if hello.get_str("setName").is_ok() {
        return None;
    }
    if number(hello, "isreplicaset") == Some(1) {
        return Some(format!(
            "{host} belongs to a replica set that is not initiated: run rs.initiate() there, then add it again"
        ));
    }
    Some(format!(
        "{host} is a standalone server, which has no oplog to follow. Make it a replica set of one member: set replication.replSetName in its configuration, restart it, run rs.initiate() there, then add it again"
    ))
}

async fn refusal_by_role(client: &Client, hello: &Document, options: &Document, host: &str) -> Option<String> {
    let role = options.get_document("sharding").ok().and_then(|s| s.get_str("clusterRole").ok());
    let shard_identity =
        run(client, "admin", doc! { "find": "system.version", "filter": { "_id": "shardIdentity" }, "limit": 1 }).await;
    let has_identity = shard_identity.is_ok_and(|answer| {
        let batch = answer.get_document("cursor").and_then(|c| c.get_array("firstBatch"));
        batch.is_ok_and(|b| !b.is_empty())
    });
    let what = match role {
        _ if hello.contains_key("configsvr") => "a config server",
        Some("configsvr") => "a config server",
        Some(_) => "a shard",
        None if has_identity => "a shard",
        None => return None,
    };
    Some(format!(
        "{host} is a member of {what} of a sharded cluster: backing up one part of a cluster would look complete and not be. Sharded clusters are not backed up yet"
    ))
}

/// `getCmdLineOpts.parsed`; empty when not allowed.
async fn command_line(client: &Client) -> Document {
    let answer = run(client, "admin", doc! { "getCmdLineOpts": 1 }).await;
    answer.ok().and_then(|a| a.get_document("parsed").ok().cloned()).unwrap_or_default()
}

/// What a member's set is.
pub(crate) async fn source_info(client: &Client, host: &str) -> Result<SourceInfo, JobError> {
    let failed = |doing| move |source| JobError::Source { doing, member: host.to_owned(), source };
    let (rs, SetState { candidates, .. }) = set_state(client, host).await?;
    let build = run(client, "admin", doc! { "buildInfo": 1 }).await.map_err(failed("read the server's version"))?;
    let fcv = run(client, "admin", doc! { "getParameter": 1, "featureCompatibilityVersion": 1 }).await;
    let fcv = fcv.map_err(failed("read the feature compatibility version"))?;
    let fcv = fcv
        .get_document("featureCompatibilityVersion")
        .and_then(|f| f.get_str("version"))
        .unwrap_or_default()
        .to_owned();
    let storage = command_line(client).await.get_document("storage").cloned().unwrap_or_default();
    let engine =
        storage.get_document("wiredTiger").and_then(|w| w.get_document("engineConfig")).cloned().unwrap_or_default();
    let (data_bytes, storage_bytes) = bytes_of(client).await.map_err(failed("read the sizes of the databases"))?;
    let members = candidates
        .into_iter()
        .map(|c| SourceMember { host: c.host, state: c.state, hidden: c.hidden, delay_seconds: c.delay_seconds })
        .collect();
    Ok(SourceInfo {
        rs,
        members,
        version: build.get_str("version").unwrap_or_default().to_owned(),
        fcv,
        directory_per_db: number(&storage, "directoryPerDB") == Some(1),
        directory_for_indexes: number(&engine, "directoryForIndexes") == Some(1),
        storage_bytes,
        data_bytes,
    })
}

/// Bytes of documents, and of data files with indexes, over all databases that are backed up.
pub(crate) async fn bytes_of(client: &Client) -> Result<(u64, u64), mongodb::error::Error> {
    let answer = run(client, "admin", doc! { "listDatabases": 1, "nameOnly": true }).await?;
    let (mut data, mut storage) = (0, 0);
    for db in answer.get_array("databases").map(Vec::as_slice).unwrap_or_default() {
        let Some(name) = db.as_document().and_then(|db| db.get_str("name").ok()) else { continue };
        if matches!(name, "local" | "config") {
            continue;
        }
        let stats = run(client, name, doc! { "dbStats": 1 }).await?;
        let of = |field| number(&stats, field).and_then(|n| u64::try_from(n).ok()).unwrap_or_default();
        data += of("dataSize");
        storage += of("storageSize") + of("indexSize");
    }
    Ok((data, storage))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_to_do() {
        let said = |hello| refusal_by_hello(&hello, "h:1").unwrap_or_default();
        assert!(said(doc! { "msg": "isdbgrid" }).contains("mongos"));
        assert!(said(doc! { "isWritablePrimary": true }).contains("rs.initiate()"));
        assert!(said(doc! { "isreplicaset": true }).contains("not initiated"));
        assert_eq!(said(doc! { "setName": "rs0" }), "");
    }
}
