//! What can be typed.

use std::{path::PathBuf, str::FromStr};

use clap::{Args, Parser, Subcommand};
use holdfast_domain::{ArchiveFormat, Ts};

use crate::{connect::Connection, recover::RecoverCommand};

/// Backs up MongoDB replica sets continuously and restores them to any second.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) connection: Connection,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Runs a whole appliance in a folder: database, web, ingest and daemon, until SIGTERM or Ctrl-C.
    Up(UpArgs),
    /// Groups.
    #[command(subcommand)]
    Groups(GroupsCommand),
    /// Agents: the programs beside the databases.
    #[command(subcommand)]
    Agents(AgentsCommand),
    /// Deployments: replica sets that an agent found.
    #[command(subcommand)]
    Deployments(DeploymentsCommand),
    /// Backups.
    #[command(subcommand)]
    Backups(BackupsCommand),
    /// Policies: what is promised of backups, and measured by their verdicts.
    #[command(subcommand)]
    Policies(crate::commands::policies::PoliciesCommand),
    /// Snapshots.
    #[command(subcommand)]
    Snapshots(SnapshotsCommand),
    /// Daemons: the machines that keep heads.
    #[command(subcommand)]
    Daemons(DaemonsCommand),
    /// Jobs: all long work of the appliance, newest first.
    Jobs(crate::commands::jobs::JobsArgs),
    /// What the appliance's own programs said, oldest first.
    Logs(crate::commands::logs::LogsArgs),
    /// Downloads what someone who looks for a fault wants to read: states, settings without their secrets, the log.
    Diagnostics {
        /// File to write, which must not exist; default: holdfast-diagnostics.tar.gz.
        #[arg(short, long, value_name = "FILE", default_value = "holdfast-diagnostics.tar.gz")]
        output: PathBuf,
    },
    /// Offsite copies: snapshots pulled from another Holdfast or pushed to a second store.
    #[command(subcommand)]
    Offsite(crate::commands::offsite::OffsiteCommand),
    /// SFTP targets: servers to which restores are pushed.
    #[command(subcommand)]
    Sftp(crate::commands::sftp::SftpCommand),

    /// The blockstore: what it holds, garbage, verification, payload stores.
    #[command(subcommand)]
    Blockstore(BlockstoreCommand),
    /// Restores that were asked for: their history, and taking a link away.
    #[command(subcommand)]
    Restores(RestoresCommand),
    /// Restores a snapshot or an instant.
    Restore(RestoreArgs),
    /// When the appliance is lost: lists and restores from a blockstore, a folder of packs or a bucket alone.
    #[command(subcommand)]
    Recover(RecoverCommand),
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Also start a three-member replica set with a live workload, an agent, and its backup.
    #[arg(long)]
    pub(crate) demo: bool,
    /// Port of the web service (default 8080, a free one when that is taken).
    #[arg(long, value_name = "N")]
    pub(crate) web_port: Option<u16>,
    /// Port of the ingest service (default 8081, a free one when that is taken).
    #[arg(long, value_name = "N")]
    pub(crate) ingest_port: Option<u16>,
    /// First of the four ports of the heads (default 27500, free ones when those are taken).
    #[arg(long, value_name = "N")]
    pub(crate) heads_port: Option<u16>,
    /// The mongod to run and to open heads with (default: $MONGOD, the PATH, then what scripts/mongod fetched).
    #[arg(long, env = "MONGOD", value_name = "FILE")]
    pub(crate) mongod: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GroupsCommand {
    /// Creates a group.
    Create {
        /// Its name.
        name: String,
        /// Store its snapshots, and slices and catalogs of its ledgers, encrypted under a key of its own. This cannot be changed later. Names of
        /// collections, times and counts are not covered, nor are heads and the agent's spool: those need an encrypted disk.
        #[arg(long)]
        encrypt: bool,
    },
    /// Lists the groups.
    List,
    /// The key of a group that encrypts.
    #[command(subcommand)]
    Key(KeyCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Exports it, for a recovery without the appliance. Needs a key of a global admin.
    Export {
        /// Group, by name or id.
        group: String,
        /// As a page to print, with a QR code.
        #[arg(long)]
        html: bool,
        /// Write it into this file, which must not exist; default: print it.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum BlockstoreCommand {
    /// Shows what it holds, what is free, what was verified.
    Show,
    /// Collects garbage now.
    Collect {
        /// Only say what would be freed.
        #[arg(long)]
        dry_run: bool,
        /// Do not wait for the end.
        #[arg(long)]
        no_wait: bool,
    },
    /// Says what another retention would free.
    WhatIf {
        #[command(flatten)]
        retention: RetentionArgs,
        /// Count afresh instead of answering from the last collection.
        #[arg(long)]
        fresh: bool,
    },
    /// Reads everything back, or one snapshot.
    Verify {
        /// Only this snapshot.
        #[arg(long, value_name = "ID")]
        snapshot: Option<String>,
        /// Do not wait for the end.
        #[arg(long)]
        no_wait: bool,
    },
    /// Shows what verification found.
    Report,
    /// Lists what was asked for.
    Requests,
    /// Calls a request off.
    Cancel {
        /// Its id.
        request: String,
    },
    /// Payload stores: where blocks lie.
    #[command(subcommand)]
    Stores(StoresCommand),
}

/// A retention; what is left out is as in a new backup.
#[derive(Debug, Args)]
pub(crate) struct RetentionArgs {
    /// Hours for which every snapshot is kept.
    #[arg(long, default_value_t = 24)]
    pub(crate) recent_hours: u32,
    /// Days of 6-hourly snapshots.
    #[arg(long, default_value_t = 2)]
    pub(crate) six_hourly_days: u32,
    /// Days of daily snapshots.
    #[arg(long, default_value_t = 7)]
    pub(crate) daily_days: u32,
    /// Weeks of weekly snapshots.
    #[arg(long, default_value_t = 4)]
    pub(crate) weekly_weeks: u32,
    /// Months of monthly snapshots.
    #[arg(long, default_value_t = 12)]
    pub(crate) monthly_months: u32,
    /// Days of oplog.
    #[arg(long, default_value_t = 7)]
    pub(crate) oplog_window_days: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoresCommand {
    /// Lists them, with what lies in them. Number 0 is the database.
    List,
    /// Adds a folder or a bucket.
    Add {
        /// A folder that web, ingest and daemons all see.
        #[arg(long, value_name = "DIR", conflicts_with = "bucket")]
        directory: Option<PathBuf>,
        /// A bucket, which must exist. The access key's secret is read from $HOLDFAST_S3_SECRET_ACCESS_KEY.
        #[arg(long, requires = "access_key_id")]
        bucket: Option<String>,
        /// URL of the service; default: Amazon's.
        #[arg(long, requires = "bucket")]
        endpoint: Option<String>,
        /// Region.
        #[arg(long, default_value = "us-east-1")]
        region: String,
        /// Folder in the bucket.
        #[arg(long, default_value = "")]
        prefix: String,
        /// Name of the access key.
        #[arg(long)]
        access_key_id: Option<String>,
        /// New payloads go there from now on.
        #[arg(long)]
        default: bool,
        /// Size of a full pack in MiB, 1 to 64.
        #[arg(long, value_name = "N")]
        pack_mib: Option<u32>,
        /// Bytes per second in each direction for each process, at most.
        #[arg(long, value_name = "BYTES")]
        bandwidth: Option<u64>,
    },
    /// Changes one.
    Set {
        /// Its number.
        number: u8,
        /// New payloads go there from now on.
        #[arg(long)]
        default: bool,
        /// Bytes per second in each direction for each process, at most; 0: no limit.
        #[arg(long, value_name = "BYTES")]
        bandwidth: Option<u64>,
        /// Name of a new access key; its secret is read from $HOLDFAST_S3_SECRET_ACCESS_KEY.
        #[arg(long)]
        access_key_id: Option<String>,
        /// Takes back that it is being emptied.
        #[arg(long)]
        activate: bool,
    },
    /// Moves all payloads of one to another, beside backups. New payloads must go elsewhere already.
    Move {
        /// Number of the store that is emptied.
        from: u8,
        /// Number of the store that takes all of it.
        to: u8,
        /// Do not wait for the end.
        #[arg(long)]
        no_wait: bool,
    },
    /// Forgets an empty one.
    Retire {
        /// Its number.
        number: u8,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AgentsCommand {
    /// Prints the one line to run beside the databases.
    Enroll {
        /// Group, by name or id.
        group: String,
    },
    /// Lists the agents of a group.
    List {
        /// Group, by name or id.
        group: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeploymentsCommand {
    /// Has the group's agent look at a replica set.
    Add {
        /// Group, by name or id.
        group: String,
        /// Connection string of one member or more, as the agent's machine reaches it.
        uri: String,
        /// Do not keep the connection string at the appliance: the agent has it in a file of its own.
        #[arg(long)]
        no_store: bool,
    },
    /// Lists the deployments of a group.
    List {
        /// Group, by name or id.
        group: String,
    },
    /// Removes a deployment that has no backup.
    Remove {
        /// Group, by name or id.
        group: String,
        /// Name of the replica set, or id of the deployment.
        deployment: String,
    },
}

/// `GROUP/RS`.
#[derive(Clone, Debug)]
pub(crate) struct Backup {
    pub(crate) group: String,
    pub(crate) rs: String,
}

impl FromStr for Backup {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((group, rs)) if !group.is_empty() && !rs.is_empty() && !rs.contains('/') => {
                Ok(Self { group: group.to_owned(), rs: rs.to_owned() })
            }
            _ => Err("GROUP/RS is expected: the group's name, a slash, the replica set's name".to_owned()),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum BackupsCommand {
    /// Starts the backup of a replica set.
    Start {
        /// GROUP/RS.
        backup: Backup,
        /// Only daemons with this label may keep the head; may be given several times.
        #[arg(long)]
        label: Vec<String>,
        /// Wait until it is active.
        #[arg(long)]
        wait: bool,
    },
    /// Stops it; snapshots stay.
    Stop {
        /// GROUP/RS.
        backup: Backup,
    },
    /// Shows how it is.
    Show {
        /// GROUP/RS.
        backup: Backup,
    },
    /// Makes a new initial sync; what was restorable stays so.
    Resync {
        /// GROUP/RS.
        backup: Backup,
    },
    /// Moves the head to another daemon, which rebuilds it from the last snapshot and the ledger.
    Move {
        /// GROUP/RS.
        backup: Backup,
        /// The daemon, by id or name.
        daemon: String,
    },
    /// Acknowledges the alert about blocks that the file system called unchanged: the verdict no longer says so.
    Acknowledge {
        /// GROUP/RS.
        backup: Backup,
        /// The snapshot that raised it, as `backups show` says.
        #[arg(long)]
        snapshot: String,
    },
    /// Gives a backup up: nothing is backed up any more, its snapshots go to the trash. Without --name it only says what would go.
    Terminate {
        /// GROUP/RS.
        backup: Backup,
        /// The replica set's name, again: then it is done.
        #[arg(long, value_name = "RS")]
        name: Option<String>,
    },
    /// Takes a termination back: a stopped backup with the snapshots that are still there.
    TakeBack {
        /// GROUP/RS.
        backup: Backup,
    },
    /// Lists the backups of a group.
    List {
        /// Group, by name or id.
        group: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotsCommand {
    /// Lists the snapshots.
    List {
        /// GROUP/RS.
        backup: Backup,
    },
    /// Takes one now.
    Take {
        /// GROUP/RS.
        backup: Backup,
        /// A label to find it by.
        #[arg(long)]
        label: Option<String>,
        /// Pin it.
        #[arg(long)]
        pin: bool,
        /// Wait until it is committed.
        #[arg(long)]
        wait: bool,
    },
    /// Keeps a snapshot whatever the schedule says.
    Pin {
        /// GROUP/RS.
        backup: Backup,
        /// The snapshot's id.
        id: String,
        /// A label to find it by.
        #[arg(long)]
        label: Option<String>,
    },
    /// Lets the schedule decide again.
    Unpin {
        /// GROUP/RS.
        backup: Backup,
        /// The snapshot's id.
        id: String,
    },
    /// Names a snapshot; without a label its name is taken away.
    Label {
        /// GROUP/RS.
        backup: Backup,
        /// The snapshot's id.
        id: String,
        /// The label.
        label: Option<String>,
    },
    /// Shows one snapshot.
    Show {
        /// GROUP/RS.
        backup: Backup,
        /// The snapshot's id.
        id: String,
    },
    /// Takes a snapshot out of the trash again.
    RestoreFromTrash {
        /// GROUP/RS.
        backup: Backup,
        /// The snapshot's id.
        id: String,
    },
    /// Moves a snapshot to the trash.
    Delete {
        /// GROUP/RS.
        backup: Backup,
        /// The snapshot's id.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DaemonsCommand {
    /// Lists them, with the space that heads have.
    List,
    /// Empties one: it takes no new backup, and its heads move to others, one after the other. Can be taken back at any time.
    Drain {
        /// Its name or id.
        daemon: String,
    },
    /// Takes back that one is emptied. Heads that have moved stay where they are.
    Undrain {
        /// Its name or id.
        daemon: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RestoresCommand {
    /// Lists the restores of a group, newest first: who, why, what, and how far the links are used.
    List {
        /// The group.
        group: String,
        /// How many.
        #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Shows a restore.
    Show {
        /// Its id.
        id: String,
    },
    /// Takes the link of a restore away before its time, or calls off a restore that is still being made. A download that is under way
    /// is sent to its end. This cannot be undone; the same restore can be asked for again.
    Revoke {
        /// Its id.
        id: String,
    },
}

/// `--at`: an optime or a time.
#[derive(Clone, Debug)]
pub(crate) struct At(pub(crate) String);

impl FromStr for At {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text.parse::<Ts>().is_ok() || text.parse::<jiff::Timestamp>().is_ok() {
            return Ok(Self(text.to_owned()));
        }
        Err("a time like 2026-11-22T14:03:07Z (RFC 3339, with zone) or SECONDS,INCREMENT is expected".to_owned())
    }
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
#[command(group = clap::ArgGroup::new("where").required(true))]
pub(crate) struct RestoreArgs {
    /// GROUP/RS.
    pub(crate) backup: Backup,
    /// A snapshot as it is.
    #[arg(long, value_name = "ID", group = "what")]
    pub(crate) snapshot: Option<String>,
    /// An instant of the source's cluster time, inclusive: RFC 3339 (all of that second) or SECONDS,INCREMENT.
    #[arg(long, value_name = "TIME", group = "what")]
    pub(crate) at: Option<At>,
    /// Where two histories cover the instant: the number of the chain to take (default: the younger).
    #[arg(long, value_name = "N", requires = "at")]
    pub(crate) chain: Option<i64>,
    /// Format of the download.
    #[arg(long, default_value = "tar.zst", value_parser = ["tar", "tar.zst", "tar.gz"])]
    pub(crate) format: String,
    /// Download into this file; a broken download is resumed.
    #[arg(short, long, value_name = "FILE", group = "where")]
    pub(crate) output: Option<PathBuf>,
    /// Unpack into this folder (new or empty): a dbpath that a mongod of the same release opens as it is.
    #[arg(long, value_name = "DIR", group = "where")]
    pub(crate) to: Option<PathBuf>,
    /// Only print the link.
    #[arg(long, group = "where")]
    pub(crate) link: bool,
    /// Push the archive to this SFTP target of the group (see `holdfast sftp`); with --wait until it is there.
    #[arg(long, value_name = "TARGET", group = "where")]
    pub(crate) sftp: Option<String>,
    /// Wait up to 60 s for the ledger to pass the instant, and with --link until the link works.
    #[arg(long)]
    pub(crate) wait: bool,
    /// Why it is made: shown in the history of restores.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// How long the link works, in hours.
    #[arg(long, value_name = "N")]
    pub(crate) hours: Option<u32>,
    /// How many times the whole may be downloaded.
    #[arg(long, value_name = "N")]
    pub(crate) uses: Option<u32>,
}

impl RestoreArgs {
    /// The format.
    pub(crate) fn archive_format(&self) -> ArchiveFormat {
        self.format.parse().expect("the value parser lets only formats pass")
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn contracts_of_scripts_parse() {
        for line in [
            "holdfast up --dir d --demo --web-port 1 --ingest-port 2 --heads-port 3",
            "holdfast --json groups create g",
            "holdfast groups list --json --dir d",
            "holdfast agents enroll g",
            "holdfast deployments add g mongodb://h:1/?replicaSet=rs",
            "holdfast backups show g/rs --json",
            "holdfast snapshots take g/rs --label l --wait",
            "holdfast snapshots pin g/rs 0123 --label x",
            "holdfast snapshots label g/rs 0123 x",
            "holdfast snapshots label g/rs 0123",
            "holdfast deployments remove g rs",
            "holdfast backups acknowledge g/rs --snapshot 1",
            "holdfast backups terminate g/rs",
            "holdfast policies show g",
            "holdfast policies set g --recovery-window 7d --unprotected 5m",
            "holdfast policies set g/rs --restore none",
            "holdfast backups terminate g/rs --name rs",
            "holdfast backups take-back g/rs",
            "holdfast groups create g --encrypt",
            "holdfast groups key export g --html -o f",
            "holdfast blockstore collect --dry-run",
            "holdfast blockstore what-if --daily-days 3 --fresh",
            "holdfast blockstore verify --snapshot 01",
            "holdfast blockstore stores add --directory d --default",
            "holdfast blockstore stores add --bucket b --access-key-id a --endpoint http://h:1 --bandwidth 1000",
            "holdfast blockstore stores set 2 --bandwidth 0",
            "holdfast blockstore stores move 1 2",
            "holdfast snapshots restore-from-trash g/rs 01",
            "holdfast restore g/rs --at 2026-11-22T14:03:07Z --to d --wait",
            "holdfast restore g/rs --at 5,6 --format tar.gz -o f",
            "holdfast restore g/rs --snapshot 01 --link",
            "holdfast restore g/rs --snapshot 01 --link --reason ticket-7",
            "holdfast restores list g --limit 500",
            "holdfast restores show 01",
            "holdfast restores revoke 01",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        for line in [
            "holdfast blockstore stores add --bucket b",
            "holdfast restore g/rs --at 5,6",
            "holdfast restore g/rs --to d",
            "holdfast restore g --at 5,6 --link",
            "holdfast restore g/rs --at yesterday --link",
            "holdfast restore g/rs --at 5,6 --snapshot 1 --link",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
