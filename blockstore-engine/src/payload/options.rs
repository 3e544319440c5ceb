//! Where payloads may lie, as the operator says it.

use std::fmt;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use crate::id::StoreNumber;

/// Smallest and largest size that an operator may give a pack, in bytes. 16 to 64 MiB are sensible; smaller ones serve tests.
pub const PACK_SIZES: std::ops::RangeInclusive<u32> = (1 << 20)..=(64 << 20);

/// A kind of store for payloads: which one a payload lies in is told by its place, so several may be in use at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PayloadStore {
    /// Documents of the blockstore's database.
    Mongo,
    /// Packs in a directory or an object store.
    Packs(StoreNumber),
}

/// A store of packs. Everything of it may change while the process runs ([`crate::Blockstore::set_payload_stores`]) but the number, and what
/// lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackStoreOptions {
    /// Its number within the blockstore.
    pub number: StoreNumber,
    /// Where it is.
    pub location: PackLocation,
    /// Bytes of a full pack, within [`PACK_SIZES`].
    pub pack_bytes: u32,
    /// Bytes per second in each direction, at most. `None`: as fast as it goes.
    pub bandwidth_bytes_per_second: Option<NonZeroU64>,
}

impl PackStoreOptions {
    /// With packs of 32 MiB and no limit of bandwidth.
    #[must_use]
    pub fn new(number: StoreNumber, location: PackLocation) -> Self {
        Self { number, location, pack_bytes: 32 << 20, bandwidth_bytes_per_second: None }
    }
}

/// Where packs lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackLocation {
    /// A folder of its own, created when missing.
    Directory(PathBuf),
    /// A bucket of an S3-compatible service.
    S3(S3Options),
}

/// An S3-compatible service.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Options {
    /// URL of the service; `None`: Amazon's, of the region. `http` is used only when it is written here.
    pub endpoint: Option<String>,
    /// Region, also where the service does not care (then any name).
    pub region: String,
    /// Name of the bucket, which must exist.
    pub bucket: String,
    /// Folder inside the bucket; may be empty.
    pub prefix: String,
    /// Name of the access key.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// Whether the bucket stands in the host's name, not in the path.
    pub virtual_hosted: bool,
    /// Certificates (PEM) that are trusted beside the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// One request with its body (at most 8 MiB), at most. Slow links need more.
    pub request_timeout: Duration,
}

impl S3Options {
    /// Requests take at most this long unless said otherwise: 8 MiB at 70 KB/s.
    pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
}

impl fmt::Debug for S3Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Options")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
