//! The process's cryptography, and the client side of the appliance's TLS.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::ca::CaError;

/// Makes aws-lc-rs the process's provider. Call it first in every main (and test that speaks TLS): two providers are in
/// the dependency tree, and rustls panics at first use when it has to choose.
pub fn install_crypto_provider() {
    // An error means that it is installed already.
    let _ = aws_lc_rs::default_provider().install_default();
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// A client that trusts the certificates in `ca_pem` and nothing else.
///
/// # Errors
/// The text holds no certificate, or one that cannot be a trust anchor.
pub fn client_config(ca_pem: &str) -> Result<ClientConfig, CaError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        let certificate =
            certificate.map_err(|error| CaError::Damaged { what: "CA certificate", reason: error.to_string() })?;
        roots.add(certificate).map_err(CaError::Tls)?;
    }
    if roots.is_empty() {
        return Err(CaError::Damaged { what: "CA certificate", reason: "the text holds none".into() });
    }
    let builder =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(CaError::Tls)?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
