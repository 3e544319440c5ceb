//! The certificate that a listener shows, made again in time.
//!
//! It is looked at in every handshake: no timer that could be missed while a machine sleeps, and a clock that was set
//! forward renews at once.

use std::{
    fs,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256};
use rustls::{
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::{
    browser_certificate::BrowserCertificateSlot,
    ca::{AGENT_SERVER_NAME, CLOCK_SLACK, CaError, Inner},
    tls::provider,
};

/// How long a leaf holds.
const LIFE: Duration = Duration::from_secs(365 * 24 * 3600);

/// Shows the current leaf and makes the next one when less than a third of its life is left.
pub(crate) struct LeafResolver {
    ca: Arc<Inner>,
    names: Vec<String>,
    current: RwLock<Leaf>,
    /// Shown instead to who asks for one of its names.
    browsers: BrowserCertificateSlot,
}

#[derive(Clone)]
struct Leaf {
    key: Arc<CertifiedKey>,
    made: SystemTime,
}

impl std::fmt::Debug for LeafResolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeafResolver").field("names", &self.names).finish()
    }
}

impl LeafResolver {
    /// Makes the first leaf.
    pub(crate) fn new(ca: Arc<Inner>, names: &[String], browsers: BrowserCertificateSlot) -> Result<Self, CaError> {
        let names = all_names(names);
        let first = make(&ca, &names, SystemTime::now())?;
        Ok(Self { ca, names, current: RwLock::new(first), browsers })
    }

    /// The leaf to show at an instant.
    fn at(&self, now: SystemTime) -> Arc<CertifiedKey> {
        let leaf = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        if !due(leaf.made, now) {
            return leaf.key;
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        // Another handshake may have made it meanwhile.
        if due(current.made, now) {
            match make(&self.ca, &self.names, now) {
                Ok(fresh) => *current = fresh,
                // The old one still holds for months; the next handshake tries again.
                Err(error) => tracing::error!(%error, "renew the listener's certificate"),
            }
        }
        current.key.clone()
    }
}

impl ResolvesServerCert for LeafResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let now = SystemTime::now();
        Some(self.browsers.shown(hello.server_name(), now).unwrap_or_else(|| self.at(now)))
    }
}

/// Less than a third of its life is left, or the clock was set back before its beginning.
fn due(made: SystemTime, now: SystemTime) -> bool {
    match now.duration_since(made) {
        Ok(age) => age > LIFE / 3 * 2,
        Err(ahead) => ahead.duration() > CLOCK_SLACK,
    }
}

fn make(ca: &Inner, names: &[String], now: SystemTime) -> Result<Leaf, CaError> {
    let mut params = CertificateParams::default();
    for name in names {
        // One at a time, so that the error names the culprit.
        let one = CertificateParams::new([name.clone()])
            .map_err(|error| CaError::Name { name: name.clone(), reason: error.to_string() })?;
        params.subject_alt_names.extend(one.subject_alt_names);
    }
    params.distinguished_name.push(DnType::CommonName, AGENT_SERVER_NAME);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = (now - CLOCK_SLACK).into();
    params.not_after = (now + LIFE).into();
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(CaError::Sign)?;
    let certificate = params.signed_by(&key, &ca.issuer).map_err(CaError::Sign)?;
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let chain = vec![certificate.der().clone(), ca.certificate.clone()];
    let certified = CertifiedKey::from_der(chain, private, &provider()).map_err(CaError::Tls)?;
    Ok(Leaf { key: Arc::new(certified), made: now })
}

fn all_names(names: &[String]) -> Vec<String> {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    let fixed = [AGENT_SERVER_NAME, "localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut all: Vec<String> = Vec::new();
    for name in fixed.into_iter().chain([host]).chain(names.iter().cloned()) {
        if !name.is_empty() && !all.contains(&name) {
            all.push(name);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::ca::Ca;

    #[test]
    fn a_leaf_is_made_anew_when_a_third_of_its_life_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let ca = Ca::load_or_create(dir.path()).unwrap();
        let resolver = LeafResolver::new(ca.inner_for_tests(), &[], BrowserCertificateSlot::default()).unwrap();
        let now = SystemTime::now();
        let first = resolver.at(now);
        assert!(Arc::ptr_eq(&first, &resolver.at(now + LIFE / 2)));
        let second = resolver.at(now + LIFE / 10 * 7);
        assert!(!Arc::ptr_eq(&first, &second));
        assert!(Arc::ptr_eq(&second, &resolver.at(now + LIFE)));
        assert!(!Arc::ptr_eq(&second, &resolver.at(now)), "a clock set back by months: not valid yet");
    }

    #[test]
    fn names_that_cannot_be_in_a_certificate_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let ca = Ca::load_or_create(dir.path()).unwrap();
        match ca.leaf(&["good.example".into(), "bäd".into()]) {
            Err(CaError::Name { name, .. }) => assert_eq!(name, "bäd"),
            other => panic!("{other:?}"),
        }
    }
}
