//! A store of packs: objects in a directory or in a bucket.
//!
//! Invariants: `put` returns when the object is durable (synced, or acknowledged by the service) and was looked at again; names are never
//! used for other bytes; every wait, retry and request is bounded ([`PART_BYTES`] a request, [`Retry`]). What cannot be read because
//! it is not there or torn is told apart from a store that fails. Used by writers, readers, and whoever moves payloads.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, Certificate, ClientOptions, ObjectStore, ObjectStoreExt, RetryConfig};
use tokio::task::{JoinError, JoinSet};

use super::format::{PACKS, PackId, TRAILER_BYTES, Trailer, decode_record, record_bytes_max};
use super::identity::MARKER;
use super::limit::RateLimit;
use super::options::{PACK_SIZES, PackLocation, PackStoreOptions, S3Options};
use super::retry::Retry;
use crate::error::{ErrorClass, OpenError, PackFault};
use crate::frame::Sealed;
use crate::id::{RootId, StoreNumber};

/// Bytes in the body of one request, at most: what is sent again when it fails, and what a timeout has to allow for.
pub(crate) const PART_BYTES: u64 = 8 << 20;
/// Parts of one object under way.
const PARTS_AT_ONCE: usize = 3;
/// Ranges of one query under way.
const RANGES_AT_ONCE: usize = 4;
/// Bytes that nobody asked for are read rather than asking twice, up to this many in a row.
const GAP_BYTES: u64 = 256 << 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Retries of one request inside the client; [`Retry`] bounds all of them.
const RETRIES_MAX: usize = 3;

/// See the module.
pub(crate) struct PackStore {
    pub(crate) number: StoreNumber,
    /// Bytes of a full pack.
    pub(crate) pack_bytes: usize,
    /// Where it is a directory.
    pub(crate) directory: Option<PathBuf>,
    store: Arc<dyn ObjectStore>,
    up: RateLimit,
    down: RateLimit,
}

/// Why bytes of a pack cannot be had.
#[derive(Debug)]
pub(crate) enum ReadFault {
    /// No such object (any more).
    Missing,
    /// It is there, and not what it was.
    Torn(&'static str),
    /// The store fails.
    Fault(PackFault),
}

/// A pack that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) id: PackId,
    pub(crate) bytes: u64,
}

impl PackStore {
    /// Sets it up; nothing is asked of it yet.
    pub(crate) fn new(options: &PackStoreOptions) -> Result<Self, OpenError> {
        let refused = |reason: String| OpenError::PackOptions { number: options.number, reason };
        if !PACK_SIZES.contains(&options.pack_bytes) {
            return Err(refused("a pack must have 1 to 64 MiB".into()));
        }
        let pack_bytes = usize::try_from(options.pack_bytes).map_err(|error| refused(error.to_string()))?;
        let (store, directory): (Arc<dyn ObjectStore>, _) = match &options.location {
            PackLocation::Directory(path) => {
                std::fs::create_dir_all(path).map_err(|error| refused(error.to_string()))?;
                let store = LocalFileSystem::new_with_prefix(path).map_err(|error| refused(error.to_string()))?;
                (Arc::new(store.with_fsync(true)), Some(path.clone()))
            }
            PackLocation::S3(s3) => (s3_store(s3).map_err(|error| refused(error.to_string()))?, None),
        };
        let limit = || RateLimit::new(options.bandwidth_bytes_per_second);
        Ok(Self { number: options.number, pack_bytes, directory, store, up: limit(), down: limit() })
    }

    /// Stores an object; durable and checked when it returns.
    pub(crate) async fn put(&self, path: &Path, bytes: Bytes) -> Result<(), PackFault> {
        let mut retry = Retry::default();
        loop {
            let stored = async {
                self.put_once(path, &bytes).await?;
                self.check(path, &bytes).await
            };
            let Err(fault) = stored.await else { return Ok(()) };
            if fault.class() != ErrorClass::Retry || !retry.again().await {
                return Err(fault);
            }
            tracing::debug!(error = %fault.source, object = %path, "storing an object again");
        }
    }

