//! The folder of an appliance: what lies where.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use crate::connect::READY_FILE;

/// An absolute folder.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// Makes the folder and what is in it; only the owner can look inside.
    pub(super) fn create(dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
        let dir = dir.canonicalize().with_context(|| format!("look at {}", dir.display()))?;
        fs::set_permissions(&dir, Permissions::from_mode(0o700))
            .with_context(|| format!("protect {}", dir.display()))?;
        let layout = Self { dir };
        for name in ["data", "db", "daemon", "logs", "run"] {
            let path = layout.dir.join(name);
            fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        }
        Ok(layout)
    }

    /// One `up` per folder, for as long as the file is open.
    pub(super) fn lock(&self) -> anyhow::Result<nix::fcntl::Flock<File>> {
        let path = self.dir.join("up.lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = file.with_context(|| format!("open {}", path.display()))?;
        match nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusiveNonblock) {
            Ok(lock) => {
                self.remove_ready();
                Ok(lock)
            }
            Err(_) => bail!("an appliance runs in {} already", self.dir.display()),
        }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
    pub(super) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }
    pub(super) fn ca_file(&self) -> PathBuf {
        self.data().join("ca").join("ca.pem")
    }
    pub(super) fn config_file(&self) -> PathBuf {
        self.dir.join("holdfast.toml")
    }
    pub(super) fn admin_key(&self) -> PathBuf {
        self.dir.join("admin.key")
    }
    /// The set-up code, while nobody has claimed the appliance; written by `holdfast-app`.
    pub(super) fn setup_code(&self) -> PathBuf {
        self.data().join("setup.code")
    }
    pub(super) fn ready_file(&self) -> PathBuf {
        self.dir.join(READY_FILE)
    }
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.dir.join("logs").join(format!("{name}.log"))
    }
    /// Where a part says that it serves.
    pub(super) fn service_ready(&self, name: &str) -> PathBuf {
        self.dir.join("run").join(format!("{name}.json"))
    }

    /// Not ready (any more).
    pub(super) fn remove_ready(&self) {
        match fs::remove_file(self.ready_file()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, file = %self.ready_file().display(), "remove the ready file");
            }
            _ => {}
        }
    }
}
