//! A real S3 server for the tests of this binary, and a proxy before it that injects faults.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use blockstore_engine::{PackLocation, S3Options};
use holdfast_mongod::free_port;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

static SHARED: Mutex<Weak<S3Server>> = Mutex::new(Weak::new());
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// moto's server, ended with the last test that uses it.
pub(crate) struct S3Server {
    child: Child,
    pub(crate) port: u16,
}

impl S3Server {
    pub(crate) async fn shared() -> Arc<Self> {
        let server = tokio::task::spawn_blocking(|| {
            let mut slot = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
            slot.upgrade().unwrap_or_else(|| {
                let server = Arc::new(Self::start());
                *slot = Arc::downgrade(&server);
                server
            })
        });
        let server = server.await.unwrap();
        let started = std::time::Instant::now();
        while TcpStream::connect(("127.0.0.1", server.port)).await.is_err() {
            assert!(started.elapsed() < Duration::from_secs(60), "the S3 server does not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server
    }

    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/s3-server");
        let output = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "scripts/s3-server failed");
        let port = free_port().unwrap();
        let program = String::from_utf8(output.stdout).unwrap();
        let child = Command::new(program.trim())
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, port }
    }

    /// A fresh bucket, reached through `port` (the server's or a proxy's).
    pub(crate) async fn bucket(&self, port: u16) -> S3Options {
        let bucket = format!("bucket{}", NUMBER.fetch_add(1, Relaxed));
        let made =
            http(self.port, &format!("PUT /{bucket} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n")).await;
        assert!(made.starts_with("HTTP/1.1 200"), "{made}");
        S3Options {
            endpoint: Some(format!("http://127.0.0.1:{port}")),
            region: "us-east-1".into(),
            bucket,
            prefix: "a/prefix".into(),
            access_key_id: "test".into(),
            secret_access_key: "test".into(),
            virtual_hosted: false,
            ca_pem: None,
            request_timeout: Duration::from_secs(6),
        }
    }

    pub(crate) async fn location(&self) -> PackLocation {
        PackLocation::S3(self.bucket(self.port).await)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn http(port: u16, head: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Answered with this status; never reaches the server.
    Status(u16),
    /// No answer until the client gives up.
    Stall,
    /// The connection closes at once.
    Close,
    /// The server answers, the client gets only the first bytes of it.
    Truncate(usize),
    /// The server acts, the client gets no answer.
    LoseAnswer,
    /// The answer comes slowly, but it comes.
    Slow,
}

/// Which requests fail, and how often.
struct Rule {
    method: &'static str,
    target: &'static str,
    fault: Fault,
    left: u32,
}

/// Passes one request per connection on to the server, or does what its rules say.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    rules: Arc<Mutex<Vec<Rule>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(upstream: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let rules = Arc::new(Mutex::new(Vec::new()));
        let known = rules.clone();
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let rules = known.clone();
                // A client that went away is no fault of the proxy.
                tokio::spawn(async move { serve(client, upstream, &rules).await.ok() });
            }
        });
        Self { port, rules, task }
    }

    /// The next `count` requests of this method whose target contains `target` meet the fault.
    pub(crate) fn inject(&self, method: &'static str, target: &'static str, fault: Fault, count: u32) {
        self.rules.lock().unwrap().push(Rule { method, target, fault, left: count });
    }

    /// Faults that were not met.
    pub(crate) fn left(&self) -> u32 {
        self.rules.lock().unwrap().iter().map(|rule| rule.left).sum()
    }

    pub(crate) fn clear(&self) {
        self.rules.lock().unwrap().clear();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn fault_for(rules: &Mutex<Vec<Rule>>, head: &str) -> Option<Fault> {
    let (method, target) = head.split_once(' ')?;
    let target = target.split_once(' ')?.0;
    let mut rules = rules.lock().unwrap();
    let rule = rules.iter_mut().find(|rule| rule.left > 0 && rule.method == method && target.contains(rule.target))?;
    rule.left -= 1;
    Some(rule.fault)
}

async fn serve(mut client: TcpStream, upstream: u16, rules: &Mutex<Vec<Rule>>) -> std::io::Result<()> {
    let mut request = Vec::new();
    let head_len = loop {
        if client.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
        if let Some(at) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let head = String::from_utf8_lossy(&request[..head_len]).into_owned();
    let fault = fault_for(rules, &head);
    if fault == Some(Fault::Close) {
        return Ok(());
    }
    let body_len = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("content-length:").map(|len| len.trim().parse().unwrap())
        })
        .unwrap_or(0usize);
    while request.len() < head_len + body_len {
        if client.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    match fault {
        Some(Fault::Stall) => {
            // Ends when the client does.
            let mut rest = [0; 16];
            while client.read(&mut rest).await? > 0 {}
            return Ok(());
        }
        Some(Fault::Status(status)) => {
            let body = "<Error><Code>Injected</Code><Message>injected</Message></Error>";
            let answer = format!(
                "HTTP/1.1 {status} Injected\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            return client.write_all(answer.as_bytes()).await;
        }
        _ => {}
    }
    let mut server = TcpStream::connect(("127.0.0.1", upstream)).await?;
    let (line, rest) = head.split_once("\r\n").unwrap();
    server.write_all(format!("{line}\r\nConnection: close\r\n{rest}").as_bytes()).await?;
    server.write_all(&request[head_len..]).await?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await?;
    match fault {
        Some(Fault::LoseAnswer) => Ok(()),
        Some(Fault::Truncate(bytes)) => client.write_all(&answer[..answer.len().min(bytes)]).await,
        Some(Fault::Slow) => {
            for part in answer.chunks(256 << 10) {
                client.write_all(part).await?;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(())
        }
        _ => client.write_all(&answer).await,
    }
}
