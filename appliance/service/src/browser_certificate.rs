//! A certificate of the operator's own for browsers, beside the leaf of the appliance's CA.
//!
//! Invariants: it is shown only to who asks for one of its names (SNI), and only while it is valid; everyone else gets the leaf, so that
//! agents, which ask for the appliance's fixed name, and programs on this machine never notice. A key that does not fit is refused
//! before it is shown to anyone. Neither key nor chain is ever in a log or a `Debug`.

use std::{
    net::IpAddr,
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use x509_parser::{extensions::GeneralName, prelude::X509Certificate};

use crate::{ca::AGENT_SERVER_NAME, tls::provider};

/// Certificates of one chain, at most.
const CHAIN_MAX: usize = 10;
/// Bytes of the chain, and of the key, at most.
const PEM_BYTES_MAX: usize = 64 << 10;

/// Why a certificate is not taken; sentences for who uploads it.
#[derive(Debug, thiserror::Error)]
pub enum BrowserCertificateError {
    /// The text holds no certificate, or something that is none.
    #[error(
        "the certificate cannot be read: {0}. Give it as PEM: its own first, then those of the authorities between"
    )]
    Chain(String),
    /// The text holds no private key.
    #[error("the private key cannot be read: {0}. Give it as PEM, without a password (PKCS #8, PKCS #1 or SEC 1)")]
    Key(String),
    /// Another certificate's key, or one of a kind that this server cannot use.
    #[error("the private key does not fit the certificate: give the key that the certificate was made for")]
    Mismatch,
    /// Its time is over, or did not begin.
    #[error("the certificate is valid from {from} to {to}, which is not now: give one that is")]
    Time {
        /// Beginning, as text.
        from: String,
        /// End, as text.
        to: String,
    },
    /// Browsers would not find their host in it.
    #[error("the certificate names no host: browsers look for DNS names in its subjectAltName")]
    Names,
    /// The chain is out of order.
    #[error(
        "certificate {0} of the chain was not issued by the one after it: put them in order, each before its issuer"
    )]
    Order(usize),
}

/// A certificate with its key, ready to be shown.
pub struct BrowserCertificate {
    key: Arc<CertifiedKey>,
    /// Host names that it is for, in lower case; `*.` for one label.
    pub names: Vec<String>,
    /// Who issued it, as the certificate says.
    pub issuer: String,
    /// Beginning, in seconds since 1970.
    pub not_before: i64,
    /// End, in seconds since 1970.
    pub not_after: i64,
}

impl std::fmt::Debug for BrowserCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrowserCertificate").field("names", &self.names).finish_non_exhaustive()
    }
}

impl BrowserCertificate {
    /// Reads and checks a chain and its key at an instant.
    ///
    /// # Errors
    /// A sentence that says what to give instead.
    pub fn parse(chain_pem: &str, key_pem: &str, now: SystemTime) -> Result<Self, BrowserCertificateError> {
        use BrowserCertificateError as E;
        if chain_pem.len() > PEM_BYTES_MAX {
            return Err(E::Chain(format!("it is larger than {PEM_BYTES_MAX} bytes")));
        }
        if key_pem.len() > PEM_BYTES_MAX {
            return Err(E::Key(format!("it is larger than {PEM_BYTES_MAX} bytes")));
        }
        let chain: Result<Vec<CertificateDer<'static>>, _> =
            CertificateDer::pem_slice_iter(chain_pem.as_bytes()).take(CHAIN_MAX + 1).collect();
        let chain = chain.map_err(|error| E::Chain(error.to_string()))?;
        if chain.is_empty() || chain.len() > CHAIN_MAX {
            return Err(E::Chain(format!("a chain has 1 to {CHAIN_MAX} certificates, this has {}", chain.len())));
        }
        let parsed: Result<Vec<X509Certificate<'_>>, _> = chain.iter().map(|der| parsed(der)).collect();
        let parsed = parsed.map_err(E::Chain)?;
        for (at, pair) in parsed.windows(2).enumerate() {
            if let [one, issuer] = pair
                && one.issuer().as_raw() != issuer.subject().as_raw()
            {
                return Err(E::Order(at + 1));
            }
        }
        let [leaf, ..] = parsed.as_slice() else { return Err(E::Chain("it is empty".into())) };
        let validity = leaf.validity();
        let (not_before, not_after) = (validity.not_before.timestamp(), validity.not_after.timestamp());
        let seconds = seconds_of(now);
        if seconds < not_before || seconds >= not_after {
            return Err(E::Time { from: validity.not_before.to_string(), to: validity.not_after.to_string() });
        }
        let names = names(leaf);
        if names.is_empty() {
            return Err(E::Names);
        }
        let issuer = leaf.issuer().to_string();
        // The decoder's words might quote the text, and with it the key.
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes());
        let key = key.map_err(|_| E::Key("the text holds none".into()))?;
        let key = CertifiedKey::from_der(chain.clone(), key, &provider()).map_err(|_| E::Mismatch)?;
        Ok(Self { key: Arc::new(key), names, issuer, not_before, not_after })
    }

    /// True when it is for this host, and valid at an instant.
    fn is_for(&self, host: &str, now: SystemTime) -> bool {
        (self.not_before..self.not_after).contains(&seconds_of(now)) && self.covers(host)
    }

    /// True when this host is among its names. Never for the name that agents ask for.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let fits = |name: &String| match name.strip_prefix("*.") {
            Some(domain) => host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == domain),
            None => host == *name,
        };
        host != AGENT_SERVER_NAME && self.names.iter().any(fits)
    }
}

