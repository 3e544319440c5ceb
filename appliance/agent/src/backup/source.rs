//! The replica set that is backed up: its connection string, its members, one direct connection to the member in use.
//!
//! Every command goes to one member, chosen by us, with the credentials and TLS options of the string; the driver's own choice of
//! members is never used, because resume tokens and cursors hold on one member only.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bson::{Document, RawDocument, RawDocumentBuf, Timestamp, doc};
use futures::{StreamExt as _, TryStreamExt as _, stream::FuturesUnordered};
use holdfast_domain::{OpTime, Ts};
use mongodb::{
    Client,
    options::{ClientOptions, ServerAddress},
    raw_batch_cursor::RawBatchCursor,
};

use super::{
    entry::{Entry, optime_of},
    error::{JobError, code, command_code},
    member_choice::{Candidate, Wishes, choose},
};

/// How long a member may take to be found and connected.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a small command may take: a hung member must not hang the agent.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);
/// Connections to the member in use: scans, tail, health, catalog.
const POOL_MAX: u32 = 8;
/// Once one member has answered, the others have this long to know better.
const SURVEY_GRACE: Duration = Duration::from_millis(1500);
/// How long a member may take to reach a point before its caller looks around again.
const REACH_TIMEOUT: Duration = Duration::from_secs(10);

/// A replica set.
pub(crate) struct Source {
    options: ClientOptions,
    rs: String,
    hosts: Mutex<Vec<String>>,
    clients: Mutex<HashMap<String, Client>>,
    /// The string says `directConnection=true`: only its own host is ever asked.
    direct: bool,
}

/// A member, connected.
#[derive(Clone)]
pub(crate) struct Member {
    /// `host:port`.
    pub(crate) host: String,
    pub(crate) client: Client,
    /// `host:port/initialSyncId`: a resume token holds for exactly this.
    pub(crate) identity: String,
}

/// How the set is.
#[derive(Clone, Debug)]
pub(crate) struct SetState {
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) voting: usize,
    pub(crate) voting_up: usize,
    pub(crate) primary: bool,
}

impl SetState {
    /// A sentence when no write can be majority committed now.
    pub(crate) fn without_majority(&self) -> Option<String> {
        let Self { voting, voting_up, primary, .. } = self;
        if *voting_up <= voting / 2 {
            return Some(format!(
                "the source has no majority: {voting_up} of {voting} voting members answer, so no write can be committed"
            ));
        }
        (!primary).then(|| "the source has no primary now".to_owned())
    }
}

impl Source {
    /// Reads a connection string.
    pub(crate) async fn parse(uri: &str, rs: &str) -> Result<Self, JobError> {
        let mut options = ClientOptions::parse(uri)
            .await
            .map_err(|error| JobError::Setup(format!("the connection string of {rs} cannot be used: {error}")))?;
        let direct = options.direct_connection == Some(true);
        let hosts = options.hosts.iter().map(address_text).collect();
        options.repl_set_name = None;
        options.direct_connection = Some(true);
        options.load_balanced = None;
        options.read_concern = None;
        options.selection_criteria = None;
        options.app_name = Some("holdfast-agent".into());
        options.max_pool_size = Some(POOL_MAX);
        options.min_pool_size = None;
        options.connect_timeout = Some(CONNECT_TIMEOUT);
        options.server_selection_timeout = Some(CONNECT_TIMEOUT);
        Ok(Self { options, rs: rs.to_owned(), hosts: Mutex::new(hosts), clients: Mutex::default(), direct })
    }

