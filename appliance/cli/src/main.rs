//! `holdfast`: the command line of operators and users, and `holdfast up`, which runs a whole appliance in a folder.
//!
//! Exit status: 0 done, 1 it failed (a sentence on stderr says why and what to do), 2 wrong usage. With `--json` every
//! command prints one JSON value on stdout and an error as `{"error": ...}` on stderr.

mod args;
mod client;
mod commands;
mod connect;
mod output;
mod recover;
mod restore;
mod up;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{
    args::{Cli, Command},
    output::Output,
};

fn main() -> ExitCode {
    // Two crypto providers in one process make rustls panic at first use: name the one we have.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let cli = Cli::parse();
    let output = Output::new(cli.connection.json);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output.fail(&anyhow::Error::new(error).context("start the runtime")),
    };
    match runtime.block_on(run(cli, &output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => output.fail(&error),
    }
}

async fn run(cli: Cli, output: &Output) -> anyhow::Result<()> {
    let connection = cli.connection;
    match cli.command {
        Command::Up(up) => up::run(up, connection.dir, output).await,
        Command::Groups(command) => commands::groups::run(command, &connection.client()?, output).await,
        Command::Agents(command) => commands::agents::run(command, &connection.client()?, output).await,
        Command::Deployments(command) => commands::deployments::run(command, &connection.client()?, output).await,
        Command::Backups(command) => commands::backups::run(command, &connection.client()?, output).await,
        Command::Policies(command) => commands::policies::run(command, &connection.client()?, output).await,
        Command::Snapshots(command) => commands::snapshots::run(command, &connection.client()?, output).await,
        Command::Daemons(command) => commands::daemons::run(command, &connection.client()?, output).await,
        Command::Jobs(command) => commands::jobs::run(command, &connection.client()?, output).await,
        Command::Logs(command) => commands::logs::run(command, &connection.client()?, output).await,
        Command::Diagnostics { output: file } => commands::diagnostics::run(&file, &connection.client()?, output).await,
        Command::Recover(command) => recover::run(command, output).await,
        Command::Offsite(command) => commands::offsite::run(command, &connection.client()?, output).await,
        Command::Sftp(command) => commands::sftp::run(command, &connection.client()?, output).await,
        Command::Blockstore(command) => commands::blockstore::run(command, &connection.client()?, output).await,
        Command::Restores(command) => commands::restores::run(command, &connection.client()?, output).await,
        Command::Restore(request) => restore::run(request, &connection.client()?, output).await,
    }
}
