//! A replica set of real servers on this machine, in a temporary folder.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use bson::{Document, doc};
use futures::future::try_join_all;
use holdfast_mongod::{Member, Mongod, MongodOptions, SetSettings, free_port, initiate};
use mongodb::Client;
use tempfile::TempDir;

use crate::binary::mongod_binary;

/// How long a set may take to have a primary and all members in a state that serves.
const READY_TIMEOUT: Duration = Duration::from_secs(120);
/// How often the states are looked at.
const POLL: Duration = Duration::from_millis(100);
/// Fast elections, so that tests of them take seconds.
const ELECTION_TIMEOUT_MS: u32 = 2000;
/// See [`ELECTION_TIMEOUT_MS`].
const HEARTBEAT_INTERVAL_MS: u32 = 500;
/// How long a primary that steps down stays out, in seconds: long enough that another one is elected.
const STEP_DOWN_SECONDS: i32 = 20;
/// Transactions of hundreds of megabytes take longer than the server's minute on a busy machine.
const TRANSACTION_LIFETIME_SECONDS: u32 = 900;

/// What a member is in the set's configuration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MemberOptions {
    /// Priority in elections; 0: never primary.
    pub priority: f64,
    /// Hidden from clients; needs priority 0.
    pub hidden: bool,
}

impl Default for MemberOptions {
    fn default() -> Self {
        Self { priority: 1.0, hidden: false }
    }
}

/// How the members are started.
#[derive(Debug, Clone)]
pub struct ReplicaSetOptions {
    /// Name of the set.
    pub name: String,
    /// Size of the oplog in MB.
    pub oplog_mb: u32,
    /// WiredTiger's cache of each member in GiB, an upper bound that is filled only when needed. The server refuses a
    /// transaction that is too large for it (code 388): measured on 6.0.5, one of 200 MB fails with 3 and passes with 4,
    /// since its oplog entries are written in the same transaction.
    pub cache_gb: f64,
    /// One folder per database.
    pub directory_per_db: bool,
    /// Indexes in folders of their own.
    pub directory_for_indexes: bool,
    /// Whether members delete by TTL indexes. Off by default: a source that changes by itself cannot be compared.
    pub ttl_monitor: bool,
    /// `--setParameter` names and values, besides or instead of what the kit sets: test commands on, transactions of up to
    /// 15 minutes.
    pub params: Vec<(String, String)>,
    /// Per member; members that are not listed are ordinary.
    pub members: Vec<MemberOptions>,
}

impl Default for ReplicaSetOptions {
    fn default() -> Self {
        Self {
            name: "rs0".into(),
            oplog_mb: 990,
            cache_gb: 4.0,
            directory_per_db: false,
            directory_for_indexes: false,
            ttl_monitor: false,
            params: Vec::new(),
            members: Vec::new(),
        }
    }
}

struct Slot {
    options: MongodOptions,
    /// `None` while the member is down.
    server: Option<Mongod>,
}

/// A running set. Dropping it kills the members and removes their files.
pub struct ReplicaSet {
    name: String,
    slots: Vec<Slot>,
    client: Client,
    // Last: the files go after the servers.
    dir: TempDir,
}

impl std::fmt::Debug for ReplicaSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplicaSet").field("uri", &self.uri()).field("dir", &self.dir.path()).finish()
    }
}

impl ReplicaSet {
    /// Starts `members` servers, makes a set of them and waits until all serve.
    ///
    /// # Errors
    /// A server does not start, or the set does not come up in two minutes.
    pub async fn start(members: usize, options: ReplicaSetOptions) -> Result<Self> {
        ensure!((1..=7).contains(&members), "1 to 7 members, all of which vote");
        let dir = tempfile::Builder::new().prefix("holdfast-set-").tempdir()?;
        let binary = mongod_binary();
        let slots = try_join_all((0..members).map(|i| start_member(&binary, dir.path(), i, &options))).await?;
        let configured: Vec<Member> = slots
            .iter()
            .enumerate()
            .map(|(i, slot)| {
                let wanted = options.members.get(i).copied().unwrap_or_default();
                Member { priority: wanted.priority, hidden: wanted.hidden, ..Member::local(slot.options.port) }
            })
            .collect();
        let first = slots.first().and_then(|slot| slot.server.as_ref()).context("no member")?.client();
        let settings = SetSettings {
            election_timeout_ms: Some(ELECTION_TIMEOUT_MS),
            heartbeat_interval_ms: Some(HEARTBEAT_INTERVAL_MS),
        };
        initiate(&first, &options.name, &configured, settings).await?;
        let hosts: Vec<String> = slots.iter().map(|slot| format!("127.0.0.1:{}", slot.options.port)).collect();
        let client = Client::with_uri_str(set_uri(&hosts, &options.name)).await?;
        let set = Self { name: options.name, slots, client, dir };
        set.wait_ready().await?;
        Ok(set)
    }

    /// Connection string that names all members.
    pub fn uri(&self) -> String {
        set_uri(&self.hosts(), &self.name)
    }

    /// Name of the set.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `host:port` of the members, also of those that are down.
    pub fn hosts(&self) -> Vec<String> {
        self.slots.iter().map(|slot| format!("127.0.0.1:{}", slot.options.port)).collect()
    }

    /// A client that follows the primary. Clones share one pool.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A client of member `i` alone.
    ///
    /// # Errors
    /// There is no such member, or it is down.
    pub fn direct(&self, i: usize) -> Result<Client> {
        Ok(self.member(i)?.client())
    }

    /// The server of member `i`.
    ///
    /// # Errors
    /// There is no such member, or it is down.
    pub fn member(&self, i: usize) -> Result<&Mongod> {
        self.slots.get(i).and_then(|slot| slot.server.as_ref()).with_context(|| format!("member {i} is not running"))
    }

