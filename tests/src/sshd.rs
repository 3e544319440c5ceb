//! Debian's OpenSSH server, run from a folder of its own on a free port: an SFTP server for tests, never a service of the machine.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long it may take to listen.
const START_MAX: Duration = Duration::from_secs(20);

/// A server. It ends when this is dropped.
#[derive(Debug)]
pub struct Sshd {
    dir: tempfile::TempDir,
    port: u16,
    user: String,
    child: Option<Child>,
    mounted: Vec<PathBuf>,
}

impl Sshd {
    /// Starts one that lets nobody in: see [`Self::authorize`].
    ///
    /// # Errors
    /// What the system says, or that `sshd` does not listen.
    pub fn start() -> io::Result<Self> {
        let dir = tempfile::tempdir()?;
        std::fs::create_dir(dir.path().join("in"))?;
        std::fs::write(dir.path().join("authorized_keys"), "")?;
        // As root it insists on this folder, which the service would make.
        let _ = std::fs::create_dir_all("/run/sshd");
        let user = Command::new("id").arg("-un").output()?.stdout;
        let user = String::from_utf8_lossy(&user).trim().to_owned();
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut sshd = Self { dir, port, user, child: None, mounted: Vec::new() };
        sshd.new_host_key()?;
        Ok(sshd)
    }

    /// Starts it anew with another host key.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn new_host_key(&mut self) -> io::Result<()> {
        self.stop();
        let dir = self.dir.path().display().to_string();
        let key = self.dir.path().join("host");
        let _ = std::fs::remove_file(&key);
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).stdin(Stdio::null());
        if !keygen.status()?.success() {
            return Err(io::Error::other("ssh-keygen made no key"));
        }
        let conf = format!(
            "Port {}\nListenAddress 127.0.0.1\nHostKey {dir}/host\nAuthorizedKeysFile {dir}/authorized_keys\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n",
            self.port
        );
        std::fs::write(self.dir.path().join("conf"), conf)?;
        let log = std::fs::File::create(self.dir.path().join("log"))?;
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f"]).arg(self.dir.path().join("conf"));
        self.child = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?);
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if begun.elapsed() > START_MAX {
                let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
                return Err(io::Error::other(format!("sshd does not listen: {log}")));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Lets the holder of a key in, and nobody else.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn authorize(&self, public_line: &str) -> io::Result<()> {
        std::fs::write(self.dir.path().join("authorized_keys"), format!("{public_line}\n"))
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The only user who can log in: who runs the tests.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The line of its host key.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn host_key(&self) -> io::Result<String> {
        std::fs::read_to_string(self.dir.path().join("host.pub"))
    }

    /// A folder to push into.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        Path::new(self.dir.path()).join("in")
    }

    /// A folder on a disk of its own that holds so many bytes. `None`, and a sentence on stderr, only where this process may mount nothing.
    ///
    /// # Errors
    /// What the system says.
    #[allow(clippy::print_stderr, reason = "a test that is left out is said")]
    pub fn small_folder(&mut self, bytes: u64) -> io::Result<Option<PathBuf>> {
        let folder = self.dir.path().join(format!("small-{}", self.mounted.len()));
        std::fs::create_dir(&folder)?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]).arg(&folder);
        let done = mount.stdin(Stdio::null()).output()?;
        if !done.status.success() {
            eprintln!("SKIPPED on a small disk: {}", String::from_utf8_lossy(&done.stderr).trim());
            return Ok(None);
        }
        self.mounted.push(folder.clone());
        Ok(Some(folder))
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
        for folder in self.mounted.drain(..) {
            // Lazily: a session that ends may still have a file open there.
            let _ = Command::new("umount").arg("-l").arg(folder).status();
        }
    }
}
