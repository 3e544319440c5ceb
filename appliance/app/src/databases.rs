//! Opening the databases, waiting for them when they are not there yet.

use std::{fmt::Display, sync::Arc, time::Duration};

use anyhow::Context as _;
use blockstore_engine::EngineOptions;
use holdfast_blockstore::{ApplianceStore, OpenRequest};
use holdfast_ledger::Ledger;
use holdfast_metadb::{DatabaseSettings, MetaDb, Settings};
use holdfast_service::MasterKey;
use mongodb::{Client, Database, options::ClientOptions};
use tokio_util::sync::CancellationToken;

/// How long the driver looks for a primary before it says that there is none.
const SELECTION_TIMEOUT: Duration = Duration::from_secs(5);
/// First and longest pause between two attempts.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// What both services work on.
#[derive(Clone)]
pub(crate) struct Databases {
    pub(crate) metadb: MetaDb,
    pub(crate) ledger: Ledger,
    pub(crate) blockstore: ApplianceStore,
    pub(crate) master_key: Arc<MasterKey>,
}

async fn connect(settings: &DatabaseSettings, what: &str) -> anyhow::Result<Database> {
    let mut options =
        ClientOptions::parse(&settings.uri).await.with_context(|| format!("connection string of {what}"))?;
    options.app_name.get_or_insert_with(|| "holdfast-app".into());
    options.server_selection_timeout.get_or_insert(SELECTION_TIMEOUT);
    let client = Client::with_options(options).with_context(|| format!("connection string of {what}"))?;
    Ok(client.database(&settings.name))
}

/// Opens everything. Returns None when the token was cancelled before the databases answered.
pub(crate) async fn open(settings: &Settings, token: &CancellationToken) -> anyhow::Result<Option<Databases>> {
    let app = connect(&settings.app_database, "the app database").await?;
    let blocks = connect(&settings.blockstore, "the blockstore").await?;
    let Some(metadb) = wait(token, "the app database", || MetaDb::open(app.clone())).await else { return Ok(None) };
    let master_key = Arc::new(MasterKey::load_or_create(&settings.master_key_path()).context("the master key")?);
    let open = || {
        ApplianceStore::open(OpenRequest {
            metadb: metadb.clone(),
            database: blocks.clone(),
            master_key: master_key.clone(),
            options: EngineOptions { workers: 1, ..EngineOptions::default() },
        })
    };
    let Some(blockstore) = wait(token, "the blockstore", open).await else { return Ok(None) };
    let ledger = || Ledger::open(blocks.clone(), blockstore.keyring());
    let Some(ledger) = wait(token, "the blockstore", ledger).await else { return Ok(None) };
    Ok(Some(Databases { metadb, ledger, blockstore, master_key }))
}

/// Tries until it works or the process ends. A wrong password may be put right meanwhile, so nothing ends the wait but success.
async fn wait<T, E: std::error::Error + Display, F: Future<Output = Result<T, E>>>(
    token: &CancellationToken,
    what: &str,
    open: impl Fn() -> F,
) -> Option<T> {
    let mut pause = PAUSE_MIN;
    loop {
        match token.run_until_cancelled(open()).await? {
            Ok(opened) => return Some(opened),
            Err(error) => {
                let cause = error.source().map(ToString::to_string).unwrap_or_default();
                tracing::warn!(%error, cause, again_in_seconds = pause.as_secs_f32(), "{what} cannot be opened yet: waiting");
            }
        }
        token.run_until_cancelled(tokio::time::sleep(pause)).await?;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
