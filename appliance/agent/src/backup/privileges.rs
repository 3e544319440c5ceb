//! The least that backing up needs: a role with exactly that, and a check of every single need.

use bson::{Bson, Document, doc};
use holdfast_agent_api::PrivilegeCheck;
use mongodb::Client;

use super::{error::command_code, listing::uuid_bson, source::run};

/// Name of the role, in `admin`.
pub const ROLE: &str = "holdfastBackup";
/// Server's code: not authorised.
const UNAUTHORIZED: i32 = 13;
/// Server's codes: the role or user exists.
const EXISTS: [i32; 2] = [51_002, 51_003];

/// Built-in roles that ours inherits.
fn inherited() -> Vec<Document> {
    ["backup", "clusterMonitor"].iter().map(|role| doc! { "role": *role, "db": "admin" }).collect()
}

/// What the built-in roles lack.
fn privileges() -> Vec<Document> {
    let on = |db: &str, collection: &str, actions: &[&str]| {
        doc! { "resource": { "db": db, "collection": collection }, "actions": actions }
    };
    vec![
        on("", "system.views", &["find", "listIndexes"]),
        on("", "system.js", &["find", "listIndexes"]),
        on("admin", "system.keys", &["find", "listIndexes"]),
        on("config", "system.preimages", &["find"]),
        on("local", "replset.initialSyncId", &["find"]),
        on("", "", &["dbHash"]),
    ]
}

/// How the server knows that the user is the one.
#[derive(Clone, Debug)]
pub enum UserProof {
    /// By a password (SCRAM).
    Password(String),
    /// By a certificate (x509), LDAP or Kerberos: the server keeps no password.
    External,
}

impl UserProof {
    /// Database that the user belongs to.
    #[must_use]
    pub fn database(&self) -> &'static str {
        match self {
            Self::Password(_) => "admin",
            Self::External => "$external",
        }
    }
}

/// Creates the role and the user, or brings them to what they should be.
///
/// # Errors
/// The server's, when the administrator may not do this.
pub async fn create_role_and_user(client: &Client, user: &str, proof: &UserProof) -> Result<(), mongodb::error::Error> {
    let role = doc! { "createRole": ROLE, "privileges": privileges(), "roles": inherited() };
    ensure(client, "admin", role, "createRole", "updateRole").await?;
    let mut create = doc! { "createUser": user, "roles": vec![doc! { "role": ROLE, "db": "admin" }] };
    if let UserProof::Password(password) = proof {
        create.insert("pwd", password);
    }
    ensure(client, proof.database(), create, "createUser", "updateUser").await
}

async fn ensure(
    client: &Client,
    db: &str,
    create: Document,
    verb: &str,
    update: &str,
) -> Result<(), mongodb::error::Error> {
    match run(client, db, create.clone()).await {
        Err(error) if command_code(&error).is_some_and(|code| EXISTS.contains(&code)) => {
            let fields = create
                .into_iter()
                .map(|(key, value)| if key == verb { (update.to_owned(), value) } else { (key, value) });
            run(client, db, fields.collect()).await.map(drop)
        }
        done => done.map(drop),
    }
}

/// Tries every single thing that backing up needs.
pub async fn check(client: &Client) -> Vec<PrivilegeCheck> {
    let find = |collection: &str| doc! { "find": collection, "limit": 1, "singleBatch": true };
    let mut needs: Vec<(&str, String, Document)> = vec![
        ("read the oplog", "local".into(), find("oplog.rs")),
        ("read which member copied what", "local".into(), find("replset.initialSyncId")),
        ("read open transactions", "config".into(), find("transactions")),
        ("read pre-images", "config".into(), find("system.preimages")),
        ("list the databases", "admin".into(), doc! { "listDatabases": 1, "nameOnly": true }),
        ("list the collections", "admin".into(), doc! { "listCollections": 1, "cursor": {} }),
        ("read users and roles", "admin".into(), find("system.users")),
        ("read the server's keys", "admin".into(), find("system.keys")),
        ("see the replica set's state", "admin".into(), doc! { "replSetGetStatus": 1 }),
        ("see the replica set's configuration", "admin".into(), doc! { "replSetGetConfig": 1 }),
        ("see the server's health", "admin".into(), doc! { "serverStatus": 1 }),
        ("see the server's options", "admin".into(), doc! { "getCmdLineOpts": 1 }),
        (
            "see the feature compatibility version",
            "admin".into(),
            doc! { "getParameter": 1, "featureCompatibilityVersion": 1 },
        ),
        ("read sizes", "admin".into(), doc! { "dbStats": 1 }),
        ("compare by hash", "admin".into(), doc! { "dbHash": 1, "collections": ["system.version"] }),
    ];
    for (db, name) in some_views(client).await {
        needs.push(("read definitions of views", db, find(&name)));
    }
    let mut out = Vec::new();
    for (need, db, command) in needs {
        out.push(outcome(need, run(client, &db, command).await.map(drop)));
    }
    out.extend(by_uuid(client).await);
    out
}

