//! One running instance: listeners up, reconcilers started, everything down again within the grace of the listeners.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use holdfast_ingest::{IngestParts, IngestState};
use holdfast_metadb::{NewApiKey, Role, Settings, WebSettings};
use holdfast_service::{Ca, DebugPort, KillPort, LogLevel, Served, metrics::Metrics, serve, shutdown};
use holdfast_web::{WebParts, WebState};
use ipnet::IpNet;
use tokio_util::sync::CancellationToken;

use crate::{
    Overrides, Parts,
    databases::{self, Databases},
    logs,
    ready::Ready,
};

/// How long a health check may take.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the last lines of the log may take to be kept.
const LAST_LINES: Duration = Duration::from_secs(2);

/// The key that sees and may do everything.
pub(crate) fn admin_key(label: &str) -> NewApiKey {
    NewApiKey::new(None, Role::Owner, label)
}

/// Runs until the token of the process is cancelled.
pub(crate) async fn run(
    mut settings: Settings,
    overrides: Overrides,
    parts: Parts,
    level: LogLevel,
) -> anyhow::Result<()> {
    apply(&mut settings, &overrides);
    let token = shutdown::on_signals().context("watch signals")?;
    let metrics = Metrics::install().context("install the metrics")?;
    // The ports of the operator come first: they work while the databases are waited for.
    let kill =
        KillPort::start(settings.app.kill_listen, settings.data_dir(), token.clone()).await.context("kill port")?;
    let opened = std::sync::OnceLock::<Databases>::new();
    let opened = Arc::new(opened);
    let health = opened.clone();
    let debug = DebugPort::new(level)
        .metrics(metrics)
        .health(move || health_of(health.clone()))
        .start(settings.ingest.debug_listen, token.clone())
        .await
        .context("debug port")?;
    let Some(databases) = databases::open(&settings, &token).await? else {
        tracing::info!("told to end while waiting for the databases");
        return Ok(());
    };
    let _ = opened.set(databases.clone());
    let logs = tokio::spawn(logs::keep(databases.metadb.clone(), parts, token.clone()));
    let up = Listeners::start(&settings, parts, &databases, &token).await?;
    let ready = Ready {
        pid: std::process::id(),
        web: up.web.as_ref().map(Served::addr),
        web_url: up.web.as_ref().map(|_| up.web_url.clone()),
        ingest: up.ingest.as_ref().map(Served::addr),
        ingest_url: up.ingest.as_ref().map(|_| up.ingest_url.clone()),
        debug: Some(debug.addr()),
        kill: Some(kill.addr()),
    };
    if let Some(path) = &overrides.ready_file {
        ready.write(path)?;
    }
    tracing::info!(web = ?ready.web, ingest = ?ready.ingest, debug = ?ready.debug, kill = ?ready.kill, "serving");
    let result = up.ended(&token).await;
    token.cancel();
    let _ = debug.ended().await;
    tracing::info!("ended");
    // The last lines are kept too, unless the database does not answer.
    let _ = tokio::time::timeout(LAST_LINES, logs).await;
    result
}

fn apply(settings: &mut Settings, overrides: &Overrides) {
    let Overrides { web_listen, ingest_listen, web_public_url, ingest_public_url, kill_listen, debug_listen, .. } =
        overrides;
    if let Some(addr) = web_listen {
        settings.web.listen = *addr;
    }
    if let Some(addr) = ingest_listen {
        settings.ingest.listen = *addr;
    }
    if let Some(url) = web_public_url {
        settings.web.public_url.clone_from(url);
    }
    if let Some(url) = ingest_public_url {
        settings.ingest.public_url.clone_from(url);
    }
    if let Some(addr) = kill_listen {
        settings.app.kill_listen = *addr;
    }
    if let Some(addr) = debug_listen {
        settings.ingest.debug_listen = *addr;
    }
}

async fn health_of(opened: Arc<std::sync::OnceLock<Databases>>) -> Result<(), String> {
    let Some(databases) = opened.get() else { return Err("waiting for the databases".into()) };
    let ping = databases.metadb.database().run_command(mongodb::bson::doc! { "ping": 1 });
    match tokio::time::timeout(HEALTH_TIMEOUT, ping.into_future()).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("the app database does not answer: {}", error.kind)),
        Err(_) => Err("the app database does not answer in time".into()),
    }
}

/// A URL whose port is 0 gets the real one.
fn real_url(url: &str, addr: SocketAddr) -> String {
    match url.trim_end_matches('/').strip_suffix(":0") {
        Some(host) => format!("{host}:{}", addr.port()),
        None => url.trim_end_matches('/').to_owned(),
    }
}

/// The host of a URL, for the certificate.
fn host_of(url: &str) -> Option<String> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split(['/', '?']).next()?;
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next()?,
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    (!host.is_empty()).then(|| host.to_owned())
}

/// Address ranges of the configuration; a bare address stands for itself.
fn proxies(texts: &[String]) -> anyhow::Result<Vec<IpNet>> {
    let one = |text: &String| {
        let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        net.with_context(|| format!("web.trusted_proxies: {text:?} is not an address or a range"))
    };
    texts.iter().map(one).collect()
}

