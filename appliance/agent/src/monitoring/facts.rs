//! What seldom changes of a host: machine, command line, start-up warnings, privileges, whether it is open to anyone.

use bson::{Document, doc};
use holdfast_agent_api::{CollectionFacts, HostFacts};
use mongodb::Client;

use super::{
    finding::now_millis,
    needs,
    path::{number, text, texts},
};
use crate::backup::{Source, run};

/// Start-up warnings of a host, at most.
const WARNINGS_MAX: usize = 50;

/// Facts, with what other parts need of them.
pub(super) struct Read {
    pub(super) facts: HostFacts,
    /// Processors of its machine.
    pub(super) cores: Option<f64>,
}

/// What is known already when facts are read.
pub(super) struct Known<'a> {
    pub(super) host: &'a str,
    pub(super) member: bool,
    pub(super) certificate_ends: Option<i64>,
    pub(super) collections: Vec<CollectionFacts>,
}

/// Reads them.
pub(super) async fn read(client: &Client, source: &Source, known: Known<'_>) -> Read {
    let ask = async |command: Document| run(client, "admin", command).await.ok();
    let info = ask(doc! { "hostInfo": 1 }).await.unwrap_or_default();
    let options = ask(doc! { "getCmdLineOpts": 1 }).await.unwrap_or_default();
    let log = ask(doc! { "getLog": "startupWarnings" }).await.unwrap_or_default();
    let unauthenticated = is_open(source, known.host).await;
    let parsed = options.get_document("parsed").cloned().unwrap_or_default();
    let facts = HostFacts {
        host: known.host.to_owned(),
        at: now_millis(),
        startup_warnings: texts(&log, "log").iter().take(WARNINGS_MAX).map(|line| warning(line)).collect(),
        privileges: needs::check(client, known.member).await,
        unauthenticated,
        exposed: unauthenticated && listens_widely(&parsed),
        certificate_ends: known.certificate_ends,
        collections: known.collections,
        host_info: json(strip(info.clone())),
        command_line: json(strip(options)),
    };
    Read { facts, cores: number(&info, "system.numCores") }
}

/// True when the host answers questions of someone who has not logged in.
async fn is_open(source: &Source, host: &str) -> bool {
    match source.stranger(host) {
        Ok(client) => run(&client, "admin", doc! { "listDatabases": 1, "nameOnly": true }).await.is_ok(),
        Err(_) => false,
    }
}

/// True when it listens on more than this machine's own addresses.
fn listens_widely(parsed: &Document) -> bool {
    if number(parsed, "net.bindIpAll") == Some(1.0) {
        return true;
    }
    let addresses = text(parsed, "net.bindIp").unwrap_or("localhost");
    let own = |address: &str| {
        address == "localhost" || address == "::1" || address.starts_with("127.") || address.starts_with('/')
    };
    addresses.split(',').map(str::trim).any(|address| !own(address))
}

/// What a line of the log says.
fn warning(line: &str) -> String {
    let parsed: Option<serde_json::Value> = serde_json::from_str(line).ok();
    let said = parsed.and_then(|line| line.get("msg")?.as_str().map(str::to_owned));
    said.unwrap_or_else(|| line.to_owned())
}

/// Without what only the protocol needs.
fn strip(mut answer: Document) -> Document {
    for field in
        ["ok", "$clusterTime", "operationTime", "$gleStats", "lastCommittedOpTime", "$configTime", "$topologyTime"]
    {
        answer.remove(field);
    }
    answer
}

/// As relaxed extended JSON.
pub(super) fn json(document: Document) -> serde_json::Value {
    bson::Bson::Document(document).into_relaxed_extjson()
}

/// Answers of a server for a ping that is kept.
pub(super) fn ping_of(status: &Document, set_status: Option<&Document>) -> serde_json::Value {
    let mut answers = serde_json::Map::new();
    answers.insert("serverStatus".into(), json(strip(status.clone())));
    if let Some(status) = set_status {
        answers.insert("replSetGetStatus".into(), json(strip(status.clone())));
    }
    serde_json::Value::Object(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_widely() {
        assert!(!listens_widely(&Document::new()));
        assert!(!listens_widely(&doc! { "net": { "bindIp": "127.0.0.1,::1,/tmp/x.sock" } }));
        assert!(listens_widely(&doc! { "net": { "bindIp": "localhost,10.0.0.4" } }));
        assert!(listens_widely(&doc! { "net": { "bindIpAll": true } }));
    }

    #[test]
    fn warnings_are_sentences() {
        assert_eq!(
            warning(r#"{"t":{},"s":"W","msg":"Access control is not enabled"}"#),
            "Access control is not enabled"
        );
        assert_eq!(warning("** WARNING: x"), "** WARNING: x");
    }
}
