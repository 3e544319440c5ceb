//! The certificate that is uploaded for browsers, over real TLS, at two instances.

use std::{
    net::SocketAddr,
    time::{Duration, Instant, SystemTime},
};

use holdfast_metadb::Role;
use holdfast_service::{AGENT_SERVER_NAME, client_config};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::world::{World, ok, refused};

const HOST: &str = "backup.example.com";
/// An instance looks every two seconds.
const SEEN_WITHIN: Duration = Duration::from_secs(20);

/// A public authority, as far as these tests go.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "Public authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn issue(&self, days: i64) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([HOST.to_owned()]).unwrap();
        let day = Duration::from_secs(86_400);
        params.not_before = (SystemTime::now() - day * 400).into();
        let length = day * u32::try_from(days.abs()).unwrap();
        params.not_after = if days < 0 { SystemTime::now() - length } else { SystemTime::now() + length }.into();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// Whether a new client that trusts this alone gets an answer from a host of this name.
async fn answers(ca_pem: &str, host: &str, addr: SocketAddr) -> bool {
    let config = client_config(ca_pem).unwrap();
    let http = reqwest::Client::builder().tls_backend_preconfigured(config).no_proxy().resolve(host, addr).build();
    http.unwrap().get(format!("https://{host}:{}/healthz", addr.port())).send().await.is_ok()
}

async fn until(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is().await {
        assert!(began.elapsed() < SEEN_WITHIN, "{what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn browsers_see_what_was_uploaded_and_agents_do_not() {
    let world = World::new().await;
    let other = world.second_instance().await;
    let both = [world.addr(), other.addr()];
    let authority = Authority::new();
    let own = world.ca();
    assert_eq!(world.get("/settings/tls").await["certificate"], json!(null));
    assert!(!answers(&authority.pem, HOST, both[0]).await);

    let (chain, key) = authority.issue(90);
    let upload = async |chain: &str, key: &str| {
        let body = json!({ "chain": chain, "key": key });
        world.call(Some(&world.admin), Method::PUT, "/settings/tls", Some(&body)).await
    };
    // What does not fit is refused in a sentence, and nothing changes.
    let foreign = authority.issue(90).1;
    let detail = refused(upload(&chain, &foreign).await, StatusCode::UNPROCESSABLE_ENTITY, "certificate").await;
    assert!(detail.contains("does not fit"), "{detail}");
    let (old, old_key) = authority.issue(-1);
    let detail = refused(upload(&old, &old_key).await, StatusCode::UNPROCESSABLE_ENTITY, "certificate").await;
    assert!(detail.contains("valid from"), "{detail}");
    assert_eq!(world.get("/settings/tls").await["certificate"], json!(null));

    let shown = ok(upload(&chain, &key).await).await;
    assert_eq!(shown["certificate"]["names"], json!([HOST]));
    let left = shown["certificate"]["daysLeft"].as_i64().unwrap();
    assert!((89..=90).contains(&left), "{shown}");
    assert_eq!(
        (&shown["certificate"]["renew"], &shown["certificate"]["coversPublicUrl"]),
        (&json!(false), &json!(false))
    );
    assert_eq!(shown["publicHost"], "appliance");
    assert!(!shown.to_string().contains("PRIVATE"));
    assert!(answers(&authority.pem, HOST, both[0]).await, "this instance shows it at once");
    until("the other instance follows", async || answers(&authority.pem, HOST, both[1]).await).await;
    for addr in both {
        assert!(answers(own.pem(), AGENT_SERVER_NAME, addr).await, "agents see the leaf");
        assert!(answers(own.pem(), "localhost", addr).await, "programs on this machine see the leaf");
        assert!(!answers(own.pem(), HOST, addr).await);
    }
    // The key is sealed where it lies, and nowhere in the audit log.
    let secret: String = key.lines().nth(1).unwrap().to_owned();
    let stored = world.metadb.appliance_setting("browserCertificate").await.unwrap().unwrap();
    assert!(!format!("{stored:?}").contains(&secret));
    let audit = world.get("/audit").await;
    assert_eq!(audit["entries"][0]["action"], "certificate uploaded");
    assert!(!audit.to_string().contains(&secret));

    // One that is about to run out says so; taken away, the own CA is back.
    let (soon, soon_key) = authority.issue(10);
    assert_eq!(ok(upload(&soon, &soon_key).await).await["certificate"]["renew"], true);
    ok(world.call(Some(&world.admin), Method::DELETE, "/settings/tls", None).await).await;
    for addr in both {
        until("taken away everywhere", async || !answers(&authority.pem, HOST, addr).await).await;
        assert!(answers(own.pem(), "localhost", addr).await);
    }
    let gone = world.call(Some(&world.admin), Method::DELETE, "/settings/tls", None).await;
    refused(gone, StatusCode::NOT_FOUND, "notFound").await;
    let people = world.key(None, Role::UserAdmin).await;
    let body = json!({ "chain": chain, "key": key });
    let forbidden = world.call(Some(&people), Method::PUT, "/settings/tls", Some(&body)).await;
    refused(forbidden, StatusCode::FORBIDDEN, "forbidden").await;
}
