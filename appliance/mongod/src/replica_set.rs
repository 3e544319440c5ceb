//! Making a replica set of private servers: initiate, wait for a primary, the embedded single-member set.

use std::time::{Duration, Instant};

use bson::{Bson, Document, doc};
use mongodb::{
    Client,
    error::{Error, ErrorKind},
};

use crate::{
    error::{ReplicaSetError, StartError},
    options::MongodOptions,
    process::Mongod,
};

/// How long an embedded set may take to have a primary: one election, after whatever recovery the start had.
const PRIMARY_TIMEOUT: Duration = Duration::from_secs(60);
/// How often it is asked for.
const PRIMARY_POLL: Duration = Duration::from_millis(50);
/// The server's code for a set that is initiated already.
const ALREADY_INITIALIZED: i32 = 23;
/// The server's code for a member that has no configuration yet.
const NOT_YET_INITIALIZED: i32 = 94;

/// One member of a set to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// `host:port` as the others and the clients see it.
    pub host: String,
    /// Priority in elections; 0: never primary.
    pub priority: f64,
    /// Hidden from clients; needs priority 0.
    pub hidden: bool,
    /// Whether it votes.
    pub votes: bool,
}

impl Member {
    /// An ordinary member on a port of this machine.
    pub fn local(port: u16) -> Self {
        Self { host: format!("127.0.0.1:{port}"), priority: 1.0, hidden: false, votes: true }
    }
}

/// Settings of a set; `None`: the server's default (10 s and 2 s).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SetSettings {
    /// How long a member waits for the primary before it calls an election, in milliseconds.
    pub election_timeout_ms: Option<u32>,
    /// How often members look at each other, in milliseconds.
    pub heartbeat_interval_ms: Option<u32>,
}

/// Initiates a set through one of its members (direct connection). A set that is initiated already is left as it is.
///
/// # Errors
/// The server refused the configuration or could not be reached.
pub async fn initiate(
    client: &Client,
    set: &str,
    members: &[Member],
    settings: SetSettings,
) -> Result<(), ReplicaSetError> {
    let members: Vec<Bson> = members
        .iter()
        .enumerate()
        .map(|(id, member)| {
            let id = i32::try_from(id).unwrap_or(i32::MAX);
            Bson::from(doc! {
                "_id": id, "host": &member.host, "priority": member.priority, "hidden": member.hidden, "votes": i32::from(member.votes),
            })
        })
        .collect();
    let mut values = Document::new();
    if let Some(ms) = settings.election_timeout_ms {
        values.insert("electionTimeoutMillis", i64::from(ms));
    }
    if let Some(ms) = settings.heartbeat_interval_ms {
        values.insert("heartbeatIntervalMillis", i64::from(ms));
    }
    let config = doc! { "_id": set, "members": members, "settings": values };
    match client.database("admin").run_command(doc! { "replSetInitiate": config }).await {
        Err(error) if code(&error) == Some(ALREADY_INITIALIZED) => Ok(()),
        Err(source) => Err(ReplicaSetError::Command { what: "replSetInitiate", source }),
        Ok(_) => Ok(()),
    }
}

/// Waits until the server behind a direct connection is a primary that takes writes.
///
/// # Errors
/// It was not within the time.
pub async fn wait_primary(client: &Client, timeout: Duration) -> Result<(), ReplicaSetError> {
    let since = Instant::now();
    loop {
        let last = match client.database("admin").run_command(doc! { "hello": 1 }).await {
            Ok(hello) if hello.get_bool("isWritablePrimary").unwrap_or(false) => return Ok(()),
            Ok(hello) => match hello.get_str("primary") {
                Ok(primary) => format!("primary is {primary}"),
                Err(_) => hello.get_str("info").unwrap_or("no primary known").to_owned(),
            },
            Err(error) => error.to_string(),
        };
        if since.elapsed() > timeout {
            return Err(ReplicaSetError::NoPrimary { waited: timeout, last });
        }
        tokio::time::sleep(PRIMARY_POLL).await;
    }
}

/// Starts the single member of an embedded set, initiates it at its first start, follows a changed port, and waits until it
/// takes writes.
///
/// # Errors
/// As [`Mongod::start`], and [`StartError::ReplicaSet`].
pub async fn start_embedded(options: MongodOptions) -> Result<Mongod, StartError> {
    let Some(set) = options.repl_set.clone() else {
        return Err(StartError::Options("an embedded set needs a name".into()));
    };
    let member = Member::local(options.port);
    let mongod = Mongod::start(options).await?;
    make_single(&mongod.client(), &set, &member).await.map_err(StartError::ReplicaSet)?;
    Ok(mongod)
}

async fn make_single(client: &Client, set: &str, member: &Member) -> Result<(), ReplicaSetError> {
    match configuration(client).await? {
        None => initiate(client, set, std::slice::from_ref(member), SetSettings::default()).await?,
        Some(mut config) => {
            let missing = |field| ReplicaSetError::Answer { what: "replSetGetConfig", field };
            let members = config.get_array_mut("members").map_err(|_| missing("members"))?;
            // Grown to more members by the operator: their hosts are not ours to change.
            if let [Bson::Document(only)] = members.as_mut_slice()
                && only.get_str("host").map_err(|_| missing("host"))? != member.host
            {
                only.insert("host", &member.host);
                let version = config.get_i32("version").map_err(|_| missing("version"))?;
                config.insert("version", version.saturating_add(1));
                // The member does not find itself in its old configuration, so it is no primary that could be asked.
                client
                    .database("admin")
                    .run_command(doc! { "replSetReconfig": config, "force": true })
                    .await
                    .map_err(|source| ReplicaSetError::Command { what: "replSetReconfig", source })?;
            }
        }
    }
    wait_primary(client, PRIMARY_TIMEOUT).await
}

async fn configuration(client: &Client) -> Result<Option<Document>, ReplicaSetError> {
    match client.database("admin").run_command(doc! { "replSetGetConfig": 1 }).await {
        Ok(mut answer) => match answer.remove("config") {
            Some(Bson::Document(config)) => Ok(Some(config)),
            _ => Err(ReplicaSetError::Answer { what: "replSetGetConfig", field: "config" }),
        },
        Err(error) if code(&error) == Some(NOT_YET_INITIALIZED) => Ok(None),
        Err(source) => Err(ReplicaSetError::Command { what: "replSetGetConfig", source }),
    }
}

fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}
