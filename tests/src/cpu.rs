//! CPU and memory of processes, from `/proc`: what a measurement says about who did the work.

use std::{collections::BTreeMap, fs, time::Instant};

use anyhow::{Context as _, Result};

/// Clock ticks a second, as Linux shows them to programs on every architecture that we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU that a process has used so far, user and system, in seconds.
///
/// # Errors
/// There is no such process.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().context("a stat line")?.split_whitespace().collect();
    let ticks = |n: usize| -> Result<f64> { Ok(fields.get(n).context("a field")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
}

/// Highest resident size of a process so far, in bytes.
///
/// # Errors
/// There is no such process.
pub fn peak_resident_bytes(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).context("VmHWM")?;
    let kib: f64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
    Ok(kib * 1024.0)
}

/// CPU of the whole machine so far, in seconds: busy, and all.
fn machine() -> Result<(f64, f64)> {
    let stat = fs::read_to_string("/proc/stat")?;
    let fields: Vec<f64> =
        stat.lines().next().context("a line")?.split_whitespace().skip(1).filter_map(|f| f.parse().ok()).collect();
    let all: f64 = fields.iter().take(8).sum();
    // Idle and waiting for the disk.
    let idle: f64 = fields.iter().skip(3).take(2).sum();
    Ok(((all - idle) / TICKS_PER_SECOND, all / TICKS_PER_SECOND))
}

/// Who used the processors between two moments.
#[derive(Debug)]
pub struct CpuWatch {
    since: Instant,
    machine: (f64, f64),
    parts: BTreeMap<String, Vec<(u32, f64)>>,
}

impl CpuWatch {
    /// Begins to watch these processes, by the name that the report gives them. One that ends meanwhile counts as nothing.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn start(parts: impl IntoIterator<Item = (String, u32)>) -> Result<Self> {
        let mut watched: BTreeMap<String, Vec<(u32, f64)>> = BTreeMap::new();
        for (name, pid) in parts {
            watched.entry(name).or_default().push((pid, cpu_seconds(pid).unwrap_or(0.0)));
        }
        Ok(Self { since: Instant::now(), machine: machine()?, parts: watched })
    }

    /// Takes up a process that began after the start; one that is watched already stays as it is.
    pub fn joined(&mut self, name: &str, pid: u32) {
        let watched = self.parts.entry(name.to_owned()).or_default();
        if !watched.iter().any(|(known, _)| *known == pid) {
            watched.push((pid, 0.0));
        }
    }

    /// CPU-seconds of one part since the start.
    #[must_use]
    pub fn of(&self, name: &str) -> f64 {
        let used = |(pid, before): &(u32, f64)| cpu_seconds(*pid).map_or(0.0, |now| now - before);
        self.parts.get(name).into_iter().flatten().map(used).sum()
    }

    /// One line: CPU-seconds of each part, of everything else on the machine, and how busy it was.
    ///
    /// # Errors
    /// `/proc` cannot be read.
    pub fn line(&self) -> Result<String> {
        let (busy, all) = machine()?;
        let (busy, all) = (busy - self.machine.0, all - self.machine.1);
        let each: Vec<(String, f64)> = self.parts.keys().map(|name| (name.clone(), self.of(name))).collect();
        let ours: f64 = each.iter().map(|(_, s)| s).sum();
        let each: Vec<String> = each.iter().map(|(name, s)| format!("{name} {s:.1}")).collect();
        let others = (busy - ours).max(0.0);
        let percent = 100.0 * busy / all.max(0.01);
        let wall = self.since.elapsed().as_secs_f64();
        Ok(format!("CPU-s in {wall:.1} s: {}; others {others:.1}; machine {percent:.0} % busy", each.join(", ")))
    }
}