fn outcome(need: &str, done: Result<(), mongodb::error::Error>) -> PrivilegeCheck {
    let error = done.err().map(|error| error.to_string());
    PrivilegeCheck { need: need.to_owned(), granted: error.is_none(), error }
}

/// One collection of view definitions, if there is one; else the name in `admin`, where reading nothing is allowed or not just the same.
async fn some_views(client: &Client) -> Vec<(String, String)> {
    vec![(first_database(client).await, "system.views".to_owned())]
}

/// A database of the user's, or `admin`.
async fn first_database(client: &Client) -> String {
    let answer = run(client, "admin", doc! { "listDatabases": 1, "nameOnly": true }).await.unwrap_or_default();
    let names = answer.get_array("databases").cloned().unwrap_or_default();
    let mut names = names.iter().filter_map(|db| db.as_document()?.get_str("name").ok());
    names.find(|name| !matches!(*name, "admin" | "local" | "config")).unwrap_or("admin").to_owned()
}

/// Scans go by UUID: tried on one collection of each kind that there is.
async fn by_uuid(client: &Client) -> Vec<PrivilegeCheck> {
    let mut out = Vec::new();
    let databases = run(client, "admin", doc! { "listDatabases": 1, "nameOnly": true }).await.unwrap_or_default();
    let mut kinds: Vec<(&str, String, Bson)> = Vec::new();
    for db in databases.get_array("databases").map(Vec::as_slice).unwrap_or_default() {
        let Some(db) = db.as_document().and_then(|db| db.get_str("name").ok()) else { continue };
        if matches!(db, "local" | "config") {
            continue;
        }
        let lists =
            run(client, db, doc! { "listCollections": 1, "cursor": { "batchSize": 1000 } }).await.unwrap_or_default();
        let Ok(batch) = lists.get_document("cursor").and_then(|c| c.get_array("firstBatch")) else { continue };
        for listed in batch.iter().filter_map(Bson::as_document) {
            let name = listed.get_str("name").unwrap_or_default();
            let need = match name {
                _ if name.starts_with("system.buckets.") => "read time series by UUID",
                "system.views" => "read definitions of views by UUID",
                "system.profile" => continue,
                _ if db == "admin" => "read users, roles and keys by UUID",
                _ => "read collections by UUID",
            };
            // Of admin every collection counts, of other kinds one.
            if db != "admin" && kinds.iter().any(|(known, ..)| *known == need) {
                continue;
            }
            let uuid = listed.get_document("info").ok().and_then(|i| i.get("uuid")).and_then(|u| match u {
                Bson::Binary(binary) => uuid_bson(&hex::encode(&binary.bytes)).ok(),
                _ => None,
            });
            if let Some(uuid) = uuid {
                kinds.push((need, db.to_owned(), uuid));
            }
        }
    }
    for (need, db, uuid) in kinds {
        let find = doc! {
            "find": uuid.clone(), "limit": 1, "hint": { "$natural": 1 }, "$_requestResumeToken": true, "singleBatch": true,
            "readConcern": { "level": "majority" },
        };
        let done = match run(client, &db, find).await {
            Ok(_) => run(client, &db, doc! { "listIndexes": uuid }).await.map(drop),
            Err(error) => Err(error),
        };
        // A collection that went away between the list and the read says nothing about privileges.
        let done = done
            .or_else(|error| if command_code(&error).is_some_and(|c| c != UNAUTHORIZED) { Ok(()) } else { Err(error) });
        if !out.iter().any(|known: &PrivilegeCheck| known.need == need && known.granted == done.is_ok()) {
            out.push(outcome(need, done));
        }
    }
    out
}