    async fn put_once(&self, path: &Path, bytes: &Bytes) -> Result<(), PackFault> {
        let failed = |error| fault("storing", path, error);
        // A directory takes it in one piece and syncs it.
        if let Some(directory) = self.directory.as_ref().filter(|_| path.as_ref() != MARKER) {
            // Else packs would go below a mount point while nothing is mounted there.
            match tokio::fs::try_exists(directory.join(MARKER)).await {
                Ok(true) => {}
                _ => return Err(failed(generic("the store's marker is gone: it may not be mounted"))),
            }
        }
        if self.directory.is_some() || bytes.len() as u64 <= PART_BYTES {
            self.up.acquire(bytes.len() as u64).await;
            return self.store.put(path, bytes.clone().into()).await.map(|_| ()).map_err(failed);
        }
        let mut upload = self.store.put_multipart(path).await.map_err(failed)?;
        // Tasks, so that they go on while the next one waits for its turn.
        let mut parts: JoinSet<object_store::Result<()>> = JoinSet::new();
        let mut sent = Ok(());
        for from in (0..bytes.len()).step_by(usize::try_from(PART_BYTES).unwrap_or(usize::MAX)) {
            let to = bytes.len().min(from + usize::try_from(PART_BYTES).unwrap_or(usize::MAX));
            self.up.acquire((to - from) as u64).await;
            if parts.len() >= PARTS_AT_ONCE {
                sent = parts.join_next().await.map_or(Ok(()), joined);
            }
            if sent.is_err() {
                break;
            }
            parts.spawn(upload.put_part(bytes.slice(from..to).into()));
        }
        while let Some(part) = parts.join_next().await {
            sent = sent.and(joined(part));
        }
        if let Err(error) = sent {
            // What cannot be aborted is for the bucket's rule about incomplete uploads.
            let _ = upload.abort().await;
            return Err(failed(error));
        }
        upload.complete().await.map(|_| ()).map_err(failed)
    }

    /// What is there has the length and the end that it must have.
    async fn check(&self, path: &Path, bytes: &Bytes) -> Result<(), PackFault> {
        let failed = |error| fault("checking", path, error);
        let len = bytes.len() as u64;
        let tail = len.saturating_sub(TRAILER_BYTES as u64)..len;
        let is_same = self.store.head(path).await.map_err(failed)?.size == len
            && self.store.get_range(path, tail.clone()).await.map_err(failed)?
                == bytes.slice(usize::try_from(tail.start).unwrap_or(0)..);
        if is_same { Ok(()) } else { Err(failed(generic("what was stored is not what was sent"))) }
    }

    /// A whole small object; `None` when it is not there.
    pub(crate) async fn get(&self, path: &Path) -> Result<Option<Bytes>, PackFault> {
        let mut retry = Retry::default();
        loop {
            let got = async { self.store.get(path).await?.bytes().await };
            let fault = match got.await {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Err(error) => fault("reading", path, error),
            };
            if fault.class() != ErrorClass::Retry || !retry.again().await {
                return Err(fault);
            }
        }
    }

    /// Bytes of a pack, all of the range.
    async fn read(&self, path: &Path, range: Range<u64>) -> Result<Bytes, ReadFault> {
        let wanted = range.end - range.start;
        let mut retry = Retry::default();
        loop {
            self.down.acquire(wanted).await;
            let error = match self.store.get_range(path, range.clone()).await {
                Ok(bytes) if bytes.len() as u64 == wanted => return Ok(bytes),
                Ok(_) => generic("fewer bytes than asked for"),
                Err(object_store::Error::NotFound { .. }) => return Err(ReadFault::Missing),
                Err(error) => error,
            };
            let fault = fault("reading", path, error);
            if fault.io_error().is_some_and(|error| error.raw_os_error() == Some(nix::libc::EIO)) {
                return Err(ReadFault::Torn("the disk cannot read it"));
            }
            // A pack that is too short says so at once; a store that fails is asked again.
            match self.store.head(path).await {
                Ok(meta) if meta.size < range.end => return Err(ReadFault::Torn("the pack is torn")),
                Err(object_store::Error::NotFound { .. }) => return Err(ReadFault::Missing),
                _ => {}
            }
            if fault.class() != ErrorClass::Retry || !retry.again().await {
                return Err(ReadFault::Fault(fault));
            }
            tracing::debug!(error = %fault.source, object = %path, "reading a range again");
        }
    }

