//! The appliance's own certificate authority.
//!
//! Agents trust the appliance by the hash of this CA's public key (the pin in their enrolment token), so the key is made
//! once and never changes by itself; certificates around it may be made again. Every listener shows agents a leaf that
//! carries the CA's certificate with it and the fixed name [`AGENT_SERVER_NAME`].
//!
//! Invariants: two processes that start at once end with one CA (a lock file); the key's file has mode 0600; the leaf's
//! key never touches the disk.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use nix::fcntl::{Flock, FlockArg};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PublicKeyData,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, pem::PemObject},
};
use sha2::{Digest, Sha256};

use crate::{
    atomic_write::atomic_write, browser_certificate::BrowserCertificateSlot, error_class::ErrorClass,
    leaf::LeafResolver, tls::provider,
};

/// The name that agents ask for, whatever the host is called: renaming a host or moving it behind another address never
/// cuts an agent off.
pub const AGENT_SERVER_NAME: &str = "holdfast.internal";
/// The CA's certificate in its folder.
pub const CERTIFICATE_FILE: &str = "ca.pem";
/// The CA's private key in its folder.
pub const KEY_FILE: &str = "ca.key";
/// Held while the two files are made.
const LOCK_FILE: &str = "ca.lock";
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long the CA's certificate holds. Agents pin its key, so a new certificate around the same key is no event.
const CA_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// How far certificates reach into the past, for clients whose clock is behind.
pub(crate) const CLOCK_SLACK: Duration = DAY;

/// Why the CA or a leaf could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file cannot be read or written.
    #[error("{what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A stored certificate or key is not what it should be.
    #[error("{what} is damaged: {reason}")]
    Damaged {
        /// Which.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A configured name is neither a host name nor an address.
    #[error("{name:?} cannot be in a certificate: {reason}")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        reason: String,
    },
    /// A certificate cannot be signed.
    #[error("sign a certificate: {0}")]
    Sign(#[source] rcgen::Error),
    /// rustls refuses a key, a certificate or the settings.
    #[error("TLS settings")]
    Tls(#[source] rustls::Error),
}

impl CaError {
    /// What the caller can do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Io { .. } | Self::Name { .. } => ErrorClass::Operator,
            Self::Damaged { .. } => ErrorClass::Corrupt,
            Self::Sign(_) | Self::Tls(_) => ErrorClass::Bug,
        }
    }
}

/// The CA with its key. Clones share it.
#[derive(Clone)]
pub struct Ca {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) issuer: Issuer<'static, KeyPair>,
    pub(crate) certificate: CertificateDer<'static>,
    pem: String,
    pin: String,
}

impl std::fmt::Debug for Ca {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ca").field("pin", &self.inner.pin).finish()
    }
}

impl Ca {
    /// Reads the CA in a folder, or makes one. A missing or expired certificate is made again around the same key.
    ///
    /// # Errors
    /// See [`CaError`]. A damaged key is never replaced silently: agents pin it.
    pub fn load_or_create(dir: &Path) -> Result<Self, CaError> {
        let at = |what, path: PathBuf| move |source| CaError::Io { what, path, source };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at("create", dir.to_owned()))?;
        let lock_path = dir.join(LOCK_FILE);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(at("open", lock_path.clone()))?;
        // Held for the milliseconds that making a key takes.
        let _lock =
            Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, errno)| at("lock", lock_path)(errno.into()))?;
        let key = load_key(&dir.join(KEY_FILE))?;
        let path = dir.join(CERTIFICATE_FILE);
        match fs::read_to_string(&path) {
            Ok(pem) if !expired(&pem)? => Self::assemble(pem, key),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("read", path)(error)),
            _ => {
                let pem = self_sign(&key)?;
                atomic_write(&path, pem.as_bytes(), 0o644).map_err(at("write", path))?;
                Self::assemble(pem, key)
            }
        }
    }

    fn assemble(pem: String, key: KeyPair) -> Result<Self, CaError> {
        let certificate = certificate(&pem)?;
        let spki = spki(&certificate)?;
        if spki != key.subject_public_key_info() {
            return Err(damaged("CA certificate", "it belongs to another key than ca.key"));
        }
        let pin = hex::encode(Sha256::digest(&spki));
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(CaError::Sign)?;
        Ok(Self { inner: Arc::new(Inner { issuer, certificate, pem, pin }) })
    }

    /// The pin: lowercase hex SHA-256 of the CA's SubjectPublicKeyInfo (64 characters).
    pub fn pin(&self) -> String {
        self.inner.pin.clone()
    }

    /// The CA's certificate, for clients that take a CA file.
    pub fn pem(&self) -> &str {
        &self.inner.pem
    }

    /// Settings of a listener: a fresh leaf with the CA's certificate behind it, for [`AGENT_SERVER_NAME`], `localhost`,
    /// the loopback addresses, this host's name and the given names or addresses. The leaf holds a year and is made anew by
    /// the first handshake that finds less than a third of it left.
    ///
    /// # Errors
    /// A name that cannot be in a certificate.
    pub fn leaf(&self, names: &[String]) -> Result<Arc<ServerConfig>, CaError> {
        self.leaf_beside(names, BrowserCertificateSlot::default())
    }

    /// The same, and to who asks for a name of the certificate in `browsers`, that one: it may come, change and go while the
    /// listener runs.
    ///
    /// # Errors
    /// A name that cannot be in a certificate.
    pub fn leaf_beside(
        &self,
        names: &[String],
        browsers: BrowserCertificateSlot,
    ) -> Result<Arc<ServerConfig>, CaError> {
        let resolver = LeafResolver::new(self.inner.clone(), names, browsers)?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(CaError::Tls)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// The pin of whatever certificate is given (DER): what agents compute from the chain that a server shows.
///
/// # Errors
/// The bytes are no certificate.
pub fn pin_of(certificate: &[u8]) -> Result<String, CaError> {
    spki(certificate).map(|spki| hex::encode(Sha256::digest(spki)))
}

fn damaged(what: &'static str, reason: impl ToString) -> CaError {
    CaError::Damaged { what, reason: reason.to_string() }
}

fn certificate(pem: &str) -> Result<CertificateDer<'static>, CaError> {
    CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| damaged("CA certificate", error))
}

