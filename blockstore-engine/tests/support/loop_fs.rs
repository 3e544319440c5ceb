//! A file system of one's own for a test: made in a sparse file, mounted by loop, unmounted at the end.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Bytes of the sparse file: above the least that mkfs.xfs takes.
const BYTES: u64 = 3 << 30;

pub struct LoopFs {
    mount: PathBuf,
    _dir: TempDir,
}

impl LoopFs {
    /// `xfs`, `btrfs` or `ext4`. `None`, and a sentence on stderr, only where this kernel has no such file system or lets us mount nothing.
    pub fn new(kind: &str) -> Option<Self> {
        let known = || {
            let known = std::fs::read_to_string("/proc/filesystems").unwrap();
            known.lines().any(|line| line.split_whitespace().last() == Some(kind))
        };
        let missing = if !nix::unistd::geteuid().is_root() {
            Some("mounting needs root")
        } else if !Path::new("/dev/loop-control").exists() {
            Some("this kernel has no loop devices")
        } else if !known() && (Command::new("modprobe").arg(kind).status().is_err() || !known()) {
            Some("this kernel does not have it")
        } else {
            None
        };
        if let Some(why) = missing {
            eprintln!("SKIPPED on {kind}: {why}");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let (image, mount) = (dir.path().join("image"), dir.path().join("mount"));
        std::fs::File::create(&image).unwrap().set_len(BYTES).unwrap();
        std::fs::create_dir(&mount).unwrap();
        run(Command::new(format!("mkfs.{kind}")).arg("-q").arg(&image));
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mount));
        Some(Self { mount, _dir: dir })
    }

    pub fn path(&self) -> &Path {
        &self.mount
    }
}

impl Drop for LoopFs {
    fn drop(&mut self) {
        // Lazily: what still has a file open there lets go of it in its own time.
        let unmounted = Command::new("umount").arg("-l").arg(&self.mount).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} stays mounted", self.mount.display());
        }
    }
}

fn run(command: &mut Command) {
    let output =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error} (package xfsprogs or btrfs-progs?)"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