    /// Members known so far.
    pub(crate) fn hosts(&self) -> Vec<String> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A direct client of one host, the same one every time. Connects lazily.
    pub(crate) fn client(&self, host: &str) -> Result<Client, JobError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(host) {
            return Ok(client.clone());
        }
        let bad = |error| JobError::Setup(format!("{host} cannot be connected to: {error}"));
        let mut options = self.options.clone();
        options.hosts = vec![ServerAddress::parse(host).map_err(bad)?];
        let client = Client::with_options(options).map_err(bad)?;
        clients.insert(host.to_owned(), client.clone());
        Ok(client)
    }

    /// True when the string names someone to log in as.
    pub(crate) fn has_login(&self) -> bool {
        self.options.credential.is_some()
    }

    /// A direct client of one host that logs in as nobody, the same one every time: an arbiter has no users.
    pub(crate) fn anonymous(&self, host: &str) -> Result<Client, JobError> {
        if !self.has_login() {
            return self.client(host);
        }
        let key = format!("nobody@{host}");
        if let Some(client) = self.clients.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(client.clone());
        }
        let client = self.stranger(host)?;
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).insert(key, client.clone());
        Ok(client)
    }

    /// The same for one question: its connections end with it.
    pub(crate) fn stranger(&self, host: &str) -> Result<Client, JobError> {
        let bad = |error| JobError::Setup(format!("{host} cannot be connected to: {error}"));
        let mut options = self.options.clone();
        options.credential = None;
        options.hosts = vec![ServerAddress::parse(host).map_err(bad)?];
        Client::with_options(options).map_err(bad)
    }

    /// How the set is, as the first member that knows a primary sees it; without one, as the first that answers.
    pub(crate) async fn survey(&self) -> Result<SetState, JobError> {
        let mut asked: FuturesUnordered<_> = self
            .hosts()
            .into_iter()
            .map(|host| async move {
                let state = async { set_state(&self.client(&host)?, &host).await }.await;
                (host, state)
            })
            .collect();
        let (mut why, mut second_best, mut until) = (String::new(), None, None);
        loop {
            let next = async {
                match until {
                    None => asked.next().await,
                    // A member that does not answer must not hold up those that do.
                    Some(until) => tokio::time::timeout_at(until, asked.next()).await.unwrap_or(None),
                }
            };
            match next.await {
                Some((host, Ok((rs, _)))) if rs != self.rs => {
                    return Err(JobError::Setup(format!(
                        "{host} belongs to the replica set {rs}, not to {}: correct the connection string",
                        self.rs
                    )));
                }
                Some((_, Ok((_, state)))) if state.primary => {
                    self.learn(&state);
                    return Ok(state);
                }
                Some((_, Ok((_, state)))) => {
                    second_best.get_or_insert(state);
                    until.get_or_insert_with(|| tokio::time::Instant::now() + SURVEY_GRACE);
                }
                Some((_, Err(error))) => why = format!("{why}; {}", crate::retry::with_sources(&error)),
                None => break,
            }
        }
        if let Some(state) = second_best {
            self.learn(&state);
            return Ok(state);
        }
        let why = why.trim_start_matches("; ");
        Err(JobError::NoMember(format!("no member of {} answers: {why}", self.rs)))
    }

    /// Remembers the members, for when the hosts of the connection string are gone.
    fn learn(&self, state: &SetState) {
        if self.direct {
            return;
        }
        let mut known: Vec<String> = state.candidates.iter().map(|c| c.host.clone()).collect();
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(hosts.iter().filter(|h| !state.candidates.iter().any(|c| c.host == **h)).cloned());
        *hosts = known;
    }

    /// Chooses a member and connects to it.
    pub(crate) async fn pick(&self, wishes: Wishes<'_>) -> Result<Member, JobError> {
        let mut state = self.survey().await?;
        if self.direct {
            let own = self.hosts();
            state.candidates.retain(|c| own.contains(&c.host));
        }
        let chosen = choose(&state.candidates, wishes).ok_or_else(|| {
            let seen: Vec<String> = state.candidates.iter().map(|c| format!("{} {}", c.host, c.state)).collect();
            let seen = seen.join(", ");
            JobError::NoMember(format!("no member of {} can be read from now ({seen})", self.rs))
        })?;
        Member::connect(chosen.host.clone(), self.client(&chosen.host)?).await
    }
}

impl Member {
    async fn connect(host: String, client: Client) -> Result<Self, JobError> {
        let mut member = Self { identity: host.clone(), host, client };
        let find = doc! { "find": "replset.initialSyncId", "limit": 1 };
        let id = member.first("local", find, "read the initial sync id").await?;
        let id = match id.as_ref().and_then(|d| d.get_binary("_id").ok()) {
            Some(binary) => hex::encode(binary.bytes),
            None => "first".to_owned(),
        };
        member.identity = format!("{}/{id}", member.host);
        Ok(member)
    }

    /// An error of this member.
    pub(crate) fn error(&self, doing: &'static str, source: mongodb::error::Error) -> JobError {
        JobError::Source { doing, member: self.host.clone(), source }
    }

    /// Runs a command with a bounded time.
    pub(crate) async fn run(&self, db: &str, command: Document, doing: &'static str) -> Result<Document, JobError> {
        run(&self.client, db, command).await.map_err(|source| self.error(doing, source))
    }

