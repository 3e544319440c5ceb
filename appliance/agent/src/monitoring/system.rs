//! The agent's own machine, from /proc: processors, memory, swap, network, disks.

use std::collections::BTreeMap;

use holdfast_metrics::Reading;
use procfs::{Current as _, CurrentSI as _};

/// Partitions that are measured, at most.
const PARTITIONS_MAX: usize = 32;
/// A sector of /proc/diskstats, in bytes, whatever the disk's own are.
const SECTOR: f64 = 512.0;

#[allow(clippy::cast_precision_loss, reason = "counters beyond 2^53 lose their last digits")]
fn f(n: u64) -> f64 {
    n as f64
}

/// Memory that this process holds, in bytes.
pub(super) fn resident_bytes() -> Option<u64> {
    let memory = procfs::process::Process::myself().ok()?.statm().ok()?;
    Some(memory.resident * procfs::page_size())
}

/// The machine now, as values by path. What cannot be read is left out.
pub(super) fn machine(reading: &mut Reading) {
    let values = &mut reading.values;
    let mut put = |path: &'static str, value: f64| {
        values.insert(path, value);
    };
    if let Ok(stat) = procfs::KernelStats::current() {
        let ticks = f(procfs::ticks_per_second());
        let cpu = &stat.total;
        let or = |n: Option<u64>| n.unwrap_or(0);
        let parts = [
            ("sys:cpu.user", cpu.user),
            ("sys:cpu.nice", cpu.nice),
            ("sys:cpu.kernel", cpu.system),
            ("sys:cpu.iowait", or(cpu.iowait)),
            ("sys:cpu.irq", or(cpu.irq)),
            ("sys:cpu.softirq", or(cpu.softirq)),
            ("sys:cpu.steal", or(cpu.steal)),
            // Counted in `user` already: it is no part of the total.
            ("sys:cpu.guest", or(cpu.guest)),
        ];
        for (path, n) in parts {
            put(path, f(n) / ticks);
        }
        let total: u64 = parts[..7].iter().map(|(_, n)| n).sum::<u64>() + cpu.idle;
        put("sys:cpu.total", f(total) / ticks);
        put("sys:contextSwitches", f(stat.ctxt));
    }
    if let Ok(load) = procfs::LoadAverage::current() {
        put("sys:load.one", f64::from(load.one));
        put("sys:load.five", f64::from(load.five));
        put("sys:load.fifteen", f64::from(load.fifteen));
    }
    if let Ok(memory) = procfs::Meminfo::current() {
        put("sys:memory.total", f(memory.mem_total));
        put("sys:memory.free", f(memory.mem_free));
        put("sys:memory.buffers", f(memory.buffers));
        put("sys:memory.cached", f(memory.cached));
        if let Some(available) = memory.mem_available {
            put("sys:memory.available", f(available));
        }
        if let Some(shared) = memory.shmem {
            put("sys:memory.shared", f(shared));
        }
        put("sys:swap.total", f(memory.swap_total));
        put("sys:swap.free", f(memory.swap_free));
    }
    if let Ok(counters) = procfs::vmstat() {
        let page = f(procfs::page_size());
        for (path, name) in [("sys:swap.in", "pswpin"), ("sys:swap.out", "pswpout")] {
            if let Some(pages) = counters.get(name).and_then(|n| u64::try_from(*n).ok()) {
                put(path, f(pages) * page);
            }
        }
    }
    if let Ok(devices) = procfs::net::dev_status() {
        let real = || devices.values().filter(|device| device.name != "lo");
        put("sys:network.in", real().map(|d| f(d.recv_bytes)).sum());
        put("sys:network.out", real().map(|d| f(d.sent_bytes)).sum());
        put(
            "sys:network.errors",
            real().map(|d| f(d.recv_errs) + f(d.recv_drop) + f(d.sent_errs) + f(d.sent_drop)).sum(),
        );
    }
}

/// Partitions that file systems lie on, by the name of their device.
pub(super) fn disks(monotonic_millis: u64, wall_millis: i64) -> BTreeMap<String, Reading> {
    let mut all = BTreeMap::new();
    let Ok(mounts) = procfs::process::Process::myself().and_then(|own| own.mountinfo()) else { return all };
    let Ok(stats) = procfs::diskstats() else { return all };
    for mount in mounts {
        let Some(stat) = stats.iter().find(|stat| format!("{}:{}", stat.major, stat.minor) == mount.majmin) else {
            continue;
        };
        if all.len() >= PARTITIONS_MAX || all.contains_key(&stat.name) || stat.name.starts_with("loop") {
            continue;
        }
        let Ok(space) = nix::sys::statvfs::statvfs(&mount.mount_point) else { continue };
        let mut reading = Reading { monotonic_millis, wall_millis, ..Reading::default() };
        let block = f(space.fragment_size());
        let values = [
            ("disk:reads", f(stat.reads)),
            ("disk:writes", f(stat.writes)),
            ("disk:readBytes", f(stat.sectors_read) * SECTOR),
            ("disk:writtenBytes", f(stat.sectors_written) * SECTOR),
            ("disk:readMillis", f(stat.time_reading)),
            ("disk:writeMillis", f(stat.time_writing)),
            ("disk:busyMillis", f(stat.time_in_progress)),
            ("disk:weightedMillis", f(stat.weighted_time_in_progress)),
            ("disk:free", f(space.blocks_available()) * block),
            ("disk:used", f(space.blocks().saturating_sub(space.blocks_free())) * block),
        ];
        reading.values.extend(values);
        all.insert(stat.name.clone(), reading);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_metrics::{METRICS, Scope, value};

    #[test]
    fn this_machine_has_a_value_for_every_metric_of_a_machine() {
        let read = |millis: u64, more: f64| {
            let wall_millis = i64::try_from(millis).unwrap_or(0);
            let mut reading = Reading { monotonic_millis: millis, wall_millis, ..Reading::default() };
            machine(&mut reading);
            // As if something had happened in between.
            reading.values.values_mut().for_each(|value| *value += more);
            reading
        };
        let (before, now) = (read(0, 0.0), read(10_000, 1.0));
        for metric in METRICS.iter().filter(|metric| metric.scope == Scope::System) {
            assert!(value(metric, Some(&before), &now, 10.0).is_some(), "{}", metric.name);
        }
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn the_disk_below_is_seen() {
        let disks = disks(0, 0);
        // A container may have no block device of its own.
        for reading in disks.values() {
            assert!(reading.get("disk:free").is_some_and(|free| free >= 0.0));
        }
    }
}
