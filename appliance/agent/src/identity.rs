//! Who this agent is, kept in its state directory: instance, key, pins, where the appliance is.
//!
//! One agent per state directory: a lock is held while it runs. The file is for the owner only and is written whole.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use holdfast_domain::{AgentId, GroupId, Hash32};
use nix::fcntl::{Flock, FlockArg};
use rand::RngExt as _;
use serde::{Deserialize, Serialize};

const FILE: &str = "agent.json";
const LOCK: &str = "lock";

/// The identity.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Random, made once: enrolling again with it gives the same agent a new key.
    pub instance: String,
    /// Where the appliance is.
    pub server: String,
    /// Where its web service is, for monitoring; none of an agent that enrolled before there was monitoring.
    #[serde(default)]
    pub web: Option<String>,
    /// Pins of its CAs.
    pub ca_pins: Vec<String>,
    /// Given at enrolment.
    pub agent: AgentId,
    /// Its group.
    pub group: GroupId,
    /// Its key.
    pub key: String,
    /// When the key was given, seconds since 1970.
    pub key_since: i64,
    /// Hash of the token that was used: the same token again is not used again.
    pub token: Hash32,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({} at {})", self.agent, self.server)
    }
}

/// The state directory, held by this process.
pub struct StateDir {
    dir: PathBuf,
    _lock: Flock<fs::File>,
}

impl StateDir {
    /// Makes the directory if needed and takes its lock.
    ///
    /// # Errors
    /// Another agent holds it (`WouldBlock`), or it cannot be written.
    pub fn open(dir: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let file = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(dir.join(LOCK))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| io::Error::from(errno))?;
        Ok(Self { dir: dir.to_owned(), _lock: lock })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// The identity; None before the first enrolment.
    ///
    /// # Errors
    /// The file is damaged or cannot be read.
    pub fn identity(&self) -> io::Result<Option<Identity>> {
        match fs::read(self.dir.join(FILE)) {
            Ok(json) => Ok(Some(serde_json::from_slice(&json)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps the identity, durably.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep(&self, identity: &Identity) -> io::Result<()> {
        let (path, temporary) = (self.dir.join(FILE), self.dir.join(format!("{FILE}.tmp")));
        let _ = fs::remove_file(&temporary);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        io::Write::write_all(&mut file, &serde_json::to_vec_pretty(identity)?)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        fs::File::open(&self.dir)?.sync_all()
    }
}

/// A new instance id.
#[must_use]
pub(crate) fn new_instance() -> String {
    hex::encode(rand::rng().random::<[u8; 16]>())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn one_agent_per_directory_and_the_identity_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let state = StateDir::open(&path).unwrap();
        assert!(StateDir::open(&path).is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock));
        assert!(state.identity().unwrap().is_none());
        let identity = Identity {
            instance: new_instance(),
            server: "https://a:1".into(),
            web: None,
            ca_pins: vec!["ab".into()],
            agent: AgentId::random(),
            group: GroupId::random(),
            key: "secret-key".into(),
            key_since: 5,
            token: Hash32::of(b"t"),
        };
        state.keep(&identity).unwrap();
        drop(state);
        let again = StateDir::open(&path).unwrap().identity().unwrap().unwrap();
        assert_eq!((again.agent, again.token), (identity.agent.clone(), identity.token));
        assert_eq!(fs::metadata(path.join(FILE)).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!format!("{identity:?}").contains("secret"));
    }
}