    /// A whole pack, in parts.
    pub(crate) async fn whole(&self, pack: PackId, len: u64) -> Result<Bytes, ReadFault> {
        self.object(&pack.path(), len).await
    }

    /// A whole object of this length, in parts.
    pub(crate) async fn object(&self, path: &Path, len: u64) -> Result<Bytes, ReadFault> {
        if len <= PART_BYTES {
            return self.read(path, 0..len).await;
        }
        let starts = (0..len).step_by(usize::try_from(PART_BYTES).unwrap_or(usize::MAX));
        let parts = futures::stream::iter(starts.map(|from| self.read(path, from..len.min(from + PART_BYTES))));
        let mut whole = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
        let mut parts = parts.buffered(2);
        while let Some(part) = parts.try_next().await? {
            whole.extend_from_slice(&part);
        }
        Ok(whole.into())
    }

    /// Length of an object; `None` when it is not there.
    pub(crate) async fn size(&self, path: &Path) -> Result<Option<u64>, PackFault> {
        let mut retry = Retry::default();
        loop {
            let fault = match self.store.head(path).await {
                Ok(meta) => return Ok(Some(meta.size)),
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Err(error) => fault("looking at", path, error),
            };
            if fault.class() != ErrorClass::Retry || !retry.again().await {
                return Err(fault);
            }
        }
    }

    /// The list of a pack, without its records.
    pub(crate) async fn list_of(&self, pack: Listed) -> Result<Vec<super::format::Entry>, ReadFault> {
        let path = pack.id.path();
        let tail = pack.bytes.checked_sub(TRAILER_BYTES as u64).ok_or(ReadFault::Torn("the pack is torn"))?;
        let trailer =
            Trailer::decode(&self.read(&path, tail..pack.bytes).await?, pack.bytes).map_err(ReadFault::Torn)?;
        if trailer.list_at == tail {
            return Ok(Vec::new());
        }
        trailer.list(&self.read(&path, trailer.list_at..tail).await?).map_err(ReadFault::Torn)
    }

