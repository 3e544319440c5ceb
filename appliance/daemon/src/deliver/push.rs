//! One push: the archive to `PATH.part`, from where an earlier attempt came to; its sums to `PATH.sums`; then the name.
//!
//! The bytes of `tar` and `tar.zst` follow from the frozen layout, so that what lies at the server can be gone on with: what was under way when
//! the connection broke is written again, and what lies before it is compared. `tar.gz` begins anew. Commit point: the rename.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use blockstore_engine::{
    Pin, Root, RootError,
    archive::{Archive, ArchiveError, ArchiveFormat as EngineFormat},
};
use bytes::Bytes;
use futures::StreamExt as _;
use holdfast_blockstore::ApplianceStore;
use holdfast_domain::{ArchiveFormat, Classify, ErrorClass};
use holdfast_metadb::{Delivery, MetaError, RestoreJob, sftp_key_context};
use holdfast_service::{MasterKey, SecretError};
use holdfast_sftp::{HostKey, KeyPair, Server, Session, SftpError, WINDOW_BYTES};

use super::{Shown, lock};
use crate::{context::Context, error::engine_class};

/// How much of what lies at the server is compared before it is gone on with.
const TAIL_BYTES: u64 = 1 << 20;
/// How long the root is pinned from each attempt on.
const PIN_HOURS: i64 = 48;
/// Over which time the rate is taken.
const RATE_OVER: Duration = Duration::from_secs(2);
/// Sums that are collected before they are written, in bytes.
const SUMS_BYTES: usize = 64 * 1024;

