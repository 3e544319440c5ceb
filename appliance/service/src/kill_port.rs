//! The port that shuts a process down: one line with the secret of the data folder.
//!
//! For stop scripts that have no pid and no service manager. It listens on loopback only, reads at most one bounded line
//! per connection, compares in constant time, and logs who was refused but never what was sent.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use subtle::ConstantTimeEq;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;

use crate::{atomic_write::create_once, error_class::ErrorClass};

/// Name of the secret's file in the data folder.
pub const SECRET_FILE: &str = "kill.secret";
/// Longest line that is read, with its end.
const LINE_BYTES_MAX: u64 = 256;
/// How long a connection may take for its line.
const LINE_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections served at once; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 8;
/// Random bytes of a secret; written as hex.
const SECRET_BYTES: usize = 32;
/// Pause after an accept that failed (no file descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Why the kill port does not listen.
#[derive(Debug, thiserror::Error)]
pub enum KillPortError {
    /// Only loopback addresses are allowed.
    #[error("kill port {0}: only a loopback address is allowed")]
    NotLoopback(SocketAddr),
    /// The address is taken or not allowed.
    #[error("listen on {addr} for the kill port")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The secret can be neither read nor made.
    #[error("secret of the kill port in {}", path.display())]
    Secret {
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl KillPortError {
    /// What the caller can do about it.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::Operator
    }
}

/// A listening kill port; it ends with the token.
#[derive(Debug)]
pub struct KillPort {
    addr: SocketAddr,
}

impl KillPort {
    /// Listens on `addr` (port 0: any free one) and cancels `token` when the secret in `<data>/kill.secret` arrives. The
    /// secret is made at first start; the processes of one data folder share it.
    ///
    /// # Errors
    /// See [`KillPortError`].
    pub async fn start(addr: SocketAddr, data: &Path, token: CancellationToken) -> Result<Self, KillPortError> {
        if !addr.ip().is_loopback() {
            return Err(KillPortError::NotLoopback(addr));
        }
        let path = data.join(SECRET_FILE);
        let secret = load_secret(&path).map_err(|source| KillPortError::Secret { path, source })?;
        let listen = |source| KillPortError::Listen { addr, source };
        let listener = TcpListener::bind(addr).await.map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        tokio::spawn(accept(listener, Arc::from(secret), token));
        Ok(Self { addr })
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

/// The secret of a data folder, made when there is none.
fn load_secret(path: &Path) -> io::Result<String> {
    let fresh: [u8; SECRET_BYTES] = rand::random();
    create_once(path, hex::encode(fresh).as_bytes(), 0o600)?;
    let secret = fs::read_to_string(path)?.trim().to_owned();
    if secret.len() < SECRET_BYTES || secret.len() as u64 >= LINE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the secret must have 32 to 255 characters"));
    }
    Ok(secret)
}

/// Sends the secret of a data folder to a kill port; true when the process said that it ends.
///
/// # Errors
/// No secret there, nobody listens, or no answer in time.
pub async fn ask_to_end(addr: SocketAddr, data: &Path) -> io::Result<bool> {
    let secret = fs::read_to_string(data.join(SECRET_FILE))?;
    let exchange = async {
        let mut stream = TcpStream::connect(addr).await?;
        stream.write_all(format!("{}\n", secret.trim()).as_bytes()).await?;
        let mut answer = String::new();
        stream.take(LINE_BYTES_MAX).read_to_string(&mut answer).await?;
        Ok(answer.trim() == "bye")
    };
    tokio::time::timeout(LINE_TIMEOUT, exchange).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn accept(listener: TcpListener, secret: Arc<str>, token: CancellationToken) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            () = token.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "kill port: accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (secret, token) = (secret.clone(), token.clone());
        tokio::spawn(async move {
            match tokio::time::timeout(LINE_TIMEOUT, converse(stream, &secret)).await {
                Ok(Ok(true)) => {
                    tracing::info!(%peer, "kill port: shutting down");
                    token.cancel();
                }
                Ok(Ok(false)) => tracing::warn!(%peer, "kill port: wrong line refused"),
                Ok(Err(error)) => tracing::warn!(%peer, %error, "kill port: connection broke"),
                Err(_) => tracing::warn!(%peer, "kill port: no line in time, refused"),
            }
            drop(slot);
        });
    }
}

/// Reads one line and answers it; true for the secret.
async fn converse(mut stream: TcpStream, secret: &str) -> io::Result<bool> {
    let (reading, mut writing) = stream.split();
    let mut line = Vec::new();
    BufReader::new(reading.take(LINE_BYTES_MAX)).read_until(b'\n', &mut line).await?;
    let told = line.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let right = told.is_some_and(|told| bool::from(told.ct_eq(secret.as_bytes())));
    writing.write_all(if right { b"bye\n" } else { b"refused\n" }).await?;
    writing.shutdown().await?;
    Ok(right)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    async fn say(addr: SocketAddr, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = String::new();
        // A line that is not read to its end resets the connection; the answer does not matter then.
        let _ = stream.read_to_string(&mut answer).await;
        answer
    }

    #[tokio::test]
    async fn only_the_whole_secret_ends_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let token = CancellationToken::new();
        let port = KillPort::start("127.0.0.1:0".parse().unwrap(), dir.path(), token.clone()).await.unwrap();
        let secret = fs::read_to_string(dir.path().join(SECRET_FILE)).unwrap();
        assert_eq!(say(port.addr(), b"wrong\n").await, "refused\n");
        assert_eq!(say(port.addr(), format!("{}\n", &secret[1..]).as_bytes()).await, "refused\n");
        assert_eq!(say(port.addr(), format!("{secret}x\n").as_bytes()).await, "refused\n");
        say(port.addr(), &vec![b'x'; 100_000]).await;
        assert!(!token.is_cancelled());
        assert!(ask_to_end(port.addr(), dir.path()).await.unwrap());
        tokio::time::timeout(Duration::from_secs(5), token.cancelled()).await.unwrap();
    }

    #[tokio::test]
    async fn silent_connections_do_not_block_the_secret() {
        let dir = tempfile::tempdir().unwrap();
        let token = CancellationToken::new();
        let port = KillPort::start("127.0.0.1:0".parse().unwrap(), dir.path(), token.clone()).await.unwrap();
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS_MAX - 1 {
            silent.push(TcpStream::connect(port.addr()).await.unwrap());
        }
        assert!(ask_to_end(port.addr(), dir.path()).await.unwrap());
    }

    #[tokio::test]
    async fn other_addresses_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let result = KillPort::start("0.0.0.0:0".parse().unwrap(), dir.path(), CancellationToken::new()).await;
        assert!(matches!(result, Err(KillPortError::NotLoopback(_))));
    }
}
