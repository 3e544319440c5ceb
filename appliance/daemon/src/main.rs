//! `holdfast-daemon`: keeps heads, takes snapshots, makes restores.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use holdfast_daemon::Daemon;
use holdfast_metadb::Settings;
use holdfast_service::{DebugPort, KillPort, atomic_write, logging, metrics::Metrics, shutdown};

/// Keeps heads of the replica sets that are backed up, takes snapshots of them, and makes restores.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// The appliance's configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Written when the daemon works: {"pid", "debugPort", "killPort"}.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    holdfast_memory::bound_allocator(holdfast_memory::Program::Server);
    let args = Args::parse();
    tokio::runtime::Runtime::new().context("start the runtime")?.block_on(run(args))
}

async fn run(args: Args) -> anyhow::Result<()> {
    let level = logging::init();
    holdfast_service::install_crypto_provider();
    let settings: Settings = holdfast_service::load_toml(&args.config)?;
    settings.validate()?;
    let token = shutdown::on_signals()?;
    let metrics = Metrics::install()?;
    let kill = KillPort::start(settings.daemon.kill_listen, settings.data_dir(), token.clone()).await?;
    let daemon = match Daemon::start(&settings, token.clone()).await {
        Ok(daemon) => daemon,
        Err(error) if token.is_cancelled() => {
            tracing::info!(error = format!("{error:#}"), "ended before it began");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let (jobs, health) = (daemon.context().clone(), daemon.context().clone());
    let debug = DebugPort::new(level)
        .metrics(metrics)
        .jobs(move || {
            let board = jobs.board.to_json();
            async move { board }
        })
        .health(move || {
            let metadb = health.metadb.clone();
            async move {
                let answered = metadb.database().run_command(bson::doc! { "ping": 1 }).await;
                answered.map(|_| ()).map_err(|error| format!("the app database does not answer: {error}"))
            }
        })
        .start(settings.daemon.debug_listen, token.clone())
        .await?;
    if let Some(path) = &args.ready_file {
        let ready = serde_json::json!({
            "pid": std::process::id(), "debugPort": debug.addr().port(), "killPort": kill.addr().port(),
        });
        atomic_write(path, ready.to_string().as_bytes(), 0o644).with_context(|| format!("write {}", path.display()))?;
    }
    daemon.ended().await;
    Ok(())
}