/// Why a restore was not delivered.
#[derive(Debug, thiserror::Error)]
pub(super) enum PushError {
    /// The server.
    #[error(transparent)]
    Sftp(#[from] SftpError),
    /// The app database.
    #[error("app database")]
    Meta(#[from] MetaError),
    /// The snapshot's bytes.
    #[error("read the restored files")]
    Archive(#[from] ArchiveError),
    /// The snapshot.
    #[error("find the restored files")]
    Root(#[from] RootError),
    /// The group's key.
    #[error("the SFTP key of the group: this daemon needs the same master key as the web service")]
    Secret(#[from] SecretError),
    /// Something that the delivery names is not there any more.
    #[error("{0}")]
    Gone(&'static str),
}

impl Classify for PushError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Sftp(e) => e.class(),
            Self::Meta(e) => e.class(),
            Self::Archive(e) => engine_class(e.class()),
            Self::Root(e) => engine_class(e.class()),
            Self::Secret(_) => ErrorClass::Operator,
            Self::Gone(_) => ErrorClass::Caller,
        }
    }
}

fn pin_name(job: &RestoreJob) -> String {
    format!("delivery:{}", job.id)
}

/// The root to send, pinned while it is sent.
async fn root_of(store: &ApplianceStore, job: &RestoreJob) -> Result<Root, PushError> {
    let gone = PushError::Gone("what was restored is not stored any more: ask for the restore again");
    let Some(id) = job.root.as_ref().and_then(|id| id.parse().ok()) else { return Err(gone) };
    let until = bson::DateTime::now().timestamp_millis() + PIN_HOURS * 3_600_000;
    store.pin(&id, Pin { by: pin_name(job), until: Some(bson::DateTime::from_millis(until)) }).await?;
    store.root(&id).await?.ok_or(gone)
}

/// Lets the root go where retention wants it.
pub(super) async fn unpin(ctx: &Context, job: &RestoreJob) {
    if let Some(id) = job.root.as_ref().and_then(|id| id.parse().ok())
        && let Err(error) = ctx.store.unpin(&id, &pin_name(job)).await
    {
        tracing::debug!(restore = %job.id, error = crate::chain_of(&error), "unpin what was delivered");
    }
}

/// Logs in at the target of a delivery.
async fn log_in(ctx: &Context, job: &RestoreJob, delivery: &Delivery, master_key: &Path) -> Result<Session, PushError> {
    let target = ctx.metadb.sftp_target(&delivery.target).await?.filter(|target| target.group == job.group);
    let target =
        target.ok_or(PushError::Gone("its SFTP target was removed: ask for the restore again, with another target"))?;
    let key = ctx.metadb.sftp_key(&job.group).await?;
    let key = key.ok_or(PushError::Gone("the group has no SFTP key: look at it once, and put it on the server"))?;
    let master = MasterKey::load_or_create(master_key)?;
    let sealed = hex::decode(&key.sealed).map_err(|_| SecretError::NotOurs)?;
    let private = master.open(&sftp_key_context(&job.group), &sealed)?;
    let pair = KeyPair::from_private_text(&String::from_utf8_lossy(&private))?;
    let server = Server { host: target.host, port: target.port, user: target.user };
    Ok(Session::open(&server, &HostKey::parse(&target.host_key)?, &pair).await?)
}

/// Brings it over.
pub(super) async fn push(
    ctx: &Context,
    job: &RestoreJob,
    delivery: &Delivery,
    master_key: &Path,
    shown: &Shown,
) -> Result<(), PushError> {
    let root = root_of(&ctx.store, job).await?;
    let format = match job.format {
        ArchiveFormat::Tar => EngineFormat::Tar,
        ArchiveFormat::TarZst => EngineFormat::TarZst,
        ArchiveFormat::TarGz => EngineFormat::TarGz,
    };
    let archive = Archive::plan(ctx.store.reader(root), format).await?;
    let total = archive.len();
    lock(shown).total_bytes = total.map(signed);
    let session = log_in(ctx, job, delivery, master_key).await?;
    let (path, part, sums) = (&delivery.path, format!("{}.part", delivery.path), format!("{}.sums", delivery.path));
    if let Some(there) = session.size(path).await? {
        if Some(there) == total && resumes_at(&session, path, &archive, there).await? == there {
            // The rename was the last thing that an earlier attempt did.
            lock(shown).sent_bytes = signed(there);
            return Ok(());
        }
        // The name holds the id of this restore: it is its own.
        session.remove(path).await?;
    }
    let there = session.size(&part).await?.unwrap_or_default();
    let from = match total {
        Some(total) if there > 0 && there <= total => {
            resumes_at(&session, &part, &archive, there.saturating_sub(WINDOW_BYTES)).await?
        }
        _ => 0,
    };
    if let (Some(free), Some(total)) = (session.free_bytes(&delivery.folder()).await, total) {
        let needed = total.saturating_sub(there);
        if from > 0 && free < needed || from == 0 && free.saturating_add(there) < total {
            return Err(SftpError::Full { free_bytes: free, needed_bytes: needed }.into());
        }
    }
    if from > 0 {
        tracing::info!(restore = %job.id, from, "a delivery is gone on with");
    }
    let range = if total.is_some() { from..archive.whole().end } else { archive.whole() };
    let sent = write(&session, &part, from, archive.stream(range), shown).await;
    let sent = why_full(&session, delivery, total, shown, sent).await?;
    if total.is_some_and(|total| sent != total) {
        return Err(PushError::Gone("the archive has another length than was planned: ask for the restore again"));
    }
    write_sums(&session, &sums, &archive).await?;
    session.rename(&part, path).await?;
    Ok(())
}

/// The server's own word for a full disk is a mere failure: asks how much is free.
async fn why_full<T>(
    session: &Session,
    delivery: &Delivery,
    total: Option<u64>,
    shown: &Shown,
    done: Result<T, PushError>,
) -> Result<T, PushError> {
    /// A write of so much fails on a disk that has less.
    const LITTLE: u64 = 4 << 20;
    if matches!(&done, Err(PushError::Sftp(SftpError::Refused { what: "write", .. })))
        && let Some(free_bytes) = session.free_bytes(&delivery.folder()).await
        && free_bytes < LITTLE
    {
        let sent = u64::try_from(lock(shown).sent_bytes).unwrap_or_default();
        let needed_bytes = total.map_or(LITTLE, |total| total.saturating_sub(sent));
        return Err(SftpError::Full { free_bytes, needed_bytes }.into());
    }
    done
}

/// `at`, when the bytes before it are those of the archive; else 0.
async fn resumes_at(
    session: &Session,
    path: &str,
    archive: &Archive<impl blockstore_engine::FrameSource + Clone + 'static>,
    at: u64,
) -> Result<u64, PushError> {
    let begin = at.saturating_sub(TAIL_BYTES);
    if begin == at {
        return Ok(0);
    }
    let mut file = session.write(path, false).await?;
    let there = file.read_at(begin, usize::try_from(at - begin).unwrap_or(usize::MAX)).await;
    file.close().await?;
    let there = there?;
    let mut compared = 0;
    let mut ours = archive.stream(begin..at);
    while let Some(bytes) = ours.next().await {
        let bytes = bytes?;
        if there.get(compared..compared + bytes.len()) != Some(&bytes[..]) {
            tracing::warn!(path, "what lies at the SFTP server is not what was sent: it is sent anew");
            return Ok(0);
        }
        compared += bytes.len();
    }
    Ok(if compared == there.len() { at } else { 0 })
}

/// Writes a stream from `from` on, and gives the length of the file.
async fn write(
    session: &Session,
    path: &str,
    from: u64,
    mut bytes: impl futures::Stream<Item = Result<Bytes, ArchiveError>> + Unpin,
    shown: &Shown,
) -> Result<u64, PushError> {
    let mut file = session.write(path, from == 0).await?;
    let mut at = from;
    let (mut since, mut before) = (Instant::now(), 0_u64);
    while let Some(bytes) = bytes.next().await {
        let bytes = bytes?;
        let len = bytes.len() as u64;
        file.write_at(at, bytes).await?;
        at += len;
        let mut shown = lock(shown);
        shown.sent_bytes = signed(from + file.written());
        if since.elapsed() >= RATE_OVER {
            let millis = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
            shown.bytes_per_second = signed((file.written() - before).saturating_mul(1000) / millis);
            (since, before) = (Instant::now(), file.written());
        }
    }
    let written = file.close().await?;
    lock(shown).sent_bytes = signed(from + written);
    Ok(at)
}

/// Writes the list of sums: BLAKE3, size and path of every file.
async fn write_sums(
    session: &Session,
    path: &str,
    archive: &Archive<impl blockstore_engine::FrameSource + Clone + 'static>,
) -> Result<(), PushError> {
    let mut file = session.write(path, true).await?;
    let (mut at, mut collected) = (0_u64, Vec::with_capacity(SUMS_BYTES));
    let mut lines = archive.sums();
    while let Some(line) = lines.next().await {
        collected.extend_from_slice(line?.as_bytes());
        if collected.len() >= SUMS_BYTES {
            let piece = Bytes::from(std::mem::take(&mut collected));
            let len = piece.len() as u64;
            file.write_at(at, piece).await?;
            at += len;
        }
    }
    file.write_at(at, Bytes::from(collected)).await?;
    file.close().await?;
    Ok(())
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
