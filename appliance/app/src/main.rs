//! `holdfast-app`: web and ingest in one process, or one of them alone.
//!
//! Thin: reads the configuration, opens the databases, starts listeners, waits for the end. Stateless: any number of instances with the
//! same configuration may run. What they serve is in `holdfast-web` and `holdfast-ingest`.

mod databases;
mod init;
mod instance;
mod logs;
mod packs;
mod people;
mod ready;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use holdfast_metadb::Settings;

/// Which parts this process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) web: bool,
    pub(crate) ingest: bool,
}

/// The appliance's HTTP services.
#[derive(Debug, Parser)]
#[command(name = "holdfast-app", version, about, args_conflicts_with_subcommands = false)]
struct Cli {
    /// Configuration file (TOML).
    #[arg(long, global = true, default_value = "holdfast.toml")]
    config: PathBuf,
    #[command(flatten)]
    overrides: Overrides,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What one instance does otherwise than the configuration says.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Overrides {
    /// Address of web.
    #[arg(long, global = true)]
    pub(crate) web_listen: Option<SocketAddr>,
    /// Address of ingest.
    #[arg(long, global = true)]
    pub(crate) ingest_listen: Option<SocketAddr>,
    /// How browsers and agents reach web.
    #[arg(long, global = true)]
    pub(crate) web_public_url: Option<String>,
    /// How agents and downloads reach ingest.
    #[arg(long, global = true)]
    pub(crate) ingest_public_url: Option<String>,
    /// Address of the kill port.
    #[arg(long, global = true)]
    pub(crate) kill_listen: Option<SocketAddr>,
    /// Address of the debug port.
    #[arg(long, global = true)]
    pub(crate) debug_listen: Option<SocketAddr>,
    /// File that appears, with the real addresses as JSON, when everything serves.
    #[arg(long, global = true)]
    pub(crate) ready_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs web and ingest (the default).
    All,
    /// Runs web alone.
    Web,
    /// Runs ingest alone.
    Ingest,
    /// Creates the databases' collections and the first admin key. Can be repeated.
    Init {
        /// File with the key of a global admin; made, mode 0600, when there is none.
        #[arg(long)]
        admin_key_file: PathBuf,
        /// Folder for the blocks of a new appliance, instead of the blockstore's database; one that has snapshots or stores already is left as it is.
        #[arg(long, value_name = "FOLDER")]
        pack_directory: Option<PathBuf>,
    },
    /// Sets a new appliance up from a JSON file, instead of the set-up code and a browser: account, first group, mail server, public URL,
    /// policies, defaults.
    Setup {
        /// The file: {"email", "name", "password", "group", "policy"?, "mail"?, "publicUrl"?, "access"?, "backupDefaults"?}; the manual lists
        /// the fields of each. Remove it afterwards: it holds a password.
        #[arg(long)]
        file: PathBuf,
    },
    /// Break glass: opens an account again as a global owner, with a new password, without a second factor, signing in here and nowhere else. Makes it if there is none.
    ResetAdministrator {
        /// E-mail address of the account.
        #[arg(long)]
        email: String,
    },
    /// Makes a new set-up code, when the first one is lost, and prints it.
    SetupCode,
}

fn main() -> ExitCode {
    holdfast_memory::bound_allocator(holdfast_memory::Program::Server);
    let cli = Cli::parse();
    holdfast_service::install_crypto_provider();
    let level = holdfast_service::logging::init();
    match run(cli, level) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "holdfast-app ends");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli, level: holdfast_service::LogLevel) -> anyhow::Result<()> {
    let settings: Settings = holdfast_service::load_toml(&cli.config).context("read the configuration")?;
    settings.validate().with_context(|| format!("in {}", cli.config.display()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    let result = runtime.block_on(async {
        let parts = match cli.command {
            Some(Command::Init { admin_key_file, pack_directory }) => {
                return init::init(&settings, &admin_key_file, pack_directory.as_deref()).await;
            }
            Some(Command::Setup { file }) => return people::setup_from_file(&settings, &file).await,
            Some(Command::ResetAdministrator { email }) => return people::reset_administrator(&settings, &email).await,
            Some(Command::SetupCode) => return people::renew_setup_code(&settings).await,
            Some(Command::Web) => Parts { web: true, ingest: false },
            Some(Command::Ingest) => Parts { web: false, ingest: true },
            Some(Command::All) | None => Parts { web: true, ingest: true },
        };
        instance::run(settings, cli.overrides, parts, level).await
    });
    // Whatever blocking work is left (a decompression) must not hold up the end.
    runtime.shutdown_background();
    result
}