fn parsed(der: &[u8]) -> Result<X509Certificate<'_>, String> {
    x509_parser::parse_x509_certificate(der).map(|(_, parsed)| parsed).map_err(|error| error.to_string())
}

fn seconds_of(at: SystemTime) -> i64 {
    at.duration_since(SystemTime::UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or(0)
}

/// DNS names. Addresses do not count: who connects by an address names no host in the handshake, and gets the leaf.
fn names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let found = leaf.subject_alternative_name().ok().flatten();
    let dns = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    };
    let names = found.iter().flat_map(|found| found.value.general_names.iter().filter_map(dns));
    names.filter(|name| !name.is_empty() && name.parse::<IpAddr>().is_err()).collect()
}

/// Where a listener looks for the certificate of the operator's own; empty until there is one. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct BrowserCertificateSlot(Arc<RwLock<Option<Arc<BrowserCertificate>>>>);

impl BrowserCertificateSlot {
    /// Shows this one from the next handshake on; None: the leaf alone.
    pub fn put(&self, certificate: Option<BrowserCertificate>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = certificate.map(Arc::new);
    }

    /// What to show to who asks for this host; None: the leaf.
    pub(crate) fn shown(&self, host: Option<&str>, now: SystemTime) -> Option<Arc<CertifiedKey>> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        current.is_for(host?, now).then(|| current.key.clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::time::Duration;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn made(names: &[&str], days: u64) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names.clone()).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, names[0].clone());
        params.not_before = (SystemTime::now() - Duration::from_secs(86_400)).into();
        params.not_after = (SystemTime::now() + Duration::from_secs(days * 86_400)).into();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn names_and_time_decide_who_sees_it() {
        let now = SystemTime::now();
        let (chain, key) = made(&["Backup.example.com", "*.apps.example.com"], 30);
        let one = BrowserCertificate::parse(&chain, &key, now).unwrap();
        for host in ["backup.example.com", "BACKUP.example.com.", "x.apps.example.com"] {
            assert!(one.is_for(host, now), "{host}");
        }
        for host in ["example.com", "apps.example.com", "a.b.apps.example.com", ".apps.example.com", AGENT_SERVER_NAME]
        {
            assert!(!one.is_for(host, now), "{host}");
        }
        assert!(!one.is_for("backup.example.com", now + Duration::from_secs(31 * 86_400)), "its time is over");
        let slot = BrowserCertificateSlot::default();
        assert!(slot.shown(Some("backup.example.com"), now).is_none());
        slot.put(Some(one));
        assert!(slot.shown(Some("backup.example.com"), now).is_some());
        assert!(slot.shown(None, now).is_none(), "who names no host gets the leaf");
        assert!(!format!("{slot:?}").contains("PRIVATE"));
    }

    #[test]
    fn what_does_not_fit_is_said_without_the_key() {
        let now = SystemTime::now();
        let (chain, key) = made(&["a.example"], 30);
        let other_key = made(&["a.example"], 30).1;
        let refused = |chain: &str, key: &str, at| BrowserCertificate::parse(chain, key, at).unwrap_err();
        assert!(matches!(refused(&chain, &other_key, now), BrowserCertificateError::Mismatch));
        let later = now + Duration::from_secs(40 * 86_400);
        assert!(matches!(refused(&chain, &key, later), BrowserCertificateError::Time { .. }));
        assert!(matches!(refused("", &key, now), BrowserCertificateError::Chain(_)));
        let broken = refused(&chain, "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n", now);
        assert!(!broken.to_string().contains("c2VjcmV0"), "{broken}");
        assert!(matches!(refused(&made(&["127.0.0.1"], 30).0, &key, now), BrowserCertificateError::Names));
        let joined = format!("{chain}{}", made(&["b.example"], 30).0);
        assert!(matches!(refused(&joined, &key, now), BrowserCertificateError::Order(1)));
    }
}
