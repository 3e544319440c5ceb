//! A source that speaks TLS only and knows its users by certificates: role, check and backup over one connection string.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::support::{Agent, fake::Fake, wait};
use bson::{Document, doc};
use holdfast_mongod::free_port;
use mongodb::Client;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// Certificates of one test, as files.
struct Pki {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: PathBuf,
}

impl Pki {
    fn new(dir: &Path) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test CA");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(dir.join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, dir: dir.to_owned() }
    }

    /// Certificate and key in one file, as the server and connection strings want them.
    fn identity(&self, name: &str, unit: &str) -> PathBuf {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationalUnitName, unit);
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let file = self.dir.join(format!("{name}.pem"));
        std::fs::write(&file, cert.pem() + &key.serialize_pem()).unwrap();
        file
    }

    fn uri(&self, port: u16, identity: &Path, rest: &str) -> String {
        let (ca, identity) = (self.dir.join("ca.pem"), identity.display());
        format!(
            "mongodb://localhost:{port}/?tls=true&tlsCAFile={}&tlsCertificateKeyFile={identity}{rest}",
            ca.display()
        )
    }
}

/// A server that takes TLS connections alone; the kit's own speak without. Killed when dropped.
struct Server(Child);

impl Server {
    fn start(dir: &Path, port: u16, identity: &Path) -> Self {
        let dbpath = dir.join("db");
        std::fs::create_dir(&dbpath).unwrap();
        let mut command = Command::new(holdfast_tests::mongod_binary());
        command.args([
            "--replSet",
            "rs0",
            "--bind_ip",
            "127.0.0.1",
            "--wiredTigerCacheSizeGB",
            "0.25",
            "--oplogSize",
            "100",
        ]);
        command.args(["--tlsMode", "requireTLS", "--clusterAuthMode", "x509", "--auth", "--port", &port.to_string()]);
        command.arg("--tlsCAFile").arg(dir.join("ca.pem")).arg("--tlsCertificateKeyFile").arg(identity);
        command.arg("--dbpath").arg(dbpath).arg("--logpath").arg(dir.join("mongod.log"));
        Self(command.stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn agent(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_holdfast-agent")).args(arguments).output().unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
}

async fn initiate(client: &Client, port: u16) {
    let members = vec![doc! { "_id": 0, "host": format!("localhost:{port}") }];
    let config = doc! { "_id": "rs0", "members": members };
    client.database("admin").run_command(doc! { "replSetInitiate": config }).await.unwrap();
    wait("a primary", || async {
        let hello = client.database("admin").run_command(doc! { "hello": 1 }).await.unwrap();
        hello.get_bool("isWritablePrimary").unwrap_or(false)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_known_by_certificate_is_enough_for_a_backup() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::new(dir.path());
    let (server, backup, stranger) =
        (pki.identity("server", "servers"), pki.identity("backup", "clients"), pki.identity("stranger", "clients"));
    let port = free_port().unwrap();
    let _mongod = Server::start(dir.path(), port, &server);

    let plain = Client::with_uri_str(pki.uri(port, &backup, "&directConnection=true")).await.unwrap();
    initiate(&plain, port).await;
    // The exception for the first user of a server without any.
    let admin = plain.database("admin");
    admin.run_command(doc! { "createUser": "root", "pwd": "r", "roles": ["root"] }).await.unwrap();
    let as_root = pki.uri(port, &stranger, "&replicaSet=rs0").replace("mongodb://", "mongodb://root:r@");
    let root = Client::with_uri_str(&as_root).await.unwrap();
    root.database("d").collection::<Document>("c").insert_one(doc! { "_id": 1 }).await.unwrap();

    let external = "&replicaSet=rs0&authMechanism=MONGODB-X509&authSource=$external";
    let uri = pki.uri(port, &backup, external);
    let (good, said) = agent(&["role", "--mongodb", &as_root, "--user", "OU=clients,CN=backup", "--external"]);
    assert!(good, "{said}");
    let (good, said) = agent(&["check", "--mongodb", &uri]);
    assert!(good && !said.contains("MISSING"), "{said}");
    let (good, said) = agent(&["check", "--mongodb", &pki.uri(port, &stranger, external)]);
    assert!(!good && !said.is_empty(), "a certificate without a user: {said}");

    let fake = Fake::start("rs0", &uri).await;
    let running = Agent::start(&fake, &dir.path().join("state"));
    wait("the initial sync", || async { fake.lock().syncs.get(&0).is_some_and(|s| s.complete.is_some()) }).await;
    root.database("d").collection::<Document>("c").insert_one(doc! { "_id": 2 }).await.unwrap();
    wait("the write arrives", || async {
        fake.lock().ledger.oplog(0).iter().any(|e| e.get_str("ns").is_ok_and(|ns| ns == "d.c"))
    })
    .await;
    running.stop().await;
    assert!(fake.lock().errors.is_empty(), "{:?}", fake.lock().errors);
}
