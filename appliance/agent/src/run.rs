//! Runs an agent: state directory, enrolment, pins and keys, the parts for backup and monitoring.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, bail};
use holdfast_agent_api::{EnrollRequest, EnrollToken};
use holdfast_domain::Hash32;
use tokio_util::sync::CancellationToken;

use crate::{
    api::ServerApi,
    backup::{self, BackupOptions, LocalSources},
    identity::{Identity, StateDir, new_instance},
    monitoring::{self, MonitoringOptions},
    retry::{ServerHealth, until_done, with_sources},
    transport::{Client, ClientOptions, PinSet, Proxy},
};

/// How often enrolling is tried before the agent gives up: about a minute.
const ENROLL_ATTEMPTS_MAX: u32 = 12;
/// A key is exchanged for a new one when it is this old.
const KEY_AGE_MAX: Duration = Duration::from_secs(30 * 86_400);
/// How often the age of the key is looked at.
const KEY_LOOK_EVERY: Duration = Duration::from_secs(3600);

/// Default bound of the spool of one job, in bytes: 1 GiB.
pub const SPOOL_BYTES_MAX_DEFAULT: u64 = 1 << 30;

/// Default bound of the spool of measurements, in bytes: 64 MiB, an hour of some hundred hosts.
pub const MONITORING_SPOOL_BYTES_MAX_DEFAULT: u64 = 64 << 20;

/// Which parts run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Backs up.
    pub backup: bool,
    /// Monitors.
    pub monitoring: bool,
}

/// What an agent is started with.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// URL of the appliance's ingest; None: as kept, or as the token says.
    pub server: Option<String>,
    /// URL of the appliance's web service; None: as kept, or as the token says.
    pub web: Option<String>,
    /// Which parts run.
    pub parts: Parts,
    /// Enrolment token; needed at the first start only.
    pub enroll: Option<String>,
    /// State directory.
    pub state_dir: PathBuf,
    /// Connection strings that stay here.
    pub mongodb: Vec<String>,
    /// HTTP proxy; None: as the environment says.
    pub proxy: Option<String>,
    /// Bound of the spool of one job, in bytes.
    pub spool_bytes_max: u64,
    /// Bound of the spool of measurements, in bytes.
    pub monitoring_spool_bytes_max: u64,
}

/// Runs until called off.
///
/// # Errors
/// The agent cannot start: another one holds the state directory, there is no identity and no token, the token is refused. Once it
/// runs it does not fail.
pub async fn run(options: RunOptions, cancel: CancellationToken) -> anyhow::Result<()> {
    let state = match StateDir::open(&options.state_dir) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            bail!("another agent runs with the state directory {}", options.state_dir.display())
        }
        state => state.with_context(|| format!("cannot use the state directory {}", options.state_dir.display()))?,
    };
    let sources =
        LocalSources::load(options.mongodb.clone(), state.path()).context("cannot keep the connection strings")?;
    let (identity, server, pins) = connect(&options, &state, &cancel).await?;
    tracing::info!(agent = %identity.agent, group = %identity.group, server = identity.server, "the agent runs");
    let web = match (&identity.web, options.parts.monitoring) {
        (Some(url), true) => Some(ServerApi::new(client(&options, url, &pins)?, identity.key.clone())),
        (None, true) if !options.parts.backup => {
            bail!("where the appliance's web service is is not known: give it once with --web URL")
        }
        (None, true) => {
            tracing::warn!(
                "nothing is monitored: this agent enrolled before there was monitoring; give it --web URL once"
            );
            None
        }
        (_, false) => None,
    };
    let servers: Vec<Arc<ServerApi>> = std::iter::once(Arc::clone(&server)).chain(web.clone()).collect();
    let kept = Arc::new(Kept { state, identity: Mutex::new(identity), pins, servers });
    let (for_backup, for_monitoring) = (Arc::clone(&kept), Arc::clone(&kept));
    let backing_up = async {
        if options.parts.backup {
            let backup = BackupOptions {
                server: Arc::clone(&server),
                sources: sources.clone(),
                state_dir: options.state_dir.clone(),
                hostname: hostname(),
                spool_bytes_max: options.spool_bytes_max,
            };
            backup::run_backup(&backup, cancel.clone(), move |pins| for_backup.take_pins(pins)).await;
        }
        anyhow::Ok(())
    };
    let monitoring = async {
        if let Some(server) = web {
            let monitoring = MonitoringOptions {
                server,
                sources: sources.clone(),
                state_dir: options.state_dir.clone(),
                hostname: hostname(),
                spool_bytes_max: options.monitoring_spool_bytes_max,
            };
            let done = monitoring::run(&monitoring, cancel.clone(), move |pins| for_monitoring.take_pins(pins)).await;
            done.context("cannot keep measurements in the state directory")?;
        }
        Ok(())
    };
    let rotating = async {
        kept.rotate_keys(&server, &cancel).await;
        Ok(())
    };
    tokio::try_join!(backing_up, monitoring, rotating)?;
    tracing::info!("the agent stops");
    Ok(())
}

/// The identity as kept, and the pins in use.
struct Kept {
    state: StateDir,
    identity: Mutex<Identity>,
    pins: PinSet,
    /// Everyone who is spoken to.
    servers: Vec<Arc<ServerApi>>,
}