    /// Opens a cursor by a command.
    pub(crate) async fn cursor(
        &self,
        db: &str,
        command: Document,
        batch_size: u32,
        await_data: Option<Duration>,
        doing: &'static str,
    ) -> Result<RawBatchCursor, JobError> {
        let db = self.client.database(db);
        let mut action = db.run_cursor_command(command).batch_size(batch_size);
        if let Some(time) = await_data {
            action = action.max_time(time).cursor_type(mongodb::options::CursorType::TailableAwait);
        }
        let opened = tokio::time::timeout(COMMAND_TIMEOUT, action.batch()).await;
        opened.unwrap_or_else(|_| Err(timed_out())).map_err(|source| self.error(doing, source))
    }

    /// The first document of a find.
    pub(crate) async fn first(
        &self,
        db: &str,
        mut command: Document,
        doing: &'static str,
    ) -> Result<Option<RawDocumentBuf>, JobError> {
        command.insert("singleBatch", true);
        let mut cursor = self.cursor(db, command, 1, None, doing).await?;
        let Some(batch) = cursor.try_next().await.map_err(|source| self.error(doing, source))? else { return Ok(None) };
        let docs = batch.doc_slices().map_err(|source| self.error(doing, source))?;
        let first = docs.into_iter().next().and_then(Result::ok);
        Ok(first.and_then(|value| value.as_document().map(ToOwned::to_owned)))
    }

    /// The newest majority committed entry: exact, unlike the points that `hello` shows.
    pub(crate) async fn majority_point(&self) -> Result<OpTime, JobError> {
        let find =
            doc! { "find": "oplog.rs", "sort": { "$natural": -1 }, "limit": 1, "readConcern": { "level": "majority" } };
        self.entry_of(find, "read the newest majority committed entry")
            .await?
            .ok_or_else(|| JobError::NoMember(format!("{} has no majority committed entry yet", self.host)))
    }

    /// The oldest entry that this member's oplog holds.
    pub(crate) async fn oldest_point(&self) -> Result<OpTime, JobError> {
        let find = doc! { "find": "oplog.rs", "sort": { "$natural": 1 }, "limit": 1 };
        let oldest = self.entry_of(find, "read the oldest oplog entry").await?;
        oldest.ok_or_else(|| JobError::NoMember(format!("the oplog of {} is empty", self.host)))
    }

    async fn entry_of(&self, find: Document, doing: &'static str) -> Result<Option<OpTime>, JobError> {
        match self.first("local", find, doing).await? {
            None => Ok(None),
            Some(raw) => Entry::read(&raw).map(|entry| Some(entry.at)),
        }
    }