    /// Folder of member `i`'s files.
    ///
    /// # Errors
    /// There is no such member.
    pub fn dbpath(&self, i: usize) -> Result<PathBuf> {
        Ok(self.slots.get(i).context("no such member")?.options.dbpath.clone())
    }

    /// Index of the member that is primary, waiting for one if there is none.
    ///
    /// # Errors
    /// None in two minutes.
    pub async fn primary(&self) -> Result<usize> {
        let since = Instant::now();
        loop {
            for (i, slot) in self.slots.iter().enumerate() {
                if let Some(server) = &slot.server
                    && state(&server.client()).await == Some(MemberState::Primary)
                {
                    return Ok(i);
                }
            }
            if since.elapsed() > READY_TIMEOUT {
                bail!("no primary within {} s", READY_TIMEOUT.as_secs());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until there is a primary and every running member is primary or secondary.
    ///
    /// # Errors
    /// Not in two minutes.
    pub async fn wait_ready(&self) -> Result<()> {
        self.primary().await?;
        let since = Instant::now();
        for (i, slot) in self.slots.iter().enumerate() {
            let Some(server) = &slot.server else { continue };
            while state(&server.client()).await.is_none() {
                if since.elapsed() > READY_TIMEOUT {
                    bail!("member {i} is neither primary nor secondary within {} s", READY_TIMEOUT.as_secs());
                }
                tokio::time::sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// Makes the primary step down and waits for another one; its index.
    ///
    /// # Errors
    /// It refuses, or nobody else is elected in two minutes.
    pub async fn step_down(&self) -> Result<usize> {
        let old = self.primary().await?;
        let command =
            doc! { "replSetStepDown": STEP_DOWN_SECONDS, "secondaryCatchUpPeriodSecs": STEP_DOWN_SECONDS / 2 };
        self.direct(old)?.database("admin").run_command(command).await.context("replSetStepDown")?;
        let since = Instant::now();
        loop {
            let new = self.primary().await?;
            if new != old {
                return Ok(new);
            }
            if since.elapsed() > READY_TIMEOUT {
                bail!("no other primary within {} s", READY_TIMEOUT.as_secs());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Kills member `i` (SIGKILL).
    ///
    /// # Errors
    /// It is not running.
    pub async fn kill_member(&mut self, i: usize) -> Result<()> {
        self.member(i)?.kill().await;
        self.slots[i].server = None;
        Ok(())
    }

    /// Shuts member `i` down cleanly.
    ///
    /// # Errors
    /// It is not running, or had to be killed.
    pub async fn stop_member(&mut self, i: usize) -> Result<()> {
        self.member(i)?.stop().await?;
        self.slots[i].server = None;
        Ok(())
    }

    /// Starts member `i` again on its old port and files; it need not serve yet ([`ReplicaSet::wait_ready`]).
    ///
    /// # Errors
    /// It runs already, or does not start.
    pub async fn restart_member(&mut self, i: usize) -> Result<()> {
        let slot = self.slots.get_mut(i).context("no such member")?;
        ensure!(slot.server.is_none(), "member {i} is running");
        slot.server = Some(Mongod::start(slot.options.clone()).await?);
        Ok(())
    }

    /// Waits until every running member has what the primary has now on its majority point.
    ///
    /// # Errors
    /// The majority does not follow.
    pub async fn wait_majority(&self) -> Result<()> {
        let members = self.slots.iter().filter(|slot| slot.server.is_some()).count();
        let concern = doc! { "w": i32::try_from(members)?, "wtimeout": i32::try_from(READY_TIMEOUT.as_millis())? };
        let command = doc! { "appendOplogNote": 1, "data": { "why": "wait" }, "writeConcern": concern };
        let answer: Document = self.client.database("admin").run_command(command).await?;
        ensure!(!answer.contains_key("writeConcernError"), "members do not follow: {answer}");
        Ok(())
    }
}

#[derive(PartialEq, Eq)]
enum MemberState {
    Primary,
    Secondary,
}

async fn state(client: &Client) -> Option<MemberState> {
    let hello: Document = client.database("admin").run_command(doc! { "hello": 1 }).await.ok()?;
    if hello.get_bool("isWritablePrimary").unwrap_or(false) {
        return Some(MemberState::Primary);
    }
    hello.get_bool("secondary").unwrap_or(false).then_some(MemberState::Secondary)
}

async fn start_member(binary: &Path, dir: &Path, i: usize, wanted: &ReplicaSetOptions) -> Result<Slot> {
    let mut options = MongodOptions::plain(binary, dir.join(format!("m{i}")), free_port()?)
        .param("enableTestCommands", 1)
        .param("ttlMonitorEnabled", wanted.ttl_monitor)
        .param("transactionLifetimeLimitSeconds", TRANSACTION_LIFETIME_SECONDS);
    options.repl_set = Some(wanted.name.clone());
    options.oplog_size_mb = Some(wanted.oplog_mb);
    options.cache_gb = wanted.cache_gb;
    options.directory_per_db = wanted.directory_per_db;
    options.wired_tiger_directory_for_indexes = wanted.directory_for_indexes;
    options.params.retain(|(name, _)| wanted.params.iter().all(|(other, _)| other != name));
    options.params.extend(wanted.params.iter().cloned());
    let server = Mongod::start(options.clone()).await?;
    Ok(Slot { options, server: Some(server) })
}

fn set_uri(hosts: &[String], name: &str) -> String {
    format!("mongodb://{}/?replicaSet={name}", hosts.join(","))
}
