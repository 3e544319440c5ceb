//! Running a command and measuring it: wall, CPU of it and its children, peak resident memory, and the CPU that a server spent meanwhile.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// What a command took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// Seconds from start to end.
    pub wall: f64,
    /// Seconds of user and system time, children included.
    pub cpu: f64,
    /// Peak resident memory of its largest process in MB (10^6).
    pub rss_mb: f64,
    /// Seconds of CPU of the server of the index meanwhile.
    pub server_cpu: f64,
}

/// Runs it under GNU time; its output.
///
/// # Errors
/// When it cannot be started or fails.
pub fn run(command: &Command, server: Option<u32>, scratch: &Path) -> Result<(Cost, String)> {
    let report = scratch.join("time");
    let mut timed = Command::new("/usr/bin/time");
    timed.args(["--quiet", "--format", "%e %U %S %M", "--output"]).arg(&report);
    timed.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => timed.env(name, value),
            None => timed.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        timed.current_dir(dir);
    }
    let before = server.map_or(Ok(0.0), cpu_of)?;
    let output =
        timed.stdin(Stdio::null()).output().context("starting /usr/bin/time: is the package time installed?")?;
    let after = server.map_or(Ok(0.0), cpu_of)?;
    if !output.status.success() {
        bail!("{command:?} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    let text = fs::read_to_string(&report)?;
    let numbers: Vec<f64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [wall, user, system, rss_kib] = numbers[..] else { bail!("GNU time said {text:?}") };
    let cost = Cost { wall, cpu: user + system, rss_mb: rss_kib * 1024.0 / 1e6, server_cpu: after - before };
    Ok((cost, String::from_utf8(output.stdout)?))
}

/// Seconds of user and system time that a process has spent so far.
fn cpu_of(pid: u32) -> Result<f64> {
    // Fields 14 and 15 after the name, which may hold spaces; Linux counts them in hundredths of a second for user space.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = stat.rsplit_once(')').context("a line of /proc/PID/stat")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).context("a number of ticks");
    Ok((ticks(11)? + ticks(12)?) / 100.0)
}

/// Bytes of all files below a folder.
///
/// # Errors
/// When it cannot be read.
pub fn bytes_below(dir: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let entry = entry?;
        let meta = entry.metadata()?;
        sum += if meta.is_dir() { bytes_below(&entry.path())? } else { meta.len() };
    }
    Ok(sum)
}

/// Bytes that the file system of this folder has free for us.
///
/// # Errors
/// When it cannot be asked.
pub fn free_bytes(dir: &Path) -> Result<u64> {
    let stat = nix::sys::statvfs::statvfs(dir)?;
    Ok(stat.blocks_available() * stat.fragment_size())
}

/// Reads everything once, so that no tool meets a colder page cache than the next.
///
/// # Errors
/// When it cannot be read.
pub fn warm(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            warm(&path)?;
        } else {
            std::io::copy(&mut fs::File::open(&path)?, &mut std::io::sink())?;
        }
    }
    Ok(())
}
