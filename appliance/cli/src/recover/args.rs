//! What can be typed after `holdfast recover`.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use holdfast_domain::{SnapshotId, Ts};
use holdfast_recover::{PackLocation, Place, S3Options, Target};

use crate::args::{At, Backup};

/// Region for services that do not care.
const REGION: &str = "us-east-1";

#[derive(Debug, Subcommand)]
pub(crate) enum RecoverCommand {
    /// Lists backups, snapshots and the seconds that can be restored.
    List(Box<ListArgs>),
    /// Restores a snapshot or an instant into a folder that a mongod opens.
    Restore(Box<RestoreArgs>),
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) from: FromArgs,
    /// Also look whether every block and every part of the ledger is there.
    #[arg(long)]
    pub(crate) check: bool,
    /// Folder for the index of the packs while it looks (44 bytes and more per block).
    #[arg(long, value_name = "DIR", requires = "check")]
    pub(crate) scratch: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub(crate) struct RestoreArgs {
    /// GROUP/RS; may be left out where there is only one backup, or with --snapshot.
    pub(crate) backup: Option<Backup>,
    #[command(flatten)]
    pub(crate) from: FromArgs,
    /// A snapshot as it is.
    #[arg(long, value_name = "ID", group = "what")]
    pub(crate) snapshot: Option<SnapshotId>,
    /// An instant of the source's cluster time, inclusive: RFC 3339 (all of that second) or SECONDS,INCREMENT.
    #[arg(long, value_name = "TIME", group = "what")]
    pub(crate) at: Option<At>,
    /// The snapshot to begin with (default: the newest that leads to the instant).
    #[arg(long, value_name = "ID", requires = "at")]
    pub(crate) base: Option<SnapshotId>,
    /// The folder that becomes the dbpath: new or empty. It appears under its name when it is whole; the same command again goes on.
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// A mongod of the source's release, to replay the oplog (default: $MONGOD, the PATH, then what scripts/mongod fetched).
    #[arg(long, env = "MONGOD", value_name = "FILE")]
    pub(crate) mongod: Option<PathBuf>,
}

/// Where it lies. What belongs to --s3 also names its conflict with --packs: clap asks for no argument that a given one forbids, so `requires`
/// alone would let it stand beside --packs without effect.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("source").required(true).multiple(true))]
pub(crate) struct FromArgs {
    /// Connection string of the blockstore database; with --packs or --s3 where its payloads lie there.
    #[arg(long, value_name = "URI", env = "HOLDFAST_BLOCKSTORE", hide_env_values = true, group = "source")]
    blockstore: Option<String>,
    /// Name of the blockstore database (default: the only one that holds a blockstore).
    #[arg(long, value_name = "NAME", requires = "blockstore")]
    database: Option<String>,
    /// A folder of packs.
    #[arg(long, value_name = "DIR", group = "source", conflicts_with = "s3")]
    packs: Option<PathBuf>,
    /// A bucket of packs, BUCKET or BUCKET/PREFIX. Credentials: $AWS_ACCESS_KEY_ID and $AWS_SECRET_ACCESS_KEY, or --s3-credentials.
    #[arg(long, value_name = "BUCKET", group = "source")]
    s3: Option<String>,
    /// URL of the service (default: Amazon's).
    #[arg(long, value_name = "URL", requires = "s3", conflicts_with = "packs")]
    s3_endpoint: Option<String>,
    /// Region.
    #[arg(long, value_name = "NAME", requires = "s3", conflicts_with = "packs", default_value = REGION)]
    s3_region: String,
    /// File with lines aws_access_key_id = ... and aws_secret_access_key = ...
    #[arg(long, value_name = "FILE", requires = "s3", conflicts_with = "packs")]
    s3_credentials: Option<PathBuf>,
    /// Certificates (PEM) that are trusted beside the system's.
    #[arg(long, value_name = "FILE", requires = "s3", conflicts_with = "packs")]
    s3_ca: Option<PathBuf>,
    /// The bucket's name stands in the host's name.
    #[arg(long, requires = "s3", conflicts_with = "packs")]
    s3_virtual_hosted: bool,
    /// File with an exported key of a group that encrypts; may be given several times.
    #[arg(long = "key-file", value_name = "FILE")]
    pub(crate) key_files: Vec<PathBuf>,
}

