//! Whom the agent trusts: the keys of the appliance's CAs, by their hash.
//!
//! A chain that the server shows must contain a CA certificate whose SubjectPublicKeyInfo has a pinned SHA-256; then webpki verifies the
//! leaf with that CA as the only root, for the fixed name [`TLS_SERVER_NAME`], whatever the URL's host is. There is no way to switch this off.

use std::sync::{Arc, RwLock};

use holdfast_agent_api::TLS_SERVER_NAME;
use rustls::{
    CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use sha2::{Digest as _, Sha256};

/// Most certificates of a chain that are looked at.
const CHAIN_CERTIFICATES_MAX: usize = 8;

/// The pins, shared: a new set takes effect for the next connection.
#[derive(Clone, Debug, Default)]
pub struct PinSet(Arc<RwLock<Vec<String>>>);

impl PinSet {
    /// Pins as lowercase hex SHA-256 of a SubjectPublicKeyInfo.
    #[must_use]
    pub fn new(pins: &[String]) -> Self {
        let set = Self::default();
        set.replace(pins);
        set
    }

    /// Takes a new set.
    pub fn replace(&self, pins: &[String]) {
        let pins = pins.iter().map(|pin| pin.trim().to_ascii_lowercase()).filter(|pin| !pin.is_empty()).collect();
        *self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner) = pins;
    }

    /// True when nothing is pinned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner).is_empty()
    }

    fn holds(&self, pin: &str) -> bool {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner).iter().any(|p| p == pin)
    }
}

/// The verifier for rustls.
#[derive(Debug)]
pub(super) struct PinnedCa {
    pins: PinSet,
    provider: Arc<CryptoProvider>,
    name: ServerName<'static>,
}

impl PinnedCa {
    pub(super) fn new(pins: PinSet, provider: Arc<CryptoProvider>) -> Self {
        let name = ServerName::try_from(TLS_SERVER_NAME).expect("the constant is a DNS name");
        Self { pins, provider, name }
    }

    /// The certificate of the chain that is a pinned CA.
    fn pinned<'a>(&self, chain: &'a [CertificateDer<'a>]) -> Option<&'a CertificateDer<'a>> {
        chain.iter().take(CHAIN_CERTIFICATES_MAX).find(|der| {
            let Ok((_, cert)) = x509_parser::parse_x509_certificate(der) else { return false };
            cert.is_ca() && self.pins.holds(&hex::encode(Sha256::digest(cert.public_key().raw)))
        })
    }
}

impl ServerCertVerifier for PinnedCa {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let ca = self.pinned(intermediates).ok_or(CertificateError::UnknownIssuer)?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        verifier.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
