//! The daemon as a whole: opens the databases and the head folder, starts the reconcilers, ends them in order.
//!
//! Used by the binary, and by tests that run daemons in their own process.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use blockstore_engine::{CacheOptions, EngineOptions, ranges};
use holdfast_blockstore::{ApplianceStore, OpenRequest};
use holdfast_ledger::Ledger;
use holdfast_metadb::{MetaDb, Settings};
use holdfast_service::MasterKey;
use mongodb::{Client, Database, options::ClientOptions};
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    binaries::Binaries,
    binder, blockstore_work,
    board::Board,
    collector,
    context::{Context, HeadNeeds, LOADING_MAX, PROOFS_MAX, RESTORES_MAX},
    deliver,
    identity::Identity,
    layout::Layout,
    logs, mirror, offsite,
    ports::{HeadPorts, PortRange},
    registration, restorer, retention, rollups, sampler, supervisor,
};

/// Pause between attempts to reach a database at start.
const DATABASE_PAUSE: Duration = Duration::from_secs(2);
/// How long one attempt waits for a server.
const SERVER_SELECTION: Duration = Duration::from_secs(10);

/// A daemon that runs in this process.
pub struct Daemon {
    ctx: Arc<Context>,
    tasks: JoinSet<()>,
    _identity: Identity,
}