impl Kept {
    fn change(&self, change: impl FnOnce(&mut Identity)) {
        let mut identity = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut identity);
        if let Err(error) = self.state.keep(&identity) {
            tracing::error!(%error, "cannot keep the agent's identity");
        }
    }

    fn take_pins(&self, pins: &[String]) {
        let same = self.identity.lock().unwrap_or_else(PoisonError::into_inner).ca_pins == pins;
        if pins.is_empty() || same {
            return;
        }
        tracing::info!(count = pins.len(), "the appliance announced the keys of its certificate authorities");
        self.change(|identity| identity.ca_pins = pins.to_vec());
        self.pins.replace(pins);
        self.servers.iter().for_each(|server| server.forget_connections());
    }

    async fn rotate_keys(&self, server: &ServerApi, cancel: &CancellationToken) {
        loop {
            let since = self.identity.lock().unwrap_or_else(PoisonError::into_inner).key_since;
            let age = jiff::Timestamp::now().as_second().saturating_sub(since);
            if u64::try_from(age).is_ok_and(|age| age > KEY_AGE_MAX.as_secs()) {
                match server.rotate_key().await {
                    Ok(given) => {
                        self.change(|identity| {
                            identity.key.clone_from(&given.key);
                            identity.key_since = jiff::Timestamp::now().as_second();
                        });
                        self.servers.iter().for_each(|server| server.set_key(given.key.clone()));
                        tracing::info!("the agent's key was exchanged for a new one");
                    }
                    Err(error) => tracing::warn!(error = with_sources(&error), "cannot exchange the agent's key now"),
                }
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(KEY_LOOK_EVERY) => {}
            }
        }
    }
}

/// The identity, enrolled now if need be, and a client that speaks as it.
async fn connect(
    options: &RunOptions,
    state: &StateDir,
    cancel: &CancellationToken,
) -> anyhow::Result<(Identity, Arc<ServerApi>, PinSet)> {
    let known = state.identity().context("the agent's identity cannot be read")?;
    let token = options
        .enroll
        .as_deref()
        .map(|text| Ok::<_, anyhow::Error>((EnrollToken::decode(text)?, Hash32::of(text.trim().as_bytes()))));
    let token = token.transpose()?;
    match (known, token) {
        (None, None) => bail!("this agent is not enrolled yet: start it once with --enroll TOKEN"),
        (Some(mut identity), token) if token.as_ref().is_none_or(|(_, hash)| *hash == identity.token) => {
            if let Some(server) = options.server.as_ref().filter(|server| **server != identity.server) {
                identity.server.clone_from(server);
                state.keep(&identity).context("cannot keep the agent's identity")?;
            }
            if options.web.as_ref().is_some_and(|web| identity.web.as_ref() != Some(web)) {
                identity.web.clone_from(&options.web);
                state.keep(&identity).context("cannot keep the agent's identity")?;
            }
            let pins = PinSet::new(&identity.ca_pins);
            let server = ServerApi::new(client(options, &identity.server, &pins)?, identity.key.clone());
            Ok((identity, server, pins))
        }
        (known, Some((token, hash))) => {
            let url = options.server.clone().unwrap_or_else(|| token.ingest_url.clone());
            let ca_pins: Vec<String> = [token.ca_pin].into_iter().filter(|pin| !pin.is_empty()).collect();
            let pins = PinSet::new(&ca_pins);
            let server = ServerApi::new(client(options, &url, &pins)?, String::new());
            let instance = known.map_or_else(new_instance, |identity| identity.instance);
            let request = EnrollRequest {
                secret: token.secret,
                hostname: hostname(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                instance: instance.clone(),
            };
            let health = ServerHealth::default();
            let given =
                until_done("enrol", cancel, &health, Some(ENROLL_ATTEMPTS_MAX), || server.enroll(&request)).await;
            let given = given.context("the appliance did not enrol this agent")?;
            let identity = Identity {
                instance,
                server: url,
                web: options.web.clone().or_else(|| Some(token.web_url).filter(|url| !url.is_empty())),
                ca_pins,
                agent: given.agent,
                group: given.group,
                key: given.key.clone(),
                key_since: jiff::Timestamp::now().as_second(),
                token: hash,
            };
            state.keep(&identity).context("cannot keep the agent's identity")?;
            server.set_key(given.key);
            Ok((identity, server, pins))
        }
        (Some(_), None) => unreachable!("an identity without a token is taken as it is"),
    }
}

fn client(options: &RunOptions, url: &str, pins: &PinSet) -> anyhow::Result<Client> {
    let host = url::Url::parse(url).ok().and_then(|u| u.host_str().map(str::to_owned)).unwrap_or_default();
    let proxy = match &options.proxy {
        Some(text) => Some(Proxy::parse(text)?),
        None => Proxy::from_env(&host)?,
    };
    Ok(Client::new(&ClientOptions { url: url.to_owned(), pins: pins.clone(), proxy })?)
}

fn hostname() -> String {
    nix::sys::utsname::uname().ok().map(|u| u.nodename().to_string_lossy().into_owned()).unwrap_or_default()
}
