//! The tools that the engine is compared with, as Debian packages them: borg, restic, and `tar | zstd`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

/// A tool, with a repository of its own below a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// `borg` with `fixed,65536` and `zstd,1`, without encryption.
    Borg,
    /// `restic` with its defaults (it encrypts).
    Restic,
    /// `tar | zstd -1 -T2`: no deduplication.
    Tar,
}

impl Peer {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Borg, Self::Restic, Self::Tar];

    /// Its name in the tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Borg => "borg fixed,65536 zstd,1",
            Self::Restic => "restic",
            Self::Tar => "tar | zstd -1 -T2",
        }
    }

    /// Where it stores.
    #[must_use]
    pub fn repository(self, dir: &Path) -> PathBuf {
        dir.join(match self {
            Self::Borg => "borg",
            Self::Restic => "restic",
            Self::Tar => "tar",
        })
    }

    fn command(self, dir: &Path, program: &str) -> Command {
        let mut command = Command::new(program);
        // Everything that they keep beside their repositories goes below the folder too.
        command.env("BORG_BASE_DIR", dir.join("borg-home"));
        command.env("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes");
        command.env("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
        command.env("RESTIC_REPOSITORY", self.repository(dir)).env("RESTIC_PASSWORD", "bench");
        command.env("RESTIC_CACHE_DIR", dir.join("restic-home"));
        command
    }

    /// An empty repository.
    ///
    /// # Errors
    /// When the tool is not there, or fails.
    pub fn prepare(self, dir: &Path) -> Result<()> {
        let repository = self.repository(dir);
        if repository.exists() {
            fs::remove_dir_all(&repository)?;
        }
        let mut command = match self {
            Self::Borg => {
                let mut borg = self.command(dir, "borg");
                borg.args(["init", "-e", "none"]).arg(&repository);
                borg
            }
            Self::Restic => {
                let mut restic = self.command(dir, "restic");
                restic.args(["init", "--quiet"]);
                restic
            }
            Self::Tar => {
                fs::create_dir_all(&repository)?;
                return Ok(());
            }
        };
        let output = command.output()?;
        ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Backs a folder up under this name.
    #[must_use]
    pub fn backup(self, dir: &Path, source: &Path, name: &str) -> Command {
        let mut command = match self {
            Self::Borg => {
                let mut borg = self.command(dir, "borg");
                borg.args(["create", "--chunker-params", "fixed,65536", "--compression", "zstd,1"]);
                borg.arg(format!("{}::{name}", self.repository(dir).display())).arg(".");
                borg
            }
            Self::Restic => {
                let mut restic = self.command(dir, "restic");
                restic.args(["backup", "--quiet", "--tag", name, "."]);
                restic
            }
            Self::Tar => {
                let mut shell = self.command(dir, "bash");
                let target = self.repository(dir).join(format!("{name}.tar.zst"));
                shell.args(["-c", "set -o pipefail; tar -cf - . | zstd -1 -T2 -q -o \"$1\"", "bash"]).arg(target);
                shell
            }
        };
        command.current_dir(source);
        command
    }

    /// Restores what has this name into an empty folder.
    #[must_use]
    pub fn restore(self, dir: &Path, out: &Path, name: &str) -> Command {
        let mut command = match self {
            Self::Borg => {
                let mut borg = self.command(dir, "borg");
                borg.arg("extract").arg(format!("{}::{name}", self.repository(dir).display()));
                borg
            }
            Self::Restic => {
                let mut restic = self.command(dir, "restic");
                restic.args(["restore", "--quiet", "--tag", name, "latest", "--target", "."]);
                restic
            }
            Self::Tar => {
                let mut shell = self.command(dir, "bash");
                let from = self.repository(dir).join(format!("{name}.tar.zst"));
                shell.args(["-c", "set -o pipefail; zstd -dc -q \"$1\" | tar -xf -", "bash"]).arg(from);
                shell
            }
        };
        command.current_dir(out);
        command
    }
}