impl Daemon {
    /// Opens everything and starts to work. Waits for the databases as long as it takes; `shutdown` ends that too.
    ///
    /// # Errors
    /// What an operator must put right: settings, folders, binaries, a name in use.
    pub async fn start(settings: &Settings, shutdown: CancellationToken) -> anyhow::Result<Self> {
        let head_dir = settings.head_dir();
        let mut identity = Identity::open(&head_dir)?;
        let layout = Layout::open(&head_dir).with_context(|| format!("head folder {}", head_dir.display()))?;
        holdfast_mongod::create_keyfile(&layout.keyfile())?;
        let (named, dir) = (settings.daemon.mongod_binaries.clone(), settings.daemon.mongod_dir.clone());
        let binaries = tokio::task::spawn_blocking(move || Binaries::find(&named, dir.as_deref())).await?;
        anyhow::ensure!(
            !binaries.all().is_empty(),
            "no mongod was found: set daemon.mongod_dir or daemon.mongod_binaries"
        );
        let file_system =
            ranges::file_system(&head_dir).with_context(|| format!("head folder {}", head_dir.display()))?;
        if file_system.finds_changes() {
            tracing::info!(dir = %head_dir.display(), "head folder on {}", file_system.recommendation());
        } else {
            tracing::warn!(dir = %head_dir.display(), "head folder on {}", file_system.recommendation());
        }
        let app = database(&settings.app_database.uri, &settings.app_database.name).await?;
        let blocks = database(&settings.blockstore.uri, &settings.blockstore.name).await?;
        let metadb = wait("open the app database", &shutdown, || MetaDb::open(app.clone())).await?;
        let cache = CacheOptions { path: layout.cache(), bytes: settings.daemon.block_cache_bytes };
        let options = EngineOptions { cache: Some(cache), ..EngineOptions::default() };
        let master_key = Arc::new(MasterKey::load_or_create(&settings.master_key_path()).context("the master key")?);
        let open = || {
            ApplianceStore::open(OpenRequest {
                metadb: metadb.clone(),
                database: blocks.clone(),
                master_key: master_key.clone(),
                options: options.clone(),
            })
        };
        let store = wait("open the blockstore", &shutdown, open).await?;
        let ledger = wait("open the ledger", &shutdown, || Ledger::open(blocks.clone(), store.keyring())).await?;
        let id = registration::register(&metadb, &settings.daemon, &binaries, identity.id.as_ref()).await?;
        identity.keep(&id)?;
        tracing::info!(%id, name = registration::name(&settings.daemon), binaries = %binaries, %file_system, "daemon starts");
        let [first, last] = settings.daemon.restore_ports;
        let ctx = Arc::new(Context {
            id,
            settings: settings.daemon.clone(),
            metadb,
            ledger,
            store,
            layout,
            binaries,
            head_ports: HeadPorts::new(&settings.daemon.head_ports),
            restore_ports: PortRange::new(first, last),
            loading: Arc::new(Semaphore::new(LOADING_MAX)),
            restores: Arc::new(Semaphore::new(RESTORES_MAX)),
            proofs: Arc::new(Semaphore::new(PROOFS_MAX)),
            file_system,
            needs: HeadNeeds::default(),
            board: Board::default(),
            shutdown: shutdown.clone(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(logs::keep(ctx.metadb.clone(), registration::name(&settings.daemon), shutdown.clone()));
        tasks.spawn(registration::run(Arc::clone(&ctx), shutdown.clone()));
        tasks.spawn(binder::run(Arc::clone(&ctx), shutdown.clone()));
        tasks.spawn(supervisor::run(Arc::clone(&ctx), shutdown.clone()));
        tasks.spawn(restorer::run(Arc::clone(&ctx), shutdown.clone()));
        tasks.spawn(collector::run(Arc::clone(&ctx), shutdown.clone()));
        tasks.spawn(rollups::run(Arc::clone(&ctx), shutdown.clone()));
        tasks.spawn(sampler::run(Arc::clone(&ctx), shutdown.clone()));
        tasks.spawn(mirror::run(Arc::clone(&ctx), shutdown.clone()));
        tasks.spawn(offsite::run(Arc::clone(&ctx), settings.master_key_path(), shutdown.clone()));
        tasks.spawn(deliver::run(Arc::clone(&ctx), settings.master_key_path(), shutdown.clone()));
        tasks.spawn(blockstore_work::run(Arc::clone(&ctx), shutdown.clone()));
        tasks.spawn(retention::run(Arc::clone(&ctx), shutdown));
        Ok(Self { ctx, tasks, _identity: identity })
    }

    /// What the daemon's tasks share.
    #[must_use]
    pub fn context(&self) -> &Arc<Context> {
        &self.ctx
    }

    /// Waits until it has ended, which it does after its token was cancelled.
    pub async fn ended(mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task of the daemon panicked");
                self.ctx.shutdown.cancel();
            }
        }
        tracing::info!(id = %self.ctx.id, "daemon ended");
    }

    /// Ends at once, as a crash would: tasks are dropped where they are, private mongods die with their handles.
    pub async fn abort(mut self) {
        self.tasks.shutdown().await;
        self.ctx.shutdown.cancel();
    }
}

/// A database by its connection string.
pub(crate) async fn database(uri: &str, name: &str) -> anyhow::Result<Database> {
    let mut options = ClientOptions::parse(uri).await.context("connection string of a database")?;
    options.app_name = Some("holdfast-daemon".to_owned());
    options.server_selection_timeout.get_or_insert(SERVER_SELECTION);
    Ok(Client::with_options(options)?.database(name))
}

/// Tries until it works, or the daemon shall end.
async fn wait<T, E: std::error::Error + Send + Sync + 'static, F: Future<Output = Result<T, E>>>(
    what: &'static str,
    shutdown: &CancellationToken,
    open: impl Fn() -> F,
) -> anyhow::Result<T> {
    loop {
        match shutdown.run_until_cancelled(open()).await {
            None => anyhow::bail!("told to end before the databases answered"),
            Some(Ok(opened)) => return Ok(opened),
            Some(Err(error)) => {
                tracing::warn!(error = crate::chain_of(&error), "{what}; it is tried again");
                let _ = shutdown.run_until_cancelled(tokio::time::sleep(DATABASE_PAUSE)).await;
            }
        }
    }
}

/// Where the head folder of these settings lies.
#[must_use]
pub fn head_dir(settings: &Settings) -> PathBuf {
    settings.head_dir()
}
