//! A session with one server: connect, compare the host key, log in, ask for the sftp subsystem.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use russh::{
    client::{self, Config, Handle, Handler},
    keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate},
};
use russh_sftp::{
    client::{RawSftpSession, error::Error as ClientError},
    protocol::{FileAttributes, OpenFlags, StatusCode},
};

use crate::{File, HostKey, KeyPair, SftpError};

/// How long connecting and logging in may take.
const CONNECT_MAX: Duration = Duration::from_secs(20);
/// Silence after which the server is asked whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// How long one answer may take, in seconds: a slow disk may be at work.
const ANSWER_SECONDS_MAX: u64 = 60;
/// Longest words of a server that are passed on, in characters.
const WORDS_CHARS_MAX: usize = 300;

/// Where a server is, and as whom to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User; not needed by [`look`].
    pub user: String,
}

impl Server {
    pub(crate) fn name(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    fn broken(&self, detail: impl ToString) -> SftpError {
        SftpError::Connection { server: self.name(), detail: detail.to_string() }
    }
}

/// Sees the server's key, and lets only the pinned one through.
struct Keeper {
    pinned: Option<HostKey>,
    seen: Arc<Mutex<Option<HostKey>>>,
}

impl Handler for Keeper {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let shown = HostKey::of(shown.public_key());
        let fits = self.pinned.as_ref() == Some(&shown);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(shown);
        Ok(fits)
    }
}

async fn connect(server: &Server, pinned: Option<&HostKey>) -> (Result<Handle<Keeper>, russh::Error>, Option<HostKey>) {
    let mut config = Config { keepalive_interval: Some(KEEPALIVE), nodelay: true, ..Config::default() };
    if let Some(pinned) = pinned {
        // A server may have several: the one that was confirmed is asked for.
        config.preferred.key = Cow::Owned(vec![pinned.0.algorithm()]);
    }
    let seen = Arc::new(Mutex::new(None));
    let keeper = Keeper { pinned: pinned.cloned(), seen: Arc::clone(&seen) };
    let to = (server.host.as_str(), server.port);
    let connected = tokio::time::timeout(CONNECT_MAX, client::connect(Arc::new(config), to, keeper)).await;
    let connected = connected.unwrap_or(Err(russh::Error::ConnectionTimeout));
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).take();
    (connected, seen)
}

/// The host key that a server shows, without logging in.
///
/// # Errors
/// [`SftpError::Connection`].
pub async fn look(server: &Server) -> Result<HostKey, SftpError> {
    let (connected, seen) = connect(server, None).await;
    match (seen, connected) {
        (Some(key), _) => Ok(key),
        (None, Err(error)) => Err(server.broken(error)),
        (None, Ok(_)) => Err(server.broken("it showed no host key")),
    }
}

/// A session. Dropping it ends it.
pub struct Session {
    server: Server,
    sftp: Arc<RawSftpSession>,
    _handle: Handle<Keeper>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Session {
    /// Connects to a server that must show `pinned`, and logs in.
    ///
    /// # Errors
    /// See [`SftpError`].
    pub async fn open(server: &Server, pinned: &HostKey, key: &KeyPair) -> Result<Self, SftpError> {
        let changed =
            |shown: String| SftpError::HostKeyChanged { server: server.name(), pinned: pinned.fingerprint(), shown };
        let mut handle = match connect(server, Some(pinned)).await {
            (_, Some(shown)) if shown != *pinned => return Err(changed(shown.fingerprint())),
            (Err(russh::Error::NoCommonAlgo { .. }), None) => return Err(changed("none of that kind".into())),
            (Err(error), _) => return Err(server.broken(error)),
            (Ok(handle), _) => handle,
        };
        let login = async {
            let key = PrivateKeyWithHashAlg::new(Arc::clone(&key.0), None);
            let login = handle.authenticate_publickey(server.user.clone(), key).await;
            if !login.map_err(|error| server.broken(error))?.success() {
                return Err(SftpError::LoginRefused { server: server.name(), user: server.user.clone() });
            }
            let no_sftp = || SftpError::NoSftp { server: server.name(), user: server.user.clone() };
            let channel = handle.channel_open_session().await.map_err(|error| server.broken(error))?;
            channel.request_subsystem(true, "sftp").await.map_err(|error| server.broken(error))?;
            let sftp = RawSftpSession::new(channel.into_stream());
            sftp.set_timeout(ANSWER_SECONDS_MAX);
            sftp.init().await.map_err(|_| no_sftp())?;
            Ok(Arc::new(sftp))
        };
        let sftp = tokio::time::timeout(CONNECT_MAX, login).await;
        let sftp = sftp.map_err(|_| server.broken("logging in took too long"))??;
        Ok(Self { server: server.clone(), sftp, _handle: handle })
    }

    pub(crate) fn error(&self, what: &'static str, path: &str, error: ClientError) -> SftpError {
        match error {
            ClientError::Status(status)
                if !matches!(status.status_code, StatusCode::NoConnection | StatusCode::ConnectionLost) =>
            {
                // A stranger's words, which people read on terminals: bounded, and nothing but text.
                let words = status.error_message.chars().filter(|c| !c.is_control()).take(WORDS_CHARS_MAX);
                let words: String = words.collect();
                let detail = if words.is_empty() { status.status_code.to_string() } else { words };
                SftpError::Refused { what, path: path.to_owned(), detail }
            }
            other => self.server.broken(other),
        }
    }

    /// Bytes of a file; None: it is not there.
    ///
    /// # Errors
    /// See [`SftpError`].
    pub async fn size(&self, path: &str) -> Result<Option<u64>, SftpError> {
        match self.sftp.stat(path).await {
            Ok(found) => Ok(Some(found.attrs.size.unwrap_or_default())),
            Err(ClientError::Status(status)) if status.status_code == StatusCode::NoSuchFile => Ok(None),
            Err(error) => Err(self.error("look at", path, error)),
        }
    }

    /// Bytes free where `path` lies; None: the server does not say.
    pub async fn free_bytes(&self, path: &str) -> Option<u64> {
        let said = self.sftp.statvfs(path).await.ok()?;
        said.blocks_avail.checked_mul(said.fragment_size)
    }

    /// Opens a file for writing and reading, empties it when asked to.
    ///
    /// # Errors
    /// See [`SftpError`].
    pub async fn write(&self, path: &str, empty: bool) -> Result<File<'_>, SftpError> {
        let mut flags = OpenFlags::READ | OpenFlags::WRITE | OpenFlags::CREATE;
        if empty {
            flags |= OpenFlags::TRUNCATE;
        }
        let attributes = FileAttributes { permissions: Some(0o600), ..FileAttributes::empty() };
        let opened = self.sftp.open(path, flags, attributes).await.map_err(|e| self.error("open", path, e))?;
        Ok(File::new(self, Arc::clone(&self.sftp), path.to_owned(), opened.handle))
    }

    /// Gives a file another name.
    ///
    /// # Errors
    /// See [`SftpError`].
    pub async fn rename(&self, from: &str, to: &str) -> Result<(), SftpError> {
        self.sftp.rename(from, to).await.map(|_| ()).map_err(|error| self.error("rename", from, error))
    }

    /// Removes a file.
    ///
    /// # Errors
    /// See [`SftpError`].
    pub async fn remove(&self, path: &str) -> Result<(), SftpError> {
        self.sftp.remove(path).await.map(|_| ()).map_err(|error| self.error("remove", path, error))
    }
}