    /// Records of a pack by (offset, length of the frame): in the order asked for. Near ones are read together.
    pub(crate) async fn records(
        &self,
        pack: PackId,
        wanted: &[(u32, u32)],
    ) -> Result<Vec<Result<Sealed, &'static str>>, ReadFault> {
        let path = &pack.path();
        let range = |index: usize| {
            let (offset, frame_len) = wanted[index];
            u64::from(offset)..u64::from(offset) + record_bytes_max(frame_len)
        };
        let mut order: Vec<usize> = (0..wanted.len()).collect();
        order.sort_unstable_by_key(|index| wanted[*index].0);
        let mut groups: Vec<(Range<u64>, Vec<usize>)> = Vec::new();
        for index in order {
            let next = range(index);
            match groups.last_mut() {
                Some((have, members))
                    if next.start <= have.end + GAP_BYTES && next.end.max(have.end) - have.start <= PART_BYTES =>
                {
                    have.end = have.end.max(next.end);
                    members.push(index);
                }
                _ => groups.push((next, vec![index])),
            }
        }
        let reads = groups.into_iter().map(|(have, members)| async move {
            match self.read(path, have.clone()).await {
                Ok(bytes) => Ok((Some((have.start, bytes)), members)),
                // The others of the group may be good.
                Err(ReadFault::Torn(_)) => Ok((None, members)),
                Err(other) => Err(other),
            }
        });
        let mut reads = futures::stream::iter(reads).buffer_unordered(RANGES_AT_ONCE);
        let mut records: Vec<Option<Result<Sealed, &'static str>>> = vec![None; wanted.len()];
        while let Some((bytes, members)) = reads.try_next().await? {
            for index in members {
                let range = range(index);
                let record = match &bytes {
                    Some((start, bytes)) => {
                        let at = |place: u64| usize::try_from(place - start).unwrap_or(usize::MAX);
                        Ok(bytes.slice(at(range.start)..at(range.end)))
                    }
                    None => match self.read(path, range).await {
                        Err(ReadFault::Torn(reason)) => Err(reason),
                        other => Ok(other?),
                    },
                };
                records[index] = Some(record.and_then(|bytes| decode_record(&bytes)));
            }
        }
        Ok(records.into_iter().map(|record| record.unwrap_or(Err("the record was not read"))).collect())
    }

    /// Deletes an object; nothing happens when there is none.
    pub(crate) async fn delete(&self, path: &Path) -> Result<(), PackFault> {
        let mut retry = Retry::default();
        loop {
            let fault = match self.store.delete(path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => return Ok(()),
                Err(error) => fault("deleting", path, error),
            };
            if fault.class() != ErrorClass::Retry || !retry.again().await {
                return Err(fault);
            }
        }
    }

    /// Registrations that have packs here.
    pub(crate) async fn writers(&self) -> Result<Vec<RootId>, PackFault> {
        let folder = Path::from(PACKS);
        let mut retry = Retry::default();
        let listed = loop {
            match self.store.list_with_delimiter(Some(&folder)).await {
                Ok(listed) => break listed,
                Err(error) => {
                    let fault = fault("listing", &folder, error);
                    if fault.class() != ErrorClass::Retry || !retry.again().await {
                        return Err(fault);
                    }
                }
            }
        };
        Ok(listed.common_prefixes.iter().filter_map(|path| path.filename()?.parse().ok()).collect())
    }

    /// Packs of one registration, ascending.
    pub(crate) async fn packs_of(&self, writer: RootId) -> Result<Vec<Listed>, PackFault> {
        let found = self.names(&Path::from(format!("{PACKS}/{writer}"))).await?;
        let listed = |(name, bytes): (String, u64)| Some(Listed { id: PackId::from_path(&name)?, bytes });
        let mut packs: Vec<_> = found.into_iter().filter_map(listed).collect();
        packs.sort_unstable_by_key(|pack| pack.id);
        Ok(packs)
    }

    /// Names and lengths of all objects below a folder.
    pub(crate) async fn names(&self, folder: &Path) -> Result<Vec<(String, u64)>, PackFault> {
        let mut retry = Retry::default();
        loop {
            let listed =
                self.store.list(Some(folder)).map_ok(|meta| (meta.location.to_string(), meta.size)).try_collect();
            let fault = match listed.await {
                Ok(names) => return Ok(names),
                Err(object_store::Error::NotFound { .. }) => return Ok(Vec::new()),
                Err(error) => fault("listing", folder, error),
            };
            if fault.class() != ErrorClass::Retry || !retry.again().await {
                return Err(fault);
            }
        }
    }
}

fn s3_store(options: &S3Options) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
    // The client needs one for the process; whoever installed another keeps it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut client = ClientOptions::new().with_timeout(options.request_timeout).with_connect_timeout(CONNECT_TIMEOUT);
    for certificate in options.ca_pem.iter().map(|pem| Certificate::from_pem_bundle(pem)) {
        for certificate in certificate? {
            client = client.with_root_certificate(certificate);
        }
    }
    let is_http = options.endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(2),
            base: 2.,
        },
        max_retries: RETRIES_MAX,
        retry_timeout: options.request_timeout,
    };
    let mut builder = AmazonS3Builder::new()
        .with_region(&options.region)
        .with_bucket_name(&options.bucket)
        .with_access_key_id(&options.access_key_id)
        .with_secret_access_key(&options.secret_access_key)
        .with_virtual_hosted_style_request(options.virtual_hosted)
        .with_allow_http(is_http)
        .with_client_options(client.with_allow_http(is_http))
        .with_retry(retry);
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_config(AmazonS3ConfigKey::Endpoint, endpoint);
    }
    let store = builder.build()?;
    Ok(if options.prefix.is_empty() {
        Arc::new(store)
    } else {
        Arc::new(PrefixStore::new(store, options.prefix.as_str()))
    })
}

fn joined(part: Result<object_store::Result<()>, JoinError>) -> object_store::Result<()> {
    part.unwrap_or_else(|source| Err(object_store::Error::JoinError { source }))
}

fn fault(action: &'static str, object: &Path, source: object_store::Error) -> PackFault {
    PackFault { action, object: object.to_string(), source: Arc::new(source) }
}

fn generic(reason: &'static str) -> object_store::Error {
    object_store::Error::Generic { store: "packs", source: reason.into() }
}