impl FromArgs {
    /// Where it lies.
    pub(crate) fn place(&self) -> anyhow::Result<Place> {
        let packs = match (&self.packs, &self.s3) {
            (Some(dir), _) => Some(PackLocation::Directory(dir.clone())),
            (None, Some(bucket)) => Some(PackLocation::S3(self.s3_options(bucket)?)),
            (None, None) => None,
        };
        match (&self.blockstore, packs) {
            (Some(uri), packs) => Ok(Place::Database { uri: uri.clone(), database: self.database.clone(), packs }),
            (None, Some(packs)) => Ok(Place::Packs(packs)),
            (None, None) => bail!("say where it lies: --blockstore, --packs or --s3"),
        }
    }

    fn s3_options(&self, bucket: &str) -> anyhow::Result<S3Options> {
        let (bucket, prefix) = bucket.split_once('/').unwrap_or((bucket, ""));
        let (id, secret) = match &self.s3_credentials {
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
                credentials(&text).with_context(|| {
                    format!("{} needs aws_access_key_id = ... and aws_secret_access_key = ...", path.display())
                })?
            }
            None => {
                let variable = |name: &str| {
                    std::env::var(name).with_context(|| format!("${name} is not set: set it, or name --s3-credentials"))
                };
                (variable("AWS_ACCESS_KEY_ID")?, variable("AWS_SECRET_ACCESS_KEY")?)
            }
        };
        let ca = self.s3_ca.as_ref();
        let ca_pem =
            ca.map(|path| std::fs::read(path).with_context(|| format!("read {}", path.display()))).transpose()?;
        Ok(S3Options {
            endpoint: self.s3_endpoint.clone(),
            region: self.s3_region.clone(),
            bucket: bucket.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
            access_key_id: id,
            secret_access_key: secret,
            virtual_hosted: self.s3_virtual_hosted,
            ca_pem,
            request_timeout: S3Options::REQUEST_TIMEOUT,
        })
    }
}

/// Id and secret of an AWS credentials file: the first of each.
fn credentials(text: &str) -> Option<(String, String)> {
    let value = |wanted: &str| {
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        let mut found = pairs.filter(|(name, _)| name.trim() == wanted).map(|(_, value)| value.trim().to_owned());
        found.next()
    };
    Some((value("aws_access_key_id")?, value("aws_secret_access_key")?))
}

impl RestoreArgs {
    /// What to restore.
    pub(crate) fn target(&self) -> anyhow::Result<Target> {
        match (&self.snapshot, &self.at) {
            (Some(id), _) => Ok(Target::Snapshot(id.clone())),
            (None, Some(at)) => Ok(Target::Instant {
                at: instant(&at.0)?,
                backup: self.backup.clone().map(|backup| (backup.group, backup.rs)),
                base: self.base.clone(),
            }),
            (None, None) => bail!("say what to restore: --snapshot or --at"),
        }
    }
}

/// RFC 3339 names a whole second, every entry of it; `SECONDS,INCREMENT` names an entry.
fn instant(text: &str) -> anyhow::Result<Ts> {
    if let Ok(ts) = text.parse() {
        return Ok(ts);
    }
    let at: jiff::Timestamp = text.parse().with_context(|| format!("{text} is no time"))?;
    let seconds = u32::try_from(at.as_second()).with_context(|| format!("{text} is before 1970 or after 2106"))?;
    Ok(Ts::end_of_second(seconds))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn what_belongs_together_is_asked_for() {
        for line in [
            "holdfast recover list --packs d",
            "holdfast recover list --s3 b/p --s3-endpoint http://h:1 --key-file k --check --json",
            "holdfast recover list --blockstore mongodb://h:1 --database b --packs d",
            "holdfast recover restore --packs d --snapshot 0123456789abcdef01234567 --to out",
            "holdfast recover restore g/rs --blockstore mongodb://h:1 --at 5,6 --base 0123456789abcdef01234567 --to out",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        for line in [
            "holdfast recover list",
            "holdfast recover list --packs d --s3 b",
            "holdfast recover restore --packs d --to out",
            "holdfast recover restore --packs d --at 5,6",
            "holdfast recover restore --packs d --at 5,6 --snapshot 0123456789abcdef01234567 --to out",
            "holdfast recover list --packs d --s3-endpoint http://h:1",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn credentials_files_of_amazons_kind() {
        let text = "[default]\naws_access_key_id = AK\naws_secret_access_key=s/e=c\n";
        assert_eq!(credentials(text), Some(("AK".to_owned(), "s/e=c".to_owned())));
        assert_eq!(credentials("aws_access_key_id = AK"), None);
    }

    #[test]
    fn a_second_is_all_of_it() {
        assert_eq!(instant("2023-11-14T22:13:20Z").ok(), Some(Ts::end_of_second(1_700_000_000)));
        assert_eq!(instant("5,6").ok(), Some(Ts { t: 5, i: 6 }));
    }
}
