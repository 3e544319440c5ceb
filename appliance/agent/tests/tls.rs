//! Whom the agent trusts: the pinned CA for the fixed name, whatever the URL says; and the way through a proxy.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Json, Router, routing::post};
use holdfast_agent::{Client, ClientOptions, PinSet, Proxy, ServerApi, TransportError};
use holdfast_agent_api::{ConfigRequest, ConfigResponse, TLS_SERVER_NAME};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Ca {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    fn pin(&self) -> String {
        use rcgen::PublicKeyData as _;
        hex::encode(Sha256::digest(self.issuer.key().subject_public_key_info()))
    }

    fn der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// A leaf for a name, with its key.
    fn leaf(&self, name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        (cert.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }
}

/// A server that shows this chain and answers configurations. Its port.
async fn serve(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer =
        || async { Json(ConfigResponse { revision: "r".into(), ca_pins: vec![], jobs: vec![], discoveries: vec![] }) };
    let app = Router::new().route("/agent/v1/config", post(answer));
    let rustls = axum_server::tls_rustls::RustlsConfig::from_config(Arc::new(config));
    tokio::spawn(async move {
        axum_server::from_tcp_rustls(listener, rustls).unwrap().serve(app.into_make_service()).await
    });
    port
}

async fn ask(port: u16, pins: &[String], proxy: Option<Proxy>) -> Result<ConfigResponse, TransportError> {
    let options = ClientOptions { url: format!("https://127.0.0.1:{port}"), pins: PinSet::new(pins), proxy };
    let server = ServerApi::new(Client::new(&options)?, "key".into());
    let request =
        ConfigRequest { version: "1".into(), hostname: "h".into(), have_revision: None, wait_seconds: 0, jobs: vec![] };
    server.config(&request).await
}

fn refused(done: Result<ConfigResponse, TransportError>) -> String {
    match done.unwrap_err() {
        TransportError::Connect { source, .. } => source.to_string(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn the_pinned_ca_for_the_fixed_name_and_nothing_else() {
    let (ours, other) = (Ca::new("ours"), Ca::new("other"));
    let (leaf, key) = ours.leaf(TLS_SERVER_NAME);
    let port = serve(vec![leaf.clone(), ours.der()], key.clone_key()).await;
    assert_eq!(ask(port, &[ours.pin()], None).await.unwrap().revision, "r");
    assert_eq!(
        ask(port, &[other.pin(), ours.pin().to_uppercase()], None).await.unwrap().revision,
        "r",
        "of several pins one fits"
    );
    assert!(refused(ask(port, &[other.pin()], None).await).contains("UnknownIssuer"), "another pin");
    assert!(matches!(ask(port, &[], None).await, Err(TransportError::Setup(_))), "no pin");

    let port = serve(vec![leaf], key).await;
    assert!(refused(ask(port, &[ours.pin()], None).await).contains("UnknownIssuer"), "the chain does not show the CA");

    let (leaf, key) = ours.leaf("127.0.0.1");
    let port = serve(vec![leaf, ours.der()], key).await;
    let why = refused(ask(port, &[ours.pin()], None).await);
    assert!(why.contains("not valid for name") || why.contains("NotValidForName"), "another name: {why}");

    let (leaf, key) = other.leaf(TLS_SERVER_NAME);
    let port = serve(vec![leaf, ours.der()], key).await;
    refused(ask(port, &[ours.pin()], None).await); // shows our CA, is signed by another

    // The pinned key itself as a leaf that is no CA: whoever has only a leaf of ours cannot pass it off as the CA.
    let (leaf, key) = ours.leaf(TLS_SERVER_NAME);
    let (_, parsed) = x509_parser::parse_x509_certificate(&leaf).unwrap();
    let leaf_pin = hex::encode(Sha256::digest(parsed.public_key().raw));
    let port = serve(vec![leaf.clone(), leaf.clone()], key).await;
    refused(ask(port, &[leaf_pin], None).await);
}

#[tokio::test]
async fn through_a_proxy_with_a_password() {
    let ours = Ca::new("ours");
    let (leaf, key) = ours.leaf(TLS_SERVER_NAME);
    let port = serve(vec![leaf, ours.der()], key).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy_port = listener.local_addr().unwrap().port();
    let tunnels = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tunnels);
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(from.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                if !head.contains("Proxy-Authorization: Basic dTpw\r\n") {
                    from.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await.unwrap();
                    return;
                }
                assert!(head.starts_with(&format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\n")), "{head}");
                counted.fetch_add(1, Ordering::SeqCst);
                let mut to = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                from.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
            });
        }
    });
    let with = |auth: &str| Some(Proxy::parse(&format!("http://{auth}127.0.0.1:{proxy_port}")).unwrap());
    assert_eq!(ask(port, &[ours.pin()], with("u:p@")).await.unwrap().revision, "r");
    assert_eq!(tunnels.load(Ordering::SeqCst), 1);
    assert!(refused(ask(port, &[ours.pin()], with("")).await).contains("407"));
    let other = Ca::new("other");
    assert!(
        refused(ask(port, &[other.pin()], with("u:p@")).await).contains("UnknownIssuer"),
        "a proxy changes nothing"
    );
}