fn spki(certificate: &[u8]) -> Result<Vec<u8>, CaError> {
    let (_, parsed) =
        x509_parser::parse_x509_certificate(certificate).map_err(|error| damaged("certificate", error))?;
    Ok(parsed.tbs_certificate.subject_pki.raw.to_vec())
}

fn expired(pem: &str) -> Result<bool, CaError> {
    let der = certificate(pem)?;
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(|error| damaged("CA certificate", error))?;
    Ok(parsed.validity().not_after.to_datetime() < SystemTime::now())
}

fn load_key(path: &Path) -> Result<KeyPair, CaError> {
    match fs::read_to_string(path) {
        Ok(pem) => KeyPair::from_pem(&pem).map_err(|error| damaged("CA key", error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(CaError::Sign)?;
            atomic_write(path, key.serialize_pem().as_bytes(), 0o600).map_err(|source| CaError::Io {
                what: "write",
                path: path.to_owned(),
                source,
            })?;
            Ok(key)
        }
        Err(source) => Err(CaError::Io { what: "read", path: path.to_owned(), source }),
    }
}

fn self_sign(key: &KeyPair) -> Result<String, CaError> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Holdfast appliance CA");
    // Only leaves below it.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let now = SystemTime::now();
    params.not_before = (now - CLOCK_SLACK).into();
    params.not_after = (now + CA_LIFE).into();
    params.self_signed(key).map(|certificate| certificate.pem()).map_err(CaError::Sign)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    impl Ca {
        pub(crate) fn inner_for_tests(&self) -> Arc<Inner> {
            self.inner.clone()
        }
    }

    #[test]
    fn the_key_outlives_restarts_and_a_lost_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let first = Ca::load_or_create(dir.path()).unwrap();
        assert_eq!(first.pin().len(), 64);
        assert_eq!(Ca::load_or_create(dir.path()).unwrap().pem(), first.pem());
        assert_eq!(fs::metadata(dir.path().join(KEY_FILE)).unwrap().permissions().mode() & 0o777, 0o600);
        fs::remove_file(dir.path().join(CERTIFICATE_FILE)).unwrap();
        assert_eq!(Ca::load_or_create(dir.path()).unwrap().pin(), first.pin());
        assert_eq!(pin_of(&first.inner.certificate).unwrap(), first.pin());
    }

    #[test]
    fn a_damaged_or_foreign_key_is_said_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        Ca::load_or_create(dir.path()).unwrap();
        Ca::load_or_create(other.path()).unwrap();
        fs::copy(other.path().join(KEY_FILE), dir.path().join(KEY_FILE)).unwrap();
        assert_eq!(Ca::load_or_create(dir.path()).unwrap_err().class(), ErrorClass::Corrupt);
        fs::write(dir.path().join(KEY_FILE), "garbage").unwrap();
        assert_eq!(Ca::load_or_create(dir.path()).unwrap_err().class(), ErrorClass::Corrupt);
    }

    #[test]
    fn many_at_once_end_with_one_ca() {
        let dir = tempfile::tempdir().unwrap();
        let pins: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| Ca::load_or_create(dir.path()).unwrap().pem().to_owned())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(pins.iter().all(|pin| *pin == pins[0]));
    }
}