    /// Waits until the majority point of this member has reached `point`. False: not within [`REACH_TIMEOUT`].
    pub(crate) async fn reached(&self, point: Ts) -> Result<bool, JobError> {
        let find = doc! {
            "find": "oplog.rs", "filter": { "ts": Timestamp::from(point) }, "limit": 1,
            "readConcern": { "level": "majority", "afterClusterTime": Timestamp::from(point) },
            "maxTimeMS": i32::try_from(REACH_TIMEOUT.as_millis()).unwrap_or(i32::MAX),
        };
        match self.first("local", find, "wait for the majority point").await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some(code::MAX_TIME_EXPIRED) => Ok(false),
            // The member has not heard of that cluster time yet (BadValue, InvalidOptions).
            Err(error) if matches!(error.code(), Some(2 | 72)) => {
                tokio::time::sleep(Duration::from_millis(500)).await;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

/// Runs a command with a bounded time.
pub(crate) async fn run(client: &Client, db: &str, command: Document) -> Result<Document, mongodb::error::Error> {
    let db = client.database(db);
    tokio::time::timeout(COMMAND_TIMEOUT, db.run_command(command)).await.unwrap_or_else(|_| Err(timed_out()))
}

fn timed_out() -> mongodb::error::Error {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time").into()
}

/// `operationTime` of a reply.
pub(crate) fn operation_time(reply: &RawDocument) -> Ts {
    reply.get_timestamp("operationTime").map(Ts::from).unwrap_or_default()
}

/// `host:port` of an address.
pub(crate) fn address_text(address: &ServerAddress) -> String {
    match address {
        ServerAddress::Tcp { host, port } => {
            let port = port.unwrap_or(27017);
            if host.contains(':') && !host.starts_with('[') {
                format!("[{host}]:{port}")
            } else {
                format!("{host}:{port}")
            }
        }
        other => other.to_string(),
    }
}

/// Name of the set and its state, as one member sees them.
pub(crate) async fn set_state(client: &Client, host: &str) -> Result<(String, SetState), JobError> {
    let failed = |doing| move |source| JobError::Source { doing, member: host.to_owned(), source };
    let status = run(client, "admin", doc! { "replSetGetStatus": 1 }).await.map_err(failed("read the set's state"))?;
    let config = match run(client, "admin", doc! { "replSetGetConfig": 1 }).await {
        Ok(answer) => answer.get_document("config").cloned().unwrap_or_default(),
        // Not initiated as this member sees it, or not allowed: the state alone must do.
        Err(error) if command_code(&error).is_some() => Document::new(),
        Err(error) => return Err(failed("read the set's configuration")(error)),
    };
    let set = status.get_str("set").unwrap_or_default().to_owned();
    Ok((set, state_from(&status, &config)))
}

fn documents<'a>(document: &'a Document, field: &str) -> Vec<&'a Document> {
    document.get_array(field).map(|all| all.iter().filter_map(bson::Bson::as_document).collect()).unwrap_or_default()
}

/// A number of any type.
pub(crate) fn number(document: &Document, field: &str) -> Option<i64> {
    match document.get(field)? {
        bson::Bson::Int32(n) => Some(i64::from(*n)),
        bson::Bson::Int64(n) => Some(*n),
        #[allow(clippy::cast_possible_truncation, reason = "whole numbers that the server sends as doubles")]
        bson::Bson::Double(n) => Some(*n as i64),
        bson::Bson::Boolean(b) => Some(i64::from(*b)),
        _ => None,
    }
}

fn state_from(status: &Document, config: &Document) -> SetState {
    let members = documents(status, "members");
    let configured = documents(config, "members");
    let settings = |host: &str| configured.iter().copied().find(|m| m.get_str("host").is_ok_and(|h| h == host));
    let seconds = |m: &Document| m.get_datetime("optimeDate").map(|d| d.timestamp_millis() / 1000).unwrap_or_default();
    let newest = members.iter().map(|m| seconds(m)).max().unwrap_or_default();
    let candidates: Vec<Candidate> = members
        .iter()
        .map(|m| {
            let host = m.get_str("name").unwrap_or_default().to_owned();
            let own = settings(&host);
            let flag = |field| own.and_then(|o| number(o, field)).unwrap_or_default();
            let state = m.get_str("stateStr").unwrap_or_default().to_owned();
            Candidate {
                arbiter: flag("arbiterOnly") != 0 || state == "ARBITER",
                hidden: flag("hidden") != 0,
                delay_seconds: flag("secondaryDelaySecs").max(flag("slaveDelay")),
                healthy: number(m, "health") == Some(1),
                lag_seconds: newest - seconds(m),
                host,
                state,
            }
        })
        .collect();
    let votes = |c: &&Candidate| settings(&c.host).and_then(|o| number(o, "votes")).unwrap_or(1) > 0;
    let up = |c: &&Candidate| {
        c.healthy && !matches!(c.state.as_str(), "DOWN" | "UNKNOWN" | "REMOVED" | "(not reachable/healthy)")
    };
    SetState {
        voting: candidates.iter().filter(votes).count(),
        voting_up: candidates.iter().filter(votes).filter(up).count(),
        primary: candidates.iter().any(|c| c.healthy && c.state == "PRIMARY"),
        candidates,
    }
}

/// The optime of a field like `startOpTime`.
pub(crate) fn optime_field(raw: &RawDocument, field: &str) -> Option<OpTime> {
    raw.get_document(field).ok().and_then(optime_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(states: &[(&str, &str, f64)]) -> Document {
        let members: Vec<Document> = states
            .iter()
            .map(|(host, state, health)| doc! { "name": *host, "stateStr": *state, "health": *health })
            .collect();
        doc! { "set": "rs0", "members": members }
    }

    #[test]
    fn majority_is_told_from_the_voting_members() {
        let config = doc! { "members": [
            { "host": "a", "votes": 1 }, { "host": "b", "votes": 1 }, { "host": "c", "votes": 1 }, { "host": "d", "votes": 0, "hidden": true },
        ] };
        let good = status(&[
            ("a", "PRIMARY", 1.0),
            ("b", "SECONDARY", 1.0),
            ("c", "(not reachable/healthy)", 0.0),
            ("d", "SECONDARY", 1.0),
        ]);
        let state = state_from(&good, &config);
        assert_eq!((state.voting, state.voting_up, state.without_majority()), (3, 2, None));
        assert!(state.candidates[3].hidden);
        let bad = status(&[
            ("a", "SECONDARY", 1.0),
            ("b", "(not reachable/healthy)", 0.0),
            ("c", "(not reachable/healthy)", 0.0),
            ("d", "SECONDARY", 1.0),
        ]);
        let said = state_from(&bad, &config).without_majority();
        assert!(said.is_some_and(|s| s.contains("no majority: 1 of 3")));
    }
}
