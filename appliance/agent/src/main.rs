//! `holdfast-agent`: the command line.

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use holdfast_agent::{
    MONITORING_SPOOL_BYTES_MAX_DEFAULT, Parts, RunOptions, SPOOL_BYTES_MAX_DEFAULT,
    backup::{self, UserProof},
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Monitors MongoDB deployments and backs up replica sets, for a Holdfast appliance.
#[derive(Parser)]
#[command(name = "holdfast-agent", version)]
struct Arguments {
    /// What is logged: error, warn, info, debug, or a filter such as `info,holdfast_agent=debug`.
    #[arg(long, global = true, default_value = "info", env = "HOLDFAST_LOG")]
    log: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the agent until it is stopped (SIGTERM, Ctrl-C).
    Run(RunArguments),
    /// Creates the least-privileged role and a user that has it, or brings both up to date.
    Role {
        /// Connection string of an administrator.
        #[arg(long)]
        mongodb: String,
        /// Name of the user; with --external the certificate's subject, `CN=backup,OU=clients`, or the name in the directory.
        #[arg(long)]
        user: String,
        /// File with the user's password in its first line.
        #[arg(long, required_unless_present = "external")]
        password_file: Option<PathBuf>,
        /// The user is known by a certificate (x509), LDAP or Kerberos, and has no password here.
        #[arg(long, conflicts_with = "password_file")]
        external: bool,
    },
    /// Checks that everything that backing up needs is allowed; exit status 1 when something is not.
    Check {
        /// Connection string of the agent's user.
        #[arg(long)]
        mongodb: String,
    },
}

#[derive(clap::Args)]
struct RunArguments {
    /// URL of the appliance's ingest; later starts know it.
    #[arg(long)]
    server: Option<String>,
    /// URL of the appliance's web service, where measurements go; the enrolment token names it, and later starts know it.
    #[arg(long)]
    web: Option<String>,
    /// Enrolment token; needed at the first start only.
    #[arg(long, env = "HOLDFAST_ENROLL", hide_env_values = true)]
    enroll: Option<String>,
    /// State directory of this agent.
    #[arg(long)]
    state: PathBuf,
    /// Run only one part.
    #[arg(long)]
    only: Option<Part>,
    /// Connection string that stays with the agent; may be given more than once, one per replica set.
    #[arg(long)]
    mongodb: Vec<String>,
    /// File with such connection strings, one a line.
    #[arg(long)]
    mongodb_file: Option<PathBuf>,
    /// HTTP proxy on the way to the appliance, `http://[user:password@]host:port`; else the variable HTTPS_PROXY.
    #[arg(long)]
    proxy: Option<String>,
    /// Megabytes that may wait on disk for each replica set while no server answers.
    #[arg(long, default_value_t = SPOOL_BYTES_MAX_DEFAULT >> 20)]
    spool_mb: u64,
    /// Megabytes of measurements that may wait on disk while no server answers; none waits longer than an hour.
    #[arg(long, default_value_t = MONITORING_SPOOL_BYTES_MAX_DEFAULT >> 20)]
    monitoring_spool_mb: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Backup,
    Monitoring,
}

fn main() -> ExitCode {
    holdfast_memory::bound_allocator(holdfast_memory::Program::Guest);
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_new(&arguments.log).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).max_blocking_threads(8).enable_all().build();
    let done = runtime.context("cannot start").and_then(|runtime| runtime.block_on(command(arguments.command)));
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("holdfast-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn command(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(arguments) => run(arguments).await.map(|()| ExitCode::SUCCESS),
        Command::Role { mongodb, user, password_file, external: _ } => {
            role(&mongodb, &user, password_file.as_deref()).await
        }
        Command::Check { mongodb } => check(&mongodb).await,
    }
}

async fn run(arguments: RunArguments) -> anyhow::Result<()> {
    let mut mongodb = arguments.mongodb;
    if let Some(path) = &arguments.mongodb_file {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        mongodb.extend(lines.map(str::to_owned));
    }
    let cancel = CancellationToken::new();
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = cancel.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    });
    let options = RunOptions {
        server: arguments.server,
        web: arguments.web,
        parts: Parts {
            backup: arguments.only != Some(Part::Monitoring),
            monitoring: arguments.only != Some(Part::Backup),
        },
        enroll: arguments.enroll,
        state_dir: arguments.state,
        mongodb,
        proxy: arguments.proxy,
        spool_bytes_max: arguments.spool_mb << 20,
        monitoring_spool_bytes_max: arguments.monitoring_spool_mb << 20,
    };
    holdfast_agent::run(options, cancel).await
}

/// Without a password file the user is an external one.
async fn role(uri: &str, user: &str, password_file: Option<&std::path::Path>) -> anyhow::Result<ExitCode> {
    let proof = match password_file {
        None => UserProof::External,
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            let password = text.lines().next().unwrap_or_default().trim();
            anyhow::ensure!(!password.is_empty(), "{} holds no password", path.display());
            UserProof::Password(password.to_owned())
        }
    };
    let client = mongodb::Client::with_uri_str(uri).await.context("cannot use the connection string")?;
    backup::create_role_and_user(&client, user, &proof).await.context("cannot create the role and the user")?;
    println!("The user {user} (database {}) has the role {} now.", proof.database(), backup::ROLE);
    Ok(ExitCode::SUCCESS)
}

async fn check(uri: &str) -> anyhow::Result<ExitCode> {
    let client = mongodb::Client::with_uri_str(uri).await.context("cannot use the connection string")?;
    let hello = client.database("admin").run_command(bson::doc! { "hello": 1 }).await;
    hello.context("no member of the deployment answers")?;
    let checks = backup::check(&client).await;
    for check in &checks {
        match &check.error {
            None => println!("ok       {}", check.need),
            Some(error) => println!("MISSING  {}: {error}", check.need),
        }
    }
    let missing = checks.iter().filter(|check| !check.granted).count();
    if missing == 0 {
        println!("Everything that backing up needs is allowed.");
        return Ok(ExitCode::SUCCESS);
    }
    println!(
        "{missing} of {} needs are not met. `holdfast-agent role` creates a user that has what is needed.",
        checks.len()
    );
    Ok(ExitCode::FAILURE)
}