struct Listeners {
    web: Option<Served>,
    ingest: Option<Served>,
    web_url: String,
    ingest_url: String,
}

impl Listeners {
    async fn start(
        settings: &Settings,
        parts: Parts,
        databases: &Databases,
        token: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let ca = Ca::load_or_create(&settings.ca_dir()).context("the appliance's CA")?;
        let master_key = databases.master_key.clone();
        let names: Vec<String> = [&settings.web.public_url, &settings.ingest.public_url]
            .into_iter()
            .filter_map(|url| host_of(url))
            .collect();
        let leaf = ca.leaf(&names).context("certificate of the listeners")?;
        let mut ingest_url = settings.ingest.public_url.clone();
        let mut ingest = None;
        if parts.ingest {
            let state = IngestState::new(IngestParts {
                metadb: databases.metadb.clone(),
                ledger: databases.ledger.clone(),
                blockstore: databases.blockstore.clone(),
                master_key: master_key.clone(),
                ca_pins: vec![ca.pin()],
                payload_bytes_in_flight_max: settings.ingest.payload_bytes_in_flight_max,
                space_reserve_bytes: settings.ingest.space_reserve_bytes,
                sync_backlog_bytes_max: settings.ingest.sync_backlog_bytes_max,
                assignment_lease: None,
                shutdown: token.clone(),
            });
            let tls = settings.ingest.tls.then(|| leaf.clone());
            let served =
                serve(settings.ingest.listen, holdfast_ingest::router(state.clone()), tls, token.clone()).await;
            let served = served.context("listener of ingest")?;
            ingest_url = real_url(&ingest_url, served.addr());
            tokio::spawn(holdfast_ingest::watch_assignments(state));
            ingest = Some(served);
        }
        let mut web_url = settings.web.public_url.clone();
        let mut web = None;
        if parts.web {
            crate::people::offer_setup_code(&databases.metadb, &settings.setup_code_path()).await?;
            let state = WebState::new(WebParts {
                metadb: databases.metadb.clone(),
                ledger: databases.ledger.clone(),
                blockstore: databases.blockstore.clone(),
                master_key,
                ca_pin: if settings.ingest.tls { ca.pin() } else { String::new() },
                web_url: web_url.clone(),
                ingest_url: ingest_url.clone(),
                trusted_proxies: proxies(&settings.web.trusted_proxies)?,
                hsts: hsts(&settings.web),
                shutdown: token.clone(),
            });
            let beside = ca.leaf_beside(&names, state.browser_certificate()).context("certificate of web")?;
            let tls = settings.web.tls.then_some(beside);
            let served = serve(settings.web.listen, holdfast_web::router(state.clone()), tls, token.clone()).await;
            let served = served.context("listener of web")?;
            web_url = real_url(&web_url, served.addr());
            state.set_web_url(&web_url);
            tokio::spawn(holdfast_web::watch_browser_certificate(state.clone()));
            tokio::spawn(holdfast_web::watch_public_url(state.clone()));
            tokio::spawn(holdfast_web::watch_rollups(state));
            web = Some(served);
        }
        Ok(Self { web, ingest, web_url, ingest_url })
    }

    /// Waits for the token, then for the listeners; an error when one of them ended by itself.
    async fn ended(self, token: &CancellationToken) -> anyhow::Result<()> {
        let watch = async |served: Option<Served>, what: &'static str| match served {
            Some(served) => {
                let result = served.ended().await.with_context(|| format!("listener of {what}"));
                // One of two gone is a process that only half works: end, and be started again.
                token.cancel();
                result
            }
            None => {
                token.cancelled().await;
                Ok(())
            }
        };
        let (web, ingest) = tokio::join!(watch(self.web, "web"), watch(self.ingest, "ingest"));
        web.and(ingest)
    }
}

/// Whether browsers are told to use nothing but HTTPS here: by choice, and never with the certificate of the appliance's own CA. Whoever does not
/// trust that CA could click on no warning any more, for two years.
fn hsts(web: &WebSettings) -> bool {
    if web.hsts && web.tls {
        tracing::warn!(
            "web.hsts is not followed: web serves TLS with the certificate of this appliance's own CA, which browsers do not trust. Put a \
             proxy with a public certificate before it and set web.tls to false"
        );
    }
    web.hsts && !web.tls
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn hsts_is_a_choice_and_not_with_the_own_ca() {
        let of = |choice: bool, tls: bool| hsts(&WebSettings { hsts: choice, tls, ..WebSettings::default() });
        assert!(of(true, false), "a proxy serves TLS");
        assert!(!of(true, true) && !of(false, false) && !of(false, true));
    }

    #[test]
    fn urls() {
        let addr = "127.0.0.1:9999".parse().unwrap();
        assert_eq!(real_url("https://h:0/", addr), "https://h:9999");
        assert_eq!(real_url("https://h:80/", addr), "https://h:80");
        assert_eq!(real_url("https://h", addr), "https://h");
        assert_eq!(host_of("https://a.b:8080/x"), Some("a.b".into()));
        assert_eq!(host_of("https://[::1]:8080"), Some("::1".into()));
        assert_eq!(host_of("https://a.b"), Some("a.b".into()));
        assert_eq!(host_of("x"), None);
    }
}
