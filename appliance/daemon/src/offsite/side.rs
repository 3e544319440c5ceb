//! The two sides of an order: where snapshots come from, and the blockstore that they go to.

use std::{path::Path, sync::Arc};

use anyhow::Context as _;
use blockstore_engine::{
    Blockstore, CopyError, CopyReport, CopyRequest, EngineOptions, OnCopy, PackLocation, PackStoreOptions,
    PayloadStore, Purpose, RootId, StoreNumber, StoreSource,
};
use holdfast_blockstore::pack_location;
use holdfast_domain::{OffsiteCandidate, SnapshotId};
use holdfast_ledger::SnapshotMeta;
use holdfast_metadb::{BackupJobFilter, OffsiteCopy, OffsitePeer, offsite_secret_context};
use holdfast_service::MasterKey;
use tokio_util::sync::CancellationToken;

use super::pull::{PullError, Remote, RemoteSnapshot};
use crate::context::Context;

/// A snapshot of the source.
pub(super) struct Found {
    pub(super) candidate: OffsiteCandidate,
    /// Its job there.
    pub(super) job: String,
}

/// Where snapshots come from.
pub(super) enum Source {
    Remote(Arc<Remote>),
    Own,
}

/// An order, opened.
pub(super) struct Sides {
    pub(super) source: Source,
    pub(super) target: Blockstore,
    /// What the roots of the target call the source.
    pub(super) called: String,
    /// Whether the target is a store that nobody else collects.
    pub(super) is_second: bool,
}

impl Sides {
    pub(super) async fn open(ctx: &Context, copy: &OffsiteCopy, master_key: &Path) -> anyhow::Result<Self> {
        let key = MasterKey::load_or_create(master_key).context("the master key")?;
        let open = |sealed: &str| {
            let sealed = hex::decode(sealed).context("the order's secret")?;
            let plain = key.open(&offsite_secret_context(&copy.id), &sealed);
            let plain = plain.context("the order's secret: this daemon has another master key than web")?;
            String::from_utf8(plain).context("the order's secret")
        };
        match &copy.peer {
            OffsitePeer::Pull { url, ca, key } => {
                let remote = Remote::new(url, ca.as_deref(), open(key)?).await?;
                let (source, target) = (Source::Remote(Arc::new(remote)), ctx.store.engine().clone());
                Ok(Self { source, target, called: url.clone(), is_second: false })
            }
            OffsitePeer::Push { uri, database, packs, bucket } => {
                let db = crate::daemon::database(&open(uri)?, database).await?;
                let mut options = EngineOptions { keys: ctx.store.keys().clone(), ..EngineOptions::default() };
                let location = match (packs, bucket) {
                    (Some(folder), _) => Some(PackLocation::Directory(folder.into())),
                    (None, Some(bucket)) => Some(
                        pack_location(bucket, &key)
                            .context("the bucket's credentials: this daemon has another master key than web")?,
                    ),
                    (None, None) => None,
                };
                if let Some(location) = location {
                    let number = StoreNumber::new(1).context("the number of the pack store")?;
                    options.packs = vec![PackStoreOptions::new(number, location)];
                    options.write_to = PayloadStore::Packs(number);
                }
                let target = Blockstore::open(db, options).await.context("open the second blockstore")?;
                let called = format!("pushed by {}", copy.name);
                Ok(Self { source: Source::Own, target, called, is_second: true })
            }
        }
    }

    /// What the source has.
    pub(super) async fn list(&self, ctx: &Context) -> anyhow::Result<Vec<Found>> {
        let mut found = Vec::new();
        match &self.source {
            Source::Remote(remote) => {
                for one in remote.offered().await? {
                    let id: SnapshotId = one.id.parse().map_err(|_| PullError::Answer("names a snapshot by no id"))?;
                    let (group, rs, label) = ([one.group, one.group_name], one.rs, one.label);
                    let candidate = OffsiteCandidate { id, group, rs, label, at: i64::from(one.optime.t) };
                    found.push(Found { candidate, job: one.job });
                }
            }
            Source::Own => {
                let groups = ctx.metadb.groups().await?;
                for job in ctx.metadb.backup_jobs(&BackupJobFilter::default()).await? {
                    let name = groups.iter().find(|group| group.id == job.group).map(|group| group.name.clone());
                    let group = [job.group.to_string(), name.unwrap_or_default()];
                    for root in ctx.store.roots(job.id.as_str()).await? {
                        let is_there =
                            root.purpose == Purpose::Snapshot && root.trashed_at.is_none() && !root.quarantined;
                        let Some(meta) = SnapshotMeta::decode(&root.meta).ok().filter(|_| is_there) else { continue };
                        let (id, at) = (root.id.to_string().parse()?, i64::from(meta.optime.ts.t));
                        let (group, rs, label) = (group.clone(), job.rs.clone(), root.label);
                        let candidate = OffsiteCandidate { id, group, rs, label, at };
                        found.push(Found { candidate, job: job.id.to_string() });
                    }
                }
            }
        }
        Ok(found)
    }

    /// Copies one snapshot.
    pub(super) async fn copy(
        &self,
        ctx: &Context,
        copy: &OffsiteCopy,
        snapshot: &SnapshotId,
        request: CopyRequest,
        progress: OnCopy,
        cancel: CancellationToken,
    ) -> Result<CopyReport, CopyError> {
        match &self.source {
            Source::Remote(remote) => {
                let source = RemoteSnapshot { remote: Arc::clone(remote), id: snapshot.to_string() };
                self.target.copy_from(Arc::new(source), request, progress, cancel).await
            }
            Source::Own => {
                let id: RootId = snapshot.as_str().parse().map_err(|_| CopyError::Internal("a snapshot's id"))?;
                let source = StoreSource::new(ctx.store.engine().clone(), id, &copy.id);
                self.target.copy_from(Arc::new(source), request, progress, cancel).await
            }
        }
    }
}
